"""A network as methods see it: plain functions. Which library wrote it stays in here."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Protocol

import jax
from flax import linen as nn
from jax import Array
from ml_collections import ConfigDict

from eojax.option import Option

Parameters = Any
Statistics = Any
# Sides of the images that a network gets, in pixels, by the config key that states them.
Sizes = Mapping[str, int]


class Init(Protocol):
    """Parameters and statistics before training; statistics are those of batch normalisation, an
    empty mapping for networks without."""

    def __call__(self, key: Array, *inputs: Array) -> tuple[Parameters, Statistics]: ...


class Apply(Protocol):
    """Outputs as in evaluation: statistics are read and not updated."""

    def __call__(self, parameters: Parameters, statistics: Statistics, *inputs: Array) -> Any: ...


class Train(Protocol):
    """Outputs as in training, and the statistics after it; `key` is for dropout and the like."""

    def __call__(
        self, parameters: Parameters, statistics: Statistics, *inputs: Array, key: Array
    ) -> tuple[Any, Statistics]: ...


class Network(NamedTuple):
    """A network as pure functions of any number of inputs; its outputs are any tree of arrays.

    Attributes:
      init: `(key, *inputs) -> (parameters, statistics)`.
      apply: `(parameters, statistics, *inputs) -> outputs`.
      train: `(parameters, statistics, *inputs, key=key) -> (outputs, statistics)`.
      per_image: whether an image's output in training depends on that image alone, so that
        batches from several sources may be joined into one.
      stem: `(parameters, images) -> features`, the first layer; None for networks that cannot be
        cut after it.
      trunk: `(parameters, statistics, features, key) -> outputs`, all the rest: where the key is
        None, as in evaluation; with a key as in training, the new statistics left out.
      affine_stem: whether the stem is affine in the images.
      features: `(parameters, statistics, *inputs) -> features`, float32 `[N, D]`, as in evaluation:
        of each image as a whole, the numbers that describe its look; None for networks without.
      encoder_means: the same of all levels of an encoder: the spatial means of the maps that it
        hands on to the next coarser one; None for networks without such levels.
      ready: `parameters -> parameters`, those that each call would bring to the type of the
        arithmetic brought to it: outputs are the same, and who calls many times does it once. None
        where calls take them as they are.
    """

    init: Init
    apply: Apply
    train: Train
    per_image: bool
    stem: Callable[[Parameters, Array], Array] | None = None
    trunk: Callable[[Parameters, Statistics, Array, Array | None], Array] | None = None
    affine_stem: bool = False
    features: Callable[..., Array] | None = None
    encoder_means: Callable[..., Array] | None = None
    ready: Callable[[Parameters], Parameters] | None = None


class Architecture(NamedTuple):
    """A kind of network as configs know it.

    Attributes:
      options: of the config group `model`.
      build: `(options, num_outputs) -> network`; None for networks that the methods which train
        them build by functions of their own.
      check: `(options, sizes)` refuses, by a `UserError` that names the key, options that are right
        by themselves and make no network together, and images of a size that it cannot take.
      per_pixel: whether it gives outputs for each pixel, `[N, h, w, num_outputs]`, and not for each
        image, `[N, num_outputs]`.
      heads: modules that depend on the classes or the task: weights of another run may lack them.
      first: the module that sees the bands of the images; empty where it is not one alone.
      free: options in which weights of another run may differ, as they change no output of what is
        taken over.
    """

    options: Mapping[str, Option]
    build: Callable[[ConfigDict, int], Network] | None
    check: Callable[[ConfigDict, Sizes], None] = lambda options, sizes: None
    per_pixel: bool = False
    heads: tuple[str, ...] = ('head',)
    first: str = ''
    free: tuple[str, ...] = ('norm_momentum', 'normalization_momentum', 'dtype', 'dropout')


def from_linen(
    module: nn.Module,
    per_image: bool,
    stem: nn.Module | None = None,
    affine_stem: bool = False,
    features: bool = False,
    encoder_means: bool = False,
) -> Network:
    """The network of a linen module whose call takes its inputs and the keyword `train`.

    Args:
      stem: the module's first layer by itself, where the network can be cut after it: its
        parameters are those that the module calls `stem`, and the module's call takes
        `after_stem`, for features in place of images.
      features: whether the module's call takes `features_only`, for the features of each image in
        place of its outputs.
      encoder_means: whether it takes `encoder_means`, likewise for those of the encoder's levels.
    """

    def init(key: Array, *inputs: Array) -> tuple[Parameters, Statistics]:
        variables = jax.jit(module.init)(key, *inputs)
        return variables['params'], variables.get('batch_stats', {})

    def apply(parameters: Parameters, statistics: Statistics, *inputs: Array) -> Any:
        variables = {'params': parameters, 'batch_stats': statistics}
        return module.apply(variables, *inputs, train=False)

    def train(
        parameters: Parameters, statistics: Statistics, *inputs: Array, key: Array
    ) -> tuple[Any, Statistics]:
        outputs, updated = module.apply(
            {'params': parameters, 'batch_stats': statistics},
            *inputs,
            train=True,
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
            outputs = module.apply(variables, features, train=False, after_stem=True)
        else:
            outputs, _ = module.apply(
                variables,
                features,
                train=True,
                after_stem=True,
                mutable=['batch_stats'],
                rngs={'dropout': key},
            )
        assert isinstance(outputs, Array)
        return outputs

    def described_by(keyword: str) -> Callable[..., Array]:
        asked: Any = {keyword: True}

        def describe(parameters: Parameters, statistics: Statistics, *inputs: Array) -> Array:
            variables = {'params': parameters, 'batch_stats': statistics}
            described = module.apply(variables, *inputs, train=False, **asked)
            assert isinstance(described, Array)
            return described

        return describe

    network = Network(
        init,
        apply,
        train,
        per_image,
        features=described_by('features_only') if features else None,
        encoder_means=described_by('encoder_means') if encoder_means else None,
    )
    if stem is None:
        return network
    return network._replace(stem=first_layer, trunk=trunk, affine_stem=affine_stem)
