"""The papers' hold-out: who is in train, validation, test and the labelled subset.

Published or spatial splits (`Dataset.parts`) are taken as they are. What is not published is a
pure function of names, classes and seed. Each class is ordered by SHA-256 of `<seed>:<name>` and
cut by rank, so that the result is the same on every machine and with every version of NumPy, one
image more or less moves at most one image over each border, and another class moves none. The
labelled subsets are nested: that of five images per class holds that of one, and that of 128 images
in all holds that of 32.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from eojax.atomic_file import write_atomically
from eojax.errors import UserError

LABELS_KEY = 'data.labels_per_class'
TOTAL_KEY = 'data.labelled_in_all'
# What `Dataset.parts` holds.
TRAIN, VALIDATION, TEST = 0, 1, 2


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


def make_splits(
    names: Sequence[str],
    labels: Sequence[int] | np.ndarray,
    num_classes: int,
    seed: int,
    labels_per_class: str | int = 'all',
    *,
    test_fraction: float = 0.2,
    validation_fraction: float = 0.1,
    labelled_in_all: int = 0,
    parts: np.ndarray | None = None,
    class_names: Sequence[str] = (),
) -> Splits:
    """Splits every class by the same fractions, or as published.

    Parameters
    ----------
    names: unique, one per image (`River/River_12.jpg`).
    labels: class of each image, 0 to `num_classes - 1`.
    seed: another seed is another hold-out.
    labels_per_class: number of labelled training images per class, or 'all'.
    test_fraction: of all images, in [0, 1); at least one image per class unless it is 0.
    validation_fraction: of what is left after the test images, likewise.
    labelled_in_all: where positive, how many labelled training images all classes have together, in
      place of `labels_per_class`: the classes take turns, each with the next image of its order.
    parts: as in `Dataset.parts`. A part that some image has is taken as it is, and its fraction
      counts for nothing; of a part that no image has, the fraction is drawn from part 0.
    class_names: for messages.

    Raises
    ------
    UserError: a class too small for the fractions or for `labels_per_class`, by name and count;
      fewer training images than `labelled_in_all`; a fraction or number that is none.
    """
    labels = np.asarray(labels)
    if len(set(names)) != len(names) or labels.shape != (len(names),):
        raise ValueError('names must be unique, and there must be one label for each')
    if len(labels) and not 0 <= labels.min() <= labels.max() < num_classes:
        raise ValueError(f'labels must lie in [0, {num_classes})')
    _check_fraction('test_fraction', test_fraction)
    _check_fraction('validation_fraction', validation_fraction)
    given = np.zeros(len(names), np.int8) if parts is None else np.asarray(parts)
    fractions = {TEST: test_fraction, VALIDATION: validation_fraction}
    found = _hold_out(names, labels, num_classes, seed, given, fractions)
    for label, train in enumerate(found[TRAIN]):
        if not train:
            members = np.flatnonzero(labels == label).tolist()
            title = _class_title(names, members, label, class_names)
            lacking = (
                'are too few for the three splits' if parts is None else 'but none to train on'
            )
            raise UserError(f'{title}: {len(members)} image(s) {lacking}')
    trains = found[TRAIN]
    if labelled_in_all:
        labelled = _in_turns(labelled_in_all, labels_per_class, trains, seed)
    else:
        labelled = _per_class(labels_per_class, trains, names, class_names)
    return Splits(
        train=_indices(trains),
        validation=_indices(found[VALIDATION]),
        test=_indices(found[TEST]),
        labelled=_indices([t[:num] for t, num in zip(trains, labelled, strict=True)]),
        unlabelled=_indices([t[num:] for t, num in zip(trains, labelled, strict=True)]),
    )


def check_labels(labels_per_class: str | int, labelled_in_all: int) -> None:
    """Refuses numbers of labelled images that are none, and two that exclude each other.

    Raises
    ------
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


def parse_labels_per_class(value: str | int) -> int | None:
    """A positive number from `10` or `'10'`; None for `'all'`; a `UserError` for anything else."""
    if value == 'all':
        return None
    text = '' if isinstance(value, bool) else str(value)
    if not (text.isascii() and text.isdigit() and int(text) > 0):
        raise UserError(f"{LABELS_KEY}={value!r}: expected a positive whole number or 'all'")
    return int(text)


def to_json(splits: Splits, names: Sequence[str]) -> str:
    """The names in each split as a JSON object, in the order of `names`."""
    return json.dumps(_split_names(splits, names), indent=1) + '\n'


def write(path: Path, splits: Splits, names: Sequence[str]) -> None:
    """Writes `to_json` to `path`, whole or not at all."""
    write_atomically(path, lambda file: file.write(to_json(splits, names).encode()))


def read(path: Path) -> dict[str, list[str]]:
    """The names in each split, as `write` left them.

    Raises
    ------
    UserError: the file is missing, or is not a file of splits.
    """
    try:
        content = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise UserError(f'no such file: {path}') from None
    except ValueError as error:
        raise UserError(f'{path}: not JSON ({error})') from None
    if not isinstance(content, dict) or set(content) != set(Splits._fields):
        raise UserError(f'{path}: expected the keys {", ".join(Splits._fields)}')
    for field, part in content.items():
        if not isinstance(part, list) or not all(isinstance(name, str) for name in part):
            raise UserError(f'{path}: {field} is not a list of names')
    return content


def verify(path: Path, splits: Splits, names: Sequence[str]) -> None:
    """Compares the file at `path` with `splits`.

    Raises
    ------
    UserError: they differ; the message names the split and an image.
    """
    written: Mapping[str, Sequence[str]] = read(path)
    for field, expected in _split_names(splits, names).items():
        differing = sorted(set(expected) ^ set(written[field]))
        if differing:
            raise UserError(
                f'{path}: {field} is not that of this data and seed, e.g. {differing[0]}'
                f' ({len(differing)} differ); use the same data and seed, or another folder'
            )


def _split_names(splits: Splits, names: Sequence[str]) -> dict[str, list[str]]:
    return {field: [names[i] for i in part] for field, part in splits._asdict().items()}


def _hold_out(
    names: Sequence[str],
    labels: np.ndarray,
    num_classes: int,
    seed: int,
    parts: np.ndarray,
    fractions: Mapping[int, float],
) -> dict[int, list[list[int]]]:
    """For each part the images of each class, in the order of their digests.

    Args:
      fractions: of the parts to draw, in turn, from what is left of `TRAIN`, where `parts` has
        none of them.
    """
    if parts.shape != (len(names),) or not np.isin(parts, (TRAIN, *fractions)).all():
        raise ValueError('parts must hold 0, 1 or 2 for each name')
    drawn = {part: 0.0 if (parts == part).any() else share for part, share in fractions.items()}
    found: dict[int, list[list[int]]] = {part: [] for part in (TRAIN, *fractions)}
    for label in range(num_classes):
        order = _hash_order(names, np.flatnonzero(labels == label), seed)
        left = [index for index in order if parts[index] == TRAIN]
        for part, fraction in drawn.items():
            num = _share(len(left), fraction)
            found[part].append([index for index in order if parts[index] == part] + left[:num])
            left = left[num:]
        found[TRAIN].append(left)
    return found


def _per_class(
    labels_per_class: str | int,
    trains: Sequence[Sequence[int]],
    names: Sequence[str],
    class_names: Sequence[str],
) -> list[int]:
    """How many training images of each class are labelled, where all have the same number."""
    wanted = parse_labels_per_class(labels_per_class)
    if wanted is None or not trains:
        return [len(train) for train in trains]
    smallest = min(range(len(trains)), key=lambda label: len(trains[label]))
    if wanted > len(trains[smallest]):
        title = _class_title(names, trains[smallest], smallest, class_names)
        raise UserError(
            f'{LABELS_KEY}={wanted}, but {title} has only {len(trains[smallest])} training images'
        )
    return [wanted] * len(trains)


def _in_turns(
    labelled_in_all: int, labels_per_class: str | int, trains: Sequence[Sequence[int]], seed: int
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
    turns = sorted(range(len(trains)), key=lambda label: _digest(f'{seed}:class {label}'))
    order = sorted(
        (rank, turn) for turn, label in enumerate(turns) for rank in range(len(trains[label]))
    )
    counts = [0] * len(trains)
    for _, turn in order[:labelled_in_all]:
        counts[turns[turn]] += 1
    return counts


def _indices(classes: Sequence[Sequence[int]]) -> np.ndarray:
    return np.asarray(sorted(index for members in classes for index in members), np.int32)


def _hash_order(names: Sequence[str], indices: np.ndarray, seed: int) -> list[int]:
    return sorted((int(index) for index in indices), key=lambda i: _digest(f'{seed}:{names[i]}'))


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode('utf-8', 'surrogateescape')).digest()


def _share(num: int, fraction: float) -> int:
    """`fraction` of `num`, rounded half up; at least 1 where there is a fraction at all."""
    return max(1, int(num * fraction + 0.5)) if fraction and num else 0


def _check_fraction(name: str, fraction: float) -> None:
    if not 0 <= fraction < 1:
        raise UserError(f'{name}={fraction}: expected at least 0 and less than 1')


def _class_title(
    names: Sequence[str], members: Sequence[int], label: int, class_names: Sequence[str]
) -> str:
    folder = names[members[0]].rpartition('/')[0] if members else ''
    title = class_names[label] if class_names else folder
    return f'class {title!r}' if title else f'class {label}'
