"""SegNet (Badrinarayanan, Kendall and Cipolla, 2017), for any number of bands and any image size.

The encoder is VGG-16's thirteen convolutions, in five stages that each end by the maxima of 2 x 2
pixels. The decoder mirrors it: each stage first puts its values back to the places where the
encoder's maxima stood, zeros elsewhere ("unpooling"), and convolves. Every convolution is 3 x 3,
with batch normalisation and ReLU. Width 64 and depth 5 are the original's: 29.4 million parameters.

The second network of "Semi-supervised Learning for Large-scale Earth Observation Data
Understanding" (Castillo-Navarro, 2022), section 3.2.

Notes:
  It starts from random values, where the original starts from VGG-16's of ImageNet.
  Images whose sides are no multiple of 2^depth are padded below and at the right by their edge
  values, and the outputs cropped.
"""

from __future__ import annotations

from flax import linen as nn
from jax import Array
from ml_collections import ConfigDict

from eojax.models.model import Architecture, Network, from_linen
from eojax.models.pixel_blocks import (
    STYLE,
    Convolutions,
    Encoded,
    Parts,
    Style,
    cropped,
    max_pooled_with_places,
    padded_to_multiple,
    spatial_means,
    style_of,
    unpooled,
)
from eojax.models.pixel_head import Head
from eojax.models.pixel_network import join_rasters
from eojax.option import Option, at_least, between

# Of each stage: convolutions, and features as multiples of the width.
STAGES = ((2, 1), (2, 2), (3, 4), (3, 8), (3, 8))
OPTIONS: dict[str, Option] = {
    'width': Option(64, 'features of the finest stage', at_least(1), 'features'),
    'depth': Option(
        5, 'stages, each of which halves the map', between(1, len(STAGES), 'must be from'), 'stages'
    ),
    **STYLE,
}


def build(options: ConfigDict, num_outputs: int) -> Network:
    """The network of the config group `model`; its outputs are float32 `[N, h, w, num_outputs]`."""
    module = SegNet(num_outputs, options.width, options.depth, style_of(options))
    return from_linen(module, per_image=options.normalization != 'batch', features=True)


ARCHITECTURE = Architecture(OPTIONS, build, per_pixel=True)


def parts(options: ConfigDict) -> Parts:
    """Its encoder and decoder by themselves, for networks with several tasks."""
    width, depth, style = options.width, options.depth, style_of(options)
    return Parts(
        lambda: Encoder(width, depth, style),
        lambda: Decoder(width, style),
        lambda num_outputs: Head(num_outputs, style.dtype, 3),
        2**depth,
    )


class SegNet(nn.Module):
    """Encoder, decoder and a head of 3 x 3.

    Attributes:
      num_outputs: for each pixel.
      width: features of the first stage.
      depth: how many stages.
      style: of all layers.
    """

    num_outputs: int
    width: int = 64
    depth: int = 5
    style: Style = Style()

    @nn.compact
    def __call__(self, *rasters: Array, train: bool = False, features_only: bool = False) -> Array:
        """Outputs `[N, h, w, num_outputs]` of rasters, the first of them `[N, h, w, bands]`.

        With `features_only`, float32 `[N, D]` instead: the bottleneck's spatial means.
        """
        images = join_rasters(rasters)
        _, height, width, _ = images.shape
        x = padded_to_multiple(images, 2**self.depth)
        encoded = Encoder(self.width, self.depth, self.style, name='encoder')(x, train)
        if features_only:
            return spatial_means(encoded.bottleneck)
        y = Decoder(self.width, self.style, name='decoder')(encoded, train)
        outputs = Head(self.num_outputs, self.style.dtype, 3, name='head')(y)
        return cropped(outputs, (height, width))


class Encoder(nn.Module):
    """Images to the maps of every stage, the last one's maxima, and the places of all maxima.

    Attributes: as of `SegNet`.
    """

    width: int
    depth: int
    style: Style

    @nn.compact
    def __call__(self, images: Array, train: bool) -> Encoded:
        """Of images `[N, h, w, bands]`, h and w multiples of 2^depth."""
        x, maps, maxima = images.astype(self.style.dtype), [], []
        for stage, (convolutions, multiple) in enumerate(STAGES[: self.depth]):
            features = convolutions * (multiple * self.width,)
            x = Convolutions(features, self.style, name=f'stage{stage}')(x, train)
            maps.append(x)
            x, places = max_pooled_with_places(x)
            maxima.append(places)
        return Encoded((*maps, x), tuple(maxima))


class Decoder(nn.Module):
    """The bottleneck to a map of the images' size with `width` features.

    Attributes: as of `SegNet`.
    """

    width: int
    style: Style

    @nn.compact
    def __call__(self, encoded: Encoded, train: bool) -> Array:
        """`[N, h, w, width]`."""
        x = encoded.bottleneck
        for stage in reversed(range(len(encoded.maxima))):
            convolutions, multiple = STAGES[stage]
            # The last one of a stage gives as many features as the stage above has; the last one
            # of all is the head.
            above = STAGES[max(stage - 1, 0)][1]
            features = (*(convolutions - 1) * (multiple * self.width,), above * self.width)
            x = unpooled(x, encoded.maxima[stage])
            features = features if stage else features[1:]
            x = Convolutions(features, self.style, name=f'stage{stage}')(x, train)
        return x
