"""Values of a scene that need no knowledge of a sensor: 8-bit ones, those of the user's own files,
and what the user says by `LOW:HIGH`; and how many values lie beyond those of training.
"""

from __future__ import annotations

import numpy as np

from eojax.data.facts import AMPLITUDE, Limits, Raster, decibels_of
from eojax.data.reading.scenes.stored import Conversion, Stored
from eojax.data.reading.scenes.units import check_constant
from eojax.errors import UserError

# Of the values that lie beyond what training shows: more is said, or refused.
FEW, _MOST = 0.05, 0.5


def as_stored(stored: Stored, limits: Limits, dtype: str, offset: float | None) -> Conversion:
    """The values of a run that was trained on the user's own files, and so in their units."""
    taken = 0.0 if offset is None else offset
    kinds = np.dtype(stored.dtype), np.dtype(dtype)
    if (kinds[0].kind == 'f') != (kinds[1].kind == 'f') or stored.dtype == 'uint8':
        raise UserError(
            f'{stored.title}: holds {stored.dtype} values; the run was trained on {dtype}, as your'
            ' files stored them: say --scale=LOW:HIGH, l1c or l2a'
        )
    low, high = np.asarray(limits, np.float64).T
    notes: tuple[str, ...] = ()
    if stored.line is not None:
        notes = (
            f'{stored.title}: its bands have {stored.line_text}; values are taken as stored, as'
            ' those of training were',
        )
    sample = stored.sample()
    check_constant(stored, sample, float((2.0 * low - high).min() + taken))
    share = share_beyond(sample - taken, low, high)
    if share > _MOST:
        raise UserError(
            f'{stored.title}: {share:.0%} of its values lie beyond those of training,'
            f' {low.min():g} to {high.max():g}: bring them to the units of training first, or say'
            ' --scale=LOW:HIGH'
        )
    return Conversion(
        lambda v: fitted(v - np.float32(taken) if taken else v, dtype),
        f'values as they are stored, {dtype}' + (f', offset {taken:g}' if taken else ''),
        lambda v: np.asarray(v, np.float64) + taken,
        (*notes, *saturation_note(stored.title, share)),
    )


def in_decibels(stored: Stored, limits: Limits, dtype: str, decibels: float) -> Conversion:
    """Amplitudes or powers of a run that was trained on the decibels of such files.

    Args:
      decibels: as in `eojax.data.facts.Raster`.

    Raises:
      UserError: most values lie beyond those of training.
    """
    bands = tuple(str(number) for number in range(len(limits)))
    raster = Raster(bands, dtype, limits, decibels=decibels)
    low, high = np.asarray(limits, np.float64).T
    kind = 'amplitudes' if decibels == AMPLITUDE else 'powers'
    sample = stored.sample()
    # What has no logarithm, as decibels themselves, is at the lower limit and means nothing.
    share = share_beyond(np.where(sample > 0.0, decibels_of(sample, raster), -np.inf), low, high)
    if share > _MOST:
        raise UserError(
            f'{stored.title}: the run was trained on the decibels of {kind}, {low.min():g} to'
            f' {high.max():g}, and {share:.0%} of its values, taken as {kind}, lie beyond: if they'
            ' are decibels, say --scale=LOW:HIGH'
        )
    return Conversion(
        lambda v: fitted(decibels_of(v, raster), dtype),
        f'decibels of {kind}',
        lambda v: 10.0 ** (np.asarray(v, np.float64) / decibels),
        saturation_note(stored.title, share),
    )


def over_limits(stored: Stored, limits: Limits, dtype: str) -> Conversion:
    """8-bit values for a run that was trained on others: 0 and 255 are the ends of its limits.

    The network takes 0 to 255 itself (`eojax.data.value_range.scale_to_unit`); what comes back from
    it is in the units of the limits.
    """
    low, high = np.asarray(limits, np.float64).T
    return as_they_are()._replace(
        invert=lambda v: (np.asarray(v, np.float64) - low) / (high - low) * 255.0,
        notes=(
            f'{stored.title}: its values are 8-bit and those of training {dtype}: 0 and 255 are'
            ' taken for the least and the greatest of training; say --scale=LOW:HIGH if others are',
        ),
    )


def as_they_are(times: int = 1) -> Conversion:
    """8-bit values, which 16 bits may hold a whole number of times."""
    if times == 1:
        return Conversion(np.copy, '8-bit values as they are', lambda v: v.astype(np.float64))
    return Conversion(
        lambda v: (v // times).astype(np.uint8),
        f'8-bit values, stored times {times}',
        lambda v: np.asarray(v, np.float64) * times,
    )


def linear(
    stored: Stored, text: str, limits: Limits | None, num_bands: int, dtype: str
) -> Conversion:
    """The limits of `LOW:HIGH`, once or for each band."""
    try:
        pairs = [tuple(float(v) for v in part.split(':')) for part in text.split(',')]
    except ValueError:
        pairs = []
    pairs = pairs * num_bands if len(pairs) == 1 else pairs
    fitting = (
        len(p) == 2 and p[0] < p[1] and np.isfinite(np.asarray(p, np.float32)).all() for p in pairs
    )
    if len(pairs) != num_bands or not all(fitting):
        raise UserError(
            f'--scale={text}: expected LOW:HIGH, LOW below HIGH, once or for each of'
            f' {num_bands} bands'
        )
    low, high = np.asarray(pairs, np.float32).T

    def convert(values: np.ndarray) -> np.ndarray:
        share = (values.astype(np.float32) - low) / (high - low)
        if limits is None:
            return to_8_bit(share, 0.0, 1.0)
        least, greatest = np.asarray(limits, np.float32).T
        scaled = least + np.clip(np.nan_to_num(share), 0.0, 1.0) * (greatest - least)
        return fitted(scaled, dtype)

    def invert(values: np.ndarray) -> np.ndarray:
        least, greatest = (0.0, 255.0) if limits is None else np.asarray(limits, np.float64).T
        share = (np.asarray(values, np.float64) - least) / (greatest - least)
        return low + share * (high - low)

    title = f'{text} as the least and the greatest value of training'
    sample = stored.sample()
    check_constant(stored, sample, float((2.0 * low - high).min()))
    notes = saturation_note(stored.title, share_beyond(sample, low, high))
    return Conversion(convert, title, invert, notes)


def share_beyond(values: np.ndarray, low: np.ndarray, high: np.ndarray) -> float:
    """The share of values `[num, bands]` that are cut by more than rounding would."""
    margin = (high - low) / 255.0
    return float(((values < low - margin) | (values > high + margin)).mean())


def saturation_note(title: str, share: float) -> tuple[str, ...]:
    if share <= FEW:
        return ()
    return (
        f'{title}: {share:.0%} of its values lie beyond those that training shows and are cut; if'
        ' their meaning was misread, say --scale=l1c, --scale=l2a or --scale=LOW:HIGH',
    )


def fitted(values: np.ndarray, dtype: str) -> np.ndarray:
    """Values of a type, the nearest that it holds."""
    kind = np.dtype(dtype)
    values = np.nan_to_num(values)
    if kind.kind not in 'ui':
        return values.astype(kind)
    limits = np.iinfo(kind)
    return np.clip(np.rint(values), limits.min, limits.max).astype(kind)


def to_8_bit(values: np.ndarray, low: float, high: float) -> np.ndarray:
    share = (np.nan_to_num(values) - np.float32(low)) * np.float32(255.0 / (high - low))
    return np.clip(np.rint(share), 0, 255).astype(np.uint8)
