"""The hold-out: who is in train, validation, test and the labelled subset.

Parts that are published (`Places.parts`), or that a config names, are taken as they are. Where
places belong to groups, such as cities or blocks of ground, whole groups are given to a part; both
stand in `eojax.data.parts`. Else it is the papers' hold-out, a pure function of names, classes and
seed: each class, or all places where labels are not per place, is ordered by SHA-256 of
`<seed>:<name>` and cut by rank. So the result is the same on every machine and with every version
of NumPy, one image more or less moves at most one image over each border, and another class moves
none. The labelled subsets are nested: that of five images per class holds that of one, and that of
128 images in all holds that of 32.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from ml_collections import ConfigDict

from eojax.data.columns import Names, all_unique, hash_order
from eojax.data.dataset import TEST, TRAIN, VALIDATION, Dataset
from eojax.data.parts.group_splits import assign_groups
from eojax.data.parts.labelled import (
    GROUPS_KEY,
    Amount,
    check_amount,
    check_held_out,
    check_labels,
    choose_labelled,
    class_title,
    may_be_labelled,
)
from eojax.data.parts.named_parts import KEYS, group_numbers, named_parts, split_names
from eojax.errors import UserError
from eojax.messages import counted

# Where validation places come from: whole groups, single places, or the test places once more.
VALIDATION_BY = ('group', 'place', 'test')


class Splits(NamedTuple):
    """Indices into a data set, int32 `[num]`, ascending.

    Attributes:
      train: all that a method may learn from: `labelled` and `unlabelled` together.
      validation: for choosing; its labels are known.
      test: for reporting.
      labelled: the part of `train` whose labels may be used.
      unlabelled: the rest of `train`.
    """

    train: np.ndarray
    validation: np.ndarray
    test: np.ndarray
    labelled: np.ndarray
    unlabelled: np.ndarray


class Rule(NamedTuple):
    """The options of a config for the splits of a data set; see `make_splits`."""

    seed: int
    labels_per_class: str | int = 'all'
    labelled_in_all: int = 0
    labelled_groups: str = ''
    test_fraction: float = 0.2
    validation_fraction: float = 0.1
    labelled_share: float = 1.0
    validation_groups: str = ''
    test_groups: str = ''
    validation_by: str = 'group'


def check_rule(rule: Rule) -> None:
    """Refuses options, right by themselves, that make no split together.

    Raises:
      UserError: one line that names the key.
    """
    check_labels(
        rule.labels_per_class, rule.labelled_in_all, rule.labelled_groups, rule.labelled_share
    )
    for part, text in ((VALIDATION, rule.validation_groups), (TEST, rule.test_groups)):
        split_names(KEYS[part], text)


def rule_of(options: ConfigDict, seed: int) -> Rule:
    """The rule that a data set's config group and the run's seed state."""
    return Rule(seed, *(options[key] for key in Rule._fields[1:]))


def split_dataset(dataset: Dataset, rule: Rule) -> Splits:
    """The splits of a data set.

    Raises:
      UserError: see `make_splits`; or a group that is named and that there is not.
    """
    facts, places = dataset.facts, dataset.places
    return make_splits(
        places.names,
        places.labels,
        facts.num_classes,
        rule.seed,
        rule.labels_per_class,
        test_fraction=rule.test_fraction,
        validation_fraction=rule.validation_fraction,
        labelled_in_all=rule.labelled_in_all,
        labelled_groups=group_numbers(dataset, GROUPS_KEY, rule.labelled_groups),
        labelled_share=rule.labelled_share,
        validation_by=rule.validation_by,
        parts=named_parts(dataset, rule.validation_groups, rule.test_groups),
        groups=places.groups,
        annotated=places.annotated,
        class_names=facts.class_names,
        group_names=facts.group_names,
        label=facts.label,
    )


def make_splits(
    names: Names,
    labels: Sequence[int] | np.ndarray,
    num_classes: int,
    seed: int,
    labels_per_class: str | int = 'all',
    *,
    test_fraction: float = 0.2,
    validation_fraction: float = 0.1,
    labelled_in_all: int = 0,
    labelled_groups: Sequence[int] | None = None,
    labelled_share: float = 1.0,
    validation_by: str = 'group',
    parts: np.ndarray | None = None,
    groups: np.ndarray | None = None,
    annotated: np.ndarray | None = None,
    class_names: Sequence[str] = (),
    group_names: Sequence[str] = (),
    label: str = 'image',
) -> Splits:
    """Splits every class by the same fractions, or by group, or as published.

    Args:
      names: unique, one per place (`River/River_12.jpg`).
      labels: class of each place, 0 to `num_classes - 1`, or -1 where it is not known. Unless it is
        published or follows from its group, a place without a class is for training.
      seed: another seed is another hold-out.
      labels_per_class: number of labelled training images per class, or 'all'.
      test_fraction: of all places, in [0, 1); at least one per class unless it is 0.
      validation_fraction: of what is left after the test places, likewise.
      labelled_in_all: where positive, how many labelled training places there are together, in
        place of `labels_per_class`: the classes take turns, each with the next of its order.
      labelled_groups: those whose training places may be labelled; all where None.
      labelled_share: of the training places of each group, and class, that may be labelled.
      validation_by: 'place' draws validation places one by one from those that may be labelled,
        though their groups are trained on too; 'group' draws whole groups, where there are any;
        with 'test' the test places are those for validation too, as in papers that have no others:
        nothing may be chosen by them.
      parts: as in `Places.parts`. A part that some place has is taken as it is, and its fraction
        counts for nothing; of a part that no place has, the fraction is drawn from part 0.
      groups, annotated: as in `Places`; what is drawn is drawn by whole groups, and a place that
        is not annotated is not labelled.
      class_names, group_names: for messages; groups are ordered by their names where they have any.
      label: as in `Facts.label`. Where it is not 'image', the labels here count for nothing.

    Raises:
      UserError: a class too small for the fractions or for `labels_per_class`, by name and count;
        fewer training places than `labelled_in_all`; a fraction or number that is none.
    """
    labels = np.asarray(labels)
    if not all_unique(names) or labels.shape != (len(names),):
        raise ValueError('names must be unique, and there must be one label for each')
    if len(labels) and not -1 <= labels.min() <= labels.max() < num_classes:
        raise ValueError(f'labels must lie in [0, {num_classes}), or be -1')
    _check_fraction('test_fraction', test_fraction)
    _check_fraction('validation_fraction', validation_fraction)
    amount = Amount(labels_per_class, labelled_in_all, labelled_share, labelled_groups)
    if label != 'image':
        labels, num_classes, class_names = np.zeros(len(names), np.int32), 1, ()
        check_amount(label, amount)
    given = np.zeros(len(names), np.int8) if parts is None else np.asarray(parts)
    shares = _shares_to_draw(given, len(names), test_fraction, validation_fraction)
    one_by_one = 0.0
    if validation_by == 'test':
        shares[VALIDATION] = 0.0
    elif groups is not None and validation_by == 'place':
        one_by_one, shares[VALIDATION] = shares[VALIDATION], 0.0
    order = hash_order(names, seed)
    classes = [order[labels[order] == number] for number in range(num_classes)]
    if groups is None:
        assigned = _cut_classes(classes, given, shares)
    else:
        groups = np.asarray(groups)
        assigned = _give_groups(given, groups, labels, class_names, seed, shares, group_names,
                                annotated)  # fmt: skip
    trains = [members[assigned[members] == TRAIN] for members in classes]
    for members, train, number in zip(classes, trains, range(num_classes), strict=True):
        if not len(train):
            title = class_title(names, members, number, class_names) if label == 'image' else ''
            lacking = (
                'are too few for the three splits' if parts is None else 'but none to train on'
            )
            kind = (
                f'{title}: {counted(len(members), "image")}'
                if title
                else counted(len(members), 'place')
            )
            raise UserError(f'{kind} {lacking}')
    able = _able(trains, annotated, groups, amount, label, group_names)
    if one_by_one:
        able = _hold_out(assigned, able, one_by_one)
    again = validation_by == 'test' and not (given == VALIDATION).any()
    labelled = np.zeros(len(names), bool)
    for members in choose_labelled(able, amount, groups, names, class_names, seed):
        labelled[members] = True
    test = _indices(assigned == TEST)
    validation = test if again else _indices(assigned == VALIDATION)
    check_held_out(annotated, {'validation': validation, 'test': test})
    return Splits(
        train=_indices(assigned == TRAIN),
        validation=validation,
        test=test,
        labelled=_indices(labelled),
        unlabelled=_indices((assigned == TRAIN) & ~labelled),
    )


def _able(
    trains: Sequence[np.ndarray],
    annotated: np.ndarray | None,
    groups: np.ndarray | None,
    amount: Amount,
    label: str,
    group_names: Sequence[str],
) -> list[np.ndarray]:
    """Of each class the training places that may be labelled."""
    if label == 'none':
        return [train[:0] for train in trains]
    return may_be_labelled(trains, annotated, groups, amount.groups, group_names)


def _hold_out(
    assigned: np.ndarray, able: Sequence[np.ndarray], fraction: float
) -> list[np.ndarray]:
    """Gives the first places of each class to validation, in `assigned`; the rest is returned."""
    left = []
    for places in able:
        num = _share(len(places), fraction)
        if num and num == len(places):
            raise UserError(
                f'{num} training place(s) may be labelled, too few to draw validation places from;'
                ' name validation places with data.validation_groups'
            )
        assigned[places[:num]] = VALIDATION
        left.append(places[num:])
    return left


def _shares_to_draw(
    parts: np.ndarray, num: int, test_fraction: float, validation_fraction: float
) -> dict[int, float]:
    """The fractions of the parts that are not given, each of what the one before it leaves."""
    fractions = {TEST: test_fraction, VALIDATION: validation_fraction}
    if parts.shape != (num,) or not np.isin(parts, (TRAIN, *fractions)).all():
        raise ValueError('parts must hold 0, 1 or 2 for each name')
    return {part: 0.0 if (parts == part).any() else share for part, share in fractions.items()}


def _cut_classes(
    classes: Sequence[np.ndarray], given: np.ndarray, shares: Mapping[int, float]
) -> np.ndarray:
    """The part of each place, int8 `[num]`, of each class the same shares.

    Args:
      classes: of each the members, in the order in which they are drawn.
      given: the parts before anything is drawn from `TRAIN`.
    """
    assigned = given.astype(np.int8)
    for members in classes:
        left = members[given[members] == TRAIN]
        for part, fraction in shares.items():
            num = _share(len(left), fraction)
            assigned[left[:num]] = part
            left = left[num:]
    return assigned


def _give_groups(
    given: np.ndarray,
    groups: np.ndarray,
    labels: np.ndarray,
    class_names: Sequence[str],
    seed: int,
    shares: Mapping[int, float],
    group_names: Sequence[str],
    annotated: np.ndarray | None,
) -> np.ndarray:
    """The part of each place, int8 `[num]`, the shares drawn from `TRAIN` by whole groups.

    Groups without any label are for training.
    """
    free = given == TRAIN
    if annotated is not None:
        free &= np.isin(groups, np.unique(groups[annotated]))
    assigned, drawn = given.astype(np.int8), np.flatnonzero(free)
    test, validation = shares[TEST], shares[VALIDATION]
    if len(drawn) and (test or validation):
        assigned[drawn] = assign_groups(
            groups[drawn],
            labels[drawn] if class_names else np.full(len(drawn), -1),
            class_names,
            seed,
            {TEST: test, VALIDATION: validation * (1.0 - test)},
            group_names=group_names,
        )
    return assigned


def _indices(chosen: np.ndarray) -> np.ndarray:
    return np.flatnonzero(chosen).astype(np.int32)


def _share(num: int, fraction: float) -> int:
    """`fraction` of `num`, rounded half up; at least 1 where there is a fraction at all."""
    return max(1, int(num * fraction + 0.5)) if fraction and num else 0


def _check_fraction(name: str, fraction: float) -> None:
    if not 0 <= fraction < 1:
        raise UserError(f'{name}={fraction}: expected at least 0 and less than 1')
