"""log p of pixels of a data set, for a method with `pixel_log_density`."""

from __future__ import annotations

import itertools
import math
from collections import deque
from collections.abc import Iterator
from typing import Any

import numpy as np

from eojax.data.dataset import Dataset, Window
from eojax.data.valid_pixels import valid_pixels
from eojax.errors import UserError
from eojax.evaluation.evaluation_set import beyond
from eojax.evaluation.scoring import score_batches
from eojax.runs.run import Run


def pixel_densities(
    run: Run, state: Any, dataset: Dataset, windows: int, pixels: int, seed: int = 0
) -> np.ndarray:
    """log p of some pixels of random windows; all processes of a run call it together.

    Places are drawn by their area. Windows are as in an evaluation, whole places where these are
    scored whole; where a place is smaller than a window the rest is empty, and none of its pixels
    is taken. Pixels that are drawn and hold no data are left out, and others of those that were
    drawn stand in their place, so that each one that holds data is as likely as any other.

    Args:
      windows: how many.
      pixels: of each, drawn with replacement.
      seed: of all draws.

    Returns:
      float32 `[windows * pixels]`.

    Raises:
      UserError: none of the pixels that were drawn holds data.
    """
    random = np.random.default_rng(seed)
    drawn = list(itertools.islice(_windows(run, dataset, random), windows))
    size = run.config.evaluate.batch_size
    masks: deque[np.ndarray] = deque()
    batches = (_read(run, dataset, drawn[i : i + size], masks) for i in range(0, windows, size))
    scores = score_batches(run, ('pixel_log_density',), state, batches)
    densities = (one for batch in scores for one in batch['pixel_log_density'])
    taken = []
    for density, (_, window) in zip(densities, drawn, strict=True):
        at = (random.integers(0, window.height, pixels), random.integers(0, window.width, pixels))
        taken.append(density[at][masks.popleft()[at]])
    values = np.concatenate(taken)
    if not len(values):
        raise UserError(
            f'{run.folder}: none of {windows * pixels} pixels of the training places holds data'
        )
    missing = windows * pixels - len(values)
    return np.concatenate([values, random.choice(values, missing)]) if missing else values


def _windows(
    run: Run, dataset: Dataset, random: np.random.Generator
) -> Iterator[tuple[int, Window]]:
    places, side = dataset.places, run.method.window
    areas = places.heights.astype(np.float64) * places.widths
    grid = math.lcm(*(dataset.facts.rasters[name].scale for name in run.method.rasters))
    while True:
        place = int(random.choice(places.num, p=areas / areas.sum()))
        height, width = int(places.heights[place]), int(places.widths[place])
        tall, wide = min(side or height, height), min(side or width, width)
        row = int(random.integers((height - tall) // grid + 1)) * grid
        column = int(random.integers((width - wide) // grid + 1)) * grid
        yield place, Window(row, column, tall, wide)


def _read(
    run: Run, dataset: Dataset, windows: list[tuple[int, Window]], masks: deque[np.ndarray]
) -> tuple[np.ndarray, ...]:
    """The rasters that the run sees, each `[n, h, w, bands]`.

    Args:
      masks: gets which pixels of each window hold data, bool `[h, w]`.
    """
    names, side = run.method.rasters, run.method.window
    entries = (*names, *dataset.facts.masks(names))
    height = side or max(window.height for _, window in windows)
    width = side or max(window.width for _, window in windows)
    batch = []
    for name in names:
        raster = dataset.facts.rasters[name]
        shape = (len(windows), height // raster.scale, width // raster.scale, len(raster.bands))
        batch.append(np.full(shape, beyond(dataset.facts, name), raster.dtype))
    for number, (place, window) in enumerate(windows):
        read = dataset.source.read(place, window, entries)
        masks.append(valid_pixels(read, dataset.facts, (window.height, window.width)))
        for name, array in zip(names, batch, strict=True):
            pixels = read[name]
            array[number, : pixels.shape[0], : pixels.shape[1]] = pixels
    return tuple(batch)
