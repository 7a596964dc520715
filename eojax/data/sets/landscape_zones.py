"""Drawn landscapes of the seventeen Local Climate Zones, in colour or in radar backscatter.

A stand-in for So2Sat LCZ42 (Zhu et al., 2020) that is always there: the same classes in the same
order, seen by Sentinel-2 or Sentinel-1, 10 m a pixel. Nothing in it is real imagery: results on it
say whether a method works, not how well it would do on Earth.

Sensors (`data.sensor`):

- `rgb`: true colour, uint8, in Sentinel-2's usual scaling;
- `sar`: the real and imaginary part of the single-look complex VV channel, in units of the square
  root of sigma0, cut at 1.5 on both sides and stored as uint16,

      stored = round(32767 v / 1.5) + 32767;

- `sar_db`: intensity in dB, averaged over 3 x 3 pixels, stored as uint16 in hundredths of dB above
  -100 dB; -25 dB becomes -1 and 5 dB becomes 1.

`data.frequencies` says how often each class is drawn: `equal`, or as in the training set of So2Sat
(`so2sat`), where one low-rise patch in thirty-three is of the rarest low-rise type.

`data.gain_db` is the standard deviation of a radar gain that each place has of its own, as in
images that were never calibrated; 0, the default, is a calibrated radar.

Place i of a seed is the same in all sensors. Two domains that must not show the same places, as in
unpaired transfer, take two seeds.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from ml_collections import ConfigDict

from eojax.data import class_groups
from eojax.data.dataset import Dataset, image_dataset
from eojax.data.facts import Files, Limits
from eojax.data.kinds import DatasetKind, check_drawn
from eojax.data.sets.local_climate_zones import CLASS_NAMES, SO2SAT_COUNTS
from eojax.data.shared_options import SHARED
from eojax.errors import UserError, unknown_name
from eojax.memory import FEWER, check_fits
from eojax.option import NOT_NEGATIVE, Option, at_least, name_in, one_of
from eojax.synthetic.canvas import Canvas
from eojax.synthetic.chance import Chance
from eojax.synthetic.local_climate.zones import LAYOUTS
from eojax.synthetic.scene import PIXEL_SIZE, Scene
from eojax.synthetic.views.render_rgb import render_rgb
from eojax.synthetic.views.render_sar import multilook_db, render_sar

__all__ = ['CLASS_NAMES', 'SENSORS', 'generate', 'make_scenes']

NAME = 'landscape_zones'
MIN_SIZE = 16
AMPLITUDE_LIMIT = 1.5
"""Greatest real or imaginary part that is told from greater ones, in sqrt(sigma0)."""
_LEVELS = 32767
_DB_OFFSET = 100.0
_DB_LIMITS = (-25.0, 5.0)

FREQUENCIES = ('equal', 'so2sat')
# Pixels in one batch: its layers then fit in a core's cache.
_BATCH_PIXELS = 2**16


def _colour(scene: Scene, gain: np.ndarray) -> np.ndarray:
    return render_rgb(scene, cast_shadows=True)


def _amplitude(scene: Scene, gain: np.ndarray) -> np.ndarray:
    image = render_sar(scene) * gain
    parts = np.stack([image.real, image.imag], axis=-1) / np.float32(AMPLITUDE_LIMIT)
    return (np.rint(np.clip(parts, -1.0, 1.0) * _LEVELS) + _LEVELS).astype(np.uint16)


def _decibels(scene: Scene, gain: np.ndarray) -> np.ndarray:
    db = multilook_db(render_sar(scene) * gain)[..., None]
    return np.rint(100.0 * (db + _DB_OFFSET)).astype(np.uint16)


class Sensor(NamedTuple):
    """A view of a scene.

    Attributes:
      bands: a name for each band.
      dtype: of the stored values.
      limits: of the stored values, what becomes -1 and +1; None for uint8.
      render: scenes, and factors float32 `[N, 1, 1]` of the radar's amplitudes, to stored values
        `[N, H, W, bands]`.
    """

    bands: tuple[str, ...]
    dtype: type[np.generic]
    limits: Limits | None
    render: Callable[[Scene, np.ndarray], np.ndarray]


SENSORS = {
    'rgb': Sensor(('red', 'green', 'blue'), np.uint8, None, _colour),
    'sar': Sensor(('vv_real', 'vv_imaginary'), np.uint16, ((0.0, 2.0 * _LEVELS),) * 2, _amplitude),
    'sar_db': Sensor(
        ('vv_db',),
        np.uint16,
        ((100.0 * (_DB_LIMITS[0] + _DB_OFFSET), 100.0 * (_DB_LIMITS[1] + _DB_OFFSET)),),
        _decibels,
    ),
}
OPTIONS: dict[str, Option] = {
    'size': SHARED['size']._replace(
        default=32, meaning='side of an image, 10 m a pixel', within=at_least(MIN_SIZE)
    ),
    'num_images': Option(
        5000,
        'images that are drawn, of all seventeen classes',
        at_least(10 * len(CLASS_NAMES)),
        'images',
    ),
    'seed': Option(0, 'seed of the drawing', NOT_NEGATIVE),
    'sensor': Option('rgb', 'who sees the landscape', name_in(SENSORS)),
    'frequencies': Option(
        'equal', 'how often each class is drawn: equally, or as in So2Sat', one_of(*FREQUENCIES)
    ),
    'gain_db': Option(0.0, "deviation of the radar's gain from place to place", NOT_NEGATIVE, 'dB'),
}


def generate(
    num: int,
    size: int = 32,
    seed: int = 0,
    sensor: str = 'rgb',
    classes: Sequence[str] = CLASS_NAMES,
    gain_db: float = 0.0,
    frequencies: str = 'equal',
) -> Dataset:
    """Draws those of `num` places of the seventeen classes that are wanted.

    Place i depends on `seed`, i and `size` alone and is called `<class>/<class>_<i>`: a smaller
    data set is a part of a larger one of the same seed, and two sensors see the same places.

    Args:
      num: how many, at least 1.
      size: their height and width in pixels of 10 m, at least 16.
      seed: at least 0.
      sensor: one of `SENSORS`.
      classes: only places of these are drawn; the data set has all seventeen as its classes.
      gain_db: standard deviation of the radar's gain from place to place.
      frequencies: one of `FREQUENCIES`; with `equal` classes take turns.

    Returns:
      A `Dataset` in the order of names.

    Raises:
      UserError: for arguments outside these ranges.
    """
    if num < 1:
        raise UserError(f'{NAME}: num is {num}; ask for at least 1 image')
    if sensor not in SENSORS:
        raise unknown_name('data.sensor', sensor, SENSORS)
    if frequencies not in FREQUENCIES:
        raise unknown_name('data.frequencies', frequencies, FREQUENCIES)
    view = SENSORS[sensor]
    labels = _classes(num, frequencies)
    numbers = np.flatnonzero(np.isin(labels, [CLASS_NAMES.index(name) for name in classes]))
    labels = labels[numbers]
    shape = (len(numbers), size, size, len(view.bands))
    num_bytes = math.prod(shape) * np.dtype(view.dtype).itemsize
    check_fits(num_bytes, f'{len(numbers):,} landscapes of {size} x {size} pixels', FEWER)
    images = np.empty(shape, view.dtype)
    step = max(1, _BATCH_PIXELS // max(size, 1) ** 2)
    for label in np.unique(labels):
        rows = np.flatnonzero(labels == label)
        for start in range(0, len(rows), step):
            part = rows[start : start + step]
            scenes = make_scenes(int(label), size, seed, numbers[part])
            images[part] = view.render(scenes, _gains(gain_db, seed, numbers[part]))
    digits = max(6, len(str(num - 1)))
    names = [
        f'{CLASS_NAMES[k]}/{CLASS_NAMES[k]}_{i:0{digits}d}'
        for i, k in zip(numbers, labels, strict=True)
    ]
    order = np.argsort(names)
    return image_dataset(
        images=images[order],
        labels=labels[order].astype(np.int32),
        names=tuple(names[i] for i in order),
        class_names=CLASS_NAMES,
        bands=view.bands,
        limits=view.limits,
    ).with_facts(name=NAME, title='drawn zones', metres=PIXEL_SIZE, files=Files(size=size))


def _classes(num: int, frequencies: str) -> np.ndarray:
    """The class of each place, by its number alone: fewer places are a part of more."""
    if frequencies == 'equal':
        return np.arange(num) % len(CLASS_NAMES)
    # Multiples of the golden ratio fill the unit interval evenly, however many there are.
    golden = (np.arange(num) + 0.5) * ((5.0**0.5 - 1.0) / 2.0) % 1.0
    ends = np.cumsum(SO2SAT_COUNTS) / sum(SO2SAT_COUNTS)
    return np.searchsorted(ends, golden, side='right')


def _gains(deviation: float, seed: int, indices: np.ndarray) -> np.ndarray:
    """Factors of amplitude, float32 `[N, 1, 1]`; 1 where the deviation is 0 dB."""
    # The scene's own chance is another: the last number keeps the two apart.
    decibels = deviation * Chance([seed, int(i), 1] for i in indices).normal(1, 1)
    return np.float32(10.0) ** (decibels / np.float32(20.0))


def make_scenes(
    label: int, size: int = 32, seed: int = 0, indices: Sequence[int] | np.ndarray = (0,)
) -> Scene:
    """The scenes of one class behind the images of `generate`.

    Args:
      label: index into `CLASS_NAMES`.
      size: height and width in pixels of 10 m, at least 16.
      seed: at least 0.
      indices: the places' numbers, `[N]`. A scene depends on `seed`, its number, `label` and `size`
        alone.

    Raises:
      UserError: for an unknown label, a size below 16 or a negative seed or index.
    """
    if not 0 <= label < len(CLASS_NAMES):
        raise UserError(f'{NAME}: unknown label {label} (known: 0 to {len(CLASS_NAMES) - 1})')
    if size < MIN_SIZE:
        raise UserError(f'{NAME}: size is {size}; the smallest is {MIN_SIZE} pixels')
    if seed < 0:
        raise UserError(f'{NAME}: seed is {seed}; use 0 or more')
    if min(indices) < 0:
        raise UserError(f'{NAME}: index {min(indices)} is negative; use 0 or more')
    canvas = Canvas(Chance([seed, int(i)] for i in indices), size)
    LAYOUTS[label](canvas)
    return canvas.scene()


def _check(options: ConfigDict) -> None:
    check_drawn(NAME, options)


def _from_config(options: ConfigDict, progress: bool) -> Dataset:
    """The data set of the config group `data`; see `generate`.

    `num_images` counts those of all seventeen classes: `data.classes` then leaves some out.
    """
    members = [name for group in class_groups.parse(options.classes).values() for name in group]
    # An unknown name is refused, with the known ones, where classes are grouped.
    wanted = [name for name in members if name in CLASS_NAMES] or CLASS_NAMES
    return generate(
        options.num_images,
        options.size,
        options.seed,
        options.sensor,
        wanted,
        options.gain_db,
        options.frequencies,
    )


KIND = DatasetKind(
    NAME,
    _check,
    _from_config,
    OPTIONS,
    CLASS_NAMES,
)
