"""The papers' hold-out: who is in train, validation, test and the labelled subset.

A pure function of names, classes and seed. Each class is ordered by SHA-256 of `<seed>:<name>` and
cut by rank, so that the result is the same on every machine and with every version of NumPy, one
image more or less moves at most one image over each border, and another class moves none. The
labelled subsets are nested: that of five images per class holds that of one.
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
) -> Splits:
    """Splits every class by the same fractions.

    Parameters
    ----------
    names: unique, one per image (`River/River_12.jpg`).
    labels: class of each image, 0 to `num_classes - 1`.
    seed: another seed is another hold-out.
    labels_per_class: number of labelled training images per class, or 'all'.
    test_fraction: of all images, in [0, 1); at least one image per class unless it is 0.
    validation_fraction: of what is left after the test images, likewise.

    Raises
    ------
    UserError: a class too small for the fractions or for `labels_per_class`, by name and count; a
      fraction or number that is none.
    """
    labels = np.asarray(labels)
    if len(set(names)) != len(names) or labels.shape != (len(names),):
        raise ValueError('names must be unique, and there must be one label for each')
    if len(labels) and not 0 <= labels.min() <= labels.max() < num_classes:
        raise ValueError(f'labels must lie in [0, {num_classes})')
    _check_fraction('test_fraction', test_fraction)
    _check_fraction('validation_fraction', validation_fraction)
    tests, validations, trains = [], [], []
    for label in range(num_classes):
        order = _hash_order(names, np.flatnonzero(labels == label), seed)
        num_test = _share(len(order), test_fraction)
        num_validation = _share(len(order) - num_test, validation_fraction)
        tests.append(order[:num_test])
        validations.append(order[num_test : num_test + num_validation])
        trains.append(order[num_test + num_validation :])
        if not trains[-1]:
            title = _class_title(names, order, label)
            raise UserError(f'{title}: {len(order)} image(s) are too few for the three splits')
    num_labelled = _num_labelled(labels_per_class, trains, names)
    return Splits(
        train=_indices(trains),
        validation=_indices(validations),
        test=_indices(tests),
        labelled=_indices([train[:num_labelled] for train in trains]),
        unlabelled=_indices([train[num_labelled:] for train in trains if num_labelled]),
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


def _num_labelled(
    labels_per_class: str | int, trains: Sequence[Sequence[int]], names: Sequence[str]
) -> int | None:
    """How many training images of each class are labelled; None for all of them."""
    wanted = parse_labels_per_class(labels_per_class)
    if wanted is None or not trains:
        return None
    smallest = min(range(len(trains)), key=lambda label: len(trains[label]))
    if wanted > len(trains[smallest]):
        title = _class_title(names, trains[smallest], smallest)
        raise UserError(
            f'{LABELS_KEY}={wanted}, but {title} has only {len(trains[smallest])} training images'
        )
    return wanted


def _indices(classes: Sequence[Sequence[int]]) -> np.ndarray:
    return np.asarray(sorted(index for members in classes for index in members), np.int32)


def _hash_order(names: Sequence[str], indices: np.ndarray, seed: int) -> list[int]:
    def digest(index: int) -> bytes:
        return hashlib.sha256(f'{seed}:{names[index]}'.encode('utf-8', 'surrogateescape')).digest()

    return sorted((int(index) for index in indices), key=digest)


def _share(num: int, fraction: float) -> int:
    """`fraction` of `num`, rounded half up; at least 1 where there is a fraction at all."""
    return max(1, int(num * fraction + 0.5)) if fraction and num else 0


def _check_fraction(name: str, fraction: float) -> None:
    if not 0 <= fraction < 1:
        raise UserError(f'{name}={fraction}: expected at least 0 and less than 1')


def _class_title(names: Sequence[str], members: Sequence[int], label: int) -> str:
    folder = names[members[0]].rpartition('/')[0] if members else ''
    return f'class {folder!r}' if folder else f'class {label}'
