"""The evaluator of the table `predictions.csv`: a row for each tested image, as `eojax predict`'s.

Before the columns of `eojax.evaluation.predictions.rows` stand `file` and `true`, the image's own
class, empty where it is unknown, and after them `right`.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from eojax.atomic_file import write_atomically
from eojax.data.columns import name_at
from eojax.errors import UserError
from eojax.evaluation.evaluation_set import EvaluationBatch, EvaluationSet
from eojax.evaluation.evaluators import Evaluator, Measured, Outputs
from eojax.evaluation.predictions.rows import Cell, Training, columns_of, rows_of, training_of
from eojax.evaluation.predictions.tables import write_csv
from eojax.evaluation.reference import reference_scores
from eojax.runs.run import Run

FILE = 'predictions.csv'
_TOP = 3


class _Part(NamedTuple):
    """A batch's images: their numbers, classes, logits and log p(x), None without a density."""

    place: np.ndarray
    labels: np.ndarray
    logits: np.ndarray
    log_density: np.ndarray | None


def image_predictions(run: Run, state: Any, tested: EvaluationSet) -> Evaluator:
    """The table of the tested images; it adds no numbers. Of each image a few numbers are held.

    Args:
      tested: images with one class each.
    """
    density = 'log_density' in run.method.abilities
    names = run.facts.class_names

    def update(parts: list[_Part], outputs: Outputs, batch: EvaluationBatch) -> list[_Part]:
        log_density = outputs['log_density'] if density else None
        return [*parts, _Part(batch.place, batch.labels, outputs['logits'], log_density)]

    def finish(parts: list[_Part]) -> Measured:
        training = _training(run, state) if density else None
        top = min(_TOP, len(names))
        columns = ('file', 'true', *columns_of(top, density, training is not None), 'right')

        def rows() -> Iterator[dict[str, Cell]]:
            for part in parts:
                listed = rows_of(part.logits, part.log_density, names, top, training)
                for place, label, row in zip(part.place, part.labels, listed, strict=True):
                    true = names[label] if label >= 0 else None
                    right = None if true is None else row['class'] == true
                    file = name_at(tested.dataset.names, int(place))
                    yield {'file': file, 'true': true, **row, 'right': right}

        def write(out: Path) -> None:
            write_atomically(out / FILE, lambda file: write_csv(file, columns, rows()))

        return Measured({}, write)

    return Evaluator(('logits', 'log_density') if density else ('logits',), list, update, finish)


def _training(run: Run, state: Any) -> Training | None:
    """The training images to compare with; None where the run keeps none of their scores."""
    if run.domains is not None and not run.config.evaluate.keep_reference:
        return None
    try:
        return training_of(reference_scores(run, state, ('log_density',))['log_density'])
    except UserError:
        return None
