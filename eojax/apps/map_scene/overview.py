"""A finished map beside its scene, small enough for a figure."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import rasterio
from rasterio.enums import Resampling

from eojax.apps.map_scene import figures
from eojax.apps.map_scene.coordinates import frame_of
from eojax.apps.map_scene.model import PICTURE, Model, classes_shown
from eojax.apps.map_scene.scene import Job, Options, open_scene
from eojax.apps.map_scene.scores import learned_density
from eojax.apps.map_scene.totals import Course, Totals
from eojax.data.reading.raster import Raster
from eojax.drawing.pictures import displayed

_OVERVIEW_PIXELS = 900


def draw(model: Model, raster: Raster, totals: Totals, course: Course, folder: Path) -> None:
    """Writes the figure from the finished layers."""
    names, colours = classes_shown(model)
    shares = dict(zip(names, totals.areas / totals.whole, strict=True))
    overview = _overview(model, raster, shares, course.share_unseen, folder)
    figures.scene_map(overview, names, colours, folder / PICTURE)


def overview_of(job: Job, model: Model, options: Options) -> figures.Overview:
    """A scene and its map that is made, small enough for a figure.

    The shares of classes are those of the figure's pixels.

    Raises:
      UserError: see `open_scene`.
    """
    raster, _ = open_scene(job, model, options)
    with raster:
        found = _overview(model, raster, {}, None, job.out)
    counted = found.classes[found.classes >= 0]
    names = classes_shown(model)[0]
    counts = np.bincount(counted, minlength=len(names)) / max(found.classes.size, 1)
    return found._replace(shares=dict(zip(names, counts.tolist(), strict=True)))


def _overview(
    model: Model,
    raster: Raster,
    shares: Mapping[str, float],
    share_unseen: float | None,
    folder: Path,
) -> figures.Overview:
    """The finished layers, which have smaller versions of themselves, and the scene."""
    part = raster.overview(_OVERVIEW_PIXELS)
    run, shape, images = model.run, part.valid.shape, model.run.images
    sizes = None
    if model.guarantees.rule is not None:
        held = _reduced(folder / 'set_size.tif', shape, Resampling.nearest).astype(np.int16)
        sizes = np.where(held == 255, -1, held)
    classes = _reduced(folder / 'class_map.tif', shape, Resampling.nearest).astype(np.int16)
    density = None
    if learned_density(run):
        density = _reduced(folder / 'log_density.tif', shape, Resampling.average)
    # Across, as the bar of the scale lies.
    metres = None if raster.ground is None else raster.ground.sides[1]
    return figures.Overview(
        f'{raster.name}  ({run.folder.resolve().name}, step {run.step:,};'
        f' trained on {run.facts.trained_on})',
        displayed(part.pixels, images.bands, images.limits),
        part.valid,
        np.where(classes == 255, -1, classes),
        _reduced(folder / 'confidence.tif', shape, Resampling.average),
        density,
        model.threshold,
        model.threshold_text,
        share_unseen,
        shares,
        None if metres is None else metres * raster.width / shape[1],
        frame_of(raster.crs, raster.transform, raster.height, raster.width),
        None if model.guarantees.open_rule is None else len(run.facts.class_names),
        sizes,
        0.0 if model.guarantees.rule is None else model.guarantees.rule.level,
    )


def _reduced(path: Path, shape: tuple[int, int], way: Resampling) -> np.ndarray:
    with rasterio.open(path) as file:
        return file.read(1, out_shape=shape, resampling=way)
