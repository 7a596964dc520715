"""The units of a scene's reflectance: 0 to 1 or times 10,000, and what cannot be either.

Percent, grey levels and reflectance times 1,000 have names and bands as reflectance times 10,000
has, but would come out nearly black; and a constant that no measurement has, if nobody says that it
stands for no data, would be taken for a surface.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from eojax.data.reading import sentinel2
from eojax.data.reading.scenes.stored import Stored, Units
from eojax.errors import UserError

_PLAIN_UNITS = ('1', 'dn', 'none', 'unitless', 'unit less', 'dimensionless', '-')
_MOST_REFLECTANCE = 2.0  # reflectance itself is at most a little above 1
_GREY = 255.0
# Reflectance times 10,000 whose brightest per cent is darker is water, or units are others. Bare
# ground, with red so much above blue, is brighter still.
_DARKEST, _DARKEST_BARE, _BARE = 400.0, 1000.0, 1.5
_MOST_EMPTY = 0.01  # of the pixels, which may have one impossible value


def says_reflectance(unit: str) -> bool:
    """Whether a unit has the word in it: `BOA reflectance`, `Reflectance [0-1]`."""
    return re.search(r'(?<![a-z])reflectance(?![a-z])', unit.lower()) is not None


def check_units(stored: Stored) -> None:
    """Refuses values that are in units of something else.

    Raises:
      UserError: such as radiance or percent.
    """
    for unit in stored.units:
        if unit and unit.strip().lower() not in _PLAIN_UNITS and not says_reflectance(unit):
            raise UserError(
                f'{stored.title}: its values are in {unit!r}, not reflectance; say which become the'
                ' least and the greatest of training with --scale=LOW:HIGH'
            )


def check_constant(stored: Stored, sample: np.ndarray, low: float | None = None) -> None:
    """Refuses values that are one impossible constant in more than a few pixels.

    Args:
      sample: `[num, bands]`, as stored.
      low: below which values are impossible; None for those of reflectance.

    Raises:
      UserError: with the constant.
    """
    same = sample[(sample == sample[:, :1]).all(-1), 0]
    values, counts = np.unique(same, return_counts=True)
    kind = np.dtype(stored.dtype)
    for value, count in zip(values.tolist(), counts.tolist(), strict=True):
        if count <= _MOST_EMPTY * len(sample):
            continue
        others = sample[(sample != value).any(-1)]
        high = float(np.percentile(others, 99)) if len(others) else 1.0
        least = -max(high, 0.0) / 4.0 if low is None else low
        greatest = 4.0 * abs(high)
        if kind.kind in 'ui' and kind.itemsize > 1 and low is None:
            greatest = min(greatest, float(np.iinfo(kind).max) - 1.0)
        if (value < 0.0 and value < least) or (low is None and value > greatest):
            # As many digits as the type needs to give the same number again.
            text = (
                f'{value:.0f}'
                if abs(value) < 1e9 and value == round(value)
                else str(kind.type(value))
            )
            raise UserError(
                f'{stored.title}: {count / len(sample):.0%} of its pixels are {text} in all'
                f' bands, which nothing measured can be: say --nodata={text}'
            )


def units_of(
    stored: Stored,
    sample: np.ndarray,
    offset_said: float | None,
    scale_said: bool,
    sure: bool,
    rgb: Sequence[int] | None,
) -> Units:
    """The units of the values: by the file's scale and offset, or by their size.

    Args:
      sample: `[num, bands]`, as stored.
      offset_said: what the user says was added; it stands for the file's own offset then.
      scale_said: whether the user says that values are reflectance.
      sure: whether a whole product's name or tags say so.
      rgb: where red, green and blue are among the bands; None where they are not.

    Raises:
      UserError: values that are no reflectance in either unit.
    """
    per_one = sentinel2.UNITS_PER_REFLECTANCE
    if stored.line is None:
        if np.dtype(stored.dtype).kind == 'f' and np.percentile(sample, 99) <= _MOST_REFLECTANCE:
            return Units(None, None, per_one)
        if not scale_said:
            _check_size(stored, sample, sure, rgb)
        return Units(None, None, 1.0)
    scale, offset = stored.line
    offset = offset if offset_said is None else np.zeros_like(offset)
    values = sample * scale + offset
    low, high = np.percentile(values, [1, 99])
    if not 0.0 < high < 30_000.0 or low < -max(high, 1.0):
        raise UserError(
            f'{stored.title}: its bands have {stored.line_text}, which makes its values'
            f' {low:g} to {high:g}, no reflectance: say --scale=LOW:HIGH, with values as stored'
        )
    if high > _MOST_REFLECTANCE and not scale_said:
        _check_size(stored, values, sure, rgb)
    factor = per_one if high <= _MOST_REFLECTANCE else 1.0
    return Units(scale, offset, factor, stored.line_text)


def _check_size(stored: Stored, values: np.ndarray, sure: bool, rgb: Sequence[int] | None) -> None:
    """Refuses values that are too small for reflectance times 10,000."""
    high = float(np.percentile(values, 99))
    small = high <= _GREY
    if rgb is not None and not sure:
        red, _, blue = np.percentile(values[:, list(rgb)], 99, axis=0)
        seen = float(np.percentile(values[:, list(rgb)], 99))
        # Water is dark, and its red is below its blue.
        least = _DARKEST_BARE if red > _BARE * blue else _DARKEST if red >= blue else 0.0
        small = small or seen < least
    if small:
        raise UserError(
            f'{stored.title}: the brightest of its values are {high:.4g}, too much for reflectance'
            ' of 0 to 1 and too little for reflectance times 10,000; say --scale=LOW:HIGH with the'
            ' values that become the least and the greatest of training, or --scale=l1c or'
            ' --scale=l2a if they are reflectance times 10,000 of something dark'
        )
