"""Spatially adaptive normalisation (SPADE), and the residual block that it stands in.

Park, Liu, Wang and Zhu, "Semantic Image Synthesis with Spatially-Adaptive Normalization" (2019).
Features x are normalised to n(x) without parameters, and each pixel gets a scale and a shift of its
own, computed from the map of classes m around it, brought to the size of x by nearest neighbours:

    y = n(x) (1 + gamma(m)) + beta(m)

gamma and beta are two convolutions of 3 x 3 with a ReLU between. A map of classes is one-hot, and
all zeros where the class is unknown: as beyond the border of an image, where zeros pad every map,
so that a network knows unknown ground even if all its training images were labelled.

Notes:
  gamma and beta come of one convolution with twice the features.
  SPADE's authors start all kernels fifty times smaller than Glorot; these start at Glorot's.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax import Array, lax

from eojax.devices import target
from eojax.models.convolution import Convolution
from eojax.models.convolutional_autoencoder import doubled

NORMS = ('batch', 'instance', 'none')
PADDINGS = ('reflect', 'zero')
_GLOROT = nn.initializers.glorot_normal()


class SpadeStyle(NamedTuple):
    """The choices that all layers of a generator share.

    Attributes:
      hidden: features between the two convolutions of a SPADE layer.
      norm: the part without parameters, one of `NORMS`.
      momentum: of the running statistics of batch normalisation.
      padding: of convolutions at full stride, one of `PADDINGS`.
      dtype: of the arithmetic; parameters and statistics are float32.
    """

    hidden: int = 128
    norm: str = 'batch'
    momentum: float = 0.9
    padding: str = 'reflect'
    dtype: Any = jnp.float32


def cover_maps(labels: Array, num_classes: int, levels: int, dtype: Any) -> list[Array]:
    """One-hot maps of classes at each level, the finest first.

    Args:
      labels: int `[N, h, w]`, below 0 where the class is unknown; h and w are multiples of
        2^levels.
      levels: how many coarser maps there are; each has half the sides of the one before, by
        nearest neighbours: the upper left one of 2 x 2 pixels.

    Returns:
      `levels + 1` maps `[N, h / 2^l, w / 2^l, num_classes]`; all zeros where the class is unknown.
    """
    # Numbers are thinned out, not maps: a map of each level is made at its own size.
    maps = [
        jax.nn.one_hot(labels[:, :: 2**level, :: 2**level], num_classes, dtype=dtype)
        for level in range(levels + 1)
    ]
    # XLA would give convolutions the comparisons themselves, and for TPUs with few images each it
    # then ends the process: it takes the gradient of their kernels for one of numbers.
    return lax.optimization_barrier(maps) if target.platform() == 'tpu' else maps


class Standardisation(nn.Module):
    """The mean and the reciprocal standard deviation that a normalisation takes out, in float32.

    Attributes:
      kind: 'batch' or 'instance'; 'batch' is over all images of a batch on all devices, with
        running statistics for evaluation.
      momentum: of these.
    """

    kind: str
    momentum: float = 0.9

    @nn.compact
    def __call__(self, x: Array, train: bool) -> tuple[Array, Array]:
        """Both `[1 or N, 1, 1, C]` of `x` `[N, h, w, C]`."""
        if self.kind == 'instance':
            mean, variance = _moments(x)
            return mean[:, None, None], lax.rsqrt(variance + 1e-5)[:, None, None]
        channels = (x.shape[-1],)
        kept_mean = self.variable('batch_stats', 'mean', jnp.zeros, channels)
        kept_variance = self.variable('batch_stats', 'var', jnp.ones, channels)
        mean, variance = kept_mean.value, kept_variance.value
        if train:
            # Sums over pixels first: on the CPU many times faster than over all axes at once.
            values = x.astype(jnp.float32)
            mean = values.mean((1, 2)).mean(0)
            square = jnp.square(values).mean((1, 2)).mean(0)
            variance = jnp.maximum(square - jnp.square(mean), 0.0)
            if not self.is_initializing():
                for kept, new in ((kept_mean, mean), (kept_variance, variance)):
                    kept.value = self.momentum * kept.value + (1.0 - self.momentum) * new
        return mean[None, None, None], lax.rsqrt(variance + 1e-5)[None, None, None]


def _moments(x: Array) -> tuple[Array, Array]:
    """Mean and variance of each image's pixels, float32 `[N, C]`."""
    values = x.astype(jnp.float32)
    mean = values.mean((1, 2))
    return mean, jnp.maximum(jnp.square(values).mean((1, 2)) - jnp.square(mean), 0.0)


def instance_normalised(x: Array) -> Array:
    """`[N, h, w, C]` with mean 0 and variance 1 over the pixels of each image, of x's type."""
    mean, variance = _moments(x)
    scaled = (x.astype(jnp.float32) - mean[:, None, None]) * lax.rsqrt(variance + 1e-5)[
        :, None, None
    ]
    return scaled.astype(x.dtype)


class Normalisation(nn.Module):
    """SPADE where there is a map of classes; else a scale and a shift for each channel.

    Attributes:
      style: of all layers.
    """

    style: SpadeStyle

    @nn.compact
    def __call__(self, x: Array, cover: Array | None, train: bool, enlarged: bool = False) -> Array:
        """Normalised features.

        Args:
          x: `[N, h, w, C]`.
          cover: a one-hot map of classes of the result's size, or None.
          enlarged: whether the result has twice the sides, each pixel of x standing for four.

        Returns:
          `[N, h, w, C]` or `[N, 2 h, 2 w, C]`.
        """
        style, channels = self.style, x.shape[-1]
        values = x.astype(jnp.float32)
        if style.norm != 'none':
            # Of x itself: each of its pixels enters as often as any other.
            mean, scale = Standardisation(style.norm, style.momentum, name='statistics')(x, train)
            values = (values - mean) * scale
        if cover is None:
            factor = self.param('scale', nn.initializers.ones_init(), (channels,))
            shift = self.param('bias', nn.initializers.zeros_init(), (channels,))
            values = (values * factor + shift).astype(style.dtype)
            return doubled(values) if enlarged else values
        hidden = Convolution(
            style.hidden, 3, dtype=style.dtype, kernel_init=_GLOROT, name='hidden'
        )(cover)
        both = Convolution(
            2 * channels, 3, dtype=style.dtype, kernel_init=_GLOROT, name='modulation'
        )(nn.relu(hidden))
        gamma, beta = jnp.split(both, 2, -1)
        values = doubled(values.astype(style.dtype)) if enlarged else values
        return (values.astype(jnp.float32) * (1.0 + gamma) + beta).astype(style.dtype)


class PaddedConvolution(nn.Module):
    """A convolution that keeps the size, on images padded as the style says.

    Attributes:
      features: of the result.
      size: side of the kernel, odd.
      style: of all layers.
      use_bias: whether a bias is added.
    """

    features: int
    size: int
    style: SpadeStyle
    use_bias: bool = True

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """`[N, h, w, any]` to `[N, h, w, features]`."""
        half, inside = self.size // 2, None
        if self.style.padding == 'reflect' and half:
            x, inside = jnp.pad(x, ((0, 0), (half, half), (half, half), (0, 0)), 'reflect'), 0
        convolve = Convolution(
            self.features,
            self.size,
            use_bias=self.use_bias,
            dtype=self.style.dtype,
            kernel_init=_GLOROT,
            padding=inside,
            name='convolution',
        )
        outputs: Array = convolve(x)
        return outputs


class ResidualBlock(nn.Module):
    """Twice normalisation, ReLU and a 3 x 3 convolution, beside a shortcut.

    Attributes:
      features: of the result; where x has others, the shortcut is a convolution of 1 x 1.
      style: of all layers.
      enlarged: whether the block begins with nearest neighbours to twice the sides.
    """

    features: int
    style: SpadeStyle
    enlarged: bool = False

    @nn.compact
    def __call__(self, x: Array, cover: Array | None, train: bool) -> Array:
        """`[N, h, w, any]` to `[N, h, w, features]`, or to twice the sides.

        Args:
          cover: as of `Normalisation`.
        """
        style, shortcut = self.style, x
        if x.shape[-1] != self.features:
            shortcut = PaddedConvolution(self.features, 1, style, use_bias=False, name='shortcut')(
                x
            )
        if self.enlarged:  # 1 x 1 of enlarged pixels is the enlarged 1 x 1 of pixels
            shortcut = doubled(shortcut)
        y = nn.relu(Normalisation(style, name='norm1')(x, cover, train, self.enlarged))
        # A bias before batch or instance normalisation has no effect.
        bias = style.norm == 'none'
        y = PaddedConvolution(self.features, 3, style, use_bias=bias, name='conv1')(y)
        y = nn.relu(Normalisation(style, name='norm2')(y, cover, train))
        y = PaddedConvolution(self.features, 3, style, name='conv2')(y)
        return shortcut + y
