"""Arrays in HDF5 files, read by windows or row by row and never as a whole."""

from __future__ import annotations

import contextlib
import math
import os
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from eojax.errors import UserError

# Of the values of a window as they are stored; two of them are held at a time.
WINDOW_BYTES = 2**25
# Of numpy's types.
FLOATS = 'f'
NUMBERS = 'fiub'


@contextlib.contextmanager
def open_hdf5(path: Path) -> Iterator[h5py.File]:
    """Opens a file for reading.

    Raises:
      UserError: it is missing, unreadable, truncated or not HDF5.
    """
    with open_file(path) as file:
        yield file


def find_array(
    file: h5py.File, key: str, row_shape: Sequence[int], kinds: str = FLOATS
) -> h5py.Dataset:
    """The array `key`, `[num, *row_shape]` with at least one row.

    Args:
      row_shape: what each row must be.
      kinds: of numpy's types, those that the values may have.

    Raises:
      UserError: there is none, or one of another shape or type.
    """
    array = file.get(key)
    if not isinstance(array, h5py.Dataset):
        raise UserError(f'{file.filename}: no array {key!r} (it holds {", ".join(file) or "none"})')
    if array.ndim != 1 + len(row_shape) or array.shape[1:] != tuple(row_shape):
        expected = ' x '.join(map(str, ('N', *row_shape)))
        found = ' x '.join(map(str, array.shape or ())) or 'a single value'
        raise UserError(f'{file.filename}: {key} is {found}; expected {expected}')
    if array.dtype.kind not in kinds:
        raise UserError(f'{file.filename}: {key} has values of type {array.dtype}')
    if not len(array):
        raise UserError(f'{file.filename}: {key} is empty')
    return array


def windows(array: h5py.Dataset) -> Iterator[tuple[int, np.ndarray]]:
    """All rows in order, as pairs of the first one's number and `[rows, ...]` as stored.

    No window is larger than `WINDOW_BYTES`, but for a single row that is; where the file's chunks
    are smaller, windows end where chunks end, so that none is unpacked twice.

    Raises:
      UserError: a part that cannot be read.
    """
    rows = _window_rows(array)
    for start in range(0, len(array), rows):
        yield start, read_part(array, slice(start, min(start + rows, len(array))))


class Hdf5Rows:
    """Reads rows of an array of the files in one folder, by `<file without suffix>/<row>`.

    It pickles as the folder's path. A file is opened at the first read, once in each process:
    processes that shared an open file would move each other's place in it. Threads may read at a
    time; HDF5 lets one after the other.

    Attributes:
      path: of the folder.
      key: of the array.
    """

    def __init__(self, path: Path, key: str) -> None:
        self.__setstate__({'path': path, 'key': key})

    def __getstate__(self) -> dict[str, Any]:
        return {'path': self.path, 'key': self.key}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.path: Path = state['path']
        self.key: str = state['key']
        self._lock = threading.Lock()
        # By process and file.
        self._arrays: dict[tuple[int, str], h5py.Dataset] = {}

    def __call__(self, name: str) -> np.ndarray:
        """A row as stored.

        Raises:
          UserError: the file, the array or the row is missing or cannot be read.
        """
        part, _, row = name.rpartition('/')
        return read_part(self._array(part), int(row))

    def _array(self, part: str) -> h5py.Dataset:
        place = (os.getpid(), part)
        with self._lock:
            if place not in self._arrays:
                file = open_file(self.path / f'{part}.h5')
                array = file.get(self.key)
                if not isinstance(array, h5py.Dataset):
                    raise UserError(f'{file.filename}: no array {self.key!r}')
                self._arrays[place] = array
            return self._arrays[place]


def open_file(path: Path) -> h5py.File:
    """As `open_hdf5`; who calls it closes the file."""
    if path.is_dir():
        raise UserError(f'{path}: a folder; expected an HDF5 file')
    try:
        # Nobody writes to the file; some network file systems know no locks.
        return h5py.File(path, 'r', locking='best-effort')
    except FileNotFoundError:
        raise UserError(f'no such file: {path}') from None
    except OSError as error:
        if 'truncated file' in str(error):
            raise UserError(f'{path}: truncated HDF5 file; get the file again') from None
        if 'file signature' in str(error):
            raise UserError(f'{path}: not an HDF5 file') from None
        raise UserError(f'{path}: cannot be read ({_reason(error)})') from None


def read_part(array: h5py.Dataset, where: slice | int | tuple) -> np.ndarray:
    """Rows of an array, one, or a part of one, as h5py takes them.

    Raises:
      UserError: it cannot be read, by file, array and row.
    """
    try:
        return array[where]
    # Damaged chunks, filters that are not there, and rows beyond the last.
    except (OSError, RuntimeError, ValueError, IndexError) as error:
        title = f'{array.file.filename}: {array.name.lstrip("/")}'
        first = where[0] if isinstance(where, tuple) else where
        first = first.start if isinstance(first, slice) else first
        raise UserError(
            f'{title} cannot be read from row {first} on ({_reason(error)}); get the file again'
        ) from None


def _window_rows(array: h5py.Dataset) -> int:
    rows = max(1, WINDOW_BYTES // (math.prod(array.shape[1:]) * array.dtype.itemsize))
    chunk = array.chunks[0] if array.chunks else 1
    return rows - rows % chunk if chunk <= rows else rows


def _reason(error: Exception) -> str:
    strerror = error.strerror if isinstance(error, OSError) else None
    return ' '.join((strerror or str(error)).split())[:200]
