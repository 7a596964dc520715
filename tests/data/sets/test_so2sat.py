"""So2Sat in its true layouts: values, official parts, windows, streaming, refusals, training."""

from __future__ import annotations

import pickle
import re
import tracemalloc
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from eojax.config.base import base_config, check_config, set_key
from eojax.data.dataset import Dataset
from eojax.data.reading import hdf5
from eojax.data.reading.lazy_images import LazyImages
from eojax.data.reading.patches import patch_pixels
from eojax.data.sets import DATASETS, so2sat
from eojax.data.sets.so2sat_patches import MEAN, SENSORS, STD
from eojax.data.splits import rule_of, split_dataset
from eojax.data.value_range import scale_to_unit
from eojax.drawing.pictures import displayed
from eojax.errors import UserError
from eojax.training import loop as train
from tests.data.sets.so2sat_files import NUM_CLASSES, arrays, write, write_version
from tests.training_runs import rows

LAYOUTS: dict[str, dict[str, Any]] = {
    'contiguous': {},
    'chunked': {'chunks': (7, 32, 32, 2)},
    'gzip': {'chunks': (1, 32, 32, 8), 'compression': 'gzip', 'compression_opts': 1},
}


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv('EOJAX_CACHE', str(tmp_path / 'cache'))


def load(root: Path, *args: Any, **options: Any) -> Dataset:
    return so2sat.load(root, *args, **({'progress': False, 'cache': False} | options))


def joined(content: dict[str, dict[str, np.ndarray]], key: str) -> np.ndarray:
    return np.concatenate([part[key] for part in content.values()])


@pytest.mark.parametrize('layout', LAYOUTS)
@pytest.mark.parametrize('version', ['v2', 'v3_culture_10'])
def test_reflectance_in_every_layout(tmp_path: Path, version: str, layout: str) -> None:
    content = write_version(tmp_path, version, **LAYOUTS[layout])
    dataset = load(tmp_path, 'rgb', version)
    assert dataset.bands == ('B04', 'B03', 'B02')
    assert dataset.images.dtype == np.uint16
    expected = joined(content, 'sen2')[..., [2, 1, 0]]
    assert dataset.images.shape == expected.shape
    assert np.abs(dataset.images[:] / 10_000.0 - expected).max() <= 0.5000001e-4
    np.testing.assert_array_equal(dataset.labels, joined(content, 'label').argmax(1))
    assert dataset.class_names == so2sat.CLASS_NAMES
    assert dataset.limits == ((0.0, 2750.0),) * 3


@pytest.mark.parametrize('layout', LAYOUTS)
def test_complex_backscatter_in_every_layout(tmp_path: Path, layout: str) -> None:
    content = write_version(tmp_path, 'v2', **LAYOUTS[layout])
    dataset = load(tmp_path, 'vv', vv_limit=0.8)
    assert dataset.bands == ('vv_real', 'vv_imaginary')
    assert dataset.images.dtype == np.uint16
    expected = joined(content, 'sen1')[..., [2, 3]]
    assert np.abs(expected).max() > 100.0  # the tails are heavy
    found = (dataset.images[:].astype(float) - 32767) * (0.8 / 32767)
    assert np.abs(found - expected.clip(-0.8, 0.8)).max() <= 0.5000001 * 0.8 / 32767
    # What the networks see: zero is zero, the limits are -1 and 1.
    seen = scale_to_unit(dataset.images[:], dataset.limits)
    np.testing.assert_allclose(seen, expected.clip(-0.8, 0.8) / 0.8, atol=2e-5)


@pytest.mark.parametrize('resident_bytes', [None, 0])
def test_backscatter_that_is_not_cut(tmp_path: Path, resident_bytes: int | None) -> None:
    content = write_version(tmp_path, 'v2')
    dataset = load(tmp_path, 'vv', vv_limit=0, resident_bytes=resident_bytes)
    assert dataset.images.dtype == np.float16
    assert dataset.facts.rasters['images'].dtype == 'float16'
    expected = joined(content, 'sen1')[..., [2, 3]]
    np.testing.assert_allclose(dataset.images[:], expected, rtol=2**-11, atol=1e-7)
    # The networks see all of it, on the scale of what is cut otherwise.
    seen = scale_to_unit(dataset.images[:], dataset.limits)
    np.testing.assert_allclose(seen, expected / 1.5, rtol=2**-10, atol=1e-6)
    assert np.abs(seen).max() > 100.0
    assert displayed(dataset.images[:2], dataset.bands, dataset.limits).dtype == np.uint8


def test_backscatter_beyond_the_type_is_refused(tmp_path: Path) -> None:
    content = write_version(tmp_path, 'v2')
    content['testing']['sen1'][3, 0, 0, 2] = 1e5
    write(tmp_path / 'testing.h5', content['testing'])
    load(tmp_path, 'vv')
    with pytest.raises(UserError, match=r'testing/0000003: 100000 in sen1 is beyond float16'):
        load(tmp_path, 'vv', vv_limit=0)


def test_validation_images_from_those_for_training(tmp_path: Path) -> None:
    write_version(tmp_path, 'v2', 340)
    (tmp_path / 'validation.h5').unlink()
    config = base_config('supervised', 'wide_resnet', 'so2sat')
    config.data.update({'root': str(tmp_path), 'validation_file': False})
    for _ in range(2):  # read, and from the cache
        dataset = so2sat.KIND.from_config(config.data, False)
        split = split_dataset(dataset, rule_of(config.data, 0))
        parts = [dataset.names[i].partition('/')[0] for i in split.validation]
        assert set(parts) == {'training'}
        assert len(parts) == pytest.approx(0.1 * 680, abs=17 / 2)
        assert {dataset.names[i].partition('/')[0] for i in split.test} == {'testing'}
        assert len(split.train) + len(parts) == 680


def test_zero_and_the_limits_of_backscatter_are_exact(tmp_path: Path) -> None:
    content = arrays(NUM_CLASSES)
    content['sen1'][0, 0, :4, 2] = (0.0, 12702.0, -5007.0, -0.0)
    for part in ('training', 'validation', 'testing'):
        write(tmp_path / f'{part}.h5', content)
    dataset = load(tmp_path, 'vv')
    assert dataset.images[0, 0, :4, 0].tolist() == [32767, 65534, 0, 32767]
    assert scale_to_unit(dataset.images[:], dataset.limits)[0, 0, :4, 0].tolist() == [0, 1, -1, 0]


def test_all_bands_of_sentinel_2(tmp_path: Path) -> None:
    content = write_version(tmp_path, 'v3_block')
    content['training']['sen2'][3, 5, 6, 7] = 9.0
    content['training']['sen2'][3, 5, 6, 8] = -0.2
    write(tmp_path / 'block/training.h5', content['training'])
    dataset = load(tmp_path, 's2', 'v3_block')
    assert dataset.bands == so2sat.SENSORS['s2'].bands
    assert len(dataset.bands) == len(MEAN) == len(STD) == 10
    clipped = joined(content, 'sen2').clip(0.0, 6.5535)
    assert np.abs(dataset.images[:] / 10_000.0 - clipped).max() <= 0.5000001e-4
    assert dataset.limits is not None
    assert dataset.limits[2] == pytest.approx((0.0, 10_000 * (0.10108552 + 3 * 0.06636617)))
    assert dataset.limits[0] == pytest.approx((49.93, 2425.21), abs=0.01)
    # The same pixels as the three that are seen.
    rgb = load(tmp_path, 'rgb', 'v3_block')
    np.testing.assert_array_equal(dataset.images[..., [2, 1, 0]], rgb.images[:])
    assert displayed(dataset.images[:2], dataset.bands, dataset.limits).shape == (2, 32, 32, 3)


@pytest.mark.parametrize('version', so2sat.VERSIONS)
def test_names_and_parts_are_the_published_split(tmp_path: Path, version: str) -> None:
    content = write_version(tmp_path, version)
    dataset = load(tmp_path, 'rgb', version)
    assert dataset.names == tuple(sorted(set(dataset.names)))
    assert dataset.names[0] == 'testing/0000000'
    assert 'training/0000012' in dataset.names
    assert dataset.parts is not None
    assert dataset.parts.dtype == np.int8
    codes = {'training': 0, 'validation': 1, 'testing': 2}
    for part, values in content.items():
        chosen = np.flatnonzero([name.startswith(f'{part}/') for name in dataset.names])
        assert len(chosen) == len(values['label'])
        assert set(dataset.parts[chosen]) == {codes[part]}
    assert (1 in dataset.parts) == (version == 'v2')


class Spy:
    """The reads of arrays: key, and numbers of values."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.reads: list[tuple[str, int]] = []
        original = h5py.Dataset.__getitem__

        def read(array: h5py.Dataset, *args: Any, **options: Any) -> Any:
            values = original(array, *args, **options)
            self.reads.append((array.name, values.nbytes))
            return values

        monkeypatch.setattr(h5py.Dataset, '__getitem__', read)


def test_files_are_read_by_windows_and_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = write_version(tmp_path, 'v2', 20, chunks=(4, 32, 32, 2))
    whole = load(tmp_path, 'rgb').images[:]
    monkeypatch.setattr(hdf5, 'WINDOW_BYTES', 2**20)
    spy = Spy(monkeypatch)
    tracemalloc.start()
    images = load(tmp_path, 'rgb').images[:]
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    np.testing.assert_array_equal(images, whole)
    # A window holds 12 patches, three chunks; the first patch of all is read once more by itself.
    patch = 32 * 32 * 10 * 8
    of_patches = [size for key, size in spy.reads if key == '/sen2']
    assert max(of_patches) == 12 * patch
    assert sum(of_patches) == joined(content, 'sen2').nbytes + patch
    assert {key for key, _ in spy.reads} == {'/sen2', '/label'}
    assert peak < images.nbytes + 5 * 2**20  # the files have 9 MiB of this sensor


def test_the_second_start_reads_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_version(tmp_path, 'v2')
    options = {'rgb': {}, 'vv': {}, 'vv of another limit': {'vv_limit': 0.1}, 's2': {}}
    first = {n: load(tmp_path, n.split()[0], cache=True, **o) for n, o in options.items()}
    assert (first['vv'].images[:] != first['vv of another limit'].images[:]).any()
    with monkeypatch.context() as patch:
        patch.setattr(h5py, 'File', None)  # a call would fail
        for name, option in options.items():
            again = load(tmp_path, name.split()[0], cache=True, **option)
            np.testing.assert_array_equal(again.images[:], first[name].images[:])
            np.testing.assert_array_equal(again.labels, first[name].labels)
            assert again.parts is not None
            np.testing.assert_array_equal(again.parts, first[name].parts)
            assert (again.limits, again.names) == (first[name].limits, first[name].names)
    write(tmp_path / 'training.h5', arrays(14, seed=9))
    changed = load(tmp_path, 'rgb', cache=True)
    assert changed.names == first['rgb'].names
    assert (changed.images[:] != first['rgb'].images[:]).any()


@pytest.mark.parametrize('sensor', ['rgb', 'vv'])
def test_larger_than_the_limit_stays_on_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sensor: str
) -> None:
    write_version(tmp_path, 'v2')
    dense = load(tmp_path, sensor)
    spy = Spy(monkeypatch)
    lazy = load(tmp_path, sensor, resident_bytes=dense.images.nbytes - 1)
    assert isinstance(lazy.images, LazyImages)
    assert len([key for key, _ in spy.reads if key != '/label']) == 1
    assert lazy.images.nbytes == dense.images.nbytes
    chosen = np.array([30, 3, 3, 41])
    np.testing.assert_array_equal(lazy.images[chosen], dense.images[chosen])
    copy = pickle.loads(pickle.dumps(lazy.subset(chosen).images))
    np.testing.assert_array_equal(copy[1:], dense.images[chosen[1:]])
    assert {size for key, size in spy.reads if key != '/label'} == {
        32 * 32 * SENSORS[sensor].num_channels * 8
    }
    assert (lazy.names, lazy.limits) == (dense.names, dense.limits)
    np.testing.assert_array_equal(lazy.parts, dense.parts)
    held = load(tmp_path, sensor, resident_bytes=dense.images.nbytes)
    assert isinstance(held.images, np.ndarray)


def test_other_sizes_are_means_over_the_ground(tmp_path: Path) -> None:
    write_version(tmp_path, 'v2')
    full, half = (load(tmp_path, size=size).images[:] for size in (32, 16))
    assert half.shape[1:] == (16, 16, 3)
    assert half.dtype == np.uint16
    assert np.abs(half - full.reshape(-1, 16, 2, 16, 2, 3).mean((2, 4))).max() < 0.501


def test_what_is_read_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_version(tmp_path, 'v2')
    load(tmp_path, progress=True)
    error = capsys.readouterr().err
    assert 'reading So2Sat: 100%' in error
    assert f'So2Sat LCZ42, {tmp_path}: 42 images (compact high-rise 4, ' in error


def test_scenes_are_cut_into_patches_of_the_same_ground() -> None:
    assert patch_pixels(so2sat.SO2SAT, 32, 10.0) == 32
    assert patch_pixels(so2sat.SO2SAT, 64, 20.0) == 16


@pytest.mark.parametrize(
    ('key', 'values', 'message'),
    [
        ('sen2', None, r"training\.h5: no array 'sen2' \(it holds label, sen1\)"),
        ('label', None, r"training\.h5: no array 'label'"),
        ('sen2', np.zeros((17, 32, 32, 8)), r'sen2 is 17 x 32 x 32 x 8; expected N x 32 x 32 x 10'),
        ('sen2', np.zeros((17, 32, 32, 10), np.uint16), r'sen2 has values of type uint16'),
        ('sen2', np.zeros((16, 32, 32, 10)), r'17 labels for 16 patches of sen2'),
        ('label', np.arange(17), r'label is 17; expected N x 17'),
        ('label', np.full((17, 17), 1 / 17), r'label 0 is not one-hot'),
        ('label', np.eye(17)[::-1] - np.eye(17), r'label 0 is not one-hot'),
        ('label', np.eye(17) * np.nan, r'label 0 is not one-hot'),
        ('label', np.eye(17) + np.eye(17)[5:6], r'label 0 is not one-hot'),
        ('label', np.tri(17, k=-1) * np.tri(17, k=1).T, r'label 0 is not one-hot'),
    ],
)  # fmt: skip
def test_files_of_another_layout(
    tmp_path: Path, key: str, values: np.ndarray | None, message: str
) -> None:
    write_version(tmp_path, 'v2')
    content = arrays(NUM_CLASSES)
    if values is None:
        del content[key]
    else:
        content[key] = values
    write(tmp_path / 'training.h5', content)
    for resident_bytes in (None, 0):
        with pytest.raises(UserError, match=message) as caught:
            load(tmp_path, resident_bytes=resident_bytes)
        assert str(tmp_path / 'training.h5') in str(caught.value)
        assert '\n' not in str(caught.value)


@pytest.mark.parametrize('value', [np.nan, np.inf])
def test_values_that_are_no_numbers_are_named(tmp_path: Path, value: float) -> None:
    content = write_version(tmp_path, 'v2')['training']
    content['sen2'][10, 1, 2, 1] = content['sen2'][11, 1, 2, 5] = value
    write(tmp_path / 'training.h5', content)
    message = rf'{re.escape(str(tmp_path))}: training/0000010: pixels of sen2 are NaN or infinite'
    with pytest.raises(UserError, match=message):
        load(tmp_path)
    lazy = load(tmp_path, resident_bytes=0)
    place = lazy.names.index('training/0000010')
    with pytest.raises(UserError, match=message):
        lazy.images[place]
    # Channels that are not taken count for nothing.
    assert lazy.images[place + 1].shape == (32, 32, 3)
    assert load(tmp_path, 'vv').images.shape[-1] == 2


def test_damaged_files(tmp_path: Path) -> None:
    write_version(tmp_path, 'v2')
    file = tmp_path / 'validation.h5'
    file.write_bytes(file.read_bytes()[:-4000])
    with pytest.raises(UserError, match=r'validation\.h5: truncated HDF5 file'):
        load(tmp_path)
    file.write_bytes(b'<html>')
    with pytest.raises(UserError, match=r'validation\.h5: not an HDF5 file'):
        load(tmp_path)


def test_missing_files_say_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r'no such file: .*testing\.h5.*get all of them from https'):
        load(tmp_path)
    write_version(tmp_path, 'v3_random')
    with pytest.raises(UserError, match=r'read with --config\.data\.version=v3_random'):
        load(tmp_path)
    with pytest.raises(UserError, match=r'no such file: .*culture_10/testing\.h5'):
        load(tmp_path, 'rgb', 'v3_culture_10')
    write(tmp_path / 'testing.h5', arrays(NUM_CLASSES))
    (tmp_path / 'training.h5.gz').touch()
    with pytest.raises(UserError, match=r'unpack it: gunzip .*training\.h5\.gz'):
        load(tmp_path)
    with pytest.raises(UserError, match=r'cannot be downloaded from here.*--config\.data\.root='):
        so2sat.load('')


@pytest.mark.parametrize(
    ('key', 'value', 'message'),
    [
        ('sensor', 'vh', r"unknown data\.sensor 'vh'; did you mean 'vv'\? \(known: rgb, s2, vv\)"),
        ('version', 'v3', r"unknown data\.version 'v3'"),
        ('vv_limit', -1.0, r'data\.vv_limit must not be negative'),
        ('vv_limit', float('inf'), r'data\.vv_limit must be a finite number'),
        ('source', 'tfds', r"data\.source of the data set 'so2sat' is 'files'"),
        ('labels_per_class', 'some', r'labels_per_class'),
        ('size', 0, r'data\.size must be at least 1'),
    ],
)
def test_options_that_name_nothing(key: str, value: Any, message: str) -> None:
    config = base_config('supervised', 'wide_resnet', 'so2sat')
    check_config(config)
    set_key(config, f'data.{key}', value)
    with pytest.raises(UserError, match=message) as caught:
        check_config(config)
    assert '\n' not in str(caught.value)


def test_the_options_are_those_of_the_config(tmp_path: Path) -> None:
    write_version(tmp_path, 'v3_block')
    options = base_config('supervised', 'wide_resnet', 'so2sat').data
    assert options.size == 32
    options.update({'root': str(tmp_path), 'sensor': 'vv', 'version': 'v3_block', 'size': 16})
    options.update({'vv_limit': 0.3})
    dense = DATASETS['so2sat'].from_config(options, False)
    expected = load(tmp_path, 'vv', 'v3_block', size=16, vv_limit=0.3)
    np.testing.assert_array_equal(dense.images, expected.images[:])
    options.resident_gigabytes = 0.0
    lazy = DATASETS['so2sat'].from_config(options, False)
    assert isinstance(lazy.images, LazyImages)
    np.testing.assert_array_equal(lazy.images[:], expected.images[:])


@pytest.mark.parametrize(
    ('sensor', 'version', 'gigabytes'), [('rgb', 'v2', 4.0), ('vv', 'v3_culture_10', 0.0)]
)
def test_a_network_trains_on_it(
    tmp_path: Path, sensor: str, version: str, gigabytes: float
) -> None:
    write_version(tmp_path / 'so2sat', version, 26)
    config = base_config('supervised', 'wide_resnet', 'so2sat')
    values = {
        'steps': 2, 'batch_size': 8, 'log_every': 1, 'evaluate_every': 2, 'checkpoint_every': 2,
        'tensorboard': False, 'data.root': str(tmp_path / 'so2sat'), 'data.sensor': sensor,
        'data.version': version, 'data.size': 16, 'data.labels_per_class': '2',
        'data.resident_gigabytes': gigabytes, 'data.workers': 0, 'model.depth': 10,
        'model.width': 1, 'evaluate.batch_size': 32, 'evaluate.keep_reference': False,
    }  # fmt: skip
    for key, value in values.items():
        set_key(config, key, value)
    train.train(config, tmp_path / 'run')
    found = rows(tmp_path / 'run')
    losses = [row['loss'] for row in found if 'loss' in row]
    assert len(losses) == 2
    assert np.isfinite(losses).all()
    assert any('validation_accuracy' in row for row in found)
