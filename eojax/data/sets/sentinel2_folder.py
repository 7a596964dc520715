"""Your own Sentinel-2 scenes: `.SAFE` products, and folders of bands in files of their own.

`data.root` is a product (`S2B_MSIL2A_....SAFE`, zipped or not), a folder of bands
(`..._B02.tif`, `..._B03.jp2`; 10, 20 and 60 m), or a folder or archive of several of either. Each
scene is cut into squares of 64 pixels (`data.cut`), each a place; places of one tile (`T48QUE`) are
one group, which no split cuts.

Values are reflectance times 10,000. What a product's metadata say was added (1,000 since processing
baseline 04.00) is taken off, and another quantification is brought to 10,000, for each scene by its
own metadata: scenes before and after 2022 mean the same. A folder without metadata says the level
and the baseline by its name, or the options `level` and `offset` say them.

Notes:
  All scenes must be of one level. Those of level 2A stay reflectance at the surface; whatever a run
  that was trained on them reads later is brought to that level (`eojax.data.facts.Raster.surface`).
"""

from __future__ import annotations

import re
from pathlib import Path

from ml_collections import ConfigDict

from eojax.data.dataset import Dataset
from eojax.data.facts import Facts
from eojax.data.kinds import DatasetKind
from eojax.data.reading.bands.files import BandFiles, find_scenes
from eojax.data.reading.sentinel2 import Level, level_by_name, offset_by_tags
from eojax.data.sets.scenes_of_bands import OPTIONS as SHARED
from eojax.data.sets.scenes_of_bands import (
    Scenes,
    band_files_of,
    check_root,
    images_of,
    read_scenes,
)
from eojax.data.sources.scene_bands import Stored
from eojax.errors import UserError
from eojax.home import expanded
from eojax.option import Option, one_of

NAME = 'sentinel2_folder'
FACTS = Facts(
    name=NAME,
    title='Sentinel-2 scenes',
    label='none',
    licence='free and open; contains modified Copernicus Sentinel data',
    homepage='https://dataspace.copernicus.eu/',
)
OPTIONS: dict[str, Option] = {
    **SHARED,
    'level': Option(
        'auto', 'level of scenes that do not say it', one_of('auto', *(one.value for one in Level))
    ),
    'offset': Option(
        'auto',
        'what was added to the values of scenes that do not say it',
        one_of('auto', '0', '1000'),
    ),
}
WHERE = 'name a .SAFE product, a folder of bands, or a folder of such scenes'


def load(root: Path, options: ConfigDict) -> Dataset:
    """The scenes at a path.

    Raises:
      UserError: none, scenes of two levels, or one that does not say its level or what was added.
    """
    scenes = find_scenes(root)
    if not scenes:
        raise UserError(f'{root}: no bands of Sentinel-2 in files of their own in it; {WHERE}')
    names = [scene.relative_to(root).as_posix() for scene in scenes]
    opened = band_files_of(root, names)
    levels = {_level(one, options.level): str(one.path) for one in opened}
    if len(levels) > 1:
        raise UserError(
            f'{root}: {levels[Level.L1C]} is of level 1C and {levels[Level.L2A]} of 2A: put scenes'
            ' of one level in a folder'
        )
    images = images_of(options, surface=Level.L2A in levels)
    tiles = [re.search(r'T\d\d[C-X][A-Z]{2}', one.name) for one in opened]
    found = Scenes(
        names,
        groups=[tile.group() if tile else name for tile, name in zip(tiles, names, strict=True)],
        stored=[_stored(one, images.bands, options.offset) for one in opened],
    )
    return read_scenes(root, FACTS, images, found, options.cut)


def _level(scene: BandFiles, said: str) -> Level:
    level = scene.metadata.level if scene.metadata is not None else None
    level = level or level_by_name(scene.name)
    if level is None and said == 'auto':
        raise UserError(
            f'{scene.path}: nothing says its level: say data.level=l1c (top of the atmosphere) or'
            ' l2a (surface)'
        )
    return level or Level(said)


def _stored(scene: BandFiles, bands: tuple[str, ...], said: str) -> Stored:
    if scene.metadata is not None:
        added = tuple(scene.metadata.added.get(band, 0.0) for band in bands)
        return Stored(added, scene.metadata.quantification)
    by_name = offset_by_tags({}, f'{scene.name}_')
    if by_name is None and said == 'auto':
        raise UserError(
            f'{scene.path}: nothing says what its processing added to all values: say'
            ' data.offset=0, or 1000 for those of baseline 04.00 and later (January 2022)'
        )
    return Stored((float(said) if by_name is None else by_name,) * len(bands))


def _check(options: ConfigDict) -> None:
    check_root(NAME, options, WHERE)
    images_of(options)


def _from_config(options: ConfigDict, progress: bool) -> Dataset:
    return load(expanded(options.root), options)


KIND = DatasetKind(NAME, _check, _from_config, OPTIONS)
