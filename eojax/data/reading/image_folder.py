"""A labelled folder tree or zip archive of images, `.../<Class>/<file>`, as a `Dataset`."""

from __future__ import annotations

import functools
import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from eojax.data.dataset import Dataset, image_dataset
from eojax.data.reading.file_formats import EIGHT_BIT, FileFormat
from eojax.data.reading.image_files import (
    ImageFiles,
    fingerprint,
    no_images,
    open_image_files,
)
from eojax.data.reading.lazy_images import Images, LazyImages
from eojax.data.reading.pixel_cache import cached_dataset
from eojax.errors import UserError, unknown_name
from eojax.home import expanded
from eojax.messages import counted


class LabelledFiles(NamedTuple):
    """Image files and their classes, sorted by name.

    Attributes:
      files: as in `ImageFiles.files`.
      names: `<Class>/<file>`, unique, the same in a folder and in an archive at any depth.
      labels: indices into `class_names`.
      class_names: as asked for, else the class folders in alphabetical order.
    """

    files: tuple[str, ...]
    names: tuple[str, ...]
    labels: tuple[int, ...]
    class_names: tuple[str, ...]


def read_image_folder(
    path: str | Path,
    class_names: Sequence[str] | None = None,
    size: int | None = None,
    progress: bool = True,
    cache: Path | None = None,
    *,
    resize: int | None = None,
    bands: Sequence[str] = ('red', 'green', 'blue'),
    allow_missing_classes: bool = False,
    file_format: FileFormat = EIGHT_BIT,
    resident_bytes: int | None = None,
) -> Dataset:
    """Reads all images below the class folders of a folder or zip archive.

    The archive is never extracted. The class folders may lie at any depth, all below one folder;
    images above them are left out, and a line on stderr says so.

    Args:
      path: folder or zip archive.
      class_names: the classes and their order; None takes the class folders as they are.
      size: height and width that every file must have, in pixels; None accepts any one size.
      progress: show a bar on stderr.
      cache: folder that keeps the decoded array (see `pixel_cache.cache_folder`); None keeps none.
      resize: height and width to resample all images to, so that they may differ in size.
      bands: names of the bands; for 8-bit files their number (1, 3 or 4) is what all must have.
      allow_missing_classes: accept classes of `class_names` of which there is no image.
      file_format: how files are decoded.
      resident_bytes: a larger set stays on disk, `LazyImages`, its files but the first being
        checked when they are read; None reads a set of any size.

    Raises:
      UserError: path missing, no or truncated archive, unexpected or empty class folder; a file
        that is damaged, or has another size or number of bands. The message names it.
    """
    source = expanded(path)
    if resize is not None and resize < 1:
        raise UserError(f'images cannot be resized to {resize} pixels; give a positive number')
    decode = functools.partial(file_format.decode, bands=tuple(bands), size=size, resize=resize)

    def build() -> Dataset:
        with open_image_files(source) as listing:
            found = find_classes(listing, class_names, allow_missing_classes)
        lazy = LazyImages(source, found.files, decode)
        images: Images = lazy
        if resident_bytes is None or lazy.nbytes <= resident_bytes:
            threads = file_format.threads
            images = lazy.read_all(threads=threads, progress=progress, title=source.name)
        labels = np.asarray(found.labels, np.int32)
        return image_dataset(images, labels, found.names, found.class_names, bands)

    if cache is None:
        return build()
    key = {
        'path': str(source.resolve()),
        'class_names': class_names and list(class_names),
        'size': size,
        'resize': resize,
        'bands': list(bands),
        'allow_missing_classes': allow_missing_classes,
    }
    if file_format is not EIGHT_BIT:
        key['format'] = file_format.name
    return cached_dataset(cache, source.stem, key, fingerprint(source), build, resident_bytes)


def find_classes(
    listing: ImageFiles,
    class_names: Sequence[str] | None = None,
    allow_missing_classes: bool = False,
) -> LabelledFiles:
    """Finds the level of the class folders and sorts the images below them by name.

    Raises:
      UserError: no class folders, class folders at several levels, an unexpected one, an empty one.
    """
    counts = Counter(_parent(file) for file in listing.files)
    if not counts:
        raise no_images(listing)
    level = _class_level(listing.path, counts, class_names)
    _warn_of_images_above(listing.path, level, counts)
    found = sorted(_base(folder) for folder in counts if folder and _parent(folder) == level)
    present = {_base(folder) for folder in listing.folders if _parent(folder) == level}
    for name in found:
        if class_names is not None and name not in class_names:
            error = unknown_name('class folder', name, class_names)
            raise UserError(f'{listing.path}: {error}')
    known = sorted(present) if class_names is None else list(class_names)
    empty = [name for name in known if name not in found]
    if empty and not allow_missing_classes:
        raise UserError(f'{listing.path}: no images of class {", ".join(map(repr, empty))}')
    order = found if class_names is None else known
    _warn_of_capitals(listing.path, order)
    index = {name: label for label, name in enumerate(order)}
    pairs = sorted(
        (f'{_base(_parent(file))}/{_base(file)}', file)
        for file in listing.files
        if _parent(_parent(file)) == level and _parent(file) != level
    )
    return LabelledFiles(
        files=tuple(file for _, file in pairs),
        names=tuple(name for name, _ in pairs),
        labels=tuple(index[_parent(name)] for name, _ in pairs),
        class_names=tuple(order),
    )


def _parent(path: str) -> str:
    return path.rpartition('/')[0]


def _base(path: str) -> str:
    return path.rpartition('/')[2]


def _is_above(folder: str, other: str) -> bool:
    """Whether `folder` is `other` or holds it; the top folder is the empty text."""
    return not folder or other == folder or other.startswith(f'{folder}/')


def _class_level(path: Path, counts: Counter[str], class_names: Sequence[str] | None) -> str:
    """The one folder whose subfolders are the classes."""

    def is_class(folder: str) -> bool:
        if class_names is not None:
            return _base(folder) in class_names
        return not any(_is_above(folder, other) for other in counts if other != folder)

    classes = [folder for folder in sorted(counts) if folder and is_class(folder)]
    if not classes and class_names is not None and set(counts) != {''}:
        folder = next(folder for folder in sorted(counts) if folder)
        raise UserError(f'{path}: {unknown_name("class folder", _base(folder), class_names)}')
    if not classes:
        raise UserError(f'{path}: its images are in no class folder; expected <Class>/<file>')
    levels = sorted({_parent(folder) for folder in classes})
    if len(levels) > 1:
        shown = ', '.join(repr(level or '.') for level in levels[:3])
        raise UserError(
            f'{path}: class folders at several places ({shown}); name the one to be read'
        )
    for folder in counts:
        if _parent(folder) != levels[0] and not _is_above(folder, levels[0]):
            raise UserError(f'{path}: images in {folder!r}, which is not a class folder')
    return levels[0]


def _warn_of_capitals(path: Path, names: Sequence[str]) -> None:
    first: dict[str, str] = {}
    for name in names:
        other = first.setdefault(name.casefold(), name)
        if other != name:
            print(
                f'eojax: {path}: {other!r} and {name!r} differ in capitals alone; they are two'
                ' classes',
                file=sys.stderr,
            )


def _warn_of_images_above(path: Path, level: str, counts: Counter[str]) -> None:
    num = sum(count for folder, count in counts.items() if _is_above(folder, level))
    if num:
        print(
            f'eojax: {path}: {counted(num, "image")} outside of class folders left out',
            file=sys.stderr,
        )
