"""Small GeoTIFFs as satellites' scenes are stored, for tests."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from rasterio.enums import ColorInterp
from rasterio.transform import Affine

UTM = 'EPSG:32632'
TRANSFORM = Affine(10.0, 0.0, 600_000.0, 0.0, -10.0, 5_300_000.0)


def write_raster(
    path: Path,
    pixels: np.ndarray,
    descriptions: tuple[str, ...] = (),
    colours: tuple[ColorInterp, ...] = (),
    crs: Any = UTM,
    transform: Affine = TRANSFORM,
    nodata: float | None = None,
    tags: dict[str, str] | None = None,
    **options: Any,
) -> Path:
    """Writes `[height, width, bands]` as a GeoTIFF."""
    height, width, bands = pixels.shape
    profile = {'driver': 'GTiff', 'height': height, 'width': width, 'count': bands, **options}
    with rasterio.open(
        path, 'w', dtype=pixels.dtype, crs=crs, transform=transform, nodata=nodata, **profile
    ) as file:
        file.write(np.moveaxis(pixels, -1, 0))
        if descriptions:
            file.descriptions = descriptions
        if colours:
            file.colorinterp = colours
        file.update_tags(**(tags or {}))
    return path


def surface(height: int, width: int, seed: int = 0) -> np.ndarray:
    """Reflectance at the surface of B04, B03 and B02, float64 `[H, W, 3]`: forest, soil."""
    rng = np.random.default_rng(seed)
    share = np.clip(rng.normal(0.4, 0.3, (height, width, 1)), 0.0, 1.0)
    forest, soil = np.array([0.025, 0.045, 0.022]), np.array([0.18, 0.14, 0.10])
    return forest + share * (soil - forest) + rng.normal(0.0, 0.002, (height, width, 3))
