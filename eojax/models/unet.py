"""U-Net (Ronneberger, Fischer and Brox, 2015), for any number of bands and any image size.

With w the width, level l = 0, 1, ..., d of the encoder is two 3 x 3 convolutions to 2^l w features,
on the maxima of 2 x 2 pixels of the level above it. The decoder goes back from level d: a
transposed convolution doubles the sides and halves the features, the encoder's map of that level is
put beside it ("skip connection"), and two convolutions halve the features again. One convolution of
1 x 1 gives the outputs. Width 64 and depth 4 are the original's: 31 million parameters.

One of the two networks of "Semi-supervised Learning for Large-scale Earth Observation Data
Understanding" (Castillo-Navarro, 2022), section 3.2, whose Fig. 3.2 shows encoder and decoder as
what tasks share or do not share: here they are two modules.

Notes:
  The original's convolutions lose a pixel at each edge, and its maps are cropped before they are
  put side by side. These keep the size, as most users have it; images whose sides are no multiple
  of 2^d are padded below and at the right by their edge values, and the outputs cropped.
  The original has no normalisation and drops features out at the bottleneck. The default here is
  batch normalisation and no dropout, as most users have it. With `group` or `none` and a smooth
  activation (`swish`) an image's output depends on that image alone and is smooth but for the
  maxima; `pooling='mean'` makes it smooth everywhere.
"""

from __future__ import annotations

import jax.numpy as jnp
from flax import linen as nn
from jax import Array
from ml_collections import ConfigDict

from eojax.models.model import Architecture, Network, from_linen
from eojax.models.pixel_blocks import (
    POOLINGS,
    STYLE,
    Convolutions,
    Encoded,
    Parts,
    Style,
    UpConvolution,
    cropped,
    padded_to_multiple,
    spatial_means,
    style_of,
)
from eojax.models.pixel_head import Head
from eojax.models.pixel_network import join_rasters
from eojax.option import Option, at_least, name_in

OPTIONS: dict[str, Option] = {
    'width': Option(64, 'features of the finest level', at_least(1), 'features'),
    'depth': Option(4, 'levels below the finest', at_least(1), 'levels'),
    'normalization': STYLE['normalization'],
    'normalization_momentum': STYLE['normalization_momentum'],
    'activation': STYLE['activation'],
    'pooling': Option('max', 'the way from a level to the next coarser one', name_in(POOLINGS)),
    'dtype': STYLE['dtype'],
}


def build(options: ConfigDict, num_outputs: int) -> Network:
    """The network of the config group `model`; its outputs are float32 `[N, h, w, num_outputs]`."""
    module = UNet(num_outputs, options.width, options.depth, options.pooling, style_of(options))
    return from_linen(
        module, per_image=options.normalization != 'batch', features=True, encoder_means=True
    )


ARCHITECTURE = Architecture(OPTIONS, build, per_pixel=True)


def parts(options: ConfigDict) -> Parts:
    """Its encoder and decoder by themselves, for networks with several tasks."""
    width, depth, style = options.width, options.depth, style_of(options)
    return Parts(
        lambda: Encoder(width, depth, options.pooling, style),
        lambda: Decoder(width, style),
        lambda num_outputs: Head(num_outputs, style.dtype),
        2**depth,
    )


class UNet(nn.Module):
    """Encoder, decoder and a head of 1 x 1.

    Attributes:
      num_outputs: for each pixel.
      width: features at the finest level.
      depth: how often the encoder halves the sides.
      pooling: one of `POOLINGS`.
      style: of all layers.
    """

    num_outputs: int
    width: int = 64
    depth: int = 4
    pooling: str = 'max'
    style: Style = Style()

    @nn.compact
    def __call__(
        self,
        *rasters: Array,
        train: bool = False,
        features_only: bool = False,
        encoder_means: bool = False,
    ) -> Array:
        """Outputs `[N, h, w, num_outputs]` of rasters, the first of them `[N, h, w, bands]`.

        With `features_only`, float32 `[N, 2^depth width]` instead: the bottleneck's spatial means.
        With `encoder_means`, float32 `[N, (2^depth - 1) width]`: those of all levels above it, the
        finest first, before they are pooled; 960 of the original's network.
        """
        images = join_rasters(rasters)
        _, height, width, _ = images.shape
        x = padded_to_multiple(images, 2**self.depth)
        encoder = Encoder(self.width, self.depth, self.pooling, self.style, name='encoder')
        encoded = encoder(x, train)
        if features_only:
            return spatial_means(encoded.bottleneck)
        if encoder_means:
            return jnp.concatenate([spatial_means(x) for x in encoded.maps[:-1]], -1)
        y = Decoder(self.width, self.style, name='decoder')(encoded, train)
        outputs = Head(self.num_outputs, self.style.dtype, name='head')(y)
        return cropped(outputs, (height, width))


class Encoder(nn.Module):
    """Images to maps at `depth + 1` levels, of `width`, 2 `width`, 4 `width`, ... features.

    Attributes: as of `UNet`.
    """

    width: int
    depth: int
    pooling: str
    style: Style

    @nn.compact
    def __call__(self, images: Array, train: bool) -> Encoded:
        """Maps of images `[N, h, w, bands]`, h and w multiples of 2^depth."""
        x, maps = images.astype(self.style.dtype), []
        for level in range(self.depth + 1):
            if level:
                x = POOLINGS[self.pooling](x)
            features = 2**level * self.width
            x = Convolutions((features, features), self.style, name=f'level{level}')(x, train)
            maps.append(x)
        return Encoded(tuple(maps))


class Decoder(nn.Module):
    """The encoder's maps to one of the images' size with `width` features.

    Attributes: as of `UNet`.
    """

    width: int
    style: Style

    @nn.compact
    def __call__(self, encoded: Encoded, train: bool) -> Array:
        """`[N, h, w, width]`."""
        x = encoded.bottleneck
        for level in reversed(range(len(encoded.maps) - 1)):
            features = 2**level * self.width
            x = UpConvolution(features, self.style.dtype, name=f'up{level}')(x)
            x = jnp.concatenate([encoded.maps[level], x], -1)  # the skip connection
            x = Convolutions((features, features), self.style, name=f'level{level}')(x, train)
        return x
