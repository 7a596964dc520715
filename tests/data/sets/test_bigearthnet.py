"""BigEarthNet in its layouts, and a real sample of it: values, classes, parts, tiles."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import rasterio
from ml_collections import ConfigDict
from rasterio.enums import Resampling

from eojax.data import options as data_options
from eojax.data.dataset import TEST, TRAIN, VALIDATION, Dataset, Window
from eojax.data.facts import IMAGES
from eojax.data.reading.lazy_images import LazyImages
from eojax.data.sets import DATASETS, bigearthnet
from eojax.errors import UserError
from tests.data.band_files import drawn_bands, write_bands
from tests.real_data import real_data

TILE = 'S2A_MSIL2A_20170613T101031_N9999_R022_T33UUP'
OTHER = 'S2B_MSIL2A_20180413T095029_N9999_R079_T34UEG'
V1 = 'S2A_MSIL2A_20170613T101031'


def load(root: Path, **changes: object) -> Dataset:
    options = ConfigDict(data_options.defaults('bigearthnet'))
    options.update({'root': '' if root == Path() else str(root), 'size': 120, **changes})
    data_options.check(options, 'data')
    return DATASETS['bigearthnet'].from_config(options, False)


def write_patch(folder: Path, seed: int = 0) -> None:
    drawn = drawn_bands(120, seed, bands=bigearthnet.BANDS)
    write_bands(folder, drawn, f'{folder.name}_{{band}}.tif')


@pytest.fixture(scope='module')
def version_2(tmp_path_factory) -> Path:
    """Four patches of two tiles, with metadata that leave the last one out."""
    root = tmp_path_factory.mktemp('BigEarthNet')
    patches = [f'{TILE}_0_1', f'{TILE}_26_57', f'{OTHER}_5_5', f'{OTHER}_9_9']
    for seed, patch in enumerate(patches):
        write_patch(root / 'BigEarthNet-S2' / patch.rsplit('_', 2)[0] / patch, seed)
    table = pd.DataFrame(
        {
            'patch_id': patches[:3],
            'labels': [['Arable land'], ['Pastures', 'Mixed forest'], ['Marine waters']],
            'split': ['train', 'validation', 'test'],
            'country': ['Austria', 'Austria', 'Serbia'],
        }
    )
    table.to_parquet(root / 'metadata.parquet')
    return root


def test_version_2_is_listed_by_its_metadata(version_2: Path) -> None:
    dataset = load(version_2)
    assert dataset.facts.label == 'none'
    assert dataset.facts.images.surface
    assert dataset.facts.size == (120, 120)
    assert dataset.facts.metres == 10.0
    assert dataset.places.num == 3
    assert np.ravel(dataset.parts).tolist() == [TRAIN, VALIDATION, TEST]
    assert isinstance(dataset.images, LazyImages)
    drawn = drawn_bands(120, 1, bands=bigearthnet.BANDS)
    expected = np.stack([drawn[band] for band in ('B04', 'B03', 'B02')], -1)
    np.testing.assert_array_equal(dataset.images[1], expected)
    part = dataset.source.read(1, Window(5, 6, 7, 8), (IMAGES,))[IMAGES]
    np.testing.assert_array_equal(part, expected[5:12, 6:14])


def test_no_patch_is_opened_to_list_them(version_2: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError('a file was opened')

    monkeypatch.setattr(rasterio, 'open', refuse)
    assert load(version_2, split='tile').facts.group_names == ('T33UUP', 'T34UEG')


def test_patches_of_one_class_are_labelled_when_asked_for(version_2: Path) -> None:
    dataset = load(version_2, labels='single', size=64)
    assert dataset.facts.label == 'image'
    assert dataset.facts.num_classes == 19
    assert [dataset.class_names[label] for label in dataset.labels] == [
        'Arable land', 'Marine waters',
    ]  # fmt: skip
    assert dataset.images.shape == (2, 64, 64, 3)
    assert dataset.facts.metres == pytest.approx(18.75)
    whole = load(version_2).images[0]
    assert dataset.images[0].mean() == pytest.approx(whole.mean(), rel=1e-3)


def test_version_1_has_an_acquisition_whose_hour_lost_its_zero(tmp_path: Path) -> None:
    patches = (f'{V1}_0_45', 'S2B_MSIL2A_20180525T94031_80_19')
    for patch in patches:
        write_patch(tmp_path / 'BigEarthNet-v1.0' / patch)
    dataset = load(tmp_path)
    assert [str(name).rpartition('/')[2] for name in dataset.names] == list(patches)
    assert dataset.facts.group_names == (V1, 'S2B_MSIL2A_20180525T94031')


def test_version_1_has_its_labels_beside_and_its_split_in_lists(tmp_path: Path) -> None:
    root = tmp_path / 'BigEarthNet-v1.0'
    patches = [f'{V1}_0_45', f'{V1}_12_3', 'S2B_MSIL2A_20170801T095029_1_1']
    labels = [
        ['Vineyards', 'Olive groves'], ['Airports', 'Sea and ocean'], ['Pastures', 'Peatbogs'],
    ]  # fmt: skip
    for patch, said in zip(patches, labels, strict=True):
        write_patch(root / patch)
        (root / patch / f'{patch}_labels_metadata.json').write_text(json.dumps({'labels': said}))
    dataset = load(tmp_path)
    assert dataset.facts.group_names == (V1, 'S2B_MSIL2A_20170801T095029')
    assert dataset.parts is None
    single = load(tmp_path, labels='single')
    assert [single.class_names[label] for label in single.labels] == [
        'Permanent crops', 'Marine waters',
    ]  # fmt: skip
    for name, patch in zip(('train', 'val', 'test'), patches, strict=True):
        (tmp_path / f'{name}.csv').write_text(f'{patch},radar\n')
    assert np.ravel(load(tmp_path).parts).tolist() == [TRAIN, VALIDATION, TEST]
    (root / patches[0] / f'{patches[0]}_labels_metadata.json').unlink()
    with pytest.raises(
        UserError, match=r'without metadata.parquet the labels of patches lie there'
    ):
        load(tmp_path, labels='single')


def test_mistakes_are_one_line(version_2: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r'no patches of BigEarthNet in it'):
        load(tmp_path)
    with pytest.raises(UserError, match=r'no such file or folder'):
        load(tmp_path / 'none')
    with pytest.raises(UserError, match=r"unknown band in data.bands 'B10'"):
        load(version_2, bands='B10')  # level 2A has none
    (tmp_path / TILE / f'{TILE}_1_1').mkdir(parents=True)
    with pytest.raises(UserError, match=r'no bands of Sentinel-2 in files of their own'):
        load(tmp_path).images[0]
    (tmp_path / 'metadata.parquet').write_bytes(b'nothing')
    with pytest.raises(UserError, match=r'its metadata cannot be read'):
        load(tmp_path)


def test_every_published_class_is_known() -> None:
    published = 'Land principally occupied by agriculture, with significant areas of natural'
    assert bigearthnet.classes_of([f'{published} vegetation'])[0].startswith('Land principally')
    assert bigearthnet.classes_of("['Beaches, dunes, sands']") == ('Beaches dunes sands',)
    assert bigearthnet.classes_of(['Transitional woodland, shrub', 'Airports']) == (
        'Transitional woodland and shrub',
    )
    with pytest.raises(ValueError, match=r'unknown label'):
        bigearthnet.classes_of(['Glaciers'])


def test_a_real_sample_is_as_rasterio_reads_it(tmp_path: Path) -> None:
    archive = real_data('bigearthnet_v2_sample.zip')
    dataset = load(archive, bands='all')
    assert dataset.places.num == 33
    assert set(np.unique(dataset.parts)) == {TRAIN, VALIDATION, TEST}
    stacked = 0
    for place in (0, 1, 5, 9):
        name = str(dataset.names[place])
        found = dataset.images[place]
        try:
            with rasterio.open(f'/vsizip/{archive}/{name}/s2.tif') as file:
                expected = file.read()
            stacked += 1
        except rasterio.errors.RasterioIOError:
            bands = []
            for band in bigearthnet.BANDS:
                with rasterio.open(f'/vsizip/{archive}/{name}/{band}.tif') as file:
                    bands.append(file.read(1, out_shape=(120, 120), resampling=Resampling.bilinear))
            expected = np.stack(bands)
        np.testing.assert_array_equal(found, np.moveaxis(expected, 0, -1))
    assert stacked < 4
    assert len(load(archive, labels='single').labels) == 5
