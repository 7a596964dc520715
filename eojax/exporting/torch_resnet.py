"""The ResNet of eojax as a PyTorch module, for weights of `eojax export --format=torch`.

    from eojax.exporting.torch_resnet import load

    network, about = load('resnet_torch.safetensors')
    logits = network(images)  # float32 [N, bands, H, W] from -1 to 1

Tensors have torchvision's names, so that torchvision's own ResNets take them as well, where their
first layer is of 7 x 7, for as many bands, and of 64 features: normalise the images by `mean` and
`deviation` first, which the module here does by itself.

This file needs torch and safetensors alone: it may be copied into another project.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import torch
from safetensors import safe_open
from torch import nn
from torch.nn import functional

_BLOCKS = {
    18: ((2, 2, 2, 2), False),
    34: ((3, 4, 6, 3), False),
    50: ((3, 4, 6, 3), True),
    101: ((3, 4, 23, 3), True),
    152: ((3, 8, 36, 3), True),
}


class Block(nn.Module):
    """A basic block or a bottleneck, whose stride is in its first 3 x 3 convolution."""

    def __init__(self, before: int, features: int, stride: int, bottleneck: bool):
        super().__init__()
        last = features * (4 if bottleneck else 1)
        layers = [(features, 3, stride), (last, 3, 1)]
        if bottleneck:
            layers = [(features, 1, 1), (features, 3, stride), (last, 1, 1)]
        self.layers, inside = len(layers), before
        for number, (after, size, step) in enumerate(layers, 1):
            convolution = nn.Conv2d(inside, after, size, step, size // 2, bias=False)
            self.add_module(f'conv{number}', convolution)
            self.add_module(f'bn{number}', nn.BatchNorm2d(after))
            inside = after
        self.downsample: nn.Module = nn.Identity()
        if before != last or stride != 1:
            self.downsample = nn.Sequential(
                nn.Conv2d(before, last, 1, stride, bias=False), nn.BatchNorm2d(last)
            )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Features `[N, D, H / stride, W / stride]` of features `[N, before, H, W]`."""
        y, named = x, dict(self.named_children())
        for number in range(1, self.layers + 1):
            y = named[f'bn{number}'](named[f'conv{number}'](y))
            if number < self.layers:
                y = functional.relu(y)
        return functional.relu(self.downsample(x) + y)


class ResNet(nn.Module):
    """ResNet-18 to -152; arguments as in the config group `model` of eojax.

    Args:
      mean, deviation: of each band of images from -1 to 1; 0 and 1 where empty.
    """

    def __init__(
        self,
        bands: int,
        num_outputs: int,
        depth: int = 18,
        width: int = 64,
        stem: str = '7x7',
        mean: Sequence[float] = (),
        deviation: Sequence[float] = (),
    ):
        super().__init__()
        counts, bottleneck = _BLOCKS[depth]
        self.large = stem == '7x7'
        size, stride = (7, 2) if self.large else (3, 1)
        self.conv1 = nn.Conv2d(bands, width, size, stride, size // 2, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        before = width
        for group, count in enumerate(counts, 1):
            blocks = []
            for number in range(count):
                features = width * 2 ** (group - 1)
                step = 2 if group > 1 and number == 0 else 1
                blocks.append(Block(before, features, step, bottleneck))
                before = features * (4 if bottleneck else 1)
            self.add_module(f'layer{group}', nn.Sequential(*blocks))
        self.fc = nn.Linear(before, num_outputs)
        for name, values, usual in (('mean', mean, 0.0), ('deviation', deviation, 1.0)):
            each = torch.tensor(list(values) or [usual] * bands, dtype=torch.float32)
            self.register_buffer(name, each[:, None, None], persistent=False)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Logits `[N, num_outputs]` of images `[N, bands, H, W]` of any size."""
        x = self.conv1((images - self.mean) / self.deviation)
        x = functional.relu(self.bn1(x))
        if self.large:
            x = functional.max_pool2d(x, 3, 2, 1)
        layers = dict(self.named_children())
        for group in (1, 2, 3, 4):
            x = layers[f'layer{group}'](x)
        logits: torch.Tensor = self.fc(x.mean((2, 3)))
        return logits


def load(path: str) -> tuple[ResNet, dict[str, Any]]:
    """The network of a file, in evaluation mode, and the rest of what the file says.

    Returns:
      The network, and `classes`, `bands`, `limits` of the values that -1 and 1 stand for,
      `pixels`, height and width of the images of training, and `mean` and `deviation`, which the
      network has already.
    """
    with safe_open(path, framework='pt') as file:
        about = json.loads(file.metadata()['network'])
        weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    arguments = about.pop('arguments')
    network = ResNet(**arguments, mean=about['mean'], deviation=about['deviation'])
    network.load_state_dict(weights)
    return network.eval(), about
