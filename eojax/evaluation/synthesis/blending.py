"""Windows of a map that overlap, blended into one image so that no seam shows.

A generator pads its inputs at the border of a window, and so it makes another image there than in
the middle of the next one. Where two windows overlap by o pixels one fades out as the other fades
in: at the position t from its border, 0 to o - 1,

    w(t) = sin^2(pi / 2 (t + 1/2) / o),

and 1 farther inside; the weight of a window at a pixel is the product of both axes, and the image
is the weighted mean. What one window alone shows is as that window has it, bit for bit.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

# Of the side of a window: the overlap where nobody says another.
QUARTER = 0.25


class Grid(NamedTuple):
    """Where windows lie.

    Attributes:
      height, width: of the map, in pixels.
      high, wide: of a window.
      overlap: of windows beside each other, in pixels, where the map has room.
      tops: the first rows of windows, rising.
      lefts: the first columns of windows, rising.
    """

    height: int
    width: int
    high: int
    wide: int
    overlap: int
    tops: Sequence[int]
    lefts: Sequence[int]


def grid_of(height: int, width: int, side: int, overlap: int) -> Grid:
    """Windows that cover a map; those of the last row and column are moved inwards.

    Args:
      side: of a window, in pixels; a smaller map is one window.
      overlap: of windows beside each other, from 0 to below the side.
    """
    high, wide = min(side, height), min(side, width)
    tops, lefts = (_starts(*pair, overlap) for pair in ((height, high), (width, wide)))
    return Grid(height, width, high, wide, overlap, tops, lefts)


def _starts(length: int, side: int, overlap: int) -> list[int]:
    last, step = length - side, side - overlap
    return sorted({min(start, last) for start in range(0, last + step, step)}) if last else [0]


class Blend:
    """Weighted means over the windows that show each pixel of the rows from the top of a strip.

    Windows come strip after strip; `[high, width, bands]` in float32 is held, so that memory grows
    with the map's width and not with its height. What none of the windows shows is 0.
    """

    def __init__(self, grid: Grid, bands: int) -> None:
        self._grid = grid
        self._sums = np.zeros((grid.high, grid.width, bands), np.float32)
        # All windows that show a pixel count, whether they come or not.
        self._down = _Axis(grid.height, grid.tops, grid.high, grid.overlap)
        self._across = _Axis(grid.width, grid.lefts, grid.wide, grid.overlap)
        self._top = 0

    def add(self, left: int, image: np.ndarray) -> None:
        """A window of the present strip, float32 `[high, wide, bands]`."""
        share = np.outer(self._down.shares(self._top), self._across.shares(left))
        self._sums[:, left : left + self._grid.wide] += share[..., None] * image

    def rows(self, num: int) -> np.ndarray:
        """The first rows, which no later window shows; then the next strip begins below them."""
        values = self._sums[:num].copy()
        self._top += num
        kept = len(self._sums) - num
        self._sums[:kept] = self._sums[num:]
        self._sums[kept:] = 0.0
        return values


def weights(side: int, overlap: int) -> np.ndarray:
    """How much each position along an axis of a window counts, float32 `[side]`, above 0."""
    if not overlap:
        return np.ones(side, np.float32)
    near = np.minimum((np.arange(side) + 0.5) / overlap, 1.0)
    rising = np.sin(0.5 * np.pi * near) ** 2
    return (rising * rising[::-1]).astype(np.float32)


class _Axis:
    """Weights along an axis of a grid."""

    def __init__(self, length: int, starts: Sequence[int], side: int, overlap: int) -> None:
        self._along = weights(side, min(overlap, side - 1))
        self._totals = np.zeros(length, np.float32)
        for start in starts:
            self._totals[start : start + side] += self._along

    def shares(self, start: int) -> np.ndarray:
        """The share that a window has of each of its positions; 1 where it is alone."""
        shares: np.ndarray = self._along / self._totals[start : start + len(self._along)]
        return shares
