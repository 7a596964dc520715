"""Residual networks (He et al., "Deep Residual Learning for Image Recognition", 2016, Table 1).

ResNet-18 and -34 of basic blocks (two 3 x 3 convolutions), ResNet-50, -101 and -152 of bottlenecks
(1 x 1, 3 x 3, 1 x 1, of which the last has four times the features), for any number of bands. Each
convolution is followed by batch normalisation; the activation follows, and in the last of a block
the sum with the shortcut. Layers and their order are torchvision's, so that weights of that layout
can be brought in (`eojax import`).

Notes:
  A bottleneck's stride is in its 3 x 3 convolution, as in torchvision, not in the first 1 x 1.
  Images pass (x - mean) / deviation first, of each band: 0 and 1 in a network that is trained from
  scratch, and in one with imported weights the values that these were trained with. They are kept
  with the statistics and are not trained. What is beyond the border of an image is 0 after it, as
  the imported weights know it.
"""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax import Array
from ml_collections import ConfigDict

from eojax.models.arithmetic import DTYPE, dtype_of
from eojax.models.convolution import Convolution
from eojax.models.model import Architecture, Network, from_linen
from eojax.models.wide_resnet import NORM_MOMENTUM
from eojax.option import Option, at_least, one_of, such

# Of each depth the blocks of the four groups, and whether they are bottlenecks.
BLOCKS = {
    18: ((2, 2, 2, 2), False),
    34: ((3, 4, 6, 3), False),
    50: ((3, 4, 6, 3), True),
    101: ((3, 4, 23, 3), True),
    152: ((3, 8, 36, 3), True),
}
# Statistics of the images that the weights know, in [-1, 1].
INPUT_MEAN, INPUT_DEVIATION = 'input_mean', 'input_deviation'
STEMS = {'7x7': 7, '3x3': 3}
_DEPTHS = ', '.join(map(str, BLOCKS))
OPTIONS: dict[str, Option] = {
    'depth': Option(18, 'layers, as in the name ResNet-18', such(_DEPTHS, BLOCKS.__contains__)),
    'width': Option(64, 'features of the first group; later ones have 2, 4, 8 times as many',
                    at_least(1)),
    'stem': Option(
        '7x7',
        'first layer: 7x7, stride 2 and max pooling; or 3x3 alone, for images below 64 pixels',
        one_of(*STEMS),
    ),
    'norm_momentum': NORM_MOMENTUM,
    'dtype': DTYPE,
}  # fmt: skip


def build(options: ConfigDict, num_outputs: int) -> Network:
    """The network of the config group `model`."""
    module = ResNet(
        num_outputs,
        options.depth,
        options.width,
        options.stem,
        options.norm_momentum,
        dtype_of(options.dtype),
    )
    return from_linen(module, per_image=False, features=True)


ARCHITECTURE = Architecture(OPTIONS, build, first='stem')


class Block(nn.Module):
    """A basic block or a bottleneck, and its shortcut.

    Attributes:
      features: of the 3 x 3 convolutions; a bottleneck gives four times as many.
      stride: of the first 3 x 3 convolution.
      bottleneck: which of the two kinds.
      norm_momentum: of the running statistics.
      dtype: of the arithmetic.
    """

    features: int
    stride: int
    bottleneck: bool
    norm_momentum: float
    dtype: Any

    @nn.compact
    def __call__(self, x: Array, train: bool) -> Array:
        """Features `[N, ceil(H / stride), ceil(W / stride), D]` of features `[N, H, W, C]`."""
        convolve = functools.partial(Convolution, use_bias=False, dtype=self.dtype)
        normalise = functools.partial(_norm, train, self.norm_momentum, self.dtype)
        last = self.features * (4 if self.bottleneck else 1)
        layers = [(self.features, 3, self.stride), (last, 3, 1)]
        if self.bottleneck:
            layers = [(self.features, 1, 1), (self.features, 3, self.stride), (last, 1, 1)]
        y = x
        for number, (features, size, stride) in enumerate(layers, 1):
            y = convolve(features, size, stride, name=f'conv{number}')(y)
            y = normalise(f'norm{number}')(y)
            if number < len(layers):
                y = jax.nn.relu(y)
        if self.stride != 1 or x.shape[-1] != last:
            x = convolve(last, 1, self.stride, name='shortcut')(x)
            x = normalise('shortcut_norm')(x)
        return jax.nn.relu(x + y)


def _norm(train: bool, momentum: float, dtype: Any, name: str) -> nn.BatchNorm:
    return nn.BatchNorm(
        use_running_average=not train, momentum=momentum, epsilon=1e-5, dtype=dtype, name=name
    )


class ResNet(nn.Module):
    """A residual network: stem, four groups of blocks, a mean over pixels and a dense layer.

    Attributes:
      num_outputs: number of logits.
      depth: one of `BLOCKS`.
      width: features of the first group.
      stem: one of `STEMS`.
      norm_momentum: of the running statistics of batch normalisation.
      dtype: of the arithmetic; parameters and logits are float32.
    """

    num_outputs: int
    depth: int = 18
    width: int = 64
    stem: str = '7x7'
    norm_momentum: float = 0.9
    dtype: Any = jnp.float32

    @nn.compact
    def __call__(self, images: Array, train: bool = False, features_only: bool = False) -> Array:
        """Logits `[N, num_outputs]` of images `[N, H, W, bands]` of any size.

        With `features_only`, what enters the dense layer instead: `[N, 8 width]`, and four times
        as many with bottlenecks.
        """
        blocks, bottleneck = BLOCKS[self.depth]
        bands = images.shape[-1:]
        mean = self.variable('batch_stats', INPUT_MEAN, jnp.zeros, bands).value
        deviation = self.variable('batch_stats', INPUT_DEVIATION, jnp.ones, bands).value
        x = (images - mean) / deviation
        large = self.stem == '7x7'
        x = Convolution(
            self.width, STEMS[self.stem], 2 if large else 1,
            use_bias=False, dtype=self.dtype, name='stem',
        )(x)  # fmt: skip
        x = jax.nn.relu(_norm(train, self.norm_momentum, self.dtype, 'stem_norm')(x))
        if large:
            x = nn.max_pool(x, (3, 3), (2, 2), ((1, 1), (1, 1)))
        for group, count in enumerate(blocks, 1):
            for block in range(1, count + 1):
                x = Block(
                    self.width * 2 ** (group - 1),
                    2 if group > 1 and block == 1 else 1,
                    bottleneck,
                    self.norm_momentum,
                    self.dtype,
                    name=f'group{group}_block{block}',
                )(x, train)
        pooled = x.astype(jnp.float32).mean((1, 2))
        if features_only:
            return pooled
        return nn.Dense(self.num_outputs, name='head')(pooled)
