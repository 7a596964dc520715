"""Two convolutions: the smallest network that gives a class for each pixel.

It sees a square of a few pixels around each and nothing of the shapes beyond, so it says what a
larger network must beat. Any number of rasters come in; those of a coarser scale are brought to the
pixels of the first by repeating each value, and all are joined along the bands.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax.numpy as jnp
from flax import linen as nn
from jax import Array
from ml_collections import ConfigDict

from eojax.models.arithmetic import DTYPE, dtype_of
from eojax.models.convolution import Convolution
from eojax.models.model import Architecture, Network, from_linen
from eojax.models.wide_resnet import ACTIVATION, ACTIVATIONS
from eojax.option import Option, at_least, such

OPTIONS: dict[str, Option] = {
    'width': Option(32, 'features of each layer', at_least(1), 'features'),
    'kernel': Option(
        5,
        'side of the first convolution',
        such('an odd number from 1 on', lambda side: side >= 1 and side % 2 == 1),
        'pixels',
    ),
    'activation': ACTIVATION,
    'dtype': DTYPE,
}


def build(options: ConfigDict, num_outputs: int) -> Network:
    """The network of the config group `model`; its outputs are float32 `[N, h, w, num_outputs]`."""
    module = PixelNetwork(
        num_outputs, options.width, options.kernel, options.activation, dtype_of(options.dtype)
    )
    return from_linen(module, per_image=True, features=True)


ARCHITECTURE = Architecture(OPTIONS, build, per_pixel=True)


def join_rasters(rasters: Sequence[Array]) -> Array:
    """Rasters of one place, each value of a coarser one repeated, as `[N, h, w, all bands]`.

    Args:
      rasters: `[N, h, w, bands]` and others `[N, h / s, w / s, bands]`, s a whole number.

    Raises:
      ValueError: a raster of which the size of the first is no multiple.
    """
    height, width = rasters[0].shape[1:3]
    parts = []
    for raster in rasters:
        scale = height // raster.shape[1]
        if (raster.shape[1] * scale, raster.shape[2] * scale) != (height, width):
            raise ValueError(f'{raster.shape[1:3]} pixels beside {height} x {width}')
        parts.append(raster.repeat(scale, 1).repeat(scale, 2) if scale > 1 else raster)
    return jnp.concatenate(parts, -1) if len(parts) > 1 else parts[0]


class PixelNetwork(nn.Module):
    """A convolution, an activation, and a convolution to the outputs.

    Attributes:
      num_outputs: for each pixel.
      width: features between the two.
      kernel: side of both kernels, odd.
      activation: one of `ACTIVATIONS`.
      dtype: of the first convolution's arithmetic; parameters and outputs are float32.
    """

    num_outputs: int
    width: int = 32
    kernel: int = 5
    activation: str = 'relu'
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, *rasters: Array, train: bool = False, features_only: bool = False) -> Array:
        """Outputs `[N, h, w, num_outputs]` of rasters, the first of them `[N, h, w, bands]`.

        With `features_only`, the mean over the pixels of what is between the two convolutions
        instead, `[N, width]`.
        """
        x = join_rasters(rasters)
        x = Convolution(self.width, self.kernel, dtype=self.dtype, name='stem')(x)
        x = ACTIVATIONS[self.activation](x)
        if features_only:
            return x.astype(jnp.float32).mean((1, 2))
        # Small at first: every class is as likely as the others.
        small = nn.initializers.variance_scaling(0.01, 'fan_in', 'normal')
        # In float32, as `eojax.models.pixel_head`: rounded outputs of two classes would often be
        # equal.
        head = Convolution(self.num_outputs, self.kernel, kernel_init=small, name='head')
        return head(x.astype(jnp.float32))
