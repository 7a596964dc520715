"""Multi-band GeoTIFF files to uint16 arrays, decoded by rasterio."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from rasterio.enums import Resampling
from rasterio.io import DatasetReader

from eojax.data.reading.formats import memory_raster
from eojax.data.reading.formats.not_an_image import kind_of
from eojax.data.reading.scenes.band_names import plain
from eojax.data.reading.scenes.evidence import stated_offset
from eojax.errors import UserError

# TIFF and BigTIFF, little and big endian; rasterio would take an empty file for one to be written.
_MAGIC = (b'II*\0', b'MM\0*', b'II+\0', b'MM\0+')
# The decoded file; a larger one is a mistake or a decompression bomb.
MAX_DECODED_BYTES = 2**30
# rasterio holds the interpreter's lock for most of a small file: more threads only contend.
THREADS = 1


def decode_geotiff(
    data: bytes,
    name: str,
    *,
    file_bands: Sequence[str],
    bands: Sequence[str],
    size: int | None = None,
    resize: int | None = None,
) -> np.ndarray:
    """One image as uint16 `[height, width, len(bands)]`, values as they are stored.

    Args:
      data: the content of the file.
      name: for messages.
      file_bands: names of all bands of the file in their order; a file of another number is
        refused, and one that names the same bands in another order is read by its names.
      bands: which of them to take, in the order wanted.
      size: height and width that the file must have, in pixels.
      resize: height and width to resample to: each pixel is the mean over the ground it covers
        where that shrinks the image, bilinear where it enlarges it, rounded to whole numbers.

    Raises:
      UserError: broken or truncated, of another size or number of bands, not uint16, or with values
        to which something was added, as its tags or name say.
    """
    if data[:4] not in _MAGIC:
        raise UserError(f'{name}: {kind_of(data) or "not a GeoTIFF"}')
    with memory_raster.opened(data, name, ('GTiff',), 'GeoTIFF') as file:
        _check_layout(file, name, file_bands, size)
        order = _order(file, file_bands)
        indexes = [order.index(plain(band)) + 1 for band in bands]
        pixels = _read(file, indexes, resize)
    return np.ascontiguousarray(np.moveaxis(pixels, 0, -1))


def data_mask(data: bytes) -> np.ndarray | None:
    """Which pixels of a TIFF file hold data, by its own mask; None for files of another kind.

    Args:
      data: the content of a file that some library decodes; one that GDAL cannot open has no mask.

    Returns:
      bool `[height, width]`.
    """
    if data[:4] not in _MAGIC:
        return None
    try:
        with memory_raster.opened(data, '', ('GTiff',)) as file:
            return np.asarray(file.dataset_mask() > 0)
    except UserError:
        return None


def _read(file: DatasetReader, indexes: list[int], resize: int | None) -> np.ndarray:
    """Bands `[len(indexes), height, width]`; GDAL resamples in floating point and rounds."""
    if resize is None or file.shape == (resize, resize):
        return file.read(indexes)
    shrinks = resize < max(file.shape)
    resampling = Resampling.average if shrinks else Resampling.bilinear
    return file.read(indexes, out_shape=(len(indexes), resize, resize), resampling=resampling)


def _order(file: DatasetReader, file_bands: Sequence[str]) -> list[str]:
    """The bands, by their plain names, as the file holds them."""
    known = [plain(band) for band in file_bands]
    named = [plain(text or '') for text in file.descriptions]
    return named if sorted(named) == sorted(known) else known


def _check_layout(
    file: DatasetReader, name: str, file_bands: Sequence[str], size: int | None
) -> None:
    if file.count != len(file_bands):
        raise UserError(f'{name}: {file.count} band(s); expected {len(file_bands)}')
    types = sorted(set(file.dtypes))
    if types != ['uint16']:
        raise UserError(f'{name}: pixels of type {", ".join(types)}; expected uint16')
    scales, offsets = set(file.scales), set(file.offsets)
    # Reflectance times 10,000 is what is stored, whether or not the file says so.
    if offsets != {0.0} or not (scales == {1.0} or np.allclose([*scales], 1e-4)):
        raise UserError(
            f'{name}: bands with scale {min(scales):g} and offset {min(offsets):g}; expected'
            ' reflectance times 10,000 as stored: convert the values first'
        )
    added, said_by = stated_offset(name, file.tags())
    if added:
        raise UserError(
            f'{name}: {said_by} says that {added:g} was added to its values; expected reflectance'
            ' times 10,000 as it is: take that off first, and what says so'
        )
    if size is not None and file.shape != (size, size):
        raise UserError(
            f'{name}: {file.width}x{file.height} pixels; expected {size}x{size}'
            ' (remove the image, or have all of them resized)'
        )
    if 2 * file.count * file.width * file.height > MAX_DECODED_BYTES:
        raise UserError(
            f'{name}: {file.width}x{file.height} pixels; larger than'
            f' {MAX_DECODED_BYTES >> 20} MB when decoded'
        )
