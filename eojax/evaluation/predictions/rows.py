"""Rows of predictions: the most probable classes of an image, and whether it looks unseen.

A row is a mapping of columns to plain values:

`class`, `probability`: the most probable class, and its p(y|x); `class_2`, `probability_2`: the
  next one, and so on;
`log_density`: log p(x), unnormalised, of methods that learn it;
`percentile`: the share of the training images, in percent, that are less likely than this image or
  just as likely;
`unseen`: whether log p(x) is below a percentile of the training images.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from scipy.special import softmax

# What a cell may hold; None is empty.
Cell = str | float | int | bool | None
Row = Mapping[str, Cell]

PERCENTILE = 1.0  # of the training images' log p(x), below which an image looks unseen


class Training(NamedTuple):
    """The training images' log p(x), with which an image is compared.

    Attributes:
      scores: float `[num]`, ascending.
      threshold: below it an image looks unseen.
    """

    scores: np.ndarray
    threshold: float


def training_of(scores: np.ndarray, percentile: float = PERCENTILE) -> Training:
    """The comparison with training images.

    Args:
      scores: log p(x) of training images, `[num]`.
      percentile: of them, from 0 to 100, below which an image looks unseen.
    """
    # Of the scores as they are stored, so that a map has the same threshold.
    return Training(np.sort(scores), float(np.percentile(scores, percentile)))


def columns_of(top: int, density: bool, training: bool) -> tuple[str, ...]:
    """The columns of `rows_of`, in order.

    Args:
      top: how many classes.
      density: whether there is log p(x).
      training: whether it is compared with training images.
    """
    ranks = ['', *(f'_{rank}' for rank in range(2, top + 1))]
    columns = [f'{name}{rank}' for rank in ranks for name in ('class', 'probability')]
    columns += ['log_density'] if density else []
    return (*columns, *(('percentile', 'unseen') if density and training else ()))


def rows_of(
    logits: np.ndarray,
    log_density: np.ndarray | None,
    class_names: Sequence[str],
    top: int,
    training: Training | None = None,
) -> Iterator[dict[str, Cell]]:
    """A row for each image.

    Args:
      logits: float `[num, classes]`.
      log_density: float `[num]`; None of methods that learn none.
      top: how many classes, at most all.
      training: that log p(x) is compared with.
    """
    probabilities = softmax(logits.astype(np.float64), axis=-1)
    # Of equal ones the first, as argmax has it.
    order = np.argsort(-probabilities, axis=-1, kind='stable')[:, :top]
    percent = None
    if log_density is not None and training is not None:
        below = np.searchsorted(training.scores, log_density, 'right')
        percent = 100.0 * below / len(training.scores)
    for number, ranked in enumerate(order):
        row: dict[str, Cell] = {}
        for rank, label in enumerate(ranked, 1):
            ending = f'_{rank}' if rank > 1 else ''
            row[f'class{ending}'] = class_names[label]
            row[f'probability{ending}'] = rounded(probabilities[number, label])
        if log_density is not None:
            row['log_density'] = rounded(log_density[number], 7)
        if log_density is not None and training is not None and percent is not None:
            row['percentile'] = rounded(percent[number])
            row['unseen'] = bool(log_density[number] < training.threshold)
        yield row


def rounded(value: float, digits: int = 6) -> float:
    """A number with so many digits that count, as tables hold it."""
    return float(f'{float(value):.{digits}g}')
