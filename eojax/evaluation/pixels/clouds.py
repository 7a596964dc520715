"""Clouds painted on images: something that a land-cover model has not seen, and where it lies.

A cloud is where a field of smoothed noise is high. Its core hides the ground, its rim lets it
through; it is nearly white, of every band's upper values.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.ndimage import gaussian_filter

from eojax.data.facts import Raster

# Sizes of the smoothing in shares of the window's side, and the weight of the finer one.
_LARGE, _SMALL, _FINE = 0.12, 0.03, 0.25
# From this to that of the field's spread above the cover's threshold, a cloud becomes opaque.
_RIM = 0.5
# Of the range of a band, where 1 is its upper limit: the brightest, and how much darker it gets.
_BRIGHT, _DARKER = 1.0, 0.15


class Clouded(NamedTuple):
    """Images under clouds.

    Attributes:
      images: `[num, h, w, bands]`, as stored.
      opacity: float32 `[num, h, w]`: 0 where there is no cloud, 1 where one hides the ground.
    """

    images: np.ndarray
    opacity: np.ndarray


def paint_clouds(images: np.ndarray, raster: Raster, cover: float = 0.4, seed: int = 0) -> Clouded:
    """Paints clouds over a share of each image.

    Args:
      images: `[num, h, w, bands]`, as stored.
      raster: theirs.
      cover: the share of the pixels that a cloud touches.
      seed: of all of them; the same images get the same clouds.
    """
    generator = np.random.default_rng(seed)
    low, high = _range(images.dtype, raster)
    painted, opacity = np.empty_like(images), np.empty(images.shape[:3], np.float32)
    for number, image in enumerate(images):
        field = _field(generator, image.shape[:2])
        threshold = np.quantile(field, 1.0 - cover)
        alpha = np.clip((field - threshold) / (_RIM * field.std()), 0.0, 1.0)
        shade = _BRIGHT - _DARKER * np.abs(_field(generator, image.shape[:2]))
        cloud = low + (high - low) * np.clip(shade, 0.0, 1.0)[..., None]
        mixed = (1.0 - alpha[..., None]) * image + alpha[..., None] * cloud
        whole = np.issubdtype(images.dtype, np.integer)
        painted[number] = np.rint(mixed) if whole else mixed
        opacity[number] = alpha
    return Clouded(painted, opacity)


def _range(dtype: np.dtype, raster: Raster) -> tuple[np.ndarray, np.ndarray]:
    """The values of each band that become -1 and +1."""
    if dtype == np.uint8 or raster.limits is None:
        return np.zeros(1), np.full(1, 255.0)
    low, high = np.asarray(raster.limits, np.float64).T
    return low, high


def _field(generator: np.random.Generator, shape: tuple[int, int]) -> np.ndarray:
    """Smooth noise of mean 0 and variance 1."""
    side = min(shape)
    field = np.zeros(shape)
    for size, weight in ((_LARGE, 1.0), (_SMALL, _FINE)):
        smooth = gaussian_filter(generator.standard_normal(shape), size * side, mode='reflect')
        field += weight * smooth / max(smooth.std(), 1e-12)
    return (field - field.mean()) / max(field.std(), 1e-12)
