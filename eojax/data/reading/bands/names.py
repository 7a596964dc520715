"""Files of one band each, by their names: which band, of which scene, at which resolution.

    B02.tif                                   OSCD, imgs_1_rect
    S2A_MSIL2A_..._B8A.tif                    BigEarthNet
    T48QUE_20200223T033741_B04_10m.jp2        a .SAFE product of level 2A
    T48QUE_20200223T033741_B04.jp2            of level 1C

A scene is the files of one folder whose names begin alike. Of a band that is there at several
resolutions (level 2A has B02 at 10, 20 and 60 m) the finest is taken.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from eojax.data.reading.image_files import JPEG_2000_SUFFIXES, TIFF_SUFFIXES
from eojax.data.reading.scenes.evidence import other_sensor
from eojax.data.reading.sentinel2 import WAVELENGTHS
from eojax.errors import UserError

SUFFIXES = (*TIFF_SUFFIXES, *JPEG_2000_SUFFIXES)
# In the order of their wavelengths.
BANDS = tuple(WAVELENGTHS)
_FILE = re.compile(r'(?P<scene>.*?)(?:^|[_\-. ])(?P<band>B(?:0?[1-9]|1[0-2]|8A))(?:_(?P<m>\d\d)m)?')
# Of the names that Landsat's scenes had before 2017 too, LC82190762013244LGN00, and of its part of
# the harmonised scenes, HLS.L30.T48QUE.
_LANDSAT = re.compile(r'L[COTEM]0?\d|HLS\.L30')
# Folders of a product that hold masks and previews, whose files are named after bands too.
_BESIDE = ('QI_DATA', 'AUX_DATA', 'HTML', 'rep_info')
# The folders of a product that lie between its granule and its files.
_INSIDE = re.compile(r'(/IMG_DATA)?(/R[126]0m)?$')


class BandFile(NamedTuple):
    """What the name of a file says.

    Attributes:
      scene: the beginning that all files of a scene share; empty where a name is the band's alone.
      band: as in `BANDS`.
      metres: the side of a pixel; 0 where the name does not say it.
    """

    scene: str
    band: str
    metres: int


def band_file(name: str) -> BandFile | None:
    """What a file's name says; None where it is of no band of Sentinel-2.

    Args:
      name: without its folder.
    """
    stem, _, suffix = name.rpartition('.')
    match = _FILE.fullmatch(stem) if f'.{suffix.lower()}' in SUFFIXES else None
    if match is None:
        return None
    number = match['band'].removeprefix('B')
    band = 'B8A' if number == '8A' else f'B{int(number):02d}'
    return BandFile(match['scene'], band, int(match['m'] or 0))


def scenes_among(files: Iterable[str]) -> dict[tuple[str, str], list[str]]:
    """The files of each scene: of one folder, or granule of a product, and one beginning.

    A single band is no scene.

    Args:
      files: with forward slashes.

    Returns:
      By folder and beginning, in their order.
    """
    scenes: dict[tuple[str, str], list[str]] = {}
    bands: dict[tuple[str, str], set[str]] = {}
    for file in files:
        folder, _, name = file.rpartition('/')
        found = band_file(name)
        if found is None or set(folder.split('/')) & set(_BESIDE):
            continue
        key = (_INSIDE.sub('', f'/{folder}').removeprefix('/'), found.scene)
        scenes.setdefault(key, []).append(file)
        bands.setdefault(key, set()).add(found.band)
    return {key: scenes[key] for key in sorted(scenes) if len(bands[key]) > 1}


def choose_files(title: str, scene: str, files: Iterable[str]) -> Mapping[str, str]:
    """The file of each band, in the order of `BANDS`: of several resolutions the finest.

    Args:
      title: of the scene, for messages.
      scene: the beginning of the files' names.
      files: of one scene.

    Raises:
      UserError: two files of one band and one resolution, or files of another sensor.
    """
    sensor = (_LANDSAT.match(scene) and 'Landsat') or other_sensor(scene.strip('_-. '), {})
    if sensor:
        raise UserError(
            f'{title}: its files ({scene}...) are of {sensor}, whose bands have other numbers than'
            " Sentinel-2's: put them into one GeoTIFF, and say --bands and --scale"
        )
    chosen: dict[str, tuple[int, str]] = {}
    for file in sorted(files):
        found = band_file(file.rpartition('/')[2])
        assert found is not None
        known = chosen.get(found.band)
        if known is not None and known[0] == found.metres:
            raise UserError(
                f'{title}: {known[1]} and {file} are both {found.band}: remove one of them'
            )
        # A name without a resolution is of the band's own.
        if known is None or found.metres < known[0]:
            chosen[found.band] = (found.metres, file)
    return {band: chosen[band][1] for band in BANDS if band in chosen}
