"""The classes of the ISPRS benchmarks of Vaihingen and Potsdam, and the crops that many have.

Original masks hold colours; black is where classes meet, in the eroded ground truth. Crops of 512
px, as mmsegmentation's converters cut them, hold numbers: `img_dir/{train,val}/..._x_y_x2_y2.png`
and the same names in `ann_dir/`. There are two kinds of them, which `data.crop_values` tells apart:
'1-6' has 0 for no class, as those converters write it; '0-5' begins with the impervious surfaces.
Neither can be told from the other where no 6 is, so it has no default: the config must say it.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from eojax.data.reading.image_files import list_files
from eojax.data.sets.pixels.published import hex_colours
from eojax.data.sources.files import SUFFIXES, Layer
from eojax.data.sources.layout import layer
from eojax.data.sources.patterns import Pattern
from eojax.errors import UserError
from eojax.option import Option, one_of

CLASS_NAMES = ('impervious surfaces', 'building', 'low vegetation', 'tree', 'car', 'clutter')
CLASS_COLOURS = hex_colours(CLASS_NAMES, 'ffffff 0000ff 00ffff 00ff00 ffff00 ff0000')
OPTIONS: dict[str, Option] = {
    'layout': Option('tiles', 'how the files are cut', one_of('tiles', 'crops')),
    'crop_values': Option(
        '',
        'values of the masks of crops: 0-5, or 1-6 where 0 is no class',
        one_of('', '0-5', '1-6'),
    ),
    'ignored_colours': Option(
        '', 'further colours of masks that are no class: #rrggbb with a comma between'
    ),
}
ERODED = Option(False, 'whether the eroded ground truth is taken, without borders of classes')
CROP = '{left}_{top}_{right}_{bottom}.png'
LICENCE = 'for research, on request from the ISPRS'
CITATION = (
    'F. Rottensteiner, G. Sohn, J. Jung, M. Gerke, C. Baillard, S. Benitez, U. Breitkopf. The ISPRS'
    ' Benchmark on Urban Object Classification and 3D Building Reconstruction. ISPRS Annals I-3,'
    ' 2012.'
)
HOMEPAGE = 'https://www.isprs.org/education/benchmarks/UrbanSemLab/'


def tile_labels(path: Path, patterns: Sequence[str], ignored: str) -> Layer:
    """The masks of whole tiles: the first of the patterns that any file is like.

    Args:
      path: folder or archive.
      patterns: where the ground truth may lie, the best first.
      ignored: more colours `#rrggbb`, with a comma between them, that stand for no class.

    Raises:
      UserError: none of them is there, or a colour is none.
    """
    values: dict[int | str, int | None] = {'#000000': None}
    for colour in (part.strip() for part in ignored.split(',') if part.strip()):
        if not (len(colour) == 7 and colour[0] == '#' and _is_hexadecimal(colour[1:])):
            raise UserError(f'data.ignored_colours: {colour!r} is no colour #rrggbb')
        values[colour.lower()] = None
    values |= {CLASS_COLOURS[name]: number for number, name in enumerate(CLASS_NAMES)}
    files = list_files(path, SUFFIXES)
    for pattern in patterns:
        # `area1.tif` is meant, and `area1_noBoundary.tif` fits its pattern too.
        tiles = Pattern(pattern).match(files).values()
        if any('_' not in ''.join(fields.values()) for fields in tiles):
            return layer(pattern, values=values, optional=True)
    raise UserError(f'{path}: no ground truth: no file is like {" or like ".join(patterns)}')


def crop_labels(pattern: str, kind: str) -> Layer:
    """The masks of crops.

    Args:
      pattern: of their files.
      kind: `data.crop_values`.

    Raises:
      UserError: the config does not say it.
    """
    if not kind:
        raise UserError(
            "data.layout='crops' needs data.crop_values: '1-6' where 0 is no class (mmsegmentation"
            " writes these), '0-5' where 0 is impervious surfaces"
        )
    first = int(kind[0])
    values: dict[int | str, int | None] = dict.fromkeys(range(first), None)
    values |= {first + number: number for number in range(len(CLASS_NAMES))}
    return layer(pattern, values=values)


def _is_hexadecimal(text: str) -> bool:
    return all(sign in '0123456789abcdefABCDEF' for sign in text)
