"""The meaning of a scene's values for a data set: 8-bit, reflectance, or as the user says."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from eojax.data.facts import Limits
from eojax.data.reading import sentinel2
from eojax.data.reading.sentinel2 import Level
from eojax.errors import UserError

# A data set's names of what Sentinel-2 calls otherwise.
ALIASES = {'red': 'B04', 'green': 'B03', 'blue': 'B02'}


class Stored(NamedTuple):
    """The facts of a file about its values.

    Attributes:
      title: of the file, for messages; its last part is the product's name.
      dtype: of the values.
      tags: of the file.
      sample: `() -> [num, bands]`, some valid pixels from all over the scene.
    """

    title: str
    dtype: str
    tags: Mapping[str, str]
    sample: Callable[[], np.ndarray]


class Conversion(NamedTuple):
    """From stored values to those of a data set.

    Attributes:
      apply: `[..., bands]` to the same shape: uint8 for 8-bit data sets, else uint16.
      text: what it does, in words.
      invert: back from the data set's values, which need not be whole, to float64 stored ones;
        what was clipped stays at the limits.
    """

    apply: Callable[[np.ndarray], np.ndarray]
    text: str
    invert: Callable[[np.ndarray], np.ndarray]


def find_conversion(
    stored: Stored, bands: Sequence[str], limits: Limits | None, scale: str, offset: float | None
) -> Conversion:
    """How the values of a scene become those that a network was trained on.

    Args:
      bands, limits: of the data set.
      scale, offset: as in `eojax.data.reading.raster.Reading`.

    Raises:
      UserError: a scale that makes no sense, or values whose meaning has to be said.
    """
    if ':' in scale:
        return _linear(scale, limits, len(bands))
    if scale not in ('auto', 'l1c', 'l2a'):
        raise UserError(
            f'--scale={scale}: expected auto, l1c, l2a or LOW:HIGH (such as --scale=0:2750)'
        )
    if stored.dtype == 'uint8':
        if scale != 'auto':
            raise UserError(f'{stored.title}: 8-bit values are no reflectance; leave out --scale')
        return Conversion(np.copy, '8-bit values as they are', lambda v: v.astype(np.float64))
    sensed = [ALIASES.get(band, band) for band in bands]
    if not set(sensed) <= set(sentinel2.WAVELENGTHS):
        raise UserError(
            f'{stored.title}: what its values mean for bands {", ".join(bands)} is not known; say'
            ' which become the least and the greatest of training with --scale=LOW:HIGH'
        )
    sample = stored.sample()
    # Reflectance itself is at most a little above 1.
    unit = sentinel2.UNITS_PER_REFLECTANCE if np.percentile(sample, 99) <= 2.0 else 1.0
    level, offset, how = _find_level(stored, sensed, sample * unit, scale, offset)

    def convert(values: np.ndarray) -> np.ndarray:
        scaled = sentinel2.to_level_1c(values * np.float32(unit), sensed, level, offset)
        if limits is not None:
            return np.clip(np.rint(np.nan_to_num(scaled)), 0, 65535).astype(np.uint16)
        return _to_8_bit(scaled, *sentinel2.DISPLAY_LIMITS)

    # Affine in each band, so that two values tell all of it.
    ends = np.array([[0.0], [1.0]], np.float32) * np.ones(len(sensed), np.float32)
    zero, one = sentinel2.to_level_1c(ends, sensed, level, offset).astype(np.float64)

    def invert(values: np.ndarray) -> np.ndarray:
        scaled = np.asarray(values, np.float64)
        if limits is None:
            low, high = sentinel2.DISPLAY_LIMITS
            scaled = low + scaled * (high - low) / 255.0
        return (scaled - zero) / (one - zero) / unit

    text = f'Sentinel-2 level {level.value[1:].upper()} ({how})'
    text += f', offset {offset:g}' if offset else ''
    text += ', brought to level 1C by a clear atmosphere' if level is Level.L2A else ''
    text += '' if limits is not None else ', 0 to 2,750 shown as 0 to 255'
    return Conversion(convert, text, invert)


def _find_level(
    stored: Stored, sensed: Sequence[str], sample: np.ndarray, scale: str, offset: float | None
) -> tuple[Level, float, str]:
    """Level and offset: as said, by tags and name, or by the darkest pixels; and which of these."""
    name = stored.title.rpartition('/')[2]
    level: Level | None = None if scale == 'auto' else Level(scale)
    how = 'as said'
    if level is None:
        told = f'{stored.tags.get("PROCESSING_LEVEL", "")} {name}'
        level, how = sentinel2.level_by_name(told), 'by its name'
    offset = sentinel2.offset_by_tags(stored.tags, name) if offset is None else offset
    if level is not None and offset is not None:
        return level, offset, how
    if set(sentinel2.RGB) <= set(sensed):
        rgb = [sensed.index(band) for band in sentinel2.RGB]
        guessed, added = sentinel2.guess_level(sample[:, rgb])
        if level is None:
            level, how = guessed, 'by its dark pixels'
        return level, added if offset is None else offset, how
    if level is None:
        raise UserError(
            f'{stored.title}: its level cannot be told without B04, B03 and B02:'
            ' say --scale=l1c or --scale=l2a'
        )
    return level, offset or 0.0, how


def _linear(text: str, limits: Limits | None, num_bands: int) -> Conversion:
    """The limits of `LOW:HIGH`, once or for each band."""
    try:
        pairs = [tuple(float(v) for v in part.split(':')) for part in text.split(',')]
    except ValueError:
        pairs = []
    pairs = pairs * num_bands if len(pairs) == 1 else pairs
    if len(pairs) != num_bands or not all(len(p) == 2 and p[0] < p[1] for p in pairs):
        raise UserError(
            f'--scale={text}: expected LOW:HIGH, LOW below HIGH, once or for each of'
            f' {num_bands} bands'
        )
    low, high = np.asarray(pairs, np.float32).T

    def convert(values: np.ndarray) -> np.ndarray:
        share = (values.astype(np.float32) - low) / (high - low)
        if limits is None:
            return _to_8_bit(share, 0.0, 1.0)
        least, greatest = np.asarray(limits, np.float32).T
        scaled = least + np.clip(np.nan_to_num(share), 0.0, 1.0) * (greatest - least)
        return np.clip(np.rint(scaled), 0, 65535).astype(np.uint16)

    def invert(values: np.ndarray) -> np.ndarray:
        least, greatest = (0.0, 255.0) if limits is None else np.asarray(limits, np.float64).T
        share = (np.asarray(values, np.float64) - least) / (greatest - least)
        return low + share * (high - low)

    title = f'{text} as the least and the greatest value of training'
    return Conversion(convert, title, invert)


def _to_8_bit(values: np.ndarray, low: float, high: float) -> np.ndarray:
    share = (np.nan_to_num(values) - np.float32(low)) * np.float32(255.0 / (high - low))
    return np.clip(np.rint(share), 0, 255).astype(np.uint8)
