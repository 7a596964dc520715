"""ISPRS Vaihingen: 33 aerial tiles of near infrared, red and green, 9 cm, six classes.

Source: F. Rottensteiner et al., "The ISPRS Benchmark on Urban Object Classification and 3D Building
Reconstruction", ISPRS Annals I-3, 2012.

Files: `top/top_mosaic_09cm_areaN.tif`; the ground truth has the same names in
`gts_for_participants/` (16 tiles) or beside the folder `top` (all 33), the eroded one ends in
`_noBoundary.tif` and is taken with `data.eroded=True`. With `data.layout='crops'`: `img_dir` and
`ann_dir` with `areaN_x_y_x2_y2.png` (`eojax.data.sets.pixels.isprs`). 17 tiles are published for
the test, `val` of the crops.

Notes:
  Four of the 16 training tiles are for validation. The thesis of J. Castillo-Navarro does not say
  which: those here, 5, 15, 21 and 30, are the usual ones of the literature around it. Name others
  with `data.validation_groups` (numbers of tiles).
  Whose ground truth ends with the participants' 16 tiles can name some of them in
  `data.test_groups`: the published test tiles then count for nothing, as no pixel of them is known.
"""

from __future__ import annotations

from pathlib import Path

from ml_collections import ConfigDict

from eojax.data.dataset import TEST, TRAIN
from eojax.data.facts import IMAGES, PIXEL_LABELS, Facts, Files, Raster
from eojax.data.sets.pixels import isprs
from eojax.data.sets.pixels.published import Arranged, published_pixels
from eojax.data.shared_options import SHARED
from eojax.data.sources.layout import Layout, layer
from eojax.option import Option

BANDS = ('near infrared', 'red', 'green')
FACTS = Facts(
    name='vaihingen',
    title='ISPRS Vaihingen',
    class_names=isprs.CLASS_NAMES,
    rasters={IMAGES: Raster(BANDS)},
    label='pixel',
    class_colours=isprs.CLASS_COLOURS,
    metres=0.09,
    files=Files(bands=BANDS),
    licence=isprs.LICENCE,
    citation=isprs.CITATION,
    homepage=isprs.HOMEPAGE,
)
TRAINING = (1, 3, 5, 7, 11, 13, 15, 17, 21, 23, 26, 28, 30, 32, 34, 37)
TESTING = (2, 4, 6, 8, 10, 12, 14, 16, 20, 22, 24, 27, 29, 31, 33, 35, 38)
WHERE = f'ask for Vaihingen at {FACTS.homepage}'
OPTIONS: dict[str, Option] = {
    **isprs.OPTIONS,
    'eroded': isprs.ERODED,
    'validation_groups': SHARED['validation_groups'].but('5,15,21,30'),
}
_TILE = 'top_mosaic_09cm_area{group}'
_FOLDERS = ('', 'gts_for_participants/', 'ground_truth/')


def arrange(options: ConfigDict, path: Path) -> Arranged:
    """Facts and layout; see the options in the module's docstring."""
    if options.layout == 'crops':
        name = f'{{part}}/area{{group}}_{isprs.CROP}'
        labels = isprs.crop_labels(f'ann_dir/{name}', options.crop_values)
        layers = {IMAGES: layer(f'img_dir/{name}'), PIXEL_LABELS: labels}
        return FACTS, Layout(layers, {'train': TRAIN, 'val': TEST})
    end = '_noBoundary.tif' if options.eroded else '.tif'
    truth = [f'{folder}{_TILE}{end}' for folder in _FOLDERS]
    labels = isprs.tile_labels(path, truth, options.ignored_colours)
    parts = {str(n): TRAIN for n in TRAINING} | {str(n): TEST for n in TESTING}
    layers = {IMAGES: layer(f'top/{_TILE}.tif'), PIXEL_LABELS: labels}
    return FACTS, Layout(layers, group_parts=parts)


KIND = published_pixels(FACTS, WHERE, arrange, OPTIONS)
