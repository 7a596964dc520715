"""Scores of arrays by a trained run: of whole images, and of each pixel of images of any size."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import islice
from typing import Any

import numpy as np

from eojax.apps.map_scene.pixel_map import filled_up, starts, weights
from eojax.apps.map_scene.tiling import Tiling, window_side
from eojax.evaluation.scoring import score_batches
from eojax.library.arrays import Given
from eojax.runs.domains import TARGET
from eojax.runs.run import Run


def score_images(
    run: Run, state: Any, names: tuple[str, ...], given: Given, group: str = TARGET
) -> dict[str, np.ndarray]:
    """Scores of each image as a whole, by name: float32 `[N, ...]`.

    Args:
      names: of `eojax.evaluation.scoring.scores_of`.
      group: whose limits the images have.

    Raises:
      UserError: see `score_batches`.
    """
    size = run.config.evaluate.batch_size
    batches = (
        tuple(raster[start : start + size] for raster in given.rasters)
        for start in range(0, given.num, size)
    )
    parts = list(score_batches(run, names, state, batches, group, given.scaled))
    return {name: np.concatenate([part[name] for part in parts]) for name in names}


def score_pixels(
    run: Run, state: Any, names: tuple[str, ...], given: Given
) -> dict[str, np.ndarray]:
    """Scores of each pixel, by name: float32 `[N, H, W, ...]`, of images of any size.

    As in a map of a scene (`eojax.apps.map_scene.pixel_map`): windows of the side that the method
    is evaluated in overlap by half, and each pixel has the mean of those that show it, where a
    window counts the less the nearer its border is. Images of exactly the size that the network
    sees whole are scored whole.
    """
    if run.method.window is None and given.size == run.facts.size:
        return score_images(run, state, names, given)
    side = window_side(run)
    height, width = given.size
    rasters = [run.facts.rasters[name] for name in run.method.rasters]
    grid = math.lcm(*(raster.scale for raster in rasters))
    # Windows begin where a pixel of the coarsest raster does.
    tiling = Tiling(height, width, side, max(side // 2 // grid, 1) * grid, by_pixel=True)
    corners = [(top, left) for top in starts(height, tiling) for left in starts(width, tiling)]
    scored = _score_windows(run, state, names, given, side, corners)
    weight = np.outer(weights(side), weights(side))
    sums: dict[str, np.ndarray] = {}
    total = np.zeros((max(height, side), max(width, side)), np.float32)
    for top, left in corners:
        total[top : top + side, left : left + side] += weight
    for image in range(given.num):
        for top, left in corners:
            for name, values in next(scored).items():
                if name not in sums:
                    sums[name] = np.zeros((given.num, *total.shape, *values.shape[2:]), np.float32)
                here = sums[name][image, top : top + side, left : left + side]
                here += weight.reshape(side, side, *[1] * (values.ndim - 2)) * values
    return {
        name: (values / total.reshape(*total.shape, *[1] * (values.ndim - 3)))[:, :height, :width]
        for name, values in sums.items()
    }


def _score_windows(
    run: Run,
    state: Any,
    names: tuple[str, ...],
    given: Given,
    side: int,
    corners: list[tuple[int, int]],
) -> Iterator[dict[str, np.ndarray]]:
    """The scores of each window of each image, in full batches across images."""
    rasters = [run.facts.rasters[name] for name in run.method.rasters]

    def windows() -> Iterator[tuple[np.ndarray, ...]]:
        for image in range(given.num):
            for top, left in corners:
                yield tuple(
                    filled_up(
                        array[
                            image,
                            top // raster.scale : (top + side) // raster.scale,
                            left // raster.scale : (left + side) // raster.scale,
                        ],
                        side // raster.scale,
                        # The lower limits are -1 for the network.
                        np.full((), -1.0, np.float32) if given.scaled else raster.beyond,
                    )
                    for array, raster in zip(given.rasters, rasters, strict=True)
                )

    def batches() -> Iterator[tuple[np.ndarray, ...]]:
        left = windows()
        while part := list(islice(left, run.config.evaluate.batch_size)):
            yield tuple(map(np.stack, zip(*part, strict=True)))

    for outputs in score_batches(run, names, state, batches(), scaled=given.scaled):
        for number in range(len(outputs[names[0]])):
            yield {name: values[number] for name, values in outputs.items()}
