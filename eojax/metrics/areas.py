"""Areas of classes from a map that errs, with intervals: the stratified estimator.

A count of a map's pixels is biased: errors of one kind do not make up for those of another. With
the classes of the map as strata, W_i the share of the map that stratum i has, and n_ij places of a
reference sample that lie in stratum i and are of class j,

    p_j = sum over i of W_i n_ij / n_i                      share of class j   (Eq. 9)
    S(p_j)^2 = sum over i of W_i^2 (n_ij / n_i)(1 - n_ij / n_i) / (n_i - 1)    (Eq. 10)
    U_i = n_ii / n_i,   P_j = W_j (n_jj / n_j) / p_j,   O = sum over i of W_i U_i   (Eqs. 1-3)

user's, producer's and overall accuracy, with the variances of Eqs. 5 to 7. Source: Olofsson et al.,
"Good practices for estimating area and assessing accuracy of land change", Remote Sensing of
Environment 148, 2014; Olofsson et al., "Making better use of accuracy data in land change studies",
2013; Stehman, "Estimating area from an accuracy assessment error matrix", 2013.

These variances hold for places that were drawn one by one. Places of one block of ground are alike,
and then they are too small: with blocks, each number is computed without each of the B blocks in
turn, and

    S^2 = (B - 1) / B * sum over b of (estimate without b - estimate)^2,

the jackknife of cluster samples (Wolter, Introduction to Variance Estimation, 2007, chapter 4), and
the intervals are those of Student's t with B - 1 degrees of freedom.

The sample must be one of the mapped ground, drawn by chance within each stratum. Where it is of
other ground, the numbers hold only as far as the map errs there as it does here.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

_LEVEL = 0.95


class Estimate(NamedTuple):
    """Numbers with their 95 % intervals, float64 `[...]`; NaN where the sample says nothing.

    Attributes:
      value: the estimate.
      error: its standard error.
      low, high: the interval, cut at 0 and 1.
    """

    value: np.ndarray
    error: np.ndarray
    low: np.ndarray
    high: np.ndarray


class Areas(NamedTuple):
    """The areas of K classes, as shares of the mapped ground, and the accuracy of the map.

    Attributes:
      mapped: float64 `[K]`, the shares as the map counts them.
      shares: `[K]`, corrected for the map's errors.
      users: `[K]`, the share of a map class that is of the class.
      producers: `[K]`, the share of a class that the map finds.
      overall: `[]`, the share of the map that is right, where it names a class.
      places: of the reference sample.
      blocks: that they are of; None where they count as drawn one by one.
      unsampled: bool `[S]`, strata with too few places (2, of 2 blocks) to say anything: their
        ground counts as the map has it, that without a class as the rest, and the intervals of the
        shares reach from none of it to all of it.
    """

    mapped: np.ndarray
    shares: Estimate
    users: Estimate
    producers: Estimate
    overall: Estimate
    places: int
    blocks: int | None
    unsampled: np.ndarray


def error_matrices(
    strata: np.ndarray, labels: np.ndarray, blocks: np.ndarray, num_strata: int, num_classes: int
) -> np.ndarray:
    """The places of each block by stratum and class, int64 `[B, S, K]`.

    Args:
      strata: where the map has each place, integers `[num]`.
      labels: its class, integers `[num]`.
      blocks: its block, integers `[num]`; B are there.

    Raises:
      ValueError: a stratum or class that there is not.
    """
    for name, values, count in (('strata', strata, num_strata), ('labels', labels, num_classes)):
        if np.size(values) and not 0 <= np.min(values) <= np.max(values) < count:
            raise ValueError(f'{name} must be from 0 to {count - 1}')
    numbers, which = np.unique(blocks, return_inverse=True)
    cells = (which * num_strata + strata) * num_classes + labels
    counts = np.bincount(cells, minlength=len(numbers) * num_strata * num_classes)
    return counts.reshape(len(numbers), num_strata, num_classes)


def estimate_areas(counts: np.ndarray, map_shares: np.ndarray) -> Areas:
    """Corrected shares of classes and the accuracy of a map.

    Args:
      counts: places of the reference sample by stratum and class: `[S, K]` where they were drawn
        one by one, `[B, S, K]` where they are of B blocks. The first K strata are the map's
        classes; further ones are ground that the map gives no class, such as what it leaves open.
      map_shares: of the strata, `[S]`, at least 0, their sum above 0.

    Raises:
      ValueError: shapes that do not match, no places, fewer strata than classes, or a single block.
    """
    counts = np.asarray(counts, np.float64)
    weights = np.asarray(map_shares, np.float64)
    if counts.ndim not in (2, 3):
        raise ValueError(f'expected [S, K] or [B, S, K], got {counts.shape}')
    num_strata, num_classes = counts.shape[-2:]
    if weights.shape != (num_strata,) or num_strata < num_classes:
        raise ValueError(f'expected [S, K] and [S], S >= K, got {counts.shape}, {weights.shape}')
    if (
        not (counts >= 0.0).all()
        or not counts.sum()
        or not weights.sum() > 0.0
        or weights.min() < 0.0
    ):
        raise ValueError(
            'there must be reference places, no counts below 0, and strata with an area'
        )
    by_block = counts.ndim == 3
    if by_block and len(counts) < 2:
        raise ValueError('a single block has no variance')
    weights = weights / weights.sum()
    total = counts.sum(0) if by_block else counts
    held = (counts.sum(-1) > 0).sum(0) >= 2 if by_block else total.sum(-1) >= 2
    numbers = _numbers(total, weights, held)
    if by_block:
        errors, times = _jackknife(counts, weights, held, numbers)
    else:
        errors, times = _by_formula(total, weights, held, numbers)
    shares, users, producers, overall = (
        _interval(value, error, times) for value, error in zip(numbers, errors, strict=True)
    )
    # Unsampled ground may be of any class: of each there may be none of it, and all of it.
    unsampled = np.where(held, 0.0, weights)
    known = 1.0 - unsampled[num_classes:].sum()
    found = shares.value * known - unsampled[:num_classes]
    reach = times * shares.error * known
    shares = shares._replace(
        low=np.maximum(found - reach, 0.0),
        high=np.minimum(found + reach + unsampled.sum(), 1.0),
    )
    blocks = len(counts) if by_block else None
    mapped = weights[:num_classes]
    empty = ~held & (weights > 0.0)
    return Areas(mapped, shares, users, producers, overall, int(total.sum()), blocks, empty)


_Numbers = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


def _numbers(counts: np.ndarray, weights: np.ndarray, held: np.ndarray) -> _Numbers:
    """Shares, user's, producer's and overall accuracy, of counts `[..., S, K]`."""
    num_classes = counts.shape[-1]
    within = _rows(counts, held)
    of_class = slice(0, num_classes)
    cells = weights[:, None] * within
    # Unsampled: classes as the map has them, ground without a class as the rest is.
    own = np.where(held, 0.0, weights)[of_class]
    rest = np.where(held, 0.0, weights)[num_classes:].sum()
    shares = (cells.sum(-2) + own) / max(1.0 - rest, 1e-12)
    right = np.diagonal(within[..., of_class, :], axis1=-2, axis2=-1)
    users = np.where(held[of_class], right, np.nan)
    with np.errstate(invalid='ignore', divide='ignore'):
        producers = np.where(shares > 0.0, weights[of_class] * users / shares, np.nan)
    known = np.where(held, weights, 0.0)[of_class]
    overall = (
        (known * right).sum(-1) / known.sum() if known.sum() else np.full(shares.shape[:-1], np.nan)
    )
    return shares, users, producers, np.asarray(overall)


def _rows(counts: np.ndarray, held: np.ndarray) -> np.ndarray:
    """n_ij / n_i, 0 in strata that are not held."""
    sizes = counts.sum(-1, keepdims=True)
    return np.where(held[:, None], counts / np.maximum(sizes, 1.0), 0.0)


def _by_formula(
    counts: np.ndarray, weights: np.ndarray, held: np.ndarray, numbers: _Numbers
) -> tuple[_Numbers, float]:
    """The standard errors of Olofsson et al. (2014), Eqs. 5, 6, 7 and 10, and z."""
    from scipy import stats

    num_classes = counts.shape[1]
    within = _rows(counts, held)
    sizes = np.where(held, counts.sum(-1) - 1.0, 1.0)
    spread = within * (1.0 - within) / sizes[:, None]
    parts = weights[:, None] ** 2 * spread
    shares, _, producers, _ = numbers
    # The shares of `_numbers` are of the ground that is known, and so are their errors.
    known_ground = max(1.0 - np.where(held, 0.0, weights)[num_classes:].sum(), 1e-12)
    own = np.diagonal(spread[:num_classes])
    own_parts = np.diagonal(parts[:num_classes])
    others = parts.sum(0) - own_parts
    with np.errstate(invalid='ignore', divide='ignore'):
        found = producers / known_ground
        of_producers = np.sqrt((1.0 - found) ** 2 * own_parts + found**2 * others) / shares
    known = np.where(held, weights, 0.0)[:num_classes].sum()
    of_users = np.where(held[:num_classes], np.sqrt(own), np.nan)
    of_overall = np.sqrt(own_parts.sum()) / known if known else np.nan
    of_shares = np.sqrt(parts.sum(0)) / known_ground
    errors = (of_shares, of_users, of_producers, np.asarray(of_overall))
    return errors, float(stats.norm.ppf(0.5 + _LEVEL / 2.0))


def _jackknife(
    counts: np.ndarray, weights: np.ndarray, held: np.ndarray, numbers: _Numbers
) -> tuple[_Numbers, float]:
    """Standard errors by leaving out block after block, and the quantile of Student's t."""
    from scipy import stats

    num = len(counts)
    without = _numbers(counts.sum(0) - counts, weights, held)
    shares, users, producers, overall = (
        np.sqrt((num - 1.0) / num * np.square(left - whole).sum(0))
        for left, whole in zip(without, numbers, strict=True)
    )
    return (shares, users, producers, overall), float(stats.t.ppf(0.5 + _LEVEL / 2.0, num - 1))


def _interval(value: np.ndarray, error: np.ndarray, times: float) -> Estimate:
    low, high = np.maximum(value - times * error, 0.0), np.minimum(value + times * error, 1.0)
    return Estimate(value, error, low, high)
