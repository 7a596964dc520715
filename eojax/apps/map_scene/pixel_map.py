"""The map of a scene by a network that classifies every pixel, computed strip by strip.

Windows overlap, and every pixel takes its class from the window whose middle is nearest: near the
border of a window a network sees less of what is around. The windows of the last row and column are
moved inwards, so that all of the scene is mapped, borders too. Pixels without data are never
classified; the network sees the mean of the window's other pixels in their place.

No more than one strip of windows is held at a time; batches are filled across strips.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from eojax.apps.map_scene.patch_map import CellRow, Tiling, window_side
from eojax.data.reading.patches import resample
from eojax.data.reading.raster import Raster
from eojax.evaluation.scoring import score_batches
from eojax.runs.run import Run

NAMES = ('classes', 'confidence')


class Strip(NamedTuple):
    """The windows of one row.

    Attributes:
      number: of the row of windows, from the top.
      pixels: `[columns, patch, patch, bands]`, as the scene's reader gives them.
      valid: bool `[columns, patch, patch]`, where there are data.
    """

    number: int
    pixels: np.ndarray
    valid: np.ndarray


def starts(length: int, tiling: Tiling) -> np.ndarray:
    """Where windows begin along an axis; together they cover all of it."""
    last = length - tiling.patch
    return np.unique(np.minimum(np.arange(0, last + tiling.stride, tiling.stride), last))


def owned(begins: np.ndarray, length: int, patch: int) -> np.ndarray:
    """The borders between what each window decides, int `[windows + 1]`: midway in the overlap."""
    between = (begins[1:] + begins[:-1] + patch) // 2
    return np.concatenate([[0], between, [length]])


def map_pixels(
    run: Run, state: Any, raster: Raster, tiling: Tiling, watch: Callable[[int, int], object]
) -> Iterator[CellRow]:
    """The map of a scene, row by row of its pixels from the top.

    Args:
      run, state: as in `eojax.evaluation.scoring.score_batches`.
      watch: is told of each strip that is done: windows with data in them, and windows.

    Yields:
      `tiling.height` rows.

    Raises:
      UserError: an unreadable part of the scene, or scores that are not finite.
    """
    rows, columns = starts(tiling.height, tiling), starts(tiling.width, tiling)
    tops = owned(rows, tiling.height, tiling.patch)
    lefts = owned(columns, tiling.width, tiling.patch)
    waiting: list[Strip] = []
    scored = _windows(run, state, _read(raster, rows, columns, tiling.patch, waiting))
    for top, (upper, lower) in zip(rows, itertools.pairwise(tops), strict=True):
        height = lower - upper
        labels = np.zeros((height, tiling.width), np.uint8)
        confidence = np.zeros((height, tiling.width), np.float32)
        valid = np.zeros((height, tiling.width), bool)
        part = slice(upper - top, lower - top)
        for number, (begin, (left, right)) in enumerate(
            zip(columns, itertools.pairwise(lefts), strict=True)
        ):
            classes, sure = (_enlarged(x, tiling.patch) for x in next(scored))
            inside = slice(left - begin, right - begin)
            labels[:, left:right] = classes[part, inside]
            confidence[:, left:right] = sure[part, inside]
            valid[:, left:right] = waiting[0].valid[number, part, inside]
        held = np.atleast_1d(waiting.pop(0).valid.any((1, 2)))
        watch(int(held.sum()), len(held))
        for line in zip(valid, labels, confidence, strict=True):
            yield CellRow(*line, None)


def _read(
    raster: Raster, rows: np.ndarray, columns: np.ndarray, patch: int, waiting: list[Strip]
) -> Iterator[np.ndarray]:
    """The windows `[patch, patch, bands]`, strip after strip, with no gaps in them."""
    for number, row in enumerate(rows.tolist()):
        part = raster.read(row, 0, patch, raster.width)
        pixels = np.stack([part.pixels[:, c : c + patch] for c in columns])
        valid = np.stack([part.valid[:, c : c + patch] for c in columns])
        waiting.append(Strip(number, pixels, valid))
        for window, held in zip(pixels, valid, strict=True):
            yield _without_gaps(window, held)


def _without_gaps(window: np.ndarray, valid: np.ndarray) -> np.ndarray:
    if valid.all() or not valid.any():
        return window
    mean = window[valid].mean(0)
    filled = np.where(valid[..., None], window, mean)
    return (np.rint(filled) if window.dtype.kind in 'ui' else filled).astype(window.dtype)


def _windows(
    run: Run, state: Any, windows: Iterator[np.ndarray]
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Classes and confidence of each window, at the network's resolution."""
    side = window_side(run)
    size = run.config.evaluate.batch_size

    def batches() -> Iterator[np.ndarray]:
        while part := list(itertools.islice(windows, size)):
            yield resample(np.stack(part), side)

    for outputs in score_batches(run, NAMES, state, batches()):
        yield from zip(outputs['classes'], outputs['confidence'], strict=True)


def _enlarged(values: np.ndarray, patch: int) -> np.ndarray:
    """A map of a window at the scene's resolution, by the nearest value."""
    nearest = np.arange(patch) * len(values) // patch
    return values[nearest][:, nearest]
