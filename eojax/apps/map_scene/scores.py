"""The scores of a run that a map is made of."""

from __future__ import annotations

from collections import deque
from typing import Any

import numpy as np

from eojax.apps.map_scene.tiling import window_side
from eojax.data.facts import IMAGES
from eojax.data.reading.raster import Raster
from eojax.evaluation.scoring import score_batches
from eojax.runs.run import Run


def classifies_pixels(run: Run) -> bool:
    """Whether each pixel has a class of its own."""
    return 'pixel_logits' in run.method.abilities


def learned_density(run: Run) -> bool:
    """Whether the run's method has trained a density log p(x), which a classifier alone has not.

    Of methods that classify pixels it is that of each pixel.
    """
    name = 'pixel_log_density' if classifies_pixels(run) else 'log_density'
    return name in run.method.abilities


def names_of(run: Run) -> tuple[str, ...]:
    """As `eojax.evaluation.scoring.scores_of` calls them."""
    if classifies_pixels(run):
        return ('probabilities', *(('pixel_log_density',) if learned_density(run) else ()))
    return ('logits', 'log_density') if learned_density(run) else ('logits',)


def warm_up(run: Run, state: Any, raster: Raster) -> None:
    """Compiles the program that scores patches, if that was not done yet: by one batch of zeros."""
    if (names_of(run), run.mesh) in run.programs:
        return
    batch = []
    for name in run.method.rasters:
        facts = run.facts.rasters[name]
        dtype = raster.read(0, 0, 1, 1).pixels.dtype if name == IMAGES else facts.dtype
        sides = run.task.image_shape[:2]
        if classifies_pixels(run):
            sides = (window_side(run) // facts.scale,) * 2
        batch.append(np.zeros((1, *sides, len(facts.bands)), dtype))
    deque(score_batches(run, names_of(run), state, [tuple(batch)]), maxlen=0)
