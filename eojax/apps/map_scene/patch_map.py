"""The map: the output of a trained network at every place of a scene, computed strip by strip.

A scene is cut into square patches, `stride` apart, and each patch in which every pixel holds data
is classified. Where patches overlap, each cell of `stride` x `stride` pixels takes the mean of
p(y|x), and of log p(x), over the classified patches that cover it. As a patch covers whole cells, a
pixel without data is never in a cell that has a value.

No more than two patches' heights of the scene are held at a time, and batches are filled across
strips, so that all but the last are full and one program does them all.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np
from scipy.special import softmax

from eojax.apps.map_scene.scores import learned_density, names_of
from eojax.apps.map_scene.tiling import Tiling
from eojax.data.reading.patches import resample
from eojax.data.reading.raster import Raster
from eojax.evaluation.scoring import score_batches
from eojax.runs.run import Run


class Strip(NamedTuple):
    """A row of patches.

    Attributes:
      patches: `[columns, bands, patch, patch]`, a view of the scene's pixels.
      whole: bool `[columns]`, which of them hold data in every pixel.
    """

    patches: np.ndarray
    whole: np.ndarray


class ScoredRow(NamedTuple):
    """The network's output for a row of patches.

    Attributes:
      whole: bool `[columns]`, which patches were classified.
      probabilities: float64 `[num, classes]` of those.
      log_density: float64 `[num]`; None for a method without it.
    """

    whole: np.ndarray
    probabilities: np.ndarray
    log_density: np.ndarray | None


class CellRow(NamedTuple):
    """A row of the map.

    Attributes:
      classified: bool `[cells]`, whether the cell has a class.
      labels: int `[cells]`, the most probable class.
      confidence: `[cells]`, its probability.
      log_density: float64 `[cells]`; None for a method without it.
      probabilities: of all classes, `[cells, classes]`, of classified cells.
    """

    classified: np.ndarray
    labels: np.ndarray
    confidence: np.ndarray
    log_density: np.ndarray | None
    probabilities: np.ndarray


class CellMeans(NamedTuple):
    """The means over the patches that cover each cell of a row.

    Attributes:
      classified: bool `[cell_columns]`, whether any patch covers the cell.
      probabilities: float64 `[cell_columns, classes]`, means over these patches, else 0.
      log_density: float64 `[cell_columns]`, the same; None for a method without it.
    """

    classified: np.ndarray
    probabilities: np.ndarray
    log_density: np.ndarray | None


def map_rows(
    run: Run,
    state: Any,
    raster: Raster,
    tiling: Tiling,
    watch: Callable[[int, int, np.ndarray | None], object] = lambda *row: None,
) -> Iterator[CellRow]:
    """The map of a scene, row by row of its cells from the top.

    Args:
      run, state: as in `scoring.score_batches`.
      watch: is told of each row of patches as it is done: how many were classified, how many
        patches it has, and log p(x) of those classified.

    Yields:
      `tiling.cell_rows` rows.

    Raises:
      UserError: an unreadable part of the scene, or scores that are not finite.
    """

    def scored() -> Iterator[ScoredRow]:
        for row in score_strips(run, state, read_strips(raster, tiling)):
            watch(len(row.probabilities), len(row.whole), row.log_density)
            yield row

    for cells in average_rows(scored(), tiling):
        labels, confidence = cells.probabilities.argmax(-1), cells.probabilities.max(-1)
        yield CellRow(cells.classified, labels, confidence, cells.log_density, cells.probabilities)


def read_strips(raster: Raster, tiling: Tiling) -> Iterator[Strip]:
    """All rows of patches; a strip holds until the next one is asked for.

    The scene is read once, from the top, by windows of at most `patch` rows.
    """
    patch, stride = tiling.patch, tiling.stride
    columns = np.arange(tiling.columns) * stride
    pixels, valid, top = None, None, 0
    for row in range(0, tiling.rows * stride, stride):
        bottom = top if pixels is None else top + len(pixels)
        if bottom < row + patch:
            part = raster.read(bottom, 0, min(patch, tiling.height - bottom), tiling.width)
            kept = row - top
            if pixels is None or valid is None:
                pixels, valid = part
            else:
                pixels = np.concatenate([pixels[kept:], part.pixels])
                valid = np.concatenate([valid[kept:], part.valid])
            top = row
        assert pixels is not None
        assert valid is not None
        here = slice(row - top, row - top + patch)
        empty = np.concatenate([[0], np.cumsum(~valid[here].all(0))])
        whole = empty[columns + patch] == empty[columns]
        windows = np.lib.stride_tricks.sliding_window_view(pixels[here], (patch, patch), (0, 1))
        yield Strip(windows[0, ::stride], whole)


def score_strips(run: Run, state: Any, strips: Iterator[Strip]) -> Iterator[ScoredRow]:
    """The scores of each row of patches, in full batches across them; rows come as they are done.

    Yields:
      As many rows as strips.
    """
    names, density = names_of(run), learned_density(run)
    size, num = run.task.image_shape[0], run.config.evaluate.batch_size
    unscored: deque[np.ndarray] = deque()

    def batches() -> Iterator[np.ndarray]:
        parts: list[np.ndarray] = []
        room = num
        for strip in strips:
            unscored.append(strip.whole)
            chosen = np.flatnonzero(strip.whole)
            while len(chosen):
                taken, chosen = chosen[:room], chosen[room:]
                patches = np.moveaxis(strip.patches[taken], 1, -1)
                parts.append(resample(np.ascontiguousarray(patches), size))
                room -= len(taken)
                if not room:
                    yield np.concatenate(parts)
                    parts, room = [], num
        if parts:
            yield np.concatenate(parts)

    logits = np.zeros((0, run.task.num_classes), np.float32)
    densities = np.zeros(0, np.float32)

    def completed() -> Iterator[ScoredRow]:
        nonlocal logits, densities
        while unscored and (count := int(unscored[0].sum())) <= len(logits):
            probabilities = softmax(logits[:count].astype(np.float64), axis=-1)
            found = densities[:count].astype(np.float64) if density else None
            logits, densities = logits[count:], densities[count:]
            yield ScoredRow(unscored.popleft(), probabilities, found)

    for scores in score_batches(run, names, state, batches()):
        logits = np.concatenate([logits, scores['logits']])
        if density:
            densities = np.concatenate([densities, scores['log_density']])
        yield from completed()
    yield from completed()


def average_rows(rows: Iterator[ScoredRow], tiling: Tiling) -> Iterator[CellMeans]:
    """The means over all patches that cover each cell, row by row of cells."""
    ends = np.arange(tiling.cell_columns) + 1
    first = np.maximum(ends - tiling.overlap, 0)
    last = np.minimum(ends, tiling.columns)
    # Sums along each row of patches that covers the present cells, and the sum of these.
    window: deque[np.ndarray] = deque()
    sums = np.zeros(())
    density = False
    for number in range(tiling.cell_rows):
        if number >= tiling.overlap:
            sums = sums - window.popleft()
        if number < tiling.rows:
            row = next(rows)
            density = row.log_density is not None
            values = np.zeros((tiling.columns + 1, row.probabilities.shape[1] + 2))
            here = np.flatnonzero(row.whole) + 1
            values[here, 0] = 1.0
            values[here, 1] = row.log_density if row.log_density is not None else 0.0
            values[here, 2:] = row.probabilities
            total = values.cumsum(0)
            window.append(total[last] - total[first])
            sums = sums + window[-1]
        count = sums[:, :1].round()
        means = sums[:, 1:] / np.maximum(count, 1.0)
        yield CellMeans(count[:, 0] > 0, means[:, 1:], means[:, 0] if density else None)
