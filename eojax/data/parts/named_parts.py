"""Parts by name: which cities, or single places, a config holds out for validation and test."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from eojax.data.columns import name_at
from eojax.data.dataset import TEST, TRAIN, VALIDATION, Dataset
from eojax.errors import UserError, unknown_name

KEYS = {VALIDATION: 'data.validation_groups', TEST: 'data.test_groups'}
# That a message lists at most.
_LISTED = 40


def split_names(key: str, text: str) -> tuple[str, ...]:
    """Names with a comma between them; none of the empty text.

    Raises:
      UserError: an empty name, or one twice; the message says the key.
    """
    names = tuple(name.strip() for name in text.split(',')) if text.strip() else ()
    if not all(names):
        raise UserError(f'{key}={text!r}: write names with a comma between them')
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise UserError(f'{key}={text!r}: {twice[0]!r} is in it twice')
    return names


def group_numbers(dataset: Dataset, key: str, text: str) -> list[int] | None:
    """The groups that an option names, or numbers where they have no names; None where it is empty.

    Raises:
      UserError: a data set without groups, or a name that none of them has.
    """
    names = split_names(key, text)
    if not names:
        return None
    if dataset.places.groups is None:
        raise UserError(f'{key}={text}: the places of this data set belong to no groups')
    numbers = _numbers(dataset)
    for name in names:
        if name not in numbers:
            raise unknown_name(f'group in {key}', name, numbers)
    return [numbers[name] for name in names]


def named_parts(dataset: Dataset, validation: str, test: str) -> np.ndarray | None:
    """The parts of all places, int8 `[num]`, with those that are named; None where none has one.

    Places that are not named keep their published part, or are for training.

    Args:
      validation, test: names of groups, or of single places, with a comma between them.

    Raises:
      UserError: a name that no group and no place has, or one that is in both.
    """
    places = dataset.places
    wanted = {
        part: split_names(KEYS[part], text)
        for part, text in ((VALIDATION, validation), (TEST, test))
    }
    if not any(wanted.values()):
        return places.parts
    parts = np.zeros(places.num, np.int8) if places.parts is None else np.array(places.parts)
    given = np.full(places.num, TRAIN, np.int8)
    for part, names in wanted.items():
        for name in names:
            members = _members(dataset, KEYS[part], name)
            if (given[members] != TRAIN).any():
                raise UserError(f'{name!r} is in {" and in ".join(KEYS.values())}')
            given[members] = parts[members] = part
    return parts


def _members(dataset: Dataset, key: str, name: str) -> np.ndarray:
    """The places of a group, or the one place, of this name."""
    places, groups = dataset.places, {}
    if places.groups is not None:
        groups = _numbers(dataset)
        if name in groups:
            return np.flatnonzero(np.asarray(places.groups) == groups[name])
    for place in range(places.num):
        if name_at(places.names, place) == name:
            return np.array([place])
    known: Sequence[str] = tuple(groups)
    kind = 'group or place'
    if not known:
        kind = 'place'
        known = [name_at(places.names, place) for place in range(min(places.num, _LISTED))]
    raise unknown_name(f'{kind} in {key}', name, known)


def _numbers(dataset: Dataset) -> dict[str, int]:
    """The number of each group by its name, or by its number as text where it has none."""
    names = dataset.facts.group_names
    if names:
        return {name: number for number, name in enumerate(names)}
    groups = dataset.places.groups
    return {} if groups is None else {str(n): int(n) for n in np.unique(groups)}
