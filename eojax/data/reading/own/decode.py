"""Files of your own to arrays, values as they are stored."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from rasterio.enums import ColorInterp, MaskFlags
from rasterio.io import DatasetReader

from eojax.data.reading.formats import memory_raster
from eojax.data.reading.formats.encoded import TIFF_MAGIC, read_encoded, without_opaque_alpha
from eojax.data.reading.own.kind import TYPES, are_named, band_names
from eojax.data.reading.patches import resample, resample_floats
from eojax.data.reading.scenes.band_names import plain
from eojax.data.reading.scenes.validity import Validity
from eojax.errors import UserError
from eojax.messages import counted

# A decoded file; a larger one is a scene, or a decompression bomb.
MAX_DECODED_BYTES = 2**30
# rasterio holds the interpreter's lock for most of a small file: more threads only contend.
THREADS = 2


def decode_own(
    data: bytes,
    name: str,
    *,
    file_bands: Sequence[str],
    dtype: str,
    bands: Sequence[str],
    size: int | None = None,
    resize: int | None = None,
    lowest: Sequence[float] = (),
    nodata: float | None = None,
    like: str = '',
    marked: bool = False,
) -> np.ndarray:
    """One image, `[height, width, len(bands)]`, of the type `dtype`.

    A pixel holds data as `eojax.data.reading.scenes.validity` has it: by the file's mask, its
    opacity, its value for no data; floats that are no numbers hold none. A file without any of
    these lacks nothing.

    Args:
      data: the content of a TIFF file, or of another image.
      name: for messages.
      file_bands: names of all bands that the file must have, in their order; a file that names the
        same bands in another order is read by its names.
      dtype: of the values that it must have.
      bands: which of them to take, in the order wanted.
      size: height and width that the file must have, in pixels.
      resize: height and width to resample to, as `eojax.data.reading.patches.resample`; of pixels
        with data alone.
      lowest: of each of `bands` what a pixel without data gets; 0 where empty.
      nodata: the value for no data, where the files do not say it; None for what they say.
      like: the file that says what all others must be, for messages.
      marked: float32 with NaN for no data instead.

    Raises:
      UserError: broken, or of another kind than it must be.
    """
    if data.startswith(TIFF_MAGIC):
        pixels, valid = _of_tiff(data, name, file_bands, dtype, bands, nodata, like)
    else:
        pixels, valid = _of_picture(data, name, file_bands, dtype, bands, nodata, like)
    height, width = pixels.shape[:2]
    if size is not None and (height, width) != (size, size):
        raise UserError(
            f'{name}: {width}x{height} pixels; expected {size}x{size}'
            + (f', as {like} has: bring all images to one size first' if like else '')
        )
    if not valid.any():
        raise UserError(f'{name}: no pixel of it holds data; remove it')
    fill = np.asarray(lowest if len(lowest) else (0.0,) * len(bands), np.float64).astype(dtype)
    pixels, valid = resampled(pixels, valid, resize, fill)
    if marked:
        return np.where(valid[..., None], pixels, np.nan).astype(np.float32)
    pixels[~valid] = fill
    return pixels


def _of_tiff(
    data: bytes,
    name: str,
    file_bands: Sequence[str],
    dtype: str,
    bands: Sequence[str],
    nodata: float | None,
    like: str,
) -> tuple[np.ndarray, np.ndarray]:
    """Pixels `[height, width, bands]`, and which hold data."""
    with memory_raster.opened(data, name, ('GTiff',), 'TIFF') as file:
        indexes = _indexes(file, name, file_bands, dtype, bands, like)
        if np.dtype(dtype).itemsize * len(indexes) * file.width * file.height > MAX_DECODED_BYTES:
            raise UserError(f'{name}: {file.width}x{file.height} pixels are too many for one image')
        values = file.read(indexes)
        valid = valid_pixels(file, indexes, values, nodata)
    return np.ascontiguousarray(np.moveaxis(values, 0, -1)).astype(dtype, copy=False), valid


def _indexes(
    file: DatasetReader,
    name: str,
    file_bands: Sequence[str],
    dtype: str,
    bands: Sequence[str],
    like: str,
) -> list[int]:
    """The numbers, from 1, of the bands that are wanted."""
    # All bands where that is their number, opacity left out where there is one more.
    alpha = file.count == len(file_bands)
    names = band_names(file, alpha)
    numbers = [
        i
        for i, colour in enumerate(file.colorinterp, 1)
        if alpha or file.descriptions[i - 1] or colour is not ColorInterp.alpha
    ]
    held = 'float32' if file.dtypes[0] == 'float64' else file.dtypes[0]
    check_kind(name, len(names), held, file_bands, dtype, like)
    known, here = [plain(band) for band in file_bands], [plain(band) for band in names]
    if any(file.descriptions) and are_named(file_bands):
        if set(known) != set(here):
            other = f'those of {like}' if like else 'the run was trained on'
            raise UserError(
                f'{name}: its bands are {", ".join(names)}, and {other} {", ".join(file_bands)}'
            )
        order = [here.index(band) for band in known]
        numbers = [numbers[i] for i in order]
    return [numbers[known.index(plain(band))] for band in bands]


def valid_pixels(
    file: DatasetReader, indexes: Sequence[int], values: np.ndarray, nodata: float | None = None
) -> np.ndarray:
    """Which pixels of an open TIFF hold data, bool `[height, width]`.

    Args:
      indexes: numbers from 1 of the bands that are read.
      values: of these, `[bands, height, width]`.
      nodata: the value for no data; None for what the file says.
    """
    flags = [file.mask_flag_enums[index - 1] for index in indexes]
    masked = any(MaskFlags.all_valid not in one for one in flags)
    if masked or nodata is not None:
        return Validity(file, indexes, nodata).of(values)
    return np.isfinite(values).all(0)


def _of_picture(
    data: bytes,
    name: str,
    file_bands: Sequence[str],
    dtype: str,
    bands: Sequence[str],
    nodata: float | None,
    like: str,
) -> tuple[np.ndarray, np.ndarray]:
    encoded = without_opaque_alpha(read_encoded(data, name))
    pixels, valid = encoded.pixels, np.ones(encoded.pixels.shape[:2], bool)
    if encoded.alpha and pixels.shape[-1] == len(file_bands) + 1:
        pixels, valid = pixels[..., :-1], pixels[..., -1] > 0
    if pixels.dtype == np.bool_:
        pixels = pixels.astype(np.uint8) * np.uint8(255)
    check_kind(name, pixels.shape[-1], str(pixels.dtype), file_bands, dtype, like)
    pixels = pixels[..., [list(file_bands).index(band) for band in bands]]
    if nodata is not None:
        valid = valid & ~(pixels == nodata).all(-1)
    return np.ascontiguousarray(pixels), valid


def check_kind(
    name: str, count: int, held: str, file_bands: Sequence[str], dtype: str, like: str
) -> None:
    """Refuses a file of another number of bands, or another type, than all must have.

    Args:
      name: of the file, for the message.
      count, held: the number of its bands, and their type.
      file_bands, dtype, like: as in `decode_own`.

    Raises:
      UserError: one line with both kinds.
    """
    if (count, held) == (len(file_bands), dtype):
        return
    wanted = f'{len(file_bands)} band(s) of {dtype}'
    if like:
        raise UserError(
            f'{name}: {counted(count, "band")} of {held}, and {like} has {wanted}: the images of a'
            ' data set must be of one kind; convert one of them, or leave it out'
        )
    known = '' if held in TYPES else f' (these types are read: {", ".join(TYPES)})'
    raise UserError(
        f'{name}: {count} band(s) of {held}; expected {wanted}: {", ".join(file_bands)}{known}'
    )


def resampled(
    pixels: np.ndarray, valid: np.ndarray, side: int | None, fill: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Pixels and mask at another size: the mean of what holds data, where most of a pixel does.

    Args:
      pixels: `[height, width, bands]`.
      valid: bool `[height, width]`, which of them hold data.
      side: height and width of the result; None leaves them.
      fill: `[bands]`, the values of a pixel of the result without data.
    """
    if side is None or pixels.shape[:2] == (side, side):
        return pixels, valid
    if valid.all():
        return resample(pixels[None], side)[0], np.ones((side, side), bool)
    weights = valid[..., None].astype(np.float32)
    known = np.where(valid[..., None], pixels, 0).astype(np.float32)
    # By the filter of images that lack nothing, or those that do would look smoother.
    total, share = (resample_floats(one, side, pixels.dtype) for one in (known, weights))
    held = share[..., 0] >= 0.5
    means = total / np.maximum(share, 1e-6)
    if pixels.dtype.kind in 'ui':
        limits = np.iinfo(pixels.dtype)
        means = np.clip(np.rint(means), limits.min, limits.max)
    return np.where(held[..., None], means, fill).astype(pixels.dtype), held
