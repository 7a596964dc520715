"""What is measured of a run that synthesises: at its end, and on validation places as it trains."""

from __future__ import annotations

from typing import Any

import numpy as np

from eojax.data.dataset import Dataset
from eojax.devices import sharding
from eojax.drawing.pictures import displayed, mosaic
from eojax.evaluation import evaluators
from eojax.evaluation.evaluation_set import EvaluationSet
from eojax.evaluation.evaluators import Evaluator, Measured
from eojax.evaluation.outliers import spread
from eojax.evaluation.synthesis.distance import distance
from eojax.evaluation.synthesis.examples import synthesis_examples
from eojax.evaluation.synthesis.likeness import likeness
from eojax.evaluation.synthesis.outputs import REAL, SYNTHESISED, stream_of, synthesis_set
from eojax.evaluation.synthesis.radar import backscatter, decibel_limits
from eojax.evaluation.synthesis.segmentation import segmented
from eojax.evaluation.synthesis.segmenter import KEY, Segmenter, open_segmenter, target_of
from eojax.evaluation.synthesis.textures import textures
from eojax.messages import say
from eojax.runs import contents
from eojax.runs.run import Run

_PICTURE_PLACES = 8
_PICTURE_SIDE = 256  # pixels of a place at most
# Of the validation places, in the training's log.
_VALIDATION = (
    'mae', 'psnr', 'ssim', 'texture_distance', 'texture_match', 'agreement_mean_iou',
    'truth_mean_iou', 'mae_db',
)  # fmt: skip


def measure_synthesis(
    run: Run, state: Any, labelled: Dataset
) -> tuple[EvaluationSet, list[Measured]]:
    """All that is measured of synthesised images of a data set; all processes call it together.

    Returns:
      The tested images, and the results.

    Raises:
      UserError: a segmenter that cannot judge them, or places that cannot be read.
    """
    segmenter, tested = open_segmenter(run), synthesis_set(run, labelled)
    if segmenter is not None:
        _tell_learnt(segmenter, labelled)
    chosen = synthesis_evaluators(run, tested, segmenter)
    results = evaluators.measure(run, state, tested, chosen, 'test images', stream_of(segmenter))
    return tested, results


def synthesis_evaluators(
    run: Run, tested: EvaluationSet, segmenter: Segmenter | None
) -> list[Evaluator]:
    """The evaluators of synthesised images, by what they show and who judges them.

    Args:
      tested: see `eojax.evaluation.synthesis.outputs.synthesis_set`.
      segmenter: without one there is nothing of maps and features.
    """
    return [*_measuring(run, tested, segmenter), synthesis_examples(tested, target_of(run))]


def _measuring(run: Run, tested: EvaluationSet, segmenter: Segmenter | None) -> list[Evaluator]:
    facts, target = tested.dataset.facts, target_of(run)
    chosen = [likeness(facts), textures(facts)]
    if segmenter is not None:
        chosen.append(segmented(facts))
        if segmenter.describes:
            chosen.append(distance())
    if decibel_limits(facts.rasters[target]) is not None:
        chosen.append(backscatter(facts, target))
    return chosen


def _tell_learnt(segmenter: Segmenter, tested: Dataset) -> None:
    """Says so where the segmenter has learnt from tested places: it would judge them too well."""
    learnt = contents.learnt_from(segmenter.run.folder, tested)
    if learnt.any() and sharding.is_main_process():
        say(
            f'{KEY}: {segmenter.run.folder} has learnt from {np.count_nonzero(learnt)} of the'
            f' {len(learnt)} tested places: its maps of their real images are better than of others'
        )


def validate_synthesis(run: Run, state: Any, places: np.ndarray) -> dict[str, float]:
    """Numbers of the validation places, by their names.

    Args:
      places: indices into the run's data set.
    """
    segmenter = open_segmenter(run)
    tested = synthesis_set(run, run.dataset.subset(places))
    chosen = _measuring(run, tested, segmenter)
    results = evaluators.measure(run, state, tested, chosen, stream=stream_of(segmenter))
    return {k: v for k, v in evaluators.joined(results).items() if k in _VALIDATION}


def synthesis_picture(run: Run, state: Any) -> np.ndarray | None:
    """Real and below them synthesised images of some validation places, uint8 `[h, w, 3]`.

    They are the same places each time; None where nobody validates.
    """
    places = run.splits.validation
    if not len(places):
        return None
    some = run.dataset.subset(places[spread(len(places), _PICTURE_PLACES)])
    tested = synthesis_set(run, some)
    stream, shown = stream_of(open_segmenter(run)), dict[int, np.ndarray]()
    raster = run.facts.rasters[target_of(run)]
    for outputs, batch in stream(run, (REAL, SYNTHESISED), state, tested):
        for row, place in enumerate(batch.place.tolist()):
            if place not in shown:
                pair = np.stack([outputs[name][row] for name in (REAL, SYNTHESISED)])
                part = pair[:, :_PICTURE_SIDE, :_PICTURE_SIDE]
                shown[place] = displayed(part, raster.bands, ((-1.0, 1.0),) * len(raster.bands))
    pairs = np.stack([*shown.values()], 1)
    return mosaic(pairs, max(1, -(-64 // pairs.shape[2])))
