"""Encoded images (JPEG, PNG, TIFF) to one uint8 array, in parallel."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from PIL import Image
from tqdm import tqdm

from eojax.errors import UserError

# The formats that are tried, whatever the file is called: no interpreter is ever behind them.
FORMATS = ('JPEG', 'PNG', 'TIFF')
BANDS_OF_MODE = {'L': 1, 'RGB': 3, 'RGBA': 4, 'P': 3}
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

    Args:
      data: the content of the file.
      name: for messages.
      num_bands: 1, 3 or 4; an image of another number is refused.
      size: height and width that the file must have, in pixels.
      resize: height and width to resample to (bicubic, with a low-pass filter where it shrinks);
        an image that is not square is stretched.

    Raises:
      UserError: broken, of another size, of another number of bands, not 8 bits a band.
    """
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as file:
            _check_layout(file, name, num_bands, size)
            image: Image.Image = file
            if image.mode == 'P':
                image = image.convert('RGB')
            if resize is not None and image.size != (resize, resize):
                image = image.resize((resize, resize), Image.Resampling.BICUBIC)
            pixels = np.asarray(image)
    except Image.UnidentifiedImageError:
        raise UserError(f'{name}: not a JPEG, PNG or TIFF image') from None
    except UserError:
        raise
    except Exception as error:  # damaged content makes the decoders raise nearly anything
        reason = ' '.join(str(error).split()) or type(error).__name__
        raise UserError(f'{name}: broken image ({reason})') from None
    return pixels.reshape(*pixels.shape[:2], num_bands)


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

    executor = ThreadPoolExecutor(min(MAX_THREADS, os.cpu_count() or 1))
    bar = tqdm(total=len(names), desc=f'decoding {title}', unit='img', disable=not progress)
    try:
        bar.update(1)
        for num in executor.map(decode_range, range(1, len(names), IMAGES_PER_TASK)):
            bar.update(num)
    finally:
        bar.close()
        executor.shutdown(wait=True, cancel_futures=True)
    return images


def _check_layout(
    image: Image.Image, name: str, num_bands: int, size: int | tuple[int, int] | None
) -> None:
    bands = BANDS_OF_MODE.get(image.mode)
    if bands is None:
        raise UserError(f'{name}: pixels of type {image.mode!r}; expected 8 bits a band')
    if bands != num_bands:
        raise UserError(f'{name}: {bands} band(s); expected {num_bands}')
    if size is None:
        return
    height, width = (size, size) if isinstance(size, int) else size
    if image.size != (width, height):
        raise UserError(
            f'{name}: {image.width}x{image.height} pixels; expected {width}x{height}'
            ' (remove the image, or have all of them resized)'
        )
