"""Class folders of images of any bands: what is read, how limits are fitted, what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from rasterio.enums import ColorInterp

from eojax.config.base import base_config
from eojax.data.facts import from_json, to_json
from eojax.data.reading.any_image import ImageReader
from eojax.data.reading.file_formats import format_of
from eojax.data.reading.own.decode import decode_own
from eojax.data.reading.raster import Raster
from eojax.data.value_range import scale_to_unit
from eojax.errors import UserError
from eojax.runs.domains import Domain, load_domain
from tests.data.rasters import write_raster

BANDS = ('Red', 'Green', 'Blue', 'NIR')
SIZE = 8


@pytest.fixture(autouse=True)
def no_cache(monkeypatch, tmp_path):
    monkeypatch.setenv('EOJAX_CACHE', str(tmp_path / 'cache'))


def _values(seed: int, dtype: str = 'uint16', bands: int = 4, size: int = SIZE) -> np.ndarray:
    rng = np.random.default_rng(seed)
    values = rng.integers(100, 4000, (size, size, bands)) * (1.0 + np.arange(bands) / 4)
    return (values % 250 if dtype == 'uint8' else values).astype(dtype)


def _tree(folder: Path, dtype: str = 'uint16', num: int = 10, **options: Any) -> Path:
    for label, name in enumerate(('field', 'water')):
        (folder / name).mkdir(parents=True)
        for i in range(num):
            pixels = _values(100 * label + i, dtype)
            write_raster(folder / name / f'{i}.tif', pixels, BANDS, **options)
    return folder


def _load(root: Path, kept: Domain | None = None, **options: Any) -> Domain:
    config = base_config('supervised', 'wide_resnet', 'folder')
    config.data.update({'root': str(root), 'size': SIZE, **options})
    return load_domain(config, kept=None if kept is None else kept.dataset.facts)


def _message(root: Path, **options: Any) -> str:
    with pytest.raises(UserError) as error:
        _load(root, **options)
    assert '\n' not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize('dtype', ['uint16', 'int16', 'float32'])
def test_values_as_stored_and_limits_of_the_training_images_alone(tmp_path, dtype):
    domain = _load(_tree(tmp_path / 'set', dtype))
    dataset, train = domain.dataset, domain.splits.train
    every = np.stack([_values(i, dtype) for i in (*range(10), *range(100, 110))])
    np.testing.assert_array_equal(dataset.images, every)
    assert dataset.images.dtype == dtype
    assert (dataset.bands, dataset.class_names) == (BANDS, ('field', 'water'))
    pixels = every[train].reshape(-1, 4).astype(np.float64)
    wanted = np.percentile(pixels, [0.1, 99.9], axis=0).T
    np.testing.assert_allclose(dataset.limits, wanted, rtol=1e-5)
    assert not np.allclose(wanted, np.percentile(every.reshape(-1, 4), [0.1, 99.9], axis=0).T)
    # 10 m a pixel, as the files say; the facts come back from the run's folder as they were.
    assert dataset.facts.metres == pytest.approx(10.0, rel=1e-3)
    assert dataset.facts.own_units
    assert from_json(to_json(dataset.facts)) == dataset.facts
    # Read once more, from the cache, with the limits of the run and not with new ones.
    kept = dataset.with_limits(((0.0, 1.0),) * 4)
    again = _load(tmp_path / 'set', domain._replace(dataset=kept)).dataset
    assert again.limits == ((0.0, 1.0),) * 4
    np.testing.assert_array_equal(again.images, every)


def test_bands_by_name_and_number_and_limits_as_said(tmp_path):
    root = _tree(tmp_path / 'set')
    chosen = _load(root, bands='nir,1', limits='0:4000,100:200').dataset
    assert chosen.bands == ('NIR', 'Red')
    np.testing.assert_array_equal(chosen.images[0], _values(0)[..., [3, 0]])
    assert chosen.limits == ((0.0, 4000.0), (100.0, 200.0))
    # One file with its bands in another order is read by their names.
    write_raster(root / 'field' / '3.tif', _values(3)[..., ::-1], BANDS[::-1])
    np.testing.assert_array_equal(_load(root).dataset.images[3], _values(3))
    assert "no band '5'" in _message(root, bands='5')
    assert 'has 3 pairs' in _message(root, limits='0:1,0:1,0:1')
    assert "'4000' is neither auto nor LOW:HIGH" in _message(root, limits='4000')


def test_pixels_without_data_become_the_lowest_value_of_each_band(tmp_path):
    root = _tree(tmp_path / 'set', 'float32', nodata=-9999.0)
    holed = _values(0, 'float32')
    holed[:2], holed[2, 0, 1] = -9999.0, np.nan
    write_raster(root / 'field' / '0.tif', holed, BANDS, nodata=-9999.0)
    domain = _load(root)
    dataset = domain.dataset
    assert np.isfinite(dataset.images).all()
    lowest = [low for low, _ in dataset.limits or ()]
    np.testing.assert_allclose(dataset.images[0, 0, 0], lowest)
    np.testing.assert_allclose(dataset.images[0, 2, 0], lowest)
    np.testing.assert_array_equal(dataset.images[0, 3:], holed[3:])
    assert (scale_to_unit(dataset.images, dataset.limits)[0, :2] == -1.0).all()
    assert min(lowest) > 0.0
    # Whoever reads such a file for the run later sees the same.
    data = (root / 'field' / '0.tif').read_bytes()
    image = ImageReader(dataset.facts, SIZE).read(data, 'x')
    np.testing.assert_array_equal(image.pixels, dataset.images[0])
    assert image.missing == pytest.approx(17 / 64)
    # A small image is the mean of what holds data.
    smaller = format_of(dataset.facts.files).decode(
        data, 'x', bands=dataset.bands, size=None, resize=4
    )
    np.testing.assert_allclose(smaller[0], [lowest] * 4)
    assert (smaller[1:] >= np.array(lowest)).all()


@pytest.mark.parametrize('dtype', ['uint8', 'uint16', 'int16', 'float32'])
@pytest.mark.parametrize('side', [12, 40])
def test_an_image_that_lacks_a_corner_is_resampled_as_one_that_lacks_nothing(tmp_path, dtype, side):
    pixels, bands = _values(0, dtype, size=24), BANDS
    if dtype == 'uint8':
        pixels = 80 + pixels % 90  # nothing overshoots what 8 bits hold

    def decoded(holed: bool) -> np.ndarray:
        values = pixels.copy()
        values[:3, :3] = 7 if holed else values[:3, :3]
        path = write_raster(tmp_path / f'{holed}.tif', values, bands, nodata=7)
        return decode_own(
            path.read_bytes(), 'x', file_bands=bands, dtype=dtype, bands=bands, resize=side,
            lowest=(5.0,) * 4,
        ).astype(np.float64)  # fmt: skip

    holed, whole = decoded(True), decoded(False)
    far = side * 9 // 24
    np.testing.assert_allclose(holed[far:], whole[far:], atol=1.0, rtol=1e-6)
    np.testing.assert_allclose(holed[:, far:], whole[:, far:], atol=1.0, rtol=1e-6)
    assert (holed[0, 0] == 5.0).all()


def test_a_value_for_no_data_that_no_file_declares(tmp_path):
    root = _tree(tmp_path / 'set', 'int16')
    for i in range(10):
        pixels = _values(i, 'int16')
        pixels[:1] = -9999
        write_raster(root / 'field' / f'{i}.tif', pixels, BANDS)
    assert 'say data.nodata=-9999' in _message(root)
    limits = _load(root, nodata='-9999').dataset.limits
    assert limits is not None
    assert min(low for low, _ in limits) > 0.0


def test_a_fourth_band_of_8_bits_that_gdal_calls_an_opacity(tmp_path):
    # Near infrared by its name; without one only a list of numbers says so.
    colours = (ColorInterp.red, ColorInterp.green, ColorInterp.blue, ColorInterp.alpha)
    dataset = _load(_tree(tmp_path / 'set', 'uint8', colours=colours)).dataset
    np.testing.assert_array_equal(dataset.images[1], _values(1, 'uint8'))
    assert (dataset.bands, dataset.limits) == (BANDS, None)
    for file in (tmp_path / 'set').rglob('*.tif'):
        seed = int(file.stem) + 100 * (file.parent.name == 'water')
        write_raster(file, _values(seed, 'uint8'), colours=colours)
    assert 'has transparent pixels' in _message(tmp_path / 'set')
    dataset = _load(tmp_path / 'set', bands='1,2,3,4').dataset
    np.testing.assert_array_equal(dataset.images[1], _values(1, 'uint8'))


def test_files_of_two_kinds_are_refused_by_both_names(tmp_path):
    root = _tree(tmp_path / 'set')
    kinds = {
        'type': _values(9, 'float32'),
        'bands': _values(9, bands=3),
        'size': _values(9, size=9),
    }
    for pixels in kinds.values():
        write_raster(root / 'water' / '9.tif', pixels, BANDS[: pixels.shape[-1]])
        message = _message(root)
        assert 'water/9.tif' in message
        assert 'field/0.tif' in message
    write_raster(root / 'water' / '9.tif', _values(9), ('a', 'b', 'c', 'd'))
    assert 'its bands are a, b, c, d, and those of' in _message(root)
    (root / 'water' / '9.tif').write_bytes(b'II*\0broken')
    assert 'water/9.tif: broken' in _message(root)


def test_grey_pictures_and_pictures_of_three_colours(tmp_path):
    for name in ('a', 'b'):
        (tmp_path / 'grey' / name).mkdir(parents=True)
        (tmp_path / 'rgb' / name).mkdir(parents=True)
        for i in range(6):
            Image.fromarray(_values(i, 'uint8')[..., 0]).save(tmp_path / f'grey/{name}/{i}.png')
            Image.fromarray(_values(i, 'uint8')[..., :3]).save(tmp_path / f'rgb/{name}/{i}.png')
    assert _load(tmp_path / 'grey').dataset.images.shape == (12, SIZE, SIZE, 1)
    rgb = _load(tmp_path / 'rgb').dataset
    assert (rgb.bands, rgb.facts.own_units) == (('red', 'green', 'blue'), False)
    assert 'leave data.limits alone' in _message(tmp_path / 'rgb', limits='0:100')


def test_a_scene_for_such_a_run_is_read_as_it_is_stored(tmp_path):
    facts = _load(_tree(tmp_path / 'set')).dataset.facts
    scene = write_raster(tmp_path / 's.tif', _values(5, size=40)[..., ::-1], BANDS[::-1])
    images = facts.images
    with Raster(scene, images.bands, images.limits, dtype='uint16', own_units=True) as raster:
        np.testing.assert_array_equal(raster.read(0, 0, 40, 40).pixels, _values(5, size=40))
        assert raster.scale_text == 'values as they are stored, uint16'
