"""The generator `fusion` and the patch discriminator of eojax, in PyTorch (NCHW)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from ml_collections import ConfigDict
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks.peers.flax_weights import load_flax_parameters
from eojax.methods.adversarial.options import SPECTRAL_NORMS
from eojax.models import spectral_norm

_STRIDES = (2, 2, 2, 1)


class Convolution(nn.Conv2d):
    """A convolution whose kernel is divided by its largest singular value, where vectors are set.

    Attributes:
      left, right: u and v of `eojax.models.spectral_norm`; of no elements where it is not divided.
    """

    left: Tensor
    right: Tensor

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.register_buffer('left', torch.empty(0))
        self.register_buffer('right', torch.empty(0))

    def forward(self, x: Tensor) -> Tensor:
        """As of `torch.nn.Conv2d`."""
        weight = self.weight
        if len(self.left):
            # Vectors are constants to the gradient; clones, as the next turn writes into them.
            sigma = self.left.clone() @ (weight.flatten(1) @ self.right.clone())
            weight = weight / sigma
        return self._conv_forward(x, weight, self.bias)

    @torch.no_grad()
    def turn(self) -> None:
        """One power iteration."""
        if len(self.left):
            matrix = self.weight.flatten(1)
            self.right.copy_(F.normalize(self.left @ matrix, dim=0))
            self.left.copy_(F.normalize(matrix @ self.right, dim=0))


def turn(network: nn.Module) -> None:
    """One power iteration of every kernel of a network that has vectors."""
    for module in network.modules():
        if isinstance(module, Convolution):
            module.turn()


class PaddedConvolution(nn.Module):
    """A convolution that keeps the size, on images padded by reflection."""

    def __init__(self, inputs: int, features: int, size: int, bias: bool = True) -> None:
        super().__init__()
        self.half = size // 2
        self.convolution = Convolution(inputs, features, size, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        """`[N, inputs, h, w]` to `[N, features, h, w]`."""
        padded = F.pad(x, (self.half,) * 4, mode='reflect') if self.half else x
        result: Tensor = self.convolution(padded)
        return result


class Spade(nn.Module):
    """Batch normalisation, and a scale and a shift for each pixel from the map of classes."""

    def __init__(self, channels: int, classes: int, hidden: int, momentum: float) -> None:
        super().__init__()
        self.statistics = nn.BatchNorm2d(channels, momentum=1.0 - momentum, affine=False)
        self.hidden = Convolution(classes, hidden, 3, padding=1)
        self.modulation = Convolution(hidden, 2 * channels, 3, padding=1)

    def forward(self, x: Tensor, cover: Tensor) -> Tensor:
        """Of `x` `[N, channels, h, w]`; cover may have twice the sides, as the result then has."""
        gamma, beta = self.modulation(F.relu(self.hidden(cover))).chunk(2, 1)
        values = self.statistics(x)
        if cover.shape[-1] != x.shape[-1]:
            values = F.interpolate(values, scale_factor=2.0, mode='nearest')
        return torch.addcmul(values + beta, values, gamma)


class ResidualBlock(nn.Module):
    """Twice SPADE, ReLU and a convolution, beside a shortcut; enlarged first where asked."""

    def __init__(self, inputs: int, features: int, spade: Callable[[int], Spade],
                 enlarged: bool = False) -> None:  # fmt: skip
        super().__init__()
        self.enlarged = enlarged
        if inputs != features:
            self.shortcut = PaddedConvolution(inputs, features, 1, bias=False)
        self.norm1, self.norm2 = spade(inputs), spade(features)
        self.conv1 = PaddedConvolution(inputs, features, 3, bias=False)
        self.conv2 = PaddedConvolution(features, features, 3)

    def forward(self, x: Tensor, cover: Tensor) -> Tensor:
        """`[N, inputs, h, w]` to `[N, features, h, w]`, or to twice the sides."""
        shortcut = self.shortcut(x) if hasattr(self, 'shortcut') else x
        if self.enlarged:
            shortcut = F.interpolate(shortcut, scale_factor=2.0, mode='nearest')
        y = self.conv1(F.relu(self.norm1(x, cover)))
        result: Tensor = shortcut + self.conv2(F.relu(self.norm2(y, cover)))
        return result


class Generator(nn.Module):
    """The encoder-decoder of Table I with SPADE in every layer."""

    def __init__(self, options: ConfigDict, classes: int, raster_bands: int, bands: int) -> None:
        super().__init__()
        width, levels = options.width, options.levels
        self.classes, self.levels = classes, levels
        hidden = options.spade_width or 2 * width

        def spade(channels: int) -> Spade:
            return Spade(channels, classes, hidden, options.normalization_momentum)

        self.encoder = nn.Module()
        self.encoder.stem = PaddedConvolution(raster_bands, width, 7)
        for level in range(1, levels + 1):
            features = 2**level * width
            down = Convolution(features // 2, features, 3, 2, padding=1, bias=False)
            self.encoder.add_module(f'down{level}', down)
            self.encoder.add_module(f'norm{level}', spade(features))
        self.body = nn.Module()
        coarsest = 2**levels * width
        self.numbers = range(1, options.blocks + 1)
        for number in self.numbers:
            self.body.add_module(f'block{number}', ResidualBlock(coarsest, coarsest, spade))
        self.decoder = nn.Module()
        for level in range(levels):
            features = 2**level * width
            block = ResidualBlock(2 * features, features, spade, enlarged=True)
            self.decoder.add_module(f'up{level}', block)
        self.image = PaddedConvolution(width, bands, 3)

    def forward(self, labels: Tensor, raster: Tensor) -> Tensor:
        """Images `[N, bands, h, w]` in [-1, 1] of classes int64 `[N, h, w]` and a raster."""
        covers = [one_hot(labels[:, :: 2**n, :: 2**n], self.classes, raster)
                  for n in range(self.levels + 1)]  # fmt: skip
        x = F.relu(self.encoder.stem(raster))
        for level in range(1, self.levels + 1):
            x = getattr(self.encoder, f'down{level}')(x)
            x = F.relu(getattr(self.encoder, f'norm{level}')(x, covers[level]))
        for number in self.numbers:
            x = getattr(self.body, f'block{number}')(x, covers[-1])
        for level in reversed(range(self.levels)):
            x = getattr(self.decoder, f'up{level}')(x, covers[level])
        return torch.tanh(self.image(x).float())


class Patches(nn.Module):
    """A discriminator at one scale."""

    def __init__(self, inputs: int, width: int) -> None:
        super().__init__()
        for number, stride in enumerate(_STRIDES, 1):
            features = 2 ** (number - 1) * width
            layer = Convolution(inputs, features, 4, stride, padding=2, bias=number == 1)
            self.add_module(f'layer{number}', layer)
            inputs = features
        self.layer5 = Convolution(inputs, 1, 4, padding=2)

    def forward(self, x: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Scores `[N, 1, h, w]` and the features of the layers before."""
        features = []
        for number in range(1, 5):
            x = getattr(self, f'layer{number}')(x)
            x = F.leaky_relu(x if number == 1 else F.instance_norm(x), 0.2)
            features.append(x)
        return self.layer5(x).float(), features


class Discriminator(nn.Module):
    """Patches at several scales, conditioned on land cover and raster."""

    def __init__(self, inputs: int, width: int, scales: int) -> None:
        super().__init__()
        self.scales = range(1, scales + 1)
        for scale in self.scales:
            self.add_module(f'scale{scale}', Patches(inputs, width))

    def forward(self, images: Tensor, condition: Tensor) -> list[tuple[Tensor, list[Tensor]]]:
        """Scores and features of each scale, the finest first."""
        x, judged = torch.cat([images, condition], 1), []
        for scale in self.scales:
            if scale > 1:
                right, below = x.shape[3] % 2, x.shape[2] % 2
                x = F.pad(x, (0, right, 0, below), mode='replicate') if right or below else x
                x = F.avg_pool2d(x, 2)
            judged.append(getattr(self, f'scale{scale}')(x))
        return judged


def one_hot(labels: Tensor, classes: int, like: Tensor) -> Tensor:
    """`[N, classes, h, w]`; all zeros where a class is none of them."""
    numbers = torch.arange(classes, device=labels.device)[None, :, None, None]
    return (labels[:, None] == numbers).to(like.dtype)


Judged = Sequence[tuple[Tensor, list[Tensor]]]


def generator_loss(fake: Judged, real: Judged, weight: float) -> Tensor:
    """-E[D(G)] and feature matching, the means over scales."""
    realism = torch.stack([-scores.mean() for scores, _ in fake]).mean()
    scales = [
        torch.stack(
            [F.l1_loss(one.float(), other.float()) for one, other in zip(f, r, strict=True)]
        )
        for (_, f), (_, r) in zip(fake, real, strict=True)
    ]
    return realism + weight * torch.stack([scale.sum() for scale in scales]).mean()


def hinge_loss(real: Sequence[Tensor], fake: Sequence[Tensor]) -> Tensor:
    """Of the scores of each scale."""
    of_real = torch.stack([F.relu(1.0 - scores).mean() for scores in real]).mean()
    return of_real + torch.stack([F.relu(1.0 + scores).mean() for scores in fake]).mean()


def split(judged: Judged, num: int) -> tuple[Judged, Judged]:
    """Of a joined batch, the first `num` images and the others."""
    parts = (slice(None, num), slice(num, None))
    first, second = (
        [(scores[part], [x[part] for x in features]) for scores, features in judged]
        for part in parts
    )
    return first, second


def from_flax(config: ConfigDict, players: Mapping[str, Any]) -> tuple[Generator, Discriminator]:
    """Both networks with eojax's parameters and vectors.

    Args:
      players: by `generator` and `discriminator`, each with `parameters` and `spectra`.
    """
    made, judge = (players[name]['parameters'] for name in ('generator', 'discriminator'))
    raster_bands = made['encoder']['stem']['convolution']['kernel'].shape[2]
    classes = made['encoder']['norm1']['hidden']['kernel'].shape[2]
    bands = made['image']['convolution']['kernel'].shape[3]
    generator = Generator(config.model, classes, raster_bands, bands)
    inputs = judge['scale1']['layer1']['kernel'].shape[2]
    options = config.discriminator
    discriminator = Discriminator(inputs, options.width, options.scales)
    chosen = spectral_norm.named(SPECTRAL_NORMS[config.method.spectral_norm])
    for name, network in (('generator', generator), ('discriminator', discriminator)):
        load_flax_parameters(network, players[name]['parameters'])
        for place, module in network.named_modules():
            path = place.replace('.', '/')
            if isinstance(module, Convolution) and chosen(f'{name}/{path}/kernel'):
                _set_vectors(module, _at(players[name]['spectra'], place.split('.')))
    return generator, discriminator


def _at(tree: Mapping[str, Any], place: Sequence[str]) -> Any:
    for name in place:
        tree = tree[name]
    return tree['kernel']


def _set_vectors(module: Convolution, vectors: Any) -> None:
    side = module.kernel_size[0]
    inputs = np.array(vectors.inputs, np.float32).reshape(side, side, -1).transpose(2, 0, 1)
    module.right = torch.from_numpy(inputs.reshape(-1).copy())
    module.left = torch.from_numpy(np.array(vectors.outputs, np.float32))
