"""Published sets of labelled images: how any of them is downloaded and loaded."""

from __future__ import annotations

import functools
import sys
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType

import numpy as np
from ml_collections import ConfigDict

from eojax.data import class_folders
from eojax.data.dataset import Dataset
from eojax.data.kinds import DatasetKind, check_read_from_files
from eojax.data.published import PublishedImages
from eojax.data.reading.download import fetch
from eojax.data.reading.file_formats import format_of
from eojax.data.reading.image_folder import read_image_folder
from eojax.data.reading.lazy_images import memory_limit
from eojax.data.reading.tfds.source import prepared_folder, read_tfds
from eojax.errors import UserError, unknown_name
from eojax.home import cache_folder, expanded
from eojax.messages import counted

# Where the pixels come from: a folder or archive of images, or a prepared tfds data set.
SOURCES = ('files', 'tfds')
# Of the papers, so that all sets can stand beside EuroSAT; chains of larger images take far longer.
SIZE = 64


def published_kind(images: PublishedImages) -> DatasetKind:
    """A published set of images in class folders, as configs name it."""
    return DatasetKind(
        images.name,
        check=functools.partial(check_published, images),
        from_config=functools.partial(read_published, images),
        class_names=images.class_names,
        published=images,
        class_folders=True,
    )


def check_published(images: PublishedImages, options: ConfigDict) -> None:
    """Refuses a `source` that the data set has not, and a tfds source without its folder.

    Raises:
      UserError: one line that names the key.
    """
    if not images.tfds_folders:
        check_read_from_files(images.name, options)
    if options.source == 'tfds' and not options.root:
        raise UserError("data.source is 'tfds' but data.root, its data_dir, is empty")


def read_published(images: PublishedImages, options: ConfigDict, progress: bool) -> Dataset:
    """The data set of the config group `data`; see `load_published`."""
    return load_published(
        images,
        options.root,
        options.source,
        size=options.size,
        progress=progress,
        resident_bytes=memory_limit(options),
        folders=class_folders.parse(options.class_folders),
    )


def load_published(
    images: PublishedImages,
    root: str | Path | None = None,
    source: str = 'files',
    *,
    size: int | None = SIZE,
    progress: bool = True,
    cache: bool = True,
    resident_bytes: int | None = None,
    folders: Mapping[str, str] = MappingProxyType({}),
) -> Dataset:
    """Loads a published data set; any number of images, but all of its classes.

    Args:
      images: the published facts.
      root: for 'files' the zip archive, a folder that holds the class folders, or one above it;
        empty to download the published archive. For 'tfds' the `data_dir` of tfds.
      source: one of `SOURCES`; what tfds needs, `python -m eojax.data.prepare` writes.
      size: height and width of the result in pixels, resampled where the images have another; None
        leaves the images as they are.
      progress: show bars and the number of images of each class on stderr.
      cache: keep the decoded pixels in the cache folder.
      folders: the class that a folder of another name holds, of files.
      resident_bytes: of files, as in `read_image_folder`; tfds is read into memory.

    Returns:
      `[num, size, size, bands]`, in the type of the files.

    Raises:
      UserError: what is missing, damaged or unexpected, by name; see
        `image_folder.read_image_folder`, `download.fetch` and `tfds.source.read_tfds`.
    """
    if size is not None and size < 1:
        raise UserError(f'{images.title} cannot be resized to {size} pixels; give a positive size')
    resize = None if size == images.size else size
    kept = cache_folder() if cache else None
    if source == 'files':
        path = expanded(root) if root else download_published(images, progress=progress)
        dataset = read_image_folder(
            path,
            class_folders.folders_of(images.class_names, folders),
            images.size,
            progress,
            kept,
            resize=resize,
            bands=images.bands,
            file_format=format_of(images.files),
            resident_bytes=resident_bytes,
        )
        dataset = class_folders.as_classes(dataset, folders)
    elif source == 'tfds':
        path = prepared_folder(images, root)
        dataset = read_tfds(path, images, resize=resize, progress=progress, cache=kept)
    else:
        raise unknown_name('data source', source, SOURCES)
    dataset = images.describe(dataset)
    if progress:
        print(f'eojax: {images.title}, {path}: {describe_counts(dataset)}', file=sys.stderr)
    return dataset


def download_published(
    images: PublishedImages, *, progress: bool = True, option: str = '--config.data.root'
) -> Path:
    """The published archive in the cache folder, downloaded if need be; see `download.fetch`.

    Raises:
      UserError: there is none to download; the message tells where to get it.
    """
    if images.archive is None:
        raise UserError(
            f'{images.title} cannot be downloaded from here: get it from {images.homepage} and name'
            f' it by {option}=PATH'
        )
    folder = cache_folder()
    if folder is None:
        raise UserError(
            f'{images.title}: there is no folder to download it to; name one by EOJAX_CACHE=FOLDER,'
            f' or the archive by {option}=PATH'
        )
    return fetch(images.archive, folder / 'downloads', progress=progress, option=option)


def describe_counts(dataset: Dataset) -> str:
    """The number of images, in all and of each class, in one line."""
    counts = np.bincount(dataset.labels, minlength=dataset.num_classes)
    parts = [f'{name} {count}' for name, count in zip(dataset.class_names, counts, strict=True)]
    return f'{counted(len(dataset.labels), "image")} ({", ".join(parts)})'
