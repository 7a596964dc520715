"""The common part of the tables of grids: rows in their files, numbers over seeds, Markdown.

A row is what `eojax.studies.grid.cells.row_of` says of a run; a series is the runs with the same
`config` (a label of their cells) and `data`.
"""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from eojax.atomic_file import write_atomically
from eojax.runs import domains
from eojax.studies.grid.cells import Row
from eojax.studies.grid.runner import duration
from eojax.tables import markdown_table

if TYPE_CHECKING:
    import pandas as pd


def write_table(
    folder: Path, rows: Sequence[Row], markdown: str, others: Mapping[str, str] | None = None
) -> None:
    """Writes `table.json`, for people `table.md`, and the other files of text by their names."""
    values = json.dumps(rows, indent=1, allow_nan=False) + '\n'
    for name, text in {'table.json': values, 'table.md': markdown, **(others or {})}.items():
        _write_text(folder / name, text)


def _write_text(path: Path, text: str) -> None:
    write_atomically(path, lambda file: file.write(text.encode()))


def by_folder(rows: Sequence[Row]) -> list[Row]:
    """The row of each folder once, the first of it, in their order."""
    return list({Path(row['folder']).resolve(): row for row in reversed(rows)}.values())[::-1]


def trained_folders(rows: Sequence[Row]) -> list[Path]:
    """The folders of the runs that came to their end."""
    return [Path(row['folder']) for row in rows if row['error'] is None]


def labels_rank(labels: Any) -> float:
    """For sorting: `all` first, then from many to few."""
    return float('-inf') if labels == 'all' else -float(labels)


def runs_of(rows: Sequence[Row], measure: str, labels: str) -> pd.Series:
    """A number of each run that has it.

    Args:
      rows: of one series.
      measure: the key of the number.
      labels: the key of the number of labels.

    Returns:
      The numbers by labels (as text) and seed: the difference of two is that of equal seeds.
    """
    import pandas as pd  # slow to import: only where it is used

    own = [row for row in rows if row.get(measure) is not None and row[measure] == row[measure]]
    texts, seeds = [str(row[labels]) for row in own], [row['seed'] for row in own]
    # Not by way of a table with columns of mixed types, which takes ten times as long: studies
    # write all of their tables anew after each run.
    index = pd.MultiIndex.from_arrays([texts, seeds], names=[labels, 'seed'])
    return pd.Series([float(row[measure]) for row in own], index, float, measure)


def over_seeds(runs: pd.Series, labels: Sequence[Any]) -> pd.DataFrame:
    """Means and deviations of a series over its seeds.

    Args:
      runs: see `runs_of`.
      labels: the numbers of labels that are wanted, in order.

    Returns:
      A row for each number of labels: `mean`; `std`, the standard deviation of the sample, n - 1;
      `sem`, the standard error of the mean; and `count`, how many runs. NaN where there are too few
      runs.
    """
    import pandas as pd  # slow to import: only where it is used

    values: dict[str, list[float]] = {str(number): [] for number in labels}
    for text, value in zip(runs.index.get_level_values(0), runs.to_numpy(), strict=True):
        if text in values and not math.isnan(value):  # of a difference: one seed has no other run
            values[text].append(float(value))
    summary = {text: _summary(own) for text, own in values.items()}
    return pd.DataFrame.from_dict(summary, 'index', float, ['mean', 'std', 'sem', 'count'])


def _summary(values: Sequence[float]) -> tuple[float, float, float, int]:
    mean = statistics.fmean(values) if values else math.nan
    deviation = statistics.stdev(values) if len(values) > 1 else math.nan
    return mean, deviation, deviation / math.sqrt(len(values) or 1), len(values)


def percent_cells(summary: pd.DataFrame, error: str, sign: str = '') -> list[str]:
    """A column of a table: means in per cent, with their errors.

    Args:
      summary: see `over_seeds`.
      error: the column that stands behind the `±`, `std` or `sem`.
      sign: '+' writes the sign of positive numbers too.

    Returns:
      `62.00 ± 2.83`, with the number of runs behind it where it is smaller than the column's
      largest; `–` where there are none.
    """
    cells, most = [], summary['count'].max()
    for mean, deviation, runs in summary[['mean', error, 'count']].itertuples(index=False):
        text = f'{100 * mean:{sign}.2f}' + (f' ± {100 * deviation:.2f}' if runs > 1 else '')
        cells.append('–' if not runs else text if runs == most else f'{text} ({runs:.0f})')
    return cells


def runs_table(rows: Sequence[Row], told: Mapping[str, str]) -> str:
    """A line for each series: what it is, how many runs of it are there, what they took.

    Args:
      rows: in the order of the table.
      told: keys of the rows that say what a series is -> titles of their columns.
    """
    measured = ('steps', 'runs', 'time a run', 'device', 'commit')
    table: list[Sequence[str]] = [(*told.values(), *measured)]
    for data, config in dict.fromkeys((row['data'], row['config']) for row in rows):
        own = [row for row in rows if (row['data'], row['config']) == (data, config)]
        finished = [row for row in own if row['error'] is None]
        seconds = [row['seconds'] for row in finished if row['seconds'] is not None]
        table.append((
            *(_each([row[key] for row in own]) for key in told),
            _each([f'{row["steps"]:,}' for row in finished]),
            f'{len(finished)} of {len(own)}',
            duration(statistics.fmean(seconds)) if seconds else '–',
            _each([row['hardware']['device'] for row in finished if row['hardware']]),
            _each([_short(row['commit']) for row in finished if row['commit']]),
        ))  # fmt: skip
    texts = [p for p, key in enumerate(told) if any(isinstance(row[key], str) for row in rows)]
    return markdown_table(table, left=(*texts, len(table[0]) - 2, len(table[0]) - 1))


def failures(rows: Sequence[Row]) -> list[str]:
    """A line for each run that failed."""
    return [f'failed: {row["folder"]}: {row["error"]}' for row in rows if row['error']]


def unlike_data(rows: Sequence[Row]) -> list[str]:
    """Lines on finished runs that one table should not compare, by the splits that they keep.

    Runs of one seed are compared in pairs, so that they should be tested on the same places. Runs
    of one series are averaged, so that all should be of as much data: files that were added or
    removed between two of them change the parts of the later one alone.
    """
    tested: dict[tuple[Any, ...], dict[Any, str]] = {}
    held: dict[tuple[Any, ...], dict[int, str]] = {}
    for row in rows:
        folder = Path(row['folder'])
        if row['error'] is not None or not domains.keeps_splits(folder):
            continue
        parts, data = domains.kept_record(folder, domains.TARGET).parts, _data_of(row)
        tested.setdefault((*data, row['seed']), {}).setdefault(parts['test'], str(folder))
        places = sum(parts[part].places for part in ('train', 'validation', 'test'))
        held.setdefault((*data, row['config']), {}).setdefault(places, str(folder))
    lines = [
        f'not tested on the same places, though of one seed: {" and ".join([*of.values()][:2])}'
        for of in tested.values()
        if len(of) > 1
    ]
    lines += [
        'not of the same data: '
        + ' and '.join(f'{folder} of {num:,} places' for num, folder in [*of.items()][:2])
        for of in held.values()
        if len(of) > 1
    ]
    return lines


def _data_of(row: Row) -> tuple[Any, ...]:
    """What a run is about, as far as tables keep it apart."""
    return row['data'], row.get('classes'), row.get('num_classes')


def _short(commits: str) -> str:
    """The first digits of each commit, and whether the tree had changes."""
    parts = [commit.partition('-') for commit in commits.split(', ')]
    return ', '.join(f'{name[:10]}{dash}{dirty}' for name, dash, dirty in parts)


def _each(values: Sequence[Any]) -> str:
    """The values of runs, each once."""
    told = dict.fromkeys(str(value) for value in values if value not in (None, ''))
    return ', '.join(told) or '–'
