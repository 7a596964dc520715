"""The Wide-ResNet of `eojax.models.wide_resnet`, in PyTorch (NCHW)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from ml_collections import ConfigDict
from torch import Tensor, nn

from benchmarks.peers.flax_weights import load_flax_parameters
from benchmarks.peers.layers import ACTIVATIONS, has_bias, normalisation


class Block(nn.Module):
    """Pre-activation residual block; the first convolution and the shortcut carry the stride."""

    def __init__(self, inputs: int, features: int, stride: int, options: ConfigDict) -> None:
        super().__init__()
        self.act = ACTIVATIONS[options.activation]
        norm, momentum = options.norm, options.norm_momentum
        bias = has_bias(norm)
        self.norm1 = normalisation(norm, inputs, momentum)
        self.conv1 = nn.Conv2d(inputs, features, 3, stride, padding=1, bias=bias)
        self.norm2 = normalisation(norm, features, momentum)
        self.conv2 = nn.Conv2d(features, features, 3, padding=1, bias=bias)
        changes = inputs != features or stride != 1
        self.shortcut = nn.Conv2d(inputs, features, 1, stride, bias=bias) if changes else None

    def forward(self, x: Tensor) -> Tensor:
        y = self.act(self.norm1(x))
        shortcut = x if self.shortcut is None else self.shortcut(x)
        return shortcut + self.conv2(self.act(self.norm2(self.conv1(y))))


class WideResNet(nn.Module):
    """A stem of 16 features and three groups of blocks at 16, 32 and 64 x `width`.

    Args:
      options: the config group `model`, without dropout.
      num_outputs: number of logits.
      bands: of the images.
    """

    def __init__(self, options: ConfigDict, num_outputs: int, bands: int) -> None:
        super().__init__()
        self.act = ACTIVATIONS[options.activation]
        self.blocks = (options.depth - 4) // 6
        self.density_head = options.density_head
        self.stem = nn.Conv2d(bands, 16, 3, padding=1)
        inputs = 16
        for group, base in enumerate((16, 32, 64), 1):
            features = base * options.width
            for block in range(1, self.blocks + 1):
                stride = 2 if group > 1 and block == 1 else 1
                self.add_module(
                    f'group{group}_block{block}', Block(inputs, features, stride, options)
                )
                inputs = features
            if self.density_head:
                self.add_module(f'density{group}', nn.Linear(features, 1, bias=False))
        self.norm = normalisation(options.norm, inputs, options.norm_momentum)
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
        return self._dense('head', self.act(self.norm(x)).float().mean((2, 3))) + density

    def _dense(self, name: str, features: Tensor) -> Tensor:
        with torch.autocast(features.device.type, enabled=False):
            outputs: Tensor = getattr(self, name)(features)
        return outputs


def from_flax(options: ConfigDict, parameters: Mapping[str, Any]) -> WideResNet:
    """The network of the config group `model` with the weights of eojax's parameters.

    Statistics of batch normalisation are those before the first step.

    Raises:
      ValueError: as `load_flax_parameters`.
    """
    module = WideResNet(
        options, parameters['head']['bias'].shape[0], parameters['stem']['kernel'].shape[2]
    )
    load_flax_parameters(module, parameters)
    return module
