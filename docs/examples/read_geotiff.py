"""Windows of a GeoTIFF of any size, as a network is to see them.

`Raster` finds bands by their names, knows what the values mean and which pixels hold data. Here a
scene of reflectances (Sentinel-2, level 1C) is written first, so that the example needs no file;
name one on the command line to read that.
"""

import sys
import tempfile
from pathlib import Path

import numpy as np
import rasterio
from rasterio.transform import from_origin

from eojax.data.reading.patches import patch_places
from eojax.data.reading.raster import Raster, Reading


def write_scene(path):
    """300 x 200 px of four bands, uint16, with a corner without data."""
    values = np.random.default_rng(0).integers(400, 2400, (4, 200, 300)).astype(np.uint16)
    values[:, :50, :40] = 0
    profile = {
        'driver': 'GTiff', 'count': 4, 'height': 200, 'width': 300, 'dtype': 'uint16', 'nodata': 0,
        'crs': 'EPSG:32648', 'transform': from_origin(600000, 1200000, 10, 10),
    }  # fmt: skip
    with rasterio.open(path, 'w', **profile) as file:
        file.write(values)
        file.descriptions = ('B02', 'B03', 'B04', 'B08')


with tempfile.TemporaryDirectory() as folder:
    scene = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(folder) / 'scene.tif'
    if len(sys.argv) < 2:
        write_scene(scene)
    # As 8-bit pictures in red, green, blue, whatever order the file has them in; `scale='l1c'` says
    # what the values are, where the file does not.
    with Raster(scene, ('red', 'green', 'blue'), reading=Reading(scale='l1c')) as raster:
        print(f'{raster.height} x {raster.width} px of {raster.pixel_metres():.3g} m, {raster.crs}')
        print(f'bands {raster.indexes} of the file, read as {raster.scale_text}')
        means = []
        for row, column in patch_places(raster.height, raster.width, patch=64, stride=64):
            part = raster.read(row, column, 64, 64)  # pixels [64, 64, 3], valid [64, 64]
            if part.valid.all():
                means.append(part.pixels.mean((0, 1)))
        print(f'{len(means)} windows of 64 px with data in every pixel, {part.pixels.dtype}')
        print('their mean colour:', np.mean(means, 0).round(1).tolist())
