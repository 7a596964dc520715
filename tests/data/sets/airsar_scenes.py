"""A small scene in AIRSAR's layout, for the tests."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import rasterio
from PIL import Image

HEIGHT, WIDTH, STRIPE = 192, 256, 50
# dB of each class in each band; pixels scatter around them.
LEVELS = np.array(
    [[-17, -16, -25], [-10, -15, -17], [-14, -24, -29], [-9, -7, -14], [-12, -13, -15]], float
)


def write_scene(folder: Path, labels: np.ndarray | None = None, name: str = 'scene') -> Path:
    """Five vertical stripes, one a class, in the layout of the real files."""
    if labels is None:
        labels = np.broadcast_to(np.minimum(np.arange(WIDTH) // STRIPE, 4) + 1, (HEIGHT, WIDTH))
        labels = labels.astype(np.uint8)
    noise = np.random.default_rng(0).normal(0.0, 1.0, (3, *labels.shape))
    decibels = np.moveaxis(LEVELS[np.maximum(labels, 1) - 1], -1, 0) + noise
    path = folder / f'{name}.tif'
    profile = {'driver': 'GTiff', 'dtype': 'float32', 'count': 3}
    with rasterio.open(path, 'w', height=labels.shape[0], width=labels.shape[1], **profile) as file:
        file.write((10.0 ** (decibels / 10.0)).astype(np.float32))
        file.descriptions = ('T11', 'T22', 'T33')
    Image.fromarray(labels).save(folder / f'{name}_labels.png')
    return path
