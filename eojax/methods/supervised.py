"""Supervised classification by cross-entropy on the labelled images.

The baseline of "Energy-based Models in Earth Observation" (Tables II and III): the same network as
the joint energy-based model, trained as a usual classifier.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import Array
from ml_collections import ConfigDict

from eojax.augment import AUGMENTATIONS
from eojax.errors import UserError, unknown_name
from eojax.feed.streams import Batch, Stream
from eojax.methods import optimizers
from eojax.methods.method import Method, Metrics, Phase, Task
from eojax.models import MODELS
from eojax.models.model import running_average

DEFAULTS: dict[str, dict[str, Any]] = {
    'method': {'augment': 'flips', 'label_smoothing': 0.0, 'average_decay': 0.0},
}
ABILITIES = ('logits', 'log_density')


class SupervisedState(NamedTuple):
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
    method = config.method
    if method.augment not in AUGMENTATIONS:
        raise unknown_name('method.augment', method.augment, AUGMENTATIONS)
    for key in ('label_smoothing', 'average_decay'):
        if not 0.0 <= method[key] < 1.0:
            raise UserError(f'method.{key} must lie in [0, 1), not {method[key]}')


def build(config: ConfigDict, task: Task) -> Method:
    """The method of a config."""
    model = MODELS[config.model.name].build(config.model, task.num_classes)
    optimizer = optimizers.build(config.optimizer, config.steps)
    options = config.method

    def init(key: Array, batch: Batch) -> SupervisedState:
        parameters, statistics = model.init(key, batch['labelled']['images'][:1])
        return SupervisedState(
            jnp.zeros((), jnp.int32),
            parameters,
            statistics,
            jax.tree.map(jnp.copy, parameters),
            optimizer.init(parameters),
        )

    def loss_of(parameters: Any, statistics: Any, batch: Batch, key: Array) -> Any:
        images, labels = batch['labelled']['images'], batch['labelled']['labels']
        logits, statistics = model.train(parameters, statistics, images, key)
        targets = optax.smooth_labels(
            jax.nn.one_hot(labels, task.num_classes), options.label_smoothing
        )
        loss = optax.softmax_cross_entropy(logits, targets).mean()
        accuracy = (logits.argmax(-1) == labels).mean()
        return loss, ({'loss': loss, 'accuracy': accuracy}, statistics)

    def step(state: SupervisedState, batch: Batch, key: Array) -> tuple[SupervisedState, Metrics]:
        gradient, (metrics, statistics) = optimizers.sharpness_aware_gradient(
            lambda p: jax.grad(loss_of, has_aux=True)(p, state.statistics, batch, key),
            state.parameters,
            config.optimizer,
        )
        updates, optimizer_state = optimizer.update(gradient, state.optimizer, state.parameters)
        parameters = optax.apply_updates(state.parameters, updates)
        average = running_average(state.average, parameters, state.step, options.average_decay)
        new = SupervisedState(state.step + 1, parameters, statistics, average, optimizer_state)
        return new, {**metrics, 'gradient_norm': optax.tree.norm(gradient)}

    def logits(state: SupervisedState, images: Array, key: Array) -> Array:
        return model.apply(state.average, state.statistics, images)

    def log_density(state: SupervisedState, images: Array, key: Array) -> Array:
        # Not a density that was trained: the log-sum-exp of a classifier, for comparison.
        return jax.nn.logsumexp(logits(state, images, key), axis=-1)

    streams = {'labelled': Stream('labelled', config.batch_size, options.augment)}
    phase = Phase('supervised', config.steps, streams, step)
    abilities = {'logits': logits, 'log_density': log_density}
    return Method(init, (phase,), abilities)
