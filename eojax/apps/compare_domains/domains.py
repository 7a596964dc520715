"""Sets of images that a trained network is asked about: its test split, other archives, scenes.

What a path holds is told by what lies there:

- a `.tif` or `.tiff` file: a scene, cut into patches without overlap;
- a folder that holds nothing but GeoTIFFs with a coordinate system, all of them higher and wider
  than the images of the run's data set (64 px for EuroSAT): scenes, likewise. EuroSAT's own
  GeoTIFFs are no scenes then, and neither are TIFFs without georeference, such as UC Merced's;
- any other folder, or a zip archive: images of the format and the bands of the run's data set, at
  any depth, resampled to the run's size whatever their own is
  (`eojax.evaluation.outliers.read_images`).
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import rasterio
from rasterio.errors import RasterioError
from tqdm import tqdm

from eojax.data.reading.file_formats import format_of
from eojax.data.reading.image_files import no_images, open_image_files
from eojax.data.reading.patches import patch_pixels, patch_places, resample
from eojax.data.reading.raster import DEFAULT_READING, SUFFIXES, Part, Raster, Reading
from eojax.devices import sharding
from eojax.errors import UserError
from eojax.evaluation.outliers import TAKEN, read_images, spread
from eojax.home import expanded
from eojax.messages import counted, say_some
from eojax.metrics.out_of_distribution import constant_images, uniform_noise
from eojax.runs.run import Run

# Of all domains that are read ahead.
KEPT_BYTES = 2**30


class Domain(NamedTuple):
    """A set of images, not read yet.

    Attributes:
      name: of the set.
      text: what it is and how it is read, for people.
      read: `() -> [num, size, size, bands]` at the run's size: uint8, or in the units of the run's
        data set.
    """

    name: str
    text: str
    read: Callable[[], np.ndarray]


class Scene(NamedTuple):
    """A GeoTIFF to be cut into patches.

    Attributes:
      path: of the file.
      side: of a patch, in the scene's pixels.
      places: int `[num, 2]`, row and column of the upper left corner of each patch that fits.
    """

    path: Path
    side: int
    places: np.ndarray


def parse_domains(texts: Sequence[str]) -> dict[str, Path]:
    """The paths of `--domain=NAME=PATH`, by name.

    Raises:
      UserError: not `NAME=PATH`, a name twice or already taken, or no such path.
    """
    paths: dict[str, Path] = {}
    for text in texts:
        name, equals, path = text.partition('=')
        if not equals or not path or not re.fullmatch(r'[A-Za-z0-9_-]+', name):
            raise UserError(
                f'--domain={text}: expected NAME=PATH, the name of letters, digits, - and _'
            )
        if name in paths or name in TAKEN:
            reason = 'given twice' if name in paths else 'taken'
            raise UserError(f'--domain={text}: the name {name!r} is {reason}; choose another')
        paths[name] = expanded(path)
        if not paths[name].exists():
            raise UserError(f'--domain={text}: no such file or folder: {path}')
    return paths


def own_domains(run: Run, num: int) -> list[Domain]:
    """Uniform noise and constant images, `num` of each."""
    size, bands = run.task.image_shape[0], len(run.images.bands)
    return [
        Domain(
            'uniform_noise',
            'independent uniform values in every pixel and band',
            lambda: uniform_noise(num, size, bands),
        ),
        Domain(
            'constant',
            'images of one colour each, drawn uniformly',
            lambda: constant_images(num, size, bands),
        ),
    ]


def read_ahead(domains: Sequence[Domain], limit: int = KEPT_BYTES) -> list[Domain]:
    """The domains, each read once, so that a broken one shows before the first is scored.

    Args:
      limit: bytes of images that are kept; those of the others are read again.

    Raises:
      UserError: see `find_domain`.
    """
    ready = []
    for domain in domains:
        images = domain.read()
        if images.nbytes > limit:
            ready.append(domain)
            continue
        limit -= images.nbytes
        ready.append(domain._replace(read=functools.partial(_given, images)))
    return ready


def _given(images: np.ndarray) -> np.ndarray:
    return images


def find_domain(
    name: str,
    path: Path,
    run: Run,
    num: int,
    patch: int | None = None,
    reading: Reading = DEFAULT_READING,
) -> Domain:
    """The images at a path: a set of at most `num`, evenly spread.

    Args:
      path: see the module.
      patch: side of a patch in a scene's pixels; None for as much ground as a training image shows.
      reading: how scenes are read.

    Raises:
      UserError: nothing to read there, a scene that is smaller than a patch, or one whose bands or
        values cannot be told. `read` raises it for broken files, and where nodata leaves no patch.
    """
    scenes = _scene_files(path, run)
    if scenes:
        return _scenes_domain(name, scenes, run, num, patch, reading)
    with open_image_files(path) as listing:
        total = len(listing.files)
    if not total:
        raise no_images(listing)
    size, file_format = run.task.image_shape[0], format_of(run.facts.files)

    def read() -> np.ndarray:
        progress = sharding.is_main_process()
        return read_images(path, num, size, run.images.bands, progress, file_format)

    return Domain(
        name, f'{min(num, total):,} of {counted(total, "image")}, resampled to {size} px', read
    )


def _scene_files(path: Path, run: Run) -> list[Path]:
    """The scenes at a path; none where it holds images."""
    if not path.is_dir():
        return [path] if path.suffix.lower() in SUFFIXES else []
    with open_image_files(path) as listing:
        files = [path / name for name in listing.files]
    if not all(file.suffix.lower() in SUFFIXES for file in files):
        return []
    known = run.facts.files
    own = (known and known.size) or run.task.image_shape[0]
    return files if all(is_scene(file, own) for file in files) else []


def is_scene(file: Path, size: int) -> bool:
    """Whether a file is a georeferenced TIFF, higher and wider than `size`."""
    try:
        with rasterio.open(file, driver='GTiff') as scene:
            return scene.crs is not None and min(scene.shape) > size
    except (RasterioError, OSError, UnicodeEncodeError):
        return False


def _scenes_domain(
    name: str, files: list[Path], run: Run, num: int, patch: int | None, reading: Reading
) -> Domain:
    size = run.task.image_shape[0]
    scenes, texts = [], []
    notes: list[str] = []
    for file in files:
        with _open(file, run, reading) as raster:
            notes += raster.notes
            side = patch or patch_pixels(run.facts, size, raster.pixel_metres())
            if min(raster.height, raster.width) < side:
                raise UserError(
                    f'{file}: {raster.width}x{raster.height} pixels, smaller than a patch of'
                    f' {side}x{side}; --patch=PIXELS takes smaller ones'
                )
            places = np.array([*patch_places(raster.height, raster.width, side, side)], np.int32)
            scenes.append(Scene(file, side, places))
            texts.append(f'patches of {side} px, {raster.scale_text}')
    if sharding.is_main_process():
        say_some(notes)
    total = sum(len(scene.places) for scene in scenes)
    number = f'{len(files):,} scenes' if len(files) > 1 else 'a scene'
    text = f'{number} of {total:,} patches without overlap: {"; ".join(dict.fromkeys(texts))}'
    return Domain(name, text, lambda: read_patches(scenes, run, num, reading, name))


def _open(path: Path, run: Run, reading: Reading) -> Raster:
    images = run.images
    return Raster(
        path,
        images.bands,
        images.limits,
        reading,
        images.dtype,
        run.facts.own_units,
        decibels=images.decibels,
        surface=images.surface,
    )


def read_patches(
    scenes: Sequence[Scene], run: Run, num: int, reading: Reading, title: str = ''
) -> np.ndarray:
    """At most `num` patches in which every pixel holds data, evenly spread over all scenes.

    No more than these are held in memory. Where one of the first choice has a pixel without data,
    all patches are looked through for those that are whole.

    Returns:
      `[num, size, size, bands]` in the order of the scenes, row by row.

    Raises:
      UserError: no patch without missing pixels, or a broken file.
    """
    size = run.task.image_shape[0]

    def whole(chosen: np.ndarray, title: str) -> Iterator[tuple[int, np.ndarray]]:
        for i, part in _parts(scenes, run, reading, chosen, title):
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


def _parts(
    scenes: Sequence[Scene], run: Run, reading: Reading, chosen: np.ndarray, title: str
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
                with _open(scene.path, run, reading) as raster:
                    for i in here:
                        row, column = scene.places[i - first].tolist()
                        yield int(i), raster.read(row, column, scene.side, scene.side)
                        bar.update()
            first += len(scene.places)
