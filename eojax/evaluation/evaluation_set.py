"""The images that a network is tested on, batch by batch: whole images, or windows of tiles.

Windows lie on a grid that covers every place; the last ones of a row or column are moved inwards.
Each pixel counts in one window alone, and its class is unknown in all others. Where windows lie
side by side, it counts in the first that shows it; where they overlap (`EvaluationSet.overlap`), in
the one whose middle is nearest: near its border a network sees less of what is around. Where a
place is smaller than a window, the rest of the window is empty, as pixels without data are, and
unknown. With a centre (`EvaluationSet.centre`) each place has one window, in its middle.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np

from eojax.data.columns import name_at
from eojax.data.dataset import ArraySource, Dataset, Window
from eojax.data.facts import PIXEL_LABELS, UNKNOWN, UNSEEN, Facts
from eojax.data.reading.lazy_images import Images
from eojax.data.valid_pixels import valid_pixels
from eojax.errors import UserError
from eojax.metrics.segmentation import near_border
from eojax.runs.run import Run

# The label of pixels of a class that was kept from training; below 0, it counts nowhere else.
UNSEEN_LABEL = -2


class EvaluationBatch(NamedTuple):
    """Some of the images.

    Attributes:
      rasters: `[n, h, w, bands]` by name, as stored; those of rows that were not asked for are
        empty.
      labels: int32 `[n]`, or `[n, h, w]` where labels are per pixel; -1 where unknown, or where a
        raster that the network sees has no data, and `UNSEEN_LABEL` where of a class that was kept
        from training.
      place: int `[n]`, numbers of the places.
      rows, columns: int `[n]`, of the windows' corners, in pixels of the place.
      counted: int `[n, 4]`, the rows (first, end) and columns (first, end) of a window whose pixels
        count in it; None where labels are per image.
      near_border: bool `[n, h, w]`, the pixels near a border between classes, even where another
        window shows the other side; None where nobody asked.
    """

    rasters: Mapping[str, np.ndarray]
    labels: np.ndarray
    place: np.ndarray
    rows: np.ndarray
    columns: np.ndarray
    counted: np.ndarray | None = None
    near_border: np.ndarray | None = None


class _Place(NamedTuple):
    """A window of a place, and the part of it that counts."""

    place: int
    window: Window
    counted: tuple[int, int, int, int]


class EvaluationSet(NamedTuple):
    """A data set as it is tested.

    Attributes:
      dataset: all of it is tested.
      rasters: that the network sees; `labels` among them are those of whole windows, as stored,
        and masks (`eojax.data.facts.valid_of`) may be too.
      window: the side of the windows in pixels; None for whole images of one size.
      batch_size: images or windows a batch.
      overlap: of windows, as a share of their side, from 0 to below 1.
      border: pixels up to which one counts as near a border between classes; 0 where nobody asks.
      centre: whether the window in the middle of each place is all that is tested.
    """

    dataset: Dataset
    rasters: tuple[str, ...]
    window: int | None
    batch_size: int
    overlap: float = 0.0
    border: int = 0
    centre: bool = False

    @property
    def num(self) -> int:
        """Places."""
        return self.dataset.places.num

    def stride(self, side: int) -> int:
        """Pixels from window to window, where nothing moves them inwards."""
        if not self.overlap:
            return side
        # Windows that overlap begin where a pixel of the coarsest raster does.
        grid = self._coarsest()
        return max(int(side * (1.0 - self.overlap)) // grid, 1) * grid

    def corners(self, place: int) -> tuple[list[int], list[int]]:
        """The first rows, and the first columns, of a place's windows; not of its centre."""
        places, side = self.dataset.places, self.window
        assert side is not None
        rows, columns = (
            [
                begin
                for begin, _, _ in _along(int(x[place]), side, self.stride(side), self._coarsest())
            ]
            for x in (places.heights, places.widths)
        )
        return rows, columns

    def _coarsest(self) -> int:
        """The side in pixels of what one pixel of each raster covers whole."""
        facts = self.dataset.facts
        return math.lcm(*(facts.stored(name).scale for name in self.rasters))

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
            labels, counted, near = places.labels[index].astype(np.int32), None, None
            if pixel_labels:
                plain = [self._labels(int(place), None) for place in index]
                labels = np.stack(
                    [self._held(int(p), None, x) for p, x in zip(index, plain, strict=True)]
                )
                counted = np.tile([0, labels.shape[1], 0, labels.shape[2]], (len(index), 1))
            if pixel_labels and self.border:
                near = np.stack([near_border(one, self.border) for one in plain])
            corner = np.zeros(len(index), np.int64)
            yield EvaluationBatch(rasters, labels, index, corner, corner, counted, near)

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
            facts = self.dataset.facts
            size = self.window or (facts.size or (0, 0))[0]
            width = self.window or (facts.size or (0, 0))[1]
            empty = UNKNOWN if name == PIXEL_LABELS else beyond(facts, name)
            shape = (len(here), *facts.shape(name, size, width))
            filled = np.full(shape, empty, facts.stored(name).dtype)
            for row, one in zip(np.flatnonzero(here), read, strict=True):
                pixels = one[name]
                filled[row, : pixels.shape[0], : pixels.shape[1]] = pixels
            rasters[name] = filled
        return rasters

    def _labels(self, place: int, window: Window | None) -> np.ndarray:
        stored = self.dataset.source.read(place, window, (PIXEL_LABELS,))[PIXEL_LABELS]
        labels = stored.astype(np.int32)
        labels[stored == UNKNOWN], labels[stored == UNSEEN] = -1, UNSEEN_LABEL
        num, name = self.dataset.num_classes, name_at(self.dataset.places.names, place)
        if labels.max(initial=-1) >= num:
            raise UserError(
                f'{name}: a pixel has class {labels.max()}; the data set has {num} classes, and'
                f' {UNKNOWN} for what is unknown'
            )
        return labels

    def _held(self, place: int, window: Window | None, labels: np.ndarray) -> np.ndarray:
        """The labels of a window, unknown where a raster that the network sees has no data."""
        facts = self.dataset.facts
        masks = facts.masks(name for name in self.rasters if name in facts.rasters)
        if not masks:
            return labels
        read = self.dataset.source.read(place, window, masks)
        return np.where(valid_pixels(read, facts, (labels.shape[0], labels.shape[1])), labels, -1)

    def _labels_and_borders(
        self, place: int, window: Window
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """The labels of a window, and its pixels near a border, which may lie beyond the window."""
        if not self.border:
            return self._held(place, window, self._labels(place, window)), None
        places, margin = self.dataset.places, self.border
        top, left = max(window.row - margin, 0), max(window.column - margin, 0)
        bottom = min(window.row + window.height + margin, int(places.heights[place]))
        right = min(window.column + window.width + margin, int(places.widths[place]))
        labels = self._labels(place, Window(top, left, bottom - top, right - left))
        rows = slice(window.row - top, window.row - top + window.height)
        columns = slice(window.column - left, window.column - left + window.width)
        held = self._held(place, window, labels[rows, columns])
        return held, near_border(labels, margin)[rows, columns]

    def _windows(self, wanted: np.ndarray, side: int) -> Iterator[EvaluationBatch]:
        part: list[_Place] = []
        for one in self._grid(side):
            part.append(one)
            if len(part) == self.batch_size:
                yield self._of_windows(part, wanted, side)
                part = []
        if part:
            yield self._of_windows(part, wanted, side)

    def _grid(self, side: int) -> Iterator[_Place]:
        """Each window of each place."""
        places, grid, stride = self.dataset.places, self._coarsest(), self.stride(side)
        if self.centre and side % grid:
            raise UserError(
                f'evaluate.centre={side} must be a multiple of {grid}, as a pixel of one of the'
                f' rasters {", ".join(self.rasters)} covers so many'
            )
        for place in range(self.num):
            height, width = int(places.heights[place]), int(places.widths[place])
            if self.centre:
                row, column = ((length - side) // 2 // grid * grid for length in (height, width))
                window = Window(max(row, 0), max(column, 0), min(side, height), min(side, width))
                yield _Place(place, window, (0, window.height, 0, window.width))
                continue
            for row, *rows in _along(height, side, stride, grid):
                for column, *columns in _along(width, side, stride, grid):
                    window = Window(row, column, min(side, height), min(side, width))
                    yield _Place(place, window, (rows[0], rows[1], columns[0], columns[1]))

    def _of_windows(self, part: list[_Place], wanted: np.ndarray, side: int) -> EvaluationBatch:
        index = np.array([one.place for one in part])
        windows = [one.window for one in part]
        here = wanted[: len(part)]
        chosen = [window for window, read in zip(windows, here, strict=True) if read]
        rasters = self._read(index[here], chosen, here)
        counted, near = None, None
        if self.dataset.facts.label == 'pixel':
            labels = np.full((len(part), side, side), -1, np.int32)
            counted = np.array([one.counted for one in part])
            near = np.zeros(labels.shape, bool) if self.border else None
            for number, (place, window, counts) in enumerate(part):
                shown, borders = self._labels_and_borders(place, window)
                inside = (number, slice(*counts[:2]), slice(*counts[2:]))
                labels[inside] = shown[inside[1:]]
                if near is not None and borders is not None:
                    near[inside] = borders[inside[1:]]
        else:
            labels = self.dataset.places.labels[index].astype(np.int32)
        rows, columns = (np.array([w[axis] for w in windows]) for axis in (0, 1))
        return EvaluationBatch(rasters, labels, index, rows, columns, counted, near)


def evaluation_set(run: Run, dataset: Dataset) -> EvaluationSet:
    """A data set as the run's method is tested on it."""
    options, method = run.config.evaluate, run.method
    centre = options.centre if dataset.facts.label == 'pixel' else 0
    return EvaluationSet(
        dataset,
        method.rasters,
        centre or method.window,
        options.batch_size,
        options.window_overlap,
        centre=bool(centre),
    )


def beyond(facts: Facts, entry: str) -> np.ndarray | int:
    """The stored values of a pixel beyond its place: those of one without data, `[bands]`.

    So a map has them too (`eojax.apps.map_scene.pixel_map`). Nothing is seen beyond, so that masks
    are 0.

    Args:
      entry: a raster, or the mask of one.
    """
    raster = facts.rasters.get(entry)
    return 0 if raster is None else raster.beyond


def _along(length: int, side: int, stride: int, grid: int) -> Iterator[tuple[int, int, int]]:
    """Where windows begin along an axis, and from where to where each counts, from its beginning.

    Args:
      stride: from window to window; the side itself where they lie side by side.
      grid: what each beginning is a multiple of.
    """
    last = max((length - side) // grid * grid, 0)
    shown = min(side, length)
    if stride == side:
        for start in range(0, length, side):
            moved = min(start, last)
            yield moved, start - moved, shown
        return
    begins = np.unique(np.minimum(np.arange(0, last + stride, stride), last)).tolist()
    # Midway in what two windows beside each other both show.
    middles = [(one + side + other) // 2 for one, other in itertools.pairwise(begins)]
    for begin, first, end in zip(begins, [0, *middles], [*middles, last + shown], strict=True):
        yield begin, first - begin, end - begin


def read_rows(images: Images, index: np.ndarray, here: np.ndarray) -> np.ndarray:
    """The images at `index` of which some are read; the others stay empty."""
    if here.all():
        return np.asarray(images[index])
    read = np.asarray(images[index[here]])
    filled = np.zeros((len(index), *read.shape[1:]), read.dtype)
    filled[here] = read
    return filled
