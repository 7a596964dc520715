"""The convolutional network of `eojax.models.convnet`, in PyTorch (NCHW)."""

from __future__ import annotations

import torch
from ml_collections import ConfigDict
from torch import Tensor, nn

from benchmarks.peers.layers import ACTIVATIONS, has_bias, normalisation

_INPUT_EPSILON = 1e-6


class ConvNet(nn.Module):
    """Blocks of 3 x 3 convolutions, a global mean and a dense layer.

    Args:
      options: the config group `model`.
      num_outputs: of the dense layer.
      bands: of the images.
    """

    def __init__(self, options: ConfigDict, num_outputs: int, bands: int) -> None:
        super().__init__()
        self.act = ACTIVATIONS[options.activation]
        self.normalise_input = options.normalise_input
        self.layers: list[tuple[str, str]] = []
        inputs = bands
        for block, (width, stride) in enumerate(
            zip(options.widths, options.strides, strict=True), 1
        ):
            features = int(width)
            for number in range(1, options.convolutions + 1):
                step = int(stride) if number == 1 else 1
                pair = f'block{block}_conv{number}', f'block{block}_norm{number}'
                last = block == len(options.widths) and number == options.convolutions
                kind = 'none' if last and options.norm == 'instance' else options.norm
                bias = has_bias(kind)
                convolution = nn.Conv2d(inputs, features, 3, step, padding=1, bias=bias)
                self.add_module(pair[0], convolution)
                norm = normalisation(kind, features, options.norm_momentum)
                self.add_module(pair[1], norm)
                self.layers.append(pair)
                inputs = features
        self.head = nn.Linear(inputs, num_outputs)

    def forward(self, images: Tensor) -> Tensor:
        """Float32 outputs `[N, num_outputs]` of images `[N, bands, H, W]`.

        Convolutions compute in autocast's precision, the mean and the dense layer in float32.
        """
        x = normalise_bands(images) if self.normalise_input else images
        for convolution, norm in self.layers:
            x = self.act(getattr(self, norm)(getattr(self, convolution)(x)))
        pooled = x.float().mean((2, 3))
        with torch.autocast(pooled.device.type, enabled=False):
            outputs: Tensor = self.head(pooled)
        return outputs


def normalise_bands(images: Tensor) -> Tensor:
    """Images `[N, bands, H, W]` with mean 0 and variance 1 of each band of each image."""
    variance, mean = torch.var_mean(images, (2, 3), correction=0, keepdim=True)
    return (images - mean) * torch.rsqrt(variance + _INPUT_EPSILON)
