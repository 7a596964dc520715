"""What a run's folder keeps of its splits: the rule, and of each part how many and a digest.

Names are not listed: the file is as short for 100 million places as for ten.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from eojax.atomic_file import write_atomically
from eojax.data.columns import Names, names_digest
from eojax.data.dataset import Dataset
from eojax.data.splits import Rule, Splits, split_dataset
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
    """

    rule: Rule
    parts: Mapping[str, PartRecord]


def split_and_record(dataset: Dataset, rule: Rule) -> tuple[Splits, SplitRecord]:
    """The splits of a data set and their record.

    Raises:
      UserError: see `eojax.data.splits.make_splits`.
    """
    splits = split_dataset(dataset, rule)
    return splits, record_of(splits, dataset.names, rule)


def record_of(splits: Splits, names: Names, rule: Rule) -> SplitRecord:
    """The record of splits of these names."""
    parts = {
        part: PartRecord(len(indices), names_digest(names, indices))
        for part, indices in splits._asdict().items()
    }
    return SplitRecord(rule, parts)


def write(path: Path, record: SplitRecord) -> None:
    """Writes a record as JSON to `path`, whole or not at all."""
    parts = {name: part._asdict() for name, part in record.parts.items()}
    text = json.dumps({'rule': record.rule._asdict(), 'parts': parts}, indent=1) + '\n'
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
        return SplitRecord(Rule(**plain['rule']), parts)
    except FileNotFoundError:
        raise UserError(f'no such file: {path}') from None
    except (ValueError, TypeError, KeyError) as error:
        raise UserError(f'{path}: not a record of splits ({error!r})') from None


def verify(path: Path, record: SplitRecord) -> None:
    """Compares the file at `path` with a record.

    Raises:
      UserError: they differ; the message names the part and says how many places it has and had.
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
