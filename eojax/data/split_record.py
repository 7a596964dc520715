"""The record of a run's splits: the rule, and of each part how many and a digest.

Names are not listed: the file is as short for 100 million places as for ten.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from eojax.atomic_file import write_atomically
from eojax.data.columns import names_digest
from eojax.data.dataset import Dataset
from eojax.data.splits import Rule, Splits
from eojax.errors import UserError


class PartRecord(NamedTuple):
    """One part of a split.

    Attributes:
      places: how many.
      sha256: over their names (`eojax.data.columns.names_digest`).
    """

    places: int
    sha256: str


class SplitRecord(NamedTuple):
    """Splits without their indices.

    Attributes:
      rule: that made them.
      parts: by the fields of `Splits`.
      class_counts: labelled training images of each class; all 0 where labels are not per image.
    """

    rule: Rule
    parts: Mapping[str, PartRecord]
    class_counts: tuple[int, ...]


def record_of(splits: Splits, dataset: Dataset, rule: Rule) -> SplitRecord:
    """The record of the splits of a data set."""
    places = dataset.places
    parts = {
        part: PartRecord(len(indices), names_digest(places.names, indices))
        for part, indices in splits._asdict().items()
    }
    labels = places.labels[splits.labelled]
    counts = np.bincount(labels[labels >= 0], minlength=dataset.num_classes)
    return SplitRecord(rule, parts, tuple(counts.tolist()))


def write(path: Path, record: SplitRecord) -> None:
    """Writes a record as JSON to `path`, whole or not at all."""
    parts = {name: part._asdict() for name, part in record.parts.items()}
    plain = {**record._asdict(), 'rule': record.rule._asdict(), 'parts': parts}
    text = json.dumps(plain, indent=1) + '\n'
    write_atomically(path, lambda file: file.write(text.encode()))


def read(path: Path) -> SplitRecord:
    """The record that `write` left.

    Raises:
      UserError: the file is missing, or is not a record of splits.
    """
    try:
        plain: Any = json.loads(path.read_bytes())
        if set(plain['parts']) != set(Splits._fields):
            raise ValueError(f'expected the parts {", ".join(Splits._fields)}')
        parts = {
            name: PartRecord(int(part['places']), str(part['sha256']))
            for name, part in plain['parts'].items()
        }
        counts = tuple(map(int, plain['class_counts']))
        return SplitRecord(Rule(**plain['rule']), parts, counts)
    except FileNotFoundError:
        raise UserError(
            f'{path} is not there: give the command that trained the run once more, which writes it'
            ' anew'
        ) from None
    except (ValueError, TypeError, KeyError) as error:
        raise UserError(f'{path}: not a record of splits ({error!r})') from None


def verify(path: Path, record: SplitRecord) -> None:
    """Compares the file at `path` with a record.

    Raises:
      UserError: they differ; the message names the part and says how many places it has and had,
        or how many labelled images of each class.
    """
    kept = read(path)
    for name, part in record.parts.items():
        before = kept.parts[name]
        if part == before:
            continue
        rules = [
            f'{key} was {old} and is {new}'
            for (key, old), new in zip(kept.rule._asdict().items(), record.rule, strict=True)
            if old != new
        ]
        reason = f'{before.places} places then, {part.places} now'
        if part.places == before.places:
            reason = f'{part.places} places then and now, but not the same ones'
        raise UserError(
            f'{path}: {name} is not that of this data and seed: {"; ".join([reason, *rules])}; use'
            ' the same data and seed, or another folder'
        )
    if kept.class_counts != record.class_counts:
        raise UserError(
            f'{path}: the labelled images of each class were'
            f' {", ".join(map(str, kept.class_counts))} and are'
            f' {", ".join(map(str, record.class_counts))}, of the same names; use the same labels,'
            ' or another folder'
        )
