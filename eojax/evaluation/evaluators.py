"""Evaluators: what is measured of a trained network, summed batch by batch.

An evaluator names the scores that it needs (`eojax.evaluation.scoring.scores_of`) and adds up what
it wants of each batch; all of them share one pass over the images. Nothing holds the outputs of all
images. What its method can do says which evaluators a run has (`eojax.evaluation.evaluate`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, Protocol

import numpy as np

from eojax.devices import sharding
from eojax.evaluation.evaluation_set import EvaluationBatch, EvaluationSet
from eojax.evaluation.scoring import score_stream
from eojax.runs.run import Run

Outputs = Mapping[str, np.ndarray]


class Stream(Protocol):
    """The outputs of a trained network for tested images, batch by batch, with what they are of."""

    def __call__(
        self, run: Run, names: tuple[str, ...], state: Any, tested: EvaluationSet, title: str = ''
    ) -> Iterable[tuple[Outputs, EvaluationBatch]]: ...


class Measured(NamedTuple):
    """The result of an evaluator.

    Attributes:
      numbers: finite, by their keys in `evaluation.json`.
      draw: writes the figures to a folder; None where there are none.
    """

    numbers: Mapping[str, float]
    draw: Callable[[Path], None] | None = None


class Evaluator(NamedTuple):
    """One thing that is measured of images.

    Attributes:
      needs: the scores of each image that it asks for.
      start: sums of nothing.
      update: the sums with those of a batch: `(sums, outputs, batch)`; the outputs, by name,
        float32 `[n, ...]` on the host.
      finish: what the sums say; called in all processes, with the same sums.
    """

    needs: tuple[str, ...]
    start: Callable[[], Any]
    update: Callable[[Any, Outputs, EvaluationBatch], Any]
    finish: Callable[[Any], Measured]


def measure(
    run: Run,
    state: Any,
    tested: EvaluationSet,
    evaluators: Sequence[Evaluator],
    title: str = '',
    stream: Stream = score_stream,
) -> list[Measured]:
    """The numbers of evaluators for the tested images; all processes of a run call it together.

    Args:
      state: of the method.
      tested: images or windows, read batch by batch.
      title: of a progress bar; none where empty.
      stream: where the outputs that evaluators need come from.

    Returns:
      As many as evaluators, in their order.

    Raises:
      UserError: the method lacks an ability, outputs that are not finite, or images that cannot be
        read.
    """
    names = tuple(dict.fromkeys(name for one in evaluators for name in one.needs))
    sums = [one.start() for one in evaluators]
    if names:
        for outputs, batch in stream(run, names, state, tested, title):
            sums = [
                one.update(held, outputs, batch) for one, held in zip(evaluators, sums, strict=True)
            ]
    return [one.finish(held) for one, held in zip(evaluators, sums, strict=True)]


def joined(results: Sequence[Measured]) -> dict[str, float]:
    """The numbers of all results."""
    return {key: value for result in results for key, value in result.numbers.items()}


def draw(results: Sequence[Measured], out: Path) -> None:
    """Draws all figures, in the first process alone."""
    for result in results:
        if result.draw is not None and sharding.is_main_process():
            result.draw(out)
