"""Where the chains of windows begin: Gaussian textures fitted to windows of the training places.

Windows of one place differ as much as places do: water and a town are no one texture. They are
grouped by colour and contrast first (k-means), and each group has a texture of its own
(`eojax.samplers.starts`).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from eojax.data.dataset import Dataset
from eojax.methods.pixels.fitted_windows import read_windows
from eojax.samplers.starts import StationaryGaussian, fit_stationary_gaussian

_SEED = 0


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
