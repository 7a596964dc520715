"""Windows of the training places for what a method fits before training, on the host."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from eojax.data.dataset import Dataset, Window
from eojax.data.facts import Facts
from eojax.data.valid_pixels import repeated, valid_pixels
from eojax.data.value_range import scale_to_unit
from eojax.errors import UserError
from eojax.feed.streams import grid_of

# At most so many windows are read, and so many bytes of them.
_WINDOWS, _BYTES = 2000, 128 * 2**20
_SEED = 0


def bands_of(facts: Facts, rasters: Sequence[str]) -> int:
    """The bands of some rasters together."""
    return sum(len(facts.rasters[name].bands) for name in rasters)


def read_windows(dataset: Dataset, rasters: Sequence[str], side: int) -> np.ndarray:
    """Windows at random corners, evenly over the places: float32 `[num, side, side, bands]`.

    Values are in [-1, 1]; a coarser raster's are repeated. Windows without any data are left out;
    pixels without data in the others are drawn from the window's pixels that hold some, so that it
    keeps its colours and its contrast.

    Raises:
      UserError: none of the windows holds data; or a file that cannot be read, by name.
    """
    facts, places, source = dataset.facts, dataset.places, dataset.source
    num = min(_WINDOWS, max(1, _BYTES // (4 * side**2 * bands_of(facts, rasters))))
    grid, generator = grid_of(facts), np.random.default_rng(_SEED)
    masks, fillings = facts.masks(rasters), np.random.default_rng(_SEED + 1)
    windows = []
    for number in range(num):
        place = number * places.num // num
        row, column = (
            int(generator.integers((int(length) - side) // grid + 1)) * grid
            for length in (places.heights[place], places.widths[place])
        )
        read = source.read(place, Window(row, column, side, side), (*rasters, *masks))
        parts = []
        for name in rasters:
            values = scale_to_unit(read[name], facts.rasters[name].limits)
            parts.append(repeated(values, facts.rasters[name].scale))
        window, valid = np.concatenate(parts, -1), valid_pixels(read, facts, (side, side))
        if valid.any():
            shown = window[valid]
            window[~valid] = shown[fillings.integers(0, len(shown), int((~valid).sum()))]
            windows.append(window)
    if not windows:
        raise UserError(
            f'{facts.title or facts.name}: none of {num} windows of {side} pixels holds data, and'
            ' training begins with what they look like: choose other training places'
        )
    return np.stack(windows).astype(np.float32)
