"""How well predicted class probabilities fit the labels: accuracy, likelihood, Brier, F1."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from eojax.metrics.calibration import Bins, count_bins, curve_of, error_of

# log 0 is held here, so that one certain mistake leaves a finite mean (float64's smallest normal).
_LOWEST_LOG_PROBABILITY = float(np.log(np.finfo(np.float64).tiny))


class PerClass(NamedTuple):
    """Scores of each class, float64 `[num_classes]`.

    Attributes:
      precision: share of the images predicted as the class that are of it; 0 if none is predicted.
      recall: share of the class's images that are predicted as it; 0 if there is none.
      f1: harmonic mean of both.

    A class that is neither among the labels nor among the predictions has no score: NaN in all.
    """

    precision: np.ndarray
    recall: np.ndarray
    f1: np.ndarray


def accuracy(probabilities: np.ndarray, labels: np.ndarray) -> float:
    """Share of images whose most probable class is the label.

    Args:
      probabilities: `[num, num_classes]`; log-probabilities or logits do as well.
      labels: int `[num]`, 0 to num_classes - 1.

    Raises:
      ValueError: shapes do not match, values are NaN or labels out of range, or nothing is given.
    """
    _check(probabilities, labels)
    return float(np.mean(np.argmax(probabilities, axis=1) == labels))


def nll(log_probabilities: np.ndarray, labels: np.ndarray) -> float:
    """Mean negative log-likelihood of the labels in nats; a probability of 0 counts as 2e-308.

    Args:
      log_probabilities: `[num, num_classes]`, normalised natural logarithms.
      labels: int `[num]`.
    """
    _check(log_probabilities, labels)
    of_label = log_probabilities[np.arange(len(labels)), labels].astype(np.float64)
    return float(-np.mean(np.maximum(of_label, _LOWEST_LOG_PROBABILITY)))


def brier(probabilities: np.ndarray, labels: np.ndarray) -> float:
    """Multi-class Brier score, from 0 to 2: mean over images of the sum over classes of
    `(p(y|x) - [y is the label])^2` (Brier, 1950).

    Args:
      probabilities: `[num, num_classes]`, each row sums to 1.
      labels: int `[num]`.
    """
    _check(probabilities, labels)
    difference = probabilities.astype(np.float64)
    difference[np.arange(len(labels)), labels] -= 1.0
    return float(np.mean(np.sum(difference**2, axis=1)))


def confusion_matrix(probabilities: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Counts int64 `[num_classes, num_classes]`: row the true class, column the predicted one."""
    _check(probabilities, labels)
    num = probabilities.shape[1]
    # scikit-learn's does the same, and takes two seconds of every evaluation to import.
    cells = labels.astype(np.int64) * num + np.argmax(probabilities, axis=1)
    return np.bincount(cells, minlength=num * num).reshape(num, num)


def per_class(matrix: np.ndarray) -> PerClass:
    """Precision, recall and F1 of each class from a `confusion_matrix`."""
    matrix = np.asarray(matrix, dtype=np.float64)
    return per_class_of(np.diag(matrix), matrix.sum(axis=1), matrix.sum(axis=0))


def per_class_of(hits: np.ndarray, true: np.ndarray, predicted: np.ndarray) -> PerClass:
    """Precision, recall and F1 of each class from its counts, `[..., num_classes]`.

    Args:
      hits: of the class and predicted as it.
      true: of the class.
      predicted: predicted as the class.
    """
    seen = true + predicted > 0

    def ratio(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
        score = np.divide(
            numerator, denominator, out=np.zeros(np.shape(numerator)), where=denominator > 0
        )
        return np.where(seen, score, np.nan)

    return PerClass(
        precision=ratio(hits, predicted),
        recall=ratio(hits, true),
        f1=ratio(2 * hits, true + predicted),
    )


class Sums(NamedTuple):
    """All that the numbers of a classifier are made of; they add up over batches.

    Attributes:
      matrix: as of `confusion_matrix`.
      nll: the sum of the negative log-likelihoods of the labels, in nats.
      brier: the sum of the images' Brier scores.
      bins: of confidence (`eojax.metrics.calibration`).
    """

    matrix: np.ndarray
    nll: float
    brier: float
    bins: Bins

    @property
    def num(self) -> int:
        """Images."""
        return int(self.matrix.sum())

    @property
    def accuracy(self) -> float:
        """Share of images whose most probable class is the label."""
        return float(np.trace(self.matrix) / self.num)

    def plus(self, other: Sums) -> Sums:
        """The sums of both."""
        return Sums(
            self.matrix + other.matrix,
            self.nll + other.nll,
            self.brier + other.brier,
            self.bins.plus(other.bins),
        )


def sums_of(log_probabilities: np.ndarray, labels: np.ndarray, num_bins: int = 15) -> Sums:
    """The sums of a batch.

    Args:
      log_probabilities: `[num, num_classes]`, normalised natural logarithms.
      labels: int `[num]`.
      num_bins: of confidence.
    """
    probabilities = np.exp(log_probabilities.astype(np.float64))
    num = len(labels)
    return Sums(
        confusion_matrix(log_probabilities, labels),
        num * nll(log_probabilities, labels),
        num * brier(probabilities, labels),
        count_bins(probabilities, labels, num_bins),
    )


def numbers_of(sums: Sums, class_names: Sequence[str]) -> dict[str, float]:
    """Everything in this file as a flat mapping of finite numbers, ready for JSON.

    Keys: `accuracy`, `nll`, `brier`, `f1_macro`, `precision_<class>`, `recall_<class>`,
    `f1_<class>`, and `ece`. A class that is neither among the labels nor among the predictions has
    no keys and no part in `f1_macro`.

    Args:
      class_names: `[num_classes]`.
    """
    if len(class_names) != len(sums.matrix):
        raise ValueError(f'{len(class_names)} names for {len(sums.matrix)} classes')
    scores = per_class(sums.matrix)
    result = {
        'accuracy': sums.accuracy,
        'nll': sums.nll / sums.num,
        'brier': sums.brier / sums.num,
        'f1_macro': float(np.nanmean(scores.f1)),
    }
    for kind, values in scores._asdict().items():
        result |= {
            f'{kind}_{name}': float(value)
            for name, value in zip(class_names, values, strict=True)
            if np.isfinite(value)
        }
    return {**result, 'ece': error_of(curve_of(sums.bins))}


def _check(probabilities: np.ndarray, labels: np.ndarray) -> None:
    if probabilities.ndim != 2 or labels.shape != (len(probabilities),) or not len(labels):
        raise ValueError(
            f'expected [num, num_classes] and [num], num > 0, got {probabilities.shape} and '
            f'{labels.shape}'
        )
    if not np.issubdtype(labels.dtype, np.integer):
        raise ValueError(f'labels must be integers, got {labels.dtype}')
    if labels.min() < 0 or labels.max() >= probabilities.shape[1]:
        raise ValueError(f'labels must lie in 0 to {probabilities.shape[1] - 1}')
    if np.isnan(probabilities).any():
        raise ValueError('the probabilities hold NaN')
