"""The meaning of a scene's values for a data set: 8-bit, reflectance, or as the user says.

A file's own scale and offset (GDAL's) are applied where values are read as reflectance; `LOW:HIGH`
are values as they are stored. Without evidence that values are reflectance
(`eojax.data.reading.scenes.evidence`) the user is asked.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from eojax.data.facts import Limits
from eojax.data.reading import sentinel2
from eojax.data.reading.scenes.band_names import ALIASES
from eojax.data.reading.scenes.evidence import (
    LANDSAT_LINE,
    Proof,
    check_offset,
    is_landsat,
    is_radar,
    other_sensor,
    prove_sentinel_2,
    settle_offset,
    stated_level,
    stated_offset,
)
from eojax.data.reading.scenes.plain_values import (
    FEW,
    as_stored,
    as_they_are,
    fitted,
    in_decibels,
    linear,
    over_limits,
    saturation_note,
    share_beyond,
    to_8_bit,
)
from eojax.data.reading.scenes.stored import Conversion, Stored, Units
from eojax.data.reading.scenes.units import (
    check_constant,
    check_units,
    says_reflectance,
    units_of,
)
from eojax.data.reading.sentinel2 import Level
from eojax.errors import UserError

# Of the values that lie beyond what training shows: more is said, much more refused where names
# alone speak for reflectance.
_MANY = 0.3
_MOST_REFLECTANCE = 2.0  # reflectance itself is at most a little above 1
_NUM_SENTINEL_2 = 10  # bands, from which their number alone speaks for Sentinel-2
_CLOUDS = 12_000.0  # reflectance times 10,000 that bright clouds and snow have
_WHITE = 1.3  # brightest band over darkest, at most, of clouds and snow


def find_conversion(
    stored: Stored,
    bands: Sequence[str],
    limits: Limits | None,
    scale: str,
    offset: float | None,
    dtype: str = 'uint16',
    own_units: bool = False,
    decibels: float = 0.0,
    surface: bool = False,
) -> Conversion:
    """How the values of a scene become those that a network was trained on.

    Args:
      bands, limits: of the data set.
      scale, offset: as in `eojax.data.reading.raster.Reading`.
      dtype: of the data set's values where it has limits.
      own_units: whether these are as the user's own files store them.
      decibels, surface: as in `eojax.data.facts.Raster`.

    Raises:
      UserError: a scale that makes no sense, or values whose meaning has to be said.
    """
    if ':' in scale:
        return linear(stored, scale, limits, len(bands), dtype)
    if scale not in ('auto', 'l1c', 'l2a'):
        raise UserError(
            f'--scale={scale}: expected auto, l1c, l2a or LOW:HIGH (such as --scale=0:2750)'
        )
    if decibels and limits is not None and scale == 'auto':
        return in_decibels(stored, limits, dtype, decibels)
    if own_units and limits is not None and scale == 'auto':
        return as_stored(stored, limits, dtype, offset)
    if stored.dtype == 'uint8' and stored.line is None:
        if scale != 'auto':
            raise UserError(f'{stored.title}: 8-bit values are no reflectance; leave out --scale')
        return as_they_are() if limits is None else over_limits(stored, limits, dtype)
    if stored.dtype == 'uint8' and scale == 'auto' and _shows_0_to_1(stored):
        return as_they_are() if limits is None else over_limits(stored, limits, dtype)
    sensed = [ALIASES.get(band, band) for band in bands]
    proof = Proof.SAID
    if scale == 'auto':
        name = stored.title.rpartition('/')[2]
        proof = prove_sentinel_2(name, stored.tags, stored.band_names, stored.dtype)
    if not set(sensed) <= set(sentinel2.WAVELENGTHS):
        raise UserError(
            f'{stored.title}: what its values mean for bands {", ".join(bands)} is not known; say'
            ' which become the least and the greatest of training with --scale=LOW:HIGH'
        )
    sample = stored.sample()
    if proof is not Proof.SAID:
        check_units(stored)
    if proof is Proof.NONE and _is_8_bit(stored, sample, limits):
        return as_they_are(257)
    check_constant(stored, sample)
    if proof is Proof.NONE:
        proof = _without_sensor(stored, sample, sensed)
    wanted = Level.L2A if surface else Level.L1C
    return _reflectance(stored, sensed, sample, limits, scale, offset, proof, dtype, wanted)


def _shows_0_to_1(stored: Stored) -> bool:
    """Whether scale and offset make 0 to 1 of 0 to 255, which is how 8-bit values are shown."""
    return not any(stored.offsets) and np.allclose(stored.scales, 1 / 255, rtol=0.01)


def _is_8_bit(stored: Stored, sample: np.ndarray, limits: Limits | None) -> bool:
    """Whether 16 bits hold nothing but 8-bit values, 255 as 65,535."""
    if stored.line is not None or stored.dtype != 'uint16' or limits is not None:
        return False
    return len(np.unique(sample)) > 16 and not (sample % 257).any()


def _without_sensor(stored: Stored, sample: np.ndarray, sensed: Sequence[str]) -> Proof:
    """How sure it is that values are reflectance where no sensor is named.

    Raises:
      UserError: nothing says what the values mean.
    """
    sensor = other_sensor(stored.title.rpartition('/')[2], stored.tags)
    if len(sensed) >= _NUM_SENTINEL_2 and not sensor:
        return Proof.NAMES
    if is_radar(stored.title.rpartition('/')[2], stored.tags):
        raise UserError(_not_known(stored, sample, sensor))
    stated = any(says_reflectance(unit) for unit in stored.units)
    if stored.line is not None:
        scales, offsets = stored.line
        high = np.percentile(sample * scales + offsets, 99)
        stated = stated or 0.0 < high <= _MOST_REFLECTANCE
    elif stored.dtype.startswith('float'):
        stated = stated or 0.0 < np.percentile(sample, 99) <= _MOST_REFLECTANCE
    if stated:
        return Proof.NONE
    raise UserError(_not_known(stored, sample, sensor))


def _not_known(stored: Stored, sample: np.ndarray, sensor: str = '') -> str:
    """Asks what the values are, by what can be seen of them."""
    low, high = np.percentile(sample, [0.5, 99.5])
    told = f'its name or tags say {sensor}' if sensor else 'its name, tags and bands say no sensor'
    most = 65535
    if stored.dtype != 'float32' and (bits := stored.tags.get('NBITS', '')).isdigit():
        most = 2 ** int(bits) - 1
    elif sample.max() < 16384:
        most = next(n for n in (1, 255, 1023, 2047, 4095, 16383) if sample.max() <= n)
    if is_landsat(sensor) and np.dtype(stored.dtype).kind in 'ui':
        return (
            f'{stored.title}: {told}, and its {stored.dtype} values, {low:g} to {high:g}, have no'
            f' scale and offset: {LANDSAT_LINE}, else say --scale=LOW:HIGH with the values that'
            f' become the least and the greatest of training, such as --scale=0:{most}'
        )
    return (
        f'{stored.title}: {told}, and its {stored.dtype} values, {low:g} to {high:g}, may mean'
        ' anything: say --scale=l1c or --scale=l2a if they are reflectance times 10,000 (at the top'
        ' of the atmosphere or at the surface), else --scale=LOW:HIGH with the values that become'
        f' the least and the greatest of training, such as --scale=0:{most}'
    )


def _reflectance(
    stored: Stored,
    sensed: Sequence[str],
    sample: np.ndarray,
    limits: Limits | None,
    scale: str,
    said: float | None,
    proof: Proof,
    dtype: str,
    wanted: Level,
) -> Conversion:
    """Reflectance of a level and with an offset, as said or by the evidence."""
    rgb = _rgb_of(sensed)
    is_said, sure = proof is Proof.SAID, proof is Proof.PRODUCT
    units = units_of(stored, sample, said, is_said, sure, rgb)
    # What the user says was added is in the file's own units.
    added = np.float64(said or 0.0)
    if said is not None and units.scale is not None:
        units = units._replace(offset=-added * units.scale)
        added = np.float64(0.0)
    in_units = units.apply(sample)
    level, offset, how, notes = _find_level(stored, sensed, in_units, scale, said, units)
    if said is not None:
        offset = float(added)

    def scaled_of(values: np.ndarray) -> np.ndarray:
        return sentinel2.to_level(units.apply(values), sensed, level, offset, wanted)

    if proof is Proof.NONE:
        sensor = other_sensor(stored.title.rpartition('/')[2], stored.tags) or 'no known sensor'
        notes = (f'{stored.title}: its values are taken for reflectance of {sensor}', *notes)
    notes += _check_saturation(stored, sample, scaled_of(sample), limits, proof)

    def convert(values: np.ndarray) -> np.ndarray:
        scaled = scaled_of(values)
        if limits is not None:
            return fitted(scaled, dtype)
        return to_8_bit(scaled, *sentinel2.DISPLAY_LIMITS)

    # Affine in each band, so that two values tell all of it.
    ends = np.array([[0.0], [1.0]], np.float32) * np.ones(len(sensed), np.float32)
    zero, one = sentinel2.to_level(ends, sensed, level, offset, wanted).astype(np.float64)

    def invert(values: np.ndarray) -> np.ndarray:
        scaled = np.asarray(values, np.float64)
        if limits is None:
            low, high = sentinel2.DISPLAY_LIMITS
            scaled = low + scaled * (high - low) / 255.0
        return units.invert((scaled - zero) / (one - zero))

    source = 'Sentinel-2' if proof is not Proof.NONE else 'reflectance'
    text = f'{source} level {level.value[1:].upper()} ({how})'
    text += f', {units.text}' if units.text and said is None else ''
    shown = said if said is not None else offset
    text += f', offset {shown:g}' if shown else ''
    if level is not wanted:
        way = 'by' if level is Level.L2A else 'without'
        text += f', brought to level {wanted.value[1:].upper()} {way} a clear atmosphere'
    text += '' if limits is not None else ', 0 to 2,750 shown as 0 to 255'
    return Conversion(convert, text, invert, notes)


def _rgb_of(sensed: Sequence[str]) -> list[int] | None:
    """Where B04, B03 and B02 are among bands; None where they are not."""
    if not set(sentinel2.RGB) <= set(sensed):
        return None
    return [sensed.index(band) for band in sentinel2.RGB]


def _find_level(
    stored: Stored,
    sensed: Sequence[str],
    sample: np.ndarray,
    scale: str,
    said: float | None,
    units: Units,
) -> tuple[Level, float, str, tuple[str, ...]]:
    """Level and offset: as said, by tags and name, or by the darkest pixels; how; and notes."""
    rgb = _rgb_of(sensed)
    offset, note = 0.0, ''
    if said is None:
        stated, said_by = stated_offset(stored.title, stored.tags)
        if units.offset is not None and units.offset.any():
            added = -units.offset * units.factor
            if stated is not None and np.abs(added - stated).max() > 1.0:
                raise UserError(
                    f'{stored.title}: its bands have {stored.line_text}, and {said_by} says that'
                    f' {stated:g} was added: say --offset=0 or --offset=1000'
                )
            check_offset(stored.title, f'the {stored.line_text} of its bands', sample)
        else:
            offset, note = settle_offset(stored.title, stated, said_by, sample, rgb)
    level: Level | None = None if scale == 'auto' else Level(scale)
    how = 'as said'
    if level is None:
        level, how = stated_level(stored.title, stored.tags), 'by its name'
    notes: tuple[str, ...] = (note,) if note else ()
    if level is not None:
        return level, offset, how, notes
    if rgb is None:
        raise UserError(
            f'{stored.title}: its level cannot be told without B04, B03 and B02:'
            ' say --scale=l1c or --scale=l2a'
        )
    level, _ = sentinel2.guess_level(sample[:, rgb])
    notes += (
        f'{stored.title}: nothing says its level; by its dark pixels it is taken for'
        f' {level.value[1:].upper()}; say --scale=l1c or --scale=l2a if that is wrong',
    )
    return level, offset, 'by its dark pixels', notes


def _check_saturation(
    stored: Stored, sample: np.ndarray, scaled: np.ndarray, limits: Limits | None, proof: Proof
) -> tuple[str, ...]:
    """A note where many values lie beyond those of training; refused where that cannot be right.

    Args:
      scaled: the sample in the units of training, not clipped.
    """
    low, high = np.asarray([sentinel2.DISPLAY_LIMITS] if limits is None else limits).T
    share = share_beyond(scaled, low, high)
    most = {Proof.NONE: FEW, Proof.NAMES: _MANY}.get(proof, 1.0)
    too_bright = np.percentile(scaled, 99) > _CLOUDS
    if proof is Proof.NONE and not _says_reflectance_itself(stored):
        # Bright pixels of a reflectance scene are white, of a stretched picture of all colours.
        coloured = scaled.max(-1) > _WHITE * scaled.min(-1)
        beyond = (scaled > high + (high - low) / 255.0).any(-1)
        too_bright = too_bright or float((coloured & beyond).mean()) > FEW
    if share > most and too_bright:
        least, top = np.percentile(sample, [0.5, 99.5])
        raise UserError(
            f'{stored.title}: {_said_by(stored, proof)} say reflectance, but its values, {least:g}'
            f' to {top:g}, are not: {share:.0%} would lie beyond those of training; say --scale=l1c'
            ' or --scale=l2a if they are, else --scale=LOW:HIGH with those that become the least'
            ' and the greatest'
        )
    return saturation_note(stored.title, share)


def _says_reflectance_itself(stored: Stored) -> bool:
    """Whether a unit says so, or scale and offset other than those that make 0 to 1 of a type."""
    if any(says_reflectance(unit) for unit in stored.units):
        return True
    if stored.line is None:
        return False
    scales, offsets = stored.line
    most = 1.0 / scales.max() + 1.0
    return bool(offsets.any()) or abs(np.log2(most) - np.rint(np.log2(most))) > 1e-3


def _said_by(stored: Stored, proof: Proof) -> str:
    """What says that values are reflectance, in words."""
    if proof is not Proof.NONE:
        return 'its name or bands'
    if stored.line is not None:
        return 'its scale and offset'
    return 'its units' if any(stored.units) else 'numbers of 0 to 1'
