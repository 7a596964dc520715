"""Where the chains of windows begin: Gaussian textures fitted to windows of the training places.

Windows of one place differ as much as places do: water and a town are no one texture. They are
grouped by colour and contrast first (k-means), and each group has a texture of its own
(`eojax.samplers.starts`).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from eojax.data.dataset import Dataset, Window
from eojax.data.facts import Facts
from eojax.data.valid_pixels import repeated, valid_pixels
from eojax.data.value_range import scale_to_unit
from eojax.errors import UserError
from eojax.feed.streams import grid_of
from eojax.samplers.starts import StationaryGaussian, fit_stationary_gaussian

# At most so many windows are read, and so many bytes of them.
_WINDOWS, _BYTES = 2000, 128 * 2**20
_SEED = 0


def bands_of(facts: Facts, rasters: Sequence[str]) -> int:
    """The bands of some rasters together."""
    return sum(len(facts.rasters[name].bands) for name in rasters)


def fit_window_textures(
    dataset: Dataset, rasters: Sequence[str], side: int, textures: int
) -> StationaryGaussian:
    """The textures of windows of a data set; it reads and computes on the host.

    Args:
      dataset: of the training places.
      rasters: that the network sees, side by side.
      side: of the windows in pixels.
      textures: how many at most.

    Returns:
      NumPy arrays of `textures` classes; with fewer windows than that, some of them are the same.

    Raises:
      UserError: a file that cannot be read, by name.
    """
    from sklearn.cluster import KMeans  # slow to import: only where it is used

    windows = read_windows(dataset, rasters, side)
    # Colours and contrast; of water the contrast is small and telling, so its logarithm.
    spread = np.log(windows.std((1, 2)) + 0.01)
    features = np.concatenate([windows.mean((1, 2)), 0.5 * spread], -1)
    num = min(textures, len(windows))
    labels = KMeans(num, n_init=4, random_state=_SEED).fit_predict(features)
    limits = ((-1.0, 1.0),) * windows.shape[-1]
    return fit_stationary_gaussian(windows, labels, textures, textures > 1, limits)


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
            ' chains begin at what looks like them: choose other training places'
        )
    return np.stack(windows).astype(np.float32)
