"""The sliced Wasserstein distance between two batches of features, over all and class by class.

"EO-to-SAR transfer" with the sliced Wasserstein distance, Eq. 1, and the last term of Eq. 2. With L
random unit vectors g_l, and s_l and t_l the orders of the projected features x_i and z_i,

    SW^2 = 1 / L  sum_l  1 / N  sum_i  (<g_l, x_{s_l[i]}> - <g_l, z_{t_l[i]}>)^2

The squared distance is what training minimises: its root has an infinite gradient at zero.

Notes:
  The paper's Eq. 1 has no 1 / N. With it, each line holds the squared distance of two distributions
  of mass 1, so that its weight lambda in Eq. 2 means the same at every batch size.
  In a class with unequal counts the quantile functions of both sides are compared: for one
  dimension that is the exact distance, and for equal counts the formula above.
"""

from __future__ import annotations

from typing import NamedTuple

import jax.numpy as jnp
from jax import Array, lax, random

from eojax.errors import UserError

# In `_order_by_digits` a position has the bits that a digit leaves of 32.
_DIGIT_BITS = 16
_DIGIT = 2**_DIGIT_BITS - 1


def random_projections(key: Array, num_projections: int, features: int) -> Array:
    """Directions g_l, uniform on the unit sphere: float32 `[L, D]`."""
    if num_projections < 1:
        raise UserError(f'there must be at least 1 projection, not {num_projections}')
    normal = random.normal(key, (num_projections, features), jnp.float32)
    return normal / jnp.linalg.norm(normal, axis=1, keepdims=True)


def sliced_wasserstein(
    source: Array,
    target: Array,
    key: Array,
    num_projections: int,
    source_weights: Array | None = None,
) -> Array:
    """The squared distance (Eq. 1), float32 `[]`, differentiable in both batches.

    Args:
      source, target: features `[N, D]`, as many on both sides; computed with in float32.
      key: of the projections.
      num_projections: L, at least 1.
      source_weights: how much each source sample counts, not negative, `[N]`; no gradient reaches
        them. All count the same where this is None, which takes less time.

    Raises:
      UserError: batches of different sizes, or no projection.
      ValueError: arrays that are no two batches of features with the same D.
    """
    _check_features(source, target)
    if source.shape[0] != target.shape[0]:
        raise UserError(
            'the sliced Wasserstein distance compares batches of one size, not of'
            f' {source.shape[0]} and {target.shape[0]}: make the batch sizes equal'
        )
    directions = random_projections(key, num_projections, source.shape[1])
    sources, targets = project(source, directions), project(target, directions)
    if source_weights is not None:
        _check_labels((source, source_weights))
        everything = jnp.zeros(len(source), jnp.int32)
        weighed = _side(sources, everything, source_weights, 1)
        return _class_distances(_side(targets, everything, None, 1), weighed, False)
    return jnp.square(in_order(sources) - in_order(targets)).mean()


def class_conditional_sliced_wasserstein(
    source: Array,
    source_labels: Array,
    target: Array,
    target_labels: Array,
    num_classes: int,
    key: Array,
    num_projections: int,
    target_weights: Array | None = None,
    by_size: bool = False,
) -> Array:
    """The squared distances within each class, summed over classes (Eq. 2, last term).

    A class that has no sample or no weight on one side adds 0, with a gradient of 0.

    Args:
      source, target: features `[N, D]` and `[M, D]`; computed with in float32.
      source_labels, target_labels: classes, int32 `[N]` and `[M]`. Negative ones, as -1, are not
        labelled and left out, as are those from `num_classes` on. Pseudo-labels are such labels,
        with -1 where they are not confident.
      num_classes: K, from 1 to 65,535.
      key: of the projections, which all classes share.
      num_projections: L, at least 1.
      target_weights: how much each target counts within its class, not negative, `[M]`; no gradient
        reaches them. All count the same where this is None, which takes less time.
      by_size: whether each class counts as often as it has targets, or as they weigh: Eq. 1 sums
        over samples, and the mean over them is what a class adds otherwise.

    Returns:
      float32 `[]`, differentiable in both batches of features.

    Raises:
      UserError: no projection.
      ValueError: shapes that do not go together, or a number of classes out of its range.
    """
    if not 1 <= num_classes <= _DIGIT:
        raise ValueError(f'there must be 1 to {_DIGIT} classes, not {num_classes}')
    _check_features(source, target)
    _check_labels((source, source_labels), (target, target_labels), (target, target_weights))
    directions = random_projections(key, num_projections, source.shape[1])
    sources = _side(project(source, directions), source_labels, None, num_classes)
    targets = _side(project(target, directions), target_labels, target_weights, num_classes)
    return _class_distances(sources, targets, by_size)


def distance(squared_distance: Array) -> Array:
    """The root of squared distances, to be reported; its gradient at 0 is 0 instead of infinite."""
    positive = squared_distance > 0.0
    return jnp.where(positive, jnp.sqrt(jnp.where(positive, squared_distance, 1.0)), 0.0)


def project(features: Array, directions: Array) -> Array:
    """Features `[N, D]` along each direction `[L, D]`: `[L, N]`, in full float32."""
    # Not in TF32: its rounding would be the distance of two batches that nearly agree.
    return jnp.matmul(directions, features.astype(jnp.float32).T, precision=lax.Precision.HIGHEST)


def in_order(values: Array) -> Array:
    """Each row of `[L, N]` from the lowest to the highest; the gradient takes the same way back."""
    return jnp.take_along_axis(values, order_of(lax.stop_gradient(values)), 1)


def order_of(values: Array, labels: Array | None = None) -> Array:
    """Where in each row its values stand in ascending order, by label first where there are any.

    Args:
      values: float32 `[L, N]`.
      labels: int32 `[N]`, from 0 to 65,535.

    Returns:
      int32 `[L, N]`, each row a permutation.
    """
    if values.shape[1] > _DIGIT + 1:
        return _order_by_keys(values, labels)
    return lax.platform_dependent(values, labels, cpu=_order_by_digits, default=_order_by_keys)


def _order_by_keys(values: Array, labels: Array | None) -> Array:
    """One sort of values with their positions."""
    positions = lax.broadcasted_iota(jnp.int32, values.shape, 1)
    if labels is None:
        return lax.sort((values, positions), num_keys=1)[-1]
    rows = jnp.broadcast_to(labels, values.shape)
    return lax.sort((rows, values, positions), num_keys=2)[-1]


def _order_by_digits(values: Array, labels: Array | None) -> Array:
    """The same by one stable sort for each 16 bits, the least first (radix sort).

    A digit and the position below it make one number: numbers alone take a fraction of the time of
    numbers with positions beside them.
    """
    bits = lax.bitcast_convert_type(values.T, jnp.uint32)
    # Numbers in the order of the floats: positive ones above, negative ones the other way round.
    bits = jnp.where(bits >> 31 == 1, ~bits, bits | jnp.uint32(1 << 31))
    digits = [bits & _DIGIT, bits >> _DIGIT_BITS]
    if labels is not None:
        digits.append(jnp.broadcast_to(labels[:, None].astype(jnp.uint32), bits.shape))
    order = positions = lax.broadcasted_iota(jnp.uint32, bits.shape, 0)
    for digit in digits:
        moved = jnp.take_along_axis(digit, order, 0)
        ranked = _sorted_columns(moved << _DIGIT_BITS | positions) & _DIGIT
        order = jnp.take_along_axis(order, ranked, 0)
    return order.T.astype(jnp.int32)


def _sorted_columns(numbers: Array) -> Array:
    """Each column of uint32 `[N, L]` in ascending order.

    Dowd et al., "The periodic balanced sorting network", 1989: it compares whole rows, many columns
    with one instruction, where XLA's sort on the CPU compares one pair at a time.
    """
    count = len(numbers)
    rounds = (count - 1).bit_length()
    last = jnp.uint32(2**32 - 1)
    padded = jnp.pad(numbers, ((0, 2**rounds - count), (0, 0)), constant_values=last)

    def compare(rows: Array, width: int) -> Array:
        """Each row and its mirror image within blocks of so many rows, the smaller one first."""
        halves = rows.reshape(-1, 2, width // 2, rows.shape[-1])
        upper, lower = halves[:, 0], halves[:, 1, ::-1]
        ordered = jnp.minimum(upper, lower), jnp.maximum(upper, lower)[:, ::-1]
        return jnp.stack(ordered, 1).reshape(rows.shape)

    def one_round(_: Array, rows: Array) -> Array:
        for power in range(rounds, 0, -1):
            # Fused, the comparisons would be made again for each one that follows.
            rows = lax.optimization_barrier(compare(rows, 2**power))
        return rows

    return lax.fori_loop(0, rounds, one_round, padded)[:count]


class _Side(NamedTuple):
    """The projected features of one side, ordered by class and then along each line.

    Attributes:
      values: float32 `[L, N]`.
      labels: int32 `[N]`, ascending, the same for every line; K for what is left out.
      levels: share of its class's weight that lies at or below each value, in [0, 1]; float32
        `[L, N]`, or `[1, N]` where all lines have the same.
      present: bool `[K + 1]`, which classes have any weight; False for K.
      sizes: float32 `[K + 1]`, the sum of each class's weights.
    """

    values: Array
    labels: Array
    levels: Array
    present: Array
    sizes: Array


def _side(projected: Array, labels: Array, weights: Array | None, num_classes: int) -> _Side:
    labels = jnp.where((labels >= 0) & (labels < num_classes), labels, num_classes)
    order = order_of(lax.stop_gradient(projected), labels)
    ordered = jnp.sort(labels)
    if weights is None:
        weighs = jnp.ones(len(labels), jnp.float32)
        mass = weighs[None]
    else:
        weighs = lax.stop_gradient(weights).astype(jnp.float32)
    sizes = jnp.zeros(num_classes + 1, jnp.float32).at[labels].add(weighs)
    if weights is not None:
        totals = sizes[labels]
        mass = jnp.where(totals > 0.0, weighs / totals, 0.0)[order]
    # Totals are differences of the same sums as the levels, so that a class's last level is 1.
    ends = jnp.pad(jnp.cumsum(mass, 1), ((0, 0), (1, 0)))
    starts = jnp.searchsorted(ordered, jnp.arange(num_classes + 2))
    below, total = ends[:, starts[:-1]], jnp.diff(ends[:, starts], axis=1)
    present = (total[0] > 0.0).at[num_classes].set(False)
    levels = (ends[:, 1:] - below[:, ordered]) / jnp.where(total > 0.0, total, 1.0)[:, ordered]
    return _Side(jnp.take_along_axis(projected, order, 1), ordered, levels, present, sizes)


def _class_distances(source: _Side, target: _Side, by_size: bool) -> Array:
    """The squared distance of each class, summed, and averaged over lines.

    Between two neighbours among the levels of both sides, either side's quantile function stays at
    one of its values; the integral over all levels is the sum over such pieces.
    """
    lines = max(len(source.levels), len(target.levels))
    levels = [jnp.broadcast_to(x.levels, (lines, x.levels.shape[1])) for x in (source, target)]
    merged, labels = jnp.concatenate(levels, 1), jnp.concatenate([source.labels, target.labels])
    order = order_of(merged, labels)
    upper, labels = jnp.take_along_axis(merged, order, 1), jnp.sort(labels)
    first = jnp.diff(labels, prepend=-1) > 0
    lower = jnp.where(first, 0.0, jnp.pad(upper[:, :-1], ((0, 0), (1, 0))))
    counts = jnp.where(source.present & target.present, target.sizes if by_size else 1.0, 0.0)
    mass = (upper - lower) * counts[labels]
    # A piece belongs to the next level of each side: as many lie below as were passed.
    size = source.levels.shape[1]
    from_source = order < size
    place = jnp.cumsum(from_source, 1) - from_source
    other = jnp.arange(merged.shape[1]) - place
    ours = jnp.take_along_axis(source.values, jnp.minimum(place, size - 1), 1)
    theirs = jnp.take_along_axis(target.values, jnp.minimum(other, target.levels.shape[1] - 1), 1)
    return (mass * jnp.square(ours - theirs)).sum(1).mean()


def _check_features(source: Array, target: Array) -> None:
    two = source.ndim == target.ndim == 2 and source.shape[1] == target.shape[1]
    if not two or not source.size or not target.size:
        raise ValueError(
            f'features must be [N, D] and [M, D], not {source.shape} and {target.shape}'
        )


def _check_labels(*pairs: tuple[Array, Array | None]) -> None:
    """That there is one for each sample."""
    for features, labels in pairs:
        if labels is not None and labels.shape != features.shape[:1]:
            raise ValueError(
                f'features {features.shape} need labels or weights {features.shape[:1]}, not'
                f' {labels.shape}'
            )
