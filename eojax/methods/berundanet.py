"""BerundaNet: few labels, and the task of painting every image again.

"Semi-supervised Learning for Large-scale Earth Observation Data Understanding" (Castillo-Navarro,
2022), section 3.2, as the semi-supervised baseline of Table III in "Energy-based Models in Earth
Observation" (2022): one encoder with a head for each task, phi_s and phi_u,

    L(x) = L_s(phi_s(x), y) + lambda L_u(phi_u(x), x)                       (Eq. 3.3)
    L_1(x) = 1 / N sum_i |x_i - x^_i|                                       (Eq. 3.6)
    L_2(x) = 1 / N sum_i (x_i - x^_i)^2                                     (Eq. 3.7)

with L_s the cross-entropy of the labelled images, and L_u = L_1 or L_2 of labelled and unlabelled
images alike: an image without a label trains the shared encoder and the decoder, and not the
classifier. The network: `eojax.models.berundanet`.

Notes:
  The thesis defines the network for segmentation, where both heads give maps; neither it nor the
  paper says what the network for classification was, or its lambda. Here the encoder is the
  Wide-ResNet of the methods that it is compared with. The default lambda is the one with which
  the authors' segmentation worked best: 0.5 for L_1; for L_2 it was 5.
  x is in [-1, 1], where L_1 is twice, and L_2 four times, what it is in [0, 1].
  The unlabelled images are all training images, the labelled ones among them. They pass the network
  in one batch with the labelled ones, and share the statistics of batch normalisation.
  What is reconstructed is the augmented image.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax.numpy as jnp
import optax
from jax import Array
from ml_collections import ConfigDict

from eojax.devices import sharding
from eojax.feed.streams import Batch, Stream
from eojax.methods.features import features_of
from eojax.methods.method import Method, Metrics, Phase, Recipe, Task
from eojax.methods.options import AUGMENT, AVERAGE_DECAY, UNLABELLED_RATIO
from eojax.methods.update import descent
from eojax.methods.update.descent import Aside, Trained
from eojax.models import berundanet
from eojax.option import NOT_NEGATIVE, Option, at_least, name_in

# Differences in [-1, 1] to what is averaged over images, pixels and bands.
RECONSTRUCTIONS: dict[str, Callable[[Array], Array]] = {'l1': jnp.abs, 'l2': jnp.square}
OPTIONS = {
    'method': {
        'augment': AUGMENT,
        'unlabelled_ratio': UNLABELLED_RATIO,
        'reconstruction': Option('l1', 'L_u, Eq. 3.6 or 3.7', name_in(RECONSTRUCTIONS)),
        'reconstruction_weight': Option(0.5, 'lambda, the weight of L_u', NOT_NEGATIVE),
        'decoder_features': Option(
            64, 'features of the first stage of the decoder', at_least(1), 'features'
        ),
        'average_decay': AVERAGE_DECAY,
    },
}
# The network whose feature map the decoder reads.
ENCODER = 'wide_resnet'


class BerundaNetState(NamedTuple):
    """All that the next step needs."""

    trained: Trained


def build(config: ConfigDict, task: Task) -> Method:
    """The method of a config."""
    options = config.method
    network = berundanet.build(
        config.model, task.num_classes, task.image_shape[-1], options.decoder_features
    )
    down = descent.build(config.optimizer, config.steps, options.average_decay)
    deviation = RECONSTRUCTIONS[options.reconstruction]

    def init(key: Array, batch: Batch, fitted: Any) -> BerundaNetState:
        return BerundaNetState(down.begin(*network.init(key, batch['labelled']['images'][:1])))

    def loss_of(parameters: Any, statistics: Any, batch: Batch, key: Array) -> Any:
        labels = batch['labelled']['labels']
        groups = [batch['labelled']['images'], batch['unlabelled']['images']]
        images = sharding.join(groups, task.num_devices)
        (outputs, painted), statistics = network.train(parameters, statistics, images, key=key)
        logits, _ = sharding.parted(outputs, [len(g) for g in groups], task.num_devices)
        supervised = optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()
        reconstruction = deviation(painted - images).mean()  # Eq. 3.6, 3.7
        loss = supervised + options.reconstruction_weight * reconstruction  # Eq. 3.3
        metrics = {
            'cross_entropy': supervised,
            'reconstruction': reconstruction,
            'accuracy': (logits.argmax(-1) == labels).mean(),
        }
        return loss, Aside(metrics, statistics)

    def step(state: BerundaNetState, batch: Batch, key: Array) -> tuple[BerundaNetState, Metrics]:
        old = state.trained
        new, aside = down.step(old, lambda p: loss_of(p, old.statistics, batch, key))
        return BerundaNetState(new), aside.metrics

    def logits(state: BerundaNetState, images: Array, key: Array) -> Array:
        # The decoder is not part of the compiled program: nothing reads its output.
        outputs: Array = network.apply(state.trained.average, state.trained.statistics, images)[0]
        return outputs

    def reconstruct(state: BerundaNetState, images: Array, key: Array) -> Array:
        """Images `[N, H, W, C]` as the second head paints them, clipped to [-1, 1]."""
        painted = network.apply(state.trained.average, state.trained.statistics, images)[1]
        return jnp.clip(painted, -1.0, 1.0)

    num = options.unlabelled_ratio * config.batch_size
    streams = {
        'labelled': Stream('labelled', config.batch_size, options.augment),
        'unlabelled': Stream('train', num, options.augment),
    }
    abilities = {'logits': logits, 'reconstruct': reconstruct, **features_of(network)}
    return Method(init, (Phase('berundanet', config.steps, streams, step),), abilities)


RECIPE = Recipe(OPTIONS, ('logits', 'reconstruct', 'features'), build, models=(ENCODER,))
