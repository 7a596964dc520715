"""Numbers of an edit: areas on the ground, and how far an image changes where inputs did and did
not."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import rasterio
from rasterio.windows import Window
from scipy import ndimage

from eojax.apps.synthesise.land_cover import STRIP, LandCover
from eojax.apps.synthesise.network import Model, Windows, synthesise


class Change(NamedTuple):
    """How far an image changes, in its own units; None where there are no such pixels.

    Attributes:
      inside: mean absolute change of pixels whose class changed.
      outside: of pixels whose inputs, and those around them, stayed.
    """

    inside: float | None
    outside: float | None


def hectares(cover: LandCover, mask: np.ndarray) -> float | None:
    """The area of a mask on the ground; None where the size of pixels is not known.

    Args:
      mask: bool `[H, W]`.
    """
    ground = cover.ground
    if ground is None:
        return None
    if ground.by_row:
        rows = ground.row_areas(np.arange(cover.height))
        return float(rows @ np.count_nonzero(mask, axis=1)) / 1e4
    areas = (
        ground.cell_areas(np.array([row]), 1, cover.width)[mask[row]].sum()
        for row in range(cover.height)
    )
    return float(sum(areas)) / 1e4


def change_of(
    before: Path, after: Path, changed: np.ndarray, mask: np.ndarray, margin: int
) -> Change:
    """How far an image that was written differs from the one before the edit.

    Args:
      changed: bool `[H, W]`, where the class became another one.
      mask: bool `[H, W]`, where inputs changed.
      margin: pixels around the mask that count as neither.
    """
    near = mask
    if margin:
        reach = np.ones(2 * margin + 1, bool)
        for across in (reach[:, None], reach[None]):  # a square, one axis after the other
            near = ndimage.binary_dilation(near, across)
    sums, nums = np.zeros(2), np.zeros(2, np.int64)
    for top, first, second, valid in _strips(before, after):
        steps = np.abs(first - second).mean(0)
        rows = slice(top, top + len(steps))
        for number, chosen in enumerate((changed[rows] & valid, ~near[rows] & valid)):
            sums[number] += steps[chosen].sum()
            nums[number] += np.count_nonzero(chosen)
    inside, outside = (
        float(total / num) if num else None for total, num in zip(sums, nums, strict=True)
    )
    return Change(inside, outside)


def _strips(before: Path, after: Path) -> Iterator[tuple[int, Any, Any, np.ndarray]]:
    """Strips of two images: first row, both in float64, and where both have data."""
    with rasterio.open(before) as one, rasterio.open(after) as other:
        for top in range(0, one.height, STRIP):
            window = Window(0, top, one.width, min(STRIP, one.height - top))
            first, second = (file.read(window=window).astype(np.float64) for file in (one, other))
            valid = (one.dataset_mask(window=window) > 0) & (other.dataset_mask(window=window) > 0)
            yield top, first, second, valid


def receptive_range(model: Model, side: int) -> int:
    """How many pixels away from a changed pixel an image may change, by trial.

    Two windows of random inputs are made that differ in the middle pixel alone. What lies beyond
    the window is not seen: a generator that looks farther than half a window gets that half. Each
    pixel of a coarser raster is the mean of several, so that a change reaches all of these first.

    Args:
      side: of a window, in pixels.
    """
    rng, facts = np.random.default_rng(0), model.run.facts
    labels = rng.integers(0, facts.num_classes, (1, side, side)).astype(np.int32)
    rasters = tuple(
        rng.uniform(-1.0, 1.0, (1, side, side, len(facts.rasters[name].bands))).astype(np.float32)
        for name in model.rasters
    )
    middle, images = side // 2, []
    for changed in (False, True):
        if changed:
            labels = labels.copy()
            labels[:, middle, middle] = (labels[:, middle, middle] + 1) % facts.num_classes
            rasters = tuple(raster.copy() for raster in rasters)
            for raster in rasters:
                raster[:, middle, middle] = -raster[:, middle, middle]
        images += list(synthesise(model, [Windows(labels, rasters)]))
    differing = np.argwhere((images[0] != images[1]).any(-1)[0])
    coarsest = max((facts.rasters[name].scale for name in model.rasters), default=1)
    return coarsest - 1 + int(np.abs(differing - middle).max(initial=0))
