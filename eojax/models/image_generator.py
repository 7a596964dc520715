"""Generators of images from maps of land cover and rasters: one definition, five kinds.

Table I of "Synthesizing Optical and SAR Imagery From Land Cover Maps and Auxiliary Raster Data"
(Baier, Deschemps, Schmitt and Yokoya, 2021). With the width w = 64, four levels and nine blocks:

    encoder     7 x 7 to w, ReLU; four times 3 x 3 at stride 2, normalisation, ReLU: 2 w, ..., 16 w
    body        nine residual blocks of 16 w
    decoder     four times nearest neighbours to twice the sides and a residual block: 8 w, ..., w
    image       3 x 3 to the bands of the image, tanh

The normalisations decide what is seen of the land cover, and what is left out which kind it is:

- `fusion`: the raster goes through the encoder, the land cover through SPADE in every layer;
- `label`: no encoder: the land cover at the coarsest level, 3 x 3 to 16 w, ReLU, two residual
  blocks and the decoder, with SPADE everywhere (Park et al., 2019);
- `raster`: batch normalisation everywhere, no land cover (Isola et al., "Pix2Pix", 2017);
- `concat`: the same with the one-hot land cover beside the raster at the input;
- `merge`: `raster` and `label` side by side, and a third decoder that gets the maps of both at
  every level, with three quarters of all widths.

Notes:
  The paper leaves open what the third decoder of `merge` is: here it begins with the coarsest maps
  of both, has batch normalisation, and gets the maps of both beside its own after each level.
  Its "capacity reduced by 25 %" is that of all widths.
  The authors' code pads by reflection before it normalises, so that border pixels count twice in
  the statistics, and resizes the land cover to the padded map; here the padding comes after the
  ReLU. Its batch normalisation inside SPADE has a scale and a shift, which gamma and beta can do
  as well; here it has none. Biases without effect are left out.
  Images whose sides are no multiple of 2^levels are padded below and at the right by their edge
  values, and the outputs cropped.
"""

from __future__ import annotations

from collections.abc import Sequence

import jax.numpy as jnp
from flax import linen as nn
from jax import Array
from ml_collections import ConfigDict

from eojax.models.arithmetic import DTYPE, dtype_of
from eojax.models.convolution import Convolution
from eojax.models.model import Architecture, Network, from_linen
from eojax.models.pixel_blocks import cropped, padded_to_multiple
from eojax.models.spade import (
    NORMS,
    PADDINGS,
    Normalisation,
    PaddedConvolution,
    ResidualBlock,
    SpadeStyle,
    cover_maps,
)
from eojax.models.wide_resnet import NORM_MOMENTUM
from eojax.option import NOT_NEGATIVE, Option, at_least, name_in

GENERATORS = ('fusion', 'label', 'raster', 'concat', 'merge')
OPTIONS: dict[str, Option] = {
    'width': Option(64, 'features at the full side; doubled at each level', at_least(1)),
    'levels': Option(4, 'how often the encoder halves the sides', at_least(1)),
    'blocks': Option(9, 'residual blocks at the coarsest level', NOT_NEGATIVE),
    'spade_width': Option(
        0, 'features inside a SPADE layer; 0: twice the width', NOT_NEGATIVE, 'features'
    ),
    'normalization': Option('batch', 'the part of a normalisation without parameters',
                            name_in(NORMS)),
    'normalization_momentum': NORM_MOMENTUM,
    'padding': Option('reflect', 'what lies around a map for its convolutions', name_in(PADDINGS)),
    'dtype': DTYPE,
    'remat': Option(
        False, 'whether residual blocks are computed again for the gradient, to save memory'
    ),
}  # fmt: skip
# Of the merging generator's widths.
_MERGE_SHARE = 0.75
# Of the generator of land cover alone, before its decoder.
_LABEL_BLOCKS = 2

ARCHITECTURE = Architecture(OPTIONS, None)


def build(options: ConfigDict, kind: str, num_classes: int, bands: int) -> Network:
    """The generator of the config group `model`.

    Its inputs are labels, int `[N, h, w]`, below 0 where the class is unknown, and a raster
    `[N, h, w, any]`, of which a kind sees what it sees; its output is float32 `[N, h, w, bands]`
    in [-1, 1].

    Args:
      kind: one of `GENERATORS`.
      num_classes: of the labels.
      bands: of the images that it makes.
    """
    share = _MERGE_SHARE if kind == 'merge' else 1.0
    width = max(round(share * options.width), 1)
    hidden = max(round(share * options.spade_width), 1) if options.spade_width else 2 * width
    style = SpadeStyle(
        hidden,
        options.normalization,
        options.normalization_momentum,
        options.padding,
        dtype_of(options.dtype),
    )
    module = ImageGenerator(
        kind, num_classes, bands, width, options.levels, options.blocks, style, options.remat
    )
    return from_linen(module, per_image=options.normalization != 'batch')


class Encoder(nn.Module):
    """A raster to its coarsest map, `[N, h / 2^levels, w / 2^levels, 2^levels width]`.

    Attributes: as of `ImageGenerator`.
    """

    width: int
    levels: int
    style: SpadeStyle

    @nn.compact
    def __call__(self, raster: Array, covers: Sequence[Array | None], train: bool) -> Array:
        """The map of `raster` `[N, h, w, any]`; `covers` as of `cover_maps`, or nothing."""
        style = self.style
        x = PaddedConvolution(self.width, 7, style, name='stem')(raster.astype(style.dtype))
        x = nn.relu(x)
        bias = style.norm == 'none'
        for level in range(1, self.levels + 1):
            x = Convolution(
                2**level * self.width, 3, 2, use_bias=bias, dtype=style.dtype,
                kernel_init=nn.initializers.glorot_normal(), name=f'down{level}',
            )(x)  # fmt: skip
            x = nn.relu(Normalisation(style, name=f'norm{level}')(x, covers[level], train))
        return x


class Body(nn.Module):
    """Residual blocks that keep the size."""

    blocks: int
    style: SpadeStyle
    remat: bool = False

    @nn.compact
    def __call__(self, x: Array, cover: Array | None, train: bool) -> Array:
        """`[N, h, w, C]` to the same."""
        for number in range(1, self.blocks + 1):
            x = _block(self.remat, x.shape[-1], self.style, False, f'block{number}')(
                x, cover, train
            )
        return x


class Decoder(nn.Module):
    """The coarsest map to one of the image's size.

    Attributes: as of `ImageGenerator`.
    """

    width: int
    levels: int
    style: SpadeStyle
    remat: bool = False

    @nn.compact
    def __call__(
        self,
        x: Array,
        covers: Sequence[Array | None],
        train: bool,
        beside: Sequence[Array] = (),
    ) -> list[Array]:
        """The maps of all levels, that of the image's size last, `[N, h, w, width]`.

        Args:
          covers: as of `cover_maps`, or nothing.
          beside: maps to put beside each level's own, in their order; none where empty.
        """
        maps: list[Array] = []
        for level in reversed(range(self.levels)):
            features = 2**level * self.width
            x = _block(self.remat, features, self.style, True, f'up{level}')(
                x, covers[level], train
            )
            if beside:
                x = jnp.concatenate([x, beside[len(maps)]], -1)
            maps.append(x)
        return maps


def _block(remat: bool, features: int, style: SpadeStyle, enlarged: bool, name: str) -> nn.Module:
    made = nn.remat(ResidualBlock, static_argnums=(3,)) if remat else ResidualBlock
    block: nn.Module = made(features, style, enlarged, name=name)
    return block


class ImageGenerator(nn.Module):
    """Land cover and a raster to an image.

    Attributes:
      kind: one of `GENERATORS`.
      num_classes: of the labels.
      bands: of the image.
      width: features at the full side.
      levels: how often the sides are halved.
      blocks: residual blocks at the coarsest level; of `label`, at most two.
      style: of all layers.
      remat: whether residual blocks are computed again for the gradient.
    """

    kind: str
    num_classes: int
    bands: int
    width: int = 64
    levels: int = 4
    blocks: int = 9
    style: SpadeStyle = SpadeStyle()
    remat: bool = False

    @nn.compact
    def __call__(self, labels: Array, raster: Array, train: bool = False) -> Array:
        """Float32 `[N, h, w, bands]` in [-1, 1].

        Args:
          labels: int `[N, h, w]`, below 0 where the class is unknown.
          raster: `[N, h, w, any]` in [-1, 1].
        """
        size, multiple = labels.shape[1:3], 2**self.levels
        labels = padded_to_multiple(labels[..., None], multiple)[..., 0]
        raster = padded_to_multiple(raster, multiple)
        covers = cover_maps(labels, self.num_classes, self.levels, self.style.dtype)
        nothing: list[Array | None] = [None] * len(covers)
        if self.kind == 'fusion':
            x = self._seen(raster, covers, train)[-1]
        elif self.kind == 'label':
            x = self._imagined(covers, train)[-1]
        elif self.kind == 'merge':
            x = self._merged(raster, covers, nothing, train)
        elif self.kind == 'concat':
            both = jnp.concatenate([raster.astype(self.style.dtype), covers[0]], -1)
            x = self._seen(both, nothing, train)[-1]
        else:
            x = self._seen(raster, nothing, train)[-1]
        image = PaddedConvolution(self.bands, 3, self.style, name='image')(x)
        return cropped(jnp.tanh(image.astype(jnp.float32)), (size[0], size[1]))

    def _seen(
        self, raster: Array, covers: Sequence[Array | None], train: bool, name: str = ''
    ) -> list[Array]:
        """Encoder, body and decoder: the maps of a raster, the coarsest first."""
        encoder = Encoder(self.width, self.levels, self.style, name=f'{name}encoder')
        x = encoder(raster, covers, train)
        x = Body(self.blocks, self.style, self.remat, name=f'{name}body')(x, covers[-1], train)
        return [x, *self._decoder(f'{name}decoder')(x, covers, train)]

    def _imagined(self, covers: Sequence[Array], train: bool, name: str = '') -> list[Array]:
        """The maps of land cover alone, the coarsest first."""
        stem = PaddedConvolution(
            2**self.levels * self.width, 3, self.style._replace(padding='zero'), name=f'{name}stem'
        )
        x = nn.relu(stem(covers[-1]))
        blocks = min(self.blocks, _LABEL_BLOCKS)
        x = Body(blocks, self.style, self.remat, name=f'{name}body')(x, covers[-1], train)
        return [x, *self._decoder(f'{name}decoder')(x, covers, train)]

    def _merged(
        self, raster: Array, covers: Sequence[Array], nothing: Sequence[Array | None], train: bool
    ) -> Array:
        """The finest map of a third decoder, which gets the maps of the two others."""
        seen = self._seen(raster, nothing, train, 'raster_')
        imagined = self._imagined(covers, train, 'label_')
        x, *beside = (jnp.concatenate(pair, -1) for pair in zip(seen, imagined, strict=True))
        return self._decoder('decoder')(x, nothing, train, beside)[-1]

    def _decoder(self, name: str) -> Decoder:
        return Decoder(self.width, self.levels, self.style, self.remat, name=name)
