"""The index of a prepared data set: what it is and where it lies, without a list of windows."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from eojax.data import facts as data_facts
from eojax.data.columns import open_column
from eojax.data.dataset import Dataset, Places
from eojax.data.facts import PIXEL_LABELS, Facts
from eojax.data.kept_splits import INDEX as FILE
from eojax.data.shards.grid import Grid
from eojax.data.shards.source import ShardSource
from eojax.errors import UserError

COLUMNS, SHARDS = 'columns', 'shards'
VERSION = 1
_OPTIONAL = ('groups', 'parts', 'annotated')


class Plan(NamedTuple):
    """The plan of a prepared data set, before any of it is written.

    Attributes:
      facts: of the data set that results.
      grid: of the windows.
      num: of windows.
      per_shard: windows in each shard but the last.
      compression: one of `eojax.data.shards.records.COMPRESSIONS`.
      origin: SHA-256 over names, sizes, labels and other columns of the places that are read, and
        over some of their pixels.
    """

    facts: Facts
    grid: Grid
    num: int
    per_shard: int
    compression: str
    origin: str

    @property
    def num_shards(self) -> int:
        return -(-self.num // self.per_shard)

    @property
    def rasters(self) -> tuple[str, ...]:
        """In the order of the records."""
        labels = (PIXEL_LABELS,) if self.facts.label == 'pixel' else ()
        names = sorted(self.facts.rasters)
        return (*names, *labels, *self.facts.masks(names))


def plan_to_json(plan: Plan) -> dict[str, Any]:
    """The plan as plain values."""
    facts = data_facts.to_json(plan.facts)
    return {'version': VERSION, **plan._asdict(), 'facts': facts, 'grid': plan.grid._asdict()}


def plan_from_json(plain: Mapping[str, Any]) -> Plan:
    """The plan that `plan_to_json` wrote.

    Raises:
      ValueError, TypeError, KeyError: it is not.
    """
    if plain['version'] != VERSION:
        raise ValueError(f'version {plain["version"]}; this code reads {VERSION}')
    values = {key: plain[key] for key in Plan._fields}
    facts, grid = data_facts.from_json(plain['facts']), Grid(**plain['grid'])
    return Plan(**{**values, 'facts': facts, 'grid': grid})


def shard_name(number: int, num: int) -> str:
    """The file of a shard."""
    return f'{number:05d}-of-{num:05d}.array_record'


def read_index(folder: Path) -> tuple[Plan, Mapping[str, str]]:
    """The plan of a prepared data set, and the SHA-256 of its files by their names.

    Raises:
      UserError: there is no finished data set in the folder, or a damaged one.
    """
    file = folder / FILE
    try:
        plain = json.loads(file.read_bytes())
        return plan_from_json(plain), {str(k): str(v) for k, v in plain['sha256'].items()}
    except FileNotFoundError:
        raise UserError(
            f'{folder} is no prepared data set, or not a finished one: run python -m'
            f' eojax.data.prepare --out={folder} to the end'
        ) from None
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise UserError(f'{file} is damaged ({error!r}); prepare the data set anew') from None


def open_prepared(folder: Path) -> Dataset:
    """A prepared data set, by its index alone: the time does not depend on the number of windows.

    Raises:
      UserError: see `read_index`; or a column that is absent or too short.
    """
    plan, files = read_index(folder)
    columns: dict[str, Any] = dict.fromkeys(_OPTIONAL)
    for field in Places._fields:
        name = f'{COLUMNS}/{field}.npy'
        if name in files:
            columns[field] = open_column(folder / name)
            if columns[field].shape != (plan.num,):
                raise UserError(f'{folder / name}: damaged: not {plan.num} entries')
        elif field not in _OPTIONAL:
            raise UserError(f'{folder / FILE} is damaged: it lists no {name}')
    places = Places(**columns)
    source = ShardSource(
        folder / SHARDS,
        plan.num,
        plan.per_shard,
        plan.rasters,
        plan.facts,
        (places.heights, places.widths),
    )
    return Dataset(plan.facts, places, source)


def check_files(folder: Path) -> int:
    """Compares every file of a prepared data set with its SHA-256; how many there are.

    Raises:
      UserError: one that is absent or differs, by name.
    """
    _, files = read_index(folder)
    for name, expected in files.items():
        if not (folder / name).is_file():
            raise UserError(f'no such file: {folder / name}; prepare the data set anew')
        if sha256_of(folder / name) != expected:
            raise UserError(f'{folder / name} is damaged: its SHA-256 is not that of the index')
    return len(files)


def sha256_of(path: Path) -> str:
    """SHA-256 of a file."""
    with open(path, 'rb') as file:
        return hashlib.file_digest(file, 'sha256').hexdigest()


def column_digest(*columns: np.ndarray) -> str:
    """SHA-256 over the values of columns of numbers."""
    digest = hashlib.sha256()
    for column in columns:
        digest.update(np.ascontiguousarray(column, np.int32).data)
    return digest.hexdigest()
