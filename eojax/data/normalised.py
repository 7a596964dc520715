"""The mean and deviation of bands that images of other networks are normalised by."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from eojax.data.facts import Raster
from eojax.errors import UserError

# A deviation below this share of the range is in other units: 0.229 of 0 to 1 among 0 to 255.
_SMALLEST = 1e-3


def in_network_units(
    mean: Sequence[float], deviation: Sequence[float], raster: Raster, title: str
) -> tuple[np.ndarray, np.ndarray]:
    """Mean and deviation of images in [-1, 1], float32 `[bands]` each.

    A network that takes (v - mean) / deviation of values v gets the same of images x in [-1, 1]
    by (x - mean') / deviation', with mean' = 2 (mean - low) / (high - low) - 1 and
    deviation' = 2 deviation / (high - low).

    Args:
      mean, deviation: of each band, in the data's units.
      raster: whose limits became -1 and 1.
      title: of the weights, for messages.

    Raises:
      UserError: they are in other units than the limits.
    """
    limits = raster.limits or ((0.0, 255.0),) * len(raster.bands)
    low, high = np.array(limits, np.float64).T
    means, deviations, spans = np.array(mean), np.array(deviation), high - low
    outside = (means < low - spans) | (means > high + spans)
    for band in np.flatnonzero(outside | (deviations < _SMALLEST * spans)):
        raise UserError(
            f'{title}: mean {means[band]:g} and deviation {deviations[band]:g} of band'
            f' {raster.bands[band]} are in other units than its values, which lie from'
            f' {low[band]:g} to {high[band]:g}: give --mean and --std in the units of the data'
            ' (ImageNet, of 8 bits: --mean=123.675,116.28,103.53 --std=58.395,57.12,57.375)'
        )
    return (
        np.asarray(2.0 * (means - low) / spans - 1.0, np.float32),
        np.asarray(2.0 * deviations / spans, np.float32),
    )
