"""A small data set of places of unlike sizes with all that places can have."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from eojax.data.dataset import Dataset, Places, Window
from eojax.data.facts import Facts, Raster

RASTERS = {
    'images': Raster(),
    'elevation': Raster(('height',), 'float32', ((0.0, 100.0),), scale=2),
    'sar': Raster(('vv', 'vh'), 'int16', ((-2500.0, 0.0),) * 2),
}
SIZES = ((64, 96), (80, 64), (64, 64), (128, 72))


class Tiles(NamedTuple):
    """Rasters `[height, width, bands]` by name, of each place."""

    tiles: tuple[dict[str, np.ndarray], ...]

    def read(
        self, place: int, window: Window | None, rasters: Sequence[str]
    ) -> dict[str, np.ndarray]:
        """See `Source.read`."""
        read = {}
        for name in rasters:
            pixels = self.tiles[place][name]
            if window is not None:
                scale = RASTERS[name].scale if name in RASTERS else 1
                top, left, height, width = (length // scale for length in window)
                pixels = pixels[top : top + height, left : left + width]
            read[name] = pixels.copy()
        return read

    def subset(self, indices: np.ndarray) -> Tiles:
        """See `Source.subset`."""
        return Tiles(tuple(self.tiles[i] for i in indices))


def tiles(label: str = 'pixel') -> Dataset:
    """Four places of three cities; seeded noise."""
    rng = np.random.default_rng(0)
    pixels = tuple(
        {
            'images': rng.integers(0, 256, (height, width, 3), np.uint8),
            'elevation': rng.uniform(0, 90, (height // 2, width // 2, 1)).astype(np.float32),
            'sar': rng.integers(-2500, 0, (height, width, 2)).astype(np.int16),
            'labels': rng.choice(np.array([0, 1, 255], np.uint8), (height, width)),
        }
        for height, width in SIZES
    )
    facts = Facts(
        'tiles', class_names=('water', 'forest'), rasters=RASTERS, label=label,
        group_names=('Bonn', 'Herne', 'Köln'),
    )  # fmt: skip
    heights, widths = np.array(SIZES, np.int32).T
    places = Places(
        ('Bonn/1', 'Bonn/2', 'Herne/1', 'Köln/1'), heights.copy(), widths.copy(),
        np.full(4, -1, np.int32), np.array([0, 0, 1, 2], np.int32),
    )  # fmt: skip
    return Dataset(facts, places, Tiles(pixels))


class Deadly(NamedTuple):
    """A source whose process dies as by a kill when a place is read."""

    source: Tiles
    place: int

    def read(
        self, place: int, window: Window | None, rasters: Sequence[str]
    ) -> dict[str, np.ndarray]:
        """See `Source.read`."""
        if place == self.place:
            import os

            os._exit(9)
        return self.source.read(place, window, rasters)

    def subset(self, indices: np.ndarray) -> Deadly:
        """See `Source.subset`."""
        raise NotImplementedError
