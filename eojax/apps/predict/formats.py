"""The files that predictions are written to: CSV, Parquet or GeoJSON, by the file's ending.

Rows are written as they come, to a temporary file that takes its name when it is complete.
"""

from __future__ import annotations

import importlib.util
import itertools
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from eojax.data.reading.scenes.footprint import Footprint
from eojax.errors import UserError
from eojax.evaluation.predictions.rows import Row
from eojax.evaluation.predictions.tables import write_csv

# Rows of a Parquet file that are held until they are written together.
_ROWS = 10_000
_TEXT, _TRUTH = ('file', 'class'), ('unseen',)


class Predicted(NamedTuple):
    """A row, and where its image lies; None where that is not known."""

    row: Row
    footprint: Footprint | None


Write = Callable[[BinaryIO, Sequence[str], Iterable[Predicted]], None]


def writer_of(path: Path) -> Write:
    """How a file of this name is written.

    Raises:
      UserError: an ending that says no format, or one whose library is not installed.
    """
    ending = path.suffix.lower()
    if ending not in _WRITERS:
        raise UserError(
            f'--out={path}: a file that ends in {", ".join(_WRITERS)} is expected, which says how'
            ' it is written'
        )
    if ending == '.parquet' and importlib.util.find_spec('pyarrow') is None:
        raise UserError(
            f'--out={path}: Parquet needs pyarrow, which is not installed: pip install pyarrow, or'
            ' name a .csv'
        )
    return _WRITERS[ending]


def _write_csv(file: BinaryIO, columns: Sequence[str], rows: Iterable[Predicted]) -> None:
    write_csv(file, columns, (one.row for one in rows))


def _write_parquet(file: BinaryIO, columns: Sequence[str], rows: Iterable[Predicted]) -> None:
    import pyarrow
    from pyarrow import parquet

    def kind(column: str) -> Any:
        if column.startswith(_TEXT):
            return pyarrow.string()
        return pyarrow.bool_() if column in _TRUTH else pyarrow.float64()

    schema = pyarrow.schema([(column, kind(column)) for column in columns])
    with parquet.ParquetWriter(file, schema) as writer:
        for some in _grouped(rows):
            listed = [_plain(one.row) for one in some]
            writer.write_table(pyarrow.Table.from_pylist(listed, schema))


def _grouped(rows: Iterable[Predicted]) -> Iterator[list[Predicted]]:
    remaining = iter(rows)
    while some := list(itertools.islice(remaining, _ROWS)):
        yield some


def _plain(row: Row) -> dict[str, Any]:
    """A row whose names are proper text: bytes that are not UTF-8 are shown by their numbers."""
    return {key: _proper(cell) for key, cell in row.items()}


def _proper(cell: Any) -> Any:
    return cell.encode('utf-8', 'backslashreplace').decode() if isinstance(cell, str) else cell


def _write_geojson(file: BinaryIO, columns: Sequence[str], rows: Iterable[Predicted]) -> None:
    """A FeatureCollection (RFC 7946); the geometry of an image without a place is null."""
    file.write(b'{"type": "FeatureCollection", "features": [')
    for number, one in enumerate(rows):
        properties = {column: one.row[column] for column in columns}
        feature = {
            'type': 'Feature',
            'geometry': None if one.footprint is None else _geometry(one.footprint),
            'properties': _plain(properties),
        }
        text = json.dumps(feature, allow_nan=False, ensure_ascii=False)
        file.write((',\n' if number else '\n').encode() + text.encode())
    file.write(b'\n]}\n')


def _geometry(place: Footprint) -> dict[str, Any]:
    rings = [[list(point) for point in ring] for ring in place.rings]
    if len(rings) == 1:
        return {'type': 'Polygon', 'coordinates': rings}
    return {'type': 'MultiPolygon', 'coordinates': [[ring] for ring in rings]}


_WRITERS: dict[str, Write] = {
    '.csv': _write_csv,
    '.parquet': _write_parquet,
    '.geojson': _write_geojson,
}
