"""The Wide-ResNet of `eojax.models.wide_resnet` without normalisation, in PyTorch (NCHW).

Modules have the names of eojax's parameters, so that weights go over by name.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import numpy as np
import torch
from ml_collections import ConfigDict
from torch import Tensor, nn
from torch.nn import functional as F

ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    'relu': F.relu,
    'leaky_relu': lambda x: F.leaky_relu(x, 0.2),
    'swish': F.silu,
}


class Block(nn.Module):
    """Pre-activation residual block; the first convolution and the shortcut carry the stride."""

    def __init__(
        self, inputs: int, features: int, stride: int, act: Callable[[Tensor], Tensor]
    ) -> None:
        super().__init__()
        self.act = act
        self.conv1 = nn.Conv2d(inputs, features, 3, stride, padding=1)
        self.conv2 = nn.Conv2d(features, features, 3, padding=1)
        changes = inputs != features or stride != 1
        self.shortcut = nn.Conv2d(inputs, features, 1, stride) if changes else None

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x if self.shortcut is None else self.shortcut(x)
        return shortcut + self.conv2(self.act(self.conv1(self.act(x))))


class WideResNet(nn.Module):
    """A stem of 16 features and three groups of blocks at 16, 32 and 64 x `width`.

    Args:
      num_outputs: number of logits.
      depth, width, activation, density_head: as in eojax.
      bands: of the images.
    """

    def __init__(
        self,
        num_outputs: int,
        depth: int,
        width: int,
        activation: str,
        density_head: bool,
        bands: int,
    ) -> None:
        super().__init__()
        self.act = ACTIVATIONS[activation]
        self.blocks = (depth - 4) // 6
        self.density_head = density_head
        self.stem = nn.Conv2d(bands, 16, 3, padding=1)
        inputs = 16
        for group, base in enumerate((16, 32, 64), 1):
            features = base * width
            for block in range(1, self.blocks + 1):
                stride = 2 if group > 1 and block == 1 else 1
                name = f'group{group}_block{block}'
                self.add_module(name, Block(inputs, features, stride, self.act))
                inputs = features
            if density_head:
                self.add_module(f'density{group}', nn.Linear(features, 1, bias=False))
        self.head = nn.Linear(inputs, num_outputs)

    def forward(self, images: Tensor) -> Tensor:
        """Float32 logits `[N, num_outputs]` of images `[N, bands, H, W]`.

        Convolutions compute in the precision of their weights, or autocast's; what is summed over
        pixels, and the heads, in float32.
        """
        x = self.stem(images.to(self.stem.weight.dtype))
        density: Tensor | float = 0.0
        for group in (1, 2, 3):
            for block in range(1, self.blocks + 1):
                x = getattr(self, f'group{group}_block{block}')(x)
            if self.density_head:
                summed = self.act(x).float().sum((2, 3))
                density = density + self._dense(f'density{group}', summed)
        return self._dense('head', self.act(x).float().mean((2, 3))) + density

    def _dense(self, name: str, features: Tensor) -> Tensor:
        with torch.autocast(features.device.type, enabled=False):
            outputs: Tensor = getattr(self, name)(features)
        return outputs


def from_flax(options: ConfigDict, parameters: Mapping[str, Any]) -> WideResNet:
    """The network of the config group `model` with the weights of eojax's parameters.

    Raises:
      ValueError: as `load_flax_parameters`.
    """
    module = WideResNet(
        parameters['head']['bias'].shape[0],
        options.depth,
        options.width,
        options.activation,
        options.density_head,
        parameters['stem']['kernel'].shape[2],
    )
    load_flax_parameters(module, parameters)
    return module


def load_flax_parameters(module: nn.Module, parameters: Mapping[str, Any]) -> None:
    """Copies eojax's parameters in, kernels HWIO -> OIHW, dense ones transposed.

    Args:
      parameters: nested mappings of numpy arrays, as eojax's models have them.

    Raises:
      ValueError: names are missing or left over, or a shape differs.
    """
    given = dict(torch_names(parameters))
    own = dict(module.named_parameters())
    if given.keys() != own.keys():
        differing = ', '.join(sorted(given.keys() ^ own.keys()))
        raise ValueError(f'parameters of one network alone: {differing}')
    for name, array in given.items():
        if array.shape != tuple(own[name].shape):
            raise ValueError(f'{name} is {tuple(own[name].shape)} here, {array.shape} there')
    with torch.no_grad():
        for name, array in given.items():
            own[name].copy_(torch.from_numpy(array))


def torch_names(parameters: Mapping[str, Any], prefix: str = '') -> Iterator[tuple[str, Any]]:
    """Pairs of PyTorch's name and float32 array, in PyTorch's layout."""
    for name, value in parameters.items():
        if isinstance(value, Mapping):
            yield from torch_names(value, f'{prefix}{name}.')
        elif name == 'kernel':
            array = np.array(value, np.float32)  # a copy: torch wants to own what it reads
            yield f'{prefix}weight', array.T if array.ndim == 2 else array.transpose(3, 2, 0, 1)
        else:
            yield f'{prefix}{name}', np.array(value, np.float32)
