"""The formats of image files that data sets are made of, and how each is decoded."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np

from eojax.data.facts import Files
from eojax.data.reading import geotiff
from eojax.data.reading.decode import MAX_THREADS, decode_image
from eojax.data.reading.own.decode import THREADS, decode_own
from eojax.errors import unknown_name


class FileFormat(NamedTuple):
    """How the image files of a data set are decoded.

    Attributes:
      name: of the format, in the keys of the pixel cache.
      decode: `(data, name, *, bands, size, resize) -> [height, width, len(bands)]`, a function that
        pickles: the content of a file, its name for messages, and as in
        `eojax.data.reading.image_folder.read_image_folder`.
      threads: how many at a time are faster than one.
    """

    name: str
    decode: Callable[..., np.ndarray]
    threads: int


def _decode_8_bit(
    data: bytes, name: str, *, bands: Sequence[str], size: int | None, resize: int | None
) -> np.ndarray:
    return decode_image(data, name, num_bands=len(bands), size=size, resize=resize)


# JPEG, PNG and TIFF.
EIGHT_BIT = FileFormat('8 bit', _decode_8_bit, MAX_THREADS)


def _eight_bit(files: Files) -> FileFormat:
    return EIGHT_BIT


def _geotiff(files: Files) -> FileFormat:
    decode = functools.partial(geotiff.decode_geotiff, file_bands=files.bands)
    return FileFormat('geotiff uint16', decode, geotiff.THREADS)


def _raster(files: Files) -> FileFormat:
    decode = functools.partial(
        decode_own, file_bands=files.bands, dtype=files.dtype, lowest=files.lowest,
        nodata=files.nodata,
    )  # fmt: skip
    return FileFormat(f'raster {files.dtype}', decode, THREADS)


# By `Files.format`.
FORMATS: dict[str, Callable[[Files], FileFormat]] = {
    '8-bit': _eight_bit,
    'geotiff': _geotiff,
    'raster': _raster,
}


def format_of(files: Files | None) -> FileFormat:
    """How image files of this kind are decoded; 8-bit ones where it is not known.

    Raises:
      UserError: a format that there is not.
    """
    files = Files() if files is None else files
    if files.format not in FORMATS:
        raise unknown_name('file format', files.format, FORMATS)
    return FORMATS[files.format](files)
