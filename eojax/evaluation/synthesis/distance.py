"""The Frechet distance of synthesised from real images, by features of a segmenter's encoder.

"Synthesizing Optical and SAR Imagery From Land Cover Maps and Auxiliary Raster Data" (Baier and
others, 2022), section III-C: FID with the U-Net in place of Inception, as that was trained on
photographs. The features are the spatial means of the maps of all levels of its encoder before
they are pooled, 64 + 128 + 256 + 512 = 960 of the paper's network.

Only moments are summed. The distance falls with the number of images, and depends on the network:
only numbers of the same segmenter and the same images can be compared.
"""

from __future__ import annotations

from typing import NamedTuple

from eojax.evaluation.evaluation_set import EvaluationBatch
from eojax.evaluation.evaluators import Evaluator, Measured, Outputs
from eojax.evaluation.synthesis.outputs import FEATURES, REAL, SYNTHESISED
from eojax.metrics.generation import Moments, frechet_distance


class _Sums(NamedTuple):
    """Moments of the features of both kinds of image; None before the first batch."""

    real: Moments | None = None
    made: Moments | None = None


def distance() -> Evaluator:
    """`frechet_distance`, and of how many `frechet_features` and `frechet_images`.

    Images are windows where places are evaluated in these. With fewer than two there is none.
    """
    of_real, of_made = f'{FEATURES}{REAL}', f'{FEATURES}{SYNTHESISED}'

    def update(sums: _Sums, outputs: Outputs, batch: EvaluationBatch) -> _Sums:
        new = (Moments.of(outputs[name]) for name in (of_real, of_made))
        return _Sums(*(b if a is None else a.plus(b) for a, b in zip(sums, new, strict=True)))

    def finish(sums: _Sums) -> Measured:
        if sums.real is None or sums.made is None or sums.real.num < 2:
            return Measured({})
        value = frechet_distance(
            sums.real.mean, sums.real.covariance, sums.made.mean, sums.made.covariance
        )
        numbers = {
            'frechet_distance': value,
            'frechet_features': len(sums.real.mean),
            'frechet_images': sums.real.num,
        }
        return Measured(numbers)

    return Evaluator((of_real, of_made), _Sums, update, finish)
