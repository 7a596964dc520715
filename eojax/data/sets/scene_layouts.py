"""Scenes in the layouts of published data sets, to be compared with what a run has seen.

What the publishers say of their files needs no evidence then: level and processing of Sentinel-2's
values, which band is which, how large a pixel is. BigEarthNet's patches, OSCD, DFC2017 and Potsdam
are known; products and folders of bands of any other kind say by themselves what they are.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from eojax.data.reading.bands.files import find_scenes, may_hold_bands
from eojax.data.reading.raster import DEFAULT_READING, Reading
from eojax.data.reading.scenes.band_names import kind
from eojax.data.sets import bigearthnet, dfc2017, oscd
from eojax.data.sets.pixels import potsdam
from eojax.errors import UserError

# Of before 2022: nothing was added to their values.
_TOP = Reading(scale='l1c', offset=0.0)
_SURFACE = Reading(scale='l2a', offset=0.0)


class KnownScenes(NamedTuple):
    """Scenes of one path.

    Attributes:
      title: of the data set; empty for scenes of none that is published.
      paths: of the scenes, in their order.
      readings: of each, what is known of its values.
      metres: the side of a pixel, where the files' own word for it is not to be trusted.
    """

    title: str
    paths: tuple[Path, ...]
    readings: tuple[Reading, ...]
    metres: float | None = None


def known_scenes(path: Path, bands: Sequence[str]) -> KnownScenes | None:
    """The scenes at a path, if it is of a published layout, a product, or has folders of bands.

    Args:
      path: of a folder, an archive, or a folder in an archive.
      bands: of the run that is to see them.

    Returns:
      None where none of these is there: a GeoTIFF, and images of other kinds.

    Raises:
      UserError: a folder that cannot be read, or bands that the data set does not have.
    """
    if not may_hold_bands(path):
        return None
    if path.is_dir():
        tiles = potsdam.find_tiles(path)
        if tiles:
            return _potsdam(path, tiles, bands)
    patches = bigearthnet.find_patches(path) if path.exists() else None
    if patches is not None:
        return _patches(patches, bands)
    scenes = find_scenes(path)
    if not scenes:
        return None
    for title, chosen in (
        (oscd.FACTS.title, oscd.scenes_of(scenes) or oscd.scenes_of(scenes, 'native')),
        (dfc2017.FACTS.title, dfc2017.scenes_of(scenes)),
    ):
        if chosen:
            return KnownScenes(title, tuple(chosen), (_TOP,) * len(chosen))
    return KnownScenes('', tuple(scenes), (DEFAULT_READING,) * len(scenes))


def joined(reading: Reading, known: Reading) -> Reading:
    """How a scene is read: as the user says, and where they say nothing as is known.

    Args:
      reading: of the command line.
      known: of the data set.
    """
    said = reading.scale != 'auto' or reading.offset is not None
    return reading._replace(
        bands=reading.bands or known.bands,
        scale=reading.scale if said else known.scale,
        offset=reading.offset if said else known.offset,
    )


def _patches(patches: bigearthnet.Patches, bands: Sequence[str]) -> KnownScenes:
    """Patches of BigEarthNet; of those with one file of all bands, that file."""
    stack = bigearthnet.STACKED
    paths, readings = [], []
    for name in patches.names:
        path = patches.root / name
        if patches.root.is_dir() and (path / stack.file).is_file():
            numbers = _numbers(bigearthnet.FACTS.title, stack.bands, bands)
            paths.append(path / stack.file)
            readings.append(_SURFACE._replace(bands=numbers))
        else:
            paths.append(path)
            readings.append(_SURFACE)
    title = bigearthnet.FACTS.title
    return KnownScenes(title, tuple(paths), tuple(readings), bigearthnet.METRES)


def _potsdam(path: Path, tiles: dict[str, tuple[Path, ...]], bands: Sequence[str]) -> KnownScenes:
    """The tiles of the first folder that has the run's bands."""
    title, metres = potsdam.FACTS.title, potsdam.FACTS.metres
    for name, files in tiles.items():
        held = [kind(band) for band in potsdam.BANDS[name]]
        if all(kind(band) in held for band in bands):
            numbers = _numbers(title, potsdam.BANDS[name], bands)
            return KnownScenes(title, files, (Reading(numbers),) * len(files), metres)
    held_bands = sorted({band for name in tiles for band in potsdam.BANDS[name]})
    raise UserError(
        f'{path}: {title} has {", ".join(held_bands)}; the run was trained on {", ".join(bands)}'
    )


def _numbers(title: str, held: Sequence[str], bands: Sequence[str]) -> str:
    """Which bands of a file are the run's, numbers from 1 with commas between."""
    kinds = [kind(band) for band in held]
    lacking = [band for band in bands if kind(band) not in kinds]
    if lacking:
        raise UserError(f'{title} has no {lacking[0]}: it has {", ".join(held)}')
    return ','.join(str(1 + kinds.index(kind(band))) for band in bands)
