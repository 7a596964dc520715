from __future__ import annotations

import numpy as np
import pytest
import rasterio
from rasterio.crs import CRS
from rasterio.enums import ColorInterp
from rasterio.transform import Affine

from eojax.data.reading import sentinel2
from eojax.data.reading.raster import Raster, Reading
from eojax.data.reading.sentinel2 import RGB, Level
from eojax.data.sets.eurosat_ms import BANDS as ALL_BANDS
from eojax.data.sets.eurosat_ms import LIMITS
from eojax.errors import UserError
from tests.data.rasters import TRANSFORM, UTM, surface, write_raster
from tests.real_data import real_data

COLOURS = ('red', 'green', 'blue')


def _eight_bit(height: int = 40, width: int = 50, bands: int = 3) -> np.ndarray:
    return np.random.default_rng(0).integers(1, 256, (height, width, bands), dtype=np.uint8)


def _fails(path, bands=COLOURS, said='', scale='auto', offset=None) -> str:
    with pytest.raises(UserError) as error:
        Raster(path, bands, None, Reading(said, scale, offset))
    assert '\n' not in str(error.value)
    return str(error.value)


def test_8_bit_values_are_taken_as_they_are(tmp_path):
    pixels = _eight_bit()
    with Raster(write_raster(tmp_path / 'a.tif', pixels), COLOURS) as raster:
        part = raster.read(3, 5, 20, 30)
        np.testing.assert_array_equal(part.pixels, pixels[3:23, 5:35])
        assert part.valid.all()
        assert (raster.height, raster.width) == (40, 50)
        assert raster.crs == CRS.from_string(UTM)
        assert raster.transform == TRANSFORM


@pytest.mark.parametrize(
    ('descriptions', 'said', 'indexes'),
    [
        (('B02', 'B03', 'B04', 'B08'), '', [3, 2, 1]),
        (('blue', 'GREEN', 'red', 'nir'), '', [3, 2, 1]),
        (('b8', 'b4', 'b3', 'b2'), '', [2, 3, 4]),
        (('B02', 'B03', 'B04', 'B08'), '4,3,2', [4, 3, 2]),
        (('B02', 'B03', 'B04', 'B08'), 'B8,B4,B3', [4, 3, 2]),
    ],
)
def test_finds_its_bands(tmp_path, descriptions, said, indexes):
    path = write_raster(tmp_path / 'a.tif', _eight_bit(bands=4), descriptions)
    with Raster(path, COLOURS, reading=Reading(bands=said)) as raster:
        assert raster.indexes == indexes


def test_finds_its_bands_by_colours_and_leaves_alpha_out(tmp_path):
    pixels = _eight_bit(bands=4)
    pixels[..., 3] = 255
    pixels[0, 0, 3] = 0
    colours = (ColorInterp.blue, ColorInterp.green, ColorInterp.red, ColorInterp.alpha)
    with Raster(write_raster(tmp_path / 'a.tif', pixels, colours=colours), COLOURS) as raster:
        assert raster.indexes == [3, 2, 1]
        valid = raster.read(0, 0, 40, 50).valid
    assert not valid[0, 0]
    assert valid.sum() == valid.size - 1


def test_says_which_bands_there_are(tmp_path):
    path = write_raster(tmp_path / 'a.tif', _eight_bit(bands=4), colours=(ColorInterp.gray,) * 4)
    assert 'red, green, blue' in _fails(path)
    assert '--bands' in _fails(path)
    assert "no band '9'" in _fails(path, said='9,1,2')
    assert 'names 2 band(s)' in _fails(path, said='1,2')


def test_scale_of_levels_agrees_and_is_that_of_eurosat(tmp_path):
    ground = surface(96, 96) * 1e4
    air = sentinel2.to_level_1c(ground, RGB, Level.L2A, 0.0)
    scenes = {
        'l2a': np.rint(ground),
        'l1c': np.rint(air),
        'l2a_offset': np.rint(ground) + 1000,
        'l1c_offset': np.rint(air) + 1000,
    }
    expected = np.clip(np.rint(air * 255 / 2750), 0, 255)
    for name, values in scenes.items():
        path = write_raster(tmp_path / f'{name}.tif', values.astype(np.uint16), RGB)
        with Raster(path, COLOURS) as raster:
            pixels = raster.read(0, 0, 96, 96).pixels
        assert pixels.dtype == np.uint8
        assert np.abs(pixels.astype(int) - expected).max() <= 1, name
    path = write_raster(tmp_path / 'float.tif', (ground / 1e4).astype(np.float32), RGB)
    with Raster(path, COLOURS) as raster:
        assert np.abs(raster.read(0, 0, 96, 96).pixels - expected).max() <= 1


def test_what_the_user_says_of_the_scale_wins(tmp_path):
    values = np.rint(surface(96, 96) * 1e4).astype(np.uint16)  # level 2A
    path = write_raster(tmp_path / 'a.tif', values, RGB)
    with Raster(path, COLOURS, reading=Reading(scale='l1c')) as raster:
        plain = raster.read(0, 0, 96, 96).pixels
        assert 'as said' in raster.scale_text
    assert np.abs(plain - np.clip(values * (255 / 2750), 0, 255)).max() <= 0.5
    with Raster(path, COLOURS, reading=Reading(scale='100:1100')) as raster:
        linear = raster.read(0, 0, 96, 96).pixels
    assert np.abs(linear - np.clip((values - 100.0) * 0.255, 0, 255)).max() <= 0.51
    with Raster(path, COLOURS, reading=Reading(scale='l1c', offset=200.0)) as raster:
        lower = raster.read(0, 0, 96, 96).pixels
    assert np.abs(lower - np.clip((values - 200.0) * (255 / 2750), 0, 255)).max() <= 0.5


def test_bands_with_limits_keep_their_units(tmp_path):
    values = np.random.default_rng(0).integers(300, 3000, (70, 70, 13)).astype(np.uint16)
    path = write_raster(tmp_path / 'S2A_MSIL1C_20170101T000000_N0204_x.tif', values, ALL_BANDS)
    with Raster(path, ALL_BANDS, LIMITS) as raster:
        pixels = raster.read(0, 0, 70, 70).pixels
    np.testing.assert_array_equal(pixels, values)
    with Raster(path, ALL_BANDS, LIMITS, Reading(scale='0:3000')) as raster:
        scaled = raster.read(0, 0, 70, 70).pixels.astype(float)
    low, high = np.array(LIMITS).T
    np.testing.assert_allclose(scaled, low + values / 3000 * (high - low), atol=0.51)


def test_a_value_for_no_data_stands_in_all_bands(tmp_path):
    pixels = _eight_bit()
    pixels[2, 3] = 7
    pixels[4, 5, 1] = 7  # in one band only: a dark pixel, which GDAL's mask calls valid
    path = write_raster(tmp_path / 'a.tif', pixels, nodata=7)
    with Raster(path, COLOURS) as raster, rasterio.open(path) as file:
        part = raster.read(0, 0, 40, 50)
        np.testing.assert_array_equal(part.valid, file.dataset_mask() > 0)
    np.testing.assert_array_equal(part.valid, (pixels != 7).any(-1))
    assert not part.pixels[~part.valid].any()
    said = Reading(nodata=7)
    with Raster(write_raster(tmp_path / 'b.tif', pixels), COLOURS, reading=said) as raster:
        np.testing.assert_array_equal(raster.read(0, 0, 40, 50).valid, (pixels != 7).any(-1))


@pytest.mark.parametrize('missing', [-9999.0, np.nan, 1e20])
def test_what_no_measurement_can_be_is_missing_in_each_band(tmp_path, missing):
    values = surface(40, 50).astype(np.float32)
    values[2, 3] = missing
    values[4, 5, 1] = missing
    for nodata, said in ((missing, None), (None, missing)):
        path = write_raster(tmp_path / f'{said}.tif', values, RGB, nodata=nodata)
        with Raster(path, COLOURS, reading=Reading(nodata=said)) as raster:
            valid = raster.read(0, 0, 40, 50).valid
        assert valid.sum() == 40 * 50 - 2
        assert not valid[2, 3]
        assert not valid[4, 5]


def test_alpha_and_masks_in_and_beside_the_file_say_what_is_data(tmp_path):
    pixels = _eight_bit(bands=4)
    pixels[..., 3] = 255
    pixels[:5, :, 3] = 0
    pixels[9, 9, :3] = 0
    colours = (ColorInterp.red, ColorInterp.green, ColorInterp.blue, ColorInterp.alpha)
    expected = np.arange(40)[:, None].repeat(50, 1) >= 5
    # With a value for no data besides, alpha still says.
    for nodata in (None, 0):
        path = write_raster(tmp_path / f'{nodata}.tif', pixels, colours=colours, nodata=nodata)
        with Raster(path, COLOURS) as raster:
            np.testing.assert_array_equal(raster.read(0, 0, 40, 50).valid, expected)
    for inside in (True, False):
        path = write_raster(tmp_path / f'mask_{inside}.tif', pixels[..., :3])
        with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=inside), rasterio.open(path, 'r+') as file:
            file.write_mask(expected)
        assert (tmp_path / f'{path.name}.msk').exists() is not inside
        with Raster(path, COLOURS) as raster:
            np.testing.assert_array_equal(raster.read(0, 0, 40, 50).valid, expected)


def test_a_scene_clipped_to_a_small_part_is_looked_through(tmp_path):
    values = np.zeros((900, 900, 3), np.uint16)
    dark = np.rint(surface(20, 20) * 1e4) + 1000
    values[700:720, 205:225] = dark
    with Raster(write_raster(tmp_path / 'L2A.tif', values, RGB), COLOURS) as raster:
        assert 'offset 1000' in raster.scale_text
        part = raster.read(700, 205, 20, 20)
    assert part.valid.all()
    expected = sentinel2.to_level_1c(dark, RGB, Level.L2A, 1000.0) * 255 / 2750
    assert np.abs(part.pixels - np.clip(expected, 0, 255)).max() <= 0.51


def test_empty_borders_of_sentinel_2_and_nan_are_not_valid(tmp_path):
    values = np.rint(surface(64, 64) * 1e4).astype(np.uint16)
    values[:, :20] = 0
    values[5, 40, 0] = 0  # in one band only: a dark pixel
    with Raster(write_raster(tmp_path / 'a.tif', values, RGB), COLOURS) as raster:
        valid = raster.read(0, 0, 64, 64).valid
    assert not valid[:, :20].any()
    assert valid[:, 20:].all()
    floats = surface(64, 64).astype(np.float32)
    floats[1, 2, 0] = np.nan
    with Raster(write_raster(tmp_path / 'b.tif', floats, RGB), COLOURS) as raster:
        part = raster.read(0, 0, 64, 64)
    assert not part.valid[1, 2]
    assert part.valid.sum() == 64 * 64 - 1


def test_black_of_8_bit_images_is_data(tmp_path):
    pixels = np.zeros((32, 32, 3), np.uint8)
    with Raster(write_raster(tmp_path / 'a.tif', pixels), COLOURS) as raster:
        assert raster.read(0, 0, 32, 32).valid.all()


def test_overview_shows_all_of_the_scene(tmp_path):
    pixels = np.zeros((120, 60, 3), np.uint8)
    pixels[:60], pixels[60:] = 50, 200
    with Raster(write_raster(tmp_path / 'a.tif', pixels), COLOURS) as raster:
        part = raster.overview(30)
    assert part.pixels.shape == (30, 15, 3)
    assert (part.pixels[:15] == 50).all()
    assert (part.pixels[15:] == 200).all()


def test_area_of_pixels(tmp_path):
    pixels = _eight_bit(64, 64)
    with Raster(write_raster(tmp_path / 'a.tif', pixels), COLOURS) as raster:
        np.testing.assert_allclose(raster.pixel_hectares(np.arange(3)), 0.01)
        assert raster.pixel_metres() == pytest.approx(10.0)
    # One degree high and wide at the equator: 110.57 km by 111.32 km on the ellipsoid.
    degree = Affine(1 / 64, 0.0, 10.0, 0.0, -1 / 64, 0.5)
    path = write_raster(tmp_path / 'b.tif', pixels, crs='EPSG:4326', transform=degree)
    with Raster(path, COLOURS) as raster:
        area = raster.pixel_hectares(np.arange(64)).sum() * 64 / 100
        assert area == pytest.approx(110.57 * 111.32, rel=0.01)
    # New York, in US survey feet.
    feet = write_raster(
        tmp_path / 'c.tif', pixels, crs='EPSG:2263',
        transform=Affine(10.0, 0.0, 980_000.0, 0.0, -10.0, 200_000.0),
    )  # fmt: skip
    with Raster(feet, COLOURS) as raster:
        assert raster.pixel_metres() == pytest.approx(10 * 0.3048006, rel=1e-5)
    with Raster(write_raster(tmp_path / 'd.tif', pixels, crs=None), COLOURS) as raster:
        assert raster.crs is None
        assert raster.pixel_metres() is None


def test_broken_files_are_one_line(tmp_path):
    assert 'no such file' in _fails(tmp_path / 'none.tif')
    (tmp_path / 'text.tif').write_text('no image')
    assert 'not a GeoTIFF' in _fails(tmp_path / 'text.tif')
    options = {'tiled': True, 'blockxsize': 128, 'blockysize': 128, 'compress': 'deflate'}
    path = write_raster(tmp_path / 'a.tif', _eight_bit(512, 512), **options)
    content = bytearray(path.read_bytes())
    content[len(content) // 2 : len(content) // 2 + 50_000] = bytes(50_000)
    path.write_bytes(content)
    with Raster(path, COLOURS) as raster, pytest.raises(UserError, match='broken or truncated'):
        raster.read(0, 0, 512, 512)


def test_unknown_values_have_to_be_explained(tmp_path):
    path = write_raster(tmp_path / 'a.tif', _eight_bit().astype(np.uint16))
    assert 'expected auto, l1c, l2a' in _fails(path, scale='toa')
    assert 'LOW below HIGH' in _fails(path, scale='5:5')
    assert 'LOW below HIGH' in _fails(path, scale='0:1,0:2')
    assert 'LOW below HIGH' in _fails(path, scale='0:x')
    assert 'LOW below HIGH' in _fails(path, scale='0:1e400')
    assert 'LOW below HIGH' in _fails(path, scale='0:1e39')  # beyond float32
    assert '--offset=nan' in _fails(path, offset=float('nan'))
    assert '--offset=inf' in _fails(path, offset=float('inf'))
    assert '--scale=LOW:HIGH' in _fails(path, bands=('coast', 'edge', 'haze'))
    eight = write_raster(tmp_path / 'b.tif', _eight_bit())
    assert 'leave out --scale' in _fails(eight, scale='l2a')
    empty = write_raster(tmp_path / 'c.tif', np.zeros((40, 40, 3), np.uint16))
    assert 'no pixel with data' in _fails(empty)


def test_real_scene_comes_near_to_eurosat():
    path = real_data('sentinel2_T48QUE_rgbn.tif')
    with Raster(path, COLOURS) as raster:
        assert raster.indexes == [1, 2, 3]
        assert 'level 2A' in raster.scale_text
        mean = raster.overview(400).pixels.mean((0, 1))
    # Of EuroSAT: 87.7, 96.9 and 103.9.
    assert np.abs(mean - [87.7, 96.9, 103.9]).max() < 15
