"""The classes of MiniFrance and DFC2022: land use of the Urban Atlas 2012, second level.

Files hold 1 to 14; 0 is no information, 15 clouds and shadows: both have no class here. Classes 8
and 9 are absent from these regions.
"""

from __future__ import annotations

from eojax.data.dataset import TEST, TRAIN
from eojax.data.sets.pixels.published import hex_colours
from eojax.data.sources.files import Layer
from eojax.data.sources.layout import layer

CLASS_NAMES = (
    'urban fabric',
    'industrial and transport',
    'mines and construction',
    'artificial vegetated areas',
    'arable land',
    'permanent crops',
    'pastures',
    'mixed cultivation',
    'orchards at urban fringes',
    'forests',
    'herbaceous vegetation',
    'open spaces',
    'wetlands',
    'water',
)
CLASS_COLOURS = hex_colours(
    CLASS_NAMES,
    'db5f57 db9757 dbd057 addb57 75db57 7bc47b 58b158 d4f6d4 b0e2b0 008000 58b0a7 995d13 579bdb'
    ' 0062ff',
)
LABELLED, UNLABELLED = 'labeled_train', 'unlabeled_train'
PARTS = {LABELLED: TRAIN, UNLABELLED: TRAIN, 'val': TEST, 'test': TEST}
IMAGES = '{part}/{group}/BDORTHO/{name}.*'
METRES = 0.5
LICENCE = 'see IEEE DataPort; imagery of IGN, land use of the Copernicus Urban Atlas'


def images() -> Layer:
    """The files of the images."""
    return layer(IMAGES)


def labels(optional: bool) -> Layer:
    """The files of labels, which a place may be without where that is said."""
    values: dict[int | str, int | None] = {0: None, 15: None}
    values |= {number: number - 1 for number in range(1, 1 + len(CLASS_NAMES))}
    return layer('{part}/{group}/UrbanAtlas/{name}_UA2012.*', values=values, optional=optional)
