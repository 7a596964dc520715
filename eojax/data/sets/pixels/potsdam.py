"""ISPRS Potsdam: 38 aerial tiles of 6,000 px, 5 cm, red, green, blue and near infrared, 6 classes.

Source: F. Rottensteiner et al., "The ISPRS Benchmark on Urban Object Classification and 3D Building
Reconstruction", ISPRS Annals I-3, 2012.

Files: `4_Ortho_RGBIR/top_potsdam_R_C_RGBIR.tif`, with `data.images='RGB'` the older
`2_Ortho_RGB/top_potsdam_R_C_RGB.tif`, with 'IRRG' `3_Ortho_IRRG/...`. The ground truth,
`top_potsdam_R_C_label.tif`, lies in `5_Labels_all/` (38 tiles), `5_Labels_for_participants/` (24)
or beside these folders; the eroded one ends in `_label_noBoundary.tif` and is taken with
`data.eroded=True`. With `data.layout='crops'`: `img_dir` and `ann_dir` with `R_C_x_y_x2_y2.png`, of
three bands (`eojax.data.sets.pixels.isprs`). 14 tiles are published for the test, `val` of the
crops; tiles are the groups of places, `R_C`.

Notes:
  Validation tiles are not published: a tenth of the training tiles is drawn, or
  `data.validation_groups` names them.
"""

from __future__ import annotations

from pathlib import Path

from ml_collections import ConfigDict

from eojax.data.dataset import TEST, TRAIN
from eojax.data.facts import IMAGES, PIXEL_LABELS, Facts, Files, Raster
from eojax.data.sets.pixels import isprs
from eojax.data.sets.pixels.published import Arranged, published_pixels
from eojax.data.sources.layout import Layout, layer
from eojax.option import Option, name_in

FOLDERS = {'RGBIR': '4_Ortho_RGBIR', 'RGB': '2_Ortho_RGB', 'IRRG': '3_Ortho_IRRG'}
BANDS = {
    'RGBIR': ('red', 'green', 'blue', 'near infrared'),
    'RGB': ('red', 'green', 'blue'),
    'IRRG': ('near infrared', 'red', 'green'),
}
FACTS = Facts(
    name='potsdam',
    title='ISPRS Potsdam',
    class_names=isprs.CLASS_NAMES,
    rasters={IMAGES: Raster(BANDS['RGBIR'])},
    label='pixel',
    class_colours=isprs.CLASS_COLOURS,
    metres=0.05,
    licence=isprs.LICENCE,
    citation=isprs.CITATION,
    homepage=isprs.HOMEPAGE,
)
TESTING = ('2_13', '2_14', '3_13', '3_14', '4_13', '4_14', '4_15', '5_13', '5_14', '5_15', '6_13',
           '6_14', '6_15', '7_13')  # fmt: skip
WHERE = f'ask for Potsdam at {FACTS.homepage}'
OPTIONS: dict[str, Option] = {
    **isprs.OPTIONS,
    'images': Option('RGBIR', 'bands of the images, by the folder that holds them', name_in(BANDS)),
    'eroded': isprs.ERODED,
}
_TILE = 'top_potsdam_{row}_{column}'
_TRUTH = ('5_Labels_all/', '5_Labels_for_participants/', '')
_GROUP = ('row', 'column')


def find_tiles(path: Path) -> dict[str, tuple[Path, ...]]:
    """The images of the tiles in a folder, by the bands that they have (`FOLDERS`); no labels.

    Args:
      path: the folder that holds those of `FOLDERS`, or one of these.
    """
    tiles = {}
    for images, folder in FOLDERS.items():
        place = path if path.name == folder else path / folder
        files = tuple(sorted(place.glob(f'top_potsdam_*_*_{images}.tif')))
        if files:
            tiles[images] = files
    return tiles


def arrange(options: ConfigDict, path: Path) -> Arranged:
    """Facts and layout; see the options in the module's docstring."""
    if options.layout == 'crops':
        name = f'{{part}}/{{row}}_{{column}}_{isprs.CROP}'
        labels = isprs.crop_labels(f'ann_dir/{name}', options.crop_values)
        layers = {IMAGES: layer(f'img_dir/{name}'), PIXEL_LABELS: labels}
        facts = FACTS._replace(rasters={IMAGES: Raster()}, files=Files())
        return facts, Layout(layers, {'train': TRAIN, 'val': TEST}, group_fields=_GROUP)
    end = '_label_noBoundary.tif' if options.eroded else '_label.tif'
    truth = [f'{folder}{_TILE}{end}' for folder in _TRUTH]
    labels = isprs.tile_labels(path, truth, options.ignored_colours)
    bands = BANDS[options.images]
    images = f'{FOLDERS[options.images]}/{_TILE}_{options.images}.tif'
    facts = FACTS._replace(rasters={IMAGES: Raster(bands)}, files=Files(bands=bands))
    layers = {IMAGES: layer(images), PIXEL_LABELS: labels}
    parts = dict.fromkeys(TESTING, TEST)
    return facts, Layout(layers, group_fields=_GROUP, group_parts=parts)


KIND = published_pixels(FACTS, WHERE, arrange, OPTIONS)
