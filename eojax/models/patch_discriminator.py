"""Discriminators of patches at several scales, conditioned on what the image was made of.

Table II of "Synthesizing Optical and SAR Imagery From Land Cover Maps and Auxiliary Raster Data"
(Baier et al., 2021), after Wang et al., "High-Resolution Image Synthesis and Semantic Manipulation
with Conditional GANs" (2018). At each scale, with the width w = 64, leaky ReLUs of slope 0.2 and
instance normalisation (IN):

    4 x 4 at stride 2 to w, leaky ReLU
    4 x 4 at stride 2 to 2 w, IN, leaky ReLU
    4 x 4 at stride 2 to 4 w, IN, leaky ReLU
    4 x 4 to 8 w, IN, leaky ReLU
    4 x 4 to 1

each padded by 2 pixels. The condition stands beside the image at the input, and each scale sees the
means of 2 x 2 pixels of the one before. The outputs before the last layer are the features that
`eojax.losses.feature_matching` compares.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax.numpy as jnp
from flax import linen as nn
from jax import Array

from eojax.models.convolution import Convolution
from eojax.models.model import Network, from_linen
from eojax.models.pixel_blocks import mean_pooled, padded_to_multiple
from eojax.models.spade import instance_normalised

_STRIDES = (2, 2, 2, 1)


class Judgement(NamedTuple):
    """The outputs of a discriminator at one scale.

    Attributes:
      scores: float32 `[N, h, w]`, of patches: the higher, the more real.
      features: maps of the layers before, in order.
    """

    scores: Array
    features: tuple[Array, ...]


def build(width: int = 64, scales: int = 2, dtype: Any = jnp.float32) -> Network:
    """The discriminator.

    Its inputs are images `[N, h, w, bands]` and their condition `[N, h, w, any]`; its output is a
    tuple of one `Judgement` for each scale, the finest first. An image's output depends on that
    image alone.
    """
    return from_linen(MultiscaleDiscriminator(width, scales, dtype), per_image=True)


class MultiscaleDiscriminator(nn.Module):
    """Discriminators of one image at several scales.

    Attributes:
      width: features of the first layer.
      scales: how many.
      dtype: of the arithmetic; parameters and scores are float32.
    """

    width: int = 64
    scales: int = 2
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(
        self, images: Array, condition: Array, train: bool = False
    ) -> tuple[Judgement, ...]:
        """A judgement for each scale."""
        x = jnp.concatenate([images.astype(self.dtype), condition.astype(self.dtype)], -1)
        judgements = []
        for scale in range(self.scales):
            if scale:
                x = mean_pooled(padded_to_multiple(x, 2))
            judgements.append(_Patches(self.width, self.dtype, name=f'scale{scale + 1}')(x))
        return tuple(judgements)


class _Patches(nn.Module):
    """A discriminator at one scale."""

    width: int
    dtype: Any

    @nn.compact
    def __call__(self, x: Array) -> Judgement:
        def layer(number: int, features: int, stride: int, bias: bool) -> Convolution:
            return Convolution(
                features, 4, stride, use_bias=bias, dtype=self.dtype, padding=2,
                kernel_init=nn.initializers.glorot_normal(), name=f'layer{number}',
            )  # fmt: skip

        features = []
        for number, stride in enumerate(_STRIDES, 1):
            # A bias before instance normalisation has no effect.
            x = layer(number, 2 ** (number - 1) * self.width, stride, number == 1)(x)
            x = nn.leaky_relu(x if number == 1 else instance_normalised(x), 0.2)
            features.append(x)
        scores = layer(len(_STRIDES) + 1, 1, 1, True)(x)
        return Judgement(scores[..., 0].astype(jnp.float32), tuple(features))
