"""Which windows of the places are written: a rule, so that none of them has to be listed."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from eojax.data.dataset import Window
from eojax.data.facts import Facts
from eojax.errors import UserError


class Grid(NamedTuple):
    """How windows are cut from a place.

    Attributes:
      window: their side in pixels; 0 takes places whole.
      stride: from one to the next. The last of a row and of a column ends where the place ends.
    """

    window: int = 0
    stride: int = 0


class Windows:
    """The windows of all places in their order, of each place row by row."""

    def __init__(self, heights: np.ndarray, widths: np.ndarray, grid: Grid) -> None:
        """Counts them.

        Args:
          heights, widths: of the places; those smaller than a window have none.
        """
        self._grid = grid
        self._heights, self._widths = np.asarray(heights), np.asarray(widths)
        if grid.window:
            rows, self._across = (_counts(sizes, grid) for sizes in (self._heights, self._widths))
            counts = rows * self._across
        else:
            counts = np.ones(len(self._heights), np.int64)
        self._ends = np.cumsum(counts)
        self.num_without = int((counts == 0).sum())

    def __len__(self) -> int:
        return int(self._ends[-1]) if len(self._ends) else 0

    def __getitem__(self, number: int) -> tuple[int, Window]:
        """The place of a window, and where in it it lies."""
        place = int(np.searchsorted(self._ends, number, side='right'))
        height, width = int(self._heights[place]), int(self._widths[place])
        side, stride = self._grid
        if not side:
            return place, Window(0, 0, height, width)
        before = int(self._ends[place - 1]) if place else 0
        row, column = divmod(number - before, int(self._across[place]))
        top, left = min(row * stride, height - side), min(column * stride, width - side)
        return place, Window(top, left, side, side)


def check_grid(grid: Grid, facts: Facts) -> None:
    """Refuses a grid that cuts pixels of a coarser raster, or leaves ground out.

    Raises:
      UserError: one line that names the option.
    """
    side, stride = grid
    if side < 0 or (side and not 1 <= stride <= side):
        raise UserError(f'--window={side} --stride={stride}: a stride is from 1 to the window')
    for name, raster in facts.rasters.items():
        if side % raster.scale or stride % raster.scale:
            raise UserError(
                f'--window={side} --stride={stride}: must be multiples of {raster.scale}, as a'
                f' pixel of {name} covers so many'
            )


def _counts(sizes: np.ndarray, grid: Grid) -> np.ndarray:
    """How many windows lie along sides of these lengths."""
    between = sizes.astype(np.int64) - grid.window
    return np.where(between < 0, 0, -(-between // grid.stride) + 1)
