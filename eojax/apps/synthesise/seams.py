"""A measure of seams: the mean step from pixel to pixel across window borders, and elsewhere."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from eojax.evaluation.synthesis.blending import Grid


class Seams:
    """Adds up the steps of an image that comes from the top, in the units of its values."""

    def __init__(self, grid: Grid) -> None:
        self._rows = _borders(grid.tops, grid.high, grid.height)
        self._columns = _borders(grid.lefts, grid.wide, grid.width)
        self._last: tuple[np.ndarray, np.ndarray] | None = None
        self._top = 0
        self._sums, self._nums = np.zeros(2), np.zeros(2, np.int64)

    def add(self, images: np.ndarray, valid: np.ndarray) -> None:
        """The next rows `[rows, width, bands]`, and where they have data."""
        values = images.astype(np.float32)
        self._count(np.abs(np.diff(values, axis=1)), valid[:, 1:] & valid[:, :-1], self._columns)
        if self._last is not None:
            values = np.concatenate([self._last[0], values])
            valid = np.concatenate([self._last[1], valid])
        first = self._top - (self._last is not None)
        steps = np.abs(np.diff(values, axis=0)).swapaxes(0, 1)
        both = (valid[1:] & valid[:-1]).swapaxes(0, 1)
        self._count(steps, both, self._rows[first : first + steps.shape[1]])
        self._top += len(images)
        self._last = values[-1:], valid[-1:]

    def means(self) -> tuple[float | None, float | None]:
        """The mean step across borders of windows, and of all others; None where there are none."""
        across, elsewhere = (
            None if not num else float(total / num)
            for total, num in zip(self._sums, self._nums, strict=True)
        )
        return across, elsewhere

    def _count(self, steps: np.ndarray, valid: np.ndarray, borders: np.ndarray) -> None:
        """Steps `[lines, positions, bands]`, of which some positions are borders of windows."""
        of_pixel = np.where(valid, steps.mean(-1), 0.0)
        for number, chosen in enumerate((borders, ~borders)):
            self._sums[number] += of_pixel[:, chosen].sum(dtype=np.float64)
            self._nums[number] += int(np.count_nonzero(valid[:, chosen]))


def _borders(starts: Sequence[int], side: int, length: int) -> np.ndarray:
    """Which steps cross the border of a window, bool `[length - 1]`; step i is from i to i + 1."""
    crossed = np.zeros(max(length - 1, 0), bool)
    for start in starts:
        for edge in (start, start + side):
            if 0 < edge < length:
                crossed[edge - 1] = True
    return crossed
