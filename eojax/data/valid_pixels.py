"""Which pixels hold data in all rasters of what a source has read, on the host."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from eojax.data.facts import Facts, is_mask


def valid_pixels(read: Mapping[str, np.ndarray], facts: Facts, size: tuple[int, int]) -> np.ndarray:
    """The pixels that hold data in every raster whose mask was read, bool `size`.

    Args:
      read: of one place or window, as `eojax.data.dataset.Source.read` gives it; without a mask
        (`Facts.masks`) all pixels hold data.
      facts: of the data set.
      size: height and width, in pixels of the place.
    """
    valid = np.ones(size, bool)
    for name, mask in read.items():
        if is_mask(name):
            valid &= repeated(mask, facts.stored(name).scale)
    return valid


def repeated(raster: np.ndarray, scale: int) -> np.ndarray:
    """A raster or mask `[h, w, ...]` at the resolution of the place, each pixel repeated."""
    return raster if scale == 1 else raster.repeat(scale, 0).repeat(scale, 1)
