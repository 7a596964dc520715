"""Which pixels of a scene hold data, and a sample of them.

A pixel holds data where GDAL's mask of the dataset says so: a mask in or beside the file, an alpha
band (of floats too, of which GDAL makes no mask), or a value for no data, which then stands in all
bands of the file that measure something; bands of quality have values everywhere, and bands that
were brought to a finer grid have them some pixels beyond the border of the others, so that neither
count. The user's value for no data takes the place of the file's; masks and alpha count besides. A
dark pixel that has the value in some bands alone is data. A value that no measurement can have
(below 0, no number, or of floats any but 0) is missing in each band in which it stands, and the
network needs all bands.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from rasterio.enums import ColorInterp, MaskFlags
from rasterio.io import DatasetReader
from rasterio.windows import Window

from eojax.data.reading.scenes.band_names import kind
from eojax.errors import UserError

# Kinds of bands that have values also where the sensor has measured nothing.
_TELLS_NOTHING = ('quality', 'height')
# Tag of a band that was interpolated from a coarser grid, at its border beyond what it measured.
INTERPOLATED = 'INTERPOLATED_FROM_COARSER'
_SIDE = 32  # of the windows of a sample
_ALONG = 12  # of these along each axis
_LEAST = 0.01  # of a sample's pixels that hold data; else all of the scene is looked through
_STRIP = 256  # rows that are then read at once
_STRIP_PIXELS = 4096  # kept of each


def stands_in_all_bands(value: float, dtype: str) -> bool:
    """Whether a value for no data may be measured too, so that all bands must have it.

    Args:
      value: that stands for no data.
      dtype: of the values.
    """
    return value == 0.0 or (value > 0.0 and np.dtype(dtype).kind in 'ui')


class Validity:
    """Tells the pixels of an open scene that hold data."""

    def __init__(self, file: DatasetReader, indexes: Sequence[int], said: float | None) -> None:
        """Looks at what the file says.

        Args:
          indexes: of the bands that are read.
          said: the user's value for no data; None for the file's.
        """
        self._file, self._indexes = file, list(indexes)
        self._telling = [
            index
            for index, name in enumerate(file.descriptions, 1)
            if not name or kind(name) not in _TELLS_NOTHING
        ]
        finest = [index for index in self._telling if INTERPOLATED not in file.tags(index)]
        # All bands where none is of the finest grid.
        self._finest = set(finest or file.indexes)
        flags = file.mask_flag_enums
        first = flags[self._indexes[0] - 1]
        # A value for no data that the user says takes the place of the file's, not of its masks.
        self._by_dataset = MaskFlags.per_dataset in first and (
            said is None or MaskFlags.nodata not in first
        )
        self._by_band = said is None and not self._by_dataset and any(
            MaskFlags.all_valid not in flags[index - 1] for index in self._indexes
        )  # fmt: skip
        colours = list(file.colorinterp)
        # An alpha band is the mask also of a file that has a value for no data besides.
        alpha = ColorInterp.alpha in colours and MaskFlags.alpha not in first
        self._alpha = colours.index(ColorInterp.alpha) + 1 if alpha else None
        # GDAL calls the fourth band of 8 bits an opacity, whatever it shows: one that is read as a
        # measurement is no mask.
        measured = any(colours[index - 1] is ColorInterp.alpha for index in self._indexes)
        if measured:
            self._alpha, self._by_dataset = None, self._by_dataset and MaskFlags.alpha not in first
            self._by_band = self._by_band and MaskFlags.nodata in first
        self._value: float | None = said
        if said is None:
            by_file = file.nodata if self._by_band else None
            masked = self._by_band or self._by_dataset or alpha or file.dtypes[0] == 'uint8'
            empty = None if masked else 0.0
            self._value = empty if by_file is None else by_file

    @property
    def text(self) -> str:
        """What says which pixels hold no data, in words; empty where nothing does."""
        if self._by_dataset:
            return 'the mask of all bands'
        if self._alpha is not None:
            return 'the alpha band'
        if self._by_band:
            if self._value is None:
                return 'masks of bands'
            together = stands_in_all_bands(self._value, self._file.dtypes[self._indexes[0] - 1])
            return f'{self._value:g} in {"all bands" if together else "any band"}'
        return ''

    def of(self, values: np.ndarray, **options: Any) -> np.ndarray:
        """Which pixels of a window hold data.

        Args:
          values: of the bands, `[bands, height, width]`, as stored.
          options: of the read, `window` and for a smaller version `out_shape` and `resampling`.

        Returns:
          bool `[height, width]`.
        """
        if 'out_shape' in options:
            options['out_shape'] = options['out_shape'][-2:]
        valid = np.isfinite(values).all(0)
        if self._by_dataset:
            valid &= self._file.read_masks(self._indexes[0], **options) > 0
        if self._alpha is not None:
            valid &= self._file.read(self._alpha, **options) > 0
        elif self._by_band:
            valid &= self._any_band(**options)
        if self._value is not None and not stands_in_all_bands(self._value, values.dtype.name):
            return valid & ~(values == self._value).any(0)
        if self._value is not None and not self._by_band:
            finest = [index in self._finest for index in self._indexes]
            valid &= ~(values[finest if any(finest) else ...] == self._value).all(0)
        return valid

    def _any_band(self, **options: Any) -> np.ndarray:
        """Where any band of the file holds data; the further ones are read where it matters."""
        valid = np.zeros((), bool)
        others = [index for index in self._telling if index not in self._indexes]
        for index in [*self._indexes, *others]:
            if index not in self._finest:
                continue
            valid = valid | (self._file.read_masks(index, **options) > 0)
            if valid.all():
                break
        return valid


def sample_pixels(
    title: str,
    shape: tuple[int, int],
    read: Callable[[Window], tuple[np.ndarray, np.ndarray]],
) -> np.ndarray:
    """Pixels with data from all over a scene, `[num, bands]` as stored.

    Small windows all over the scene are read; where hardly any of their pixels holds data, as in a
    scene that was clipped to a small part of its extent, all of it is looked through.

    Args:
      title: of the scene, for messages.
      shape: height and width of the scene.
      read: values `[height, width, bands]` of a window, and bool where they hold data.

    Raises:
      UserError: no pixel holds data.
    """
    height, width = shape
    side_rows, side_columns = min(_SIDE, height), min(_SIDE, width)
    kept, seen = [], 0
    for row in np.unique(np.linspace(0, max(height - _SIDE, 0), _ALONG).astype(int)):
        for column in np.unique(np.linspace(0, max(width - _SIDE, 0), _ALONG).astype(int)):
            values, valid = read(Window(column, row, side_columns, side_rows))
            kept.append(values[valid])
            seen += valid.size
    pixels = np.concatenate(kept)
    if len(pixels) >= _LEAST * seen:
        return pixels
    kept = [pixels]
    for row in range(0, height, _STRIP):
        values, valid = read(Window(0, row, width, min(_STRIP, height - row)))
        of_strip = values[valid]
        kept.append(of_strip[:: max(1, len(of_strip) // _STRIP_PIXELS)])
    pixels = np.concatenate(kept)
    if not len(pixels):
        raise UserError(f'{title}: no pixel with data was found in it')
    return pixels
