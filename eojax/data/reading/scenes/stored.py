"""The facts of a scene's file about its values, and how these are converted."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np


class Stored(NamedTuple):
    """The facts of a file about its values.

    Attributes:
      title: of the file, for messages; its last part is the product's name.
      dtype: of the values.
      tags: of the file.
      sample: `() -> [num, bands]`, some valid pixels from all over the scene.
      band_names: of the bands that are read, as in the file; empty where they have none.
      scales, offsets: of these bands, as in the file: value = scale * stored + offset. Empty where
        the file says nothing.
      units: of these bands, in the file's words; empty where it says nothing.
    """

    title: str
    dtype: str
    tags: Mapping[str, str]
    sample: Callable[[], np.ndarray]
    band_names: tuple[str, ...] = ()
    scales: tuple[float, ...] = ()
    offsets: tuple[float, ...] = ()
    units: tuple[str, ...] = ()

    @property
    def line(self) -> tuple[np.ndarray, np.ndarray] | None:
        """Scale and offset of each band, float64; None where all values are as stored."""
        if not self.scales or (set(self.scales) == {1.0} and set(self.offsets) <= {0.0}):
            return None
        return np.asarray(self.scales, np.float64), np.asarray(self.offsets, np.float64)

    @property
    def line_text(self) -> str:
        """These in words."""
        scales, offsets = (
            ', '.join(f'{value:g}' for value in dict.fromkeys(values))
            for values in (self.scales, self.offsets)
        )
        return f'scale {scales} and offset {offsets}'


class Conversion(NamedTuple):
    """From stored values to those of a data set.

    Attributes:
      apply: `[..., bands]` to the same shape: of the data set's type (uint8 where it has no limits,
        else its dtype, such as uint16, int16 or float32), or uint8 of 0 to 255 for its limits.
      text: what it does, in words.
      invert: back to float64 stored ones, from values that need not be whole: 0 to 255 where the
        data set has no limits, else in the units of its limits. What was clipped stays there.
      notes: what the user should know, a line each.
    """

    apply: Callable[[np.ndarray], np.ndarray]
    text: str
    invert: Callable[[np.ndarray], np.ndarray]
    notes: tuple[str, ...] = ()


class Units(NamedTuple):
    """From stored values to reflectance times 10,000, before offset and level.

    Attributes:
      scale, offset: of each band: scale * stored + offset; None where `factor` is all.
      factor: of the values: 1 or 10,000.
      text: in words; empty where values are as stored.
    """

    scale: np.ndarray | None
    offset: np.ndarray | None
    factor: float
    text: str = ''

    def apply(self, values: np.ndarray) -> np.ndarray:
        """Stored values `[..., bands]` in these units."""
        if self.scale is None or self.offset is None:
            return values * np.float32(self.factor)
        return (values * self.scale + self.offset) * self.factor

    def invert(self, values: np.ndarray) -> np.ndarray:
        """Back to stored values, float64."""
        plain = values / self.factor
        if self.scale is None or self.offset is None:
            return plain
        return (plain - self.offset) / self.scale
