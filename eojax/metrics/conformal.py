"""Sets of classes that hold the true one as often as asked, calibrated by blocks of ground.

A score says how badly a class fits what a network answers; the set of a place has all classes whose
score is at most a threshold. With p(y|x) of a place:

    lac: s(x, y) = 1 - p(y|x)
    aps: s(x, y) = sum of p(k|x) over the classes k before y + u p(y|x)

where the classes stand from the most to the least probable, and u is uniform in [0, 1], drawn once
for each place. `lac` makes the smallest sets on average (Sadinle, Lei and Wasserman, "Least
Ambiguous Set-Valued Classifiers with Bounded Error Levels", 2019); the sets of `aps` grow where a
place is hard (Romano, Sesia and Candes, "Classification with Valid and Adaptive Coverage", 2020).

Places of one block of ground are alike, so they are not exchangeable with those of another; blocks
are. With K blocks for calibration, of N_k places each, the threshold of level 1 - a is the 1 - a
quantile of

    sum over k, i of 1 / ((K + 1) N_k) delta(s_ki) + 1 / (K + 1) delta(infinity)

(Lee, Barber and Willett, "Distribution-free inference with hierarchical data", 2023: HCP). A place
drawn at random from a new block then has its class in its set with probability 1 - a or more: on
average over blocks, of which each counts alike, and over the draw of the blocks for calibration.
With one place a block it is the quantile of ordinary split conformal prediction. Other ways with
blocks are in Dunn, Wasserman and Ramdas, "Distribution-Free Prediction Sets for Two-Layer
Hierarchical Models", 2022.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from eojax.metrics.calibration import wilson_interval

SCORES = ('lac', 'aps')
# Weights are sums of fractions: at K / (K + 1) exactly, rounding must not decide.
_ROUNDING = 1e-9
# Means of probabilities in 32 bits may lie a little outside.
_NEAR_ENOUGH = 1e-3


class BlockShares(NamedTuple):
    """How often something holds, block by block.

    Attributes:
      blocks: float64 `[B]`, the share of each block's places, by the blocks' numbers, ascending.
      mean: of the blocks, of which each counts alike.
      low, high: the 95 % interval of that mean: of Student's t over the blocks; of Wilson where a
        block is a single place, and where all blocks have the same share: three blocks that are all
        covered do not say that every block is; 0 and 1 of a single block.
      pooled: the share of all places.
    """

    blocks: np.ndarray
    mean: float
    low: float
    high: float
    pooled: float


def class_scores(
    probabilities: np.ndarray, kind: str, uniform: np.ndarray | None = None
) -> np.ndarray:
    """The score of every class of every place, float64 `[num, K]`, from 0 to 1.

    Args:
      probabilities: p(y|x), `[num, K]`; each row sums to 1.
      kind: `lac` or `aps`.
      uniform: u, `[num]`, from 0 to 1, of `aps`.

    Raises:
      ValueError: another kind, `aps` without u for each place, or no probabilities.
    """
    probabilities = np.asarray(probabilities, np.float64)
    if (probabilities < -_NEAR_ENOUGH).any() or (probabilities > 1.0 + _NEAR_ENOUGH).any():
        raise ValueError('probabilities lie between 0 and 1: no percentages, and no logits')
    if kind == 'lac':
        return 1.0 - probabilities
    if kind != 'aps' or uniform is None:
        raise ValueError(f'expected lac, or aps with uniform numbers, got {kind!r}')
    if np.shape(uniform) != probabilities.shape[:1]:
        raise ValueError(f'expected [{len(probabilities)}] uniform numbers, {np.shape(uniform)}')
    order = np.argsort(-probabilities, axis=-1, kind='stable')
    ranked = np.take_along_axis(probabilities, order, -1)
    before = np.cumsum(ranked, -1) - ranked
    scores = np.empty_like(probabilities)
    np.put_along_axis(scores, order, before + uniform[:, None] * ranked, -1)
    return np.minimum(scores, 1.0)


def block_quantile(scores: np.ndarray, blocks: np.ndarray, level: float) -> float:
    """The threshold of the hierarchical quantile (above); infinite where blocks are too few.

    Args:
      scores: of the true classes of the places for calibration, `[num]`.
      blocks: the block of each, integers `[num]`.
      level: 1 - a, between 0 and 1.

    Raises:
      ValueError: shapes that do not match, nothing to calibrate on, NaN, or a level that is not
        between 0 and 1.
    """
    scores = np.asarray(scores, np.float64)
    if scores.ndim != 1 or scores.shape != np.shape(blocks) or not len(scores):
        raise ValueError(f'expected [num] twice, got {scores.shape} and {np.shape(blocks)}')
    if np.isnan(scores).any():
        raise ValueError('the scores hold NaN')
    if not 0.0 < level < 1.0:
        raise ValueError(f'the level must lie between 0 and 1, not {level}')
    _, which, counts = np.unique(blocks, return_inverse=True, return_counts=True)
    weights = 1.0 / ((len(counts) + 1.0) * counts[which])
    order = np.argsort(scores, kind='stable')
    reached = np.cumsum(weights[order]) >= level - _ROUNDING
    return float(scores[order][reached.argmax()]) if reached.any() else math.inf


def blocks_needed(level: float) -> int:
    """The fewest blocks with which the threshold of a level is finite: K / (K + 1) >= level."""
    return max(1, math.ceil(level / (1.0 - level) - _ROUNDING))


def shares_of_blocks(holds: np.ndarray, blocks: np.ndarray) -> BlockShares:
    """How often something holds in each block, and on average over the blocks.

    Args:
      holds: bool `[num]`, such as whether a set has the true class; num > 0.
      blocks: integers `[num]`.
    """
    from scipy import stats  # slow to import: only where it is used

    _, which, counts = np.unique(blocks, return_inverse=True, return_counts=True)
    shares = np.bincount(which, weights=holds) / counts
    mean, num, pooled = float(shares.mean()), len(shares), float(np.mean(holds))
    if num == 1:
        return BlockShares(shares, mean, 0.0, 1.0, pooled)
    if counts.max() == 1 or np.ptp(shares) < _ROUNDING:
        low, high = wilson_interval(np.array([mean]), np.array([num]))
        return BlockShares(shares, mean, float(low[0]), float(high[0]), pooled)
    half = float(stats.t.ppf(0.975, num - 1) * shares.std(ddof=1) / math.sqrt(num))
    return BlockShares(shares, mean, max(mean - half, 0.0), min(mean + half, 1.0), pooled)
