"""Where an image lies on the Earth: its outline and its centre in longitude and latitude.

Outlines follow GeoJSON (RFC 7946): WGS 84, longitude first, the outer ring counterclockwise and
closed, and cut where it crosses the 180th meridian.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from rasterio.crs import CRS
from rasterio.io import DatasetReader
from rasterio.transform import Affine, from_gcps
from rasterio.warp import transform as transform_points

from eojax.data.reading.scenes.ground import PROJECTION_ERRORS, unwrapped

# Along each side, as straight lines of a grid are curved in longitude and latitude.
_POINTS_A_SIDE = 8
# An outline that is smaller than this along both axes needs no more than its corners.
_SMALL_DEGREES = 0.25
_LEAST_POINTS = 3  # control points that put an image in its place
_DIGITS = 7  # of degrees: a centimetre

Ring = tuple[tuple[float, float], ...]


class Footprint(NamedTuple):
    """The ground that an image shows.

    Attributes:
      longitude, latitude: of its centre, in degrees; -180 to 180, and -90 to 90.
      rings: the outer ring of each polygon, pairs of longitude and latitude, the last one the
        first; two polygons where the 180th meridian cuts it.
    """

    longitude: float
    latitude: float
    rings: tuple[Ring, ...]


def footprint_of(file: DatasetReader) -> Footprint | None:
    """The ground of an open file; None where it does not say where it lies.

    Args:
      file: with a coordinate system and a transform, or control points.
    """
    crs, transform = file.crs, file.transform
    points, points_crs = file.gcps
    if crs is None and points_crs is not None and len(points) >= _LEAST_POINTS:
        crs, transform = points_crs, from_gcps(unwrapped(points, points_crs))
    # Without a transform GDAL gives rows and columns, which are no place.
    if crs is None or transform.is_identity:
        return None
    return footprint(crs, transform, file.height, file.width)


def footprint(crs: CRS, transform: Affine, height: int, width: int) -> Footprint | None:
    """The ground of an image of so many pixels; None where its coordinates are off the Earth."""
    columns, rows = _outline(height, width)
    x, y = transform @ (np.append(columns, width / 2), np.append(rows, height / 2))
    try:
        longitudes, latitudes = transform_points(crs, 'EPSG:4326', x.tolist(), y.tolist())
    except PROJECTION_ERRORS:
        return None
    longitude, latitude = np.asarray(longitudes), np.asarray(latitudes)
    if not (np.isfinite(longitude).all() and np.isfinite(latitude).all()):
        return None
    centre = (longitude[-1] + 180.0) % 360.0 - 180.0
    # Within half a turn of the centre, so that no side jumps around the Earth.
    near = centre + (longitude[:-1] - centre + 180.0) % 360.0 - 180.0
    small = max(np.ptp(near), np.ptp(latitude[:-1])) < _SMALL_DEGREES
    step = _POINTS_A_SIDE if small else 1
    ring = list(zip(near[::step].tolist(), latitude[:-1:step].tolist(), strict=True))
    return Footprint(
        round(float(centre), _DIGITS), round(float(latitude[-1]), _DIGITS), _rings(ring)
    )


def _outline(height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Columns and rows of points around an image, each corner once."""
    along = np.arange(_POINTS_A_SIDE) / _POINTS_A_SIDE
    none, full = np.zeros(_POINTS_A_SIDE), np.ones(_POINTS_A_SIDE)
    columns = np.concatenate([along, full, 1.0 - along, none]) * width
    rows = np.concatenate([none, along, full, 1.0 - along]) * height
    return columns, rows


def _rings(ring: list[tuple[float, float]]) -> tuple[Ring, ...]:
    """The ring, or its parts on this and on the other side of the 180th meridian."""
    longitudes = [longitude for longitude, _ in ring]
    if min(longitudes) >= -180.0 and max(longitudes) <= 180.0:
        return (_closed(ring),)
    border = 180.0 if max(longitudes) > 180.0 else -180.0
    east, west = (_clipped(ring, border, side) for side in (1.0, -1.0))
    moved = [(east, border == 180.0, -360.0), (west, border == -180.0, 360.0)]
    parts = [
        [(longitude + (by if beyond else 0.0), latitude) for longitude, latitude in part]
        for part, beyond, by in moved
    ]
    return tuple(_closed(part) for part in parts if len(part) > 2)


def _clipped(
    ring: Sequence[tuple[float, float]], border: float, side: float
) -> list[tuple[float, float]]:
    """The part of a ring on one side of a meridian: east of it (1) or west of it (-1)."""
    kept: list[tuple[float, float]] = []
    for (x0, y0), (x1, y1) in zip(ring, [*ring[1:], ring[0]], strict=True):
        inside, next_inside = side * (x0 - border) >= 0.0, side * (x1 - border) >= 0.0
        if inside:
            kept.append((x0, y0))
        if inside != next_inside:
            kept.append((border, y0 + (y1 - y0) * (border - x0) / (x1 - x0)))
    return kept


def _closed(ring: Sequence[tuple[float, float]]) -> Ring:
    """Counterclockwise, rounded, and with its first point at the end too."""
    x, y = np.asarray(ring).T
    twice = float(np.sum(x * np.roll(y, -1) - np.roll(x, -1) * y))
    ordered = ring if twice > 0.0 else ring[::-1]
    points = [(round(float(a), _DIGITS), round(float(b), _DIGITS)) for a, b in ordered]
    return (*points, points[0])
