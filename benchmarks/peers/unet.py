"""The U-Net of `eojax.models.unet`, in PyTorch (NCHW)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from ml_collections import ConfigDict
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks.peers.flax_weights import load_flax_parameters
from benchmarks.peers.layers import ACTIVATIONS, has_bias, normalisation

_POOLINGS: dict[str, Callable[[Tensor], Tensor]] = {
    'max': lambda x: F.max_pool2d(x, 2),
    'mean': lambda x: F.avg_pool2d(x, 2),
}


class Convolutions(nn.Module):
    """Two 3 x 3 convolutions, each with its normalisation and activation."""

    def __init__(self, inputs: int, features: int, options: ConfigDict) -> None:
        super().__init__()
        self.act = ACTIVATIONS[options.activation]
        kind, momentum = options.normalization, options.normalization_momentum
        bias = has_bias(kind)
        self.conv1 = nn.Conv2d(inputs, features, 3, padding=1, bias=bias)
        self.norm1 = normalisation(kind, features, momentum)
        self.conv2 = nn.Conv2d(features, features, 3, padding=1, bias=bias)
        self.norm2 = normalisation(kind, features, momentum)

    def forward(self, x: Tensor) -> Tensor:
        """`[N, inputs, h, w]` to `[N, features, h, w]`."""
        x = self.act(self.norm1(self.conv1(x)))
        return self.act(self.norm2(self.conv2(x)))


class Encoder(nn.Module):
    """Maps at `depth + 1` levels, the finest first."""

    def __init__(self, options: ConfigDict, bands: int) -> None:
        super().__init__()
        self.pool, self.depth = _POOLINGS[options.pooling], options.depth
        inputs = bands
        for level in range(options.depth + 1):
            features = 2**level * options.width
            self.add_module(f'level{level}', Convolutions(inputs, features, options))
            inputs = features

    def forward(self, x: Tensor) -> list[Tensor]:
        """The maps of images `[N, bands, h, w]`, h and w multiples of 2^depth."""
        maps: list[Tensor] = []
        for level in range(self.depth + 1):
            x = getattr(self, f'level{level}')(self.pool(x) if level else x)
            maps.append(x)
        return maps


class Decoder(nn.Module):
    """The encoder's maps to one of the images' size with `width` features."""

    def __init__(self, options: ConfigDict) -> None:
        super().__init__()
        self.depth = options.depth
        for level in range(options.depth):
            features = 2**level * options.width
            self.add_module(f'up{level}', nn.ConvTranspose2d(2 * features, features, 2, 2))
            self.add_module(f'level{level}', Convolutions(2 * features, features, options))

    def forward(self, maps: list[Tensor]) -> Tensor:
        """`[N, width, h, w]`."""
        x = maps[-1]
        for level in reversed(range(self.depth)):
            x = torch.cat([maps[level], getattr(self, f'up{level}')(x)], 1)
            x = getattr(self, f'level{level}')(x)
        return x


class UNet(nn.Module):
    """Encoder, decoder and a head of 1 x 1.

    Args:
      options: the config group `model`.
      num_outputs: for each pixel.
      bands: of the images.
    """

    def __init__(self, options: ConfigDict, num_outputs: int, bands: int) -> None:
        super().__init__()
        self.multiple = 2**options.depth
        self.encoder = Encoder(options, bands)
        self.decoder = Decoder(options)
        self.head = nn.Module()
        self.head.conv = nn.Conv2d(options.width, num_outputs, 1)

    def forward(self, images: Tensor) -> Tensor:
        """Float32 logits `[N, num_outputs, h, w]` of images `[N, bands, h, w]`."""
        height, width = images.shape[2:]
        below, right = -height % self.multiple, -width % self.multiple
        x = F.pad(images, (0, right, 0, below), mode='replicate') if below or right else images
        logits: Tensor = self.head.conv(self.decoder(self.encoder(x)))
        return logits[:, :, :height, :width].float()


def from_flax(options: ConfigDict, parameters: Mapping[str, Any]) -> UNet:
    """The network of the config group `model` with the weights of eojax's parameters.

    Statistics of batch normalisation are those before the first step.

    Raises:
      ValueError: as `load_flax_parameters`.
    """
    bands = parameters['encoder']['level0']['conv1']['kernel'].shape[2]
    outputs = parameters['head']['conv']['kernel'].shape[3]
    module = UNet(options, outputs, bands)
    load_flax_parameters(module, parameters)
    return module
