"""A hold-out by place: blocks of a scene, each with all of its patches, given to the parts.

Neighbouring patches look alike, and overlapping ones share pixels; drawn one by one, they would
stand on both sides of the split.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

import numpy as np

from eojax.data.splits import TEST, TRAIN, VALIDATION
from eojax.errors import UserError


def assign_blocks(
    blocks: np.ndarray,
    labels: np.ndarray,
    class_names: Sequence[str],
    seed: int,
    *,
    test_fraction: float = 0.2,
    validation_fraction: float = 0.1,
    title: str = 'the scene',
) -> np.ndarray:
    """The part of every patch, int8 `[num]`: `TRAIN`, `VALIDATION` or `TEST`.

    Blocks are taken in the order of a digest of the seed and their number; for test first, then for
    validation: one for each class, the class in the fewest blocks first, and more until they have
    their share of the patches. The rest is for training. Every class is in every part; as blocks
    are given whole, the fractions are met roughly.

    Parameters
    ----------
    blocks: the block of each patch, integers `[num]`.
    labels: the class of each patch, integers `[num]`, indices into `class_names`.
    seed: another seed is another choice.
    test_fraction: of all patches.
    validation_fraction: of those that are no test patches.
    title: of the scene, for messages.

    Raises
    ------
    UserError: a class that has patches, but in too few blocks for all parts.
    """
    num_classes = len(class_names)
    free = {
        number: np.bincount(labels[blocks == number], minlength=num_classes)
        for number in sorted(np.unique(blocks).tolist(), key=lambda n: _digest(seed, n))
    }
    total = np.bincount(labels, minlength=num_classes)
    num_blocks = np.sum([counts > 0 for counts in free.values()], axis=0)
    fewest = [int(label) for label in np.argsort(num_blocks, kind='stable') if total[label]]
    parts = np.full(len(labels), TRAIN, np.int8)
    shares = ((TEST, test_fraction), (VALIDATION, validation_fraction * (1.0 - test_fraction)))
    for following, (part, fraction) in zip((2, 1), shares, strict=True):
        taken: list[int] = []
        gained = np.zeros(num_classes, int)
        while True:
            lacking = [label for label in fewest if not gained[label]]
            if lacking:
                candidates = _holding(lacking[0], free, 0.5 * fraction * total[lacking[0]])
            elif gained.sum() < fraction * len(labels):
                candidates = list(free)
            else:
                break
            number = _spare(candidates, free, total, following)
            if number is None and lacking:
                raise UserError(
                    f'{title}: class {class_names[lacking[0]]!r} has patches in'
                    f' {num_blocks[lacking[0]]} block(s), too few for train, validation and test;'
                    ' lower data.purity or data.block, or leave it out with data.classes'
                )
            if number is None:
                break
            taken.append(number)
            gained = gained + free.pop(number)
        parts[np.isin(blocks, taken)] = part
    return parts


def _digest(seed: int, block: int) -> bytes:
    return hashlib.sha256(f'{seed}:block {block}'.encode()).digest()


def _holding(label: int, free: Mapping[int, np.ndarray], fair: float) -> list[int]:
    """The free blocks with patches of a class, those with at least `fair` of them first."""
    return sorted((n for n in free if free[n][label]), key=lambda n: free[n][label] < fair)


def _spare(
    candidates: Sequence[int], free: Mapping[int, np.ndarray], total: np.ndarray, following: int
) -> int | None:
    """The first of the candidates that the parts that follow can do without.

    Without it every class is still in a block for each of them, and, if that can be, half of the
    class's patches are left, or at least a quarter.

    Args:
      free: patches of each class in the blocks that are not yet taken.
      total: patches of each class in the scene.
      following: how many parts there are still to come.
    """
    classes = total > 0
    for least in (0.5, 0.25, 0.0):
        for number in candidates:
            rest = np.array([counts for n, counts in free.items() if n != number])
            if not len(rest):
                return None
            enough = ((rest > 0).sum(0) >= following) & (rest.sum(0) >= least * total)
            if enough[classes].all():
                return number
    return None
