"""Two domains and an encoder for which the arithmetic of a transfer is done by hand."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import Array, random
from ml_collections import ConfigDict

from eojax.config.base import base_config
from eojax.data.facts import IMAGES, Facts, Raster
from eojax.methods import METHODS
from eojax.methods.method import Method, Task
from eojax.models import MODELS
from eojax.models.model import Network

CLASSES, SIZE = 3, 4
SOURCE, TARGET = (2, 2, 3), (2, 2, 2)


def linear_encoder(size: int, per_image: bool = True) -> Network:
    """W mean(x) + b of the bands' means; the statistics, if any, are the last batch's means of
    outputs and of bands."""

    def init(key: Array, images: Array) -> tuple[Any, Any]:
        weights = random.normal(key, (images.shape[-1], size))
        parameters = {'w': weights, 'b': random.normal(random.fold_in(key, 1), (size,))}
        bands = jnp.zeros(images.shape[-1])
        return parameters, {} if per_image else {'mean': jnp.zeros(size), 'bands': bands}

    def apply(parameters: Any, statistics: Any, images: Array) -> Array:
        return images.mean((1, 2)) @ parameters['w'] + parameters['b']

    def train(parameters: Any, statistics: Any, images: Array, *, key: Array) -> tuple[Array, Any]:
        outputs = apply(parameters, statistics, images)
        kept = {'mean': outputs.mean(0), 'bands': images.mean((0, 1, 2))}
        return outputs, {} if per_image else kept

    return Network(init, apply, train, per_image)


def small_task() -> Task:
    """Twelve images of each domain, four of each class."""
    target, source = (
        Facts(class_names=tuple('abc'), rasters={IMAGES: Raster(tuple('rgb')[: shape[-1]])})
        for shape in (TARGET, SOURCE)
    )
    return Task(
        target, TARGET, 12, (4, 4, 4), source=source, source_shape=SOURCE,
        source_label_counts=(4, 4, 4),
    )  # fmt: skip


def plain_config(method: str, **options: Any) -> ConfigDict:
    """Plain gradient descent at rate 0.1, everything optional off; `options` by dotted key."""
    source = 'landscapes' if METHODS[method].needs_source else ''
    config = base_config(method, 'convnet', 'landscapes', source)
    config.steps, config.batch_size = 10, 6
    config.optimizer.update({'name': 'sgd', 'learning_rate': 0.1, 'momentum': 0.0,
                             'nesterov': False})  # fmt: skip
    config.method.update({'augment': 'none', 'embedding_size': SIZE})
    if source:
        config.method.source_steps = 4
    config.update_from_flattened_dict({k.replace('__', '.'): v for k, v in options.items()})
    return config


def build_linear(
    monkeypatch: pytest.MonkeyPatch, config: ConfigDict, per_image: bool = True
) -> Method:
    linear = MODELS['convnet']._replace(build=lambda options, size: linear_encoder(size, per_image))
    monkeypatch.setitem(MODELS, 'convnet', linear)
    return METHODS[config.method.name].build(config, small_task())


def small_batch() -> dict[str, dict[str, Array]]:
    """Every stream, six images each; of the labelled ones two of each class."""
    batch = {}
    for number, (name, shape) in enumerate(
        {'source': SOURCE, 'labelled': TARGET, 'unlabelled': TARGET}.items()
    ):
        images = random.uniform(random.key(number), (6, *shape), minval=-1.0, maxval=1.0)
        labels = jnp.full((6,), -1) if name == 'unlabelled' else jnp.arange(6) % CLASSES
        truth = jnp.arange(6) % CLASSES
        batch[name] = {
            'images': images, 'labels': labels, 'truth': truth, 'index': jnp.arange(6)
        }  # fmt: skip
    return batch


def hand_embedding(encoder: Any, images: Array) -> Array:
    return images.mean((1, 2)) @ encoder['w'] + encoder['b']


def hand_logits(parameters: Any, domain: str, images: Array) -> Array:
    """h(W mean(x) + b), h linear."""
    (layer,) = parameters['classifier'].values()
    return hand_embedding(parameters[domain], images) @ layer['kernel'] + layer['bias']


def hand_cross_entropy(parameters: Any, domain: str, stream: Any) -> Array:
    """-mean log p(y|x)."""
    logits = hand_logits(parameters, domain, stream['images'])
    log_p = logits - jnp.log(jnp.exp(logits).sum(-1, keepdims=True))
    return -jnp.take_along_axis(log_p, stream['labels'][:, None], 1).mean()


def assert_descended(new: Any, old: Any, gradient: Any, rate: float = 0.1) -> None:
    """Each parameter went down its gradient."""
    assert jax.tree.structure(new) == jax.tree.structure(old)
    for found, value, slope in zip(*map(jax.tree.leaves, (new, old, gradient)), strict=True):
        np.testing.assert_allclose(found, value - rate * slope, atol=1e-5)
