"""The rows of the label efficiency table: of the grid's folders, and of runs from elsewhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from eojax.config.base import read_json
from eojax.config.written import get, name_of, network_of
from eojax.data.parts.labelled import LABELS_KEY, parse_labels_per_class
from eojax.errors import UserError
from eojax.studies.grid import series as grid_series
from eojax.studies.grid.cells import Cell, Row, check_finished, row_of
from eojax.studies.grid.tables import by_folder, labels_rank

# In these the runs of a series differ; in nothing else that changes what they compute.
OF_A_RUN = ('seed', LABELS_KEY)


def labels_of(config: Mapping[str, Any], name: str) -> dict[str, Any]:
    """The labels in the row of a run, beside its measured numbers.

    Args:
      config: as in `config.json`.
      name: of the series that the run belongs to.
    """
    number = parse_labels_per_class(get(config, LABELS_KEY) or 'all')
    return {
        'config': name,
        'method': name_of(config, 'method'),
        'data': name_of(config, 'data'),
        'labels_per_class': 'all' if number is None else number,
        'seed': get(config, 'seed'),
        'network': network_of(config),
        'image_size': get(config, 'data.size'),
    }


def found_cells(workdir: Path) -> list[Cell]:
    """The runs that a grid has begun in a folder."""
    return grid_series.found_cells(
        workdir.glob('*/*_labels/seed_*/config.json'),
        lambda file, config: labels_of(config.to_dict(), file.parents[2].name),
    )


def differing_in(ours: Mapping[str, Any], theirs: Mapping[str, Any]) -> list[str]:
    """`key: theirs -> ours` of configs that cannot be two runs of one series."""
    return grid_series.differing_in(ours, theirs, OF_A_RUN)


def other_rows(folders: Sequence[str], series: Mapping[str, Mapping[str, Any]]) -> list[Row]:
    """The rows of trained runs from elsewhere.

    A run that differs from one of the `series`, or from an earlier run of these, in the seed and
    the labels alone belongs to its series; another one begins a series by its folder's name.

    Args:
      folders: of the runs.
      series: name -> config.

    Raises:
      UserError: a folder without a run, or without the evaluation of its end.
    """
    known, rows = dict(series), []
    for folder in map(Path, folders):
        config = read_json(folder / 'config.json')
        try:
            check_finished(folder, config)
        except UserError as error:
            raise UserError(f'--runs: {error}') from error
        name = next((n for n, c in known.items() if not differing_in(config, c)), None)
        if name is None:
            name = folder.resolve().name
            name = name if name not in known else str(folder)
            known[name] = config
        rows.append(row_of(folder, labels_of(config, name)))
    return rows


def sort_rows(rows: Sequence[Row], order: Sequence[str]) -> list[Row]:
    """Each run once, by data set, config, falling number of labels and seed.

    Args:
      order: of the configs that come first; the others follow as they come.

    Raises:
      UserError: two runs of the same config, labels and seed.
    """
    unique = by_folder(rows)
    cells: dict[tuple[Any, ...], Row] = {}
    for row in unique:
        cell = (row['data'], row['config'], row['labels_per_class'], row['seed'])
        if cell in cells:
            raise UserError(
                f'{cells[cell]["folder"]} and {row["folder"]} are the same run twice: config,'
                ' labels and seed'
            )
        cells[cell] = row
    names = list(dict.fromkeys([*order, *(row['config'] for row in unique)]))
    sets = list(dict.fromkeys(row['data'] for row in unique))
    return sorted(
        unique,
        key=lambda row: (
            sets.index(row['data']),
            names.index(row['config']),
            labels_rank(row['labels_per_class']),
            row['seed'],
        ),
    )
