"""A discriminator that says the class of each pixel, or that the pixel was made up.

Schönfeld et al., "You Only Need Adversarial Supervision for Semantic Image Synthesis" (OASIS,
2021): a U-Net of residual blocks whose outputs are N + 1 classes, the last one here for made-up
pixels. Levels halve the sides by means of 2 x 2 pixels; the width w = 128 grows to 2 w at the
third and 4 w at the fifth level. The decoder goes back by nearest neighbours, with the encoder's
map of each level beside its own. No normalisation but that of the spectra of its kernels.

Notes:
  The published discriminator sees the image alone, as its classes are the whole condition. Rasters
  that a generator was given stand beside the image here, for the image has to fit them too.
  The published code has class 0 for made-up pixels.
"""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
from flax import linen as nn
from jax import Array

from eojax.models.convolution import Convolution
from eojax.models.convolutional_autoencoder import doubled
from eojax.models.model import Network, from_linen
from eojax.models.pixel_blocks import cropped, mean_pooled, padded_to_multiple
from eojax.models.pixel_head import Head

_GLOROT = nn.initializers.glorot_normal()


def build(num_classes: int, width: int = 128, levels: int = 6, dtype: Any = jnp.float32) -> Network:
    """The discriminator.

    Its inputs are images `[N, h, w, bands]` and rasters beside them `[N, h, w, any]`; its output is
    float32 `[N, h, w, num_classes + 1]`, made-up pixels last.

    Args:
      num_classes: of the land cover.
      width: features of the finest level.
      levels: how often the sides are halved.
    """
    module = SegmentationDiscriminator(num_classes, width, levels, dtype)
    return from_linen(module, per_image=True)


class SegmentationDiscriminator(nn.Module):
    """Images to classes of pixels, real ones and made-up.

    Attributes: as of `build`.
    """

    num_classes: int
    width: int = 128
    levels: int = 6
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, images: Array, rasters: Array, train: bool = False) -> Array:
        """Float32 `[N, h, w, num_classes + 1]`."""
        size = images.shape[1:3]
        x = jnp.concatenate([images.astype(self.dtype), rasters.astype(self.dtype)], -1)
        x = padded_to_multiple(x, 2**self.levels)
        features = [self.width * min(2 ** (level // 2), 4) for level in range(self.levels)]
        maps = []
        for level, number in enumerate(features):
            x = _Block(number, self.dtype, first=level == 0, name=f'down{level + 1}')(x)
            x = mean_pooled(x)
            maps.append(x)
        for level in reversed(range(self.levels)):
            if level < self.levels - 1:
                x = jnp.concatenate([x, maps[level]], -1)  # the skip connection
            number = features[level - 1] if level else max(self.width // 2, 1)
            x = _Block(number, self.dtype, enlarged=True, name=f'up{level + 1}')(x)
        outputs = Head(self.num_classes + 1, self.dtype, name='head')(x)
        return cropped(outputs, (size[0], size[1]))


class _Block(nn.Module):
    """Twice leaky ReLU and a 3 x 3 convolution, beside a shortcut of 1 x 1.

    Attributes:
      first: whether x is an image, which no activation comes before.
      enlarged: whether the block begins with nearest neighbours to twice the sides.
    """

    features: int
    dtype: Any
    first: bool = False
    enlarged: bool = False

    @nn.compact
    def __call__(self, x: Array) -> Array:
        def convolve(size: int, name: str) -> Convolution:
            return Convolution(
                self.features, size, dtype=self.dtype, kernel_init=_GLOROT, name=name
            )

        shortcut = convolve(1, 'shortcut')(x)
        y = x if self.first else nn.leaky_relu(x, 0.2)
        if self.enlarged:
            shortcut, y = doubled(shortcut), doubled(y)
        y = convolve(3, 'conv1')(y)
        y = convolve(3, 'conv2')(nn.leaky_relu(y, 0.2))
        return shortcut + y
