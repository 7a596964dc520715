"""A FixMatch step small enough to compute twice, by eojax and by a peer, on the same images."""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import random
from ml_collections import ConfigDict

from eojax.config.base import base_config
from eojax.data.dataset import Dataset, image_dataset
from eojax.data.facts import Facts
from eojax.methods import fixmatch
from eojax.methods.fixmatch import Views
from eojax.methods.method import Task
from eojax.models import MODELS
from tests.trained_states import with_trained

BATCH, RATIO, CLASSES, SIZE = 3, 2, 5, 16


class Images(NamedTuple):
    """Of a step, uint8 `[N, H, W, 3]`; labels of the labelled ones."""

    labelled: np.ndarray
    labels: np.ndarray
    weak: np.ndarray
    strong: np.ndarray


def tiny_config(**options: Any) -> ConfigDict:
    """WRN-10-1 with batch normalisation at a rate that moves it; `options` by dotted key."""
    config = base_config('fixmatch', 'wide_resnet', 'landscapes')
    config.batch_size, config.method.unlabelled_ratio = BATCH, RATIO
    config.data.size = SIZE
    config.model.update({'depth': 10, 'width': 1, 'norm': 'batch', 'norm_momentum': 0.9})
    config.model.activation = 'swish'  # at a kink, rounding would choose the gradient
    config.optimizer.update({'name': 'sgd', 'learning_rate': 0.03, 'weight_decay': 5e-4,
                             'schedule': 'cosine', 'cosine_cycles': 7 / 32})  # fmt: skip
    config.update_from_flattened_dict({k.replace('__', '.'): v for k, v in options.items()})
    return config


def training_set(num: int = 30) -> Dataset:
    generator = np.random.default_rng(7)
    images = generator.integers(0, 256, (num, SIZE, SIZE, 3)).astype(np.uint8)
    labels = np.where(np.arange(num) % 2, np.arange(num) % CLASSES, -1).astype(np.int32)
    return image_dataset(images, labels, tuple(str(i) for i in range(num)), tuple('abcde'))


@functools.cache
def parameters_of(norm: str = 'batch') -> Any:
    """Parameters that are nowhere zero."""
    model = MODELS['wide_resnet'].build(tiny_config(model__norm=norm).model, CLASSES)
    shapes = jax.eval_shape(model.init, random.key(0), jnp.zeros((1, SIZE, SIZE, 3)))[0]
    generator = np.random.default_rng(3)

    def draw(path: Any, shape: Any) -> np.ndarray:
        values = generator.standard_normal(shape.shape)
        if path[-1].key == 'kernel':
            values *= np.prod(shape.shape[:-1]) ** -0.5 * 2.0
        else:
            values = 0.1 * values + (path[-1].key == 'scale')
        return values.astype(np.float32)

    return jax.tree_util.tree_map_with_path(draw, shapes)


def step_images() -> Images:
    generator = np.random.default_rng(11)

    def draw(num: int) -> np.ndarray:
        flat = generator.integers(0, 256, (num, 1, 1, 3))
        noise = generator.normal(0, 20, (num, SIZE, SIZE, 3))
        return np.clip(flat + noise, 0, 255).astype(np.uint8)

    return Images(draw(BATCH), np.arange(BATCH), draw(RATIO * BATCH), draw(RATIO * BATCH))


def unit(images: np.ndarray) -> np.ndarray:
    return images.astype(np.float32) / 127.5 - 1.0


class Steps(NamedTuple):
    """The state of eojax after each of some steps on the same images."""

    states: list[Any]
    metrics: list[Any]


def eojax_steps(config: ConfigDict, monkeypatch: Any, count: int) -> Steps:
    """From `parameters_of` and the statistics before the first step."""
    images = step_images()
    views = Views(jnp.asarray(unit(images.weak)), jnp.asarray(unit(images.strong)))
    monkeypatch.setattr(fixmatch, 'views', lambda *_: views)
    labels = training_set().labels
    counts = tuple(np.bincount(labels[labels >= 0], minlength=CLASSES).tolist())
    facts = Facts(class_names=tuple('abcde'))
    method = fixmatch.build(config, Task(facts, (SIZE, SIZE, 3), len(labels), counts))
    batch = {
        'labelled': {'images': unit(images.labelled), 'labels': jnp.asarray(images.labels)},
        'unlabelled': {'images': unit(images.weak), 'truth': jnp.full(len(images.weak), -1)},
    }
    state = method.init(random.key(0), batch, None)
    # Copies: a step may be given its state's memory.
    ours, average = (jax.tree.map(jnp.array, parameters_of(config.model.norm)) for _ in range(2))
    state = with_trained(state, parameters=ours, average=average)
    step, found = jax.jit(method.phases[0].step), Steps([], [])
    for _ in range(count):
        state, metrics = step(state, batch, random.key(1))
        found.states.append(state)
        found.metrics.append(metrics)
    return found
