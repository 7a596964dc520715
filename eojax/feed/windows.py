"""Random windows: which place, and where in it, as a function of the stream's key and the position.

Equally large places come in the shuffled epochs of whole images (`eojax.feed.permutation`). Of
places that differ in size each is drawn with a probability that is its share of all pixels. The
corner is uniform among those where the window fits, in steps of the grid of the rasters. Both ways
in compute with the same 32 bits, on the devices by jax and on the host by NumPy, and agree bit for
bit.
"""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np
from jax import Array

from eojax.feed.permutation import random_words, word_seeds

# Words that a draw takes: one for the place, one for the row, one for the column.
_PLACE, _ROW, _COLUMN = range(3)


def window_seeds(key: Array) -> Array:
    """Seeds of the windows of a stream, uint32 `[3, 6]`; `key` is that of its order."""
    return word_seeds(key, 3)


def area_thresholds(heights: np.ndarray, widths: np.ndarray) -> np.ndarray:
    """Where the shares of places end among the numbers of 32 bits, but for the last.

    Args:
      heights, widths: integers `[num]`, positive.

    Returns:
      uint32 `[num - 1]`, ascending. The share of a place is exact to 2**-32.
    """
    ends = np.cumsum(heights.astype(np.int64) * widths)
    return np.floor(ends[:-1] / ends[-1] * 2.0**32).astype(np.uint32)


def draw_places(positions: Any, seeds: Any, thresholds: Any) -> Any:
    """For each position a place, by area.

    Args:
      positions: integers `[num]`, 0 to 2**31 - 1, of jax or of NumPy.
      seeds: `window_seeds`.
      thresholds: `area_thresholds` of the places.

    Returns:
      int32 `[num]`, numbers of places.
    """
    words = random_words(positions, seeds[_PLACE])
    if isinstance(words, np.ndarray):
        return np.searchsorted(thresholds, words, side='right').astype(np.int32)
    # Without a loop, in which devices with a share of the batch each would have to agree.
    places = jnp.searchsorted(thresholds, words, side='right', method='scan_unrolled')
    return places.astype(np.int32)


def draw_corners(
    positions: Any, seeds: Any, heights: Any, widths: Any, window: int, grid: int
) -> tuple[Any, Any]:
    """For each position the row and the column of the window's upper left corner.

    Args:
      positions: integers `[num]`, 0 to 2**31 - 1, of jax or of NumPy.
      seeds: `window_seeds`.
      heights, widths: integers `[num]` or one for all, of the places that were drawn, at least
        `window`.
      window: its side.
      grid: rows and columns are multiples of it.

    Returns:
      int32 `[num]` each.
    """

    def corner(word: int, sizes: Any) -> Any:
        choices = ((sizes - window) // grid + 1).astype(np.uint32)
        return _scaled(random_words(positions, seeds[word]), choices).astype(np.int32) * grid

    return corner(_ROW, heights), corner(_COLUMN, widths)


def _scaled(words: Any, choices: Any) -> Any:
    """`floor(words * choices / 2**32)`, from 0 to `choices - 1`, without numbers of 64 bits."""
    high, low = words >> 16, words & 0xFFFF
    top, bottom = choices >> 16, choices & 0xFFFF
    # Products of halves fit into 32 bits, and so does each sum below.
    middle = (low * bottom >> 16) + (high * bottom & 0xFFFF) + (low * top & 0xFFFF)
    return high * top + (high * bottom >> 16) + (low * top >> 16) + (middle >> 16)
