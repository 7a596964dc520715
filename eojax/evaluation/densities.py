"""The evaluator of log p(x): how it ranks held-out images above images of other kinds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from eojax.devices import sharding
from eojax.drawing import figures
from eojax.errors import UserError
from eojax.evaluation.evaluation_set import EvaluationBatch
from eojax.evaluation.evaluators import Evaluator, Measured, Outputs
from eojax.evaluation.outliers import outlier_sets, spread
from eojax.evaluation.reference import reference_scores
from eojax.evaluation.scoring import score
from eojax.messages import say
from eojax.metrics.summaries import density_numbers
from eojax.runs.run import Run

_TITLES = {
    'log_density': 'log p(x), unnormalised',
    'log_sum_exp': 'log-sum-exp of the logits, not trained to be log p(x)',
}


def density(run: Run, state: Any, name: str, samples: Callable[[], np.ndarray | None]) -> Evaluator:
    """log p(x) of the tested images, beside training images, outliers and samples.

    Of each image one number is held.

    Args:
      name: the score that stands for log p(x), `eojax.evaluation.scoring.density_name`.
      samples: generated images, uint8 `[N, H, W, C]`; None of methods that make none.
    """

    def update(held: list[np.ndarray], outputs: Outputs, batch: EvaluationBatch) -> Any:
        return [*held, outputs[name]]

    def finish(held: list[np.ndarray]) -> Measured:
        scores = _scores(run, state, name, np.concatenate(held), samples())
        return Measured(
            density_numbers(scores, name, run.config.evaluate.divergence),
            lambda out: figures.log_density_histogram(
                {title.replace('_', ' '): values for title, values in scores.items()},
                out / 'log_density.png',
                score=_TITLES[name],
            ),
        )

    return Evaluator((name,), list, update, finish)


def _scores(
    run: Run, state: Any, name: str, tested: np.ndarray, samples: np.ndarray | None
) -> dict[str, np.ndarray]:
    """log p(x) of all sets, by their names."""
    progress = sharding.is_main_process()
    sets = outlier_sets(run.config.evaluate, run.task.image_shape[0], progress, run.facts)
    scores = {'test': tested}
    try:
        scores = {'train': _of_training(run, state, name, len(tested)), **scores}
    except UserError as error:
        if progress:
            say(f'no log p(x) of training images, and no kl: {error}')
    if samples is not None:
        sets = {'samples': samples, **sets}
    for title, images in sets.items():
        scores[title] = score(run, name, state, images)
    return scores


def _of_training(run: Run, state: Any, name: str, num_tested: int) -> np.ndarray:
    """log p(x) of training images: of as many as are tested where the data were read, at least
    1,000; else of those whose scores the run's folder keeps.
    """
    if run.domains is None:
        return reference_scores(run, state, (name,))[name]
    chosen = run.splits.train[spread(len(run.splits.train), max(num_tested, 1000))]
    return score(run, name, state, run.dataset.images, chosen, 'log p(x)')
