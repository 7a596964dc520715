"""OSCD, DFC2017 and scenes of one's own, in their true layouts: values, groups, parts, labels."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
from ml_collections import ConfigDict

from eojax.config.base import base_config, set_key
from eojax.data import options as data_options
from eojax.data.dataset import TEST, TRAIN, Dataset, Window
from eojax.data.facts import IMAGES, PIXEL_LABELS, UNKNOWN, from_json, to_json, valid_of
from eojax.data.sets import DATASETS, oscd
from eojax.errors import UserError
from eojax.training import loop as train
from tests.data.band_files import BANDS, PRODUCT, drawn_bands, write_band, write_bands, write_safe
from tests.data.rasters import TRANSFORM
from tests.training_runs import rows

RGB = ('B04', 'B03', 'B02')
NEW = 'S2A_MSIL2A_20230223T033741_N0509_R061_T48QUF_20230223T081136'


def load(name: str, root: Path, **changes: object) -> Dataset:
    options = ConfigDict(data_options.defaults(name))
    options.update({'root': '' if root == Path() else str(root), 'cut': 0, **changes})
    data_options.check(options, 'data')
    return DATASETS[name].from_config(options, False)


def images(dataset: Dataset, place: int, window: Window | None = None) -> np.ndarray:
    return dataset.source.read(place, window, (IMAGES,))[IMAGES]


@pytest.fixture(scope='module')
def cities(tmp_path_factory) -> Path:
    """Two cities of OSCD, one of each part, at both dates, native and resampled."""
    root = tmp_path_factory.mktemp('Onera')
    folder = root / 'Onera Satellite Change Detection dataset - Images'
    for number, city in enumerate(('beirut', 'rio')):
        for date in (1, 2):
            drawn = drawn_bands(60 + 12 * number, seed=10 * number + date)
            name = f'S2A_OPER_MSI_L1C_TL_{city}_{{band}}.tif'
            write_bands(folder / city / f'imgs_{date}', drawn, name)
            fine = {band: drawn['B04'] for band in BANDS}
            for band in BANDS:
                write_band(folder / city / f'imgs_{date}_rect' / f'{band}.tif', fine[band])
    (folder / 'train.txt').write_text('beirut,paris\n')
    (folder / 'test.txt').write_text('rio')
    return root


def test_oscd_has_two_places_a_city_and_its_published_split(cities: Path) -> None:
    dataset = load('oscd', cities)
    assert dataset.facts.title == 'OSCD'
    assert dataset.facts.label == 'none'
    assert dataset.facts.group_names == ('beirut', 'rio')
    assert [Path(name).name for name in dataset.names] == ['imgs_1_rect', 'imgs_2_rect'] * 2
    assert dataset.places.groups is not None
    assert dataset.parts is not None
    np.testing.assert_array_equal(dataset.places.groups, [0, 0, 1, 1])
    np.testing.assert_array_equal(dataset.parts, [TRAIN, TRAIN, TEST, TEST])
    np.testing.assert_array_equal(dataset.places.heights, [60, 60, 72, 72])
    assert dataset.facts.metres == 10.0
    drawn = drawn_bands(72, seed=12)['B04']
    np.testing.assert_array_equal(images(dataset, 3), np.stack([drawn] * 3, -1))
    assert from_json(to_json(dataset.facts)) == dataset.facts
    again = pickle.loads(pickle.dumps(dataset.source.subset(np.array([3]))))
    np.testing.assert_array_equal(
        again.read(0, Window(3, 5, 9, 7), (IMAGES,))[IMAGES], images(dataset, 3)[3:12, 5:12]
    )


def test_scenes_are_cut_into_places_of_their_city(cities: Path) -> None:
    whole, cut = load('oscd', cities), load('oscd', cities, cut=24)
    assert cut.facts.size == (24, 24)
    assert cut.places.num == 2 * 4 + 2 * 9
    assert cut.names[3].endswith('beirut/imgs_1_rect/001_001')
    np.testing.assert_array_equal(cut.images[3], images(whole, 0)[24:48, 24:48])
    assert cut.places.groups is not None
    assert cut.places.groups.tolist() == [0] * 8 + [1] * 18


def test_oscd_native_bands_come_to_one_grid(cities: Path) -> None:
    dataset = load('oscd', cities, images='native', bands='all', limits='0:4000')
    assert dataset.bands == BANDS
    assert dataset.limits == ((0.0, 4000.0),) * 13
    drawn = drawn_bands(60, seed=1)
    found = images(dataset, 0)
    assert found.shape == (60, 60, 13)
    np.testing.assert_array_equal(found[..., BANDS.index('B08')], drawn['B08'])
    # The mean of the four pixels of 10 m in one of 20 m is near what it held.
    blocks = found[..., BANDS.index('B11')].reshape(30, 2, 30, 2).mean((1, 3))
    assert np.corrcoef(blocks.ravel(), drawn['B11'].ravel())[0, 1] > 0.97


def test_published_cities_stand_in_for_the_lists(cities: Path, tmp_path: Path) -> None:
    assert sum(map(len, oscd.CITIES.values())) == 24
    for city in ('paris', 'norcia'):
        write_bands(tmp_path / city / 'imgs_1_rect', drawn_bands(60, bands=('B02', 'B03', 'B04')))
    assert np.ravel(load('oscd', tmp_path).parts).tolist() == [TEST, TRAIN]
    write_bands(tmp_path / 'atlantis' / 'imgs_1_rect', drawn_bands(60, bands=('B02', 'B03', 'B04')))
    with pytest.raises(UserError, match=r'atlantis is a city of neither train.txt nor test.txt'):
        load('oscd', tmp_path)


def test_dfc2017_has_zones_on_the_images_grid(tmp_path: Path) -> None:
    drawn = drawn_bands(60, bands=('B02', 'B03', 'B04', 'B8A', 'B11'))
    write_bands(tmp_path / 'rome' / 'sentinel_2', drawn, 'S2A_20160120_{band}.tif')
    write_bands(tmp_path / 'chicago' / 'sentinel_2' / '20160105', drawn, 'S2A_{band}.tif')
    write_bands(tmp_path / 'rome' / 'landsat_8' / 'a', drawn, 'LC82190762013244LGN00_{band}.tif')
    zones = np.arange(36, dtype=np.uint8).reshape(6, 6) % 18
    write_band(tmp_path / 'rome' / 'lcz' / 'rome_lcz_GT.tif', zones, 100.0)
    dataset = load('dfc2017', tmp_path)
    assert dataset.facts.group_names == ('chicago', 'rome')
    assert np.ravel(dataset.parts).tolist() == [TEST, TRAIN]
    assert np.ravel(dataset.places.annotated).tolist() == [False, True]
    read = dataset.source.read(1, None, (IMAGES, PIXEL_LABELS, valid_of(IMAGES)))
    expected = np.where(zones == 0, UNKNOWN, zones - 1).repeat(10, 0).repeat(10, 1)
    np.testing.assert_array_equal(read[PIXEL_LABELS], expected)
    assert dataset.class_names[int(expected[0, 10])] == 'compact high-rise'
    part = dataset.source.read(1, Window(13, 27, 20, 30), (PIXEL_LABELS,))[PIXEL_LABELS]
    np.testing.assert_array_equal(part, expected[13:33, 27:57])
    unseen = dataset.source.read(0, None, (PIXEL_LABELS,))[PIXEL_LABELS]
    assert (unseen == UNKNOWN).all()


def test_a_test_city_is_one_however_its_folder_is_written(tmp_path: Path) -> None:
    drawn = drawn_bands(60, bands=('B02', 'B03', 'B04'))
    for city in ('Berlin', 'Amsterdam', 'XI_AN'):
        write_bands(tmp_path / city / 'sentinel_2', drawn, 'S2_{band}.tif')
    dataset = load('dfc2017', tmp_path)
    assert dataset.facts.group_names == ('Amsterdam', 'Berlin', 'XI_AN')
    assert np.ravel(dataset.parts).tolist() == [TEST, TRAIN, TEST]


def test_zones_that_cover_part_of_a_scene_leave_the_rest_unknown(tmp_path: Path) -> None:
    drawn = drawn_bands(60, bands=('B02', 'B03', 'B04'))
    write_bands(tmp_path / 'paris' / 'sentinel_2', drawn, 'S2_{band}.tif')
    moved = TRANSFORM @ type(TRANSFORM).translation(30, 0) @ type(TRANSFORM).scale(10)
    write_band(
        tmp_path / 'paris' / 'lcz' / 'paris_lcz_GT.tif', np.full((6, 6), 17, np.uint8),
        transform=moved,
    )  # fmt: skip
    found = load('dfc2017', tmp_path).source.read(0, None, (PIXEL_LABELS,))[PIXEL_LABELS]
    assert (found[:, 30:] == 16).all()
    assert (found[:, :30] == UNKNOWN).all()


def test_own_scenes_mean_the_same_before_and_after_2022(tmp_path: Path) -> None:
    land = drawn_bands(60, bands=('B02', 'B03', 'B04', 'B11'))
    write_safe(tmp_path, land)
    write_safe(tmp_path, land, NEW, added=1000.0, archive=False)
    dataset = load('sentinel2_folder', tmp_path, bands='B11,B04')
    assert dataset.facts.images.surface
    assert dataset.facts.group_names == ('T48QUE', 'T48QUF')
    np.testing.assert_array_equal(images(dataset, 0), images(dataset, 1))
    np.testing.assert_array_equal(images(dataset, 0)[..., 1], land['B04'])
    archive = write_safe(tmp_path / 'zip', land, NEW, added=1000.0, archive=True)
    zipped = load('sentinel2_folder', archive)
    np.testing.assert_array_equal(images(zipped, 0), np.stack([land[band] for band in RGB], -1))


def test_pixels_without_data_are_masked(tmp_path: Path) -> None:
    land = drawn_bands(60, bands=RGB)
    for values in land.values():
        values[:7] = 0
    dataset = load('sentinel2_folder', write_safe(tmp_path, land))
    read = dataset.source.read(0, None, (IMAGES, valid_of(IMAGES)))
    assert dataset.facts.images.missing
    np.testing.assert_array_equal(read[valid_of(IMAGES)], np.arange(60)[:, None].repeat(60, 1) > 6)
    assert not read[IMAGES][:7].any()


def test_what_scenes_do_not_say_has_to_be_said(tmp_path: Path) -> None:
    land = drawn_bands(60, bands=RGB)
    folder = write_bands(tmp_path / 'mine', land)
    with pytest.raises(UserError, match=r'nothing says its level: say data.level=l1c'):
        load('sentinel2_folder', folder)
    with pytest.raises(UserError, match=r'nothing says what its processing added'):
        load('sentinel2_folder', folder, level='l1c')
    shifted = load('sentinel2_folder', folder, level='l1c', offset='1000')
    expected = np.stack([land[band].astype(int) - 1000 for band in RGB], -1).clip(0)
    np.testing.assert_array_equal(images(shifted, 0), expected)
    assert not shifted.facts.images.surface


@pytest.mark.parametrize('name', ['oscd', 'dfc2017', 'sentinel2_folder'])
def test_mistakes_are_one_line(tmp_path: Path, name: str) -> None:
    with pytest.raises(UserError, match=r'needs --config.data.root=FOLDER_OR_ZIP'):
        load(name, '')  # type: ignore[arg-type]
    with pytest.raises(UserError, match=f'{tmp_path}: no ') as caught:
        load(name, tmp_path)
    assert '\n' not in str(caught.value)
    with pytest.raises(UserError, match=r"unknown band in data.bands 'B99'"):
        load(name, tmp_path, bands='B99')
    with pytest.raises(UserError, match=r'data.bands: B04 is in it twice'):
        load(name, tmp_path, bands='B04,B04')
    with pytest.raises(UserError, match=r'data.limits: 2 pairs for 3 band'):
        load(name, tmp_path, limits='0:1,0:2')


def test_two_levels_are_refused(tmp_path: Path) -> None:
    land = drawn_bands(60, bands=RGB)
    write_safe(tmp_path, land)
    write_safe(tmp_path, land, PRODUCT.replace('MSIL2A', 'MSIL1C'))
    with pytest.raises(UserError, match=r'is of level 1C and .* of 2A'):
        load('sentinel2_folder', tmp_path)
    lacking = write_bands(tmp_path / 'x' / 'paris' / 'imgs_1_rect', drawn_bands(60, bands=RGB[:2]))
    with pytest.raises(UserError, match=r'imgs_1_rect: has no file of B02; it has B03, B04'):
        load('oscd', lacking.parents[1])


def test_a_network_trains_on_squares_of_scenes(cities: Path, tmp_path: Path) -> None:
    config = base_config('vae', 'convolutional_autoencoder', 'oscd')
    config.model.update({'width': 4, 'stages': 2, 'latent': 8})
    values = {
        'steps': 2, 'batch_size': 4, 'log_every': 1, 'evaluate_every': 2, 'checkpoint_every': 2,
        'tensorboard': False, 'data.root': str(cities), 'data.cut': 16, 'data.workers': 0,
        'data.validation_by': 'place', 'evaluate.batch_size': 8, 'evaluate.keep_reference': False,
    }  # fmt: skip
    for key, value in values.items():
        set_key(config, key, value)
    train.train(config, tmp_path / 'run')
    losses = [row['loss'] for row in rows(tmp_path / 'run') if 'loss' in row]
    assert len(losses) == 2
    assert np.isfinite(losses).all()
