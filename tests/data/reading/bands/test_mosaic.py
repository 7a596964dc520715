"""Bands in files of their own on one grid: as rasterio reads them, whatever the window."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import rasterio
from rasterio.enums import Resampling
from rasterio.transform import Affine
from rasterio.windows import Window

from eojax.data.reading.bands.files import open_band_files
from eojax.data.reading.bands.mosaic import as_geotiff, open_scene_of_bands
from eojax.data.reading.raster import Raster, Reading
from eojax.data.reading.scenes.validity import INTERPOLATED, Validity
from eojax.errors import UserError
from tests.data.band_files import BANDS, FACTORS, drawn_bands, write_band, write_bands
from tests.data.rasters import TRANSFORM, UTM

SIDE = 120


def read_all(path: Path, bands: tuple[str, ...] = ()) -> np.ndarray:
    opened, _ = open_scene_of_bands(path, bands)
    with opened:
        return opened.read()


def test_every_band_is_as_rasterio_resamples_its_file(tmp_path: Path) -> None:
    drawn = drawn_bands(SIDE)
    folder = write_bands(tmp_path / 'scene', drawn)
    opened, mosaic = open_scene_of_bands(folder)
    with opened:
        assert opened.descriptions == BANDS
        assert opened.shape == (SIDE, SIDE)
        assert opened.crs == UTM
        assert opened.transform == TRANSFORM
        assert mosaic.notes == ()
        for number, band in enumerate(BANDS, 1):
            with rasterio.open(folder / f'{band}.tif') as file:
                expected = file.read(1, out_shape=(SIDE, SIDE), resampling=Resampling.bilinear)
            np.testing.assert_array_equal(opened.read(number), expected, band)
    np.testing.assert_array_equal(read_all(folder, ('B04',))[0], drawn['B04'])
    # Between the smallest and the greatest that was measured.
    found = read_all(folder, ('B01',))
    assert drawn['B01'].min() <= found.min() <= found.max() <= drawn['B01'].max()


def test_a_window_is_what_the_whole_scene_has_there(tmp_path: Path) -> None:
    folder = write_bands(tmp_path / 'scene', drawn_bands(SIDE), '{band}.jp2')
    opened, _ = open_scene_of_bands(folder)
    with opened:
        whole = opened.read()
        for row, column, height, width in ((0, 0, 17, 120), (31, 7, 64, 64), (113, 101, 7, 19)):
            part = opened.read(window=Window(column, row, width, height))
            expected = whole[:, row : row + height, column : column + width]
            np.testing.assert_array_equal(part, expected)


def test_pixels_without_data_take_no_part_in_the_interpolation(tmp_path: Path) -> None:
    drawn = drawn_bands(SIDE, bands=('B04', 'B05'))
    drawn['B05'][:] = 1000
    drawn['B05'][:20] = 0
    drawn['B04'][:40] = 0
    folder = write_bands(tmp_path / 'scene', drawn)
    found = read_all(folder, ('B05',))[0]
    assert set(np.unique(found).tolist()) == {0, 1000}
    assert (found[41:] == 1000).all()
    assert (found[:39] == 0).all()


@pytest.mark.parametrize('bands', [('B04', 'B02'), ('B04', 'B01'), ('B11', 'B01')])
@pytest.mark.parametrize('nodata', [None, 0.0])
def test_beyond_the_finest_bands_nothing_is_known(
    tmp_path: Path, bands: tuple[str, ...], nodata: float | None
) -> None:
    """At the border of a swath: coarse bands are known some pixels farther than fine ones."""
    drawn = drawn_bands(SIDE)
    swath = np.add.outer(0.3 * np.arange(SIDE), np.arange(SIDE)) > 40
    for band, values in drawn.items():
        side, factor = len(values), FACTORS[band]
        share = swath.reshape(side, factor, side, factor).mean((1, 3))
        values[share < 0.5] = 0
    folder = write_bands(tmp_path / 'scene', drawn)
    reading = Reading(scale='l1c', offset=0.0, nodata=nodata)
    with Raster(folder, bands, None, reading) as scene:
        part = scene.read(0, 0, SIDE, SIDE)
    if nodata is None or 'B04' in bands:
        np.testing.assert_array_equal(part.valid, swath)
    assert not part.pixels[~part.valid].any()


def test_a_fine_band_of_quality_hides_no_coarse_one(tmp_path: Path) -> None:
    path, values = tmp_path / 'scene.tif', np.ones((2, 8, 8), np.uint16)
    values[0], values[1, :3] = 0, 0
    with rasterio.open(
        path, 'w', driver='GTiff', height=8, width=8, count=2, dtype='uint16', nodata=0
    ) as file:
        file.write(values)
        file.descriptions = ('QA60', 'B11')
        file.update_tags(2, **{INTERPOLATED: 'bilinear'})
    with rasterio.open(path) as file:
        valid = Validity(file, [2], None).of(values[1:])
    np.testing.assert_array_equal(valid, values[1] > 0)


@pytest.mark.parametrize('inside', [True, False])
@pytest.mark.parametrize('dtype', ['uint16', 'float32'])
def test_a_mask_in_or_beside_a_band_is_heard(tmp_path: Path, inside: bool, dtype: str) -> None:
    drawn = drawn_bands(SIDE, bands=('B02', 'B03', 'B04', 'B11'))
    folder, kept = tmp_path / 'scene', np.ones((SIDE, SIDE), bool)
    kept[: SIDE // 2] = False
    for band, values in drawn.items():
        path = write_band(folder / f'{band}.tif', values.astype(dtype), 10.0 * FACTORS[band])
        mask = kept[:: FACTORS[band], :: FACTORS[band]]
        with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=inside), rasterio.open(path, 'r+') as file:
            file.write_mask(mask)
    assert (folder / 'B02.tif.msk').exists() != inside
    with Raster(folder, ('B04', 'B02'), None, Reading(scale='l1c', offset=0.0)) as scene:
        valid = scene.read(0, 0, SIDE, SIDE).valid
    np.testing.assert_array_equal(valid, kept)
    found = read_all(folder, ('B04', 'B11'))[:, kept]
    np.testing.assert_array_equal(found[0], drawn['B04'][kept])
    # At the border of what is hidden, too, nothing of it shines through.
    assert found[1].min() >= drawn['B11'][SIDE // 4 :].min()


def test_files_that_cover_nearly_the_same_ground_are_cut_to_what_they_share(
    tmp_path: Path,
) -> None:
    fine = np.arange(100 * 110, dtype=np.uint16).reshape(100, 110) + 1
    folder = tmp_path / 'city'
    write_band(folder / 'B04.tif', fine)
    # 60 m: its corner is 20 m to the north and west; 17 x 18 of its pixels end before the fine.
    coarse = np.full((17, 18), 500, np.uint16)
    moved = TRANSFORM @ Affine.translation(-2, -2) @ Affine.scale(6)
    write_band(folder / 'B01.tif', coarse, transform=moved)
    opened, mosaic = open_scene_of_bands(folder)
    with opened:
        assert opened.shape == (100, 106)
        values = opened.read()
        assert (values[0] == 500).all()
        np.testing.assert_array_equal(values[1], fine[:, :106])
    assert '106x100 pixels that all of them cover are taken of 110x100' in mosaic.notes[0]


def test_without_a_place_files_begin_at_one_corner(tmp_path: Path) -> None:
    drawn = drawn_bands(SIDE, bands=('B02', 'B11', 'B09'))
    placed = write_bands(tmp_path / 'placed', drawn)
    bare = write_bands(tmp_path / 'bare', drawn, place=False)
    np.testing.assert_array_equal(read_all(bare), read_all(placed))


@pytest.mark.parametrize(
    ('make', 'message'),
    [
        (lambda f: write_band(f / 'B05.tif', np.ones((20, 60), np.uint16), 20.0),
         'does not cover the ground of'),
        (lambda f: write_band(f / 'B05.tif', np.ones((60, 60), np.uint16), 20.0, crs='EPSG:32633'),
         'they are of two tiles'),
        (lambda f: write_band(f / 'B05.tif', np.ones((60, 60), np.uint16), place=False),
         'says where it lies and'),
        (lambda f: (f / 'B05.tif').write_bytes(b'no image'), 'not a GeoTIFF or JPEG 2000 file'),
        (lambda f: write_band(f / 'x_B04.tif', np.ones((9, 9), np.uint16)) and write_band(
            f / 'x_B05.tif', np.ones((9, 9), np.uint16)), 'holds the bands of 2 scenes'),
    ],
)  # fmt: skip
def test_files_that_make_no_scene_are_refused(tmp_path: Path, make, message: str) -> None:
    folder = write_bands(tmp_path / 'scene', drawn_bands(SIDE, bands=('B03', 'B04')))
    make(folder)
    with pytest.raises(UserError, match=message) as caught:
        read_all(folder)
    assert '\n' not in str(caught.value)


def test_missing_bands_and_empty_folders_are_said(tmp_path: Path) -> None:
    folder = write_bands(tmp_path / 'scene', drawn_bands(SIDE, bands=('B03', 'B04')))
    with pytest.raises(UserError, match='has no file of B08; it has B03, B04'):
        read_all(folder, ('B04', 'B08'))
    (tmp_path / 'empty').mkdir()
    with pytest.raises(UserError, match=r'no bands of Sentinel-2 in files of their own .* empty'):
        open_band_files(tmp_path / 'empty')
    landsat = write_bands(
        tmp_path / 'l8', drawn_bands(SIDE, bands=('B03', 'B04')), 'LC82190762013244LGN00_{band}.tif'
    )
    with pytest.raises(UserError, match='are of Landsat, whose bands have other numbers'):
        open_band_files(landsat)
    harmonised = write_bands(
        tmp_path / 'l30', drawn_bands(SIDE, bands=('B03', 'B05')), 'HLS.L30.T48QUE.v2.0.{band}.tif'
    )
    with pytest.raises(UserError, match='are of Landsat, whose bands have other numbers'):
        open_band_files(harmonised)


def test_bands_of_several_types_are_refused_where_they_are_wanted(tmp_path: Path) -> None:
    folder = write_bands(tmp_path / 'scene', drawn_bands(SIDE, bands=('B03', 'B04')))
    write_band(folder / 'B02.tif', np.full((SIDE, SIDE), 0.1, np.float32))
    assert len(read_all(folder, ('B03', 'B04'))) == 2
    with pytest.raises(UserError, match='B03 is of type uint16 and B02 of float32'):
        read_all(folder, ('B03', 'B02'))
    with pytest.raises(UserError, match='write all bands in one type'):
        as_geotiff(folder)
    with pytest.raises(UserError, match='its bands are of the types float32, uint16'):
        Raster(folder, ('red', 'green', 'blue'))
    with Raster(folder, ('red', 'green'), reading=Reading(scale='l2a')) as raster:
        assert raster.indexes == [3, 2]


def test_a_band_of_several_resolutions_is_the_finest(tmp_path: Path) -> None:
    drawn = drawn_bands(SIDE, bands=('B02', 'B05'))
    folder = tmp_path / 'scene'
    write_band(folder / 'T1_B02_20m.tif', drawn['B02'][::2, ::2].copy(), 20.0)
    write_band(folder / 'T1_B02_10m.tif', drawn['B02'])
    write_band(folder / 'T1_B05_20m.tif', drawn['B05'], 20.0)
    np.testing.assert_array_equal(read_all(folder)[0], drawn['B02'])
    write_band(folder / 'T1_B2_10m.tif', drawn['B02'])
    with pytest.raises(UserError, match='are both B02: remove one of them'):
        open_band_files(folder)
    assert FACTORS['B05'] == 2
