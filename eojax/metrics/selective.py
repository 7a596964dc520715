"""What a classifier gains where it may leave places unanswered: risk and coverage.

A score is higher where the answer is more to be trusted: max p(y|x), log p(x), or minus the size of
the set of classes. The coverage is the share of places that are answered, those of the highest
scores, and the risk the share of errors among them. The area under the curve of risk over coverage
(AURC) is the mean of the risk over all coverages; a score that says nothing has the error rate as
its area, a good one less. Where scores are equal, no order of them is better than another: the
curve is its mean over all orders.

Source: Geifman and El-Yaniv, "Selective Classification for Deep Neural Networks", 2017; Geifman,
Uziel and El-Yaniv, "Bias-Reduced Uncertainty Estimation for Deep Neural Classifiers", 2019 (AURC).
"""

from __future__ import annotations

import math

import numpy as np

COVERAGES = (1.0, 0.9, 0.8, 0.7)


def risks(scores: np.ndarray, wrong: np.ndarray) -> np.ndarray:
    """The risk at the coverages 1/n, 2/n, ..., 1, float64 `[n]`.

    Args:
      scores: higher where an answer is more to be trusted, `[n]`, no NaN.
      wrong: bool `[n]`, whether the answer is an error.

    Raises:
      ValueError: shapes that do not match, no places, or NaN.
    """
    scores = np.asarray(scores, np.float64)
    if scores.ndim != 1 or scores.shape != np.shape(wrong) or not len(scores):
        raise ValueError(f'expected [n] twice, n > 0, got {scores.shape} and {np.shape(wrong)}')
    if np.isnan(scores).any():
        raise ValueError('the scores hold NaN')
    _, group, sizes = np.unique(-scores, return_inverse=True, return_counts=True)
    errors = np.bincount(group, weights=wrong) / sizes
    return np.cumsum(np.repeat(errors, sizes)) / np.arange(1, len(scores) + 1)


def area_under(curve: np.ndarray) -> float:
    """AURC of `risks`, from 0 to 1."""
    return float(np.mean(curve))


def risk_at(curve: np.ndarray, coverage: float) -> float:
    """The risk where that share of the places, rounded up, is answered.

    Args:
      curve: of `risks`.
      coverage: above 0, up to 1.

    Raises:
      ValueError: another coverage.
    """
    if not 0.0 < coverage <= 1.0:
        raise ValueError(f'the coverage must be above 0 and up to 1, not {coverage}')
    return float(curve[max(math.ceil(coverage * len(curve) - 1e-9), 1) - 1])
