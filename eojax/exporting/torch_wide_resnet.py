"""The Wide-ResNet of eojax as a PyTorch module, for weights of `eojax export --format=torch`.

    from eojax.exporting.torch_wide_resnet import load

    network, about = load('jem_torch.safetensors')
    logits = network(images)  # float32 [N, bands, H, W] from -1 to 1

This file needs torch and safetensors alone: it may be copied into another project.
"""

from __future__ import annotations

import json
from typing import Any

import torch
from safetensors import safe_open
from torch import nn
from torch.nn import functional

_ACTIVATIONS = {
    'relu': functional.relu,
    'leaky_relu': lambda x: functional.leaky_relu(x, 0.2),
    'leaky_relu_0.1': lambda x: functional.leaky_relu(x, 0.1),
    'swish': functional.silu,
}


class Block(nn.Module):
    """Pre-activation residual block: two 3 x 3 convolutions and a shortcut."""

    def __init__(
        self,
        before: int,
        features: int,
        stride: int,
        norm: str,
        activation: str,
        shortcut: str = 'input',
    ):
        super().__init__()
        # Whether a shortcut that is a convolution is of the input after norm and activation.
        self.activated = shortcut == 'activated' and (before != features or stride != 1)
        bias = norm in ('none', 'group')
        self.act = _ACTIVATIONS[activation]
        self.norm1 = _normalisation(norm, before)
        self.norm2 = _normalisation(norm, features)
        self.conv1 = nn.Conv2d(before, features, 3, stride, 1, bias=bias)
        self.conv2 = nn.Conv2d(features, features, 3, 1, 1, bias=bias)
        self.shortcut: nn.Module = nn.Identity()
        if before != features or stride != 1:
            self.shortcut = nn.Conv2d(before, features, 1, stride, bias=bias)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Features `[N, features, H / stride, W / stride]` of features `[N, before, H, W]`."""
        active = self.act(self.norm1(x))
        y = self.conv2(self.act(self.norm2(self.conv1(active))))
        return self.shortcut(active if self.activated else x) + y


class WideResNet(nn.Module):
    """Wide-ResNet of depth 6 n + 4; arguments as in the config group `model` of eojax."""

    def __init__(
        self,
        bands: int,
        num_outputs: int,
        depth: int = 28,
        width: int = 10,
        norm: str = 'none',
        activation: str = 'leaky_relu',
        density_head: bool = False,
        density_alone: bool = False,
        shortcut: str = 'input',
    ):
        super().__init__()
        self.act = _ACTIVATIONS[activation]
        self.blocks = (depth - 4) // 6
        self.density_alone = density_alone
        self.stem = nn.Conv2d(bands, 16, 3, 1, 1)
        before = 16
        for group, features in enumerate((16, 32, 64), 1):
            for block in range(1, self.blocks + 1):
                stride = 2 if group > 1 and block == 1 else 1
                layer = Block(before, features * width, stride, norm, activation, shortcut)
                self.add_module(f'group{group}_block{block}', layer)
                before = features * width
            if density_head:
                self.add_module(f'density{group}', nn.Linear(before, 1, bias=False))
        self.norm = _normalisation(norm, before)
        self.head = nn.Linear(before, num_outputs)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Logits `[N, num_outputs]` of images `[N, bands, H, W]`, H and W divisible by 4."""
        x = self.stem(images)
        layers = dict(self.named_children())
        density = images.new_zeros((len(images), 1))
        for group in (1, 2, 3):
            for block in range(1, self.blocks + 1):
                x = layers[f'group{group}_block{block}'](x)
            if f'density{group}' in layers:
                density = density + layers[f'density{group}'](self.act(x).sum((2, 3)))
        logits = self.head(self.act(self.norm(x)).mean((2, 3)))
        if self.density_alone:
            logits = functional.log_softmax(logits, 1)
        return logits + density


def load(path: str) -> tuple[WideResNet, dict[str, Any]]:
    """The network of a file, in evaluation mode, and the rest of what the file says.

    Returns:
      The network, and `classes`, `bands`, `limits` of the values that -1 and 1 stand for,
      `pixels`, height and width of the images of training, and `input_noise`: where it is not 0,
      eojax adds normal noise of this standard deviation to the images first.
    """
    with safe_open(path, framework='pt') as file:
        about = json.loads(file.metadata()['network'])
        weights = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    network = WideResNet(**about.pop('arguments'))
    network.load_state_dict(weights)
    return network.eval(), about


def _normalisation(norm: str, channels: int) -> nn.Module:
    if norm == 'batch':
        return nn.BatchNorm2d(channels)
    if norm == 'group':
        groups = max(g for g in (8, 4, 2, 1) if channels % g == 0)
        return nn.GroupNorm(groups, channels, eps=1e-6)
    if norm == 'instance':
        return nn.GroupNorm(channels, channels, eps=1e-6)
    return nn.Identity()
