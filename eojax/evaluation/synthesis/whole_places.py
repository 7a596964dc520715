"""Synthesised images of whole places that are larger than a window, some rows at a time.

Windows overlap and are blended (`eojax.evaluation.synthesis.blending`), so that what is evaluated
shows no seams, as what `eojax synthesise` makes. Of a place no more rows are held than the windows
need that are asked for.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator

import numpy as np

from eojax.data.dataset import Places, Window
from eojax.evaluation.evaluation_set import EvaluationBatch, EvaluationSet
from eojax.evaluation.synthesis.blending import QUARTER, Blend, Grid


def needs_blending(tested: EvaluationSet) -> bool:
    """Whether the image of a place is made of several windows."""
    places, side = tested.dataset.places, tested.window
    if side is None or tested.centre:
        return False
    return bool(max(places.heights.max(initial=0), places.widths.max(initial=0)) > side)


def overlapping(tested: EvaluationSet) -> EvaluationSet:
    """The windows that images are made of: they overlap as is said, or by a quarter."""
    return tested._replace(overlap=tested.overlap or QUARTER)


class WholePlaces:
    """The blended images of places, in order.

    Args:
      made: of each batch of the windows of `overlapping(tested)` the images that were made, float32
        `[n, side, side, bands]`, and what they are of.
      places: all of them.
    """

    def __init__(
        self, made: Iterable[tuple[np.ndarray, EvaluationBatch]], tested: EvaluationSet
    ) -> None:
        self._strips = _strips(made, tested)
        self._place, self._top = -1, 0
        self._rows = np.zeros((0, 0, 0), np.float32)

    def read(self, place: int, window: Window) -> np.ndarray:
        """A window of a place's image, float32 `[height, width, bands]`.

        Windows are asked for from place to place, and in each from the top: what lies above a
        window is given up.
        """
        while self._place < place or self._top + len(self._rows) < window.row + window.height:
            number, top, rows = next(self._strips)
            if number != self._place:
                self._place, self._top, self._rows = number, top, rows
            else:
                self._rows = np.concatenate([self._rows, rows])
        above = max(window.row - self._top, 0)
        self._rows, self._top = self._rows[above:], self._top + above
        return self._rows[: window.height, window.column : window.column + window.width]


def windows_of(whole: WholePlaces, batch: EvaluationBatch, places: Places, side: int) -> np.ndarray:
    """The images of a batch's windows, float32 `[n, side, side, bands]`; 0 beyond their place."""
    images = None
    for number, (place, row, column) in enumerate(
        zip(batch.place.tolist(), batch.rows.tolist(), batch.columns.tolist(), strict=True)
    ):
        high, wide = (min(side, int(lengths[place])) for lengths in (places.heights, places.widths))
        image = whole.read(place, Window(row, column, high, wide))
        if images is None:
            images = np.zeros((len(batch.place), side, side, image.shape[-1]), np.float32)
        images[number, :high, :wide] = image
    assert images is not None
    return images


def _strips(
    made: Iterable[tuple[np.ndarray, EvaluationBatch]], tested: EvaluationSet
) -> Iterator[tuple[int, int, np.ndarray]]:
    """The next rows of a place: its number, the first row, and float32 `[rows, width, bands]`."""
    each = (
        (place, row, column, image)
        for images, batch in made
        for place, row, column, image in zip(
            batch.place.tolist(), batch.rows.tolist(), batch.columns.tolist(), images, strict=True
        )
    )
    for place, of_place in itertools.groupby(each, lambda one: one[0]):
        tops, lefts = tested.corners(place)
        grid = _grid(tested, place, tops, lefts)
        blend: Blend | None = None
        ends = [*tops[1:], tops[-1] + grid.high]
        of_strips = itertools.groupby(of_place, lambda one: one[1])
        for (top, of_strip), end in zip(of_strips, ends, strict=True):
            for _, _, left, image in of_strip:
                blend = blend or Blend(grid, image.shape[-1])
                blend.add(left, image[: grid.high, : grid.wide])
            assert blend is not None
            yield place, top, blend.rows(end - top)


def _grid(tested: EvaluationSet, place: int, tops: list[int], lefts: list[int]) -> Grid:
    places, side = tested.dataset.places, tested.window
    assert side is not None
    height, width = int(places.heights[place]), int(places.widths[place])
    high, wide = min(side, height), min(side, width)
    return Grid(height, width, high, wide, side - tested.stride(side), tops, lefts)
