"""The images to predict: of folders, zip archives, single files and lists of files.

A folder of bands in files of their own is one image (`eojax.data.reading.bands`), and so is each
of those below a folder; other files beside them are left.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from eojax.data.reading.bands.files import find_scenes, list_bands
from eojax.data.reading.bands.mosaic import as_geotiff
from eojax.data.reading.bands.names import band_file
from eojax.data.reading.image_files import (
    IMAGE_SUFFIXES,
    JPEG_2000_SUFFIXES,
    TIFF_SUFFIXES,
    FileReader,
    no_images,
    open_image_files,
)
from eojax.errors import UserError
from eojax.evaluation.outliers import exists
from eojax.home import expanded
from eojax.messages import counted, say

_LIST_SUFFIXES = ('.txt', '.lst')
_PLACED_SUFFIXES = (*TIFF_SUFFIXES, *JPEG_2000_SUFFIXES)


class Input(NamedTuple):
    """An image that is to be read.

    Attributes:
      title: its path; of one in an archive that of the archive, a slash and its name there.
      read: its content; a `UserError` where that cannot be read.
    """

    title: str
    read: Callable[[], bytes]


class Inputs(NamedTuple):
    """Some of the images: those of one folder, archive or list.

    Attributes:
      title: of what holds them.
      names: of the images.
      one: the image of a name.
    """

    title: str
    names: Sequence[str]
    one: Callable[[str], Input]


def find_inputs(images: Sequence[Path], lists: Sequence[Path]) -> list[Inputs]:
    """All images of `--images` and `--list`; names alone, no image is read.

    Raises:
      UserError: no such path, or one without any image.
    """
    inputs = []
    for path in map(expanded, images):
        if not exists(path):
            raise UserError(f'--images={path}: no such file or folder')
        scenes = find_scenes(path)
        if scenes:
            inputs.append(_of_bands(path, scenes))
        elif path.is_file() and path.suffix.lower() in _LIST_SUFFIXES:
            inputs.append(_of_list(path))
        elif path.is_file() and path.suffix.lower() != '.zip':
            inputs.append(Inputs(str(path), (path.name,), _reader_of(path.parent)))
        else:
            with open_image_files(path) as listing:
                if not listing.files:
                    raise no_images(listing)
                inputs.append(Inputs(str(path), listing.files, _reader_of(path)))
    return [*inputs, *(_of_list(expanded(path)) for path in lists)]


def each(inputs: Sequence[Inputs]) -> Iterator[Input]:
    """The images one by one, in order."""
    for group in inputs:
        for name in group.names:
            yield group.one(name)


def _of_bands(root: Path, scenes: Sequence[Path]) -> Inputs:
    """Scenes whose bands lie in files of their own, such as BigEarthNet's patches."""
    names = [scene.relative_to(root).as_posix() for scene in scenes]
    files = list_bands(root).files
    others = [file for file in files if _is_image(file) and not band_file(file.rpartition('/')[2])]
    if others:
        say(
            f'{root}: has bands in files of their own, and each scene of them is an image;'
            f' {counted(len(others), "other image file")} in it ({others[0]}) are left'
        )
    by_name = {
        f'{name if name != "." else root.name}.tif': scene
        for name, scene in zip(names, scenes, strict=True)
    }

    def one(name: str) -> Input:
        scene = by_name[name]
        return Input(str(scene), lambda: as_geotiff(scene))

    return Inputs(str(root), tuple(by_name), one)


def _is_image(file: str) -> bool:
    return file.lower().endswith(IMAGE_SUFFIXES)


def any_placed(inputs: Sequence[Inputs]) -> bool:
    """Whether some of them are of a format that may say where on Earth they lie."""
    return any(name.lower().endswith(_PLACED_SUFFIXES) for one in inputs for name in one.names)


def _reader_of(root: Path) -> Callable[[str], Input]:
    read = FileReader(root)

    def one(name: str) -> Input:
        return Input(str(root / name), lambda: read(name))

    return one


def _of_list(path: Path) -> Inputs:
    """The files of a text file, one a line; those that begin with `#` are comments.

    Names are relative to the list's folder, or where there is no such file, to the working folder.
    """
    try:
        lines = path.read_text(encoding='utf-8', errors='surrogateescape').splitlines()
    except OSError as error:
        raise UserError(f'--list={path}: cannot be read ({error.strerror})') from None
    names = tuple(line.strip() for line in lines if line.strip() and line.strip()[0] != '#')
    if not names:
        raise UserError(f'--list={path}: no file is named in it')

    def one(name: str) -> Input:
        file = Path(name)
        beside = path.parent / file
        place = beside if beside.exists() or not file.exists() else file
        return Input(name, lambda: FileReader(place.parent)(place.name))

    return Inputs(str(path), names, one)
