"""Scenes as sets of images: cut into patches without overlap, of which some are read.

A patch shows as much ground as a training image does, and is resampled to the run's size. Scenes of
a published data set that show less ground than that (a tile of Potsdam is 300 m wide, an image of
EuroSAT 640 m) are cut into patches of the run's number of pixels, as the papers cut them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import rasterio
from rasterio.errors import RasterioError
from tqdm import tqdm

from eojax.data.columns import spread
from eojax.data.facts import Facts
from eojax.data.reading.image_files import open_image_files
from eojax.data.reading.patches import patch_pixels, patch_places, resample
from eojax.data.reading.raster import DEFAULT_READING, SUFFIXES, Part, Raster, Reading
from eojax.data.sets.scene_layouts import KnownScenes, joined, known_scenes
from eojax.devices import sharding
from eojax.errors import UserError
from eojax.messages import counted, say, say_some


class Scene(NamedTuple):
    """A scene to be cut into patches.

    Attributes:
      path: of the file, product or folder of bands.
      side: of a patch, in the scene's pixels.
      places: int `[num, 2]`, row and column of the upper left corner of each patch that fits.
      reading: how it is read.
    """

    path: Path
    side: int
    places: np.ndarray
    reading: Reading = DEFAULT_READING


class SceneSet(NamedTuple):
    """The scenes of a path.

    Attributes:
      scenes: in their order; of very many, some that are evenly spread.
      text: what they are and how they are read, for people.
    """

    scenes: tuple[Scene, ...]
    text: str


def is_scene(file: Path, size: int) -> bool:
    """Whether a file is a georeferenced TIFF, higher and wider than `size`."""
    try:
        with rasterio.open(file, driver='GTiff') as scene:
            return scene.crs is not None and min(scene.shape) > size
    except (RasterioError, OSError, UnicodeEncodeError):
        return False


def find_scene_set(
    path: Path,
    facts: Facts,
    size: int,
    num: int,
    patch: int | None = None,
    reading: Reading = DEFAULT_READING,
    tiffs: bool = True,
) -> SceneSet | None:
    """The scenes at a path; None where it holds images.

    Args:
      path: a GeoTIFF, a folder of them, a product, folders of bands, or a published layout
        (`eojax.data.sets.scene_layouts`).
      facts: of the run's data set.
      size: of the network's input in pixels.
      num: how many patches are wanted: no more scenes than that are opened.
      patch: side of a patch in a scene's pixels; None for as much ground as a training image shows.
      reading: how scenes are read, as far as the user says it.
      tiffs: whether a folder of nothing but GeoTIFFs may be scenes; else it holds images.

    Raises:
      UserError: a scene that is smaller than a patch, or whose bands or values cannot be told.
    """
    if path.is_file() and path.suffix.lower() in SUFFIXES:
        known: KnownScenes | None = _plain([path])
    else:
        known = known_scenes(path, facts.images.bands)
        known = known or (_tiffs(path, facts, size) if tiffs else None)
    if known is None:
        return None
    scenes: list[Scene] = []
    texts: list[str] = []
    notes: list[str] = []
    chosen = spread(len(known.paths), num).tolist()
    for number in chosen:
        file = known.paths[number]
        how = joined(reading, known.readings[number])
        with open_scene(file, facts, how) as raster:
            notes += raster.notes
            side = patch or patch_pixels(facts, size, known.metres or raster.pixel_metres())
            if known.title and patch is None and min(raster.height, raster.width) < side:
                side = size
            if min(raster.height, raster.width) < side:
                raise UserError(
                    f'{file}: {raster.width}x{raster.height} pixels, smaller than a patch of'
                    f' {side}x{side}; --patch=PIXELS takes smaller ones'
                )
            places = np.array([*patch_places(raster.height, raster.width, side, side)], np.int32)
            scenes.append(Scene(file, side, places, how))
            texts.append(f'patches of {side} px, {raster.scale_text}')
    if sharding.is_main_process():
        say_some(notes)
    total = sum(len(scene.places) for scene in scenes)
    number = f'{len(scenes):,} scenes' if len(scenes) > 1 else 'a scene'
    if len(scenes) < len(known.paths):
        number = f'{len(scenes):,} of {counted(len(known.paths), "scene")}'
    number = f'{known.title}, {number}' if known.title else number
    text = f'{number} of {total:,} patches without overlap: {"; ".join(dict.fromkeys(texts))}'
    return SceneSet(tuple(scenes), text)


def _plain(files: Sequence[Path]) -> KnownScenes:
    """Scenes that say by themselves what they are."""
    return KnownScenes('', tuple(files), (DEFAULT_READING,) * len(files))


def _tiffs(path: Path, facts: Facts, size: int) -> KnownScenes | None:
    """The scenes of a folder of nothing but GeoTIFFs with a place on Earth."""
    if not path.is_dir():
        return None
    with open_image_files(path) as listing:
        files = [path / name for name in listing.files]
    if not files or not all(file.suffix.lower() in SUFFIXES for file in files):
        return None
    own = (facts.files and facts.files.size) or size
    if not all(is_scene(file, own) for file in files):
        return None
    return _plain(files)


def open_scene(path: Path, facts: Facts, reading: Reading) -> Raster:
    """A scene as a run is to see it, to be closed by the caller."""
    images = facts.images
    return Raster(
        path,
        images.bands,
        images.limits,
        reading,
        images.dtype,
        facts.own_units,
        decibels=images.decibels,
        surface=images.surface,
    )


def read_patches(
    scenes: Sequence[Scene], facts: Facts, size: int, num: int, title: str = ''
) -> np.ndarray:
    """At most `num` patches in which every pixel holds data, evenly spread over all scenes.

    No more than these are held in memory. Where one of the first choice has a pixel without data,
    all patches are looked through for those that are whole.

    Args:
      title: of the bar that shows how far it is; no bar where empty.

    Returns:
      `[num, size, size, bands]` in the order of the scenes, row by row.

    Raises:
      UserError: no patch without missing pixels, or a broken file.
    """

    def whole(chosen: np.ndarray, title: str) -> Iterator[tuple[int, np.ndarray]]:
        for i, part in parts_of(scenes, facts, chosen, title):
            if part.valid.all():
                yield i, part.pixels

    def read(chosen: np.ndarray) -> list[np.ndarray]:
        found = whole(chosen, title and f'reading {title}')
        return [resample(pixels[None], size)[0] for _, pixels in found]

    total = sum(len(scene.places) for scene in scenes)
    images = read(spread(total, num))
    if len(images) < min(total, num):
        searched = whole(np.arange(total), title and f'looking for nodata in {title}')
        present = np.array([i for i, _ in searched], np.int64)
        images = read(present[spread(len(present), num)])
    if not images:
        raise UserError(f'{scenes[0].path}: no patch of it has data in all pixels')
    return np.stack(images)


def parts_of(
    scenes: Sequence[Scene], facts: Facts, chosen: np.ndarray, title: str
) -> Iterator[tuple[int, Part]]:
    """The patches of ascending numbers, counted through all scenes, each scene opened once."""
    bar = tqdm(
        total=len(chosen), desc=title, unit='img', leave=False,
        disable=not (title and sharding.is_main_process()),
    )  # fmt: skip
    first = 0
    with bar:
        for scene in scenes:
            here = chosen[(chosen >= first) & (chosen < first + len(scene.places))]
            if len(here):
                with open_scene(scene.path, facts, scene.reading) as raster:
                    for i in here:
                        row, column = scene.places[i - first].tolist()
                        yield int(i), raster.read(row, column, scene.side, scene.side)
                        bar.update()
            first += len(scene.places)


def read_scene_set(path: Path, facts: Facts, size: int, num: int, title: str) -> np.ndarray | None:
    """At most `num` patches of the scenes at a path; None where it holds images.

    Says how they were read.

    Raises:
      UserError: as `find_scene_set` and `read_patches`.
    """
    found = find_scene_set(path, facts, size, num, tiffs=False)
    if found is None:
        return None
    if sharding.is_main_process():
        say(f'{title}: {found.text}')
    return read_patches(found.scenes, facts, size, num, title)
