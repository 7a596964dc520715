"""The images that a network is tested on, batch by batch: whole images, or windows of tiles.

Windows lie on a grid that covers every place; the last ones of a row or column are moved inwards,
and what an earlier window has shown is unknown in them, so that each pixel counts once. Where a
place is smaller than a window, the rest of the window is empty and unknown.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np

from eojax.data.columns import name_at
from eojax.data.dataset import ArraySource, Dataset, Window
from eojax.data.facts import PIXEL_LABELS, UNKNOWN
from eojax.data.reading.lazy_images import Images
from eojax.errors import UserError


class EvaluationBatch(NamedTuple):
    """Some of the images.

    Attributes:
      rasters: `[n, h, w, bands]` by name, as stored; those of rows that were not asked for are
        empty.
      labels: int32 `[n]`, or `[n, h, w]` where labels are per pixel; -1 where unknown.
      place: int `[n]`, numbers of the places.
      rows, columns: int `[n]`, of the windows' corners, in pixels of the place.
    """

    rasters: Mapping[str, np.ndarray]
    labels: np.ndarray
    place: np.ndarray
    rows: np.ndarray
    columns: np.ndarray


class EvaluationSet(NamedTuple):
    """A data set as it is tested.

    Attributes:
      dataset: all of it is tested.
      rasters: that the network sees.
      window: the side of the windows in pixels; None for whole images of one size.
      batch_size: images or windows a batch.
    """

    dataset: Dataset
    rasters: tuple[str, ...]
    window: int | None
    batch_size: int

    @property
    def num(self) -> int:
        """Places."""
        return self.dataset.places.num

    def batches(self, wanted: np.ndarray) -> Iterator[EvaluationBatch]:
        """All images or windows, in order; all batches but the last are full.

        Args:
          wanted: bool `[batch_size]`, the rows of a batch whose pixels are read; the labels of all
            are.

        Raises:
          UserError: a file that cannot be read, by name.
        """
        if self.window is None:
            return self._whole(wanted)
        return self._windows(wanted, self.window)

    def _whole(self, wanted: np.ndarray) -> Iterator[EvaluationBatch]:
        places, source = self.dataset.places, self.dataset.source
        pixel_labels = self.dataset.facts.label == 'pixel'
        for start in range(0, self.num, self.batch_size):
            index = np.arange(start, min(start + self.batch_size, self.num))
            here = wanted[: len(index)]
            if isinstance(source, ArraySource):  # read at once, which files do in parallel
                rasters = {n: read_rows(source.arrays[n], index, here) for n in self.rasters}
            else:
                rasters = self._read(index[here], None, here)
            labels = places.labels[index].astype(np.int32)
            if pixel_labels:
                labels = np.stack([self._labels(int(place), None) for place in index])
            corner = np.zeros(len(index), np.int64)
            yield EvaluationBatch(rasters, labels, index, corner, corner)

    def _read(
        self, places: np.ndarray, windows: list[Window] | None, here: np.ndarray
    ) -> dict[str, np.ndarray]:
        """The rasters of some rows, at their place among those that are not read."""
        read = [
            self.dataset.source.read(
                int(place), None if windows is None else windows[i], self.rasters
            )
            for i, place in enumerate(places)
        ]
        rasters = {}
        for name in self.rasters:
            raster = self.dataset.facts.rasters[name]
            size = self.window or (self.dataset.facts.size or (0, 0))[0]
            width = self.window or (self.dataset.facts.size or (0, 0))[1]
            shape = (len(here), size // raster.scale, width // raster.scale, len(raster.bands))
            filled = np.zeros(shape, raster.dtype)
            for row, one in zip(np.flatnonzero(here), read, strict=True):
                pixels = one[name]
                filled[row, : pixels.shape[0], : pixels.shape[1]] = pixels
            rasters[name] = filled
        return rasters

    def _labels(self, place: int, window: Window | None) -> np.ndarray:
        stored = self.dataset.source.read(place, window, (PIXEL_LABELS,))[PIXEL_LABELS]
        labels = np.where(stored == UNKNOWN, -1, stored.astype(np.int32))
        num, name = self.dataset.num_classes, name_at(self.dataset.places.names, place)
        if labels.max(initial=-1) >= num:
            raise UserError(
                f'{name}: a pixel has class {labels.max()}; the data set has {num} classes, and'
                f' {UNKNOWN} for what is unknown'
            )
        return labels

    def _windows(self, wanted: np.ndarray, side: int) -> Iterator[EvaluationBatch]:
        part: list[tuple[int, Window, int, int]] = []
        for corner in self._corners(side):
            part.append(corner)
            if len(part) == self.batch_size:
                yield self._of_windows(part, wanted, side)
                part = []
        if part:
            yield self._of_windows(part, wanted, side)

    def _corners(self, side: int) -> Iterator[tuple[int, Window, int, int]]:
        """Each window of each place, and how many of its first rows and columns were shown."""
        places, facts = self.dataset.places, self.dataset.facts
        grid = math.lcm(*(facts.rasters[name].scale for name in self.rasters))
        for place in range(self.num):
            height, width = int(places.heights[place]), int(places.widths[place])
            for row, seen_rows in _starts(height, side, grid):
                for column, seen_columns in _starts(width, side, grid):
                    window = Window(row, column, min(side, height), min(side, width))
                    yield place, window, seen_rows, seen_columns

    def _of_windows(
        self, part: list[tuple[int, Window, int, int]], wanted: np.ndarray, side: int
    ) -> EvaluationBatch:
        index = np.array([place for place, *_ in part])
        windows = [window for _, window, *_ in part]
        here = wanted[: len(part)]
        chosen = [window for window, read in zip(windows, here, strict=True) if read]
        rasters = self._read(index[here], chosen, here)
        if self.dataset.facts.label == 'pixel':
            labels = np.full((len(part), side, side), -1, np.int32)
            for out, (place, window, seen_rows, seen_columns) in zip(labels, part, strict=True):
                out[: window.height, : window.width] = self._labels(place, window)
                out[:seen_rows], out[:, :seen_columns] = -1, -1
        else:
            labels = self.dataset.places.labels[index].astype(np.int32)
        rows, columns = (np.array([w[axis] for w in windows]) for axis in (0, 1))
        return EvaluationBatch(rasters, labels, index, rows, columns)


def _starts(length: int, side: int, grid: int) -> Iterator[tuple[int, int]]:
    """Where windows begin along an axis, and how much of each an earlier one has shown.

    Args:
      grid: what each beginning is a multiple of.
    """
    for start in range(0, length, side):
        moved = max(min(start, (length - side) // grid * grid), 0)
        yield moved, start - moved


def read_rows(images: Images, index: np.ndarray, here: np.ndarray) -> np.ndarray:
    """The images at `index` of which some are read; the others stay empty."""
    if here.all():
        return np.asarray(images[index])
    read = np.asarray(images[index[here]])
    filled = np.zeros((len(index), *read.shape[1:]), read.dtype)
    filled[here] = read
    return filled
