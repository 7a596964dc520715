"""Square patches of a scene: where they lie, and how they become a network's input."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from PIL import Image

from eojax.data.facts import Facts


def patch_places(height: int, width: int, patch: int, stride: int) -> Iterator[tuple[int, int]]:
    """Rows and columns of the upper left corners of all patches that lie in a scene, row by row."""
    for row in range(0, height - patch + 1, stride):
        for column in range(0, width - patch + 1, stride):
            yield row, column


def resample(patches: np.ndarray, size: int) -> np.ndarray:
    """Patches `[num, height, width, bands]` to `[num, size, size, bands]`, as training images are.

    uint8: bicubic with a low-pass filter, as `eojax.data.reading.decode`; uint16: the mean over the
    ground that a pixel covers where that shrinks them, else bilinear, as
    `eojax.data.reading.geotiff`; others bilinear, floats not rounded.
    """
    if patches.shape[1:3] == (size, size):
        return patches
    out = np.empty((len(patches), size, size, patches.shape[-1]), patches.dtype)
    if patches.dtype == np.uint8 and patches.shape[-1] == 3:
        for image, patch in zip(out, patches, strict=True):
            small = Image.fromarray(patch).resize((size, size), Image.Resampling.BICUBIC)
            image[:] = np.asarray(small)
        return out
    if patches.dtype == np.uint16 and size < max(patches.shape[1:3]):
        rows, columns = (_shares(length, size) for length in patches.shape[1:3])
        averaged = np.einsum('rh,nhwb,cw->nrcb', rows, patches, columns, optimize=True)
        return np.rint(averaged).astype(np.uint16)
    for image, patch in zip(out, patches, strict=True):
        for band in range(patches.shape[-1]):
            if patches.dtype == np.uint8:
                grey, kind = Image.fromarray(patch[..., band]), Image.Resampling.BICUBIC
            else:
                floats = patch[..., band].astype(np.float32)
                grey, kind = Image.fromarray(floats), Image.Resampling.BILINEAR
            resized = np.asarray(grey.resize((size, size), kind))
            image[..., band] = np.rint(resized) if patches.dtype.kind in 'ui' else resized
    return out


def resample_floats(patch: np.ndarray, size: int, dtype: np.dtype) -> np.ndarray:
    """One patch `[height, width, bands]` of floats, by the filter that `resample` has for a type.

    Args:
      dtype: of the images that it belongs to.

    Returns:
      float32 `[size, size, bands]`, not rounded.
    """
    if dtype == np.uint16 and size < max(patch.shape[:2]):
        rows, columns = (_shares(length, size) for length in patch.shape[:2])
        averaged: np.ndarray = np.einsum('rh,hwb,cw->rcb', rows, patch, columns, optimize=True)
        return averaged.astype(np.float32)
    kind = Image.Resampling.BICUBIC if dtype == np.uint8 else Image.Resampling.BILINEAR
    bands = np.moveaxis(patch.astype(np.float32), -1, 0)
    images = (Image.fromarray(np.ascontiguousarray(band)) for band in bands)
    return np.stack([np.asarray(image.resize((size, size), kind)) for image in images], -1)


def _shares(length: int, size: int) -> np.ndarray:
    """Which share each of `length` pixels has in each of `size` larger ones, `[size, length]`."""
    ends = np.arange(size + 1) * length / size
    pixels = np.arange(length)
    overlap = np.minimum(ends[1:, None], pixels + 1) - np.maximum(ends[:-1, None], pixels)
    return np.maximum(overlap, 0.0) * size / length


def patch_pixels(facts: Facts, size: int, pixel_metres: float | None) -> int:
    """The side in a scene's pixels of a patch that shows as much ground as a training image.

    Args:
      facts: of the data set.
      size: of the network's input, in pixels.
      pixel_metres: the side of a scene's pixel on the ground; None where it is not known.

    Returns:
      Where the extent of the training images or of the pixels is not known, the training images'
      own number of pixels.
    """
    extent = facts.extent_metres
    if extent is not None and pixel_metres is not None:
        return max(1, round(extent / pixel_metres))
    return (facts.files and facts.files.size) or size
