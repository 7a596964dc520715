"""True ground of a scene: how large its pixels are on the Earth, whatever its coordinate system.

The units of a coordinate system are not metres on the ground: Web Mercator (EPSG:3857) draws a
metre at 60 degrees north as two, and degrees shrink towards the poles. At the nodes of a grid over
the scene the corners of a pixel are taken to longitude and latitude; with the radii of curvature of
the ellipsoid WGS 84, M along the meridian and N across it,

    M = a (1 - e^2) / (1 - e^2 sin^2 phi)^(3/2),    N = a / (1 - e^2 sin^2 phi)^(1/2),
    area = M N cos(phi) |d(lambda, phi) / d(column, row)|.

Between nodes it is interpolated. The grids of surveys (UTM in its zone, most national grids) differ
from the ground by less than `GRID_TOLERANCE`; areas in them are given in the grid's own metres, as
everywhere.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from rasterio._err import CPLE_BaseError
from rasterio.control import GroundControlPoint
from rasterio.crs import CRS
from rasterio.errors import CRSError, RasterioError
from rasterio.transform import Affine
from rasterio.warp import transform as transform_points

# Of areas: a grid that differs from the ground by no more anywhere in the scene is taken as it is.
GRID_TOLERANCE = 0.0025
_SEMI_MAJOR = 6_378_137.0  # of WGS 84, in metres
_SQUARED_ECCENTRICITY = 0.0066943799901413165
# The base class of what PROJ raises has no public name.
PROJECTION_ERRORS = (CRSError, RasterioError, CPLE_BaseError)
_NODES = (257, 17)  # along rows and columns, at most


class Ground(NamedTuple):
    """The size of a scene's pixels on the ground.

    Attributes:
      rows, columns: positions of the nodes in pixels, float64 `[R]` and `[C]`.
      areas: of a pixel at each node, in square metres, float64 `[R, C]`; 0 off the Earth.
      sides: height and width of the pixel at the scene's centre, in metres.
      centre: the area of that pixel, in square metres: less than its sides' product where it is
        skewed.
      width: of the scene in pixels.
      by_grid: whether areas are those of the grid of the scene's coordinates.
    """

    rows: np.ndarray
    columns: np.ndarray
    areas: np.ndarray
    sides: tuple[float, float]
    centre: float
    width: int
    by_grid: bool = False

    @property
    def by_row(self) -> bool:
        """Whether all pixels of a row have the same area."""
        return bool(np.allclose(self.areas, self.areas[:, :1], rtol=1e-9, atol=0.0))

    def row_areas(self, rows: np.ndarray) -> np.ndarray:
        """The mean area of a pixel of each row, in square metres `[len(rows)]`."""
        # How much each node counts in the sum over a row's pixels.
        hats = [np.interp(_centres(self.width), self.columns, one) for one in np.eye(self._num)]
        return self._at_rows(rows) @ np.mean(hats, axis=1)

    def cell_areas(self, rows: np.ndarray, cell: int, num: int) -> np.ndarray:
        """The areas of the first `num` cells, `len(rows)` x `cell` pixels each, of a row of cells.

        Returns:
          Square metres, float64 `[num]`.
        """
        along = self._at_rows(rows).sum(0) * cell
        return np.interp((np.arange(num) + 0.5) * cell, self.columns, along)

    @property
    def _num(self) -> int:
        return len(self.columns)

    def _at_rows(self, rows: np.ndarray) -> np.ndarray:
        """Areas at the nodes' columns, `[len(rows), C]`."""
        at = np.asarray(rows, np.float64) + 0.5
        return np.stack([np.interp(at, self.rows, one) for one in self.areas.T], axis=-1)


def unwrapped(points: Sequence[GroundControlPoint], crs: CRS) -> list[GroundControlPoint]:
    """Control points whose longitudes do not jump by 360 degrees at the 180th meridian.

    Args:
      points: of a scene, at least one.
      crs: of their coordinates.
    """
    if not crs.is_geographic:
        return list(points)
    first = points[0].x
    return [
        GroundControlPoint(
            point.row, point.col, first + (point.x - first + 180.0) % 360.0 - 180.0, point.y
        )
        if abs(point.x - first) > 180.0
        else point
        for point in points
    ]


def find_ground(crs: CRS | None, transform: Affine, height: int, width: int) -> Ground | None:
    """The ground of a scene; None where its coordinate system does not tell.

    Args:
      crs, transform: of the scene.
      height, width: in pixels.
    """
    if crs is None:
        return None
    rows, columns = (
        _centres(length) if length <= most else np.linspace(0.5, length - 0.5, most)
        for length, most in zip((height, width), _NODES, strict=True)
    )
    nominal = _nominal(crs, transform)
    at = np.meshgrid(rows, columns, indexing='ij')
    areas, _ = _measure(crs, transform, *at)
    centre, sides = _measure(crs, transform, np.array([height / 2]), np.array([width / 2]))
    if not np.isfinite(centre).all() or centre[0] <= 0.0:
        return nominal and _even(nominal, rows, columns, width)
    areas = np.where(np.isfinite(areas), areas, 0.0)
    if nominal is not None:
        grid = nominal[0] * nominal[1]
        if np.abs(areas / grid - 1.0).max() <= GRID_TOLERANCE:
            return _even(nominal, rows, columns, width)
    lengths = float(sides[0][0]), float(sides[1][0])
    return Ground(rows, columns, areas, lengths, float(centre[0]), width)


def _centres(length: int) -> np.ndarray:
    return np.arange(length) + 0.5


def _even(sides: tuple[float, float], rows: np.ndarray, columns: np.ndarray, width: int) -> Ground:
    areas = np.full((len(rows), len(columns)), sides[0] * sides[1])
    return Ground(rows, columns, areas, sides, sides[0] * sides[1], width, by_grid=True)


def _nominal(crs: CRS, transform: Affine) -> tuple[float, float] | None:
    """Height and width of a pixel by the units of the coordinates; None where these are angles."""
    if crs.is_geographic:
        return None
    try:
        factor = crs.linear_units_factor[1]
    except PROJECTION_ERRORS:
        return None
    width = float(np.hypot(transform.a, transform.d))
    return abs(transform.determinant) / width * factor, width * factor


def _measure(
    crs: CRS, transform: Affine, rows: np.ndarray, columns: np.ndarray
) -> tuple[np.ndarray, tuple[np.ndarray, np.ndarray]]:
    """Areas of pixels with these centres, and their heights and widths; no number off the Earth."""
    shape = np.shape(rows)
    row, column = np.ravel(rows), np.ravel(columns)
    half, none = 0.5, np.zeros(len(row))
    moved = [(none, none - half), (none, none + half), (none - half, none), (none + half, none)]
    x, y = transform @ (
        np.concatenate([column + across for _, across in moved]),
        np.concatenate([row + down for down, _ in moved]),
    )
    try:
        longitudes, latitudes = transform_points(crs, 'EPSG:4326', x.tolist(), y.tolist())
    except PROJECTION_ERRORS:
        nothing = np.full(shape, np.nan)
        return nothing, (nothing, nothing)
    longitude, latitude = (
        np.asarray(values, np.float64).reshape(4, -1) for values in (longitudes, latitudes)
    )
    with np.errstate(invalid='ignore', over='ignore'):
        phi = np.deg2rad(latitude.mean(0))
        curved = 1.0 - _SQUARED_ECCENTRICITY * np.sin(phi) ** 2
        north = _SEMI_MAJOR * (1.0 - _SQUARED_ECCENTRICITY) / curved**1.5
        east = _SEMI_MAJOR / np.sqrt(curved) * np.cos(phi)
        # Across the 180th meridian too.
        across, down = (
            np.stack([
                east * np.deg2rad((longitude[i + 1] - longitude[i] + 180.0) % 360.0 - 180.0),
                north * np.deg2rad(latitude[i + 1] - latitude[i]),
            ])
            for i in (0, 2)
        )  # fmt: skip
        areas = np.abs(across[0] * down[1] - across[1] * down[0])
        sides = np.hypot(*down), np.hypot(*across)
    return areas.reshape(shape), (sides[0].reshape(shape), sides[1].reshape(shape))
