"""Tables of rows, written as the rows come: none of them holds more than a few rows at a time."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from typing import BinaryIO

from eojax.evaluation.predictions.rows import Cell, Row


def write_csv(file: BinaryIO, columns: Sequence[str], rows: Iterable[Row]) -> None:
    """Writes a CSV file: UTF-8, a line of titles, commas, `true` and `false`, empty for None."""
    text = io.TextIOWrapper(file, 'utf-8', errors='surrogateescape', newline='')
    writer = csv.writer(text, lineterminator='\n')
    writer.writerow(columns)
    for row in rows:
        writer.writerow([_text(row[column]) for column in columns])
    text.flush()
    text.detach()


def _text(cell: Cell) -> str | float | int:
    if isinstance(cell, bool):
        return 'true' if cell else 'false'
    return '' if cell is None else cell
