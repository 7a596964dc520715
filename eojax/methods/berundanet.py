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

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import Array
from ml_collections import ConfigDict

from eojax.augment import AUGMENTATIONS
from eojax.devices import sharding
from eojax.errors import UserError, unknown_name
from eojax.feed.streams import Batch, Stream
from eojax.methods import optimizers
from eojax.methods.method import Method, Metrics, Phase, Task
from eojax.models import berundanet
from eojax.models.model import running_average

# Differences in [-1, 1] to what is averaged over images, pixels and bands.
RECONSTRUCTIONS: dict[str, Callable[[Array], Array]] = {'l1': jnp.abs, 'l2': jnp.square}
DEFAULTS: dict[str, dict[str, Any]] = {
    'method': {
        'augment': 'flips',
        'unlabelled_ratio': 1,
        'reconstruction': 'l1',
        'reconstruction_weight': 0.5,
        'decoder_features': 64,
        'average_decay': 0.0,
    },
}
ABILITIES = ('logits', 'log_density', 'reconstruct')
# The network whose feature map the decoder reads.
ENCODER = 'wide_resnet'


class BerundaNetState(NamedTuple):
    """All that the next step needs; `average` is what evaluation uses."""

    step: Array
    parameters: Any
    statistics: Any
    average: Any
    optimizer: optax.OptState


def check(config: ConfigDict) -> None:
    """Refuses combinations that cannot train.

    Raises:
      UserError: one line that names the key.
    """
    options = config.method
    if config.model.name != ENCODER:
        raise UserError(f'model.name must be {ENCODER!r} for berundanet, not {config.model.name!r}')
    for key, name, known in (
        ('method.augment', options.augment, AUGMENTATIONS),
        ('method.reconstruction', options.reconstruction, RECONSTRUCTIONS),
    ):
        if name not in known:
            raise unknown_name(key, name, known)
    for key in ('unlabelled_ratio', 'decoder_features'):
        if options[key] < 1:
            raise UserError(f'method.{key} must be at least 1, not {options[key]}')
    weight = options.reconstruction_weight
    if not 0.0 <= weight < math.inf:
        raise UserError(f'method.reconstruction_weight must not be negative, not {weight}')
    if not 0.0 <= options.average_decay < 1.0:
        raise UserError(f'method.average_decay must lie in [0, 1), not {options.average_decay}')


def build(config: ConfigDict, task: Task) -> Method:
    """The method of a config."""
    options = config.method
    model = berundanet.build(
        config.model, task.num_classes, task.image_shape[-1], options.decoder_features
    )
    optimizer = optimizers.build(config.optimizer, config.steps)
    deviation = RECONSTRUCTIONS[options.reconstruction]

    def init(key: Array, batch: Batch) -> BerundaNetState:
        parameters, statistics = model.init(key, batch['labelled']['images'][:1])
        return BerundaNetState(
            jnp.zeros((), jnp.int32),
            parameters,
            statistics,
            jax.tree.map(jnp.copy, parameters),
            optimizer.init(parameters),
        )

    def loss_of(parameters: Any, statistics: Any, batch: Batch, key: Array) -> Any:
        labels = batch['labelled']['labels']
        groups = [batch['labelled']['images'], batch['unlabelled']['images']]
        images = sharding.join(groups, task.num_devices)
        outputs, painted, statistics = model.train(parameters, statistics, images, key)
        logits, _ = sharding.parted(outputs, [len(g) for g in groups], task.num_devices)
        supervised = optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()
        reconstruction = deviation(painted - images).mean()  # Eq. 3.6, 3.7
        loss = supervised + options.reconstruction_weight * reconstruction  # Eq. 3.3
        metrics = {
            'loss': loss,
            'cross_entropy': supervised,
            'reconstruction': reconstruction,
            'accuracy': (logits.argmax(-1) == labels).mean(),
        }
        return loss, (metrics, statistics)

    def step(state: BerundaNetState, batch: Batch, key: Array) -> tuple[BerundaNetState, Metrics]:
        gradient, (metrics, statistics) = optimizers.sharpness_aware_gradient(
            lambda p: jax.grad(loss_of, has_aux=True)(p, state.statistics, batch, key),
            state.parameters,
            config.optimizer,
        )
        updates, moments = optimizer.update(gradient, state.optimizer, state.parameters)
        parameters = optax.apply_updates(state.parameters, updates)
        average = running_average(state.average, parameters, state.step, options.average_decay)
        new = BerundaNetState(state.step + 1, parameters, statistics, average, moments)
        return new, {**metrics, 'gradient_norm': optax.tree.norm(gradient)}

    def logits(state: BerundaNetState, images: Array, key: Array) -> Array:
        # The decoder is not part of the compiled program: nothing reads its output.
        return model.apply(state.average, state.statistics, images)[0]

    def log_density(state: BerundaNetState, images: Array, key: Array) -> Array:
        # Not a density that was trained: the log-sum-exp of a classifier, for comparison.
        return jax.nn.logsumexp(logits(state, images, key), axis=-1)

    def reconstruct(state: BerundaNetState, images: Array, key: Array) -> Array:
        """Images `[N, H, W, C]` as the second head paints them, clipped to [-1, 1]."""
        painted = model.apply(state.average, state.statistics, images)[1]
        return jnp.clip(painted, -1.0, 1.0)

    num = options.unlabelled_ratio * config.batch_size
    streams = {
        'labelled': Stream('labelled', config.batch_size, options.augment),
        'unlabelled': Stream('train', num, options.augment),
    }
    abilities = {'logits': logits, 'log_density': log_density, 'reconstruct': reconstruct}
    return Method(init, (Phase('berundanet', config.steps, streams, step),), abilities)
