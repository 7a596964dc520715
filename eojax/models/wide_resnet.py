"""Wide residual networks (Zagoruyko and Komodakis, 2016) of any depth, width and band count.

WRN-28-10 without normalisation, with biases and a leaky ReLU, is the network of the joint
energy-based models in "Energy-based Models in Earth Observation" (section IV).

Notes:
  The last feature map is averaged over all its pixels, whatever the image size; the published
  code's fixed 8 x 8 pool leaves a 2 x 2 map at 64 px.
  A group's first convolution carries its stride, as in the wide residual networks' paper; the
  published JEM code has it in the second, which costs twice the arithmetic in that block.
  The shortcut of a block that changes width or size is a 1 x 1 convolution of the block's input. In
  the wide residual networks' own code, and in the PyTorch codes of FixMatch, it is of that input
  after the first normalisation and activation: `shortcut='activated'`.
  Kernels start with He's variance, where the published code has PyTorch's default of a sixth of it;
  without normalisation, each block's second convolution starts with its share of the variance.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax import Array
from ml_collections import ConfigDict

from eojax.errors import UserError
from eojax.models.arithmetic import DTYPE, dtype_of
from eojax.models.convolution import Convolution
from eojax.models.model import Architecture, Network, Sizes, from_linen
from eojax.option import BELOW_ONE, Option, at_least, name_in, one_of, such

ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    'relu': jax.nn.relu,
    'leaky_relu': lambda x: jax.nn.leaky_relu(x, 0.2),
    'leaky_relu_0.1': lambda x: jax.nn.leaky_relu(x, 0.1),  # FixMatch's
    'swish': jax.nn.swish,
}
NORMS = ('none', 'batch', 'group', 'instance')
SHORTCUTS = ('input', 'activated')
# Of other networks too.
NORM_MOMENTUM = Option(0.9, 'decay of the running statistics of batch normalisation', BELOW_ONE)
ACTIVATION = Option('relu', 'the activation', name_in(ACTIVATIONS))
# The layers that take their parameters in the type of the arithmetic: all others are small.
_CONVOLUTIONS = ('stem', 'conv1', 'conv2', 'shortcut')
_SIX_N = such('10, 16, 22, 28, ... (6 n + 4)', lambda depth: depth >= 10 and depth % 6 == 4)
OPTIONS: dict[str, Option] = {
    'depth': Option(28, 'layers: 6 n + 4 of them, with n blocks in each of three groups', _SIX_N),
    'width': Option(10, 'widening factor: features are 16, 32 and 64 times it', at_least(1)),
    'norm': Option('none', 'normalisation between the layers', name_in(NORMS)),
    'activation': ACTIVATION.but('leaky_relu'),
    'shortcut': Option(
        'input',
        'a shortcut that changes width or size: of the input, or of it after norm and activation',
        one_of(*SHORTCUTS),
    ),
    'norm_momentum': NORM_MOMENTUM,
    'dropout': Option(0.0, 'rate of dropout in each block', BELOW_ONE),
    'density_head': Option(
        False, 'whether log p(x) has a head of its own, read from the maps of all groups'
    ),
    'density_alone': Option(False, 'whether log p(x) is that head and nothing else'),
    'dtype': DTYPE,
}


def check(model: ConfigDict, sizes: Sizes) -> None:
    """Refuses options that no Wide-ResNet has together, and images that it cannot take.

    Args:
      model: the config group of that name.

    Raises:
      UserError: one line that names the key.
    """
    if model.density_alone and not model.density_head:
        raise UserError('model.density_alone is True, but model.density_head is not')
    for key, size in sizes.items():
        if size % 4:
            raise UserError(f'{key} must be divisible by 4 for wide_resnet, not {size}')


def build(options: ConfigDict, num_outputs: int) -> Network:
    """The network of the config group `model`."""
    dtype = dtype_of(options.dtype)
    network = from_linen(
        module(options, num_outputs),
        per_image=options.norm != 'batch',
        stem=_stem(dtype, name=None),
        affine_stem=True,
        features=True,
    )
    return network._replace(ready=functools.partial(_ready, dtype=dtype))


def _ready(parameters: Any, dtype: Any) -> Any:
    """Kernels and biases of convolutions in the type of the arithmetic; see `Network`."""

    def cast(path: Any, leaf: Array) -> Array:
        convolves = any(getattr(part, 'key', None) in _CONVOLUTIONS for part in path)
        return leaf.astype(dtype) if convolves else leaf

    return jax.tree_util.tree_map_with_path(cast, parameters)


ARCHITECTURE = Architecture(
    OPTIONS,
    build,
    check,
    heads=('head', 'density1', 'density2', 'density3'),
    first='stem',
    free=('norm_momentum', 'dtype', 'dropout', 'density_head', 'density_alone'),
)


def module(options: ConfigDict, num_outputs: int) -> WideResNet:
    """The same as a linen module, for networks that it is a part of."""
    return WideResNet(
        num_outputs,
        options.depth,
        options.width,
        options.norm,
        options.activation,
        options.norm_momentum,
        options.dropout,
        options.density_head,
        options.density_alone,
        options.shortcut,
        dtype_of(options.dtype),
    )


class Normalisation(nn.Module):
    """Batch, group or instance normalisation, or nothing; statistics in float32."""

    kind: str
    dtype: Any
    momentum: float = 0.9

    @nn.compact
    def __call__(self, x: Array, train: bool) -> Array:
        channels = x.shape[-1]
        if self.kind == 'batch':
            return nn.BatchNorm(
                use_running_average=not train, momentum=self.momentum, dtype=self.dtype
            )(x)
        if self.kind == 'group':
            groups = max(g for g in (8, 4, 2, 1) if channels % g == 0)
            return nn.GroupNorm(num_groups=groups, dtype=self.dtype)(x)
        if self.kind == 'instance':
            return nn.GroupNorm(num_groups=None, group_size=1, dtype=self.dtype)(x)
        return x


class Block(nn.Module):
    """Pre-activation residual block: two 3 x 3 convolutions and a shortcut."""

    features: int
    stride: int
    norm: str
    act: Callable[[Array], Array]
    norm_momentum: float
    dropout: float
    dtype: Any
    first_init: nn.initializers.Initializer
    second_init: nn.initializers.Initializer
    shortcut: str = 'input'

    @nn.compact
    def __call__(self, x: Array, train: bool) -> Array:
        def convolve(
            size: int, stride: int, init: nn.initializers.Initializer, name: str
        ) -> Convolution:
            return Convolution(
                self.features,
                size,
                stride,
                # A bias before a normalisation over the same channel has no effect.
                use_bias=self.norm in ('none', 'group'),
                dtype=self.dtype,
                kernel_init=init,
                name=name,
            )

        def normalise(name: str) -> Normalisation:
            return Normalisation(self.norm, self.dtype, self.norm_momentum, name=name)

        y = self.act(normalise('norm1')(x, train))
        shortcut = x
        shortened = y if self.shortcut == 'activated' else x
        if x.shape[-1] != self.features or self.stride != 1:
            shortcut = convolve(1, self.stride, nn.initializers.lecun_normal(), 'shortcut')(
                shortened
            )
        y = convolve(3, self.stride, self.first_init, 'conv1')(y)
        y = self.act(normalise('norm2')(y, train))
        if self.dropout:
            y = nn.Dropout(self.dropout, deterministic=not train)(y)
        return shortcut + convolve(3, 1, self.second_init, 'conv2')(y)


def _pooled(features: Array) -> Array:
    """The mean over the pixels of a map `[N, H, W, D]`, float32 `[N, D]`."""
    return features.astype(jnp.float32).mean((1, 2))


def _stem(dtype: Any, name: str | None) -> Convolution:
    """The first layer, with a name where it stands inside a module."""
    return Convolution(16, 3, dtype=dtype, kernel_init=nn.initializers.he_normal(), name=name)


class WideResNet(nn.Module):
    """Wide-ResNet: a stem of 16 features and three groups of blocks at 16, 32 and 64 x `width`.

    Attributes:
      num_outputs: number of logits.
      depth: 6 n + 4, for n blocks a group.
      width: the widening factor.
      norm: one of `NORMS`.
      activation: one of `ACTIVATIONS`.
      norm_momentum: of the running statistics of batch normalisation.
      dropout: rate between the convolutions of a block; needs a `dropout` key in training.
      density_head: adds one scalar h(x) to all logits, read from the feature maps of every group
        and summed over their pixels. p(y|x) does not change, log p(x) gains h(x): the density
        sees texture at full resolution, and its scale is free of the classifier's.
      density_alone: log p(x) is h(x) and nothing else: what h(x) is added to is log p(y|x). It is
        flat at first, however sharp the classifier.
      shortcut: one of `SHORTCUTS`.
      dtype: of the arithmetic; parameters and logits are float32.
    """

    num_outputs: int
    depth: int = 28
    width: int = 10
    norm: str = 'none'
    activation: str = 'leaky_relu'
    norm_momentum: float = 0.9
    dropout: float = 0.0
    density_head: bool = False
    density_alone: bool = False
    shortcut: str = 'input'
    dtype: Any = jnp.float32

    def __call__(
        self,
        inputs: Array,
        train: bool = False,
        after_stem: bool = False,
        features_only: bool = False,
    ) -> Array:
        """Logits `[N, num_outputs]` of images `[N, H, W, bands]`, H and W divisible by 4.

        With `after_stem`, of the stem's outputs `[N, H, W, 16]` instead. With `features_only`, what
        enters the head instead of logits, `[N, 64 width]`.
        """
        logits, features = self.logits_and_features(inputs, train, after_stem)
        return _pooled(features) if features_only else logits

    @nn.compact
    def logits_and_features(
        self, inputs: Array, train: bool = False, after_stem: bool = False
    ) -> tuple[Array, Array]:
        """The logits, and the map `[N, H / 4, W / 4, 64 width]` whose mean they are read from."""
        act = ACTIVATIONS[self.activation]
        blocks = (self.depth - 4) // 6
        # He's variance, and where nothing normalises, each branch's share of the sum's variance.
        first = nn.initializers.he_normal()
        branch = 2.0 / (3 * blocks) if self.norm == 'none' else 2.0
        second = nn.initializers.variance_scaling(branch, 'fan_in', 'normal')
        x = inputs if after_stem else _stem(self.dtype, name='stem')(inputs)
        density = jnp.zeros((inputs.shape[0], 1), jnp.float32)
        for group, features in enumerate((16, 32, 64)):
            for block in range(blocks):
                x = Block(
                    features * self.width,
                    2 if group > 0 and block == 0 else 1,
                    self.norm,
                    act,
                    self.norm_momentum,
                    self.dropout,
                    self.dtype,
                    first,
                    second,
                    self.shortcut,
                    name=f'group{group + 1}_block{block + 1}',
                )(x, train)
            if self.density_head:
                density = density + self._density(act(x), group)
        x = act(Normalisation(self.norm, self.dtype, self.norm_momentum, name='norm')(x, train))
        logits = nn.Dense(self.num_outputs, name='head')(_pooled(x))
        if self.density_alone:
            logits = jax.nn.log_softmax(logits)
        return logits + density, x

    def _density(self, features: Array, group: int) -> Array:
        summed = features.astype(jnp.float32).sum((1, 2))
        zeros = nn.initializers.zeros_init()
        return nn.Dense(1, use_bias=False, kernel_init=zeros, name=f'density{group + 1}')(summed)
