"""The label efficiency table for people: Markdown that reads as plain text too."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from eojax.evaluation.published_results import PAPERS, PublishedResult, published_results
from eojax.studies.grid.cells import Row
from eojax.studies.grid.tables import (
    failures,
    labels_rank,
    over_seeds,
    percent_cells,
    runs_of,
    runs_table,
    unlike_data,
)
from eojax.tables import markdown_table

if TYPE_CHECKING:
    import pandas as pd

_MEASURES = {
    'accuracy': 'Accuracy in %',
    'ece': 'Expected calibration error in % (15 bins)',
}
# Of a series, in the table of runs: key of the row -> its title.
_TOLD = {'config': 'config', 'data': 'data', 'method': 'method', 'network': 'network',
         'image_size': 'px'}  # fmt: skip


def summary_of(rows: Sequence[Row], key: str, config: str, labels: Sequence[Any]) -> pd.DataFrame:
    """A number of a config's runs over the seeds, by labels; see `over_seeds`."""
    own = [row for row in rows if row['config'] == config]
    return over_seeds(runs_of(own, key, 'labels_per_class'), labels)


def published(key: str, data: str, method: str, labels: Any) -> PublishedResult | None:
    """The paper's number; the one with a standard deviation where there are several."""
    found = [r for r in published_results(data, method, labels) if r.key == key]
    return next((r for r in found if r.deviation is not None), found[0] if found else None)


def labels_of_rows(rows: Sequence[Row]) -> list[Any]:
    """`all` first, then from many to few, as the papers' tables are."""
    return sorted({row['labels_per_class'] for row in rows}, key=labels_rank)


def methods_of_rows(rows: Sequence[Row]) -> dict[str, str]:
    """The configs in their order, and the method of each."""
    return {row['config']: row['method'] for row in rows}


def markdown(rows: Sequence[Row], title: str = 'Label efficiency') -> str:
    """All of the table: by data set accuracy and calibration, then the runs and what failed.

    Args:
      rows: sorted (`sort_rows`).
      title: above all.
    """
    parts = [f'# {title}']
    cited: dict[str, set[str]] = {}
    for data in dict.fromkeys(row['data'] for row in rows):
        own = [row for row in rows if row['data'] == data]
        for key, title in _MEASURES.items():
            if any(row.get(key) is not None for row in own):
                parts += [f'## {data}: {title}', _measure_table(own, key, cited)]
    parts += ['## Runs', runs_table(rows, _TOLD)]
    notes = [*_notes(rows, cited)]
    if notes:
        parts.append('\n'.join(f'- {note}' for note in notes))
    return '\n\n'.join(parts) + '\n'


def _measure_table(rows: Sequence[Row], key: str, cited: dict[str, set[str]]) -> str:
    labels, methods, data = labels_of_rows(rows), methods_of_rows(rows), rows[0]['data']
    columns = [['labels per class', *map(str, labels)]]
    for config, method in methods.items():
        ours = summary_of(rows, key, config, labels)
        papers = [published(key, data, method, number) for number in labels]
        columns.append([config, *percent_cells(ours, 'std')])
        if not any(papers):
            continue
        columns.append(['paper', *map(_printed, papers)])
        pairs = zip(ours['mean'], papers, strict=True)
        columns.append(['difference', *(_difference(mean, paper) for mean, paper in pairs)])
        for result in filter(None, papers):
            cited.setdefault(result.paper, set()).add(result.place)
    return markdown_table([*zip(*columns, strict=True)], left=())


def _printed(result: PublishedResult | None) -> str:
    return '–' if result is None else result.printed.removesuffix('%')


def _difference(mean: float, result: PublishedResult | None) -> str:
    if result is None or math.isnan(mean):
        return '–'
    return f'{100 * (mean - result.value):+.2f}'


def _notes(rows: Sequence[Row], cited: dict[str, set[str]]) -> list[str]:
    notes = []
    seeds = {row['seed'] for row in rows}
    if len(seeds) > 1:
        notes.append(
            'Mean ± standard deviation (of the sample, n - 1) over the seeds, which draw the'
            ' hold-out, the labelled images and the initial parameters; (n) where a cell has fewer'
            ' runs than others of its column.'
        )
    for paper in PAPERS:
        if paper in cited:
            notes.append(f'paper: {PAPERS[paper]} {", ".join(sorted(cited[paper]))}.')
    if cited:
        notes.append("difference: ours minus the paper's, in percentage points.")
    return [*notes, *unlike_data(rows), *failures(rows)]
