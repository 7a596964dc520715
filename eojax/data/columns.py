"""Columns of places: in memory, or in a file of which only what is indexed is read."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from eojax.errors import UserError

# Names that are turned into text or digests at a time.
_CHUNK = 2**16
# Of a SHA-256 digest, the bytes that names are ordered by: two names in 10**19 share them.
_DIGEST_BYTES = 16

# Text, or one array of NumPy's bytes or text.
Names = Sequence[str] | np.ndarray


class MappedColumn(np.ndarray):
    """A column in a `.npy` file: an array of which the system reads the pages that are indexed.

    It pickles as the file's path, so that worker processes share the file's pages and get no copy.
    What is taken out of it is an ordinary array.
    """

    path: Path | None

    def __array_finalize__(self, source: Any) -> None:
        self.path = None

    def __getitem__(self, key: Any) -> Any:
        return self.view(np.ndarray)[key]

    def __reduce__(self) -> Any:
        if self.path is None:
            return self.view(np.ndarray).__reduce__()
        return open_column, (self.path,)


def open_column(path: Path) -> MappedColumn:
    """The column in a `.npy` file; nothing but its header is read.

    Raises:
      UserError: the file is absent or damaged.
    """
    try:
        # NumPy compares the header with the file's size.
        column = np.load(path, mmap_mode='r', allow_pickle=False).view(MappedColumn)
    except FileNotFoundError:
        raise UserError(f'no such file: {path}') from None
    except (OSError, ValueError) as error:
        raise UserError(f'{path}: damaged or no column ({" ".join(str(error).split())})') from None
    column.path = path
    return column


def name_at(names: Names, index: int) -> str:
    """A name as text."""
    name = names[index]
    return name.decode('utf-8', 'surrogateescape') if isinstance(name, bytes) else str(name)


def encoded_names(names: Names, start: int = 0, stop: int | None = None) -> list[bytes]:
    """Names as UTF-8, from `start` to before `stop`."""
    chosen = names[start:stop]
    if isinstance(chosen, np.ndarray) and chosen.dtype.kind == 'S':
        return chosen.tolist()
    return [str(name).encode('utf-8', 'surrogateescape') for name in chosen]


def hash_order(names: Names, seed: int) -> np.ndarray:
    """The numbers of all names in the order of SHA-256 of `<seed>:<name>`, int64 `[num]`.

    The order is the same on every machine and with every version of NumPy.
    """
    prefix = f'{seed}:'.encode()
    halves = np.empty((len(names), 2), '>u8')
    for start in range(0, len(names), _CHUNK):
        chunk = encoded_names(names, start, start + _CHUNK)
        digests = b''.join(hashlib.sha256(prefix + n).digest()[:_DIGEST_BYTES] for n in chunk)
        halves[start : start + len(chunk)] = np.frombuffer(digests, '>u8').reshape(-1, 2)
    return np.lexsort((halves[:, 1], halves[:, 0]))


def names_digest(names: Names, indices: np.ndarray) -> str:
    """SHA-256 over the names at `indices`, each followed by a zero byte, in that order."""
    digest = hashlib.sha256()
    take: Callable[[np.ndarray], Names] = (
        (lambda chosen: names[chosen])
        if isinstance(names, np.ndarray)
        else (lambda chosen: [names[i] for i in chosen])
    )
    for start in range(0, len(indices), _CHUNK):
        chunk = encoded_names(take(indices[start : start + _CHUNK]))
        digest.update(b'\0'.join([*chunk, b'']))
    return digest.hexdigest()


def all_unique(names: Names) -> bool:
    """Whether no two names are the same."""
    num = len(np.unique(names)) if isinstance(names, np.ndarray) else len(set(names))
    return num == len(names)


def spread(total: int, num: int) -> np.ndarray:
    """`min(total, num)` distinct indices below `total`, evenly spaced and ascending."""
    num = min(total, num)
    return np.arange(num) * total // max(num, 1)
