"""The part of a map that may change: a mask in a file, or polygons of GeoJSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from rasterio.crs import CRS
from rasterio.enums import ColorInterp, Resampling
from rasterio.features import rasterize
from rasterio.vrt import WarpedVRT
from rasterio.warp import transform_geom

from eojax.apps.map_scene.companions import Grid
from eojax.data.reading.scenes.ground import PROJECTION_ERRORS
from eojax.errors import UserError

_POLYGONS = ('Polygon', 'MultiPolygon')
_MOST_BYTES = 2**28
# Longitude and latitude, as the standard of GeoJSON has it.
_LONGITUDE_LATITUDE = 'OGC:CRS84'


def region_mask(path: Path, grid: Grid) -> np.ndarray:
    """Which pixels of a map lie in a region, bool `[height, width]`.

    Of a GeoTIFF or PNG all pixels that are neither 0 nor without data, brought onto the map by the
    nearest neighbour; without a place on Earth it must have the map's size. Of GeoJSON, in
    longitude and latitude or in the system of its `crs`, all pixels whose centre lies in a polygon.

    Raises:
      UserError: a file that cannot be read or does not fit, or one without any pixel of the map.
    """
    title = f'--region={path}'
    if not path.is_file():
        raise UserError(f'{title}: no such file')
    polygons = path.suffix.lower() in ('.geojson', '.json')
    mask = _of_polygons(path, grid, title) if polygons else _of_raster(path, grid, title)
    if not mask.any():
        raise UserError(f'{title}: no pixel of {grid.path} lies in it')
    return mask


def _of_raster(path: Path, grid: Grid, title: str) -> np.ndarray:
    try:
        with rasterio.open(path) as file:
            if file.crs is not None and grid.crs is not None:
                alpha = file.nodata is None
                with WarpedVRT(
                    file, crs=grid.crs, transform=grid.transform, width=grid.width,
                    height=grid.height, resampling=Resampling.nearest, add_alpha=alpha,
                ) as warped:  # fmt: skip
                    return _inside(warped, file)
            if file.shape != (grid.height, grid.width):
                raise UserError(
                    f'{title}: is {file.width} x {file.height} pixels, and {grid.path}'
                    f' {grid.width} x {grid.height}; one of them lies nowhere on Earth'
                )
            return _inside(file, file)
    except (OSError, *PROJECTION_ERRORS) as error:
        raise UserError(f'{title}: cannot be read ({" ".join(str(error).split())})') from None


def _inside(read: Any, file: Any) -> np.ndarray:
    """Pixels of the bands of a file, read as they are or brought onto a map."""
    kinds = zip(file.indexes, file.colorinterp, strict=True)
    bands = [index for index, kind in kinds if kind is not ColorInterp.alpha]
    values = read.read(bands)
    # NaN is not 0: it is no data, whether the file says so or not.
    return ((values != 0) & ~np.isnan(values)).any(0) & (read.dataset_mask() > 0)


def _of_polygons(path: Path, grid: Grid, title: str) -> np.ndarray:
    if grid.crs is None:
        raise UserError(
            f'{title}: {grid.path} lies nowhere on Earth, so a polygon has no place on it: give a'
            ' mask of its size'
        )
    if path.stat().st_size > _MOST_BYTES:
        raise UserError(f'{title}: larger than polygons can be')
    try:
        content = json.loads(path.read_text(encoding='utf-8'))
        shapes = [shape for shape in _geometries(content) if shape.get('type') in _POLYGONS]
        if not shapes:
            raise UserError(f'{title}: no polygon in it')
        crs = CRS.from_user_input(_system(content))
        placed = [transform_geom(crs, grid.crs, shape) for shape in shapes]
        size = (grid.height, grid.width)
        return rasterize(placed, size, transform=grid.transform, dtype='uint8').astype(bool)
    except (
        ValueError,
        TypeError,
        KeyError,
        AttributeError,
        RecursionError,
        *PROJECTION_ERRORS,
    ) as error:
        reason = ' '.join(str(error).split())
        raise UserError(f'{title}: no GeoJSON that can be read ({reason})') from None


def _geometries(content: Any) -> list[Any]:
    """All geometries of an object of GeoJSON."""
    kind = content['type']
    if kind == 'FeatureCollection':
        return [shape for one in content['features'] for shape in _geometries(one)]
    if kind == 'Feature':
        return _geometries(content['geometry']) if content['geometry'] else []
    if kind == 'GeometryCollection':
        return [shape for one in content['geometries'] for shape in _geometries(one)]
    return [content]


def _system(content: Any) -> str:
    """The coordinate system: longitude and latitude, or what older files say."""
    said = content.get('crs')
    return _LONGITUDE_LATITUDE if not said else str(said['properties']['name'])
