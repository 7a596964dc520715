"""FLAIR: aerial patches of 512 px from all over France, 0.2 m, five bands, thirteen classes.

Source: A. Garioud, S. Peillet, E. Bookjans, S. Giordano, B. Wattrelos, "FLAIR #1: Semantic
Segmentation and Domain Adaptation Dataset", arXiv:2211.12979, 2022.

Files: `flair_aerial_train/<domain>/<zone>/img/IMG_n.tif`, red, green, blue, near infrared and the
height above ground in steps of 0.2 m, uint8; `flair_labels_train/<domain>/<zone>/msk/MSK_n.tif`, 1
to 19. Those of the test lie in `flair_1_aerial_test` and `flair_1_labels_test`, likewise
`flair_2_...`. Domains, a department in a year, are the groups of places.

`data.bands` names the bands of `images`; unless it names `elevation`, that band is a raster of its
own. Classes above 12 are rare and joined as `other`, as the authors do; leave it out of scores with
`data.classes`.

Notes:
  The eight domains that the authors validate on are for validation where they are there; without
  a test folder, test domains are drawn.
"""

from __future__ import annotations

from pathlib import Path

from ml_collections import ConfigDict

from eojax.data.dataset import TEST, TRAIN, VALIDATION
from eojax.data.facts import IMAGES, PIXEL_LABELS, Facts, Files, Raster
from eojax.data.kinds import DatasetKind
from eojax.data.sets.pixels.published import Arranged, hex_colours, published_pixels
from eojax.data.sources.layout import Layout, layer
from eojax.errors import UserError, unknown_name
from eojax.option import Option

CLASS_NAMES = (
    'building',
    'pervious surface',
    'impervious surface',
    'bare soil',
    'water',
    'coniferous',
    'deciduous',
    'brushwood',
    'vineyard',
    'herbaceous vegetation',
    'agricultural land',
    'plowed land',
    'other',
)
BANDS = ('red', 'green', 'blue', 'near infrared', 'elevation')
ELEVATION = 'elevation'
VALIDATION_DOMAINS = ('D004_2021', 'D014_2020', 'D029_2021', 'D031_2019', 'D058_2020', 'D066_2021',
                      'D067_2021', 'D077_2021')  # fmt: skip
FACTS = Facts(
    name='flair',
    title='FLAIR',
    class_names=CLASS_NAMES,
    label='pixel',
    class_colours=hex_colours(
        CLASS_NAMES,
        'db0e9a 938e7b f80c00 a97101 1553ae 194a26 46e483 f3a60d 660082 55ff00 fff30d e4df7c'
        ' 000000',
    ),
    metres=0.2,
    files=Files(size=512),
    licence='Etalab Open Licence 2.0',
    citation=(
        'A. Garioud, S. Peillet, E. Bookjans, S. Giordano, B. Wattrelos. FLAIR #1: Semantic'
        ' Segmentation and Domain Adaptation Dataset. arXiv:2211.12979, 2022.'
    ),
    homepage='https://ignf.github.io/FLAIR/',
)
WHERE = f'get FLAIR from {FACTS.homepage}'
_IMAGES = '{set}_aerial_{part}/{group}/{zone}/img/IMG_{name}.tif'
_MASKS = '{set}_labels_{part}/{group}/{zone}/msk/MSK_{name}.tif'
_MOST = 19
OPTIONS: dict[str, Option] = {
    'bands': Option('red,green,blue', 'bands of the images, in the order wanted'),
}


def chosen_bands(text: str) -> tuple[str, ...]:
    """The bands of `data.bands`.

    Raises:
      UserError: one that there is not, or one twice.
    """
    bands = tuple(band.strip() for band in text.split(','))
    for band in bands:
        if band not in BANDS:
            raise unknown_name('band in data.bands', band, BANDS)
    if len(set(bands)) < len(bands):
        raise UserError(f'data.bands={text!r}: a band is in it twice')
    return bands


def arrange(options: ConfigDict, path: Path) -> Arranged:
    """Facts and layout; see the options in the module's docstring."""
    bands = chosen_bands(options.bands)
    rasters = {IMAGES: Raster(bands)}
    layers = {IMAGES: layer(_IMAGES, bands=[1 + BANDS.index(band) for band in bands])}
    if ELEVATION not in bands:
        rasters[ELEVATION] = Raster((ELEVATION,))
        layers[ELEVATION] = layer(_IMAGES, bands=(1 + BANDS.index(ELEVATION),))
    other = len(CLASS_NAMES)
    values: dict[int | str, int | None] = {n: min(n, other) - 1 for n in range(1, 1 + _MOST)}
    layers[PIXEL_LABELS] = layer(_MASKS, values=values)
    parts = {'train': TRAIN, 'test': TEST}
    validation = dict.fromkeys(VALIDATION_DOMAINS, VALIDATION)
    facts = FACTS._replace(rasters=rasters, files=Files(bands=BANDS, size=512))
    return facts, Layout(layers, parts, group_parts=validation)


_KIND = published_pixels(FACTS, WHERE, arrange, OPTIONS)


def _check(options: ConfigDict) -> None:
    _KIND.check(options)
    chosen_bands(options.bands)


KIND: DatasetKind = _KIND._replace(check=_check)
