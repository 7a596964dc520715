"""What the tables of grids have in common: rows in their files, numbers over seeds, Markdown.

A row is what `eojax.studies.grid.cells.row_of` says of a run; a series is the runs with the same
`config` (a label of their cells) and `data`.
"""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from eojax.atomic_file import write_atomically
from eojax.studies.grid.cells import Row
from eojax.studies.grid.run_grid import duration


def write_table(folder: Path, rows: Sequence[Row], markdown: str) -> None:
    """Writes `table.json` and, for people, `table.md`."""
    values = json.dumps(rows, indent=1, allow_nan=False) + '\n'
    for name, text in (('table.json', values), ('table.md', markdown)):
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


class Summary(NamedTuple):
    """Of the runs of a cell.

    Attributes:
      mean: over the seeds.
      deviation: standard deviation of the sample, n - 1; None for a single run.
      runs: how many.
    """

    mean: float
    deviation: float | None
    runs: int

    @property
    def standard_error(self) -> float | None:
        """Of the mean: the deviation over the root of the number of runs."""
        return None if self.deviation is None else self.deviation / math.sqrt(self.runs)


def summarise(values: Sequence[float]) -> Summary | None:
    """Mean and deviation; None of nothing."""
    if not values:
        return None
    deviation = statistics.stdev(values) if len(values) > 1 else None
    return Summary(statistics.fmean(values), deviation, len(values))


def runs_table(rows: Sequence[Row], told: Mapping[str, str]) -> str:
    """A line for each series: what it is, how many runs of it are there, what they took.

    Args:
      rows: in the order of the table.
      told: keys of the rows that say what a series is -> titles of their columns.
    """
    measured = ('steps', 'runs', 'time a run', 'device', 'commit')
    columns: list[list[str]] = [[title] for title in (*told.values(), *measured)]
    for data, config in dict.fromkeys((row['data'], row['config']) for row in rows):
        own = [row for row in rows if (row['data'], row['config']) == (data, config)]
        finished = [row for row in own if row['error'] is None]
        seconds = summarise([row['seconds'] for row in finished if row['seconds'] is not None])
        cells = (
            *(_each([row[key] for row in own]) for key in told),
            _each([f'{row["steps"]:,}' for row in finished]),
            f'{len(finished)} of {len(own)}',
            '–' if seconds is None else duration(seconds.mean),
            _each([row['hardware']['device'] for row in finished if row['hardware']]),
            _each([_short(row['commit']) for row in finished if row['commit']]),
        )
        for column, cell in zip(columns, cells, strict=True):
            column.append(cell)
    texts = [p for p, key in enumerate(told) if any(isinstance(row[key], str) for row in rows)]
    return aligned(columns, left=(*texts, len(columns) - 2, len(columns) - 1))


def failures(rows: Sequence[Row]) -> list[str]:
    """A line for each run that failed."""
    return [f'failed: {row["folder"]}: {row["error"]}' for row in rows if row['error']]


def _short(commits: str) -> str:
    """The first digits of each commit, and whether the tree had changes."""
    parts = [commit.partition('-') for commit in commits.split(', ')]
    return ', '.join(f'{name[:10]}{dash}{dirty}' for name, dash, dirty in parts)


def _each(values: Sequence[Any]) -> str:
    """What runs say, each thing once."""
    told = dict.fromkeys(str(value) for value in values if value not in (None, ''))
    return ', '.join(told) or '–'


def aligned(columns: Sequence[Sequence[str]], left: Sequence[int] = ()) -> str:
    """A Markdown table whose columns are aligned in plain text too.

    Args:
      columns: each with its title first.
      left: the columns that are aligned to the left.
    """
    widths = [max(3, *map(len, column)) for column in columns]
    lines = []
    for number, cells in enumerate(zip(*columns, strict=True)):
        padded = [
            cell.ljust(width) if place in left else cell.rjust(width)
            for place, (cell, width) in enumerate(zip(cells, widths, strict=True))
        ]
        lines.append(f'| {" | ".join(padded)} |')
        if number == 0:
            rules = [
                '-' * (width + 2) if place in left else '-' * (width + 1) + ':'
                for place, width in enumerate(widths)
            ]
            lines.append(f'|{"|".join(rules)}|')
    return '\n'.join(lines)
