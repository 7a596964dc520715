"""GeoNRW and DFC2020, data for image synthesis, on small files in their layouts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from rasterio.io import MemoryFile

from eojax.data import options as data_options
from eojax.data.dataset import Window
from eojax.data.value_range import scale_to_unit
from eojax.errors import UserError
from tests.data.sets.pixels.test_published_pixels import (
    group_of,
    labels_of,
    names_of,
    opened,
    options_of,
)
from tests.data.sets.pixels.tiles import dfc2020, geonrw, geotiff, write_files

pytestmark = pytest.mark.filterwarnings('ignore::rasterio.errors.NotGeoreferencedWarning')


def stored_in(content: bytes, ext: str) -> np.ndarray:
    with MemoryFile(content, ext=ext) as memory, memory.open() as file:
        return np.moveaxis(file.read(), 0, -1)


def test_geonrw(tmp_path: Path) -> None:
    files = geonrw()
    data, split = opened('geonrw', write_files(tmp_path / 'geonrw.zip', files))
    assert (data.facts.num_classes, data.facts.metres, data.facts.size) == (10, 1.0, (40, 40))
    assert tuple(data.facts.rasters) == ('images', 'elevation')
    assert data.facts.group_names == ('aachen', 'bonn', 'herne')
    assert group_of(data, split.test) == {'herne'}
    assert group_of(data, split.train) == {'aachen', 'bonn'}
    assert (len(split.train), len(split.validation), len(split.test)) == (5, 1, 3)
    place = names_of(data, np.arange(9)).index('bonn/291_5627')
    window = Window(3, 7, 20, 30)
    read = data.source.read(place, window, ('images', 'elevation', 'labels'))
    rgb = stored_in(files['bonn/291_5627_rgb.jp2'], '.jp2')
    np.testing.assert_array_equal(read['images'], rgb[3:23, 7:37])
    dem = stored_in(files['bonn/291_5627_dem.tif'], '.tif')
    np.testing.assert_array_equal(read['elevation'], dem[3:23, 7:37])
    seg = np.arange(1600).reshape(40, 40)[3:23, 7:37] % 11
    np.testing.assert_array_equal(read['labels'], np.where(seg == 0, 255, seg - 1))
    # Metres to the network's range: 0 and 500 m are its ends.
    limits = data.facts.rasters['elevation'].limits
    np.testing.assert_allclose(
        scale_to_unit(read['elevation'], limits), dem[3:23, 7:37] / 250.0 - 1.0, atol=1e-6
    )


def test_geonrw_with_radar(tmp_path: Path) -> None:
    files = geonrw()
    root = write_files(tmp_path, files)
    data, split = opened('geonrw', root, with_sar=True, limits='elevation=-20:380')
    assert (data.places.num, len(split.test)) == (6, 2)
    assert data.facts.rasters['elevation'].limits == ((-20.0, 380.0),)
    place = names_of(data, np.arange(6)).index('herne/292_5627')
    read = data.source.read(place, None, ('sar',))['sar']
    amplitude = stored_in(files['herne/292_5627_sar.tif'], '.tif').astype(np.float64)
    assert (amplitude == 0).any()
    with np.errstate(divide='ignore'):
        share = np.clip(20.0 * np.log10(amplitude) / 100.0, 0.0, 1.0)  # the paper's
    unit = scale_to_unit(read, data.facts.rasters['sar'].limits)
    np.testing.assert_allclose(unit, 2.0 * share - 1.0, atol=1e-6)
    without = {name: content for name, content in files.items() if 'sar' not in name}
    with pytest.raises(UserError, match=r'none of its 9 places has the raster sar: .*_sar\.tif'):
        opened('geonrw', write_files(tmp_path / 'without', without), with_sar=True)


def test_elevation_of_another_type_is_read_as_metres(tmp_path: Path) -> None:
    files = geonrw(tiles=2)
    dem = np.arange(1600, dtype=np.int16).reshape(40, 40, 1)
    files['aachen/290_5627_dem.tif'] = geotiff(dem)
    data, _ = opened('geonrw', write_files(tmp_path, files))
    read = data.source.read(0, None, ('elevation',))['elevation']
    assert read.dtype == np.float32
    np.testing.assert_array_equal(read, dem)


def test_dfc2020(tmp_path: Path) -> None:
    files = dfc2020({'validation': 2, 'test': 4})
    root = write_files(tmp_path, files)
    data, split = opened('dfc2020', root)
    assert (data.facts.num_classes, data.facts.metres, data.facts.size) == (10, 10.0, (256, 256))
    assert data.bands == ('B04', 'B03', 'B02')
    # The paper trains on the contest's test patches.
    assert set(names_of(data, split.test)) == {'validation/validation/0', 'validation/validation/1'}
    assert (len(split.train), len(split.validation)) == (3, 1)
    place = names_of(data, np.arange(6)).index('test/0/2')
    window = Window(10, 20, 30, 40)
    read = data.source.read(place, window, ('images', 'sar', 'labels'))
    part = (slice(10, 40), slice(20, 60))
    s2 = stored_in(files['ROIs0000_test/s2_0/ROIs0000_test_s2_0_p2.tif'], '.tif')[part]
    s1 = stored_in(files['ROIs0000_test/s1_0/ROIs0000_test_s1_0_p2.tif'], '.tif')[part]
    np.testing.assert_array_equal(read['images'], s2[..., [3, 2, 1]])
    np.testing.assert_array_equal(read['sar'], s1)
    np.testing.assert_allclose(
        scale_to_unit(read['images'], data.limits),
        2.0 * np.clip(s2[..., [3, 2, 1]] / 3500.0, 0.0, 1.0) - 1.0,
        atol=1e-6,
    )
    np.testing.assert_allclose(
        scale_to_unit(read['sar'], data.facts.rasters['sar'].limits),
        2.0 * (np.clip(s1, -20.0, 5.0) + 20.0) / 25.0 - 1.0,
        atol=1e-6,
    )
    stored = (np.arange(256 * 256).reshape(256, 256) % 11)[part]
    stored[(stored == 3) | (stored == 8)] = 0
    np.testing.assert_array_equal(read['labels'], np.where(stored == 0, 255, stored - 1))


def test_options_of_dfc2020(tmp_path: Path) -> None:
    root = write_files(tmp_path / 'dfc.zip', dfc2020({'validation': 3, 'test': 1}))
    data, split = opened(
        'dfc2020', root, split='contest', bands='B08, B12', limits='images=0:4000,0:3000'
    )
    assert names_of(data, split.test) == ['test/0/0']
    assert data.bands == ('B08', 'B12')
    assert data.limits == ((0.0, 4000.0), (0.0, 3000.0))
    for values, message in (
        ({'bands': 'B04,B4'}, r"unknown band in data\.bands 'B4'"),
        ({'bands': 'B04,B04'}, r'data\.bands: B04 is in it twice'),
        ({'limits': 'sar=-20:5,0:1,0:1'}, r'data\.limits: 3 pairs for sar, which has 2 band'),
        ({'split': 'mine'}, r"data\.split 'mine'"),
    ):
        with pytest.raises(UserError, match=message):
            options_of('dfc2020', root, **values)


@pytest.mark.parametrize('name', ['geonrw', 'dfc2020'])
def test_labels_beyond_the_classes_are_named(tmp_path: Path, name: str) -> None:
    if name == 'geonrw':
        files, file, side = geonrw(tiles=2), 'bonn/291_5627_seg.tif', 40
    else:
        files, side = dfc2020({'validation': 1, 'test': 3}), 256
        file = 'ROIs0000_test/dfc_0/ROIs0000_test_dfc_0_p1.tif'
    labels = np.ones((side, side, 1), np.uint8)
    labels[5, 9] = 11
    files[file] = geotiff(labels)
    data, _ = opened(name, write_files(tmp_path, files))
    place = {'geonrw': 'bonn/291_5627', 'dfc2020': 'test/0/1'}[name]
    match = rf'{file}: label 11 in row 5, column 9 is none of 0, 1, .*, 10'
    with pytest.raises(UserError, match=match):
        labels_of(data, place)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    files = geonrw(tiles=2)
    del files['herne/291_5627_dem.tif']
    with pytest.raises(UserError, match=r'herne/291_5627_dem\.tif is missing: the elevation of'):
        opened('geonrw', write_files(tmp_path, files))
    with pytest.raises(UserError, match=r'unknown raster in data\.limits'):
        data_options.check(options_of('geonrw', tmp_path, limits='dem=0:5'), 'data')
