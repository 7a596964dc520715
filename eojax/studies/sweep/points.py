"""The points of a study: the runs that differ in their seed alone, and their numbers together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from eojax.errors import unknown_name
from eojax.runs.domains import validated_on_test
from eojax.studies.grid.cells import Row
from eojax.studies.grid.tables import over_seeds, runs_of
from eojax.studies.sweep.plan import Study, title_of
from eojax.training.progress import read_metrics

# The first of these that a run has is what a study is about, unless it says otherwise.
_USUAL = ('accuracy', 'mean_iou', 'pixel_accuracy', 'kl_test', 'reconstruction_rmse')
# Of these, and what begins like the last ones, less is better.
_LESS = ('nll', 'ece', 'brier', 'fid', 'kid', 'reconstruction_rmse', 'loss', 'seconds', 'mae',
         'mae_db', 'frechet_distance', 'set_mean_size', 'answered_error', 'area_error',
         'area_mapped_error')  # fmt: skip
_LESS_BEGINS = ('fpr95_', 'kl_', 'texture_distance', 'backscatter_distance', 'aurc_', 'error_at_')
# Shares, which people read in per cent.
_SHARES = ('accuracy', 'mean_iou', 'ece', 'f1', 'kappa', 'auroc', 'fpr95', 'iou', 'precision',
           'recall')  # fmt: skip


class Point(NamedTuple):
    """Runs that differ in their seed alone.

    Attributes:
      values: of the keys that vary, but the seed.
      title: of these.
      mean, deviation: of the metric on the test images; NaN where there are too few runs.
      validation: the mean of the metric on the validation images; NaN likewise.
      validation_deviation: its deviation.
      runs: how many have the metric.
      validated: how many have it on the validation images.
      failed: how many have none, as they came to no end.
    """

    values: Mapping[str, Any]
    title: str
    mean: float
    deviation: float
    validation: float
    validation_deviation: float
    runs: int
    validated: int = 0
    failed: int = 0


def with_validation(rows: Sequence[Row], metric: str) -> list[Row]:
    """The rows with the metric on the validation images, at the step that was evaluated.

    It is None where training did not measure it, and where the validation images are the test
    images once more (`data.validation_by=test`): nothing may be chosen by these.
    """
    key = f'validation_{metric}'
    return [{**row, key: _validated(row, key)} for row in rows]


def _validated(row: Row, key: str) -> float | None:
    folder = Path(row['folder'])
    file = folder / 'metrics.jsonl'
    if row['error'] is not None or not file.exists() or validated_on_test(folder):
        return None
    values = [r[key] for r in read_metrics(file) if r['step'] == row['step'] and key in r]
    return float(values[-1]) if values and values[-1] is not None else None


def metric_of(rows: Sequence[Row], wanted: str) -> str:
    """The metric of a study: the one that is wanted, or the usual one of its runs.

    Raises:
      UserError: no run has it; the message names those that there are.
    """
    finished = [row for row in rows if row['error'] is None]
    numbers = {
        key
        for row in finished
        for key, value in row.items()
        if isinstance(value, (int, float)) and not isinstance(value, bool)
    }
    if wanted and finished and wanted not in numbers:
        raise unknown_name('--metric', wanted, numbers)
    return wanted or next((key for key in _USUAL if key in numbers), _USUAL[0])


def less_is_better(metric: str) -> bool:
    """Whether the smaller number of a metric is the better one."""
    return metric in _LESS or metric.startswith(_LESS_BEGINS)


def is_share(metric: str) -> bool:
    """Whether the metric is a share, which is printed in per cent."""
    name = metric.removeprefix('validation_').removeprefix('pixel_')
    return name.startswith(_SHARES)


def points_of(rows: Sequence[Row], study: Study, metric: str) -> list[Point]:
    """The points in the order of `sorted_rows`."""
    titled = [{**row, 'point': title_of(row, study)} for row in sorted_rows(rows, study)]
    first: dict[str, Row] = {}
    for row in titled:
        first.setdefault(row['point'], row)
    tested, validated = (
        over_seeds(runs_of(titled, key, 'point'), list(first))
        for key in (metric, f'validation_{metric}')
    )
    return [
        Point(
            {key: row[key] for key in study.compared},
            title,
            *_numbers(tested, title),
            *_numbers(validated, title),
            int(tested.loc[title, 'count']),
            int(validated.loc[title, 'count']),
            sum(one['point'] == title and one['error'] is not None for one in titled),
        )
        for title, row in first.items()
    ]


def _numbers(summary: pd.DataFrame, title: str) -> tuple[float, float]:
    return float(summary.loc[title, 'mean']), float(summary.loc[title, 'std'])


def sorted_rows(rows: Sequence[Row], study: Study) -> list[Row]:
    """The rows by the values of their keys: numbers rise, names stand as they come.

    Where one key varies at a time the config as it is comes first, then its changes key by key.
    """
    places = {key: _order([row[key] for row in rows]) for key in study.keys}

    def place(row: Row) -> list[int]:
        values = [places[key][row[key]] for key in study.keys]
        if study.base is None:
            return values
        return [max((1 + study.keys.index(key) for key in study.changed(row)), default=0), *values]

    return sorted(rows, key=place)


def _order(values: Sequence[Any]) -> dict[Any, int]:
    unique = list(dict.fromkeys(values))
    if all(is_number(value) for value in unique):
        unique = sorted(unique)
    return {value: place for place, value in enumerate(unique)}


def is_number(value: Any) -> bool:
    """Whether a value can stand on an axis of numbers."""
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def best_of(points: Sequence[Point], metric: str) -> Point | None:
    """The best point by its validation images; None where they were not measured for all runs.

    A point with a run that failed is none of those that may be the best: the mean of the runs that
    were left over flatters it.
    """
    finished = [point for point in points if point.runs]
    if any(point.validated < point.runs for point in finished):
        return None
    whole = [point for point in finished if not point.failed]
    if len(finished) < 2 or not whole:
        return None
    chosen = min if less_is_better(metric) else max
    return chosen(whole, key=lambda point: point.validation)
