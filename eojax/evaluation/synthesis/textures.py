"""How near the textures of synthesised ground are to those of real ground, class by class."""

from __future__ import annotations

import functools
from typing import Any

import jax
import numpy as np

from eojax.data.facts import Facts
from eojax.evaluation.evaluation_set import EvaluationBatch
from eojax.evaluation.evaluators import Evaluator, Measured, Outputs
from eojax.evaluation.synthesis.outputs import REAL, SYNTHESISED, counted_pixels, seen_labels
from eojax.metrics.textures import class_moments, texture_distances


def textures(facts: Facts) -> Evaluator:
    """The distance of `eojax.metrics.textures` over all pixels with data and a known class.

    `texture_distance`: the mean over classes; `texture_distance_<Class>`: of each;
    `texture_match`: 1 / (1 + distance), which is higher for better images.
    """
    moments = jax.jit(functools.partial(class_moments, num_classes=facts.num_classes))

    def update(sums: Any, outputs: Outputs, batch: EvaluationBatch) -> Any:
        labels = np.where(counted_pixels(batch, facts), seen_labels(batch), -1)
        both = [
            np.asarray(moments(outputs[name], labels), np.float64).sum(0)
            for name in (REAL, SYNTHESISED)
        ]
        return sums + np.stack(both)

    def finish(sums: Any) -> Measured:
        distances = texture_distances(*sums) if np.ndim(sums) else np.array([])
        known = np.isfinite(distances)
        if not known.any():
            return Measured({})
        distance = float(distances[known].mean())
        numbers = {'texture_distance': distance, 'texture_match': 1.0 / (1.0 + distance)}
        for number in np.flatnonzero(known):
            numbers[f'texture_distance_{facts.class_names[number]}'] = float(distances[number])
        return Measured(numbers)

    return Evaluator((REAL, SYNTHESISED), lambda: 0.0, update, finish)
