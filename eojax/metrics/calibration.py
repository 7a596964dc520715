"""Whether a classifier's confidence is how often it is right.

Source: Guo et al., "On Calibration of Modern Neural Networks", 2017.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class ReliabilityCurve(NamedTuple):
    """Bins of equal width of the confidence max p(y|x), bin i being (i / bins, (i + 1) / bins].

    Attributes:
      confidence: float64 `[bins]`, the bin's mean confidence; NaN where it is empty.
      accuracy: float64 `[bins]`, the share of its images that are right; NaN where it is empty.
      counts: int64 `[bins]`, its number of images.
    """

    confidence: np.ndarray
    accuracy: np.ndarray
    counts: np.ndarray


class Bins(NamedTuple):
    """Sums over images in bins of equal width of the confidence; they add up over batches.

    Attributes:
      counts: int64 `[bins]`, images.
      confidence: float64 `[bins]`, the sum of their max p(y|x).
      right: float64 `[bins]`, how many of them are classified right.
    """

    counts: np.ndarray
    confidence: np.ndarray
    right: np.ndarray

    def plus(self, other: Bins) -> Bins:
        """The sums of both."""
        return Bins(*(ours + theirs for ours, theirs in zip(self, other, strict=True)))


def count_bins(probabilities: np.ndarray, labels: np.ndarray, num_bins: int = 15) -> Bins:
    """Sums per bin of confidence.

    Args:
      probabilities: `[num, num_classes]`, each row sums to 1.
      labels: int `[num]`.
      num_bins: over the interval from 0 to 1.

    Raises:
      ValueError: shapes do not match, or the values are no probabilities.
    """
    if probabilities.ndim != 2 or labels.shape != (len(probabilities),) or not len(labels):
        raise ValueError(
            f'expected [num, num_classes] and [num], num > 0, got {probabilities.shape} and '
            f'{labels.shape}'
        )
    probabilities = probabilities.astype(np.float64)
    if not np.allclose(probabilities.sum(axis=1), 1.0, atol=1e-3) or probabilities.min() < 0:
        raise ValueError('probabilities must be at least 0 and sum to 1 in each row')
    confidence = probabilities.max(axis=1)
    return bins_of(confidence, probabilities.argmax(axis=1) == labels, num_bins)


def bins_of(confidence: np.ndarray, right: np.ndarray, num_bins: int = 15) -> Bins:
    """Sums per bin of confidence, where the rest of the probabilities was not kept.

    Args:
      confidence: max p(y|x), float64 `[num]`.
      right: bool `[num]`, whether the most probable class is the label.
      num_bins: over the interval from 0 to 1.
    """
    edges = np.linspace(0, 1, num_bins + 1)
    bins = np.digitize(confidence, edges[1:-1], right=True)
    return Bins(
        counts=np.bincount(bins, minlength=num_bins),
        confidence=np.bincount(bins, weights=confidence, minlength=num_bins),
        right=np.bincount(bins, weights=right, minlength=num_bins),
    )


def curve_of(bins: Bins) -> ReliabilityCurve:
    """Mean confidence and accuracy of each bin."""
    with np.errstate(invalid='ignore'):
        return ReliabilityCurve(
            confidence=bins.confidence / bins.counts,
            accuracy=bins.right / bins.counts,
            counts=bins.counts,
        )


def error_of(curve: ReliabilityCurve) -> float:
    """ECE from 0 to 1: the bins' |accuracy - confidence|, weighted by their counts (Eq. 3)."""
    gap = np.where(curve.counts > 0, np.abs(curve.accuracy - curve.confidence), 0.0)
    return float(np.sum(gap * curve.counts) / np.sum(curve.counts))


def reliability_curve(
    probabilities: np.ndarray, labels: np.ndarray, num_bins: int = 15
) -> ReliabilityCurve:
    """Confidence and accuracy per bin of confidence (Guo et al., Sec. 2).

    Arguments and errors as for `count_bins`.
    """
    return curve_of(count_bins(probabilities, labels, num_bins))


def expected_calibration_error(
    probabilities: np.ndarray, labels: np.ndarray, num_bins: int = 15
) -> float:
    """ECE from 0 to 1 (Eq. 3); arguments and errors as for `count_bins`."""
    return error_of(reliability_curve(probabilities, labels, num_bins))


def wilson_interval(shares: np.ndarray, counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The 95% interval of shares of independent trials, E. B. Wilson, 1927.

    Args:
      shares: float `[num]`, 0 to 1.
      counts: trials, at least 1, `[num]`.

    Returns:
      The lower and the upper ends.
    """
    z = 1.959964
    middle = (shares + z**2 / (2 * counts)) / (1 + z**2 / counts)
    half = z * np.sqrt(shares * (1 - shares) / counts + (z / (2 * counts)) ** 2)
    half = half / (1 + z**2 / counts)
    return middle - half, middle + half
