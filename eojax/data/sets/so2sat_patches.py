"""The patches of So2Sat's HDF5 files: which values are taken of a sensor, and how they are stored.

`sen2` is reflectance of `BANDS` at the top of the atmosphere; stored is uint16, reflectance times
10,000, as all data sets and scenes of Sentinel-2 are.

`sen1` begins with the real and imaginary parts of the unfiltered VH and VV channels, linear. VV has
a standard deviation of 0.46, but single reflectors reach -5,007 and 12,702: values are cut at
`vv_limit` on both sides, and what is left is stored as uint16 in equal steps,

    stored = round(32767 v / vv_limit) + 32767,

so that zero remains zero: sign, phase and speckle are kept, and only the strongest reflectors
become equal. With a `vv_limit` of 0 nothing is cut, as in "EO-to-SAR transfer" (Hussing et al.,
2022): stored is float16, within one part in 2,048 of each value, `UNCUT_LIMIT` becomes 1, and the
strongest reflectors some thousands.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

import h5py
import numpy as np
from tqdm import tqdm

from eojax.data.dataset import Dataset, image_dataset
from eojax.data.facts import Limits
from eojax.data.reading.hdf5 import NUMBERS, Hdf5Rows, find_array, open_hdf5, windows
from eojax.data.reading.lazy_images import LazyImages
from eojax.data.reading.patches import resample
from eojax.data.reading.sentinel2 import DISPLAY_LIMITS, UNITS_PER_REFLECTANCE
from eojax.data.sets.local_climate_zones import CLASS_NAMES
from eojax.errors import UserError

SIZE = 32
# Of `sen2`, in the files' order.
BANDS = ('B02', 'B03', 'B04', 'B05', 'B06', 'B07', 'B08', 'B8A', 'B11', 'B12')
# Reflectance of each band over the training patches of version 2, as in TorchGeo's So2Sat data
# module.
MEAN = (
    0.12375696, 0.10927746, 0.10108552, 0.11423986, 0.15926567, 0.18147236, 0.17457403, 0.19501607,
    0.15428469, 0.10905051,
)  # fmt: skip
STD = (
    0.03958796, 0.04777826, 0.06636617, 0.06358875, 0.07744387, 0.09101635, 0.09218466, 0.10164581,
    0.09991773, 0.08780633,
)  # fmt: skip
# Steps from zero to `vv_limit`.
VV_STEPS = 32767
# About three standard deviations: what becomes 1 where nothing is cut.
UNCUT_LIMIT = 1.5


class Sensor(NamedTuple):
    """The channels that are taken of the patches.

    Attributes:
      key: the array in the files.
      num_channels: how many it has.
      channels: those that are taken, from 0.
      bands: their names.
      limits: of their stored values, what becomes -1 and +1.
    """

    key: str
    num_channels: int
    channels: tuple[int, ...]
    bands: tuple[str, ...]
    limits: Limits


def _three_deviations() -> Limits:
    """Three standard deviations around the mean of each band, but never below zero."""
    ends = [(max(0.0, m - 3.0 * s), m + 3.0 * s) for m, s in zip(MEAN, STD, strict=True)]
    return tuple((UNITS_PER_REFLECTANCE * low, UNITS_PER_REFLECTANCE * high) for low, high in ends)


SENSORS = {
    # In the colours in which EuroSAT's RGB images show the same sensor.
    'rgb': Sensor('sen2', 10, (2, 1, 0), ('B04', 'B03', 'B02'), (DISPLAY_LIMITS,) * 3),
    's2': Sensor('sen2', 10, tuple(range(10)), BANDS, _three_deviations()),
    'vv': Sensor('sen1', 8, (2, 3), ('vv_real', 'vv_imaginary'), ((0.0, 2.0 * VV_STEPS),) * 2),
}


class Coding(NamedTuple):
    """How patches are stored.

    Attributes:
      sensor: one of `SENSORS`.
      size: height and width in pixels.
      vv_limit: the greatest value of 'vv' that is told from greater ones; 0: none is cut.
    """

    sensor: str
    size: int = SIZE
    vv_limit: float = 1.5

    @property
    def limits(self) -> Limits:
        """Of the stored values, what becomes -1 and +1."""
        sensor = SENSORS[self.sensor]
        if self.uncut:
            return ((-UNCUT_LIMIT, UNCUT_LIMIT),) * len(sensor.bands)
        return sensor.limits

    @property
    def uncut(self) -> bool:
        """Whether values of 'vv' are stored as they are."""
        return SENSORS[self.sensor].key == 'sen1' and not self.vv_limit


def encode(patches: np.ndarray, coding: Coding, title: Callable[[int], str]) -> np.ndarray:
    """Patches as in a file to those of the data set.

    Args:
      patches: float `[num, 32, 32, channels]`.
      coding: how.
      title: of the patch with that number, for messages.

    Returns:
      uint16 `[num, size, size, bands]`; float16 where nothing is cut.

    Raises:
      UserError: a value that is NaN or infinite, in a channel that is taken, or beyond float16.
    """
    sensor = SENSORS[coding.sensor]
    values = patches[..., list(sensor.channels)].astype(np.float64, copy=False)
    finite = np.isfinite(values)
    if not finite.all():
        number = int(np.flatnonzero(~finite.all((1, 2, 3)))[0])
        raise UserError(f'{title(number)}: pixels of {sensor.key} are NaN or infinite')
    if coding.uncut:
        largest = np.abs(values).max(initial=0.0)
        if largest > np.finfo(np.float16).max:
            number = int(np.abs(values).max((1, 2, 3)).argmax())
            raise UserError(f'{title(number)}: {largest:g} in {sensor.key} is beyond float16')
        return resample(values.astype(np.float32), coding.size).astype(np.float16)
    if sensor.key == 'sen2':
        stored = np.rint(values * UNITS_PER_REFLECTANCE).clip(0, 2**16 - 1)
    else:
        cut = values.clip(-coding.vv_limit, coding.vv_limit)
        stored = np.rint(cut * (VV_STEPS / coding.vv_limit)) + VV_STEPS
    return resample(stored.astype(np.uint16), coding.size)


def read_patches(
    files: Mapping[str, Path], coding: Coding, progress: bool, resident_bytes: int | None
) -> Dataset:
    """All patches, file after file, as `<file>/<row>`: `training/0000123`.

    Args:
      files: in one folder, by their name without suffix, sorted.
      coding: how patches are stored.
      progress: show a bar on stderr.
      resident_bytes: a larger set stays on disk, `LazyImages`; None reads a set of any size.

    Returns:
      A `Dataset` without limits and parts.

    Raises:
      UserError: a file that is missing, damaged, truncated or laid out in another way.
    """
    sensor = SENSORS[coding.sensor]
    labels = [_read_labels(file, sensor) for file in files.values()]
    names = tuple(
        f'{part}/{row:07d}'
        for part, classes in zip(files, labels, strict=True)
        for row in range(len(classes))
    )
    folder = next(iter(files.values())).parent
    decode = functools.partial(_decode, coding=coding)
    lazy = LazyImages(folder, names, decode, Hdf5Rows(folder, sensor.key))
    all_labels = np.concatenate(labels)
    if resident_bytes is not None and lazy.nbytes > resident_bytes:
        return image_dataset(lazy, all_labels, names, CLASS_NAMES, sensor.bands)
    images = np.empty(lazy.shape, lazy.dtype)
    place = 0
    with tqdm(total=len(names), desc='reading So2Sat', unit='img', disable=not progress) as bar:
        for part, file in files.items():
            with open_hdf5(file) as content:
                for start, patches in windows(_patches(content, sensor)):
                    title = functools.partial(_title, folder, part, start)
                    images[place : place + len(patches)] = encode(patches, coding, title)
                    place += len(patches)
                    bar.update(len(patches))
    return image_dataset(images, all_labels, names, CLASS_NAMES, sensor.bands)


def _decode(patch: np.ndarray, title: str, *, coding: Coding) -> np.ndarray:
    return encode(patch[None], coding, lambda _: title)[0]


def _title(folder: Path, part: str, start: int, number: int) -> str:
    """Of a patch in a window, as `LazyImages` calls it."""
    return f'{folder}: {part}/{start + number:07d}'


def _patches(file: h5py.File, sensor: Sensor) -> h5py.Dataset:
    return find_array(file, sensor.key, (SIZE, SIZE, sensor.num_channels))


def _read_labels(path: Path, sensor: Sensor) -> np.ndarray:
    """Int32 `[num]` of a file's one-hot labels, as many as it has patches."""
    with open_hdf5(path) as file:
        array = find_array(file, 'label', (len(CLASS_NAMES),), NUMBERS)
        num = len(_patches(file, sensor))
        if len(array) != num:
            raise UserError(f'{path}: {len(array)} labels for {num} patches of {sensor.key}')
        labels = np.empty(num, np.int32)
        for start, rows in windows(array):
            wrong = ~((rows == 0) | (rows == 1)).all(1) | (rows.sum(1) != 1)
            if wrong.any():
                row = start + int(np.flatnonzero(wrong)[0])
                raise UserError(f'{path}: label {row} is not one-hot, a 1 among zeros')
            labels[start : start + len(rows)] = rows.argmax(1)
    return labels
