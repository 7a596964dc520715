"""Steps of methods for pixels, small enough to compute twice, by eojax and by a peer."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import random
from ml_collections import ConfigDict

from eojax import models
from eojax.config.base import base_config
from eojax.data.dataset import ArraySource, Dataset, Places
from eojax.data.facts import IMAGES, PIXEL_LABELS, UNKNOWN, Facts
from eojax.methods import METHODS
from eojax.methods.method import Task
from tests.trained_states import with_trained

BATCH, CLASSES, SIDE, TILE = 3, 5, 8, 20
FACTS = Facts(class_names=tuple('abcde'), label='pixel', size=(TILE, TILE))


def tiny_config(method: str, **options: Any) -> ConfigDict:
    """A U-Net of width 4 and depth 1, SGD at a rate that moves it; `options` by dotted key."""
    config = base_config(method, 'unet', 'landscape_cover')
    config.batch_size, config.method.window, config.data.size = BATCH, SIDE, TILE
    # At a kink of the activation, rounding would choose the gradient.
    config.model.update({'width': 4, 'depth': 1, 'activation': 'swish', 'pooling': 'mean'})
    config.optimizer.update({'name': 'sgd', 'learning_rate': 0.03, 'weight_decay': 5e-4,
                             'schedule': 'cosine', 'cosine_cycles': 7 / 32})  # fmt: skip
    config.update_from_flattened_dict({k.replace('__', '.'): v for k, v in options.items()})
    return config


def training_set(num: int = 6) -> Dataset:
    """Tiles whose bands are row, column and tile, and whose classes follow from the first two.

    Of the odd tiles no classes may be known, nor of the first pixel of any.
    """
    tile, row, column = np.meshgrid(*map(np.arange, (num, TILE, TILE)), indexing='ij')
    images = np.stack([row, column, tile], -1).astype(np.uint8)
    classes = class_of(images)
    names = tuple(str(number) for number in range(num))
    sides = np.full(num, TILE, np.int32)
    labels = np.where(np.arange(num) % 2, -1, 0).astype(np.int32)
    source = ArraySource({IMAGES: images, PIXEL_LABELS: classes})
    return Dataset(FACTS, Places(names, sides, sides, labels), source)


def class_of(images: np.ndarray) -> np.ndarray:
    """The classes of pixels of `training_set`, uint8."""
    row, column = images[..., 0].astype(int), images[..., 1].astype(int)
    classes = (row + 2 * column) % CLASSES
    return np.where((row == 0) & (column == 0), UNKNOWN, classes).astype(np.uint8)


@functools.cache
def parameters_of(normalization: str) -> Any:
    """Parameters that are nowhere zero."""
    config = tiny_config('segmentation', model__normalization=normalization)
    network = models.build(config.model, CLASSES)
    shapes = jax.eval_shape(network.init, random.key(0), jnp.zeros((1, SIDE, SIDE, 3)))[0]
    generator = np.random.default_rng(3)

    def draw(path: Any, shape: Any) -> np.ndarray:
        values = generator.standard_normal(shape.shape)
        if path[-1].key == 'kernel':
            values *= (np.prod(shape.shape) / shape.shape[-1]) ** -0.5 * 2.0
        else:
            values = 0.1 * values + (path[-1].key == 'scale')
        return values.astype(np.float32)

    return jax.tree_util.tree_map_with_path(draw, shapes)


def windows(num: int, seed: int) -> np.ndarray:
    """uint8 `[num, SIDE, SIDE, 3]`: a colour for each window, and noise."""
    generator = np.random.default_rng(seed)
    flat = generator.integers(0, 256, (num, 1, 1, 3))
    return np.clip(flat + generator.normal(0, 40, (num, SIDE, SIDE, 3)), 0, 255).astype(np.uint8)


def window_classes() -> np.ndarray:
    """int64 `[BATCH, SIDE, SIDE]`, a third of them `UNKNOWN`."""
    generator = np.random.default_rng(5)
    classes = generator.integers(0, CLASSES, (BATCH, SIDE, SIDE))
    return np.where(generator.random(classes.shape) < 0.3, UNKNOWN, classes)


def unit(images: np.ndarray) -> np.ndarray:
    return images.astype(np.float32) / 127.5 - 1.0


class Steps(NamedTuple):
    """The state of eojax after each of some steps on the same windows, and the metrics."""

    states: list[Any]
    metrics: list[Any]


def eojax_steps(
    config: ConfigDict, batch: Mapping[str, Any], count: int, key: Callable[[int], Any]
) -> Steps:
    """From `parameters_of` and the statistics before the first step.

    Args:
      key: of each step.
    """
    method = METHODS[config.method.name].build(
        config, Task(FACTS, (TILE, TILE, 3), 6, (0,) * CLASSES)
    )
    state = method.init(random.key(0), batch, None)
    # Copies: a step may be given its state's memory.
    ours, average = (
        jax.tree.map(jnp.array, parameters_of(config.model.normalization)) for _ in range(2)
    )
    state = with_trained(state, parameters=ours, average=average)
    step, done = jax.jit(method.phases[0].step), Steps([], [])
    for number in range(count):
        state, metrics = step(state, batch, key(number))
        done.states.append(state)
        done.metrics.append(metrics)
    return done


def labelled_batch() -> dict[str, Any]:
    classes = window_classes()
    labels = np.where(classes == UNKNOWN, -1, classes).astype(np.int32)
    return {'images': unit(windows(BATCH, 11)), 'labels': jnp.asarray(labels)}
