"""The distances of `eojax.losses.sliced_wasserstein` in PyTorch, for given directions.

Nothing here waits for the device: classes are told apart by sorting, not by picking their members.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def sliced_wasserstein(source: Tensor, target: Tensor, directions: Tensor) -> Tensor:
    """The squared distance of two batches `[N, D]` along unit vectors `[L, D]` (Eq. 1)."""
    sources = (directions @ source.T).sort(1).values
    targets = (directions @ target.T).sort(1).values
    return (sources - targets).square().mean()


def class_conditional(
    source: Tensor,
    source_labels: Tensor,
    target: Tensor,
    target_labels: Tensor,
    num_classes: int,
    directions: Tensor,
    by_size: bool = False,
) -> Tensor:
    """The squared distances within each class, summed over classes (Eq. 2, last term).

    With quantile functions constant on the intervals of their ranks, a class's integral is a sum
    over pairs of a source and a target, weighted by how far their intervals overlap. Which ranks
    meet is the same along every direction: one matrix `[N, M]`.

    Args:
      source, target: features `[N, D]` and `[M, D]`.
      source_labels, target_labels: int64 `[N]` and `[M]`, from 0 to `num_classes` - 1.
      directions: unit vectors `[L, D]`; the sum takes L N M numbers.
      by_size: whether each class counts as often as it has targets.
    """
    overlap = _overlap(source_labels, target_labels, num_classes)
    if by_size:
        counts = F.one_hot(target_labels, num_classes).sum(0)
        overlap = overlap * counts[target_labels.sort().values]
    sources = _in_order(directions @ source.T, source_labels)
    targets = _in_order(directions @ target.T, target_labels)
    squares = (sources[:, :, None] - targets[:, None, :]).square()
    return (squares * overlap).sum((1, 2)).mean()


def _in_order(values: Tensor, labels: Tensor) -> Tensor:
    """Each row of `[L, N]` by class, and within a class from the lowest to the highest."""
    ordered, order = values.sort(1)
    by_class = labels[order].sort(dim=1, stable=True).indices
    return ordered.gather(1, by_class)


def _overlap(source_labels: Tensor, target_labels: Tensor, num_classes: int) -> Tensor:
    """How much of [0, 1] the ranks of a source and a target of the same class share, `[N, M]`."""
    sides = [_intervals(labels, num_classes) for labels in (source_labels, target_labels)]
    (ours, low, high), (theirs, other_low, other_high) = sides
    upper = torch.minimum(high[:, None], other_high)
    lower = torch.maximum(low[:, None], other_low)
    return (upper - lower).clamp(min=0.0) * (ours[:, None] == theirs)


def _intervals(labels: Tensor, num_classes: int) -> tuple[Tensor, Tensor, Tensor]:
    """Labels in ascending order, and what each one's rank covers of its class's levels."""
    ordered = labels.sort().values
    counts = F.one_hot(labels, num_classes).sum(0)
    rank = torch.arange(len(labels), device=labels.device) - (counts.cumsum(0) - counts)[ordered]
    size = counts[ordered].float()
    return ordered, rank / size, (rank + 1) / size
