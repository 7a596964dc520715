"""Pixels of places, read through the data set's source and checked: what it says must be true."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from eojax.data.class_groups import RegroupedSource
from eojax.data.columns import MappedColumn
from eojax.data.dataset import ArraySource, Source, Window
from eojax.data.facts import PIXEL_LABELS, UNKNOWN, UNSEEN, Facts
from eojax.data.reading.decode import MAX_THREADS
from eojax.errors import UserError


class StrangePixels(UserError):
    """Pixels that are not what the data set says.

    Attributes:
      place: its number.
      reason: what is wrong with them.
    """

    def __init__(self, place: int, reason: str) -> None:
        super().__init__(f'place {place}: {reason}')
        self.place, self.reason = place, reason


class Pixels:
    """Reads rasters of places as they go to the devices; it pickles as its source does."""

    def __init__(self, source: Source, facts: Facts, rasters: Sequence[str]) -> None:
        """Takes the rasters that are wanted, labels of pixels and masks among them."""
        self.source, self.rasters = source, tuple(rasters)
        self._facts = facts
        self._stored = {name: np.dtype(facts.stored(name).dtype) for name in self.rasters}

    def shape(self, raster: str, height: int, width: int) -> tuple[int, ...]:
        """Of a raster of a window or place of so many pixels."""
        return self._facts.shape(raster, height, width)

    def dtype(self, raster: str) -> np.dtype:
        """Of a raster on the devices: as stored, but floats of 64 bits become such of 32."""
        dtype = self._stored[raster]
        return np.dtype(np.float32) if dtype == np.float64 else dtype

    def nbytes(self, pixels: int) -> int:
        """Of all rasters of so many pixels of places."""
        total = 0
        for name in self.rasters:
            scale = self._facts.stored(name).scale
            bands = self.shape(name, scale, scale)[2:]
            total += pixels // scale**2 * self.dtype(name).itemsize * (bands[0] if bands else 1)
        return total

    def read(self, place: int, window: Window | None, into: Mapping[str, np.ndarray]) -> None:
        """Reads a window of a place, or all of it.

        Args:
          into: by raster where to write it, of the shape that it must have.

        Raises:
          UserError: it cannot be read; or the pixels have another shape or type, or other classes,
            than the data set says.
        """
        pixels = self.source.read(place, window, self.rasters)
        for name in self.rasters:
            self._check(name, pixels[name][None], into[name].shape, np.array([place]))
            into[name][...] = pixels[name]

    def read_whole(self, places: np.ndarray, height: int, width: int) -> dict[str, np.ndarray]:
        """All of some places of this size: by raster `[num, height / scale, width / scale, bands]`.

        Raises:
          UserError: as `read`.
        """
        if isinstance(self.source, ArraySource):
            read = {name: self.source.arrays[name][places] for name in self.rasters}
            for name, values in read.items():
                self._check(name, values, self.shape(name, height, width), places)
            return {n: np.asarray(values, self.dtype(n)) for n, values in read.items()}
        read = self.empty(len(places), height, width)
        for i, place in enumerate(places.tolist()):
            self.read(place, None, {name: array[i] for name, array in read.items()})
        return read

    def empty(self, num: int, height: int, width: int) -> dict[str, np.ndarray]:
        """Arrays for the rasters of `num` places or windows of so many pixels."""
        return {
            name: np.empty((num, *self.shape(name, height, width)), self.dtype(name))
            for name in self.rasters
        }

    def _check(
        self, raster: str, values: np.ndarray, shape: tuple[int, ...], places: np.ndarray
    ) -> None:
        """Refuses pixels `[num, ...]` of some places that are not what the data set says."""
        wanted = self._stored[raster]
        if values.shape[1:] != shape or values.dtype != wanted:
            raise StrangePixels(
                int(places[0]),
                f'{raster} is {values.dtype} {list(values.shape[1:])}; the data set says {wanted}'
                f' {list(shape)}',
            )
        if raster == PIXEL_LABELS:
            strange = (values >= self._facts.num_classes) & (values < UNSEEN)
            if strange.any():
                first = np.argwhere(strange)[0]
                raise StrangePixels(
                    int(places[first[0]]),
                    f'a pixel has class {values[tuple(first)]}; the data set has'
                    f' {self._facts.num_classes} classes, and {UNKNOWN} for what is unknown',
                )


def in_threads(task: Callable[[int], None], num: int) -> None:
    """Calls the task with 0 to `num - 1`, several at once; the first error ends it."""
    executor = ThreadPoolExecutor(min(MAX_THREADS, os.cpu_count() or 1))
    try:
        for _ in executor.map(task, range(num)):
            pass
    finally:
        executor.shutdown(wait=True, cancel_futures=True)


def held_in_memory(source: Source) -> bool:
    """Whether a copy of the source is a copy of pixels, which no worker process should get."""
    while isinstance(source, RegroupedSource):
        source = source.source
    return isinstance(source, ArraySource) and any(
        isinstance(array, np.ndarray) and not isinstance(array, MappedColumn)
        for array in source.arrays.values()
    )
