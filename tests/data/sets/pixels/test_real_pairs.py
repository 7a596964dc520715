"""Real places with land cover, colour, elevation and radar, read as pairs for image synthesis."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from eojax.data.dataset import Dataset
from eojax.data.value_range import scale_to_unit
from tests.data.sets.pixels.test_published_pixels import opened
from tests.real_data import real_data

pytestmark = pytest.mark.filterwarnings('ignore::rasterio.errors.NotGeoreferencedWarning')


def folder(path: Path, **values: Any) -> Dataset:
    return opened('pixel_folder', path, **values)[0]


def in_unit(data: Dataset, place: int, name: str) -> np.ndarray:
    read = data.source.read(place, None, (name,))[name]
    return scale_to_unit(read, data.facts.rasters[name].limits)


def labels(data: Dataset, place: int) -> np.ndarray:
    return data.source.read(place, None, ('labels',))['labels']


def test_places_of_terramesh() -> None:
    data = folder(
        real_data('terramesh_places.zip'),
        images_pattern='S2RGB/{name}.tif',
        masks_pattern='LULC/{name}.tif',
        mask_values='0=none,1=water,2=trees,3=flooded vegetation,4=crops,5=built area,'
        '6=bare ground,7=snow and ice,8=none,9=rangeland',
        raster_patterns='elevation=DEM/{name}.tif,sar=S1RTC/{name}.tif',
        limits='elevation=-10:1490;sar=-25:5',
        cut=112,
    )
    assert (data.places.num, data.facts.size) == (12, (112, 112))
    assert data.facts.rasters['sar'].dtype == 'float32'  # stored as float64
    # The coast: water lies below the land and answers the radar less.
    place = list(data.names).index('282D_485L_3_3/000_000')
    water = labels(data, place) == data.class_names.index('water')
    land = labels(data, place) == data.class_names.index('trees')
    assert min(water.sum(), land.sum()) > 500
    for name in ('elevation', 'sar'):
        values = in_unit(data, place, name).mean(-1)
        assert values[water].mean() < values[land].mean() - 0.01


def test_chips_of_sentinel_1() -> None:
    data = folder(
        real_data('sen1floods11_sample.zip'),
        images_pattern='sen1floods11/S1/{name}_S1Hand.tif',
        masks_pattern='sen1floods11/Labels/{name}_LabelHand.tif',
        mask_values='-1=none,0=land,1=water',
        raster_patterns='vh=sen1floods11/S1/{name}_S1Hand.tif',
        bands='images=VV;vh=VH',
        limits='images=-20:5;vh=-28:-3',
    )
    assert (data.places.num, data.bands, data.facts.rasters['vh'].bands) == (3, ('VV',), ('VH',))
    known = labels(data, 0)
    for name in ('images', 'vh'):
        values = in_unit(data, 0, name)[..., 0]
        assert values[known == 1].mean() < values[known == 0].mean() - 0.5


def test_scene_of_airsar_in_squares() -> None:
    path = real_data('airsar_san_francisco.tif')
    data = folder(
        path.parent,
        images_pattern='{name}_francisco.tif',
        masks_pattern='{name}_francisco_labels.png',
        mask_values='0=none,1=bare soil,2=mountain,3=water,4=urban,5=vegetation',
        raster_patterns='t33={name}_francisco.tif',
        bands='images=1;t33=3',
        decibels='images=power;t33=power',
        limits='images=-26:3;t33=-39:-5',
        cut=128,
    )
    assert (data.places.num, data.bands) == (28, ('T11',))
    known = np.stack([labels(data, place) for place in range(28)])
    urban, water = (data.class_names.index(name) for name in ('urban', 'water'))
    for name in ('images', 't33'):
        values = np.stack([in_unit(data, place, name)[..., 0] for place in range(28)])
        assert np.median(values[known == water]) < np.median(values[known == urban]) - 0.4
        assert (np.abs(values) == 1.0).mean() < 0.01  # hardly any is clipped
