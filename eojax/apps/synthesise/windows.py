"""Images of any size out of windows that overlap, blended so that no seam shows.

Windows overlap and are blended in the generator's range [-1, 1], of radar in dB, as it is trained
(`eojax.evaluation.synthesis.blending`). Maps that are smaller than a window are one window.

The sums of one row of windows are held at a time, so that memory grows with the map's width and not
with its height; batches are filled across rows. Windows without any data are not looked at, nor
after an edit are those whose inputs it left as they were (`Kept`).
"""

from __future__ import annotations

import contextlib
import itertools
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, Protocol

import numpy as np
import rasterio
from rasterio.windows import Window

from eojax.apps.synthesise.land_cover import CoverPart
from eojax.apps.synthesise.network import Model, Windows, stored, synthesise, unit
from eojax.data.reading.raster import Part
from eojax.errors import UserError
from eojax.evaluation.synthesis import blending
from eojax.evaluation.synthesis.blending import QUARTER, Blend, Grid


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


class Counts:
    """Sums over a map, added up as its strips are read.

    Attributes:
      beyond: of each raster, values beyond the limits of training, held at them.
      values: of each raster, all values.
      windows: that were made.
      kept: that were not, as an image of the same inputs was there; None where none was given.
    """

    def __init__(self, names: Sequence[str]) -> None:
        self.beyond = dict.fromkeys(names, 0)
        self.values = dict.fromkeys(names, 0)
        self.windows = 0
        self.kept: int | None = None

    def shares_beyond(self) -> dict[str, float]:
        """Of the values with data of each raster."""
        return {name: self.beyond[name] / max(self.values[name], 1) for name in self.beyond}


class Kept(NamedTuple):
    """An image of the same map by the same model and grid, made before some inputs changed.

    Attributes:
      path: of its GeoTIFF.
      changed: bool `[height, width]`, the pixels at which an input may be another one now.
    """

    path: Path
    changed: np.ndarray


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
    overlap = int(side * QUARTER) if overlap is None else overlap
    if not 0 <= overlap < side:
        raise UserError(
            f'--overlap={overlap}: windows of {side} pixels overlap by 0 to {side - 1} pixels'
        )
    return blending.grid_of(height, width, side, overlap)


def image_rows(
    model: Model,
    cover: Cover,
    rasters: Mapping[str, Beside],
    grid: Grid,
    counts: Counts,
    kept: Kept | None = None,
) -> Iterator[Rows]:
    """The image of a map from the top, some rows at a time.

    Args:
      rasters: at least those that the model takes, by name.
      counts: gets what is read and made.
      kept: from before a change: what no window with changed inputs shows is taken from there.

    Raises:
      UserError: see `synthesise`, and a part of a file that cannot be read.
    """
    valid: deque[np.ndarray] = deque()
    chosen: deque[list[int]] = deque()
    readers = {name: rasters[name] for name in model.rasters}
    # Calls are filled up to their size.
    model = model._replace(batch_size=min(model.batch_size, len(grid.tops) * len(grid.lefts)))
    changes = None if kept is None else _Changes(model, grid, kept)
    windows = _read(model, cover, readers, grid, counts, valid, chosen, changes)
    made = _made(model, windows)
    blend = Blend(grid, len(model.output.bands))
    ends = [*grid.tops[1:], grid.height]
    first: list[np.ndarray] = []
    with changes or contextlib.nullcontext():
        for top, end in zip(grid.tops, ends, strict=True):
            if not chosen:  # an image comes when its strip was read, and maybe more strips
                first = list(itertools.islice(made, 1))
            for left in chosen.popleft():
                blend.add(left, first.pop() if first else next(made))
                counts.windows += 1
            held = valid.popleft()
            values = stored(blend.rows(end - top), model.output)
            yield Rows(values if changes is None else changes.joined(top, values), held)


class _Changes:
    """The windows whose inputs changed, and the image from before elsewhere.

    A pixel that a changed window shows is blended anew, of all windows that show it: so windows
    that overlap a changed one are made too.
    """

    def __init__(self, model: Model, grid: Grid, kept: Kept) -> None:
        self._grid, self._path = grid, kept.path
        self._file: rasterio.DatasetReader | None = None
        # A change reaches all pixels that lie in one pixel of a coarser raster.
        scales = [model.run.facts.rasters[name].scale for name in model.rasters]
        reach = max(scales, default=1) - 1
        self._changed = np.array([
            [
                kept.changed[
                    max(top - reach, 0) : top + grid.high + reach,
                    max(left - reach, 0) : left + grid.wide + reach,
                ].any()
                for left in grid.lefts
            ]
            for top in grid.tops
        ])  # fmt: skip
        down, across = (
            np.abs(np.subtract.outer(starts, starts)) < side
            for starts, side in ((grid.tops, grid.high), (grid.lefts, grid.wide))
        )
        self._wanted = (down.astype(int) @ self._changed @ across.astype(int)) > 0

    def __enter__(self) -> None:
        self._file = rasterio.open(self._path)

    def __exit__(self, *error: object) -> None:
        assert self._file is not None
        self._file.close()

    def wanted(self, top: int) -> list[int]:
        """Where the windows of a strip begin that are to be made."""
        row = self._wanted[self._grid.tops.index(top)]
        return [left for left, wanted in zip(self._grid.lefts, row, strict=True) if wanted]

    def joined(self, top: int, values: np.ndarray) -> np.ndarray:
        """Rows of the image: the values where a changed window shows them, else those before.

        Args:
          values: `[rows, width, bands]`, of the output's type and units.
        """
        grid, rows = self._grid, len(values)
        anew = np.zeros(values.shape[:2], bool)
        for start, changed in zip(grid.tops, self._changed, strict=True):
            first, end = max(start - top, 0), max(start + grid.high - top, 0)
            for column in np.flatnonzero(changed).tolist() if first < min(end, rows) else ():
                anew[first:end, grid.lefts[column] : grid.lefts[column] + grid.wide] = True
        if anew.all():
            return values
        assert self._file is not None
        before = self._file.read(window=Window(0, top, grid.width, rows))
        joined: np.ndarray = np.where(anew[..., None], values, np.moveaxis(before, 0, -1))
        return joined


def _read(
    model: Model,
    cover: Cover,
    readers: Mapping[str, Beside],
    grid: Grid,
    counts: Counts,
    valid: deque[np.ndarray],
    chosen: deque[list[int]],
    changes: _Changes | None,
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
            # From whole pixels of a coarser raster on, so that they lie alike in all strips.
            lead = top % raster.scale
            below = top + grid.high
            below = min(below + -below % raster.scale, grid.height)
            beside = reader.read(top - lead, 0, below - top + lead, grid.width)
            rows = slice(lead, lead + grid.high)
            inputs.append(unit(beside.pixels, raster)[rows])
            beside = Part(beside.pixels[rows], beside.valid[rows])
            _count(counts, name, beside, end - top, raster.limits)
            held = held & beside.valid
        lefts = [left for left in grid.lefts if held[:, left : left + grid.wide].any()]
        if changes is not None:
            wanted = changes.wanted(top)
            counts.kept = (counts.kept or 0) + sum(left not in wanted for left in lefts)
            lefts = [left for left in lefts if left in wanted]
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
