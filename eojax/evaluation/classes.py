"""The evaluator of predicted classes of images; those of pixels are in `evaluation.pixels`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from eojax.drawing import figures
from eojax.errors import UserError
from eojax.evaluation.evaluation_set import EvaluationBatch
from eojax.evaluation.evaluators import Evaluator, Measured, Outputs
from eojax.metrics import classification
from eojax.metrics.calibration import curve_of
from eojax.metrics.classification import Sums
from eojax.metrics.summaries import log_probabilities


def image_classes(class_names: Sequence[str], num_bins: int = 15) -> Evaluator:
    """Accuracy, likelihood, calibration and the scores of each class, of images.

    Images whose class is unknown do not count.

    Args:
      num_bins: of confidence.
    """

    def update(sums: Sums | None, outputs: Outputs, batch: EvaluationBatch) -> Sums | None:
        known = batch.labels >= 0
        if not known.any():
            return sums
        log_p = log_probabilities(outputs['logits'][known])
        new = classification.sums_of(log_p, batch.labels[known], num_bins)
        return new if sums is None else sums.plus(new)

    def finish(sums: Sums | None) -> Measured:
        if sums is None:
            raise UserError(
                'none of the images has a known class: there is nothing to compare with'
            )

        def draw(out: Path) -> None:
            figures.confusion_matrix(sums.matrix, class_names, out / 'confusion_matrix.png')
            curves = {'test': curve_of(sums.bins)}
            figures.reliability_diagram(curves, out / 'reliability.png')

        return Measured(classification.numbers_of(sums, class_names), draw)

    return Evaluator(('logits',), lambda: None, update, finish)
