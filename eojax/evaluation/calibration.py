"""How far a trained run is calibrated: its confidences on labelled images, and their numbers."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from eojax.data.dataset import Dataset
from eojax.evaluation import evaluators
from eojax.evaluation.classes import image_classes
from eojax.evaluation.command import read_labelled
from eojax.evaluation.evaluation_set import evaluation_set
from eojax.evaluation.pixels.classes import pixel_calibration
from eojax.metrics.calibration import curve_of, error_of
from eojax.metrics.classification import Sums
from eojax.runs.run import Run, with_data


class Measured(NamedTuple):
    """The confidences of a run for labelled images.

    Attributes:
      method: its name.
      step: steps that the state was trained for.
      sums: over the images, or over their pixels for methods that classify these.
      images: that these pixels are of; None where images were classified.
    """

    method: str
    step: int
    sums: Sums
    images: int | None = None


def measure(
    run: Run,
    state: Any,
    data: Path | None = None,
    num_bins: int = 15,
    with_learnt: bool = False,
) -> Measured:
    """Scores labelled images; all processes of a run call it together.

    Args:
      data: folder or zip archive of the run's classes; the run's test split where None.
      with_learnt: as in `eojax.evaluation.command.read_labelled`.
      num_bins: of confidence, of equal width between 0 and 1.

    Raises:
      UserError: the method has logits neither of images nor of pixels, or
        `eojax.evaluation.command.read_labelled` refuses the images.
    """
    labelled = labelled_images(run, data, with_learnt)
    by_pixel = 'pixel_logits' in run.method.abilities
    evaluator = image_classes(run.facts.class_names, num_bins)
    if by_pixel:
        evaluator = pixel_calibration(run.task.num_classes, num_bins)
    kept: list[Sums] = []

    def finish(sums: Any) -> evaluators.Measured:
        result = evaluator.finish(sums)
        kept.append(sums)
        return result

    tested = evaluation_set(run, labelled)
    evaluators.measure(run, state, tested, [evaluator._replace(finish=finish)], 'classifying')
    return Measured(run.config.method.name, run.step, kept[0], tested.num if by_pixel else None)


def labelled_images(run: Run, data: Path | None, with_learnt: bool) -> Dataset:
    """The images that a run is measured on; arguments and errors as for `measure`."""
    if data is not None:
        return read_labelled(data, run, with_learnt)
    run = with_data(run)
    return run.dataset.subset(run.splits.test)


def calibration_numbers(measured: Measured) -> dict[str, Any]:
    """The run's object in `calibration.json`, without its folder."""
    sums = measured.sums
    curve = curve_of(sums.bins)
    return {
        'method': measured.method,
        'step': measured.step,
        'test_images': sums.num if measured.images is None else measured.images,
        **({} if measured.images is None else {'test_pixels': sums.num}),
        'accuracy': sums.accuracy,
        'mean_confidence': float(sums.bins.confidence.sum() / sums.num),
        'ece': error_of(curve),
        'nll': sums.nll / sums.num,
        'brier': sums.brier / sums.num,
        'bins': {
            'edges': np.linspace(0, 1, len(curve.counts) + 1).tolist(),
            'confidence': [_number_or_none(value) for value in curve.confidence],
            'accuracy': [_number_or_none(value) for value in curve.accuracy],
            'counts': curve.counts.tolist(),
        },
    }


def _number_or_none(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
