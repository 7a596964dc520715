"""Supervised classification by cross-entropy on the labelled images.

The baseline of "Energy-based Models in Earth Observation" (Tables II and III): the same network as
the joint energy-based model, trained as a usual classifier.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import optax
from jax import Array
from ml_collections import ConfigDict

from eojax import models
from eojax.feed.streams import Batch, Stream
from eojax.methods.features import features_of
from eojax.methods.method import Method, Metrics, Phase, Recipe, Task
from eojax.methods.options import AUGMENT, AVERAGE_DECAY
from eojax.methods.update import descent
from eojax.methods.update.descent import Aside, Trained
from eojax.option import BELOW_ONE, Option

OPTIONS = {
    'method': {
        'augment': AUGMENT,
        'label_smoothing': Option(
            0.0, 'share of each label that is spread over all classes', BELOW_ONE
        ),
        'average_decay': AVERAGE_DECAY,
    },
}


class SupervisedState(NamedTuple):
    """All that the next step needs."""

    trained: Trained


def build(config: ConfigDict, task: Task) -> Method:
    """The method of a config."""
    options = config.method
    network = models.build(config.model, task.num_classes)
    down = descent.build(config.optimizer, config.steps, options.average_decay)

    def init(key: Array, batch: Batch, fitted: Any) -> SupervisedState:
        return SupervisedState(down.begin(*network.init(key, batch['labelled']['images'][:1])))

    def loss_of(parameters: Any, statistics: Any, batch: Batch, key: Array) -> Any:
        images, labels = batch['labelled']['images'], batch['labelled']['labels']
        logits, statistics = network.train(parameters, statistics, images, key=key)
        targets = optax.smooth_labels(
            jax.nn.one_hot(labels, task.num_classes), options.label_smoothing
        )
        loss = optax.softmax_cross_entropy(logits, targets).mean()
        return loss, Aside({'accuracy': (logits.argmax(-1) == labels).mean()}, statistics)

    def step(state: SupervisedState, batch: Batch, key: Array) -> tuple[SupervisedState, Metrics]:
        old = state.trained
        new, aside = down.step(old, lambda p: loss_of(p, old.statistics, batch, key))
        return SupervisedState(new), aside.metrics

    def logits(state: SupervisedState, images: Array, key: Array) -> Array:
        outputs: Array = network.apply(state.trained.average, state.trained.statistics, images)
        return outputs

    streams = {'labelled': Stream('labelled', config.batch_size, options.augment)}
    phase = Phase('supervised', config.steps, streams, step)
    return Method(init, (phase,), {'logits': logits, **features_of(network)})


RECIPE = Recipe(OPTIONS, ('logits', 'features'), build, starts_from_weights=True)
