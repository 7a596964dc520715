"""Small archives in the layouts of EuroSAT's 13-band files, for the tests."""

from __future__ import annotations

import numpy as np
import rasterio
from rasterio.io import MemoryFile

from eojax.data.sets import eurosat_ms


def encode_geotiff(array: np.ndarray, **options: object) -> bytes:
    """An array `[height, width, bands]` as the published files are: pixel-interleaved, in UTM."""
    height, width, bands = array.shape
    profile = {
        'driver': 'GTiff', 'height': height, 'width': width, 'count': bands,
        'dtype': array.dtype, 'interleave': 'pixel', 'crs': 'EPSG:32635',
        'transform': rasterio.Affine(10.0, 0.0, 5e5, 0.0, -10.0, 5e6),
    }  # fmt: skip
    with MemoryFile() as memory:
        with memory.open(**(profile | options)) as file:
            file.write(np.moveaxis(array, -1, 0))
        return memory.read()


def reflectances(seed: int, size: int = 64) -> np.ndarray:
    """Seeded uint16 `[size, size, 13]`; the mean of each band is near the published one."""
    rng = np.random.default_rng(seed)
    mean, std = np.array(eurosat_ms.MEAN), np.array(eurosat_ms.STD)
    values = mean + 0.8 * std * (
        rng.standard_normal(13) + 0.3 * rng.standard_normal((size, size, 13))
    )
    return np.round(np.maximum(values, 0.0)).astype(np.uint16)


def eurosat_ms_members(num: int = 2, top: str = 'EuroSAT_MS') -> dict[str, bytes]:
    """`num` files of each class, by their path in the archive; each has colours of its own."""
    return {
        f'{top}/{name}/{name}_{i + 1}.tif': encode_geotiff(reflectances(100 * label + i))
        for label, name in enumerate(eurosat_ms.CLASS_NAMES)
        for i in range(num)
    }
