"""One large picture that holds places of different sizes: windows are cut from one array."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from eojax.errors import UserError


class Shelves(NamedTuple):
    """Where each place lies in the picture.

    Attributes:
      height, width: of the picture in pixels, multiples of the grid.
      tops, lefts: int32 `[num]`, the upper left corner of each place, multiples of the grid.
    """

    height: int
    width: int
    tops: np.ndarray
    lefts: np.ndarray


def arrange(heights: np.ndarray, widths: np.ndarray, grid: int) -> Shelves:
    """Puts places on shelves, the highest first, each beside the one before while there is room.

    The next shelf stands below the highest place of the one before (next fit by decreasing
    height: Coffman, Garey, Johnson and Tarjan, 1980).

    Args:
      heights, widths: integers `[num]`, of the places in pixels.
      grid: what the coordinates are multiples of.

    Raises:
      UserError: the picture has more rows than 32 bits can count.
    """
    rows = (-(-heights.astype(np.int64) // grid) * grid).tolist()
    columns = (-(-widths.astype(np.int64) // grid) * grid).tolist()
    area = sum(row * column for row, column in zip(rows, columns, strict=True))
    width = max(max(columns), -(-math.isqrt(area) // grid) * grid)
    tops, lefts = np.zeros(len(rows), np.int32), np.zeros(len(rows), np.int32)
    top = left = shelf = 0
    for place in sorted(range(len(rows)), key=lambda place: -rows[place]):
        if left + columns[place] > width:
            top, left, shelf = top + shelf, 0, 0
        if top + rows[place] >= 2**31 or width >= 2**31:
            raise UserError('the training places are too large to lie on the devices: stream them')
        tops[place], lefts[place] = top, left
        left, shelf = left + columns[place], max(shelf, rows[place])
    return Shelves(top + shelf, width, tops, lefts)


def uneven_height(height: int, grid: int, scales: Sequence[int]) -> int:
    """The picture's height, with a few lines more where 32 divides that of a raster.

    On a TPU XLA keeps such a raster of 8 bits in tiles of 32 lines, and lays all of it out anew
    before it cuts a window from it, for every window.

    Args:
      height: in pixels of the places, a multiple of `grid`, which what is given is too.
      scales: how many of these pixels a pixel of each raster covers along an axis.
    """
    heights = range(height, height + 32 * grid, grid)
    return next((h for h in heights if all(h // scale % 32 for scale in scales)), height)
