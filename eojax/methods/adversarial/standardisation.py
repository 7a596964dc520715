"""Rasters as two networks that are trained against each other should get them.

Heights of a country span hundreds of metres, and those of one window a few: scaled by the limits of
the data set, all pixels of a window have nearly one value. Then a small move of a first kernel
moves all its outputs by many of their standard deviations, which running statistics of batch
normalisation cannot follow, and a discriminator whose kernels are bounded hardly sees relief. So
each band is brought to mean 0 and standard deviation 1 over windows of the training places.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from jax import Array

from eojax.data.dataset import Dataset
from eojax.methods.pixels.fitted_windows import bands_of, read_windows

# Of a band that hardly varies, in units of [-1, 1]: one step of 8 bits.
_LEAST = 2.0 / 255.0


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


def fit(training: Dataset, rasters: Sequence[str], side: int) -> Moments:
    """The moments of windows of the training places; it reads and computes on the host.

    Args:
      rasters: that the networks see, side by side.
      side: of the windows in pixels.

    Raises:
      UserError: none of the windows holds data; or a file that cannot be read, by name.
    """
    pixels = read_windows(training, rasters, side).reshape(-1, bands_of(training.facts, rasters))
    deviation = pixels.std(0, dtype=np.float64)
    kept = np.where(deviation > 0.0, np.maximum(deviation, _LEAST), 1.0)
    return Moments(pixels.mean(0, dtype=np.float64).astype(np.float32), kept.astype(np.float32))


def standardised(raster: Array, moments: Any) -> Array:
    """`[N, h, w, bands]` by `moments`; as it is where there are none, `()`."""
    if not isinstance(moments, Moments):
        return raster
    return (raster - moments.mean) / moments.deviation
