"""Published data sets with a class for each pixel, on small files in their layouts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from ml_collections import ConfigDict

from eojax.data import options as data_options
from eojax.data.dataset import Dataset, Window
from eojax.data.facts import from_json, to_json
from eojax.data.sets import DATASETS
from eojax.data.sets.pixels import PIXEL_DATASETS, isprs
from eojax.data.splits import Splits, rule_of, split_dataset
from eojax.errors import UserError
from tests.data.sets.pixels.tiles import (
    ISPRS,
    christchurch,
    france,
    geotiff,
    picture,
    shown,
    vaihingen,
    write_files,
)
from tests.real_data import real_data

pytestmark = pytest.mark.filterwarnings('ignore::rasterio.errors.NotGeoreferencedWarning')

RNG = np.random.default_rng(0)


def options_of(name: str, root: Path, **values: Any) -> ConfigDict:
    options = ConfigDict(data_options.defaults(name))
    options.update({'root': str(root), **values})
    data_options.check(options, 'data')
    return options


def opened(name: str, root: Path, **values: Any) -> tuple[Dataset, Splits]:
    options = options_of(name, root, **values)
    data = DATASETS[name].from_config(options, False)
    assert from_json(to_json(data.facts)) == data.facts
    assert data.facts.name == name
    return data, split_dataset(data, rule_of(options, 0))


def names_of(data: Dataset, part: np.ndarray) -> list[str]:
    return [str(data.names[place]) for place in part.tolist()]


def group_of(data: Dataset, part: np.ndarray) -> set[str]:
    assert data.places.groups is not None
    return {data.facts.group_names[group] for group in data.places.groups[part].tolist()}


def labels_of(data: Dataset, name: str, window: Window | None = None) -> np.ndarray:
    place = [str(one) for one in data.names].index(name)
    return data.source.read(place, window, ('labels',))['labels']


def test_minifrance(tmp_path: Path) -> None:
    root = write_files(tmp_path, france())
    data, split = opened('minifrance', root)
    assert (data.facts.num_classes, data.facts.metres, data.facts.size) == (14, 0.5, (40, 40))
    assert data.facts.group_names == ('Brest', 'Caen', 'Lille', 'Nantes', 'Nice')
    assert group_of(data, split.test) == {'Lille'}
    assert group_of(data, split.labelled) == {'Nantes', 'Nice'}
    assert group_of(data, split.validation) < {'Nantes', 'Nice'}
    # What lies beside the unlabelled tiles is not known.
    assert group_of(data, split.unlabelled) == {'Brest', 'Caen'}
    assert (labels_of(data, 'unlabeled_train/Brest/Brest_0') == 255).all()
    read = labels_of(data, 'labeled_train/Nice/Nice_1', Window(1, 2, 3, 30))
    stored = np.arange(1600).reshape(40, 40)[1:4, 2:32] % 16
    expected = np.where((stored == 0) | (stored == 15), 255, stored - 1)
    np.testing.assert_array_equal(read, expected)
    # All labels, and a part of each city's.
    data, split = opened('minifrance', root, labels='all', labelled_share=0.4)
    assert group_of(data, split.labelled) == {'Brest', 'Caen', 'Nantes', 'Nice'}
    assert len(split.labelled) == 4
    _, split = opened('minifrance', root, labels='all', labelled_groups='Caen')
    assert group_of(data, split.labelled) == {'Caen'}


def test_tiny_minifrance(tmp_path: Path) -> None:
    root = write_files(tmp_path, france(tiles=4))
    data, split = opened('tiny_minifrance', root, window=10, num_windows=100)
    assert (data.places.num, data.facts.size) == (100, (10, 10))
    assert data.places.groups is not None
    np.testing.assert_array_equal(np.bincount(data.places.groups), np.full(5, 20))
    tiles = {str(name).rpartition('/')[0] for name in data.names}
    assert len(tiles) == 20  # at least one of each
    assert group_of(data, split.labelled) == {'Nantes', 'Nice'}
    assert group_of(data, split.test) == {'Lille'}
    whole = opened('minifrance', root)[0]
    for name in names_of(data, split.labelled)[::7]:
        tile, _, corner = name.rpartition('/')
        row, column = (10 * int(number) for number in corner.split('_'))
        place, large = (
            [str(one) for one in one_of.names].index(text)
            for one_of, text in ((data, name), (whole, tile))
        )
        read = data.source.read(place, Window(2, 3, 5, 4), ('images', 'labels'))
        moved = Window(row + 2, column + 3, 5, 4)
        expected = whole.source.read(large, moved, ('images', 'labels'))
        for raster, pixels in expected.items():
            np.testing.assert_array_equal(read[raster], pixels)
    again = opened('tiny_minifrance', root, window=10, num_windows=100)[0]
    other = opened('tiny_minifrance', root, window=10, num_windows=100, seed=1)[0]
    assert again.names == data.names != other.names
    # A larger number takes in the smaller one's windows.
    assert set(data.names) < set(
        opened('tiny_minifrance', root, window=10, num_windows=150)[0].names
    )
    for num, line in {19: 'num_windows=19: there are 20 tiles', 321: '320 windows'}.items():
        with pytest.raises(UserError, match=line):
            opened('tiny_minifrance', root, window=10, num_windows=num)
    with pytest.raises(UserError, match=r'40x40 pixels hold no window of data\.window=41'):
        opened('tiny_minifrance', root, window=41, num_windows=20)


def test_dfc2022(tmp_path: Path) -> None:
    root = write_files(tmp_path, france(elevation=True))
    data, split = opened('dfc2022', root)
    # 41 columns: the last has no elevation.
    assert (data.facts.size, data.facts.rasters['elevation'].scale) == ((40, 40), 2)
    assert 'Lille' not in data.facts.group_names
    assert group_of(data, split.labelled) | group_of(data, split.test) == {'Nantes', 'Nice'}
    assert group_of(data, split.unlabelled) == {'Brest', 'Caen'}
    place = int(split.labelled[0])
    read = data.source.read(place, Window(8, 10, 30, 30), ('images', 'elevation', 'labels'))
    assert read['elevation'].shape == (15, 15, 1)
    stored = np.arange(1640).reshape(40, 41)[8:38, 10:] % 16
    expected = np.where((stored == 0) | (stored == 15), 255, stored.astype(int) - 1)
    np.testing.assert_array_equal(read['labels'], expected[:, :30])
    data, split = opened('dfc2022', root, val='unlabelled', limits='elevation=-5:3000')
    assert group_of(data, split.unlabelled) == {'Brest', 'Caen', 'Lille'}
    assert data.facts.rasters['elevation'].limits == ((-5.0, 3000.0),)


def ground_truth(number: np.ndarray) -> bytes:
    return geotiff(ISPRS[number])


def test_vaihingen(tmp_path: Path) -> None:
    number = RNG.integers(0, 7, (10, 12))
    files = vaihingen()
    files['top/top_mosaic_09cm_area1.tif'] = geotiff(shown(10, 12))
    files['top_mosaic_09cm_area1.tif'] = ground_truth(number)
    root = write_files(tmp_path / 'whole', files)
    data, split = opened('vaihingen', root)
    assert (data.bands, data.facts.metres) == (('near infrared', 'red', 'green'), 0.09)
    assert names_of(data, split.train) == names_of(data, split.labelled) == ['1', '3']
    assert names_of(data, split.validation) == ['15', '21', '30', '5']
    assert names_of(data, split.test) == ['2', '38']
    expected = np.where(number == 6, 255, number)
    np.testing.assert_array_equal(labels_of(data, '1', Window(2, 2, 8, 9)), expected[2:, 2:11])
    # Eroded masks in the first place where masks may lie are none of those that are asked for.
    eroded = {
        name.replace('.tif', '_noBoundary.tif') if '/' not in name else name: content
        for name, content in files.items()
    }
    for number_of in (1, 3, 5, 15, 21, 30, 2, 38):
        own = f'top_mosaic_09cm_area{number_of}.tif'
        eroded[f'gts_for_participants/{own}'] = files[own]
    both = opened('vaihingen', write_files(tmp_path / 'both', eroded))[0]
    np.testing.assert_array_equal(labels_of(both, '1', Window(2, 2, 8, 9)), expected[2:, 2:11])
    few = {name: content for name, content in files.items() if 'top/' in name}
    few['gts_for_participants/top_mosaic_09cm_area1.tif'] = ground_truth(number)
    few['gts_for_participants/top_mosaic_09cm_area3.tif'] = ground_truth(number[:9, [0, 1] * 7])
    few['gts_for_participants/top_mosaic_09cm_area5.tif'] = ground_truth(number[:9, [0, 1] * 7])
    with pytest.raises(
        UserError, match=r'none of the 2 test places has labels.* data\.test_groups'
    ):
        opened('vaihingen', write_files(tmp_path / 'few', few))
    named = {'test_groups': '5', 'validation_groups': '3'}
    data, split = opened('vaihingen', tmp_path / 'few', **named)
    assert names_of(data, split.labelled) == ['1']
    assert len(split.unlabelled) == 3
    assert data.places.annotated is not None
    assert data.places.annotated.sum() == 3
    with pytest.raises(UserError, match=r'no ground truth: no file is like .*_noBoundary\.tif'):
        opened('vaihingen', root, eroded=True)


def test_potsdam(tmp_path: Path) -> None:
    number = RNG.integers(0, 7, (10, 12))
    files = {}
    for tile in ('2_10', '3_11', '7_12', '6_9', '2_13'):
        files[f'4_Ortho_RGBIR/top_potsdam_{tile}_RGBIR.tif'] = geotiff(shown(10, 12, 4))
        files[f'2_Ortho_RGB/top_potsdam_{tile}_RGB.tif'] = geotiff(shown(10, 12))
        files[f'5_Labels_all/top_potsdam_{tile}_label.tif'] = ground_truth(number)
    root = write_files(tmp_path, files)
    data, split = opened('potsdam', root)
    assert data.bands == ('red', 'green', 'blue', 'near infrared')
    assert group_of(data, split.test) == {'2_13'}
    assert len(split.validation) == 1
    assert opened('potsdam', root, images='RGB')[0].bands == ('red', 'green', 'blue')
    strange = ISPRS[number]
    strange[7, 5] = (252, 255, 0)
    write_files(tmp_path, {'5_Labels_all/top_potsdam_6_9_label.tif': geotiff(strange)})
    with pytest.raises(UserError, match=r'6_9_label\.tif: label #fcff00 in row 7, column 5'):
        labels_of(opened('potsdam', root)[0], '6/9', Window(4, 4, 6, 8))
    found = labels_of(opened('potsdam', root, ignored_colours='#FCFF00')[0], '6/9')
    assert found[7, 5] == 255
    with pytest.raises(UserError, match=r"data\.ignored_colours: 'fcff00' is no colour"):
        opened('potsdam', root, ignored_colours='fcff00')


@pytest.mark.parametrize('name', ['vaihingen', 'potsdam'])
def test_crops(tmp_path: Path, name: str) -> None:
    tiles = {'vaihingen': ('area1', 'area5', 'area15', 'area21', 'area30', 'area38'),
             'potsdam': ('2_10', '3_11', '7_12', '2_13')}[name]  # fmt: skip
    files, stored = {}, RNG.integers(0, 6, (8, 8)).astype(np.uint8)
    for tile in tiles:
        part = 'val' if tile == tiles[-1] else 'train'
        for left in (0, 4):
            crop = f'{part}/{tile}_{left}_0_{left + 512}_512.png'
            files[f'img_dir/{crop}'] = picture(shown(8, 8))
            files[f'ann_dir/{crop}'] = picture(stored)
    root = write_files(tmp_path, files)
    data, split = opened(name, root, layout='crops', crop_values='0-5')
    # Crops of one tile overlap: none stands on both sides.
    assert group_of(data, split.test) == {tiles[-1].removeprefix('area')}
    parts = [group_of(data, part) for part in (split.train, split.validation, split.test)]
    assert sum(map(len, parts)) == len(set().union(*parts)) == len(tiles)
    np.testing.assert_array_equal(labels_of(data, str(data.names[0])), stored)
    data = opened(name, root, layout='crops', crop_values='1-6')[0]
    expected = np.where(stored == 0, 255, stored.astype(int) - 1)
    np.testing.assert_array_equal(labels_of(data, str(data.names[0])), expected)
    write_files(tmp_path, {file: picture(stored + 1) for file in files if 'ann_dir' in file})
    with pytest.raises(UserError, match=r'ann_dir/.*: label 6 in row'):
        labels_of(opened(name, root, layout='crops', crop_values='0-5')[0], str(data.names[0]))
    # Both kinds are about, and where no 6 is, nothing in the files tells which.
    with pytest.raises(UserError, match=r"needs data\.crop_values: '1-6' where 0 is no class"):
        opened(name, root, layout='crops')
    with pytest.raises(UserError, match=r"unknown data\.layout 'crop'; did you mean 'crops'"):
        opened(name, root, layout='crop')


def test_loveda(tmp_path: Path) -> None:
    stored = RNG.integers(0, 8, (8, 8)).astype(np.uint8)
    files = {}
    for part in ('Train', 'Val', 'Test'):
        for scene in ('Rural', 'Urban'):
            for number in range(4):
                files[f'{part}/{scene}/images_png/{number}.png'] = picture(shown(8, 8))
                if part != 'Test':
                    files[f'{part}/{scene}/masks_png/{number}.png'] = picture(stored)
    data, split = opened('loveda', write_files(tmp_path, files), labelled_groups='Urban')
    assert [name.split('/')[0] for name in names_of(data, split.test)] == ['Val'] * 8
    assert group_of(data, split.labelled) == group_of(data, split.validation) == {'Urban'}
    assert data.places.num == 16
    expected = np.where(stored == 0, 255, stored.astype(int) - 1)
    np.testing.assert_array_equal(labels_of(data, 'Train/Rural/2'), expected)


def flair_files() -> tuple[dict[str, bytes], np.ndarray, np.ndarray]:
    images, stored = shown(8, 8, 5), RNG.integers(1, 20, (8, 8, 1)).astype(np.uint8)
    files = {}
    for domain in ('D004_2021', 'D006_2020', 'D033_2021', 'D051_2019', 'D067_2021'):
        for number in range(2):
            place = f'{domain}/Z{number}_NN'
            files[f'flair_aerial_train/{place}/img/IMG_00{number}.tif'] = geotiff(images)
            files[f'flair_labels_train/{place}/msk/MSK_00{number}.tif'] = geotiff(stored)
    place = 'D012_2019/Z1_UU'
    files[f'flair_1_aerial_test/{place}/img/IMG_77.tif'] = geotiff(images)
    files[f'flair_1_labels_test/{place}/msk/MSK_77.tif'] = geotiff(stored)
    return files, images, stored[..., 0].astype(int)


def test_flair(tmp_path: Path) -> None:
    files, images, stored = flair_files()
    root = write_files(tmp_path / 'flair.zip', files)
    data, split = opened('flair', root)
    assert group_of(data, split.validation) == {'D004_2021', 'D067_2021'}
    assert group_of(data, split.test) == {'D012_2019'}
    read = data.source.read(0, Window(1, 2, 4, 5), ('images', 'elevation', 'labels'))
    np.testing.assert_array_equal(read['images'], images[1:5, 2:7, :3])
    np.testing.assert_array_equal(read['elevation'], images[1:5, 2:7, 4:])
    np.testing.assert_array_equal(read['labels'], np.minimum(stored, 13)[1:5, 2:7] - 1)
    data, _ = opened('flair', root, bands='near infrared, elevation')
    assert tuple(data.facts.rasters) == ('images',)
    np.testing.assert_array_equal(data.source.read(0, None, ('images',))['images'], images[..., 3:])
    with pytest.raises(UserError, match=r"unknown band in data\.bands 'nir'"):
        opened('flair', root, bands='nir')
    files = {name: content for name, content in files.items() if 'MSK_000' not in name}
    with pytest.raises(UserError, match=r'MSK_000\.tif is missing: the labels of that place'):
        opened('flair', write_files(tmp_path / 'broken.zip', files))


def test_real_flair() -> None:
    path = real_data('flair2_sample.zip')
    data, split = opened('flair', path)
    assert (data.places.num, data.facts.size) == (6, (512, 512))
    assert group_of(data, split.validation) == {'D004_2021'}
    file = f'/vsizip/{path}/flair_aerial_train/D004_2021/Z6_NU/img/IMG_000473.tif'
    with rasterio.open(file) as opened_file:
        pixels = np.moveaxis(opened_file.read(), 0, -1)
    place = names_of(data, np.arange(6)).index('flair/train/D004_2021/Z6_NU/000473')
    read = data.source.read(place, None, ('images', 'elevation'))
    np.testing.assert_array_equal(read['images'], pixels[..., :3])
    np.testing.assert_array_equal(read['elevation'], pixels[..., 4:])


def test_christchurch(tmp_path: Path) -> None:
    root = write_files(tmp_path, christchurch())
    with pytest.raises(UserError, match=r'data\.mask_values is empty'):
        opened('christchurch', root)
    values = '0=background,1=building,2=car,3=vegetation'
    data, split = opened('christchurch', root, mask_values=values)
    assert [len(part) for part in split] == [22, 2, 2, 2, 20]
    np.testing.assert_array_equal(split.validation, split.test)
    assert not set(split.test) & set(split.train)
    _, split = opened('christchurch', root, mask_values=values, test_groups='03,20')
    assert names_of(data, split.test) == ['03', '20']
    assert names_of(data, split.labelled) == ['08', '15']


@pytest.mark.parametrize('name', PIXEL_DATASETS)
def test_where_to_get_it_is_said(name: str) -> None:
    expected = 'FOLDER_OR_ZIP' if name == 'pixel_folder' else r'FOLDER_OR_ZIP; .*https://'
    with pytest.raises(UserError, match=expected):
        data_options.check(ConfigDict(data_options.defaults(name)), 'data')
    facts = PIXEL_DATASETS[name]
    assert facts.options.keys() <= set(data_options.defaults(name))


def test_colours_are_those_of_the_masks() -> None:
    expected = [f'#{"".join(f"{value:02x}" for value in colour)}' for colour in ISPRS[:6]]
    assert list(isprs.CLASS_COLOURS.values()) == expected
