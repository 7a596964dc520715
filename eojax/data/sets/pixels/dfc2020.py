"""DFC2020: Sentinel-1, Sentinel-2 and land cover of seven regions of the world, 10 m a pixel.

Source: M. Schmitt, L. Hughes, P. Ghamisi, N. Yokoya, R. Hansch, "2020 IEEE GRSS Data Fusion
Contest", IEEE DataPort, doi:10.21227/rha7-m332, 2019. 6,114 patches of 256 px.

Files: 986 patches `ROIs0000_validation/s2_validation/ROIs0000_validation_s2_validation_p<n>.tif`
and 5,128 `ROIs0000_test/s2_0/ROIs0000_test_s2_0_p<n>.tif`, `s1` and `dfc` by the same names: `s1`
holds VV and VH in dB, `s2` the 13 bands of Sentinel-2, reflectance x 10,000, and `dfc` the classes,
0 none, then `CLASS_NAMES` from 1. Of the ten classes, savanna and snow and ice are on no patch.

Rasters: `images`, the bands of Sentinel-2 that `data.bands` names (by default red, green and blue),
of which 0 to 3,500 becomes -1 to +1, and `sar`, of which -20 to 5 dB does: the limits of the paper
on image synthesis (G. Baier and others, IEEE TGRS 60, 2022, section III-A).

Notes:
  That paper trains on the contest's 5,128 test patches and tests on its 986 validation patches:
  `data.split='paper'`, the default. 'contest' has it as the contest had, the other way round.
  No further part is published for choosing: by default a tenth of the training patches is drawn.
"""

from __future__ import annotations

from pathlib import Path

from ml_collections import ConfigDict

from eojax.data.dataset import TEST, TRAIN
from eojax.data.facts import IMAGES, PIXEL_LABELS, Facts, Files, Raster
from eojax.data.kinds import DatasetKind
from eojax.data.sets.pixels.patterned import parse_limits
from eojax.data.sets.pixels.published import Arranged, hex_colours, published_pixels, with_limits
from eojax.data.sources.layout import Layout, layer
from eojax.errors import UserError, unknown_name
from eojax.option import Option, one_of

SAR = 'sar'
SIZE = 256
CLASS_NAMES = (
    'forest',
    'shrubland',
    'savanna',
    'grassland',
    'wetlands',
    'croplands',
    'urban',
    'snow and ice',
    'barren',
    'water',
)
# In the files' order.
BANDS = (
    'B01', 'B02', 'B03', 'B04', 'B05', 'B06', 'B07', 'B08', 'B8A', 'B09', 'B10', 'B11', 'B12',
)  # fmt: skip
POLARISATIONS = ('vv_db', 'vh_db')
# Folders of the paper's and of the contest's training and test.
SPLITS = {
    'paper': {'test': TRAIN, 'validation': TEST},
    'contest': {'validation': TRAIN, 'test': TEST},
}
FACTS = Facts(
    name='dfc2020',
    title='DFC2020',
    class_names=CLASS_NAMES,
    label='pixel',
    class_colours=hex_colours(
        CLASS_NAMES,
        '009900 c6b044 fbff13 b6ff05 27ff87 c24f44 a5a5a5 69fff8 f9ffa4 1c0dff',
    ),
    metres=10.0,
    files=Files('geotiff', BANDS, SIZE),
    licence='see IEEE DataPort; modified Copernicus Sentinel data',
    citation=(
        'M. Schmitt, L. Hughes, P. Ghamisi, N. Yokoya, R. Hansch. 2020 IEEE GRSS Data Fusion'
        ' Contest. IEEE DataPort, doi:10.21227/rha7-m332, 2019.'
    ),
    homepage='https://ieee-dataport.org/competitions/2020-ieee-grss-data-fusion-contest',
)
WHERE = f'get DFC2020 from {FACTS.homepage} (a free account is needed)'
_IMAGES = 'ROIs0000_{part}/s2_{set}/ROIs0000_{part}_s2_{set}_p{number}.tif'
OPTIONS: dict[str, Option] = {
    'bands': Option('B04,B03,B02', 'bands of Sentinel-2 in the images, in the order wanted'),
    'limits': Option(
        'images=0:3500;sar=-20:5',
        'reflectance x 10,000 and decibels that become -1 and +1: images=low:high;sar=low:high',
    ),
    'split': Option(
        'paper',
        'who trains: the 5,128 test patches as in the paper, or the 986 of validation',
        one_of(*SPLITS),
    ),
}


def chosen_bands(text: str) -> tuple[str, ...]:
    """The bands of `data.bands`.

    Raises:
      UserError: one that there is not, or one twice.
    """
    bands = tuple(band.strip() for band in text.split(','))
    for number, band in enumerate(bands):
        if band not in BANDS:
            raise unknown_name('band in data.bands', band, BANDS)
        if band in bands[:number]:
            raise UserError(f'data.bands: {band} is in it twice')
    return bands


def arrange(options: ConfigDict, path: Path) -> Arranged:
    """Facts and layout; see the options in the module's docstring."""
    bands = chosen_bands(options.bands)
    values: dict[int | str, int | None] = {0: None}
    values |= {number: number - 1 for number in range(1, 1 + len(CLASS_NAMES))}
    layers = {
        IMAGES: layer(_IMAGES, bands=[1 + BANDS.index(band) for band in bands]),
        SAR: layer(_IMAGES.replace('s2', 's1'), bands=(1, 2), any_type=True),
        PIXEL_LABELS: layer(_IMAGES.replace('s2', 'dfc'), bands=(1,), values=values),
    }
    rasters = {
        IMAGES: Raster(bands, 'uint16', ((0.0, 3500.0),) * len(bands)),
        SAR: Raster(POLARISATIONS, 'float32', ((-20.0, 5.0),) * len(POLARISATIONS)),
    }
    facts = FACTS._replace(rasters=rasters)
    facts = with_limits(facts, parse_limits(options.limits, tuple(rasters)))
    return facts, Layout(layers, SPLITS[options.split], size=(SIZE, SIZE))


_KIND = published_pixels(FACTS, WHERE, arrange, OPTIONS)


def _check(options: ConfigDict) -> None:
    _KIND.check(options)
    arrange(options, Path())


KIND: DatasetKind = _KIND._replace(check=_check)
