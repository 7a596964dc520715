"""From stored values to the range that every network sees, on the host and on the devices alike."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import numpy as np

from eojax.data.facts import Limits
from eojax.errors import UserError

if TYPE_CHECKING:
    from jax import Array

Values = TypeVar('Values', np.ndarray, 'Array')

# Values that programs put where there are no data, if none of them can be measured.
_FOR_NO_DATA, _LEAST = (-999, -9999, -99999, -32767, -32768), -1e30


def scale_to_unit(images: Values, limits: Limits | None = None) -> Values:
    """Stored values to float32 [-1, 1].

    Args:
      images: `[..., bands]`, of NumPy or of jax, whose arithmetic is used; uint8 is 0 to 255
        whatever the limits are, any other type is in the data set's units.
      limits: per band the values that become -1 and +1; those beyond are clipped, except of
        float16, the type of measurements that are kept without a greatest value.

    Raises:
      UserError: another type than uint8 without limits.
    """
    numpy = images.__array_namespace__()
    values = images.astype(np.float32)
    if images.dtype == np.uint8:
        return values / 127.5 - 1.0
    if limits is None:
        raise UserError(f'images of type {images.dtype} need limits, the values of -1 and +1')
    low, high = np.asarray(limits, np.float32).T
    scaled = (values - low) * (2.0 / (high - low)) - 1.0
    return scaled if images.dtype == np.float16 else numpy.clip(scaled, -1.0, 1.0)


def scale_from_unit(values: np.ndarray, limits: Limits | None = None) -> np.ndarray:
    """The inverse of `scale_to_unit`, of values on the host: float64, not rounded.

    Args:
      values: `[..., bands]` in [-1, 1].
      limits: per band the values that -1 and +1 stand for; 0 and 255 where None.
    """
    values = values.astype(np.float64)
    if limits is None:
        return (values + 1.0) * 127.5
    low, high = np.asarray(limits, np.float64).T
    return low + (values + 1.0) / 2.0 * (high - low)


def stand_for_no_data(values: np.ndarray, low: np.ndarray) -> list[float]:
    """Those of some values that no sensor measures, such as -9999: each one once, ascending.

    Args:
      values: `[..., bands]` in the data set's units.
      low: `[bands]`, the lower limits, from which on all may be measured.
    """
    below = values[values < low]
    found: list[float] = np.unique(below[np.isin(below, _FOR_NO_DATA) | (below < _LEAST)]).tolist()
    return found
