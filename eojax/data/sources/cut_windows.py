"""Windows of a source's places that stand as places of their own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from eojax.data.dataset import Source, Window, check_window


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
