"""The evaluator of what training never saw: how pixel scores rank it below what training saw.

Three questions, each answered by the area under the curve (AUROC) of every score; 1 where all
pixels of what was seen score above all others, 0.5 where the score says nothing:

`auroc_unseen_<score>`: known classes of the tested images above classes that were kept from
  training (`data.unseen_classes`);
`auroc_<set>_<score>`: tested pixels above those of other images (`evaluate.outliers`), of noise and
  of one colour;
`auroc_clouds_<score>`: of tested windows with painted clouds, the clear pixels above those that a
  cloud hides.

Pixels without data are in none of them.

The scores: `log_density`, LSE_i of methods that learn one; `log_sum_exp` of the outputs of those
that do not; `max_probability`, max_y p(y|x). That one is counted as max_y p(y|x) - 1, which ranks
alike: counts tell numbers near 0 apart, and of a sure network all probabilities are near 1.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from eojax.drawing import figures
from eojax.evaluation.evaluation_set import UNSEEN_LABEL, EvaluationBatch, EvaluationSet
from eojax.evaluation.evaluators import Evaluator, Measured, Outputs
from eojax.evaluation.pixels.clouds import paint_clouds
from eojax.evaluation.pixels.outlier_windows import outlier_windows, tested_windows, window_side
from eojax.evaluation.scoring import score_batches
from eojax.methods.method import Method
from eojax.metrics.ranking_counts import NOTHING, Counts, added, auroc, counts_of, quantiles
from eojax.runs.run import Run

# What is clear beside a cloud, and what is hidden by one, by the cloud's opacity.
_CLEAR, _HIDDEN = 0.0, 0.9
_DRAWN = 5000
_CONFIDENCE = 'confidence'

# Counts of each score, by its name.
Ranked = Mapping[str, Counts]


def scores_of_unseen(method: Method) -> dict[str, str]:
    """What the scores of `eojax.evaluation.scoring` are called here."""
    learned = 'pixel_log_density' in method.abilities
    density = (
        {'pixel_log_density': 'log_density'} if learned else {'pixel_log_sum_exp': 'log_sum_exp'}
    )
    return {**density, _CONFIDENCE: 'max_probability'}


def asked_for(run: Run) -> bool:
    """Whether a run of pixels has something to rank: unseen classes, or other images."""
    return bool(run.config.data.unseen_classes) or _ranks_images(run)


def _ranks_images(run: Run) -> bool:
    """Whether there is a density to judge other images by, or the config names such images."""
    learned = 'pixel_log_density' in run.method.abilities
    return (learned or bool(run.config.evaluate.outliers)) and run.method.rasters == ('images',)


def unseen_pixels(run: Run, state: Any, tested: EvaluationSet) -> Evaluator:
    """Ranks the tested pixels above those of unseen classes, other images and clouds.

    Of the pixels, counts are held (`eojax.metrics.ranking_counts`). Where the network sees more
    than the raster `images`, other images have nothing to show it, and unseen classes remain.
    """
    titles = scores_of_unseen(run.method)

    def start() -> tuple[Ranked, Ranked]:
        return dict.fromkeys(titles, NOTHING), dict.fromkeys(titles, NOTHING)

    def update(
        sums: tuple[Ranked, Ranked], outputs: Outputs, batch: EvaluationBatch
    ) -> tuple[Ranked, Ranked]:
        masks = (batch.labels >= 0, batch.labels == UNSEEN_LABEL)
        seen, unseen = (
            {name: added(held[name], _counted(name, outputs[name][mask])) for name in titles}
            for held, mask in zip(sums, masks, strict=True)
        )
        return seen, unseen

    def finish(sums: tuple[Ranked, Ranked]) -> Measured:
        seen, unseen = sums
        ranked: dict[str, Ranked] = {'unseen': unseen}
        numbers: dict[str, float] = {}
        if _ranks_images(run):
            for name, windows in outlier_windows(run, window_side(tested)).items():
                ranked[name] = _ranked(run, state, *windows, tuple(titles))
            clear, hidden = _clouds(run, state, tested, tuple(titles))
            ranked['clouds'] = hidden
            numbers |= _areas('clouds', clear, hidden, titles)
        for name, outside in ranked.items():
            if name != 'clouds':
                numbers |= _areas(name, seen, outside, titles)
        density = next(iter(titles))
        drawn = {'test': seen, **ranked}
        shown = {
            name: quantiles(counts[density], _DRAWN)
            for name, counts in drawn.items()
            if counts[density].total
        }
        return Measured(
            dict(sorted(numbers.items())),
            lambda out: figures.log_density_histogram(
                shown, out / 'unseen_pixels.png', of='pixels'
            ),
        )

    return Evaluator(tuple(titles), start, update, finish)


def _counted(name: str, scores: np.ndarray) -> Counts:
    """The counts of a score, whose order they keep."""
    return counts_of(scores - np.float32(1.0) if name == _CONFIDENCE else scores)


def _areas(
    title: str, inside: Ranked, outside: Ranked, titles: Mapping[str, str]
) -> dict[str, float]:
    """The numbers of one set; none where there are no pixels to compare."""
    return {
        f'auroc_{title}_{short}': auroc(inside[name], outside[name])
        for name, short in titles.items()
        if inside[name].total and outside[name].total
    }


def _clouds(
    run: Run, state: Any, tested: EvaluationSet, names: tuple[str, ...]
) -> tuple[Ranked, Ranked]:
    """Scores of clear and of hidden pixels with data, of tested windows under clouds."""
    windows, valid = tested_windows(run, tested)
    clouded = paint_clouds(windows, run.images)
    # Pixels without data are neither, and no cloud lies over them: they show nothing.
    images = np.where(valid[..., None], clouded.images, windows)
    clear, hidden = valid & (clouded.opacity <= _CLEAR), valid & (clouded.opacity >= _HIDDEN)
    return (
        _ranked(run, state, images, clear, names),
        _ranked(run, state, images, hidden, names),
    )


def _ranked(
    run: Run, state: Any, windows: np.ndarray, mask: np.ndarray, names: tuple[str, ...]
) -> Ranked:
    """The scores of some pixels of windows, counted."""
    counts = dict.fromkeys(names, NOTHING)
    size = run.config.evaluate.batch_size

    def batches() -> Iterator[np.ndarray]:
        for first in range(0, len(windows), size):
            yield windows[first : first + size]

    first = 0
    for outputs in score_batches(run, names, state, batches()):
        chosen = mask[first : first + len(outputs[names[0]])]
        counts = {
            name: added(counts[name], _counted(name, outputs[name][chosen])) for name in names
        }
        first += len(chosen)
    return counts
