"""Places out of files: folders and zip archives of images, and scenes.

`--train=PATH` holds a place in each of its folders (`Lille/a.jpg`), after the folders that all
files share (`EuroSAT_RGB/`); files that no folder tells apart are one place.
`--train=NAME=PATH` makes one place of all that lies there, and `archive.zip/folder` is a folder in
an archive. Folders of label maps (`masks`, `labels`, ...) are left out. Where all files of a place
are GeoTIFFs with a coordinate system and larger than a window, they are scenes, which are cut into
windows; other images are cut where there is a window, and else are whole. Sentinel-2 products and
folders of bands in files of their own (`eojax.data.reading.scene_paths`) are scenes too, each a
place, or with a name all of them one.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import numpy as np

from eojax.apps.representativeness.places import Form, Piece, Place
from eojax.data.facts import IMAGES, Facts
from eojax.data.reading import raster as scenes
from eojax.data.reading.bands.files import SAFE, may_hold_bands
from eojax.data.reading.file_formats import format_of
from eojax.data.reading.formats.encoded import size_of
from eojax.data.reading.image_files import FileReader, open_image_files
from eojax.data.reading.patches import patch_pixels, patch_places, resample
from eojax.data.reading.scene_paths import is_scene_of_bands, name_of, scenes_at
from eojax.errors import UserError
from eojax.evaluation.scene_sets import is_scene
from eojax.home import expanded
from eojax.messages import say_some

# Folders of images, and of maps of classes beside them.
_IMAGES = ('images', 'image', 'imgs', 'img', 'img_dir')
_MASKS = ('masks', 'mask', 'labels', 'label', 'msk', 'ann_dir', 'annotations', 'gt')


class Named(NamedTuple):
    """What `[NAME=]PATH` says.

    Attributes:
      name: of the one place; empty where folders are places.
      path: of a folder, an archive or a scene.
      below: the folder in it, with forward slashes; empty for all.
    """

    name: str
    path: Path
    below: str


class _Cut(NamedTuple):
    """The windows of one file.

    Attributes:
      file: its name in the place's folder or archive.
      side: of a window; None for the whole image.
      corners: rows and columns of their upper left corners.
      title: of the file, for people; empty: its name.
    """

    file: str
    side: int | None
    corners: Sequence[tuple[int, int]]
    title: str = ''


def parse(option: str, text: str) -> Named:
    """`[NAME=]PATH`, the path of something that exists.

    Raises:
      UserError: it does not, or the name is none.
    """
    name, equals, path = text.partition('=')
    if not equals or expanded(text).exists():
        name, path = '', text
    elif not re.fullmatch(r'[\w .()-]+', name):
        raise UserError(
            f'--{option}={text}: a name has letters, digits, spaces, - and _, not {name!r}'
        )
    base, below = expanded(path), ''
    while path and not base.exists() and base != base.parent:
        below = f'{base.name}/{below}' if below else base.name
        base = base.parent
    if not path or not base.exists() or (below and base.is_dir()):
        raise UserError(f'--{option}={text}: no such file or folder: {path or text}')
    return Named(name, base, below)


def places_at(named: Named, part: str, form: Form, facts: Facts, reading: scenes.Reading,
              option: str) -> list[Place]:  # fmt: skip
    """The places that a path holds.

    Args:
      form: in which the network sees images; the raster `images` alone can be read from files.
      facts: of the images that the network was trained on: bands, limits, kind of file.

    Raises:
      UserError: no images there, images smaller than a window, or files that cannot be read.
    """
    if tuple(form.rasters) != (IMAGES,):
        raise UserError(
            f'--{option}={named.path}: the run sees {", ".join(form.rasters)}, and files hold'
            ' images alone; name a data set with all of them by --config=configs/NAME.py'
        )
    if named.path.suffix.lower() in scenes.SUFFIXES and named.path.is_file():
        return _places_of_scenes(named, part, [named.path], form, facts, reading)
    scenes_here = _scenes_of_bands(named, option)
    if scenes_here:
        return _places_of_scenes(named, part, scenes_here, form, facts, reading)
    with open_image_files(named.path) as listing:
        inside = f'{named.below}/' if named.below else ''
        files = [name for name in listing.files if name.startswith(inside) and not _is_mask(name)]
    if not files:
        where = named.path / named.below
        raise UserError(f'--{option}: {where}: no images in it')
    title = named.name or _title(files, named)
    grouped = {title: files} if named.name else _by_folder(files, title)
    return [
        _place_of_files(name, part, named.path, held, form, facts, reading)
        for name, held in grouped.items()
    ]


def _scenes_of_bands(named: Named, option: str) -> list[Path]:
    """The products and folders of bands at a path; empty where it holds other images."""
    path = named.path / named.below
    if not may_hold_bands(path):
        return []
    products = path.is_dir() and any(
        entry.name.lower().endswith((SAFE, f'{SAFE}.zip')) for entry in path.iterdir()
    )
    if products or is_scene_of_bands(path):
        return scenes_at(path, f'--{option}')
    return []


def _places_of_scenes(
    named: Named,
    part: str,
    files: Sequence[Path],
    form: Form,
    facts: Facts,
    reading: scenes.Reading,
) -> list[Place]:
    """A place of each scene, or of all of them where they have a name."""
    notes: list[str] = []
    cuts = [
        _scene_cut(file, form, facts, reading, notes)._replace(file=str(file)) for file in files
    ]
    say_some(notes)
    read = _scene_reader(Path(), form, facts, reading)
    if named.name:
        return [_place(named.name, part, cuts, read)]
    root = named.path / named.below
    return [
        _place(name_of(file, root), part, [cut], read)
        for file, cut in zip(files, cuts, strict=True)
    ]


def _title(files: Sequence[str], named: Named) -> str:
    """A name for files that no folder tells apart: of the last one that all are in."""
    shared = PurePosixPath(os.path.commonpath([PurePosixPath(file).parent for file in files]))
    names = [folder for folder in shared.parts if folder.lower() not in _IMAGES]
    return names[-1] if names else named.path.stem


def _is_mask(file: str) -> bool:
    return any(folder.lower() in _MASKS for folder in PurePosixPath(file).parts[:-1])


def _by_folder(files: Sequence[str], title: str) -> dict[str, list[str]]:
    """The files of each first folder below the one that all have in common."""
    shared = os.path.commonpath([PurePosixPath(file).parent for file in files])
    start = len(PurePosixPath(shared).parts)
    grouped: dict[str, list[str]] = {}
    for file in files:
        folders = PurePosixPath(file).parts[start:-1]
        grouped.setdefault(folders[0] if folders else title, []).append(file)
    return grouped


def _place_of_files(
    name: str,
    part: str,
    root: Path,
    files: Sequence[str],
    form: Form,
    facts: Facts,
    reading: scenes.Reading,
) -> Place:
    window = form.window or 0
    if root.is_dir() and all(
        Path(file).suffix.lower() in scenes.SUFFIXES and is_scene(root / file, window or 256)
        for file in files
    ):
        notes: list[str] = []
        cuts = [
            _scene_cut(root / file, form, facts, reading, notes)._replace(file=file)
            for file in files
        ]
        say_some(notes)
        return _place(name, part, cuts, _scene_reader(root, form, facts, reading))
    read = FileReader(root)
    cuts = [_Cut(file, window or None, _corners(read, file, window)) for file in files]
    return _place(name, part, cuts, _image_reader(read, form, facts))


def _corners(read: FileReader, file: str, window: int) -> Sequence[tuple[int, int]]:
    if not window:
        return ((0, 0),)
    height, width = size_of(read(file), file)
    return _fitting(file, height, width, window)


def _fitting(file: object, height: int, width: int, side: int) -> list[tuple[int, int]]:
    if min(height, width) < side:
        raise UserError(
            f'{file}: {width}x{height} pixels, smaller than a window of {side}x{side}; --window=N'
            ' takes smaller ones, and --window=0 whole images'
        )
    return [*patch_places(height, width, side, side)]


def _scene_cut(
    file: Path, form: Form, facts: Facts, reading: scenes.Reading, notes: list[str]
) -> _Cut:
    """The windows of a scene; what the user should know of it is added to `notes`."""
    images = form.rasters[IMAGES]
    with scenes.Raster(
        file,
        images.bands,
        images.limits,
        reading,
        images.dtype,
        facts.own_units,
        decibels=images.decibels,
        surface=images.surface,
    ) as scene:
        notes += scene.notes
        side = form.window
        if side is None:
            if facts.size is None:
                raise UserError(f'{file} is a scene: say by --window=PIXELS how it is cut')
            side = patch_pixels(facts, form.side or facts.size[0], scene.pixel_metres())
        corners = _fitting(file, scene.height, scene.width, side)
        return _Cut(file.name, side, corners, file.name)


Reader = Callable[[_Cut, Sequence[tuple[int, int]]], Iterator[np.ndarray | None]]


def _place(name: str, part: str, cuts: Sequence[_Cut], read: Reader) -> Place:
    counts = np.array([len(cut.corners) for cut in cuts])
    firsts = np.concatenate([[0], np.cumsum(counts)])

    def pieces(numbers: np.ndarray) -> Iterator[Piece]:
        for number, cut in enumerate(cuts):
            here = numbers[(numbers >= firsts[number]) & (numbers < firsts[number + 1])]
            if not len(here):
                continue
            corners = [cut.corners[i] for i in here - firsts[number]]
            for (row, column), pixels in zip(corners, read(cut, corners), strict=True):
                if pixels is not None:
                    where = f' row {row} column {column}' if cut.side else ''
                    yield Piece(f'{cut.title or cut.file}{where}', (pixels,))

    return Place(name, part, int(firsts[-1]), pieces)


def _image_reader(read: FileReader, form: Form, facts: Facts) -> Reader:
    """Windows of 8-bit images or other files of the run's kind; each file is decoded once."""
    decode, bands = format_of(facts.files).decode, form.rasters[IMAGES].bands

    def windows(cut: _Cut, corners: Sequence[tuple[int, int]]) -> Iterator[np.ndarray | None]:
        resize = None if cut.side else form.side
        image = decode(read(cut.file), cut.file, bands=bands, size=None, resize=resize)
        for row, column in corners:
            side = cut.side
            yield fitted(image[row : row + side, column : column + side] if side else image, form)

    return windows


def _scene_reader(folder: Path, form: Form, facts: Facts, reading: scenes.Reading) -> Reader:
    """Windows of scenes; None for those in which a pixel holds no data."""
    images = form.rasters[IMAGES]

    def windows(cut: _Cut, corners: Sequence[tuple[int, int]]) -> Iterator[np.ndarray | None]:
        assert cut.side is not None
        with scenes.Raster(
            folder / cut.file,
            images.bands,
            images.limits,
            reading,
            images.dtype,
            facts.own_units,
            decibels=images.decibels,
            surface=images.surface,
        ) as scene:
            for row, column in corners:
                read = scene.read(row, column, cut.side, cut.side)
                yield fitted(read.pixels, form) if read.valid.all() else None

    return windows


def fitted(pixels: np.ndarray, form: Form) -> np.ndarray:
    """An image `[h, w, bands]` at the size that the network sees."""
    return pixels if form.side is None else resample(pixels[None], form.side)[0]
