"""The hold-out: who is in train, validation, test and the labelled subset.

Parts that are published (`Places.parts`) are taken as they are. Where places belong to groups, such
as cities or blocks of ground, whole groups are given to a part (`eojax.data.group_splits`). Else it
is the papers' hold-out, a pure function of names, classes and seed: each class, or all places where
labels are not per place, is ordered by SHA-256 of `<seed>:<name>` and cut by rank. So the result is
the same on every machine and with every version of NumPy, one image more or less moves at most one
image over each border, and another class moves none. The labelled subsets are nested: that of five
images per class holds that of one, and that of 128 images in all holds that of 32.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from ml_collections import ConfigDict

from eojax.data.columns import Names, all_unique, hash_order, name_at
from eojax.data.dataset import TEST, TRAIN, VALIDATION, Dataset
from eojax.data.group_splits import assign_groups
from eojax.errors import UserError, unknown_name

LABELS_KEY = 'data.labels_per_class'
TOTAL_KEY = 'data.labelled_in_all'
GROUPS_KEY = 'data.labelled_groups'


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


def rule_of(options: ConfigDict, seed: int) -> Rule:
    """The rule that a data set's config group and the run's seed state."""
    return Rule(seed, *(options[key] for key in Rule._fields[1:]))


def split_dataset(dataset: Dataset, rule: Rule) -> Splits:
    """The splits of a data set.

    Raises:
      UserError: see `make_splits`; or a group to be labelled that there is not.
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
        labelled_groups=_group_numbers(dataset, rule.labelled_groups),
        parts=places.parts,
        groups=places.groups,
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
    parts: np.ndarray | None = None,
    groups: np.ndarray | None = None,
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
      parts: as in `Places.parts`. A part that some place has is taken as it is, and its fraction
        counts for nothing; of a part that no place has, the fraction is drawn from part 0.
      groups: as in `Places.groups`; what is drawn is drawn by whole groups.
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
    if label != 'image':
        labels, num_classes, class_names = np.zeros(len(names), np.int32), 1, ()
        _check_places(label, labels_per_class, labelled_in_all, labelled_groups)
    given = np.zeros(len(names), np.int8) if parts is None else np.asarray(parts)
    shares = _shares_to_draw(given, len(names), test_fraction, validation_fraction)
    order = hash_order(names, seed)
    classes = [order[labels[order] == number] for number in range(num_classes)]
    if groups is None:
        assigned = _cut_classes(classes, given, shares)
    else:
        assigned = _give_groups(given, np.asarray(groups), labels, class_names, seed, shares,
                                group_names)  # fmt: skip
    trains = [members[assigned[members] == TRAIN] for members in classes]
    for members, train, number in zip(classes, trains, range(num_classes), strict=True):
        if not len(train):
            title = _class_title(names, members, number, class_names) if label == 'image' else ''
            lacking = (
                'are too few for the three splits' if parts is None else 'but none to train on'
            )
            kind = f'{title}: {len(members)} image(s)' if title else f'{len(members)} place(s)'
            raise UserError(f'{kind} {lacking}')
    able = _may_be_labelled(trains, groups, labelled_groups, label, group_names)
    if labelled_in_all:
        counts = _in_turns(labelled_in_all, labels_per_class, able, seed)
    else:
        counts = _per_class(labels_per_class, able, names, class_names)
    labelled = np.zeros(len(names), bool)
    for members, num in zip(able, counts, strict=True):
        labelled[members[:num]] = True
    return Splits(
        train=_indices(assigned == TRAIN),
        validation=_indices(assigned == VALIDATION),
        test=_indices(assigned == TEST),
        labelled=_indices(labelled),
        unlabelled=_indices((assigned == TRAIN) & ~labelled),
    )


def check_labels(
    labels_per_class: str | int, labelled_in_all: int, labelled_groups: str = ''
) -> None:
    """Refuses numbers of labelled images that are none, and two that exclude each other.

    Raises:
      UserError: one line that names the key.
    """
    wanted = parse_labels_per_class(labels_per_class)
    if labelled_in_all < 0:
        raise UserError(f'{TOTAL_KEY} must not be negative, not {labelled_in_all}')
    if labelled_in_all and wanted is not None:
        raise UserError(
            f"{TOTAL_KEY}={labelled_in_all} stands in place of {LABELS_KEY}, which must be 'all'"
            f' then, not {labels_per_class!r}'
        )
    if labelled_groups and not all(name.strip() for name in labelled_groups.split(',')):
        raise UserError(f'{GROUPS_KEY}={labelled_groups!r}: write names with a comma between them')


def parse_labels_per_class(value: str | int) -> int | None:
    """A positive number from `10` or `'10'`; None for `'all'`; a `UserError` for anything else."""
    if value == 'all':
        return None
    text = '' if isinstance(value, bool) else str(value)
    if not (text.isascii() and text.isdigit() and int(text) > 0):
        raise UserError(f"{LABELS_KEY}={value!r}: expected a positive whole number or 'all'")
    return int(text)


def _group_numbers(dataset: Dataset, text: str) -> list[int] | None:
    """The groups that `data.labelled_groups` names, or numbers where they have no names."""
    if not text:
        return None
    if dataset.places.groups is None:
        raise UserError(f'{GROUPS_KEY}={text}: the places of this data set belong to no groups')
    known = dataset.facts.group_names or [str(n) for n in np.unique(dataset.places.groups)]
    numbers = {name: number for number, name in enumerate(known)}
    if not dataset.facts.group_names:
        numbers = {name: int(name) for name in known}
    for name in (part.strip() for part in text.split(',')):
        if name not in numbers:
            raise unknown_name(f'group in {GROUPS_KEY}', name, known)
    return [numbers[part.strip()] for part in text.split(',')]


def _check_places(
    label: str, labels_per_class: str | int, labelled_in_all: int, groups: Sequence[int] | None
) -> None:
    """Refuses numbers of labels that a data set without a class for each place cannot have."""
    if label == 'pixel' and parse_labels_per_class(labels_per_class) is not None:
        raise UserError(
            f'{LABELS_KEY}={labels_per_class}: labels are of pixels here; say of how many places'
            f' with {TOTAL_KEY}'
        )
    if label == 'none' and (labels_per_class != 'all' or labelled_in_all or groups):
        key = GROUPS_KEY if groups else TOTAL_KEY if labelled_in_all else LABELS_KEY
        raise UserError(f'{key}: this data set has no labels; leave it out')


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
) -> np.ndarray:
    """The part of each place, int8 `[num]`, the shares drawn from `TRAIN` by whole groups."""
    assigned, drawn = given.astype(np.int8), np.flatnonzero(given == TRAIN)
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


def _may_be_labelled(
    trains: Sequence[np.ndarray],
    groups: np.ndarray | None,
    labelled_groups: Sequence[int] | None,
    label: str,
    group_names: Sequence[str],
) -> list[np.ndarray]:
    """Of each class the training places that may be labelled, in the order they are drawn."""
    if label == 'none':
        return [train[:0] for train in trains]
    if labelled_groups is None:
        return list(trains)
    if groups is None:
        raise ValueError('labelled_groups needs groups')
    able = [train[np.isin(groups[train], labelled_groups)] for train in trains]
    there = set(groups[np.concatenate(able)].tolist()) if able else set()
    without = [number for number in labelled_groups if number not in there]
    if without:
        named = ', '.join(group_names[n] if group_names else str(n) for n in without)
        raise UserError(
            f'{GROUPS_KEY}: {named} has no training place: this split holds it out; name others, or'
            ' take another seed'
        )
    return able


def _per_class(
    labels_per_class: str | int,
    trains: Sequence[np.ndarray],
    names: Names,
    class_names: Sequence[str],
) -> list[int]:
    """How many training images of each class are labelled, where all have the same number."""
    wanted = parse_labels_per_class(labels_per_class)
    if wanted is None or not trains:
        return [len(train) for train in trains]
    smallest = min(range(len(trains)), key=lambda number: len(trains[number]))
    if wanted > len(trains[smallest]):
        title = _class_title(names, trains[smallest], smallest, class_names)
        raise UserError(
            f'{LABELS_KEY}={wanted}, but {title} has only {len(trains[smallest])} training images'
        )
    return [wanted] * len(trains)


def _in_turns(
    labelled_in_all: int, labels_per_class: str | int, trains: Sequence[np.ndarray], seed: int
) -> list[int]:
    """How many training images of each class are labelled, where all have so many together.

    Round after round, each class that has images left gives one, until there are enough; who comes
    first in a round depends on the seed.
    """
    check_labels(labels_per_class, labelled_in_all)
    available = sum(map(len, trains))
    if labelled_in_all > available:
        raise UserError(
            f'{TOTAL_KEY}={labelled_in_all}, but there are only {available} training images'
        )
    turns = sorted(range(len(trains)), key=lambda number: _digest(f'{seed}:class {number}'))
    # Each place's round and, within it, the turn of its class.
    rounds = np.concatenate([np.arange(len(trains[number])) for number in turns])
    turn = np.repeat(np.arange(len(turns)), [len(trains[number]) for number in turns])
    first = np.lexsort((turn, rounds))[:labelled_in_all]
    counts = np.bincount(turn[first], minlength=len(turns))
    return [int(counts[turns.index(number)]) for number in range(len(trains))]


def _indices(chosen: np.ndarray) -> np.ndarray:
    return np.flatnonzero(chosen).astype(np.int32)


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode('utf-8', 'surrogateescape')).digest()


def _share(num: int, fraction: float) -> int:
    """`fraction` of `num`, rounded half up; at least 1 where there is a fraction at all."""
    return max(1, int(num * fraction + 0.5)) if fraction and num else 0


def _check_fraction(name: str, fraction: float) -> None:
    if not 0 <= fraction < 1:
        raise UserError(f'{name}={fraction}: expected at least 0 and less than 1')


def _class_title(names: Names, members: np.ndarray, number: int, class_names: Sequence[str]) -> str:
    folder = name_at(names, members[0]).rpartition('/')[0] if len(members) else ''
    title = class_names[number] if class_names else folder
    return f'class {title!r}' if title else f'class {number}'
