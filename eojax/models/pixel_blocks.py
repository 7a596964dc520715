"""The pieces that networks with an output for each pixel are built of.

An encoder halves its map several times by the maxima of squares of 2 x 2 pixels; a decoder brings
it back to the size of the image. Between them stands `Encoded`, so that one encoder may feed
several decoders.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax.numpy as jnp
from flax import linen as nn
from jax import Array, lax
from ml_collections import ConfigDict

from eojax.models.arithmetic import DTYPE, dtype_of
from eojax.models.convolution import Convolution, add_bias
from eojax.models.wide_resnet import (
    ACTIVATION,
    ACTIVATIONS,
    NORM_MOMENTUM,
    Normalisation,
)
from eojax.option import Option, one_of

# Of the config group `model`, for networks whose style is `style_of` them.
STYLE: dict[str, Option] = {
    'normalization': Option(
        'batch', 'normalisation between the layers', one_of('batch', 'group', 'none')
    ),
    'normalization_momentum': NORM_MOMENTUM,
    'activation': ACTIVATION,
    'dtype': DTYPE,
}


class Encoded(NamedTuple):
    """The result of an encoder.

    Attributes:
      maps: of every level, the finest first; the last one is the bottleneck.
      maxima: for each level but the last, the places of the maxima that went on to the next one
        (`max_pooled_with_places`); empty where the decoder does not need them.
    """

    maps: tuple[Array, ...]
    maxima: tuple[Array, ...] = ()

    @property
    def bottleneck(self) -> Array:
        """The coarsest map."""
        return self.maps[-1]


class Style(NamedTuple):
    """The choices that all layers of a network share.

    Attributes:
      normalization: 'batch', 'group' or 'none'.
      momentum: of the running statistics of batch normalisation.
      activation: one of `ACTIVATIONS`.
      dtype: of the arithmetic; parameters and statistics are float32.
    """

    normalization: str = 'batch'
    momentum: float = 0.9
    activation: str = 'relu'
    dtype: Any = jnp.float32

    @property
    def act(self) -> Callable[[Array], Array]:
        """The activation as a function."""
        return ACTIVATIONS[self.activation]


class Parts(NamedTuple):
    """How to make the parts of a network, for networks with several decoders or heads.

    Attributes:
      encoder: `()` to a module, `(images, train) -> Encoded`.
      decoder: `()` to a module, `(encoded, train) -> [N, h, w, any]`.
      head: the number of outputs to a module, `(map) -> float32 [N, h, w, outputs]`.
      multiple: of which the sides of the images must be a multiple.
    """

    encoder: Callable[[], nn.Module]
    decoder: Callable[[], nn.Module]
    head: Callable[[int], nn.Module]
    multiple: int


def style_of(options: ConfigDict) -> Style:
    """The style of a config group `model` with the keys of `STYLE`."""
    return Style(
        options.normalization,
        options.normalization_momentum,
        options.activation,
        dtype_of(options.dtype),
    )


class GroupNormalisation(nn.Module):
    """Group normalisation (Wu and He, 2018), statistics in float32, as flax's.

    Means over pixels come first, then those over the channels of a group: on the CPU nine times
    faster than flax's sums over both, which are not contiguous.

    Attributes:
      dtype: of the result.
      most: the number of groups where it divides the channels; else the half of it, and so on.
    """

    dtype: Any = jnp.float32
    most: int = 8

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """`[N, h, w, C]`, normalised over each image's pixels and the channels of each group."""
        channels = x.shape[-1]
        groups = self.most
        while channels % groups:
            groups //= 2
        values = x.astype(jnp.float32)

        def of_group(means: Array) -> Array:
            grouped = means.reshape(-1, groups, channels // groups).mean(-1)
            return grouped.repeat(channels // groups, 1)

        mean = of_group(values.mean((1, 2)))
        square = of_group(jnp.square(values).mean((1, 2)))
        variance = jnp.maximum(square - jnp.square(mean), 0.0)
        scale = self.param('scale', nn.initializers.ones_init(), (channels,))
        bias = self.param('bias', nn.initializers.zeros_init(), (channels,))
        factor = scale * lax.rsqrt(variance + 1e-6)
        shift = bias - mean * factor
        return (values * factor[:, None, None] + shift[:, None, None]).astype(self.dtype)


class Convolutions(nn.Module):
    """Several 3 x 3 convolutions, each with its normalisation and activation.

    Attributes:
      features: of each of them, in order.
      style: of all layers.
    """

    features: tuple[int, ...]
    style: Style

    @nn.compact
    def __call__(self, x: Array, train: bool) -> Array:
        """`[N, h, w, any]` to `[N, h, w, features[-1]]`."""
        style = self.style
        # A bias before a normalisation over the same channel has no effect.
        bias = style.normalization != 'batch'
        for number, features in enumerate(self.features, 1):
            x = Convolution(features, 3, use_bias=bias, dtype=style.dtype, name=f'conv{number}')(x)
            if style.normalization == 'group':
                x = GroupNormalisation(style.dtype, name=f'norm{number}')(x)
            elif style.normalization == 'batch':
                x = Normalisation('batch', style.dtype, style.momentum, name=f'norm{number}')(
                    x, train
                )
            x = style.act(x)
        return x


class UpConvolution(nn.Module):
    """A transposed convolution that doubles both sides: each pixel becomes a square of 2 x 2.

    Kernel and stride are both 2, so no two pixels meet in the result, and it is one product of
    matrices.

    Attributes:
      features: of the result.
      dtype: of the arithmetic; parameters are float32.
    """

    features: int
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """`[N, h, w, any]` to `[N, 2 h, 2 w, features]`."""
        num, height, width, channels = x.shape
        init = nn.initializers.variance_scaling(1.0, 'fan_in', 'normal', in_axis=0, out_axis=3)
        kernel = self.param('kernel', init, (channels, 2, 2, self.features))
        bias = self.param('bias', nn.initializers.zeros_init(), (self.features,))
        squares = lax.dot_general(
            x.astype(self.dtype),
            kernel.astype(self.dtype).reshape(channels, -1),
            (((3,), (0,)), ((), ())),
        ).reshape(num, height, width, 2, 2, self.features)
        doubled = squares.transpose(0, 1, 3, 2, 4, 5).reshape(
            num, 2 * height, 2 * width, self.features
        )
        return add_bias(doubled, bias.astype(self.dtype))


def max_pooled(x: Array) -> Array:
    """The maxima of squares of 2 x 2 pixels: `[N, 2 h, 2 w, C]` to `[N, h, w, C]`."""
    upper, lower = x[:, ::2], x[:, 1::2]
    rows = jnp.maximum(upper, lower)
    return jnp.maximum(rows[:, :, ::2], rows[:, :, 1::2])


def mean_pooled(x: Array) -> Array:
    """The means of squares of 2 x 2 pixels: `[N, 2 h, 2 w, C]` to `[N, h, w, C]`."""
    rows = x[:, ::2] + x[:, 1::2]
    return (rows[:, :, ::2] + rows[:, :, 1::2]) * jnp.asarray(0.25, x.dtype)


def max_pooled_with_places(x: Array) -> tuple[Array, Array]:
    """The maxima of squares of 2 x 2 pixels, and which pixel each one was.

    Args:
      x: `[N, 2 h, 2 w, C]`.

    Returns:
      Maxima and places, both `[N, h, w, C]`; a place is uint8: 0 upper left, 1 upper right, 2 lower
      left, 3 lower right; of equal values the first one.
    """
    best = x[:, ::2, ::2]
    places = jnp.zeros(best.shape, jnp.uint8)
    for place in range(1, 4):
        other = x[:, place // 2 :: 2, place % 2 :: 2]
        larger = other > best
        best, places = jnp.where(larger, other, best), jnp.where(larger, jnp.uint8(place), places)
    return best, places


def unpooled(x: Array, places: Array) -> Array:
    """Values at the places where maxima stood, zeros elsewhere: to `[N, 2 h, 2 w, C]`.

    Args:
      x: `[N, h, w, C]`.
      places: as of `max_pooled_with_places`.
    """
    num, height, width, channels = x.shape
    four = jnp.stack([jnp.where(places == place, x, jnp.zeros((), x.dtype)) for place in range(4)])
    squares = four.reshape(2, 2, num, height, width, channels).transpose(2, 3, 0, 4, 1, 5)
    return squares.reshape(num, 2 * height, 2 * width, channels)


POOLINGS: dict[str, Callable[[Array], Array]] = {'max': max_pooled, 'mean': mean_pooled}


def padded_to_multiple(x: Array, multiple: int) -> Array:
    """Images with their last row and column repeated until both sides are multiples.

    Args:
      x: `[N, h, w, C]`.
    """
    height, width = x.shape[1:3]
    below, right = -height % multiple, -width % multiple
    if not below and not right:
        return x
    return jnp.pad(x, ((0, 0), (0, below), (0, right), (0, 0)), 'edge')


def cropped(x: Array, size: tuple[int, int]) -> Array:
    """The upper left part of `[N, h, w, C]`, of the height and width in `size`."""
    return x[:, : size[0], : size[1]]


def spatial_means(x: Array) -> Array:
    """`[N, h, w, C]` to float32 `[N, C]`."""
    return x.astype(jnp.float32).mean((1, 2))
