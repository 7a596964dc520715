"""The rows of studies of segmentation, and what their runs must have in common."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from eojax.config.base import differing_keys
from eojax.config.written import get, name_of
from eojax.data.parts.labelled import GROUPS_KEY, LABELS_KEY, SHARE_KEY, TOTAL_KEY
from eojax.errors import UserError
from eojax.methods.pixels.auxiliary import weight_of
from eojax.runs.domains import TARGET
from eojax.runs.known import FILE, read_known
from eojax.studies.grid import series as grid_series
from eojax.studies.grid.cells import Cell, Row
from eojax.studies.grid.tables import by_folder
from eojax.studies.segmentation.study import LABELLED_PLACES, SCORES, Study

MEASURES = tuple(SCORES)
# Which training places are labelled.
LABELLED_KEYS = (LABELS_KEY, TOTAL_KEY, GROUPS_KEY, SHARE_KEY)
# Groups of the config that may differ between methods, or are compared elsewhere.
_OTHERS = ('seed', 'data', 'method', 'optimizer', 'sampler', 'recovery')


def labels_of(config: Mapping[str, Any], name: str) -> dict[str, Any]:
    """The labels in the row of a run, beside its measured numbers.

    Args:
      config: as in `config.json`.
      name: of the setting that the run belongs to.
    """
    auxiliary = get(config, 'method.auxiliary')
    return {
        'config': name,
        'method': name_of(config, 'method'),
        'variant': get(config, 'method.variant'),
        'auxiliary': auxiliary,
        'auxiliary_weight': (
            weight_of(auxiliary, get(config, 'method.auxiliary_weight')) if auxiliary else None
        ),
        'data': name_of(config, 'data'),
        'published_labels': get(config, 'data.labels'),
        'labelled_groups': get(config, GROUPS_KEY) or '',
        'labelled_share': get(config, SHARE_KEY),
        'labelled_in_all': get(config, TOTAL_KEY) or 0,
        'seed': get(config, 'seed'),
        'network': name_of(config, 'model'),
        'width': get(config, 'model.width'),
        'window': get(config, 'method.window'),
    }


def found_cells(workdir: Path) -> list[Cell]:
    """The runs that a study has begun in a folder: `SETTING/seed_SEED`."""
    return grid_series.found_cells(
        workdir.glob('*/seed_*/config.json'),
        lambda file, config: labels_of(config.to_dict(), file.parents[1].name),
        MEASURES,
    )


def check_data(cells: Sequence[Cell], free: Collection[str]) -> None:
    """Refuses to put runs of different data into one table.

    Args:
      cells: the runs.
      free: keys in which their data may differ.

    Raises:
      UserError: names two runs, and the keys.
    """
    for cell in cells[1:]:
        first, data = ({'data': one.config.data.to_dict()} for one in (cells[0], cell))
        differing = grid_series.differing_in(data, first, free)
        if differing:
            raise UserError(
                f'{cells[0]} and {cell} are of different data ({"; ".join(differing)}): all runs of'
                ' one table have the same data and splits'
            )


def differences(cells: Sequence[Cell]) -> list[str]:
    """`model.width: 16 or 32` of each key in which the settings differ.

    The seed, the data, the method, its sampler and the optimiser are no part of it; which training
    places are labelled is one, as the supervised method with more labels shows how much the others
    could gain.
    """
    first: dict[str, Cell] = {}
    for cell in cells:
        first.setdefault(str(cell.labels['config']), cell)
    values: dict[str, dict[str, None]] = {}
    settings = [_compared(cell) for cell in first.values()]
    for setting in settings[1:]:
        for line in differing_keys(setting, settings[0]):
            values[line.partition(':')[0]] = {}
    for key, shown in values.items():
        shown.update((str(get(setting, key)), None) for setting in settings)
    return [f'{key}: {" or ".join(shown)}' for key, shown in sorted(values.items())]


def _compared(cell: Cell) -> dict[str, Any]:
    config = cell.config.to_dict()
    labelled = {key.partition('.')[2]: get(config, key) for key in LABELLED_KEYS}
    return {**{key: value for key, value in config.items() if key not in _OTHERS}, 'data': labelled}


def sort_rows(study: Study, rows: Sequence[Row]) -> list[Row]:
    """Each run once, in the order of the study's table, by seed within a setting.

    A row is told how many labelled places its run has: None where it did not come so far.
    """
    counted = [{**row, LABELLED_PLACES: _labelled_places(row)} for row in by_folder(rows)]
    return sorted(counted, key=lambda row: (study.rank(row), row['config'], row['seed']))


def _labelled_places(row: Row) -> int | None:
    folder = Path(row['folder'])
    if not (folder / FILE).exists():
        return None
    return read_known(folder)[TARGET].counts['labelled']
