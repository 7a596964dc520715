"""A linear network and a small task, for which the arithmetic of a method is done by hand."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
from jax import Array, random
from ml_collections import ConfigDict

from eojax.config.base import base_config
from eojax.data.dataset import Dataset, image_dataset
from eojax.data.facts import IMAGES, Facts, Raster
from eojax.methods import METHODS
from eojax.methods.method import Method, Task
from eojax.models import MODELS
from eojax.models.model import Network

CLASSES, SHAPE = 3, (2, 2, 2)


def linear_model(per_image: bool = True) -> Network:
    """Logits W x + b; the statistics, where there are any, are the last batch's mean. Its features
    are x."""

    def init(key: Array, images: Array) -> tuple[Any, Any]:
        weights = random.normal(key, (images[0].size, CLASSES))
        parameters = {'w': weights, 'b': jnp.arange(CLASSES, dtype=jnp.float32)}
        return parameters, {} if per_image else {'mean': jnp.zeros(SHAPE)}

    def features(parameters: Any, statistics: Any, images: Array) -> Array:
        return images.reshape(len(images), -1)

    def apply(parameters: Any, statistics: Any, images: Array) -> Array:
        return features(parameters, statistics, images) @ parameters['w'] + parameters['b']

    def train(parameters: Any, statistics: Any, images: Array, *, key: Array) -> tuple[Array, Any]:
        kept = {} if per_image else {'mean': images.mean(0)}
        return apply(parameters, statistics, images), kept

    return Network(init, apply, train, per_image, features=features)


def small_task(num: int = 12) -> Task:
    """Two bands and three classes; every image has a label."""
    facts = Facts(class_names=tuple('abc'), rasters={IMAGES: Raster(('first', 'second'))})
    counts = np.bincount(np.arange(num) % CLASSES)
    return Task(facts, SHAPE, num, tuple(counts.tolist()))


def small_training(num: int = 12) -> Dataset:
    """Images for `small_task`."""
    images = np.random.default_rng(0).integers(0, 256, (num, *SHAPE), np.uint8)
    labels = (np.arange(num) % CLASSES).astype(np.int32)
    names = tuple(f'{i:02}' for i in range(num))
    return image_dataset(images, labels, names, tuple('abc'), ('first', 'second'))


def plain_config(method: str, **options: Any) -> ConfigDict:
    """Plain gradient descent at rate 1, everything optional off; `options` by dotted key."""
    config = base_config(method, 'wide_resnet', 'landscapes')
    config.steps, config.batch_size = 10, 6
    config.optimizer.update({'name': 'sgd', 'learning_rate': 1.0, 'momentum': 0.0,
                             'nesterov': False})  # fmt: skip
    config.method.augment = 'none'
    if method == 'jem':
        config.method.update({'likelihood_batch_size': 4, 'likelihood_augment': 'none',
                              'input_noise': 0.0})  # fmt: skip
        config.sampler.update({'steps': 3, 'step_size': 0.1, 'noise': 0.0, 'reinitialise': 0.0,
                               'buffer_size': 4})  # fmt: skip
    config.update_from_flattened_dict({k.replace('__', '.'): v for k, v in options.items()})
    return config


def build_linear(
    monkeypatch: pytest.MonkeyPatch, config: ConfigDict, per_image: bool = True
) -> Method:
    linear = MODELS['wide_resnet']._replace(build=lambda options, outputs: linear_model(per_image))
    monkeypatch.setitem(MODELS, 'wide_resnet', linear)
    return METHODS[config.method.name].build(config, small_task())


def small_batch(num: int = 6, others: int = 4) -> dict[str, dict[str, Array]]:
    """Every stream that a method may ask for."""
    keys = random.split(random.key(7), 3)
    batch = {
        name: {'images': random.uniform(key, (size, *SHAPE), minval=-1.0, maxval=1.0),
               'labels': jnp.full((size,), -1), 'index': jnp.arange(size),
               'truth': jnp.arange(size) % CLASSES}
        for name, key, size in zip(('labelled', 'unlabelled', 'clean'), keys,
                                   (num, others, others), strict=True)
    }  # fmt: skip
    batch['labelled']['labels'] = jnp.arange(num) % CLASSES
    return batch
