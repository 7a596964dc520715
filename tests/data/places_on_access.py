"""Places whose pixels are their coordinates, made when they are asked for; workers can load it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from eojax.data.dataset import Window
from eojax.data.facts import PIXEL_LABELS, UNKNOWN


class CoordinatePlaces:
    """A source: `images` uint8 row, column, place; `elevation` int16 at half the resolution;
    `sar` float64; `labels` from 0 to 6, and unknown where 7 would be.
    """

    def __init__(self, sizes: np.ndarray) -> None:
        self.sizes = sizes

    def read(
        self, place: int, window: Window | None, rasters: Sequence[str]
    ) -> dict[str, np.ndarray]:
        """See `eojax.data.dataset.Source.read`."""
        height, width = self.sizes[place]
        window = window or Window(0, 0, int(height), int(width))
        assert 0 <= window.row <= height - window.height
        assert 0 <= window.column <= width - window.width
        rows, columns = np.mgrid[
            window.row : window.row + window.height, window.column : window.column + window.width
        ]
        half = np.mgrid[
            window.row // 2 : (window.row + window.height) // 2,
            window.column // 2 : (window.column + window.width) // 2,
        ]
        labels = ((rows * 3 + columns) % 8).astype(np.uint8)
        made = {
            'images': np.stack([rows, columns, np.full_like(rows, place)], -1).astype(np.uint8),
            'elevation': np.stack([half[0] - 100, half[1] + 100], -1).astype(np.int16),
            'sar': (rows + columns + 0.5)[..., None],
            PIXEL_LABELS: np.where(labels == 7, UNKNOWN, labels).astype(np.uint8),
        }
        return {name: made[name] for name in rasters}

    def subset(self, indices: np.ndarray) -> CoordinatePlaces:
        """See `eojax.data.dataset.Source.subset`."""
        raise NotImplementedError


class ConstantPlaces:
    """A source of `images` that are filled with the place's number modulo 251."""

    def __init__(self, size: int) -> None:
        self.size = size

    def read(
        self, place: int, window: Window | None, rasters: Sequence[str]
    ) -> dict[str, np.ndarray]:
        """See `eojax.data.dataset.Source.read`."""
        height, width = (self.size, self.size) if window is None else window[2:]
        return {'images': np.full((height, width, 3), place % 251, np.uint8)}

    def subset(self, indices: np.ndarray) -> ConstantPlaces:
        """See `eojax.data.dataset.Source.subset`."""
        raise NotImplementedError
