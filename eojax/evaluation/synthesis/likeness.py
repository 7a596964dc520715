"""How close synthesised images come to the real ones, pixel by pixel: plain figures of merit.

Many images fit one map of land cover, so that a good image may lie far from the real one, and the
mean of all good images lies closest: a blurred one. These numbers tell of colour and place, not of
how real an image looks.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from eojax.data.facts import Facts
from eojax.evaluation.evaluation_set import EvaluationBatch
from eojax.evaluation.evaluators import Evaluator, Measured, Outputs
from eojax.evaluation.synthesis.outputs import REAL, SYNTHESISED, counted_pixels
from eojax.metrics.restoration import ssim


class _Sums(NamedTuple):
    """Over pixels and bands of values in [-1, 1]; `similar` is SSIM times pixels."""

    absolute: float = 0.0
    square: float = 0.0
    values: int = 0
    similar: float = 0.0
    pixels: int = 0


def likeness(facts: Facts) -> Evaluator:
    """Error and similarity of synthesised and real images, over all pixels with data.

    `mae`: mean absolute error, as a share of the range of values (0 to 1);
    `psnr`: peak signal-to-noise ratio of all pixels together, in dB; left out where nothing
      differs;
    `ssim`: structural similarity (Wang and others, 2004), the mean over pixels and bands.
    """

    def update(sums: _Sums, outputs: Outputs, batch: EvaluationBatch) -> _Sums:
        real, made = outputs[REAL], outputs[SYNTHESISED]
        counted = counted_pixels(batch, facts)
        some = counted.any((1, 2))
        if not some.any():
            return sums
        real, made, counted = real[some], made[some], counted[some]
        difference = (made.astype(np.float64) - real)[counted]
        levels = [(x + 1.0) * 127.5 for x in (made, real)]
        pixels = counted.sum((1, 2))
        new = (
            float(np.abs(difference).sum()),
            float(np.square(difference).sum()),
            difference.size,
            float((ssim(levels[0], levels[1], counted) * pixels).sum()),
            int(pixels.sum()),
        )
        return _Sums(*(a + b for a, b in zip(sums, new, strict=True)))

    def finish(sums: _Sums) -> Measured:
        if not sums.values:
            return Measured({})
        error = sums.square / sums.values / 4.0  # as a share of the squared range
        numbers = {'mae': sums.absolute / sums.values / 2.0}
        if error > 0.0:
            numbers['psnr'] = -10.0 * math.log10(error)
        numbers['ssim'] = sums.similar / sums.pixels
        return Measured(numbers)

    return Evaluator((REAL, SYNTHESISED), _Sums, update, finish)
