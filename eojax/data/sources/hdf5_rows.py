"""A source of equally large places that are rows of arrays in HDF5 files, as in So2Sat."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import h5py
import numpy as np

from eojax.data.dataset import Window, check_window
from eojax.data.facts import PIXEL_LABELS, Raster
from eojax.data.reading.hdf5 import find_array, open_file, read_part
from eojax.data.sources.label_values import LabelValues
from eojax.data.sources.open_files import Kept
from eojax.errors import UserError

# Of each thread.
_KEPT_FILES = 16


class RowArray(NamedTuple):
    """The array of one raster.

    Attributes:
      key: of the array `[num, height, width, channels]`, in every file.
      channels: numbers from 0 of those that are the raster's bands, in that order; all where empty.
      values: of an array of labels `[num, height, width]`, what they mean.
    """

    key: str
    channels: tuple[int, ...] = ()
    values: LabelValues | None = None


class Hdf5Source:
    """Reads windows of rows; see `eojax.data.dataset.Source`. It pickles as its files' paths."""

    def __init__(
        self,
        files: Sequence[Path],
        arrays: Mapping[str, RowArray],
        rasters: Mapping[str, Raster],
        size: tuple[int, int],
        rows: np.ndarray | None = None,
    ) -> None:
        """Looks at every array's shape and type.

        Args:
          files: one after the other; place number n is the n-th of all their rows.
          arrays: of each raster, and of `labels`.
          rasters: the facts of each, without `labels`.
          size: height and width of all places.
          rows: int64 `[num, 2]`, the file and the row of each place; all in order where None.

        Raises:
          UserError: a file or array that is absent, or unlike the facts; by name.
        """
        self._files, self._arrays, self._rasters = tuple(files), dict(arrays), dict(rasters)
        self._size = size
        self._opened: Kept[h5py.File] = Kept(_KEPT_FILES, h5py.File.close)
        if rows is None:
            counts = [self._count(number) for number in range(len(self._files))]
            file = np.repeat(np.arange(len(counts)), counts)
            rows = np.column_stack([file, np.concatenate([np.arange(num) for num in counts])])
        self._rows = rows

    def __reduce__(self) -> tuple:
        arguments = (self._files, self._arrays, self._rasters, self._size, self._rows)
        return Hdf5Source, arguments

    def __len__(self) -> int:
        return len(self._rows)

    def read(
        self, place: int, window: Window | None, rasters: Sequence[str]
    ) -> dict[str, np.ndarray]:
        """See `Source.read`."""
        file, row = (int(number) for number in self._rows[place])
        window = Window(0, 0, *self._size) if window is None else window
        check_window(window, self._size, f'{self._files[file]}: row {row}')
        opened = self._file(file)
        read = {}
        for name in rasters:
            one = self._arrays[name]
            scale = 1 if name == PIXEL_LABELS else self._rasters[name].scale
            top, left, height, width = (length // scale for length in window)
            where = (row, slice(top, top + height), slice(left, left + width))
            stored = read_part(opened[one.key], where)
            if name == PIXEL_LABELS:
                assert one.values is not None
                title = f'{self._files[file]}: {one.key}, row {row}'
                read[name] = one.values.apply(stored[..., None], title)
            else:
                read[name] = stored[..., list(one.channels)] if one.channels else stored
        return read

    def subset(self, indices: np.ndarray) -> Hdf5Source:
        """See `Source.subset`."""
        return Hdf5Source(self._files, self._arrays, self._rasters, self._size, self._rows[indices])

    def _file(self, number: int) -> h5py.File:
        return self._opened.get(number, lambda: open_file(self._files[number]))

    def _count(self, number: int) -> int:
        """The rows of a file, whose arrays must be as the facts say."""
        file, counts = self._file(number), {}
        for name, one in self._arrays.items():
            counts[name] = len(self._find(file, name, one))
        if len(set(counts.values())) != 1:
            listed = ', '.join(f'{self._arrays[name].key} {num}' for name, num in counts.items())
            raise UserError(f'{file.filename}: arrays of different lengths: {listed}')
        return next(iter(counts.values()))

    def _find(self, file: h5py.File, name: str, one: RowArray) -> h5py.Dataset:
        if name == PIXEL_LABELS:
            return find_array(file, one.key, self._size, 'iu')
        facts = self._rasters[name]
        array = file.get(one.key)
        most = array.shape[-1] if isinstance(array, h5py.Dataset) and array.ndim == 4 else 0
        channels = most if one.channels else len(facts.bands)
        shape = (self._size[0] // facts.scale, self._size[1] // facts.scale, channels)
        array = find_array(file, one.key, shape, np.dtype(facts.dtype).kind)
        if str(array.dtype) != facts.dtype:
            raise UserError(
                f'{file.filename}: {one.key} has values of type {array.dtype}; expected'
                f' {facts.dtype}'
            )
        if one.channels and max(one.channels) >= most:
            raise UserError(f'{file.filename}: {one.key} has {most} channels, no {one.channels}')
        return array
