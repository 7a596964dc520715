"""GeoNRW: 7,782 tiles of North Rhine-Westphalia, aerial, elevation, land cover; radar of some.

Source: G. Baier, A. Deschemps, M. Schmitt, N. Yokoya, "Synthesizing Optical and SAR Imagery From
Land Cover Maps and Auxiliary Raster Data", IEEE Transactions on Geoscience and Remote Sensing 60,
2022, section III-A. Tiles of 1,000 px, 1 m a pixel; 485 of them, the cities Duesseldorf, Herne and
Neuss, are the test. TerraSAR-X spotlight has seen 2,980 tiles, 281 of the test.

Files: `<city>/<east>_<north>_rgb.jp2`, `..._dem.tif` (first return of the laser, metres above the
sea), `..._seg.tif` (0 none, then `CLASS_NAMES` from 1), and of some tiles `..._sar.tif` (amplitude,
linear). Cities are the groups of places.

Rasters: `images`, `elevation`, and with `data.with_sar` the raster `sar`: then the tiles that radar
has seen are the data set, as in the paper.

Notes:
  Radar is read in decibels, 20 log10(x): 0 becomes -1 and 100 becomes +1, the paper's division by
  100 and clipping to [0, 1] brought to the range of the generator's output. An amplitude of 0 gets
  the lower limit.
  The paper leaves elevation in metres. Here 0 to 500 m becomes -1 to +1 by default
  (`data.limits`); the cities lie between 10 and 500 m, and what is beyond is clipped. A step of
  10 m is then 0.04; narrower limits make buildings count for more where a network has no norm.
  No validation tiles are published: by default a tenth of the training tiles is drawn
  (`data.validation_by='place'`).
"""

from __future__ import annotations

from pathlib import Path

from ml_collections import ConfigDict

from eojax.data.dataset import TEST
from eojax.data.facts import AMPLITUDE, IMAGES, PIXEL_LABELS, Facts, Files, Raster
from eojax.data.kinds import DatasetKind
from eojax.data.sets.pixels.patterned import parse_limits
from eojax.data.sets.pixels.published import Arranged, hex_colours, published_pixels, with_limits
from eojax.data.shared_options import SHARED
from eojax.data.sources.layout import Layout, layer
from eojax.option import Option

ELEVATION, SAR = 'elevation', 'sar'
CLASS_NAMES = (
    'forest',
    'water',
    'agricultural',
    'urban',
    'grassland',
    'railway',
    'highway',
    'airport and shipyard',
    'roads',
    'buildings',
)
TEST_CITIES = ('duesseldorf', 'herne', 'neuss')
FACTS = Facts(
    name='geonrw',
    title='GeoNRW',
    class_names=CLASS_NAMES,
    rasters={
        IMAGES: Raster(),
        ELEVATION: Raster(('surface',), 'float32', ((0.0, 500.0),), unit_metres=1.0),
        SAR: Raster(('backscatter_db',), 'float32', ((0.0, 100.0),), decibels=AMPLITUDE),
    },
    label='pixel',
    class_colours=hex_colours(
        CLASS_NAMES,
        '2ca02c 1f77b4 8c564b 7f7f7f bcbd22 ff7f0e 9467bd 17becf d62728 e377c2',
    ),
    metres=1.0,
    files=Files(),
    licence='see IEEE DataPort; imagery and elevation of Geobasis NRW',
    citation=(
        'G. Baier, A. Deschemps, M. Schmitt, N. Yokoya. Synthesizing Optical and SAR Imagery From'
        ' Land Cover Maps and Auxiliary Raster Data. IEEE Transactions on Geoscience and Remote'
        ' Sensing 60, 2022.'
    ),
    homepage='https://ieee-dataport.org/open-access/geonrw',
)
WHERE = f'get GeoNRW from {FACTS.homepage} and name the folder that holds the cities'
OPTIONS: dict[str, Option] = {
    'with_sar': Option(False, 'whether the tiles with radar alone are taken, with their radar'),
    'limits': Option(
        'elevation=0:500;sar=0:100',
        'metres and decibels that become -1 and +1: elevation=low:high;sar=low:high',
    ),
    'validation_by': SHARED['validation_by'].but('place'),
}


def arrange(options: ConfigDict, path: Path) -> Arranged:
    """Facts and layout; see the options in the module's docstring."""
    values: dict[int | str, int | None] = {0: None}
    values |= {number: number - 1 for number in range(1, 1 + len(CLASS_NAMES))}
    layers = {
        IMAGES: layer('{group}/{name}_rgb.jp2'),
        ELEVATION: layer('{group}/{name}_dem.tif', any_type=True),
        SAR: layer('{group}/{name}_sar.tif'),
        PIXEL_LABELS: layer('{group}/{name}_seg.tif', values=values),
    }
    facts = with_limits(FACTS, parse_limits(options.limits, (ELEVATION, SAR)))
    if not options.with_sar:
        facts = facts._replace(rasters={k: r for k, r in facts.rasters.items() if k != SAR})
        del layers[SAR]
    needed = (SAR,) if options.with_sar else ()
    return facts, Layout(layers, group_parts=dict.fromkeys(TEST_CITIES, TEST), needed=needed)


_KIND = published_pixels(FACTS, WHERE, arrange, OPTIONS)


def _check(options: ConfigDict) -> None:
    _KIND.check(options)
    arrange(options, Path())


KIND: DatasetKind = _KIND._replace(check=_check)
