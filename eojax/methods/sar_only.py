"""A classifier of the labelled target images alone: the baseline that knows no other domain.

"Land Use Prediction using Electro-Optical to SAR Few-Shot Transfer Learning" (Hussing et al.,
2022), section 3, (b): "training a classification network on the available labeled SAR data only".
It minimises L(h(psi(x'_T)), y'_T), with L the cross-entropy.

Notes:
  `supervised` with the same model has no embedding between encoder and classifier; here the network
  is that of the transfers (`eojax.methods.transfer.embedding_classifier`), weight for weight.
"""

from __future__ import annotations

from typing import Any

from jax import Array
from ml_collections import ConfigDict

from eojax.feed.streams import Batch
from eojax.methods.method import Method, Recipe, Task
from eojax.methods.transfer import embedding_classifier
from eojax.methods.transfer.transfer_phases import (
    TARGET_ABILITIES,
    TransferState,
    stage,
    target_abilities,
    target_phase,
)

OPTIONS = {'method': embedding_classifier.OPTIONS}


def build(config: ConfigDict, task: Task) -> Method:
    """The method of a config."""
    network = embedding_classifier.from_config(config, task)
    only = stage(config, ('target', 'classifier'), 0, config.steps)

    def init(key: Array, batch: Batch, fitted: Any) -> TransferState:
        return only.begin(*network.init(key, {'target': task.image_shape}))

    phase = target_phase('sar_only', network, only, config.batch_size)
    return Method(init, (phase,), target_abilities(network))


RECIPE = Recipe(OPTIONS, TARGET_ABILITIES, build, embedding_classifier.check)
