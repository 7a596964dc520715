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

from eojax.data.facts import IMAGES
from eojax.data.reading.patches import patch_pixels, resample
from eojax.data.reading.raster import Raster
from eojax.errors import UserError
from eojax.evaluation.scoring import score_batches
from eojax.runs.run import Run


class Tiling(NamedTuple):
    """Where the patches of a scene lie: at all multiples of `stride` where a whole one fits.

    Attributes:
      height, width: of the scene in pixels.
      patch, stride: in pixels; the stride divides the patch, unless each pixel has a class of its
        own (`eojax.apps.map_scene.pixel_map`).
      by_pixel: whether each pixel has a class of its own.
    """

    height: int
    width: int
    patch: int
    stride: int
    by_pixel: bool = False

    @property
    def cell(self) -> int:
        """The side of what has one class, in pixels."""
        return 1 if self.by_pixel else self.stride

    @property
    def rows(self) -> int:
        """Of patches."""
        return (self.height - self.patch) // self.stride + 1

    @property
    def columns(self) -> int:
        """Of patches."""
        return (self.width - self.patch) // self.stride + 1

    @property
    def overlap(self) -> int:
        """Patches beside each other that cover the same cell."""
        return self.patch // self.stride

    @property
    def cell_rows(self) -> int:
        return self.rows + self.overlap - 1

    @property
    def cell_columns(self) -> int:
        return self.columns + self.overlap - 1


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
    """

    classified: np.ndarray
    labels: np.ndarray
    confidence: np.ndarray
    log_density: np.ndarray | None


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


def learned_density(run: Run) -> bool:
    """Whether the run's method has trained a density log p(x), which a classifier alone has not."""
    return 'log_density' in run.method.abilities


def find_tiling(
    raster: Raster, run: Run, patch: int | None = None, stride: int | None = None
) -> Tiling:
    """The patches of a scene for a run.

    Args:
      patch: in pixels; None for as much ground as a training image shows.
      stride: in pixels; None for patches side by side.

    Raises:
      UserError: a scene without a place on Earth or smaller than a patch, or a stride that does not
        divide the patch.
    """
    if raster.crs is None or raster.transform.is_identity:
        raise UserError(
            f'{raster.path}: has no coordinate system, so a map of it would lie nowhere on Earth;'
            ' give it one (gdal_translate -a_srs EPSG:... -a_ullr ...)'
        )
    if 'pixel_logits' in run.method.abilities:
        return _find_windows(raster, run, patch, stride)
    patch = patch or patch_pixels(run.facts, run.task.image_shape[0], raster.pixel_metres())
    _check_patch(raster, patch)
    stride = stride or patch
    if patch % stride:
        raise UserError(f'--stride={stride} does not divide the patch of {patch} pixels')
    return Tiling(raster.height, raster.width, patch, stride)


def window_side(run: Run) -> int:
    """The side of what a method that classifies pixels is shown, in the pixels of its network."""
    return run.method.window or min(run.task.image_shape[:2])


def _find_windows(raster: Raster, run: Run, patch: int | None, stride: int | None) -> Tiling:
    """The windows of a method that classifies pixels: as much ground as in an evaluation."""
    window = window_side(run)
    if run.method.rasters != (IMAGES,):
        others = ', '.join(name for name in run.method.rasters if name != IMAGES)
        raise UserError(f'{raster.path}: the run needs {others} too, which a scene does not hold')
    metres, pixel = run.facts.metres, raster.pixel_metres()
    if patch is None and metres is not None and pixel is not None:
        patch = max(1, round(window * metres / pixel))
    patch = patch or window
    _check_patch(raster, patch)
    stride = stride or max(1, patch // 2)
    if stride > patch:
        raise UserError(f'--stride={stride} leaves gaps between windows of {patch} pixels')
    return Tiling(raster.height, raster.width, patch, stride, by_pixel=True)


def _check_patch(raster: Raster, patch: int) -> None:
    if min(raster.height, raster.width) < patch:
        raise UserError(
            f'{raster.path}: {raster.width}x{raster.height} pixels, smaller than a patch of'
            f' {patch}x{patch}; --patch=PIXELS takes smaller ones'
        )


def warm_up(run: Run, state: Any, raster: Raster) -> None:
    """Compiles the program that scores patches, if that was not done yet: by one batch of zeros."""
    if (_names(run), run.mesh) not in run.programs:
        pixel = raster.read(0, 0, 1, 1).pixels
        pixelwise = 'pixel_logits' in run.method.abilities
        size = (window_side(run),) * 2 if pixelwise else run.task.image_shape[:2]
        images = np.zeros((1, *size, len(run.images.bands)), pixel.dtype)
        deque(score_batches(run, _names(run), state, [images]), maxlen=0)


def _names(run: Run) -> tuple[str, ...]:
    if 'pixel_logits' in run.method.abilities:
        return ('classes', 'confidence')
    return ('logits', 'log_density') if learned_density(run) else ('logits',)


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
        yield CellRow(cells.classified, labels, confidence, cells.log_density)


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
    names, density = _names(run), learned_density(run)
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
