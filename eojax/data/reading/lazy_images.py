"""Images that stay on disk: they stand where an array of all images does, for sets too large."""

from __future__ import annotations

import functools
import math
import operator
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from ml_collections import ConfigDict

from eojax.data.reading.decode import IMAGES_PER_TASK, MAX_THREADS, in_threads
from eojax.data.reading.image_files import FileReader
from eojax.errors import UserError
from eojax.memory import check_fits

# What base_config's `data.resident_gigabytes` is where a config has no such key.
RESIDENT_GIGABYTES = 4.0

# From the content of a file and its name, for messages, to `[height, width, bands]`.
Decode = Callable[[Any, str], np.ndarray]


class Reader(Protocol):
    """Reads by name from the folder or file at `path`; it pickles, and threads may share it."""

    @property
    def path(self) -> Path:
        """The folder or file."""

    def __call__(self, name: Any) -> Any:
        """The input of `Decode`; a `UserError` where it cannot be read."""


def memory_limit(options: ConfigDict) -> int:
    """The largest decoded set to be held in memory, of the config group `data`."""
    return int(options.get('resident_gigabytes', RESIDENT_GIGABYTES) * 2**30)


class LazyImages:
    """The decoded images of files, `[num, height, width, bands]`, read when they are indexed.

    Like an array it has `shape`, `dtype`, `nbytes` and a length, and takes a whole number, a slice
    or an array of indices; unlike one it is never read as a whole by accident: `images[:]` asks for
    that. It pickles as names, so that worker processes can have it, and is safe to share between
    threads. The first image says what all others must be.
    """

    def __init__(
        self,
        path: Path,
        files: Sequence[Any],
        decode: Decode,
        reader: Reader | None = None,
    ) -> None:
        """Reads and decodes the first image.

        Args:
          path: the folder or zip archive.
          files: names in it, at least one, with forward slashes; or a range of numbers, where the
            reader takes these.
          decode: of the content of one file; a function that pickles.
          reader: of what is named by `files` where it is no file with encoded pixels.

        Raises:
          UserError: the first file cannot be read or decoded.
        """
        self._reader: Reader = FileReader(path) if reader is None else reader
        self._files: Sequence[Any] = files
        if not isinstance(files, range):
            self._files = tuple(files)
        self._decode = decode
        first = decode(self._reader(self._files[0]), self._title(0))
        self._image_shape: tuple[int, ...] = first.shape
        self.dtype = first.dtype

    @property
    def shape(self) -> tuple[int, ...]:
        return (len(self._files), *self._image_shape)

    @property
    def nbytes(self) -> int:
        """Of the decoded images."""
        return math.prod(self.shape) * self.dtype.itemsize

    def __len__(self) -> int:
        return len(self._files)

    def __repr__(self) -> str:
        return f'LazyImages({self._reader.path}, shape={self.shape}, dtype={self.dtype})'

    def __array__(self, *args: Any, **kwargs: Any) -> np.ndarray:
        raise TypeError('images on disk do not become an array by themselves; images[:] reads all')

    def __getitem__(self, key: Any) -> np.ndarray:
        """One image, or those of a slice, of integers or of a mask, as numpy would index them.

        Raises:
          UserError: a file that cannot be read or decoded, or differs from the first in size.
        """
        if hasattr(key, '__index__') and np.ndim(key) == 0:
            return self._one(range(len(self))[operator.index(key)])
        chosen = self._numbers(key)
        images = np.empty((chosen.size, *self._image_shape), self.dtype)
        self._fill(images, chosen.ravel())
        return images.reshape(*chosen.shape, *self._image_shape)

    @property
    def path(self) -> Path:
        """The folder or archive."""
        return self._reader.path

    def decoded_with(self, **options: Any) -> LazyImages:
        """The same images, decoded with other options; the first one is read again.

        Args:
          options: keyword arguments of the function that decodes.
        """
        decode = functools.partial(self._decode, **options)
        return LazyImages(self.path, self._files, decode, self._reader)

    def subset(self, indices: np.ndarray) -> LazyImages:
        """The images at `indices`, in that order; nothing is read."""
        chosen = self._numbers(indices)
        part = object.__new__(LazyImages)
        part.__dict__.update(self.__dict__)
        part._files = tuple(self._files[i] for i in chosen)
        return part

    def read_all(
        self, *, threads: int = MAX_THREADS, progress: bool = False, title: str = 'images'
    ) -> np.ndarray:
        """All images in memory.

        Args:
          threads: at most so many, and at most the processor's cores.
          progress: show a bar on stderr.
          title: of the bar.

        Raises:
          UserError: the first file, in order, that is not as it should be.
        """
        what = f'{self.path}: {len(self):,} images of {self.shape[1]} x {self.shape[2]} pixels'
        check_fits(self.nbytes, what, 'data.resident_gigabytes=0 reads them batch by batch')
        images = np.empty(self.shape, self.dtype)

        def read(start: int) -> int:
            part = images[start : start + IMAGES_PER_TASK]
            self._fill(part, range(start, start + len(part)))
            return len(part)

        starts = range(0, len(self), IMAGES_PER_TASK)
        in_threads(read, starts, len(self), f'decoding {title}', progress, threads=threads)
        return images

    def _numbers(self, key: Any) -> np.ndarray:
        """The numbers of the images that a key means; a batch takes no list of all."""
        if isinstance(key, np.ndarray) and key.dtype.kind in 'iu':
            numbers = key.astype(np.int64)
            if numbers.size and not -len(self) <= numbers.min() <= numbers.max() < len(self):
                raise IndexError(f'{numbers.min()} to {numbers.max()}, of {len(self)} images')
            return np.where(numbers < 0, numbers + len(self), numbers)
        if isinstance(key, slice):
            return np.arange(*key.indices(len(self)))
        return np.arange(len(self))[key]

    def _fill(self, images: np.ndarray, chosen: Iterable[int]) -> None:
        for place, i in enumerate(chosen):
            images[place] = self._one(i)

    def _one(self, i: int) -> np.ndarray:
        pixels = self._decode(self._reader(self._files[i]), self._title(i))
        if pixels.shape != self._image_shape:
            (height, width), (rows, columns) = pixels.shape[:2], self._image_shape[:2]
            raise UserError(
                f'{self._title(i)}: {width}x{height} pixels; expected {columns}x{rows}'
                ' (remove the image, or have all of them resized)'
            )
        return pixels

    def _title(self, i: int) -> str:
        return f'{self._reader.path}: {self._files[i]}'


Images = np.ndarray | LazyImages
