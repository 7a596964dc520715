"""Windows of a data set's places that stand as places of their own."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from eojax.data.columns import Names, name_at
from eojax.data.dataset import Dataset, Source, Window, check_window
from eojax.errors import UserError


class CutWindows(NamedTuple):
    """A source of which each place is a square window of a place of another; it pickles.

    Attributes:
      source: of the large places.
      places: int `[num]`, the large place of each window.
      corners: int `[num, 2]`, row and column of its upper left pixel there.
      side: of the windows, in pixels.
    """

    source: Source
    places: np.ndarray
    corners: np.ndarray
    side: int

    def read(
        self, place: int, window: Window | None, rasters: Sequence[str]
    ) -> dict[str, np.ndarray]:
        """See `eojax.data.dataset.Source.read`."""
        inside = Window(0, 0, self.side, self.side) if window is None else window
        check_window(inside, (self.side, self.side), f'window {place}')
        row, column = (int(corner) for corner in self.corners[place])
        moved = inside._replace(row=inside.row + row, column=inside.column + column)
        return self.source.read(int(self.places[place]), moved, rasters)

    def subset(self, indices: np.ndarray) -> CutWindows:
        """See `eojax.data.dataset.Source.subset`."""
        return self._replace(places=self.places[indices], corners=self.corners[indices])


def cut_into_squares(dataset: Dataset, side: int, key: str) -> Dataset:
    """The squares of a grid from each place's upper left corner, as places of their own.

    A square is called `<place>/<row>_<column>`, its position in the grid, and has its place's group
    and part. Where places have no groups, neighbouring squares may be of different parts.

    Args:
      side: of the squares in pixels; what is left at the right and the lower border is left out.
      key: of the option that says the side, for messages.

    Raises:
      UserError: a place smaller than a square, or a side that cuts pixels of a coarse raster.
    """
    _check_squares(dataset, side, key)
    places = dataset.places
    squares = sorted(
        (f'{name_at(places.names, place)}/{row:03}_{column:03}', place, row, column)
        for place in range(places.num)
        for row in range(places.heights[place] // side)
        for column in range(places.widths[place] // side)
    )
    names, whole, rows, columns = zip(*squares, strict=True)
    return windows_as_places(
        dataset, np.array(whole), np.array([rows, columns], np.int32).T * side, side, names
    )


def _check_squares(dataset: Dataset, side: int, key: str) -> None:
    """Refuses squares that do not fit into every place, or that cut pixels of a coarse raster."""
    places = dataset.places
    grid = math.lcm(*(raster.scale for raster in dataset.facts.rasters.values()))
    if side % grid:
        raise UserError(f'{key}={side} must be a multiple of {grid}, the scale of the rasters')
    small = np.flatnonzero(np.minimum(places.heights, places.widths) < side)
    if len(small):
        place = int(small[0])
        raise UserError(
            f'{name_at(places.names, place)}: {places.widths[place]}x{places.heights[place]} pixels'
            f' hold no square of {key}={side}'
        )


def windows_as_places(
    dataset: Dataset, whole: np.ndarray, corners: np.ndarray, side: int, names: Names
) -> Dataset:
    """Square windows of places as a data set.

    Args:
      whole, corners, side: as `places`, `corners` and `side` of `CutWindows`.
      names: of the windows.
    """
    sides = np.full(len(whole), side, np.int32)
    places = dataset.places.subset(whole)
    places = places._replace(names=names, heights=sides, widths=sides.copy())
    source = CutWindows(dataset.source, whole, corners.astype(np.int32), side)
    return Dataset(dataset.facts._replace(size=(side, side)), places, source)
