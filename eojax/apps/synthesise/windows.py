"""Images of any size out of windows that overlap, blended so that no seam shows.

A generator pads its inputs at the border of a window, and so it makes another image there than in
the middle of the next one. Where two windows overlap by o pixels one fades out as the other fades
in: at the position t from its border, 0 to o - 1,

    w(t) = sin^2(pi / 2 (t + 1/2) / o),

and 1 farther inside; the weight of a window at a pixel is the product of both axes, and the image
is the weighted mean in the generator's range [-1, 1] (of radar in dB, as it is trained). Windows of
the last row and column are moved inwards. Maps that are smaller than a window are one window.

The sums of one row of windows are held at a time, `[side, width, bands]` in float32, so that memory
grows with the map's width and not with its height; batches are filled across rows. Windows without
any data are not looked at.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple, Protocol

import numpy as np

from eojax.apps.synthesise.land_cover import CoverPart
from eojax.apps.synthesise.network import Model, Windows, stored, synthesise, unit
from eojax.data.reading.raster import Part
from eojax.errors import UserError


class Cover(Protocol):
    """A map of land cover that can be read by windows, such as `LandCover`."""

    @property
    def height(self) -> int: ...

    @property
    def width(self) -> int: ...

    def read(self, row: int, column: int, height: int, width: int) -> CoverPart: ...


class Beside(Protocol):
    """A raster on the pixels of the map, such as `eojax.apps.map_scene.companions.Companion`."""

    def read(self, row: int, column: int, height: int, width: int) -> Part: ...


class Grid(NamedTuple):
    """Where windows lie.

    Attributes:
      height, width: of the map, in pixels.
      high, wide: of a window.
      overlap: of windows beside each other, in pixels, where the map has room.
    """

    height: int
    width: int
    high: int
    wide: int
    overlap: int

    @property
    def tops(self) -> list[int]:
        """The first rows of windows."""
        return _starts(self.height, self.high, self.overlap)

    @property
    def lefts(self) -> list[int]:
        """The first columns of windows."""
        return _starts(self.width, self.wide, self.overlap)


class Counts:
    """Sums over a map, added up as its strips are read.

    Attributes:
      beyond: of each raster, values beyond the limits of training, held at them.
      values: of each raster, all values.
      windows: that were made.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self.beyond = dict.fromkeys(names, 0)
        self.values = dict.fromkeys(names, 0)
        self.windows = 0

    def shares_beyond(self) -> dict[str, float]:
        """Of the values with data of each raster."""
        return {name: self.beyond[name] / max(self.values[name], 1) for name in self.beyond}


class Rows(NamedTuple):
    """The next rows of an image.

    Attributes:
      images: `[rows, width, bands]`, of the target's type and units.
      valid: bool `[rows, width]`, where all inputs have data.
    """

    images: np.ndarray
    valid: np.ndarray


def grid_of(height: int, width: int, side: int, overlap: int | None = None) -> Grid:
    """The windows of a map.

    Args:
      side: of a window.
      overlap: in pixels; None for a quarter of the side.

    Raises:
      UserError: windows that overlap whole.
    """
    overlap = side // 4 if overlap is None else overlap
    if not 0 <= overlap < side:
        raise UserError(
            f'--overlap={overlap}: windows of {side} pixels overlap by 0 to {side - 1} pixels'
        )
    return Grid(height, width, min(side, height), min(side, width), overlap)


def weights(side: int, overlap: int) -> np.ndarray:
    """How much each position along an axis of a window counts, float32 `[side]`, above 0."""
    if not overlap:
        return np.ones(side, np.float32)
    near = np.minimum((np.arange(side) + 0.5) / overlap, 1.0)
    rising = np.sin(0.5 * np.pi * near) ** 2
    return (rising * rising[::-1]).astype(np.float32)


def image_rows(
    model: Model, cover: Cover, rasters: Mapping[str, Beside], grid: Grid, counts: Counts
) -> Iterator[Rows]:
    """The image of a map from the top, some rows at a time.

    Args:
      rasters: at least those that the model takes, by name.
      counts: gets what is read and made.

    Raises:
      UserError: see `synthesise`, and a part of a file that cannot be read.
    """
    valid: deque[np.ndarray] = deque()
    chosen: deque[list[int]] = deque()
    readers = {name: rasters[name] for name in model.rasters}
    # Calls are filled up to their size.
    model = model._replace(batch_size=min(model.batch_size, len(grid.tops) * len(grid.lefts)))
    windows = _read(model, cover, readers, grid, counts, valid, chosen)
    made = _made(model, windows)
    blend = _Blend(grid, len(model.output.bands))
    ends = [*grid.tops[1:], grid.height]
    first: list[np.ndarray] = []
    for top, end in zip(grid.tops, ends, strict=True):
        if not chosen:  # an image comes when its strip was read, and maybe more strips
            first = list(itertools.islice(made, 1))
        for left in chosen.popleft():
            blend.add(left, first.pop() if first else next(made))
            counts.windows += 1
        held = valid.popleft()
        values = stored(blend.rows(end - top), model.output)
        yield Rows(values, held)


class _Blend:
    """Weighted sums over the windows that show each pixel of the rows from the top of a strip."""

    def __init__(self, grid: Grid, bands: int) -> None:
        self._grid = grid
        self._sums = np.zeros((grid.high, grid.width, bands), np.float32)
        along_rows = weights(grid.high, min(grid.overlap, grid.high - 1))
        along_columns = weights(grid.wide, min(grid.overlap, grid.wide - 1))
        self._weight = np.outer(along_rows, along_columns)[..., None]
        # All windows that show a pixel with data are made: their weights are the same in each row.
        self._down = _totals(grid.height, grid.tops, along_rows)
        self._across = _totals(grid.width, grid.lefts, along_columns)
        self._top = 0

    def add(self, left: int, image: np.ndarray) -> None:
        """A window of the present strip."""
        self._sums[:, left : left + self._grid.wide] += self._weight * image

    def rows(self, num: int) -> np.ndarray:
        """The first rows, which no later window shows; then the sums begin below them."""
        total = self._down[self._top : self._top + num, None] * self._across
        values = self._sums[:num] / total[..., None]
        self._top += num
        kept = len(self._sums) - num
        self._sums[:kept] = self._sums[num:]
        self._sums[kept:] = 0.0
        return values


def _starts(length: int, side: int, overlap: int) -> list[int]:
    last, step = length - side, side - overlap
    return sorted({min(start, last) for start in range(0, last + step, step)}) if last else [0]


def _totals(length: int, starts: Sequence[int], along: np.ndarray) -> np.ndarray:
    """The sum of the weights of all windows at each position along an axis."""
    totals = np.zeros(length, np.float32)
    for start in starts:
        totals[start : start + len(along)] += along
    return totals


def _read(
    model: Model,
    cover: Cover,
    readers: Mapping[str, Beside],
    grid: Grid,
    counts: Counts,
    valid: deque[np.ndarray],
    chosen: deque[list[int]],
) -> Iterator[tuple[np.ndarray, ...]]:
    """The windows with data, strip after strip: labels, and rasters in [-1, 1].

    Before its first window comes, each strip is announced: in `chosen` where its windows begin, and
    in `valid` where the rows that no later strip shows have data.
    """
    ends = [*grid.tops[1:], grid.height]
    for top, end in zip(grid.tops, ends, strict=True):
        part = cover.read(top, 0, grid.high, grid.width)
        held, inputs = part.valid, []
        for name, reader in readers.items():
            raster = model.run.facts.rasters[name]
            beside = reader.read(top, 0, grid.high, grid.width)
            _count(counts, name, beside, end - top, raster.limits)
            inputs.append(unit(beside.pixels, raster))
            held = held & beside.valid
        lefts = [left for left in grid.lefts if held[:, left : left + grid.wide].any()]
        chosen.append(lefts)
        valid.append(held[: end - top].copy())
        for left in lefts:
            columns = slice(left, left + grid.wide)
            yield (part.labels[:, columns], *(values[:, columns] for values in inputs))


def _count(counts: Counts, name: str, part: Part, rows: int, limits: object) -> None:
    """Adds the first rows of a strip to what is counted."""
    values = part.pixels[:rows][part.valid[:rows]]
    counts.values[name] += values.size
    if limits is not None and values.dtype != np.uint8:
        low, high = np.asarray(limits).T
        counts.beyond[name] += int(np.count_nonzero((values < low) | (values > high)))


def _made(model: Model, windows: Iterator[tuple[np.ndarray, ...]]) -> Iterator[np.ndarray]:
    """The image of each window."""

    def batches() -> Iterator[Windows]:
        while some := list(itertools.islice(windows, model.batch_size)):
            labels, *rasters = (np.stack(arrays) for arrays in zip(*some, strict=True))
            yield Windows(labels, tuple(rasters))

    for images in synthesise(model, batches()):
        yield from images
