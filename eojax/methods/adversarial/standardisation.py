"""Rasters as two networks that are trained against each other should get them.

Heights of a country span hundreds of metres, and those of one window a few: scaled by the limits of
the data set, all pixels of a window have nearly one value. Then a small move of a first kernel
moves all its outputs by many of their standard deviations, which running statistics of batch
normalisation cannot follow, and a discriminator whose kernels are bounded hardly sees relief. So
each band is brought to mean 0 and standard deviation 1 over windows of the training places.

Heights of one place need not occur in another, and a network that knows altitudes may do anything
beyond those of its training. `relief` leaves them out: the mean over a square around each pixel is
subtracted first, of as many pixels of the square as lie in the image. What an edit changes stays
local.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from eojax.data.dataset import Dataset
from eojax.methods.pixels.fitted_windows import read_windows

# Of a band that hardly varies, in units of [-1, 1]: one step of 8 bits.
_LEAST = 2.0 / 255.0
# Below this, a band does not vary: sums of many pixels are no more exact.
_ROUNDING = 1e-5


class Moments(NamedTuple):
    """Of each band over training windows, float32 `[bands]`, of values in [-1, 1].

    Attributes:
      mean: over all pixels.
      deviation: the standard deviation, 1 of a band that does not vary.
    """

    mean: Any
    deviation: Any


def shapes_of(bands: int) -> Moments:
    """Shapes and types of what `fit` returns."""
    shape = jax.ShapeDtypeStruct((bands,), np.float32)
    return Moments(shape, shape)


def fit(training: Dataset, rasters: Sequence[str], side: int, around: int = 0) -> Moments:
    """The moments of windows of the training places; it reads and computes on the host.

    Args:
      rasters: that the networks see, side by side.
      side: of the windows in pixels.
      around: the side of the squares of `relief`; 0 for values as they are.

    Raises:
      UserError: none of the windows holds data; or a file that cannot be read, by name.
    """
    windows = read_windows(training, rasters, side)
    if around:
        windows = np.asarray(relief(jnp.asarray(windows), around))
    pixels = windows.reshape(-1, windows.shape[-1])
    deviation = pixels.std(0, dtype=np.float64)
    kept = np.where(deviation > _ROUNDING, np.maximum(deviation, _LEAST), 1.0)
    return Moments(pixels.mean(0, dtype=np.float64).astype(np.float32), kept.astype(np.float32))


def standardised(raster: Array, moments: Any) -> Array:
    """`[N, h, w, bands]` by `moments`; as it is where there are none, `()`."""
    if not isinstance(moments, Moments):
        return raster
    return (raster - moments.mean) / moments.deviation


def relief(raster: Array, side: int) -> Array:
    """`[N, h, w, bands]` less the mean over the square of a side, odd, around each pixel."""
    shape = (1, *raster.shape[1:3], 1)
    counted = _sums(jnp.ones(shape, raster.dtype), side)
    return raster - _sums(raster, side) / counted


def _sums(raster: Array, side: int) -> Array:
    """Sums over squares, cut off at the image's borders."""
    half = side // 2
    for axis in (1, 2):
        length = raster.shape[axis]
        sums = jnp.cumsum(raster, axis)
        sums = jnp.pad(sums, [(1, 0) if n == axis else (0, 0) for n in range(4)])
        places = np.arange(length)
        after, before = np.minimum(places + half + 1, length), np.maximum(places - half, 0)
        raster = jnp.take(sums, after, axis) - jnp.take(sums, before, axis)
    return raster
