"""Images that stay on disk: equal to those in memory, in other processes and threads too."""

from __future__ import annotations

import multiprocessing
import pickle
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from eojax.config.base import base_config
from eojax.data.dataset import Dataset
from eojax.data.reading.image_folder import read_image_folder
from eojax.data.reading.lazy_images import LazyImages
from eojax.data.reading.published_images import load_published
from eojax.data.sets import DATASETS, eurosat, ucmerced
from eojax.errors import UserError
from tests.data.labelled_archives import encode, eurosat_members, pixels, write_tree, write_zip

SIZE = 8
BYTES = 12 * SIZE * SIZE * 3


def members() -> dict[str, bytes]:
    return {
        f'set/{name}/{i}.png': encode(pixels(10 * label + i, SIZE, SIZE))
        for label, name in enumerate(('Field', 'River'))
        for i in range(6)
    }


@pytest.fixture(params=[write_zip, write_tree], ids=['archive', 'folder'])
def source(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return request.param(tmp_path / 'land.zip', members())


def read(path: Path, resident_bytes: int | None = 0, **options: Any) -> Dataset:
    return read_image_folder(path, progress=False, resident_bytes=resident_bytes, **options)


@pytest.fixture
def lazy(source: Path) -> LazyImages:
    images = read(source).images
    assert isinstance(images, LazyImages)
    return images


@pytest.fixture
def array(source: Path) -> np.ndarray:
    images = read(source, None).images
    assert isinstance(images, np.ndarray)
    return images


@pytest.mark.parametrize(
    'key',
    [
        0, -1, np.int64(7), np.array(3), slice(None), slice(2, 9, 3), slice(None, None, -1),
        np.array([5, 1, 1]), [0, -2], np.arange(12) % 3 == 0, np.zeros(0, int),
        np.array([[1, 2], [3, 4]]), np.array([2], np.uint8),
    ],
    ids=repr,
)  # fmt: skip
def test_indexing_is_that_of_the_array(lazy: LazyImages, array: np.ndarray, key: Any) -> None:
    found = lazy[key]
    assert type(found) is np.ndarray
    assert found.dtype == array.dtype
    np.testing.assert_array_equal(found, array[key])


def test_it_looks_like_the_array(lazy: LazyImages, array: np.ndarray) -> None:
    assert lazy.shape == array.shape
    assert lazy.dtype == array.dtype
    assert lazy.nbytes == array.nbytes == BYTES
    assert len(lazy) == len(array)
    for wrong in (12, -13, 0.5, (0, 1), np.array([12])):
        with pytest.raises((IndexError, TypeError)):
            lazy[wrong]


def test_it_is_not_read_as_a_whole_by_accident(lazy: LazyImages) -> None:
    for convert in (np.asarray, np.array, np.mean):
        with pytest.raises(TypeError, match=r'images\[:\] reads all'):
            convert(lazy)


def test_subsets_read_nothing(
    lazy: LazyImages, array: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(LazyImages, '_one', None)  # a call would fail
        part = lazy.subset(np.array([7, 2, 2, -1])).subset(np.array([3, 0]))
    assert part.shape == (2, SIZE, SIZE, 3)
    np.testing.assert_array_equal(part[:], array[[11, 7]])


def test_a_data_set_of_them_is_the_one_in_memory(source: Path) -> None:
    lazy, dense = read(source), read(source, None)
    chosen = np.array([9, 0, 4])
    one, other = lazy.subset(chosen), dense.subset(chosen)
    assert isinstance(one.images, LazyImages)
    np.testing.assert_array_equal(one.images[:], other.images)
    np.testing.assert_array_equal(one.labels, other.labels)
    assert (one.facts, one.names) == (other.facts, other.names)


def test_all_are_read_in_order_by_any_number_of_threads(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    content = {f'A/{i:03}.png': encode(np.full((2, 2, 3), i, np.uint8)) for i in range(200)}
    lazy = read(write_zip(tmp_path / 'many.zip', content)).images
    assert isinstance(lazy, LazyImages)
    for threads in (1, 3):
        np.testing.assert_array_equal(lazy.read_all(threads=threads)[:, 0, 0, 0], np.arange(200))
    assert not capsys.readouterr().err
    lazy.read_all(progress=True, title='many')
    assert 'decoding many: 100%' in capsys.readouterr().err


def test_threads_may_share_it(lazy: LazyImages, array: np.ndarray) -> None:
    fresh: LazyImages = pickle.loads(pickle.dumps(lazy))  # nothing is open yet
    chosen = np.random.default_rng(0).integers(0, 12, 400)
    with ThreadPoolExecutor(8) as executor:
        found = list(executor.map(fresh.__getitem__, chosen))
    np.testing.assert_array_equal(found, array[chosen])


@pytest.fixture(scope='module')
def worker() -> Iterator[ProcessPoolExecutor]:
    with ProcessPoolExecutor(1, multiprocessing.get_context('spawn')) as executor:
        yield executor


def test_another_process_can_have_it(
    lazy: LazyImages, array: np.ndarray, worker: ProcessPoolExecutor
) -> None:
    lazy[0]  # what is open here stays here
    assert len(pickle.dumps(lazy)) < 1000
    found = worker.submit(lazy.subset(np.arange(2, 12)).__getitem__, np.array([1, 5])).result()
    np.testing.assert_array_equal(found, array[[3, 7]])


def test_errors_come_back_from_another_process_as_they_are(
    tmp_path: Path, worker: ProcessPoolExecutor
) -> None:
    content = members() | {'set/River/3.png': encode(pixels(0, SIZE, SIZE))[:-30]}
    path = write_zip(tmp_path / 'land.zip', content)
    lazy = read(path).images
    with pytest.raises(UserError) as here:
        lazy[9]
    with pytest.raises(UserError) as there:
        worker.submit(lazy.__getitem__, np.array([0, 9])).result()
    assert str(here.value) == str(there.value)
    assert f'{path}: set/River/3.png: broken image' in str(there.value)


@pytest.mark.parametrize(
    ('data', 'message'),
    [
        (encode(pixels(0, SIZE, 9)), r'River/3\.png: 9x8 pixels; expected 8x8'),
        (b'text', r'River/3\.png: not a JPEG, PNG or TIFF'),
        (encode(pixels(0, SIZE, SIZE, 1)), r'River/3\.png: 1 band\(s\); expected 3'),
    ],
)
def test_files_are_checked_when_they_are_read(tmp_path: Path, data: bytes, message: str) -> None:
    path = write_zip(tmp_path / 'land.zip', members() | {'set/River/3.png': data})
    lazy = read(path).images
    assert lazy[:9].shape == (9, SIZE, SIZE, 3)
    with pytest.raises(UserError, match=message):
        lazy[7:]
    with pytest.raises(UserError, match=message):
        read(path, None)


def test_files_that_went_away_are_named(source: Path, tmp_path: Path) -> None:
    lazy: LazyImages = pickle.loads(pickle.dumps(read(source).images))
    if source.is_dir():
        (source / 'set/River/3.png').unlink()
    else:
        write_zip(source, {k: v for k, v in members().items() if k != 'set/River/3.png'})
    with pytest.raises(UserError, match=r'River/3\.png'):
        lazy[9]
    assert lazy[8].shape == (SIZE, SIZE, 3)
    if not source.is_dir():
        source.unlink()
        with pytest.raises(UserError, match=r'no such file or folder: .*land\.zip'):
            pickle.loads(pickle.dumps(lazy))[0]


@pytest.mark.parametrize(('limit', 'expected'), [(BYTES, False), (BYTES - 1, True), (None, False)])
def test_the_limit_decides(source: Path, limit: int | None, expected: bool) -> None:
    assert isinstance(read(source, limit).images, LazyImages) == expected


def test_the_limit_holds_for_what_is_resampled(source: Path) -> None:
    assert isinstance(read(source, BYTES // 4, resize=SIZE // 2).images, np.ndarray)
    lazy = read(source, BYTES, resize=2 * SIZE).images
    assert isinstance(lazy, LazyImages)
    np.testing.assert_array_equal(lazy[:], read(source, None, resize=2 * SIZE).images)


def test_the_cache_keeps_none_and_gives_none_that_are_too_large(
    source: Path, tmp_path: Path
) -> None:
    cache = tmp_path / 'cache'
    assert isinstance(read(source, 0, cache=cache).images, LazyImages)
    assert not cache.exists()
    dense = read(source, None, cache=cache).images
    kept = {file: file.stat().st_mtime_ns for file in cache.iterdir()}
    assert len(kept) == 2
    lazy = read(source, 0, cache=cache).images
    assert isinstance(lazy, LazyImages)
    np.testing.assert_array_equal(lazy[:], dense)
    np.testing.assert_array_equal(read(source, BYTES, cache=cache).images, dense)
    assert {file: file.stat().st_mtime_ns for file in cache.iterdir()} == kept


def test_data_sets_take_the_limit_from_the_config(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv('EOJAX_CACHE', str(tmp_path / 'cache'))
    scenes = {
        f'Images/{name}/{name}00.tif': encode(pixels(0, 64, 60), 'TIFF')
        for name in ucmerced.CLASS_NAMES
    }
    roots = {
        'eurosat': write_zip(tmp_path / 'eurosat.zip', eurosat_members(1)),
        'ucmerced': write_zip(tmp_path / 'ucmerced.zip', scenes),
        'folder': write_zip(tmp_path / 'folder.zip', members()),
    }
    for name, root in roots.items():
        options = base_config('supervised', 'wide_resnet', name).data
        options.root, options.size = str(root), 16
        dense = DATASETS[name].from_config(options, False)
        assert isinstance(dense.images, np.ndarray)
        options.resident_gigabytes = dense.images.nbytes / 2**30
        assert isinstance(DATASETS[name].from_config(options, False).images, np.ndarray)
        options.resident_gigabytes *= 0.99
        lazy = DATASETS[name].from_config(options, False)
        assert isinstance(lazy.images, LazyImages)
        np.testing.assert_array_equal(lazy.images[:], dense.images)
        assert lazy.names == dense.names
    assert dense.limits is None
    assert (
        load_published(eurosat.EUROSAT, roots['eurosat'], progress=False, resident_bytes=0).limits
        is None
    )
