"""Arrays that a user hands to a trained run, brought to what its network was trained on or refused.

A network takes any numbers and answers. So whatever tells that an array is not like the training
images is refused by one line: the order of its axes, its type, its range, its bands, its size.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from eojax.data.facts import IMAGES, Limits, Raster
from eojax.data.reading.patches import resample, resample_floats
from eojax.data.value_range import stand_for_no_data
from eojax.errors import UserError

# How images may be given: in the units and the type of the data set, or in [-1, 1].
UNITS = ('data', 'network')
# Rounding may carry values in [-1, 1] so far beyond.
_SLACK = 1e-3
# A share of pixels beyond the limits that may be clouds or roofs; more are other units.
_MOST_BEYOND = 0.5
# Clouds and snow reflect more than a white plate, but hardly more than so much.
_MOST_REFLECTANCE = 2.0


class WrongArray(UserError, ValueError):
    """An array that is not like the images that a run was trained on; its message says how."""


class Given(NamedTuple):
    """Checked rasters, in the order in which the network sees them.

    Attributes:
      rasters: each `[N, h, w, bands]`: as stored in the data set, or float32 in [-1, 1].
      scaled: whether they are in [-1, 1].
      size: height and width of the images, in pixels of the network: of a raster whose pixels
        cover several of these, more than it has itself.
    """

    rasters: tuple[np.ndarray, ...]
    scaled: bool
    size: tuple[int, int]

    @property
    def num(self) -> int:
        """Images."""
        return len(self.rasters[0])


def check_rasters(
    images: Any,
    others: Mapping[str, Any],
    names: tuple[str, ...],
    known: Mapping[str, Raster],
    size: tuple[int, int] | None,
    units: str = 'data',
    resize: bool = False,
) -> Given:
    """Checks what a user gave for one call.

    Args:
      images: `[N, H, W, C]`, of the raster `images`; of the first one where the network sees none
        of that name.
      others: of the other rasters that the network sees, by name.
      names: of the rasters that the network sees, in its order.
      known: the facts of all rasters.
      size: height and width that the network takes; None for any.
      units: one of `UNITS`.
      resize: whether images of another size are resampled.

    Raises:
      WrongArray: an array that is not like the training images.
      UserError: a raster that is missing, or that the run does not see; unknown units.
    """
    check_units(units)
    given = {IMAGES if IMAGES in names else names[0]: images, **others}
    for name in given:
        if name not in names:
            raise UserError(f'the run sees no raster {name!r}; it sees {", ".join(names)}')
    missing = [name for name in names if name not in given]
    if missing:
        example = ', '.join(f'{name!r}: array' for name in missing)
        raise UserError(f'the run sees {", ".join(names)}: give rasters={{{example}}} as well')
    checked = []
    for name in names:
        raster = known[name]
        sides = None if size is None else (size[0] // raster.scale, size[1] // raster.scale)
        array = check_array(given[name], raster, sides, units, resize, name)
        checked.append(array)
    _check_together(names, checked, [known[name].scale for name in names])
    height, width = (length * known[names[0]].scale for length in checked[0].shape[1:3])
    return Given(tuple(checked), units == 'network', (height, width))


def check_units(units: str) -> None:
    """Refuses units that are none of `UNITS`."""
    if units not in UNITS:
        raise UserError(f'units must be {" or ".join(map(repr, UNITS))}, not {units!r}')


def check_array(
    images: Any,
    raster: Raster,
    size: tuple[int, int] | None,
    units: str = 'data',
    resize: bool = False,
    name: str = IMAGES,
) -> np.ndarray:
    """One raster of images, `[N, H, W, C]`, of the run's type; float32 where in [-1, 1].

    Args and errors as for `check_rasters`.
    """
    array = _as_array(images, name)
    _check_axes(array, raster, name)
    array = _in_range(array, name) if units == 'network' else _in_units(array, raster, name)
    if size is None or array.shape[1:3] == size:
        return array
    height, width = array.shape[1:3]
    if not resize:
        raise WrongArray(
            f'{name} are {height} x {width} px, and the run sees {size[0]} x {size[1]} px:'
            ' resize=True resamples them (of a larger scene, cut out patches or use map_scene)'
        )
    if size[0] != size[1]:
        raise WrongArray(
            f'{name} are {height} x {width} px, and the run sees {size[0]} x {size[1]} px: only'
            ' square images can be resampled; cut them out'
        )
    if units == 'data':
        return resample(array, size[0])
    # By the filter of the images of training, whichever way they are given.
    resized = [resample_floats(image, size[0], np.dtype(raster.dtype)) for image in array]
    return np.clip(np.stack(resized), -1.0, 1.0)


def check_mask(images: Any, name: str = IMAGES) -> None:
    """Refuses images of which some pixels are masked, in an array or in a list of them.

    Raises:
      WrongArray: NumPy would take what stands below the mask.
    """
    parts = images if isinstance(images, (list, tuple)) else (images,)
    if any(isinstance(part, np.ma.MaskedArray) and np.ma.is_masked(part) for part in parts):
        raise WrongArray(f'{name} have masked pixels: fill them ({name}.filled(value)) first')


def _as_array(images: Any, name: str) -> np.ndarray:
    if isinstance(images, str) or hasattr(images, '__fspath__'):
        raise WrongArray(
            f'{name} must be an array [N, H, W, C], not a path: run.read(path) reads image files'
        )
    check_mask(images, name)
    try:
        array = np.asarray(images)
    except (ValueError, TypeError, RuntimeError) as error:
        raise WrongArray(f'{name} must be one array [N, H, W, C]: {error}') from None
    if array.dtype.kind not in 'uif':
        raise WrongArray(f'{name} must be numbers [N, H, W, C], not of type {array.dtype}')
    return array


def _check_axes(array: np.ndarray, raster: Raster, name: str) -> None:
    """Refuses whatever is not `[N, H, W, C]` with the bands of the raster."""
    num, shape = len(raster.bands), list(array.shape)
    expected = f'[N, H, W, {num}] ({", ".join(raster.bands)})'
    if array.ndim == 4 and not array.size:
        raise WrongArray(f'{name} of shape {shape} hold no image')
    if array.ndim == 3 and shape[-1] == num:
        raise WrongArray(f'{name} must be {expected}, not {shape}: one image is {name}[None]')
    if array.ndim == 3 and shape[0] == num:
        raise WrongArray(
            f'{name} must be {expected}, not {shape}: bands come last, so one image is'
            f' numpy.moveaxis({name}, 0, -1)[None]'
        )
    if array.ndim == 3 and num == 1:
        raise WrongArray(f'{name} must be {expected}, not {shape}: {name}[..., None]')
    if array.ndim == 4 and shape[-1] != num and shape[1] == num:
        raise WrongArray(
            f'{name} must be {expected}, not {shape}: bands come last, numpy.moveaxis({name}, 1,'
            ' -1)'
        )
    if array.ndim != 4 or shape[-1] != num:
        raise WrongArray(f'{name} must be {expected}, not {shape}')


def _in_range(array: np.ndarray, name: str) -> np.ndarray:
    """Float images in [-1, 1], as float32."""
    if array.dtype.kind != 'f':
        raise WrongArray(f"units='network' takes floats in [-1, 1], and {name} are {array.dtype}")
    _check_finite(array, name)
    low, high = float(array.min()), float(array.max())
    if low < -1.0 - _SLACK or high > 1.0 + _SLACK:
        raise WrongArray(
            f"units='network' takes values in [-1, 1], and those of {name} lie in"
            f' [{low:.4g}, {high:.4g}]'
        )
    if low >= 0.0 and high > 0.5:
        _warn(
            f"no value of {name} is below 0, the middle of the range [-1, 1] of units='network':"
            f' if they lie in [0, 1], give 2 * {name} - 1'
        )
    return np.clip(array, -1.0, 1.0).astype(np.float32)


def _in_units(array: np.ndarray, raster: Raster, name: str) -> np.ndarray:
    """Images of the data set's type, in its units."""
    wanted = np.dtype(raster.dtype)
    both_floats = wanted.kind == 'f' and array.dtype.kind == 'f'
    if array.dtype != wanted and not both_floats:
        raise WrongArray(_wrong_type(array, raster, name))
    if wanted.kind == 'f':
        with np.errstate(over='ignore'):  # what the type does not hold is infinite, and refused
            array = array.astype(np.float32 if wanted.itemsize > 4 else wanted)
        _check_finite(array, name)
    if wanted == np.uint8:
        if array.max() <= 1 and array.any():
            _warn(
                f'no value of {name} is above 1, and white is 255: were they in [0, 1] before they'
                ' became uint8?'
            )
    elif raster.limits is not None:
        _check_limits(array, raster.bands, raster.limits, name)
    return array


def _wrong_type(array: np.ndarray, raster: Raster, name: str) -> str:
    """One line on images of another type: what is expected, and the way there."""
    wanted, given = np.dtype(raster.dtype), array.dtype
    low, high = float(np.nanmin(array)), float(np.nanmax(array))
    expected = 'uint8, 0 to 255'
    if wanted != np.uint8:
        expected = f'{wanted} in the units of its data set{_limits_text(raster)}'
    text = f'{name} are {given} from {low:.4g} to {high:.4g}, and the run takes {expected}'
    whole = given.kind == 'f'
    if wanted.kind in 'ui' and whole and low >= -1.0 and high <= 1.0:
        way = "if they are in [-1, 1], say units='network'"
        if low >= 0.0:
            scaled = f'(255 * {name}).round().astype("uint8")'
            way = f"give {scaled}, or 2 * {name} - 1 with units='network'"
            if wanted != np.uint8:
                way = f"bring them to these units, or give {name} in [-1, 1] with units='network'"
        return f'{text}: {way}'
    fits = wanted.kind in 'ui' and np.iinfo(wanted).min <= low and high <= np.iinfo(wanted).max
    if fits and (whole or given.itemsize > 2 or wanted.itemsize > 1) and given != np.uint8:
        rounded = '.round()' if whole else ''
        return f'{text}: if they are in these units, give {name}{rounded}.astype("{wanted}")'
    if wanted.kind == 'f':
        return f'{text}: if they are in these units, give {name}.astype("float32")'
    return f"{text}: bring them to these units, or to [-1, 1] and say units='network'"


def _limits_text(raster: Raster) -> str:
    if raster.limits is None:
        return ''
    low, high = np.asarray(raster.limits).T
    return f', whose limits are {low.min():g} and {high.max():g}'


def _check_finite(array: np.ndarray, name: str) -> None:
    bad = ~np.isfinite(array).reshape(len(array), -1).all(1)
    if bad.any():
        raise WrongArray(
            f'{int(bad.sum())} of {len(array)} {name} hold NaN or infinite values, first'
            f' {name}[{int(bad.argmax())}]: fill them, such as by numpy.nan_to_num, or leave these'
            ' out'
        )


def _check_limits(array: np.ndarray, bands: tuple[str, ...], limits: Limits, name: str) -> None:
    """Refuses values in other units than the limits'; warns of many that are beyond these."""
    low, high = np.asarray(limits, np.float64).T
    smallest, largest = float(array.min()), float(array.max())
    for value in stand_for_no_data(array, low):
        raise WrongArray(
            f'{name} hold {value:g}, which is no measurement: fill such pixels, as in training with'
            f' the lower limit of each band ({", ".join(f"{one:g}" for one in low)}), or leave'
            ' these images out'
        )
    if (high - low).min() > 20.0 and 0.0 <= smallest < largest <= 1.0:
        raise WrongArray(
            f'{name} lie in [0, 1], and the units of the data set go from {low.min():g} to'
            f" {high.max():g}: bring them to these, or to [-1, 1] and say units='network'"
        )
    if (high - low).min() > 20.0 and 0.0 <= smallest < largest <= _MOST_REFLECTANCE:
        _warn(
            f'no value of {name} is above {largest:.3g}, and the units of the data set go from'
            f' {low.min():g} to {high.max():g}: are they reflectances?'
        )
    if smallest >= 0.0 and largest > 0.0 and (low + high).max() < 0.0:
        _warn(
            f"no value of {name} is below 0, and the limits of the run's data set are"
            f' {low.min():g} and {high.max():g}: are they in its units, such as decibels?'
        )
    beyond = ((array < low) | (array > high)).mean((0, 1, 2))
    worst = int(beyond.argmax())
    if beyond[worst] > _MOST_BEYOND:
        _warn(
            f'{beyond[worst]:.0%} of the values of {bands[worst]} lie beyond the limits of the'
            f" run's data set, {low[worst]:g} and {high[worst]:g}, and are held there: are"
            f' {name} in its units?'
        )


def _check_together(names: tuple[str, ...], arrays: list[np.ndarray], scales: list[int]) -> None:
    """Refuses rasters of different numbers or sizes."""
    first = arrays[0]
    sides = [length * scales[0] for length in first.shape[1:3]]
    for scale in scales:
        if sides[0] % scale or sides[1] % scale:
            raise WrongArray(
                f'{names[0]} are {sides[0]} x {sides[1]} px, and another raster of the run has one'
                f' pixel for {scale} x {scale} of them: cut them to a multiple of {scale}'
            )
    for name, array, scale in zip(names[1:], arrays[1:], scales[1:], strict=True):
        wanted = (len(first), sides[0] // scale, sides[1] // scale)
        if array.shape[:3] != wanted:
            raise WrongArray(
                f'{name} of shape {list(array.shape)} do not lie on {names[0]} of shape'
                f' {list(first.shape)}: they must be {[*wanted, array.shape[3]]}'
            )


def _warn(text: str) -> None:
    """A warning at the line of the user's program that called the library."""
    frame, level = sys._getframe(), 1
    while frame.f_back is not None and frame.f_globals['__name__'].startswith('eojax.'):
        frame, level = frame.f_back, level + 1
    warnings.warn(text, stacklevel=level)
