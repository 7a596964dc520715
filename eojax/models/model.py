"""What a method sees of a network: two plain functions. Which library wrote it stays in here."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from flax import linen as nn
from jax import Array

Parameters = Any
Statistics = Any


class Model(NamedTuple):
    """A network as pure functions.

    Attributes:
      init: `(key, images) -> (parameters, statistics)`; statistics are those of batch
        normalisation, an empty mapping for networks without.
      apply: `(parameters, statistics, images, key=None) -> outputs` as in evaluation: statistics
        are read and not updated.
      train: `(parameters, statistics, images, key) -> (outputs, statistics)` as in training.
      per_image: whether an image's output in training depends on that image alone, so that
        batches from several sources may be joined into one.
      stem: `(parameters, images) -> features`, the first layer; None for networks that cannot be
        cut after it.
      trunk: `(parameters, statistics, features, key) -> outputs`, all the rest: where the key is
        None, as in evaluation; with a key as in training, the new statistics left out.
      affine_stem: whether the stem is affine in the images.
    """

    init: Callable[[Array, Array], tuple[Parameters, Statistics]]
    apply: Callable[[Parameters, Statistics, Array], Array]
    train: Callable[[Parameters, Statistics, Array, Array], tuple[Array, Statistics]]
    per_image: bool
    stem: Callable[[Parameters, Array], Array] | None = None
    trunk: Callable[[Parameters, Statistics, Array, Array | None], Array] | None = None
    affine_stem: bool = False


def from_linen(
    module: nn.Module, per_image: bool, stem: nn.Module | None = None, affine_stem: bool = False
) -> Model:
    """A `Model` of a linen module whose call takes `(images, train)`.

    Args:
      stem: the module's first layer by itself, where the network can be cut after it: its
        parameters are those that the module calls `stem`, and the module's call takes
        `after_stem`, for features in place of images.
    """

    def init(key: Array, images: Array) -> tuple[Parameters, Statistics]:
        variables = jax.jit(module.init)(key, images)
        return variables['params'], variables.get('batch_stats', {})

    def apply(parameters: Parameters, statistics: Statistics, images: Array) -> Array:
        outputs = module.apply({'params': parameters, 'batch_stats': statistics}, images, False)
        assert isinstance(outputs, Array)  # nothing is mutable here
        return outputs

    def train(
        parameters: Parameters, statistics: Statistics, images: Array, key: Array
    ) -> tuple[Array, Statistics]:
        outputs, updated = module.apply(
            {'params': parameters, 'batch_stats': statistics},
            images,
            True,
            mutable=['batch_stats'],
            rngs={'dropout': key},
        )
        return outputs, updated.get('batch_stats', {})

    def first_layer(parameters: Parameters, images: Array) -> Array:
        assert stem is not None
        features = stem.apply({'params': parameters['stem']}, images)
        assert isinstance(features, Array)
        return features

    def trunk(
        parameters: Parameters, statistics: Statistics, features: Array, key: Array | None
    ) -> Array:
        variables = {'params': parameters, 'batch_stats': statistics}
        if key is None:
            outputs = module.apply(variables, features, False, after_stem=True)
        else:
            outputs, _ = module.apply(
                variables,
                features,
                True,
                after_stem=True,
                mutable=['batch_stats'],
                rngs={'dropout': key},
            )
        assert isinstance(outputs, Array)
        return outputs

    model = Model(init, apply, train, per_image)
    if stem is None:
        return model
    return model._replace(stem=first_layer, trunk=trunk, affine_stem=affine_stem)


def running_average(average: Parameters, parameters: Parameters, step: Array, decay: float) -> Any:
    """The exponential running average of parameters; `decay` 0 keeps the newest.

    Its memory grows with training, so that it does not remember the initial values: at step s it
    is at most (1 + s) / (10 + s).
    """
    effective = jnp.minimum(decay, (1.0 + step) / (10.0 + step))
    return optax.incremental_update(parameters, average, 1.0 - effective)
