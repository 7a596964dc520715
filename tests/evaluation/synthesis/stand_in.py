"""A method that can `synthesise` without learning it: a colour for each class, and the raster.

Tests of what is done with synthesised images need no generator that takes minutes.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax.numpy as jnp
from jax import Array
from ml_collections import ConfigDict

from eojax.config.base import base_config, set_key
from eojax.feed.streams import Stream
from eojax.methods.method import Method, Phase, Recipe, Task
from eojax.option import Option

NAME = 'painted'


class State(NamedTuple):
    """Attributes: paint: `[K + 1, bands]`, the last row where the class is unknown."""

    paint: Array


def build(config: ConfigDict, task: Task) -> Method:
    """Learns the mean of each class in the target by a running mean."""
    options, facts = config.method, task.facts
    rasters = tuple(name for name in options.rasters.split(',') if name)
    bands = len(facts.rasters[options.target].bands)

    def init(key: Array, batch: Any, fitted: Any) -> State:
        return State(jnp.zeros((facts.num_classes + 1, bands)))

    def step(state: State, batch: Any, key: Array) -> tuple[State, dict[str, Array]]:
        target, labels = batch['train'][options.target], batch['train']['labels']
        hot = jnp.eye(facts.num_classes + 1)[labels]
        means = jnp.einsum('nhwk,nhwc->kc', hot, target) / (hot.sum((0, 1, 2))[:, None] + 1e-6)
        loss = jnp.square(synthesise(state, labels, (), key) - target).mean()
        return State(0.5 * state.paint + 0.5 * means), {'loss': loss}

    def synthesise(state: State, labels: Array, seen: Any, key: Array) -> Array:
        means = [x.mean(-1, keepdims=True) for x in seen]
        return state.paint[labels] + options.raster_share * sum(means)

    names = tuple(dict.fromkeys((options.target, *rasters)))
    streams = {'train': Stream('labelled', config.batch_size, rasters=names, window=options.window)}
    phases = (Phase('painting', config.steps, streams, step),)
    window = options.evaluation_window or None
    seen = (*rasters, options.target)
    able = {'synthesise': synthesise}
    return Method(init, phases, able, score='ssim', rasters=seen, window=window)


OPTIONS = {
    'method': {
        'generator': Option('fusion', 'as of the method that learns it'),
        'rasters': Option('elevation', 'that it sees'),
        'target': Option('images', 'that it makes'),
        'window': Option(32, 'of training'),
        'evaluation_window': Option(0, 'of evaluation'),
        'raster_share': Option(0.1, 'of the raster in the image'),
    }
}
RECIPE = Recipe(
    OPTIONS, ('synthesise',), build, models=('unet', 'pixel_network'), labels=('pixel',)
)


def painted_config(method: str = NAME, network: str = 'unet', **changes: Any) -> ConfigDict:
    """32 drawn tiles of 32 pixels, two steps: of the stand-in, or of a segmenter.

    The stand-in must be among `METHODS` (the fixture `painted`).
    """
    config = base_config(method, network, 'landscape_pairs')
    values: dict[str, Any] = {
        'steps': 2, 'batch_size': 4, 'log_every': 1, 'evaluate_every': 0, 'tensorboard': False,
        'data.size': 32, 'data.num_images': 32, 'data.regions': 8, 'data.validation_by': 'place',
        'data.validation_fraction': 0.1, 'method.window': 16, 'model.width': 2,
        'model.depth' if network == 'unet' else 'model.kernel': 1,
        'evaluate.batch_size': 4, 'evaluate.keep_reference': False,
    }  # fmt: skip
    for key, value in (values | changes).items():
        set_key(config, key.replace('__', '.'), value)
    return config
