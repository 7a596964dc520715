"""How well a score ranks two kinds of pixels, from counts of its values: any number of them.

Scores are counted in bins that are as fine as their floating-point numbers are, 1/4096 of a value:
no range need be known before, and the result is that of all pixels and not of a sample. Scores that
crowd near another number than 0, as probabilities do near 1, are counted less that number: else all
from 0.99988 to 1 would be one bin.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

# Bits of the mantissa that a bin leaves out: 12 of 23 remain.
_DROPPED = 11


class Counts(NamedTuple):
    """Scores counted.

    Attributes:
      bins: int32, ascending: in the order of the scores.
      counts: int64, of each bin, none of them 0.
    """

    bins: np.ndarray
    counts: np.ndarray

    @property
    def total(self) -> int:
        return int(self.counts.sum())


NOTHING = Counts(np.zeros(0, np.int32), np.zeros(0, np.int64))


def counts_of(scores: np.ndarray) -> Counts:
    """The counts of scores of any shape.

    Raises:
      ValueError: one of them is NaN.
    """
    values = np.asarray(scores, np.float32).reshape(-1) + np.float32(0.0)  # no negative zero
    if np.isnan(values).any():
        raise ValueError('the scores hold NaN')
    bits = values.view(np.int32)
    # Numbers below 0 grow in their bits as they fall in value.
    ordered = np.where(bits < 0, bits ^ np.int32(0x7FFFFFFF), bits) >> _DROPPED
    bins, counts = np.unique(ordered, return_counts=True)
    return Counts(bins.astype(np.int32), counts.astype(np.int64))


def added(one: Counts, other: Counts) -> Counts:
    """The counts of both."""
    bins, place = np.unique(np.concatenate([one.bins, other.bins]), return_inverse=True)
    counts = np.zeros(len(bins), np.int64)
    np.add.at(counts, place, np.concatenate([one.counts, other.counts]))
    return Counts(bins, counts)


def auroc(inside: Counts, outside: Counts) -> float:
    """Probability that a pixel inside scores above one outside, those of one bin counting half.

    Raises:
      ValueError: there are none of one kind.
    """
    if not inside.total or not outside.total:
        raise ValueError('no scores of one kind')
    bins = added(inside, outside).bins
    first, second = (_spread(counts, bins) for counts in (inside, outside))
    below = np.cumsum(second) - second
    pairs = (first * (below + 0.5 * second)).sum()
    return float(pairs / (first.sum() * second.sum()))


def _spread(counts: Counts, bins: np.ndarray) -> np.ndarray:
    """Counts at all bins, float64."""
    spread = np.zeros(len(bins))
    spread[np.searchsorted(bins, counts.bins)] = counts.counts
    return spread


def quantiles(counts: Counts, num: int) -> np.ndarray:
    """At most `num` scores, evenly spread over those that were counted, ascending; for figures."""
    num = min(num, counts.total)
    wanted = (np.arange(num) + 0.5) * counts.total / max(num, 1)
    place = np.searchsorted(np.cumsum(counts.counts), wanted)
    ordered = counts.bins[place] << _DROPPED
    bits = np.where(ordered < 0, ordered ^ np.int32(0x7FFFFFFF), ordered)
    return bits.astype(np.int32).view(np.float32)
