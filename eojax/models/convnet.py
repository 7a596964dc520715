"""A small convolutional network for patches of 16 to 64 pixels.

"EO-to-SAR transfer" (paper below) leaves its convolutional encoders open; so does the work that it
builds on, Rostami et al., "Deep Transfer Learning for Few-Shot SAR Image Classification" (2019),
whose networks are plain stacks of convolutions too. Each block is a number of 3 x 3 convolutions,
each followed by a normalisation and an activation; the first one of a block carries its stride. The
last feature map is averaged over its pixels, and one dense layer gives the outputs.

Notes:
  With instance normalisation, the last convolution has none: where each map of each image has mean
  0 and variance 1, the mean of its positive part hardly depends on the image.
  `normalise_input` subtracts each band's mean over the image and divides by its standard deviation,
  so that the outputs do not depend on the scale and the offset of a band. Instance normalisation
  after the first convolution alone does that up to the zeros around the image, which do not shift
  with it.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
from flax import linen as nn
from jax import Array, lax
from ml_collections import ConfigDict

from eojax.errors import UserError
from eojax.models.arithmetic import DTYPE, dtype_of
from eojax.models.convolution import Convolution
from eojax.models.model import Architecture, Network, Sizes, from_linen
from eojax.models.wide_resnet import (
    ACTIVATION,
    ACTIVATIONS,
    NORM_MOMENTUM,
    NORMS,
    Normalisation,
)
from eojax.option import Option, at_least, name_in, such

_WHOLE = such(
    'whole numbers from 1 on',
    lambda numbers: len(numbers) > 0 and all(n >= 1 and n == int(n) for n in numbers),
)
OPTIONS: dict[str, Option] = {
    'widths': Option((32, 64, 128), 'features of each block', _WHOLE, 'features'),
    'strides': Option((1, 2, 2), 'stride of each block', _WHOLE, 'pixels'),
    'convolutions': Option(2, 'convolutions of a block', at_least(1)),
    'norm': Option('instance', 'normalisation between the layers', name_in(NORMS)),
    'normalise_input': Option(
        False, 'whether each band of an image is brought to mean 0 and variance 1'
    ),
    'activation': ACTIVATION,
    'norm_momentum': NORM_MOMENTUM,
    'dtype': DTYPE,
}
# Below it a band's spread is taken for rounding: an eighth of a step of 8-bit images in [-1, 1].
_INPUT_EPSILON = 1e-6


def check(model: ConfigDict, sizes: Sizes) -> None:
    """Refuses options that no such network has together, and images that it cannot take.

    Args:
      model: the config group of that name.

    Raises:
      UserError: one line that names the key.
    """
    if len(model.widths) != len(model.strides):
        raise UserError(
            f'model.strides {tuple(model.strides)} must have one entry for each block of'
            f' model.widths {tuple(model.widths)}'
        )
    # Of one pixel nothing is left by instance normalisation, and little of two by two.
    total = math.prod(int(stride) for stride in model.strides)
    for key, size in sizes.items():
        if size < 3 * total:
            raise UserError(
                f'model.strides {tuple(model.strides)} leave fewer than 3 x 3 pixels of a'
                f' {key} of {size}'
            )


def build(options: ConfigDict, num_outputs: int) -> Network:
    """The network of the config group `model`."""
    module = ConvNet(
        num_outputs,
        tuple(int(width) for width in options.widths),
        tuple(int(stride) for stride in options.strides),
        options.convolutions,
        options.norm,
        options.normalise_input,
        options.activation,
        options.norm_momentum,
        dtype_of(options.dtype),
    )
    return from_linen(module, per_image=options.norm != 'batch', features=True)


ARCHITECTURE = Architecture(OPTIONS, build, check, first='block1_conv1')


def normalise_bands(images: Array) -> Array:
    """Images `[N, H, W, C]` with mean 0 and variance 1 of each band of each image."""
    images = images.astype(jnp.float32)
    centred = images - images.mean((1, 2), keepdims=True)
    return centred * lax.rsqrt(jnp.square(centred).mean((1, 2), keepdims=True) + _INPUT_EPSILON)


class ConvNet(nn.Module):
    """Blocks of 3 x 3 convolutions, a global mean and a dense layer.

    Attributes:
      num_outputs: number of outputs.
      widths: features of each block.
      strides: of the first convolution of each block.
      convolutions: in each block.
      norm: one of `NORMS`, after each convolution; see the module's notes on `instance`.
      normalise_input: whether the images pass `normalise_bands` first.
      activation: one of `ACTIVATIONS`.
      norm_momentum: of the running statistics of batch normalisation.
      dtype: of the arithmetic; parameters and outputs are float32.
    """

    num_outputs: int
    widths: tuple[int, ...] = (32, 64, 128)
    strides: tuple[int, ...] = (1, 2, 2)
    convolutions: int = 2
    norm: str = 'instance'
    normalise_input: bool = False
    activation: str = 'relu'
    norm_momentum: float = 0.9
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, images: Array, train: bool = False, features_only: bool = False) -> Array:
        """Outputs `[N, num_outputs]` of images `[N, H, W, bands]` of any size.

        With `features_only`, what enters the dense layer instead, `[N, widths[-1]]`.
        """
        act: Callable[[Array], Array] = ACTIVATIONS[self.activation]
        x = normalise_bands(images) if self.normalise_input else images
        for block, (features, stride) in enumerate(zip(self.widths, self.strides, strict=True), 1):
            for number in range(1, self.convolutions + 1):
                last = block == len(self.widths) and number == self.convolutions
                norm = 'none' if last and self.norm == 'instance' else self.norm
                x = Convolution(
                    features,
                    stride=stride if number == 1 else 1,
                    # A bias before a normalisation over the same channel has no effect.
                    use_bias=norm in ('none', 'group'),
                    dtype=self.dtype,
                    name=f'block{block}_conv{number}',
                )(x)
                name = f'block{block}_norm{number}'
                x = act(Normalisation(norm, self.dtype, self.norm_momentum, name=name)(x, train))
        pooled = x.astype(jnp.float32).mean((1, 2))
        if features_only:
            return pooled
        return nn.Dense(self.num_outputs, name='head')(pooled)
