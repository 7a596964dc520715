"""Which training places are labelled: so many of each class, in all, or a share of each city.

The places come in the order in which a split draws them (`eojax.data.splits`), and the first ones
are labelled: a larger number or share takes in the smaller one's.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from eojax.data.columns import Names, name_at
from eojax.errors import UserError

LABELS_KEY = 'data.labels_per_class'
TOTAL_KEY = 'data.labelled_in_all'
GROUPS_KEY = 'data.labelled_groups'
SHARE_KEY = 'data.labelled_share'


class Amount(NamedTuple):
    """How many training places are labelled, and which of them may be.

    Attributes:
      per_class: of each class, or 'all'.
      in_all: where positive, how many there are together, in place of `per_class`: the classes
        take turns, each with the next of its order.
      share: of those of each class in each group, at least one, in place of both; all where 1.
      groups: whose places may be labelled; all where None.
    """

    per_class: str | int = 'all'
    in_all: int = 0
    share: float = 1.0
    groups: Sequence[int] | None = None


def check_labels(
    labels_per_class: str | int,
    labelled_in_all: int,
    labelled_groups: str = '',
    labelled_share: float = 1.0,
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
    if not 0.0 < labelled_share <= 1.0:
        raise UserError(f'{SHARE_KEY} must lie above 0 and at most at 1, not {labelled_share}')
    if labelled_share < 1.0 and (labelled_in_all or wanted is not None):
        key = TOTAL_KEY if labelled_in_all else LABELS_KEY
        raise UserError(f'{SHARE_KEY}={labelled_share:g} and {key}: leave one of them out')
    if labelled_groups and not all(name.strip() for name in labelled_groups.split(',')):
        raise UserError(f'{GROUPS_KEY}={labelled_groups!r}: write names with a comma between them')


def is_labels_per_class(value: str | int) -> bool:
    """Whether it is 'all' or a positive whole number."""
    text = '' if isinstance(value, bool) else str(value)
    return text == 'all' or (text.isascii() and text.isdigit() and int(text) > 0)


def parse_labels_per_class(value: str | int) -> int | None:
    """A positive number from `10` or `'10'`; None for `'all'`; a `UserError` for anything else."""
    if not is_labels_per_class(value):
        raise UserError(f"{LABELS_KEY}={value!r}: expected a positive whole number or 'all'")
    return None if value == 'all' else int(value)


def check_amount(label: str, amount: Amount) -> None:
    """Refuses an amount that a data set without a class for each place cannot have.

    Args:
      label: as in `eojax.data.facts.Facts.label`.

    Raises:
      UserError: one line that names the key.
    """
    if label == 'pixel' and parse_labels_per_class(amount.per_class) is not None:
        raise UserError(
            f'{LABELS_KEY}={amount.per_class}: labels are of pixels here; say of how many places'
            f' with {TOTAL_KEY}'
        )
    given = {
        GROUPS_KEY: bool(amount.groups),
        SHARE_KEY: amount.share < 1.0,
        TOTAL_KEY: bool(amount.in_all),
        LABELS_KEY: amount.per_class != 'all',
    }
    if label == 'none' and any(given.values()):
        key = next(key for key, wanted in given.items() if wanted)
        raise UserError(f'{key}: this data set has no labels; leave it out')


def may_be_labelled(
    trains: Sequence[np.ndarray],
    annotated: np.ndarray | None,
    groups: np.ndarray | None,
    wanted: Sequence[int] | None,
    group_names: Sequence[str],
) -> list[np.ndarray]:
    """Of each class the training places that may be labelled, in the order they are drawn.

    Args:
      trains: of each class the training places, in that order.
      annotated, groups: as in `eojax.data.dataset.Places`.
      wanted: the groups whose places may be labelled; all where None.
      group_names: for messages.

    Raises:
      UserError: a group without such a place, or no such place at all.
    """
    able = [train if annotated is None else train[annotated[train]] for train in trains]
    if wanted is not None:
        if groups is None:
            raise ValueError('labelled groups need groups')
        able = [places[np.isin(groups[places], wanted)] for places in able]
        there = set(groups[np.concatenate(able)].tolist()) if able else set()
        without = [number for number in wanted if number not in there]
        if without:
            named = ', '.join(group_names[n] if group_names else str(n) for n in without)
            raise UserError(
                f'{GROUPS_KEY}: {named} has no training place with labels: this split holds it out;'
                ' name others, or take another seed'
                if annotated is not None
                else f'{GROUPS_KEY}: {named} has no training place: this split holds it out; name'
                ' others, or take another seed'
            )
    if annotated is not None and not any(map(len, able)):
        raise UserError('no training place has labels: this split holds them all out')
    return able


def check_held_out(annotated: np.ndarray | None, parts: Mapping[str, np.ndarray]) -> None:
    """Refuses a part to score on that has no labels at all.

    Args:
      annotated: as in `eojax.data.dataset.Places`.
      parts: the places of each, by its name.

    Raises:
      UserError: one without labels; the message says what to do.
    """
    for name, places in parts.items():
        if annotated is not None and len(places) and not annotated[places].any():
            raise UserError(
                f'none of the {len(places)} {name} places has labels, so nothing can be scored on'
                f' them: name places with labels in data.{name}_groups'
            )


def choose_labelled(
    able: Sequence[np.ndarray],
    amount: Amount,
    groups: np.ndarray | None,
    names: Names,
    class_names: Sequence[str],
    seed: int,
) -> list[np.ndarray]:
    """Of each class the places that are labelled.

    Args:
      able: of each class the places that may be, in the order they are drawn.
      groups: of all places.
      names, class_names: for messages.
      seed: of the turns of `Amount.in_all`.

    Raises:
      UserError: fewer places than are wanted.
    """
    if amount.share < 1.0:
        return [_share_of_groups(places, groups, amount.share) for places in able]
    if amount.in_all:
        counts = _in_turns(amount, able, seed)
    else:
        counts = _per_class(amount.per_class, able, names, class_names)
    return [places[:count] for places, count in zip(able, counts, strict=True)]


def class_title(names: Names, members: np.ndarray, number: int, class_names: Sequence[str]) -> str:
    """A class for messages: its name, its folder's, or its number."""
    folder = name_at(names, members[0]).rpartition('/')[0] if len(members) else ''
    title = class_names[number] if class_names else folder
    return f'class {title!r}' if title else f'class {number}'


def _share_of_groups(places: np.ndarray, groups: np.ndarray | None, share: float) -> np.ndarray:
    """The first places of each group, `share` of it rounded half up, at least one."""
    of_place = np.zeros(len(places), np.int32) if groups is None else groups[places]
    kept = [places[:0]]
    for group in np.unique(of_place):
        members = places[of_place == group]
        kept.append(members[: max(1, int(len(members) * share + 0.5))])
    return np.concatenate(kept)


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
        title = class_title(names, trains[smallest], smallest, class_names)
        raise UserError(
            f'{LABELS_KEY}={wanted}, but {title} has only {len(trains[smallest])} training images'
        )
    return [wanted] * len(trains)


def _in_turns(amount: Amount, trains: Sequence[np.ndarray], seed: int) -> list[int]:
    """How many training images of each class are labelled, where all have so many together.

    Round after round, each class that has images left gives one, until there are enough; who comes
    first in a round depends on the seed.
    """
    check_labels(amount.per_class, amount.in_all)
    available = sum(map(len, trains))
    if amount.in_all > available:
        raise UserError(
            f'{TOTAL_KEY}={amount.in_all}, but there are only {available} training images'
        )
    turns = sorted(range(len(trains)), key=lambda number: _digest(f'{seed}:class {number}'))
    # Each place's round and, within it, the turn of its class.
    rounds = np.concatenate([np.arange(len(trains[number])) for number in turns])
    turn = np.repeat(np.arange(len(turns)), [len(trains[number]) for number in turns])
    first = np.lexsort((turn, rounds))[: amount.in_all]
    counts = np.bincount(turn[first], minlength=len(turns))
    return [int(counts[turns.index(number)]) for number in range(len(trains))]


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode('utf-8', 'surrogateescape')).digest()
