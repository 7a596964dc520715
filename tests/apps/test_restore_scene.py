"""Scenes of drawn landscapes, with pixels without data."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import rasterio
from rasterio.control import GroundControlPoint
from rasterio.enums import ColorInterp
from rasterio.rpc import RPC
from rasterio.transform import Affine

from eojax.apps.restore import command as restore
from eojax.apps.restore import scene as restore_scene
from eojax.apps.restore import scene_files
from eojax.data.reading.raster import Raster
from eojax.data.value_range import scale_to_unit
from tests.data.rasters import TRANSFORM, UTM, write_raster
from tests.tiny_runs import TinyRun, tiny_run

SHORT = ['--chains=2', '--steps=1']


@pytest.fixture(scope='module')
def jem() -> TinyRun:
    return tiny_run('jem')


def _scene(run: Any, rows: int = 5, columns: int = 6) -> np.ndarray:
    """Training images side by side, uint8 `[80, 96, 3]`, no value of them 0."""
    images = run.dataset.images[: rows * columns].reshape(rows, columns, 16, 16, 3)
    return np.maximum(images.swapaxes(1, 2).reshape(rows * 16, columns * 16, 3), 1)


@pytest.fixture(scope='module')
def holes(jem) -> np.ndarray:
    missing = np.zeros((80, 96), bool)
    missing[20:25, 30:37] = True
    missing[40] = True
    missing[70:, 88:] = True
    missing[0, 0] = missing[79, 3] = True
    return missing


@pytest.fixture(scope='module')
def repaired(jem, holes, tmp_path_factory) -> Path:
    """A scene of uint16 with a fourth band, tags, and nodata 0, repaired into `out`."""
    folder = tmp_path_factory.mktemp('scene')
    visible = _scene(jem.run).astype(np.uint16) * 10
    pixels = np.concatenate([np.full((80, 96, 1), 77, np.uint16), visible], -1)
    pixels[holes] = 0
    write_raster(
        folder / 'town.tif', pixels, ('nir', 'red', 'green', 'blue'), nodata=0,
        tags={'SENSOR': 'drawn'}, compress='lzw', tiled=True, blockxsize=32, blockysize=32,
    )  # fmt: skip
    out = folder / 'out'
    restore.main(
        [f'--workdir={jem.folder}', f'--images={folder}/town.tif', f'--out={out}',
         '--scale=0:2550', *SHORT]
    )  # fmt: skip
    return folder


def test_georeference_type_bands_and_tags_are_kept(repaired):
    with (
        rasterio.open(repaired / 'town.tif') as before,
        rasterio.open(repaired / 'out' / 'town_restored.tif') as after,
    ):
        assert (after.crs, after.transform) == (before.crs, TRANSFORM)
        assert after.crs.to_string() == UTM
        assert (after.dtypes, after.shape) == (before.dtypes, before.shape)
        assert after.descriptions == before.descriptions
        assert after.tags()['SENSOR'] == 'drawn'
        assert after.nodata == 0
        assert after.profile['compress'] == 'lzw'
    told = json.loads((repaired / 'out' / 'restoration.json').read_text())
    assert told['bands_left'] == 1


def test_known_pixels_are_bit_identical_and_missing_ones_filled(repaired, holes, jem):
    with rasterio.open(repaired / 'town.tif') as file:
        before = np.moveaxis(file.read(), 0, -1)
    with rasterio.open(repaired / 'out' / 'town_restored.tif') as file:
        after = np.moveaxis(file.read(), 0, -1)
    np.testing.assert_array_equal(after[~holes], before[~holes])
    assert (after[holes][:, 1:] > 0).all()
    # The band that the run does not see stays without data.
    assert (after[holes][:, 0] == 0).all()
    true = _scene(jem.run)[holes] * 10.0
    error = np.abs(after[holes][:, 1:] - true).mean()
    constant = np.abs(before[~holes][:, 1:].mean(0) - true).mean()
    assert error < 0.8 * constant


def test_the_spread_is_zero_where_nothing_was_missing(repaired, holes):
    with rasterio.open(repaired / 'out' / 'town_spread.tif') as file:
        spread = np.moveaxis(file.read(), 0, -1)
        assert file.dtypes == ('float32',) * 3
        assert (file.crs.to_string(), file.transform) == (UTM, TRANSFORM)
    assert not spread[~holes].any()
    assert (spread[holes] > 0).all()
    told = json.loads((repaired / 'out' / 'restoration.json').read_text())
    assert told['pixels_repaired'] == holes.sum()
    assert (told['pixels_left'], told['patch']) == (0, 16)
    assert 'methods' not in told
    names = {path.name for path in (repaired / 'out').iterdir()}
    assert names == {'town_restored.tif', 'town_spread.tif', 'grid.png', 'restoration.json'}


@pytest.mark.parametrize('shape', [(16, 16), (33, 50), (80, 96)])
def test_middles_cover_every_missing_pixel_once(shape):
    wanted = np.random.default_rng(0).random(shape) < 0.3
    missing = restore_scene.Missing(wanted, wanted, [])
    places, left = restore_scene.find_places(missing, 16)
    covered = np.zeros(shape, int)
    for place in places:
        covered[place.top : place.bottom, place.left : place.right] += 1
        assert 0 <= place.row <= place.top
        assert 0 <= place.column <= place.left
        assert place.bottom <= place.row + 16 <= shape[0]
        assert place.right <= place.column + 16 <= shape[1]
    assert (covered[wanted] == 1).all()
    assert left == 0


def test_damage_on_a_scene_is_compared_with_what_was_there(jem, tmp_path):
    write_raster(tmp_path / 'whole.tif', _scene(jem.run), colours=_RGB)
    arguments = [f'--workdir={jem.folder}', f'--images={tmp_path}/whole.tif']
    restore.main([*arguments, f'--out={tmp_path}/out', '--damage=stripes', '--num=4', *SHORT])
    told = json.loads((tmp_path / 'out' / 'restoration.json').read_text())
    methods = told['methods']
    assert set(methods) == {'model', 'model_one_chain', 'start', 'biharmonic', 'median'}
    assert len(methods['model']['per_image']['psnr']) == 4
    with rasterio.open(tmp_path / 'out' / 'whole_restored.tif') as file:
        after = np.moveaxis(file.read(), 0, -1)
    changed = (after != _scene(jem.run)).any(-1)
    assert 0 < changed.sum() <= told['pixels_repaired'] == 4 * 2 * 16


def test_a_patch_of_which_nothing_can_be_repaired_has_no_numbers(jem, tmp_path):
    pixels = _scene(jem.run)
    pixels[:32] = 0
    pixels[:16, :16] = 90  # alone, so that its hole of 14 x 14 has too little around
    write_raster(tmp_path / 'part.tif', pixels, colours=_RGB, nodata=0)
    restore.main(
        [f'--workdir={jem.folder}', f'--images={tmp_path}/part.tif', f'--out={tmp_path}/out',
         '--damage=centre', '--share=0.8', '--num=2', *SHORT]
    )  # fmt: skip
    told = json.loads((tmp_path / 'out' / 'restoration.json').read_text())
    assert told['pixels_left'] >= 14 * 14
    assert told['pixels_left'] + told['pixels_repaired'] == 2 * 14 * 14
    assert len(told['methods']['model']['per_image']['psnr']) == 1


@pytest.mark.parametrize('moved', [False, True])
def test_a_mask_that_lies_elsewhere_is_refused(jem, tmp_path, moved, capsys):
    pixels = _scene(jem.run)
    write_raster(tmp_path / 'whole.tif', pixels, colours=_RGB)
    mask = np.zeros((80, 96, 1), np.uint8)
    mask[30:33, 40:50] = 1
    place = TRANSFORM @ Affine.translation(96 * moved, 0)
    write_raster(tmp_path / 'mask.tif', mask, transform=place)
    arguments = [
        f'--workdir={jem.folder}', f'--images={tmp_path}/whole.tif', f'--out={tmp_path}/out',
        f'--mask={tmp_path}/mask.tif', *SHORT,
    ]  # fmt: skip
    if not moved:
        restore.main(arguments)
        told = json.loads((tmp_path / 'out' / 'restoration.json').read_text())
        assert told['pixels_repaired'] == 30
        return
    with pytest.raises(SystemExit):
        restore.main(arguments)
    assert 'mask.tif: its pixels lie elsewhere' in capsys.readouterr().err


_RGB = (ColorInterp.red, ColorInterp.green, ColorInterp.blue)


def test_what_lies_in_the_middle_of_nothing_is_left(jem, tmp_path):
    pixels = _scene(jem.run)
    pixels[20:70, 30:90] = 0
    write_raster(tmp_path / 'hole.tif', pixels, colours=_RGB, nodata=0)
    restore.main(
        [f'--workdir={jem.folder}', f'--images={tmp_path}/hole.tif', f'--out={tmp_path}/out',
         *SHORT]
    )  # fmt: skip
    told = json.loads((tmp_path / 'out' / 'restoration.json').read_text())
    assert told['pixels_left'] > 0
    assert told['pixels_left'] + told['pixels_repaired'] == 50 * 60
    with rasterio.open(tmp_path / 'out' / 'hole_restored.tif') as file:
        assert (~file.dataset_mask().astype(bool)).sum() == told['pixels_left']
    with rasterio.open(tmp_path / 'out' / 'hole_spread.tif') as file:
        assert np.isnan(file.read(1)).sum() == told['pixels_left']


def test_a_single_chain_says_nothing_of_how_sure_it_is(jem, tmp_path):
    pixels = _scene(jem.run)
    pixels[30:33, 40:45] = 0
    write_raster(tmp_path / 'hole.tif', pixels, colours=_RGB, nodata=0)
    for images, more in ((f'{tmp_path}/hole.tif', ''), ('test', '--damage=centre')):
        restore.main([
            f'--workdir={jem.folder}', f'--images={images}', f'--out={tmp_path}/out', '--num=1',
            '--chains=1', '--steps=1', *filter(None, [more]),
        ])  # fmt: skip
    with rasterio.open(tmp_path / 'out' / 'hole_spread.tif') as file:
        spread = file.read(1)
    np.testing.assert_array_equal(np.isnan(spread), (pixels == 0).all(-1))
    assert np.nanmax(spread) == 0.0
    told = json.loads((tmp_path / 'out' / 'restoration.json').read_text())
    assert told['rms_spread'] is None
    assert told['rms_error'] > 0.0


def test_internal_masks_are_filled_too(jem, tmp_path):
    path = tmp_path / 'masked.tif'
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True):
        write_raster(path, _scene(jem.run), colours=_RGB)
        mask = np.full((80, 96), 255, np.uint8)
        mask[30:33, 30:40] = 0
        with rasterio.open(path, 'r+') as file:
            file.write_mask(mask)
    restore.main([f'--workdir={jem.folder}', f'--images={path}', f'--out={tmp_path}/o', *SHORT])
    with rasterio.open(tmp_path / 'o' / 'masked_restored.tif') as file:
        assert (file.dataset_mask() == 255).all()


def test_mistakes_are_one_line(jem, tmp_path, capsys):
    write_raster(tmp_path / 'whole.tif', _scene(jem.run), colours=_RGB)
    write_raster(tmp_path / 'small.tif', _scene(jem.run)[:12], colours=_RGB)
    np.save(tmp_path / 'mask.npy', np.ones((80, 95)))
    np.save(tmp_path / 'all.npy', np.ones((80, 96)))
    (tmp_path / 'broken.tif').write_bytes((tmp_path / 'whole.tif').read_bytes()[:300])

    def said(name: str, *more: str) -> str:
        with pytest.raises(SystemExit) as stopped:
            restore.main(
                [f'--workdir={jem.folder}', f'--images={tmp_path}/{name}.tif',
                 f'--out={tmp_path}/out', *more]
            )  # fmt: skip
        assert stopped.value.code == 1
        lines = [x for x in capsys.readouterr().err.splitlines() if x.startswith('eojax:')]
        assert len(lines) == 1
        return lines[0]

    assert 'nothing is missing, every pixel holds data' in said('whole')
    assert 'is 80 x 95 pixels; the images are 80 x 96' in said(
        'whole', f'--mask={tmp_path}/mask.npy'
    )
    assert 'everything is missing' in said('whole', f'--mask={tmp_path}/all.npy')
    assert 'less than one patch' in said('small', '--damage=centre')
    assert 'broken' in said('broken', '--damage=centre')
    assert not list((tmp_path / 'out').iterdir())


def test_repaired_values_are_never_the_one_that_means_no_data():
    source = SimpleNamespace(dtypes=('uint16',), nodata=500)
    raster = SimpleNamespace(indexes=[1])
    values = np.array([[499.6], [3.2], [-4.0], [1e6]])
    found = scene_files._fit_type(values, source, raster)
    assert found.dtype == np.uint16
    assert found[:, 0].tolist() == [501, 3, 0, 65535]


def _rpcs() -> RPC:
    line = [1.0, *[0.0] * 19]
    return RPC(
        height_off=1.0, height_scale=1.0, lat_off=50.0, lat_scale=1.0, line_den_coeff=line,
        line_num_coeff=line, line_off=0.0, line_scale=1.0, long_off=10.0, long_scale=1.0,
        samp_den_coeff=line, samp_num_coeff=line, samp_off=0.0, samp_scale=1.0,
    )  # fmt: skip


def _full_of_facts(folder: Path, by_points: bool) -> Path:
    """A scene whose file says all that a GeoTIFF can say."""
    place = {'crs': None, 'transform': Affine.identity()} if by_points else {}
    pixels = _scene_of(40, 50)
    path = write_raster(folder / 'S2_L1C.tif', pixels, ('B04', 'B03', 'B02'), **place)
    with rasterio.open(path, 'r+') as file:
        if by_points:
            corners = [(0, 0, 10.0, 50.0), (0, 50, 10.1, 50.0), (40, 0, 10.0, 49.9)]
            file.gcps = [GroundControlPoint(*corner) for corner in corners], 'EPSG:4326'
        file.rpcs = _rpcs()
        file.units = ('reflectance',) * 3
        file.scales, file.offsets = (1e-4, 1e-4, 2e-4), (0.0, 0.0, -0.01)
        file.update_tags(AREA_OR_POINT='Point', NOTE='kept')
        file.update_tags(ns='SENSING', SUN='45')
        file.update_tags(2, ns='CALIBRATION', GAIN='2')
        file.update_tags(2, STATISTICS_MEAN='1', wavelength='560')
    return path


def _scene_of(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(0).integers(300, 1500, (height, width, 3)).astype(np.uint16)


@pytest.mark.parametrize('by_points', [False, True])
def test_all_that_a_file_says_is_kept(tmp_path, by_points):
    path = _full_of_facts(tmp_path, by_points)
    rows, columns = np.array([30, 3, 3]), np.array([2, 5, 4])
    out, spread_out = tmp_path / 'out.tif', tmp_path / 'spread.tif'
    with Raster(path, ('red', 'green', 'blue')) as raster:
        files = scene_files.RepairedFiles(raster, rows, columns, None)
        files.write_restored(np.full((3, 3), -0.5, np.float32), out)
        files.write_spread(np.full((3, 3), 0.1, np.float32), np.zeros((40, 50), bool), spread_out)
    with rasterio.open(path) as before, rasterio.open(out) as after:
        assert (after.crs, after.transform) == (before.crs, before.transform)
        assert [p.asdict() for p in after.gcps[0]] == [p.asdict() for p in before.gcps[0]]
        assert (len(after.gcps[0]), after.gcps[1]) == (3 * by_points, before.gcps[1])
        assert after.rpcs.to_gdal() == before.rpcs.to_gdal()
        assert after.rpcs.lat_off == 50.0
        assert after.units == before.units == ('reflectance',) * 3
        assert (after.scales, after.offsets) == (before.scales, before.offsets)
        assert after.descriptions == before.descriptions
        # Which point of a pixel is meant is of no matter to control points.
        meant = {'AREA_OR_POINT': 'Area' if by_points else 'Point'}
        assert after.tags() == before.tags() | meant
        assert after.tags(ns='SENSING') == {'SUN': '45'}
        assert after.tags(2, ns='CALIBRATION') == {'GAIN': '2'}
        # Statistics are of pixels that were changed.
        assert after.tags(2) == {'wavelength': '560'}
        changed = np.argwhere((before.read() != after.read()).any(0))
        assert sorted(map(tuple, changed.tolist())) == [(3, 4), (3, 5), (30, 2)]
        # A quarter of 0 to 2,750, in each band's own units.
        expected = np.array([687.5, 687.5, (687.5 + 100) / 2])
        assert np.abs(after.read()[:, 30, 2] - expected).max() <= 1.0
    with rasterio.open(spread_out) as spread:
        assert spread.rpcs is not None
        assert len(spread.gcps[0]) == 3 * by_points
        assert (spread.units, spread.scales) == (('reflectance',) * 3, (1e-4, 1e-4, 2e-4))
        # A twentieth of the range.
        np.testing.assert_allclose(spread.read()[:, 30, 2], [137.5, 137.5, 68.75], rtol=1e-4)


def test_8_bit_scenes_of_a_run_with_limits_stay_8_bit(tmp_path):
    """Middle grey is middle grey, and a spread of a tenth is a twentieth of 255."""
    stored = np.random.default_rng(0).integers(1, 255, (20, 20, 3)).astype(np.uint8)
    path, limits = write_raster(tmp_path / 'a.tif', stored, colours=_RGB), ((0.0, 2750.0),) * 3
    places = np.array([4, 7]), np.array([2, 9])
    out, spread_out = tmp_path / 'out.tif', tmp_path / 'spread.tif'
    with Raster(path, ('B04', 'B03', 'B02'), limits) as raster:
        seen = scale_to_unit(raster.read(0, 0, 20, 20).pixels, limits)
        files = scene_files.RepairedFiles(raster, *places, limits)
        files.write_restored(seen[4:5, 2].repeat(2, 0), out)
        files.write_spread(np.full((2, 3), 0.1, np.float32), np.zeros((20, 20), bool), spread_out)
    with rasterio.open(out) as file:
        after = np.moveaxis(file.read(), 0, -1)
    np.testing.assert_array_equal(after[places], stored[4:5, 2].repeat(2, 0))
    with rasterio.open(spread_out) as file:
        np.testing.assert_allclose(file.read()[:, 4, 2], 12.75, rtol=1e-5)
