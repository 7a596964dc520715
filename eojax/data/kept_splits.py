"""Splits of a data set whose places are mapped columns, kept beside them: computed once by a rule.

A split of 100 million places takes minutes and gigabytes; opened, it takes neither.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from pathlib import Path

import numpy as np

from eojax.data import split_record
from eojax.data.columns import MappedColumn, open_column
from eojax.data.dataset import Dataset, Places
from eojax.data.split_record import SplitRecord, record_of
from eojax.data.splits import Rule, Splits, split_dataset
from eojax.home import cache_folder

# Beside the folder of the columns (`eojax.data.shards`).
INDEX = 'index.json'
_FOLDER, _RECORD = 'splits', 'splits.json'


def split_and_record(dataset: Dataset, rule: Rule) -> tuple[Splits, SplitRecord]:
    """The splits of a data set and their record.

    Where all columns of its places are mapped, they are mapped too.

    Raises:
      UserError: see `eojax.data.splits.make_splits`.
    """
    columns = _columns_folder(dataset.places)
    if columns is None:
        splits = split_dataset(dataset, rule)
        return splits, record_of(splits, dataset, rule)
    key = _key(dataset, rule, columns.parent / INDEX)
    # Beside the columns, or, where one must not write there, in the cache.
    cache = cache_folder()
    places = [columns.parent / _FOLDER / key, *([cache / _FOLDER / key] if cache else [])]
    for folder in places:
        if (folder / _RECORD).is_file():
            return _opened(folder)
    splits = split_dataset(dataset, rule)
    record = record_of(splits, dataset, rule)
    for folder in places:
        try:
            _keep(folder, splits, record)
        except OSError:
            continue
        return _opened(folder)
    return splits, record


def _columns_folder(places: Places) -> Path | None:
    """The folder of all columns; None where one is not mapped, or no index tells of them."""
    folders = set()
    for column in places:
        if column is None:
            continue
        if not isinstance(column, MappedColumn) or column.path is None:
            return None
        folders.add(column.path.parent)
    folder = folders.pop()
    return folder if not folders and (folder.parent / INDEX).is_file() else None


def _key(dataset: Dataset, rule: Rule, index: Path) -> str:
    """All that a split depends on, as a short text; the index holds a digest of each column."""
    facts = dataset.facts
    rest = [rule._asdict(), facts.label, facts.num_classes, facts.group_names]
    return hashlib.sha256(index.read_bytes() + json.dumps(rest).encode()).hexdigest()[:24]


def _opened(folder: Path) -> tuple[Splits, SplitRecord]:
    splits = Splits(*(open_column(folder / f'{part}.npy') for part in Splits._fields))
    return splits, split_record.read(folder / _RECORD)


def _keep(folder: Path, splits: Splits, record: SplitRecord) -> None:
    """Writes the indices and the record, whole or not at all."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(prefix='.new-', dir=folder.parent))
    try:
        for part, indices in splits._asdict().items():
            np.save(temporary / f'{part}.npy', indices, allow_pickle=False)
        split_record.write(temporary / _RECORD, record)
        temporary.chmod(0o755)
        temporary.rename(folder)
    except OSError:
        # Another process was first.
        if not (folder / _RECORD).is_file():
            raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
