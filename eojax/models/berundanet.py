"""BerundaNet for classification: a Wide-ResNet with a second head that paints the image again.

"Semi-supervised Learning for Large-scale Earth Observation Data Understanding" (Castillo-Navarro,
2022), section 3.2.2: one encoder and two heads, one for each task ("early" splitting there). Here
the encoder is the network that the other methods classify with (`eojax.models.wide_resnet`), its
own head gives the logits, and the second head is a decoder of its last feature map, at a quarter
of the image's side.
"""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
from flax import linen as nn
from jax import Array
from ml_collections import ConfigDict

from eojax.models import wide_resnet
from eojax.models.arithmetic import dtype_of
from eojax.models.convolution import Convolution
from eojax.models.convolutional_autoencoder import doubled
from eojax.models.model import Network, from_linen
from eojax.models.wide_resnet import ACTIVATIONS, Normalisation, WideResNet


def build(options: ConfigDict, num_outputs: int, bands: int, decoder_features: int) -> Network:
    """The network of the config group `model`, which is a Wide-ResNet's, and its decoder.

    Its outputs are logits and reconstructions, float32 `[N, num_outputs]` and `[N, H, W, bands]`;
    its parameters are those of the `encoder`, which are a Wide-ResNet's with its head, and of the
    `decoder`.

    Args:
      bands: of the images.
      decoder_features: of the decoder's hidden layers.
    """
    encoder = wide_resnet.module(options, num_outputs)
    decoder = Decoder(
        bands,
        decoder_features,
        options.norm,
        options.activation,
        options.norm_momentum,
        dtype_of(options.dtype),
    )
    module = BerundaNet(encoder, decoder)
    return from_linen(module, per_image=options.norm != 'batch', features=True)


class BerundaNet(nn.Module):
    """Images to logits and reconstructions, by a shared encoder."""

    encoder: WideResNet
    decoder: nn.Module

    def __call__(
        self, images: Array, train: bool = False, features_only: bool = False
    ) -> tuple[Array, Array] | Array:
        if features_only:
            return self.encoder(images, train, features_only=True)
        logits, features = self.encoder.logits_and_features(images, train)
        return logits, self.decoder(features, train)


class Decoder(nn.Module):
    """Feature maps `[N, H, W, any]` to images, float32 `[N, 4 H, 4 W, bands]`.

    A convolution, and twice nearest neighbours and a convolution; then one to the bands.

    Attributes:
      bands: of the images.
      features: of the hidden layers.
      norm, activation, norm_momentum: as of the encoder.
      dtype: of the arithmetic; parameters and images are float32.
    """

    bands: int
    features: int
    norm: str
    activation: str
    norm_momentum: float
    dtype: Any

    @nn.compact
    def __call__(self, x: Array, train: bool) -> Array:
        act = ACTIVATIONS[self.activation]
        for level in range(3):
            if level:
                x = doubled(x)
            x = Convolution(self.features, 3, dtype=self.dtype, name=f'conv{level + 1}')(x)
            normalise = Normalisation(
                self.norm, self.dtype, self.norm_momentum, name=f'norm{level + 1}'
            )
            x = act(normalise(x, train))
        images = Convolution(self.bands, 3, dtype=self.dtype, name='image')(x)
        return images.astype(jnp.float32)
