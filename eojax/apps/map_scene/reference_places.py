"""Labelled ground of a scene itself, to correct the areas of its map: points, or a raster.

`.csv`: a line of titles, and a row for each point: `class`, the name of one of the run's classes;
  `x` and `y` in the scene's coordinate system, or `longitude` and `latitude`; and, where points are
  of plots or clusters, `block`, the name of theirs.
`.geojson`, `.json`: points in longitude and latitude (RFC 7946) with the properties `class` and
  maybe `block`.
`.tif`: classes by number, in the run's order, or by the names that `class_map.tif` of eojax has in
  its tags; its nodata value and 255 are unknown. Pixels beside each other are alike, so squares of
  `--reference_block` pixels of the scene are the blocks.
"""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import rasterio
from rasterio.enums import Resampling
from rasterio.errors import RasterioError
from rasterio.vrt import WarpedVRT
from rasterio.warp import transform as to_system
from rasterio.windows import Window

from eojax.data.reading.raster import SUFFIXES, Raster
from eojax.errors import UserError, unknown_name
from eojax.evaluation.guarantees.areas import SINGLE_BLOCK
from eojax.messages import counted
from eojax.metrics.areas import error_matrices

_UNKNOWN = 255
_DEGREES = 'EPSG:4326'
_NAMES = {'x': 'x', 'y': 'y', 'longitude': 'lon', 'lon': 'lon', 'latitude': 'lat', 'lat': 'lat'}


class Points(NamedTuple):
    """Labelled points of a scene.

    Attributes:
      rows, columns: int `[num]`, pixels of the scene, all inside.
      labels: int `[num]`, their classes.
      blocks: int `[num]`.
      outside: how many others lie outside of the scene.
    """

    rows: np.ndarray
    columns: np.ndarray
    labels: np.ndarray
    blocks: np.ndarray
    outside: int


class Places(NamedTuple):
    """The reference places of a map, counted.

    Attributes:
      counts: int64 `[B, S, K]`, by block, stratum of the map and class.
      one_by_one: whether each is a block of its own.
      notes: lines on what was left out.
    """

    counts: np.ndarray
    one_by_one: bool
    notes: tuple[str, ...]


def is_raster(path: Path) -> bool:
    """Whether a reference file is one of labelled pixels."""
    return path.suffix.lower() in SUFFIXES


def check_reference(path: Path) -> None:
    """Refuses a file that cannot be one of reference places, by its name alone.

    Raises:
      UserError: it is not there, or of another kind.
    """
    if not path.is_file():
        raise UserError(f'--reference={path}: no such file')
    if not is_raster(path) and path.suffix.lower() not in ('.csv', '.geojson', '.json'):
        raise UserError(
            f'--reference={path}: expected points (.csv, .geojson) or a label raster'
            f' ({", ".join(SUFFIXES)})'
        )


def check_places(path: Path, raster: Raster, names: Sequence[str], block: int) -> None:
    """Refuses, before a scene is mapped, reference places that say nothing of it.

    Args:
      block: the side in pixels of the blocks of a label raster.

    Raises:
      UserError: classes that the run does not know, all of them outside of the scene, or places of
        a single block.
    """
    if not is_raster(path):
        blocks = len(np.unique(read_points(path, raster, names).blocks))
    else:
        with _labels(path, raster) as (warped, table):
            blocks = sum(
                bool((_classes(path, warped, window, table, names) >= 0).any())
                for window in _windows(raster, block)
            )
    if not blocks:
        raise UserError(f'--reference={path}: none of its labelled pixels lies in {raster.path}')
    if blocks < 2:
        raise UserError(f'--reference={path}: {SINGLE_BLOCK}')


def count_places(
    path: Path, raster: Raster, class_map: Path, names: Sequence[str], strata: int, block: int
) -> Places:
    """The reference places of a finished map.

    Args:
      class_map: whose pixels have the scene's shape; 255 where nothing was classified.
      names: of the run's classes.
      strata: of the map: its classes, and maybe one more of what is left open.
      block: the side in pixels of the blocks of a label raster.

    Raises:
      UserError: see `check_places`; or none lies where the map has a class.
    """
    num = len(names)
    with rasterio.open(class_map) as mapped:
        if is_raster(path):
            counts = list(_raster_counts(path, raster, mapped, names, strata, block))
            if not counts:
                raise UserError(
                    f'--reference={path}: none of its labelled pixels lies where {raster.path} was'
                    ' classified'
                )
            return Places(np.stack(counts), False, _numbers_note(path, raster, names))
        points = read_points(path, raster, names)
        found = _at(mapped, points)
    here = found != _UNKNOWN
    if not here.any():
        raise UserError(
            f'--reference={path}: none of its points lies where {raster.path} was classified'
        )
    notes = []
    if points.outside:
        notes.append(f'{path}: {counted(points.outside, "point")} outside of the scene left out')
    if not here.all():
        notes.append(f'{path}: {counted(int((~here).sum()), "point")} without a class on the map'
                     ' left out')  # fmt: skip
    blocks = points.blocks[here]
    counts_of_blocks = error_matrices(
        found[here].astype(np.int64), points.labels[here], blocks, strata, num
    )
    return Places(counts_of_blocks, len(counts_of_blocks) == len(blocks), tuple(notes))


def read_points(path: Path, raster: Raster, names: Sequence[str]) -> Points:
    """The points of a file in pixels of a scene.

    Raises:
      UserError: a file that cannot be read, a class that the run does not know, or no point inside.
    """
    if raster.by_points or raster.crs is None:
        how = 'lies by control points' if raster.by_points else 'has no coordinate system'
        raise UserError(
            f'--reference={path}: {raster.path} {how}; bring it to one first (gdalwarp -t_srs'
            ' EPSG:...)'
        )
    listed = list(_from_csv(path) if path.suffix.lower() == '.csv' else _from_geojson(path))
    if not listed:
        raise UserError(f'--reference={path}: no points in it')
    number = {name: index for index, name in enumerate(names)}
    for _, _, _, name, _ in listed:
        if name not in number:
            raise UserError(f'--reference={path}: {unknown_name("class", name, names)}')
    x, y = (np.array([point[axis] for point in listed], np.float64) for axis in (0, 1))
    if listed[0][2] == 'lon':
        _check_degrees(path, x, y)
        x, y = map(np.asarray, to_system(_DEGREES, raster.crs, x.tolist(), y.tolist())[:2])
    with np.errstate(invalid='ignore'):
        columns, rows = (np.floor(values) for values in ~raster.transform @ (x, y))
        inside = (rows >= 0) & (rows < raster.height) & (columns >= 0) & (columns < raster.width)
    if not inside.any():
        raise UserError(f'--reference={path}: none of its points lies in {raster.path}')
    labels = np.array([number[point[3]] for point in listed])
    blocks = [point[4] for point in listed]
    names_of_blocks = [b if b else f'\0{i}' for i, b in enumerate(blocks)]
    _, which = np.unique(names_of_blocks, return_inverse=True)
    return Points(
        rows[inside].astype(np.int64), columns[inside].astype(np.int64), labels[inside],
        which[inside], int((~inside).sum()),
    )  # fmt: skip


def _check_degrees(path: Path, longitudes: np.ndarray, latitudes: np.ndarray) -> None:
    """Refuses coordinates that are none on Earth, such as metres, or latitude before longitude."""
    beyond = np.flatnonzero((np.abs(longitudes) > 180.0) | (np.abs(latitudes) > 90.0))
    if len(beyond):
        shown = f'{longitudes[beyond[0]]:g} and {latitudes[beyond[0]]:g}'
        raise UserError(
            f'--reference={path}: {shown} are no longitude and latitude in degrees: are they'
            " exchanged, or metres? A .csv takes the scene's own coordinates as x and y; GeoJSON is"
            ' in EPSG:4326, longitude first'
        )


# x, y, kind of coordinates (`x` or `lon`), class, block.
_Point = tuple[float, float, str, str, str]


def _from_csv(path: Path) -> Iterator[_Point]:
    try:
        text = path.read_text(encoding='utf-8-sig')
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(
            f'--reference={path}: cannot be read, as text in UTF-8 is expected ({error})'
        ) from None
    rows = csv.DictReader(text.splitlines())
    titles = {_NAMES.get(t.strip().lower(), t.strip().lower()): t for t in rows.fieldnames or ()}
    kind = next((k for k in ('x', 'lon') if {k, {'x': 'y', 'lon': 'lat'}[k]} <= titles.keys()), '')
    if not kind or 'class' not in titles:
        raise UserError(
            f'--reference={path}: expected the columns class, and x and y or longitude and'
            f' latitude; found {", ".join(titles) or "none"}'
        )
    other = 'y' if kind == 'x' else 'lat'
    for line, row in enumerate(rows, 2):
        place = _numbers(path, f'line {line}', row[titles[kind]], row[titles[other]])
        block = (row[titles['block']] or '').strip() if 'block' in titles else ''
        yield *place, kind, (row[titles['class']] or '').strip(), block


def _from_geojson(path: Path) -> Iterator[_Point]:
    try:
        features = json.loads(path.read_text(encoding='utf-8'))['features']
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(
            f'--reference={path}: not a GeoJSON collection of features ({error})'
        ) from None
    for number, feature in enumerate(features):
        title = f'feature {number}'
        try:
            geometry, properties = feature['geometry'], feature['properties']
            if geometry['type'] != 'Point':
                raise UserError(f'--reference={path}: {title} is a {geometry["type"]}, no point')
            x, y = geometry['coordinates'][:2]
            block = properties.get('block')
            name, block = str(properties['class']), '' if block is None else str(block)
        except (KeyError, TypeError, ValueError):
            raise UserError(
                f'--reference={path}: {title} is no point with the property class'
            ) from None
        yield *_numbers(path, title, x, y), 'lon', name, block


def _numbers(path: Path, title: str, *values: Any) -> tuple[float, float]:
    try:
        x, y = (float(value) for value in values)
    except (TypeError, ValueError):
        x = y = math.nan
    if not (math.isfinite(x) and math.isfinite(y)):
        raise UserError(f'--reference={path}: {title} has no coordinates')
    return x, y


def _at(mapped: Any, points: Points) -> np.ndarray:
    """The map's values at points, read block by block, so that memory does not grow with it."""
    found = np.full(len(points.rows), _UNKNOWN, np.uint8)
    side = 512
    _, which = np.unique(points.rows // side * (mapped.width + 1) + points.columns // side,
                         return_inverse=True)  # fmt: skip
    for number in range(which.max() + 1):
        chosen = which == number
        top = int(points.rows[chosen][0] // side * side)
        left = int(points.columns[chosen][0] // side * side)
        window = Window(left, top, min(side, mapped.width - left), min(side, mapped.height - top))
        values = mapped.read(1, window=window)
        found[chosen] = values[points.rows[chosen] - top, points.columns[chosen] - left]
    return found


class _labels:
    """A label raster on the grid of a scene, opened, and the names of its numbers."""

    def __init__(self, path: Path, raster: Raster) -> None:
        self._path, self._raster = path, raster

    def __enter__(self) -> tuple[Any, Mapping[int, str]]:
        raster = self._raster
        try:
            self._file = rasterio.open(self._path)
        except RasterioError as error:
            raise UserError(f'--reference={self._path}: cannot be read: {error}') from None
        if self._file.crs is None or raster.crs is None or raster.by_points:
            self._file.close()
            raise UserError(
                f'--reference={self._path}: it and the scene both need a coordinate system'
            )
        if self._file.count != 1 or np.dtype(self._file.dtypes[0]).kind not in 'iu':
            self._file.close()
            raise UserError(f'--reference={self._path}: expected one band of whole numbers')
        nodata = _UNKNOWN if self._file.nodata is None else self._file.nodata
        self._warped = WarpedVRT(
            self._file, crs=raster.crs, transform=raster.transform, width=raster.width,
            height=raster.height, resampling=Resampling.nearest, src_nodata=nodata, nodata=nodata,
        )  # fmt: skip
        tags = self._file.tags()
        return self._warped, {
            int(key[6:]): name for key, name in tags.items()
            if key.startswith('CLASS_') and key[6:].isdigit()
        }  # fmt: skip

    def __exit__(self, *_: object) -> None:
        self._warped.close()
        self._file.close()


def _classes(
    path: Path, warped: Any, window: Window, table: Mapping[int, str], names: Sequence[str]
) -> np.ndarray:
    """The run's classes in a window, int64; -1 where unknown."""
    values = warped.read(1, window=window).astype(np.int64)
    unknown = (values == _UNKNOWN) | (values == int(warped.nodata))
    labels = np.where(unknown, -1, values)
    for value in np.unique(labels[labels >= 0]).tolist():
        name = table.get(value, names[value] if not table and value < len(names) else None)
        if name is None or name not in names:
            shown = f'{value}' if name is None else f'{value} ({name})'
            raise UserError(
                f"--reference={path}: class {shown} is none of the run's, which are"
                f' {", ".join(f"{i} {n}" for i, n in enumerate(names))}; {_UNKNOWN} is unknown'
            )
        if table:
            labels[values == value] = names.index(name)
    if (labels < -1).any():
        raise UserError(f'--reference={path}: a class is {labels.min()}; classes count from 0')
    return labels


def _numbers_note(path: Path, raster: Raster, names: Sequence[str]) -> tuple[str, ...]:
    """A line on what the numbers were taken for, where the file does not name its classes."""
    with _labels(path, raster) as (_, table):
        if table:
            return ()
    shown = [f'{number} {name}' for number, name in enumerate(names)]
    listed = ', '.join(shown if len(shown) < 5 else [*shown[:2], '...', shown[-1]])
    return (f"{path}: its numbers were taken for the run's classes in their order: {listed}",)


def _windows(raster: Raster, side: int) -> Iterator[Window]:
    for top in range(0, raster.height, side):
        for left in range(0, raster.width, side):
            yield Window(left, top, min(side, raster.width - left), min(side, raster.height - top))


def _raster_counts(
    path: Path, raster: Raster, mapped: Any, names: Sequence[str], strata: int, block: int
) -> Iterator[np.ndarray]:
    """The pixels of each square by stratum and class, int64 `[S, K]`, of those with any."""
    num = len(names)
    with _labels(path, raster) as (warped, table):
        for window in _windows(raster, block):
            labels = _classes(path, warped, window, table, names)
            found = mapped.read(1, window=window)
            here = (labels >= 0) & (found != _UNKNOWN)
            if here.any():
                cells = found[here].astype(np.int64) * num + labels[here]
                yield np.bincount(cells, minlength=strata * num).reshape(strata, num)
