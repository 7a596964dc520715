"""The table of a study: numbers by point for people, and all runs as CSV."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pandas as pd

from eojax.studies.grid.cells import Row
from eojax.studies.grid.tables import failures, runs_table, unlike_data
from eojax.studies.sweep.plan import SEED, Study
from eojax.studies.sweep.points import Point, best_of, is_share, points_of
from eojax.tables import markdown_table

_TOLD = {'config': 'runs of', 'data': 'data', 'method': 'method', 'network': 'network'}


def markdown(rows: Sequence[Row], study: Study, metric: str) -> str:
    """All of the table: the metric by point, which point is best, the runs, and what failed."""
    points = points_of(rows, study, metric)
    several = any(point.runs > 1 for point in points)
    unit = ' in %' if is_share(metric) else ''
    keys = study.compared if study.base is None else ('changed',)
    head = [*keys, 'runs', f'test {metric}{unit}', f'validation {metric}{unit}']
    lines: list[Sequence[str]] = [head]
    for point in points:
        numbers = ((point.mean, point.deviation), (point.validation, point.validation_deviation))
        cells = [number_cell(*pair, metric) for pair in numbers]
        values = point.values.values() if study.base is None else (_changes(point, study),)
        runs = f'{point.runs} of {point.runs + point.failed}' if point.failed else str(point.runs)
        lines.append([*map(str, values), runs, *cells])
    notes = [best_line(points, metric)]
    if several:
        notes.append('Mean ± standard deviation (of the sample, n - 1) over the seeds.')
    notes += [*unlike_data(rows), *failures(rows)]
    left = [
        n for n, key in enumerate(keys) if any(isinstance(row.get(key, ''), str) for row in rows)
    ]
    parts = [
        f'# Study of {study.name} by {", ".join(study.keys)}{_how(study)}',
        markdown_table(lines, left=left),
        '\n'.join(f'- {note}' for note in notes),
        '## Runs',
        runs_table(rows, _TOLD),
    ]
    return '\n\n'.join(parts) + '\n'


def _how(study: Study) -> str:
    return '' if study.base is None else ', one at a time'


def _changes(point: Point, study: Study) -> str:
    return point.title if study.changed(point.values) else 'nothing'


def best_line(points: Sequence[Point], metric: str) -> str:
    """One line about the best point by validation, or why there is none."""
    best = best_of(points, metric)
    if best is None:
        if sum(bool(point.runs) for point in points) < 2:
            return 'nothing is ranked: there are no two points with results'
        if all(point.failed for point in points if point.runs):
            return 'nothing is ranked: runs of every point failed'
        return (
            f'nothing is ranked: training did not measure {metric} on the validation images of all'
            ' runs, or these are the test images, and to choose by test images would flatter the'
            ' choice'
        )
    others = ', of the points without a failed run' if any(p.failed for p in points) else ''
    return (
        f'best by validation{others}: {best.title} ({metric} of the validation images'
        f' {number_cell(best.validation, best.validation_deviation, metric)}, of the test images'
        f' {number_cell(best.mean, best.deviation, metric)})'
    )


def number_cell(mean: float, deviation: float, metric: str) -> str:
    """`62.00 ± 2.83`, in per cent where it is a share; `–` where there is no number."""
    if math.isnan(mean):
        return '–'
    factor, digits = (100.0, '.2f') if is_share(metric) else (1.0, '.4g')
    text = f'{factor * mean:{digits}}'
    return text if math.isnan(deviation) else f'{text} ± {factor * deviation:{digits}}'


def as_csv(rows: Sequence[Row], study: Study) -> str:
    """A line for each run: the keys that vary, its numbers, where it lies, and why it failed."""
    plain = [
        {key: value for key, value in row.items() if not isinstance(value, (dict, list))}
        for row in rows
    ]
    first = [*study.compared, SEED]
    frame = pd.DataFrame(plain, columns=None if plain else first)
    text: str = frame[[*first, *(key for key in frame if key not in first)]].to_csv(index=False)
    return text
