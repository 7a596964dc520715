"""The tables of studies of segmentation: Markdown for people, CSV with a row for each setting."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from eojax.evaluation.published_segmentation import DATA_SETS, THESIS
from eojax.studies.grid.cells import Row
from eojax.studies.grid.runner import duration
from eojax.studies.grid.tables import failures, percent_cells, runs_table, unlike_data
from eojax.studies.segmentation.study import (
    ACCURACY,
    LABELLED_PLACES,
    MEAN_IOU,
    SCORES,
    Line,
    Study,
    base_of,
    cities_of,
    gains_of,
    lines_of,
    parts_of,
    summary_of,
)
from eojax.tables import markdown_table

# Of a setting, in the table of runs: key of the row -> its title.
_SETTING = {'config': 'setting', 'method': 'method', 'network': 'network', 'width': 'width',
            'window': 'window'}  # fmt: skip
# Of a setting, in the CSV.
_CSV = ('config', 'method', 'variant', 'auxiliary', 'auxiliary_weight', 'data', 'network')
_COMPARED = (ACCURACY, MEAN_IOU)
_IOU = 'iou_'


def markdown(study: Study, rows: Sequence[Row]) -> str:
    """All of the table: scores, those of each test city and class, the runs, and what failed.

    Args:
      rows: sorted (`sort_rows`).
    """
    lines = lines_of(study, rows)
    parts = [f'# {study.title}', f'## {rows[0]["data"]}: scores in %', _scores_table(lines)]
    cities, thesis = cities_of(lines), _published_cities(study, lines)
    for key in _COMPARED if cities else ():
        title = f'## {SCORES[key][0].upper()}{SCORES[key][1:]} of each test city in %'
        keys = {city: f'{key}_{city}' for city in cities}
        parts += [title, _parts_table(lines, keys, thesis.get(key, {}))]
    classes = {key.removeprefix(_IOU): key for key in parts_of(lines, _IOU)}
    if classes:
        parts += ['## IoU of each class in %', _parts_table(lines, classes, {})]
    parts += ['## Runs', runs_table(rows, _SETTING)]
    parts.append('\n'.join(f'- {note}' for note in _notes(study, lines, rows)))
    return '\n\n'.join(parts) + '\n'


def _scores_table(lines: Sequence[Line]) -> str:
    base = base_of(lines)
    columns = [['setting', *(line.title for line in lines)]]
    columns.append(['labelled places', *map(_places, summary_of(lines, LABELLED_PLACES)['mean'])])
    for key, title in SCORES.items():
        summary = summary_of(lines, key)
        columns.append([title, *percent_cells(summary, 'std')])
    if len(lines) > 1:
        for key in _COMPARED:
            cells = percent_cells(gains_of(lines, key), 'sem', '+')
            cells = ['' if line.is_base else c for line, c in zip(lines, cells, strict=True)]
            columns.append([f'{SCORES[key]} − {base.title}', *cells])
    published = [line.published for line in lines]
    if any(published):
        columns.append(['thesis: overall accuracy', *(
            '–' if p is None else _printed(p.accuracy, p.accuracy_deviation) for p in published
        )])  # fmt: skip
        columns.append(['thesis: mean IoU', *(
            '–' if p is None else _printed(p.mean_iou, p.mean_iou_deviation) for p in published
        )])  # fmt: skip
    columns.append(['time a run', *map(_time, summary_of(lines, 'seconds')['mean'])])
    return markdown_table([*zip(*columns, strict=True)])


def _printed(value: float, deviation: float | None) -> str:
    return f'{100 * value:.2f}' + ('' if deviation is None else f' ± {100 * deviation:.2f}')


def _places(mean: float) -> str:
    """How many labelled places runs have: the mean, as hold-outs may differ in size."""
    return '–' if math.isnan(mean) else f'{mean:,.0f}'


def _time(seconds: float) -> str:
    return '–' if math.isnan(seconds) else duration(seconds)


def _published_cities(study: Study, lines: Sequence[Line]) -> dict[str, dict[str, float]]:
    """The thesis' scores of test cities, by score and city; empty where there are none.

    They are those of the base, so there are none where another setting stands in for it.
    """
    base = base_of(lines)
    if base.published is None or not study.is_base(base.rows[0]):
        return {}
    found = {city: scores for city in cities_of(lines) if (scores := study.published_city(city))}
    if not found:
        return {}
    return {
        ACCURACY: {city: scores.accuracy for city, scores in found.items()},
        MEAN_IOU: {city: scores.mean_iou for city, scores in found.items()},
    }


def _parts_table(
    lines: Sequence[Line], keys: Mapping[str, str], thesis: Mapping[str, float]
) -> str:
    """A column for each city or class, a row for each setting, and one for the thesis' numbers.

    Args:
      keys: in the rows, by city or class.
      thesis: its numbers, likewise.
    """
    last = [f'thesis, {base_of(lines).title}'] if thesis else []
    columns = [['setting', *(line.title for line in lines), *last]]
    for part, key in keys.items():
        cells = percent_cells(summary_of(lines, key), 'std')
        if thesis:
            cells.append(_printed(thesis[part], None) if part in thesis else '–')
        columns.append([part, *cells])
    return markdown_table([*zip(*columns, strict=True)])


def _notes(study: Study, lines: Sequence[Line], rows: Sequence[Row]) -> list[str]:
    notes = [
        'Mean ± standard deviation (of the sample, n - 1) over the seeds, which draw the labelled'
        ' places, the initial parameters and, unless the config names its test places, the'
        ' hold-out; (n) where a cell has fewer runs than others of its column.',
        'Mean IoU is over the classes that are among the test labels, or over all classes, where'
        ' one without labels counts as 0.',
    ]
    if len(lines) > 1:
        notes.append(
            f'Differences to {base_of(lines).title} are in percentage points, of runs of the same'
            ' seed: their mean ± its standard error.'
        )
    published = [line.published for line in lines if line.published is not None]
    if published:
        places = ', '.join(sorted({p.place for p in published}))
        data = ', '.join(dict.fromkeys(DATA_SETS[p.data] for p in published))
        note = f'thesis: {THESIS} {places}; {data}.'
        if {p.data for p in published} != {rows[0]['data']}:
            note += ' These are other data: compare the order and the differences, not the scores.'
        notes.append(note)
    return [*notes, *study.notes(rows), *unlike_data(rows), *failures(rows)]


def csv(study: Study, rows: Sequence[Row]) -> str:
    """The table as CSV: a row for each setting.

    Columns: `setting`, for people; its labels; `runs`, finished ones; `thesis_data`,
    `thesis_<score>` and `thesis_<score>_std`; `labelled_places_mean` and `seconds_mean`; of each
    score, also of each test city and class, `<score>_mean` and `<score>_std`, from 0 to 1; of the
    difference to the base `<score>_gain_mean`, `_gain_sem` and `_gain_seeds`, empty for the base.
    Empty where there is no number.

    Args:
      rows: sorted (`sort_rows`).
    """
    import pandas as pd  # slow to import: only where it is used

    lines = lines_of(study, rows)
    table = pd.DataFrame([_setting(line) for line in lines])
    columns: dict[str, Any] = {}
    for key in (LABELLED_PLACES, 'seconds'):
        columns[f'{key}_mean'] = summary_of(lines, key)['mean'].to_numpy()
    cities = [f'{key}_{city}' for city in cities_of(lines) for key in _COMPARED]
    for key in (*SCORES, *cities, *parts_of(lines, _IOU)):
        summary = summary_of(lines, key)
        columns |= {f'{key}_{kind}': summary[kind].to_numpy() for kind in ('mean', 'std')}
    others = [not line.is_base for line in lines]
    for key in _COMPARED:
        gains = gains_of(lines, key).reset_index(drop=True).where(pd.Series(others))
        kinds = {'mean': 'mean', 'sem': 'sem', 'seeds': 'count'}
        columns |= {f'{key}_gain_{name}': gains[kind] for name, kind in kinds.items()}
    return table.assign(**columns).to_csv(index=False)


def _setting(line: Line) -> dict[str, Any]:
    """What a line is of, how many runs it has, and the thesis' scores."""
    thesis = line.published
    return {
        'setting': line.title,
        **{key: line.rows[0][key] for key in _CSV},
        'runs': sum(row['error'] is None for row in line.rows),
        'thesis_data': thesis and thesis.data,
        f'thesis_{ACCURACY}': thesis and thesis.accuracy,
        f'thesis_{ACCURACY}_std': thesis and thesis.accuracy_deviation,
        f'thesis_{MEAN_IOU}': thesis and thesis.mean_iou,
        f'thesis_{MEAN_IOU}_std': thesis and thesis.mean_iou_deviation,
    }
