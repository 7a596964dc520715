"""A hold-out by group: cities, or blocks of a scene, each with all of its places.

Neighbouring places look alike, and overlapping ones share pixels; drawn one by one, they would
stand on both sides of the split.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence

import numpy as np

from eojax.data.dataset import TEST, TRAIN, VALIDATION
from eojax.errors import UserError

_TITLES = {TRAIN: 'train', VALIDATION: 'validation', TEST: 'test'}
# What to do where a class is in too few groups.
ADVICE = 'add places of more groups'


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
    """The part of every patch of a scene, int8 `[num]`: `TRAIN`, `VALIDATION` or `TEST`.

    See `assign_groups`: every class is in every part.

    Args:
      blocks: the block of each patch, integers `[num]`.
      labels: the class of each patch, integers `[num]`, indices into `class_names`.
      seed: another seed is another choice.
      test_fraction: of all patches.
      validation_fraction: of those that are no test patches.
      title: of the scene, for messages.

    Raises:
      UserError: a class that has patches, but in too few blocks for all parts.
    """
    shares = {TEST: test_fraction, VALIDATION: validation_fraction * (1.0 - test_fraction)}
    advice = 'lower data.purity or data.block, or leave it out with data.classes'
    return assign_groups(
        blocks, labels, class_names, seed, shares, noun='block', title=title, advice=advice
    )


def assign_groups(
    groups: np.ndarray,
    labels: np.ndarray,
    class_names: Sequence[str],
    seed: int,
    shares: Mapping[int, float],
    *,
    group_names: Sequence[str] = (),
    noun: str = 'group',
    title: str = 'the data',
    advice: str = ADVICE,
) -> np.ndarray:
    """The part of every place, int8 `[num]`: a key of `shares`, or `TRAIN`.

    Groups are taken in the order of a digest of the seed and their name, for one part after the
    other: one for each class, the class in the fewest groups first, and more until the part has its
    share of the places. The rest is for training. Every class is in every part; as groups are given
    whole, the shares are met roughly.

    Args:
      groups: the group of each place, integers `[num]`.
      labels: the class of each place, integers `[num]`, -1 where it is not known.
      class_names: of the labels, for messages.
      seed: another seed is another choice.
      shares: of all places, by part, in the order in which the parts take groups; none where 0.
      group_names: by the groups' numbers; empty where they are known by number alone.
      noun: for a group, in messages and, where it has no name, in the digest.
      title: of the data, for messages.
      advice: on what to do where a class is in too few groups.

    Raises:
      UserError: a class that has places, but in too few groups for all parts; fewer groups than
        parts.
    """
    wanted = {part: share for part, share in shares.items() if share > 0.0}
    numbers, which = np.unique(groups, return_inverse=True)
    names = [group_names[n] if group_names else f'{noun} {n}' for n in numbers.tolist()]
    order = sorted(range(len(names)), key=lambda k: _digest(seed, names[k]))
    chosen = _Choice(order, _counts(which, labels, len(names), len(class_names)))
    parts = np.full(len(names), TRAIN, np.int8)
    for done, (part, share) in enumerate(wanted.items()):
        taken, lacking = chosen.take(share, following=len(wanted) - done)
        if lacking is not None:
            what = f'class {class_names[lacking]!r}' if lacking < len(class_names) else 'all of it'
            raise UserError(
                f'{title}: {what} lies in {chosen.num_groups[lacking]} {noun}(s), too few for'
                f' {" and ".join(_TITLES[p] for p in (TRAIN, *wanted))}; {advice}'
            )
        parts[taken] = part
    return parts[which]


class _Choice:
    """The groups that are not yet taken, and how many places of each class they have.

    Attributes:
      num_groups: int `[classes]`, the groups that hold a class.
    """

    def __init__(self, order: Sequence[int], counts: np.ndarray) -> None:
        """Starts with all groups.

        Args:
          order: of the groups.
          counts: int `[groups, classes + 1]`, places of each class, and of any class or none.
        """
        self._counts, self._total = counts, counts.sum(0)
        self._free = list(order)
        self._left, self._holders = self._total.copy(), (counts > 0).sum(0)
        self.num_groups = self._holders.copy()
        order_of_classes = np.argsort(self.num_groups, kind='stable')
        self._fewest = [int(label) for label in order_of_classes if self._total[label]]

    def take(self, share: float, following: int) -> tuple[list[int], int | None]:
        """The groups of one part, and the class that lacks groups, or None.

        Args:
          share: of all places that the part is to have.
          following: how many parts there are still to come, training included.
        """
        taken: list[int] = []
        gained = np.zeros_like(self._total)
        while True:
            lacking = [label for label in self._fewest if not gained[label]]
            if lacking:
                candidates = self._holding(lacking[0], 0.5 * share * self._total[lacking[0]])
            elif gained[-1] < share * self._total[-1]:
                candidates = self._free
            else:
                return taken, None
            number = self._spare(candidates, following)
            if number is None:
                return taken, lacking[0] if lacking else None
            taken.append(number)
            gained = gained + self._counts[number]
            self._free.remove(number)
            self._left = self._left - self._counts[number]
            self._holders = self._holders - (self._counts[number] > 0)

    def _holding(self, label: int, fair: float) -> list[int]:
        """The free groups with places of a class, those with at least `fair` of them first."""
        held = self._counts[:, label]
        return sorted((n for n in self._free if held[n]), key=lambda n: held[n] < fair)

    def _spare(self, candidates: Sequence[int], following: int) -> int | None:
        """The first of the candidates that the parts that follow can do without.

        Without it every class is still in a group for each of them, and, if that can be, half of
        the class's places are left, or at least a quarter.
        """
        classes = self._total > 0
        for least in (0.5, 0.25, 0.0):
            for number in candidates:
                counts = self._counts[number]
                enough = self._holders - (counts > 0) >= following
                enough &= self._left - counts >= least * self._total
                if enough[classes].all():
                    return number
        return None


def _counts(which: np.ndarray, labels: np.ndarray, num_groups: int, num_classes: int) -> np.ndarray:
    """Places of each class, and last of any class or none, by group: `[groups, classes + 1]`."""
    known = labels >= 0
    cells = which[known].astype(np.int64) * num_classes + labels[known]
    counts = np.bincount(cells, minlength=num_groups * num_classes)
    sizes = np.bincount(which, minlength=num_groups)
    return np.column_stack([counts.reshape(num_groups, num_classes), sizes])


def _digest(seed: int, name: str) -> bytes:
    return hashlib.sha256(f'{seed}:{name}'.encode('utf-8', 'surrogateescape')).digest()
