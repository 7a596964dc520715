"""Two small domains of the same classes, and a linear method that learns from both.

The target is drawn landscapes as they are; the source is two bands of others, larger and in uint16.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax import Array, random
from ml_collections import ConfigDict

from eojax.config.base import base_config, set_key
from eojax.data.dataset import Dataset, image_dataset
from eojax.data.kinds import DatasetKind
from eojax.data.sets import DATASETS, landscapes
from eojax.errors import UserError
from eojax.feed.streams import Batch, Stream
from eojax.methods import METHODS
from eojax.methods.method import Method, Metrics, Phase, Recipe, Task
from eojax.option import Option, at_least

SOURCE_LIMITS = ((0.0, 30_000.0), (5_000.0, 60_000.0))


def two_bands() -> DatasetKind:
    """A data set of green and red landscapes, uint16.

    With a root, its data have to be there.
    """

    def from_config(options: ConfigDict, progress: bool) -> Dataset:
        if options.root:
            raise UserError(f'no such file: {options.root}')
        drawn = landscapes.generate(options.num_images, options.size, seed=5)
        images = np.asarray(drawn.images)[..., 1::-1].astype(np.uint16) * 257
        bands = ('green', 'red')
        names = (drawn.names, drawn.class_names)
        return image_dataset(images, drawn.labels, *names, bands, SOURCE_LIMITS)

    options = {'num_images': Option(150, 'images', at_least(1))}
    return DatasetKind('two_bands', lambda options: None, from_config, options)


class TwoDomainState(NamedTuple):
    """A linear classifier of each domain."""

    parameters: dict[str, Array]


def _check(config: ConfigDict) -> None:
    """Nothing to refuse."""


def _logits(weights: Array, images: Array) -> Array:
    return images.reshape(len(images), -1) @ weights


def _build(config: ConfigDict, task: Task) -> Method:
    """First the source alone, then both, pulled together by their means of logits."""
    assert task.source_shape is not None
    shapes = {'target': task.image_shape, 'source': task.source_shape}
    streams = {
        'target': Stream('labelled', config.batch_size, 'flips'),
        'unlabelled': Stream('train', 2 * config.batch_size),
        'source': Stream('labelled', config.batch_size, 'flips', data='source'),
    }

    def init(key: Array, batch: Batch, fitted: Any) -> TwoDomainState:
        return TwoDomainState(
            {
                name: 0.01
                * random.normal(random.fold_in(key, i), (np.prod(shape), task.num_classes))
                for i, (name, shape) in enumerate(sorted(shapes.items()))
            },
        )

    def loss_of(parameters: dict[str, Array], batch: Batch) -> Array:
        loss = jnp.zeros(())
        for name in sorted({'source', 'target'} & batch.keys()):
            logits = _logits(parameters[name], batch[name]['images'])
            labels = batch[name]['labels']
            loss += optax.softmax_cross_entropy_with_integer_labels(logits, labels).mean()
        if 'unlabelled' in batch:
            ours = _logits(parameters['target'], batch['unlabelled']['images']).mean(0)
            theirs = _logits(parameters['source'], batch['source']['images']).mean(0)
            loss += 0.1 * jnp.square(ours - theirs).sum()
        return loss

    def step(state: TwoDomainState, batch: Batch, key: Array) -> tuple[TwoDomainState, Metrics]:
        loss, gradient = jax.value_and_grad(loss_of)(state.parameters, batch)
        rate = config.optimizer.learning_rate
        parameters = jax.tree.map(lambda p, g: p - rate * g, state.parameters, gradient)
        return TwoDomainState(parameters), {'loss': loss}

    def logits(state: TwoDomainState, images: Array, key: Array) -> Array:
        return _logits(state.parameters['target'], images)

    first = Phase('source', config.method.source_steps, {'source': streams['source']}, step)
    second = Phase('both', config.steps - config.method.source_steps, streams, step)
    return Method(init, (first, second), {'logits': logits})


TWO_DOMAINS = Recipe(
    {'method': {'source_steps': Option(4, 'steps on the source', at_least(1))}},
    ('logits',),
    _build,
    _check,
    needs_source=True,
)


def add_two_domains(monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes the method and the source's data set known to configs."""
    monkeypatch.setitem(METHODS, 'two_domains', TWO_DOMAINS)
    monkeypatch.setitem(DATASETS, 'two_bands', two_bands())


def two_domain_config(**changes: Any) -> ConfigDict:
    """A dozen steps on 16 and 20 pixels; `changes` by key, with `__` for the dot."""
    config = base_config('two_domains', 'wide_resnet', 'landscapes', 'two_bands')
    values: dict[str, Any] = {
        'steps': 12, 'batch_size': 8, 'log_every': 3, 'evaluate_every': 6, 'checkpoint_every': 5,
        'keep_checkpoints': 10, 'tensorboard': False, 'data.size': 16, 'data.num_images': 120,
        'data.labels_per_class': '2', 'source.size': 20, 'optimizer.learning_rate': 1e-2,
        'evaluate.batch_size': 32, 'data.workers': 0, 'source.workers': 0,
    }  # fmt: skip
    for key, value in (values | changes).items():
        set_key(config, key.replace('__', '.'), value)
    return config
