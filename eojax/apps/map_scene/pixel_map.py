"""The map of a scene by a network that classifies every pixel, computed strip by strip.

Windows overlap, and where several show a pixel their probabilities are averaged, and log p too:
near its border a window sees less of what is around, so it counts the less there. With t the
position in a window of n pixels, 0 to n - 1, along each axis,

    w(t) = 1/2 - 1/2 cos(2 pi (t + 1/2) / n) > 0,

and a window's weight at a pixel is the product of both axes. It falls to almost nothing where the
window ends, so that no seam shows there. The windows of the last row and column are moved inwards,
so that all of the scene is mapped, borders too. Pixels without data are never classified; in their
place, and beyond the ends of a scene that is smaller than a window, the network sees what it saw
there in training: the lowest of its limits (`eojax.data.facts.Raster.empty`). Windows without any
data are not looked at.

The sums of one row of windows are held at a time, `[patch, width, classes]` in float32, so that
memory grows with the scene's width and not with its height; batches are filled across rows.
"""

from __future__ import annotations

import itertools
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from eojax.apps.map_scene.companions import Companion
from eojax.apps.map_scene.patch_map import CellRow
from eojax.apps.map_scene.scores import learned_density, names_of
from eojax.apps.map_scene.tiling import Tiling, window_side
from eojax.data import facts
from eojax.data.facts import IMAGES
from eojax.data.reading.patches import resample
from eojax.data.reading.raster import Raster
from eojax.evaluation.scoring import score_batches
from eojax.runs.run import Run


class Strip(NamedTuple):
    """A row of windows, whose pixels were read.

    Attributes:
      begins: int `[windows]`, columns of those with data in them, which are scored.
      total: how many windows there are.
      valid: bool `[rows, width]`, where there are data, of the rows that no later strip shows.
    """

    begins: list[int]
    total: int
    valid: np.ndarray


def starts(length: int, tiling: Tiling) -> np.ndarray:
    """Where windows begin along an axis; together they cover all of it."""
    last = max(length - tiling.patch, 0)
    return np.unique(np.minimum(np.arange(0, last + tiling.stride, tiling.stride), last))


def weights(patch: int) -> np.ndarray:
    """How much each position along an axis of a window counts, float32 `[patch]`, above 0."""
    return (0.5 - 0.5 * np.cos(2.0 * np.pi * (np.arange(patch) + 0.5) / patch)).astype(np.float32)


def map_pixels(
    run: Run,
    state: Any,
    raster: Raster,
    tiling: Tiling,
    watch: Callable[[int, int], object],
    others: Sequence[Companion] = (),
) -> Iterator[CellRow]:
    """The map of a scene, row by row of its pixels from the top.

    Args:
      run, state: as in `eojax.evaluation.scoring.score_batches`.
      watch: is told of each strip that is done: windows with data in them, and windows.
      others: the rasters that the run sees besides the scene, in its order.

    Yields:
      `tiling.height` rows.

    Raises:
      UserError: an unreadable part of the scene, or scores that are not finite.
    """
    tops = starts(tiling.height, tiling)
    strips: deque[Strip] = deque()
    known = [run.facts.rasters[name] for name in (IMAGES, *(one.name for one in others))]
    windows = _read(raster, others, known, tops, starts(tiling.width, tiling), tiling, strips)
    scored = _scores(run, state, windows, others)
    blend = _Blend(tiling, run.task.num_classes, learned_density(run))
    ends = [*tops[1:].tolist(), tiling.height]
    first: list[tuple[np.ndarray, ...]] = []
    for top, end in zip(tops.tolist(), ends, strict=True):
        if not strips:  # scores of a window come when its strip was read, and maybe more strips
            first = list(itertools.islice(scored, 1))
        strip = strips.popleft()
        for begin in strip.begins:
            blend.add(begin, first.pop() if first else next(scored))
        watch(len(strip.begins), strip.total)
        yield from blend.rows(end - top, strip.valid)


class _Blend:
    """Sums over the windows that show each pixel of the rows from the top of a strip."""

    def __init__(self, tiling: Tiling, num_classes: int, density: bool) -> None:
        shape = (tiling.patch, max(tiling.width, tiling.patch))
        self._width, self._patch = tiling.width, tiling.patch
        self._sums = np.zeros((*shape, num_classes), np.float32)
        self._density = np.zeros(shape, np.float32) if density else None
        self._along = weights(tiling.patch)
        self._weight = np.outer(self._along, self._along)
        # All windows that show a pixel with data have data: their weights are the same in each row.
        self._across = self._totals(tiling.width, tiling)
        self._down = self._totals(tiling.height, tiling)
        self._top = 0

    def _totals(self, length: int, tiling: Tiling) -> np.ndarray:
        """The sum of the weights of all windows at each position along an axis."""
        totals = np.zeros(max(length, tiling.patch), np.float32)
        for begin in starts(length, tiling):
            totals[begin : begin + tiling.patch] += self._along
        return totals[:length]

    def add(self, begin: int, outputs: Sequence[np.ndarray]) -> None:
        """A window of the present strip: its probabilities, and log p where there is one."""
        columns = slice(begin, begin + self._patch)
        probabilities, *density = (_enlarged(values, self._patch) for values in outputs)
        self._sums[:, columns] += self._weight[..., None] * probabilities
        if self._density is not None:
            self._density[:, columns] += self._weight * density[0]

    def rows(self, num: int, valid: np.ndarray) -> Iterator[CellRow]:
        """The first rows, which no later window shows; then the sums begin below them."""
        here = slice(self._top, self._top + num)
        total = self._down[here, None] * self._across
        sums = self._sums[:num, : self._width]
        labels = sums.argmax(-1).astype(np.uint8)
        confidence = sums.max(-1) / total
        density = None
        if self._density is not None:
            density = self._density[:num, : self._width] / total
        for row in range(num):
            of_row = None if density is None else density[row]
            # Of one row: those of the strip are as large as its sums.
            probabilities = sums[row] / total[row][:, None]
            yield CellRow(valid[row], labels[row], confidence[row], of_row, probabilities)
        self._top += num
        self._sums = _moved_up(self._sums, num)
        if self._density is not None:
            self._density = _moved_up(self._density, num)


def _moved_up(sums: np.ndarray, num: int) -> np.ndarray:
    sums[: len(sums) - num] = sums[num:]
    sums[len(sums) - num :] = 0.0
    return sums


def _read(
    raster: Raster,
    others: Sequence[Companion],
    known: Sequence[facts.Raster],
    tops: np.ndarray,
    begins: np.ndarray,
    tiling: Tiling,
    strips: deque[Strip],
) -> Iterator[tuple[np.ndarray, ...]]:
    """The windows with data, strip after strip: images and further rasters.

    Each strip is announced in `strips` before its first window comes. `known` are the facts of the
    rasters in training, which say what a pixel without data is there.
    """
    patch = tiling.patch
    ends = [*tops[1:].tolist(), tiling.height]
    readers: list[Raster | Companion] = [raster, *others]
    for top, end in zip(tops.tolist(), ends, strict=True):
        height = min(patch, tiling.height - top)
        parts = [one.read(top, 0, height, tiling.width) for one in readers]
        valid = np.logical_and.reduce([part.valid for part in parts])
        pixels = []
        for part, kind in zip(parts, known, strict=True):
            # 8-bit values are 0 to 255 whatever the limits are.
            empty = np.zeros(()) if part.pixels.dtype == np.uint8 else kind.empty
            part.pixels[~part.valid] = empty
            pixels.append(filled_up(part.pixels, patch, empty))
        held = filled_up(valid, patch, False)
        chosen = [begin for begin in begins.tolist() if held[:, begin : begin + patch].any()]
        rows = valid[: end - top]
        # Of many strips without data, which are read in one go, nothing is held.
        kept = rows.copy() if chosen else np.broadcast_to(np.False_, rows.shape)
        strips.append(Strip(chosen, len(begins), kept))
        for begin in chosen:
            columns = slice(begin, begin + patch)
            yield tuple(one[:, columns] for one in pixels)


def filled_up(values: np.ndarray, patch: int, empty: np.ndarray | bool) -> np.ndarray:
    """At least `patch` pixels high and wide; what is beyond the scene is `empty`."""
    height, width = values.shape[:2]
    if min(height, width) >= patch:
        return values
    filled = np.empty((max(height, patch), max(width, patch), *values.shape[2:]), values.dtype)
    filled[:] = empty
    filled[:height, :width] = values
    return filled


def _scores(
    run: Run,
    state: Any,
    windows: Iterator[tuple[np.ndarray, ...]],
    others: Sequence[Companion],
) -> Iterator[tuple[np.ndarray, ...]]:
    """The scores of each window, at the network's resolution."""
    names = names_of(run)
    read = [IMAGES, *(one.name for one in others)]
    sides = {name: window_side(run) // run.facts.rasters[name].scale for name in read}

    def batches() -> Iterator[tuple[np.ndarray, ...]]:
        while part := list(itertools.islice(windows, run.config.evaluate.batch_size)):
            stacked = dict(zip(read, map(np.stack, zip(*part, strict=True)), strict=True))
            yield tuple(resample(stacked[name], sides[name]) for name in run.method.rasters)

    for outputs in score_batches(run, names, state, batches()):
        yield from zip(*(outputs[name] for name in names), strict=True)


def _enlarged(values: np.ndarray, patch: int) -> np.ndarray:
    """A map of a window at the scene's resolution: of each pixel the value at its middle."""
    if len(values) == patch:
        return values
    nearest = (2 * np.arange(patch) + 1) * len(values) // (2 * patch)
    return values[nearest][:, nearest]
