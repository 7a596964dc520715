"""Encoded images (JPEG, PNG, TIFF, ...) to one uint8 array, in parallel."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from PIL import Image
from tqdm import tqdm

from eojax.data.reading.formats.encoded import Encoded, read_encoded, without_opaque_alpha
from eojax.errors import UserError

# Small images spend half of their time under the interpreter's lock: more threads only contend.
MAX_THREADS = 8
IMAGES_PER_TASK = 64


def decode_image(
    data: bytes,
    name: str,
    *,
    num_bands: int = 3,
    size: int | tuple[int, int] | None = None,
    resize: int | None = None,
) -> np.ndarray:
    """One image as uint8 `[height, width, num_bands]`, values 0 to 255.

    Colours of a palette are looked up, the image is turned as its EXIF orientation says, black and
    white become 0 and 255, opacity that is full everywhere is left out. An image of 16 bits a band
    is taken where all its values are 8-bit ones times 257, which says the same of white.

    Args:
      data: the content of the file.
      name: for messages.
      num_bands: 1, 3 or 4; an image of another number is refused.
      size: height and width that the image must have, in pixels.
      resize: height and width to resample to (bicubic, with a low-pass filter where it shrinks);
        an image that is not square is stretched.

    Raises:
      UserError: broken, of another size, of another number of bands, transparent, not 8 bits a
        band.
    """
    pixels = _bands_wanted(read_encoded(data, name), name, num_bands)
    _check_size(pixels, name, size)
    pixels = _eight_bits(pixels, name)
    if resize is not None and pixels.shape[:2] != (resize, resize):
        pixels = _resized(pixels, resize)
    return pixels


def decode_images(
    names: Sequence[str],
    read: Callable[[int], bytes],
    *,
    num_bands: int = 3,
    size: int | None = None,
    resize: int | None = None,
    progress: bool = True,
    title: str = 'images',
) -> np.ndarray:
    """All images, in order, as uint8 `[num, height, width, num_bands]`.

    Without `size` and `resize`, all images must have the first one's height and width.

    Args:
      names: for messages, one per image, at least one.
      read: the content of image `i`; called from several threads.
      progress: show a bar on stderr.
      num_bands, size, resize: as in `decode_image`.

    Raises:
      UserError: the first image, in order, that cannot be read or decoded.
    """
    if resize is not None and resize < 1:
        raise UserError(f'images cannot be resized to {resize} pixels; give a positive number')
    first = decode_image(read(0), names[0], num_bands=num_bands, size=size, resize=resize)
    expected = size if size is not None or resize is not None else first.shape[:2]
    images = np.empty((len(names), *first.shape), np.uint8)
    images[0] = first

    def decode_range(start: int) -> int:
        stop = min(start + IMAGES_PER_TASK, len(names))
        for i in range(start, stop):
            images[i] = decode_image(
                read(i), names[i], num_bands=num_bands, size=expected, resize=resize
            )
        return stop - start

    in_threads(
        decode_range,
        range(1, len(names), IMAGES_PER_TASK),
        len(names),
        f'decoding {title}',
        progress,
        done=1,
    )
    return images


def in_threads(
    task: Callable[[int], int],
    starts: range,
    total: int,
    title: str,
    progress: bool,
    *,
    done: int = 0,
    threads: int = MAX_THREADS,
) -> None:
    """Calls a task for parts of some images, several at once; the first error, in order, ends it.

    Args:
      task: takes the number of a part's first image, and returns how many images it did.
      total: number of images.
      title: of the bar.
      progress: show a bar on stderr.
      done: images that need no call.
      threads: at most.
    """
    executor = ThreadPoolExecutor(min(threads, os.cpu_count() or 1))
    bar = tqdm(total=total, desc=title, unit='img', disable=not progress)
    try:
        bar.update(done)
        for num in executor.map(task, starts):
            bar.update(num)
    finally:
        bar.close()
        executor.shutdown(wait=True, cancel_futures=True)


def _bands_wanted(encoded: Encoded, name: str, num_bands: int) -> np.ndarray:
    bands = encoded.pixels.shape[-1]
    if bands == num_bands:
        return encoded.pixels
    if encoded.alpha and bands == num_bands + 1:
        opaque = without_opaque_alpha(encoded)
        if not opaque.alpha:
            return opaque.pixels
        raise UserError(
            f'{name}: has transparent pixels, of which nobody knows what they show; save it without'
            ' an alpha channel, or remove it'
        )
    grey = '; it is grey: save it in three colours (RGB)' if (bands, num_bands) == (1, 3) else ''
    raise UserError(f'{name}: {bands} band(s); expected {num_bands}{grey}')


def _check_size(pixels: np.ndarray, name: str, size: int | tuple[int, int] | None) -> None:
    expected = (size, size) if isinstance(size, int) else size
    if expected is not None and pixels.shape[:2] != tuple(expected):
        (rows, columns), (height, width) = pixels.shape[:2], expected
        raise UserError(
            f'{name}: {columns}x{rows} pixels; expected {width}x{height}'
            ' (remove the image, or have all of them resized)'
        )


def _eight_bits(pixels: np.ndarray, name: str) -> np.ndarray:
    if pixels.dtype == np.uint8:
        return pixels
    if pixels.dtype == np.bool_:
        return pixels.astype(np.uint8) * np.uint8(255)
    if pixels.dtype == np.uint16 and not (pixels % 257).any():
        return (pixels // 257).astype(np.uint8)
    low, high = np.nanmin(pixels), np.nanmax(pixels)
    raise UserError(
        f'{name}: pixels of type {pixels.dtype}, {low:g} to {high:g}; expected 8 bits a band:'
        ' bring all images to 0 to 255 by the same limits (gdal_translate -ot Byte -scale LOW HIGH'
        ' 0 255)'
    )


def _resized(pixels: np.ndarray, side: int) -> np.ndarray:
    """Resampled band by band where there are four: Pillow would weight colours by the fourth."""
    bands = pixels.shape[-1]
    if bands == 3:
        image = Image.fromarray(pixels)
        return np.asarray(image.resize((side, side), Image.Resampling.BICUBIC))
    parts = [Image.fromarray(np.ascontiguousarray(pixels[..., band])) for band in range(bands)]
    resized = [part.resize((side, side), Image.Resampling.BICUBIC) for part in parts]
    return np.stack([np.asarray(part) for part in resized], -1)
