"""Synthesised images as a segmenter reads them: the upper part of Table III, and Fig. 5.

"Synthesizing Optical and SAR Imagery From Land Cover Maps and Auxiliary Raster Data" (Baier and
others, 2022), section IV. Three comparisons of maps of classes, each with its prefix:

`truth_`: the segmenter's map of the synthesised image, and the ground truth;
`agreement_`: its map of the synthesised image, and its map of the real one. So errors of labels,
  and of the segmenter, count less;
`real_`: its map of the real image, and the ground truth: the column "real".

Each has `pixel_accuracy`, `mean_iou` over the classes among the reference, `mean_iou_all` and
`iou_<class>`. `mean_iou_all` is the paper's figure: the mean over all classes of the data set, one
that does not occur counted as 0.

Notes:
  In the files of GeoNRW and DFC2020 label 0 stands for "no class". The authors' networks learn it
  as one class more, their mean of the IoU leaves it out and their pixel accuracy counts it. Here
  it is unknown: no network learns it, and its pixels count in no comparison with the ground truth.
  Where the data have none of it, both agree.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np

from eojax.data.facts import Facts
from eojax.drawing.synthesis import class_comparison
from eojax.evaluation.evaluation_set import EvaluationBatch
from eojax.evaluation.evaluators import Evaluator, Measured, Outputs
from eojax.evaluation.synthesis.outputs import CLASSES, REAL, SYNTHESISED, counted_pixels
from eojax.metrics.segmentation import ClassCounts, no_counts, numbers_of_counts, window_counts

TRUTH, AGREEMENT, REAL_IMAGES = 'truth_', 'agreement_', 'real_'
PREFIXES = (REAL_IMAGES, TRUTH, AGREEMENT)
TITLES = {
    REAL_IMAGES: 'real image, against ground truth',
    TRUTH: 'synthesised image, against ground truth',
    AGREEMENT: 'synthesised image, against the map of the real one',
}
_KEPT = ('pixel_accuracy', 'mean_iou', 'mean_iou_all')
IOU = 'iou_'


class _Sums(NamedTuple):
    """Pixels of each class, `[K]`, of the three comparisons."""

    real: ClassCounts
    truth: ClassCounts
    agreement: ClassCounts


def segmented(facts: Facts) -> Evaluator:
    """The three comparisons, and `class_iou.png` with the IoU of each class in all of them."""
    num = facts.num_classes
    on_real, on_made = f'{CLASSES}{REAL}', f'{CLASSES}{SYNTHESISED}'

    def start() -> _Sums:
        return _Sums(*(no_counts(1, num).at(0) for _ in _Sums._fields))

    def update(sums: _Sums, outputs: Outputs, batch: EvaluationBatch) -> _Sums:
        real, made = outputs[on_real], outputs[on_made]
        reference = np.where(counted_pixels(batch, facts), real.astype(np.int32), -1)
        pairs = ((real, batch.labels), (made, batch.labels), (made, reference))
        new = (window_counts(classes, to, num).sum() for classes, to in pairs)
        return _Sums(*(_added(a, b) for a, b in zip(sums, new, strict=True)))

    def finish(sums: _Sums) -> Measured:
        scores = {
            prefix: numbers_of_counts(counts, facts.class_names)
            for prefix, counts in zip((REAL_IMAGES, TRUTH, AGREEMENT), sums, strict=True)
            if counts.true.any()
        }
        numbers = {
            f'{prefix}{key}': value
            for prefix, each in scores.items()
            for key, value in each.items()
            if key in _KEPT or key.startswith(IOU)
        }

        def draw(out: Path) -> None:
            values = {
                TITLES[prefix]: [each.get(f'{IOU}{name}') for name in facts.class_names]
                for prefix, each in scores.items()
            }
            shares = sums.truth.true / max(sums.truth.true.sum(), 1)
            class_comparison(values, facts.class_names, shares, out / 'class_iou.png')

        return Measured(numbers, draw)

    return Evaluator((on_real, on_made), start, update, finish)


def _added(one: ClassCounts, other: ClassCounts) -> ClassCounts:
    return ClassCounts(*(a + b for a, b in zip(one, other, strict=True)))
