"""Reading labelled folders and archives: what comes out, and what is refused by name."""

from __future__ import annotations

import errno
import json
import os
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from eojax.data.dataset import Dataset
from eojax.data.reading.decode import decode_image
from eojax.data.reading.image_folder import read_image_folder
from eojax.errors import UserError
from eojax.home import cache_folder
from tests.data.comparisons import assert_same
from tests.data.labelled_archives import encode, pixels, write_tree, write_zip

CLASSES = ('Field', 'River', 'Town')


def members(top: str = 'set/RGB/') -> dict[str, bytes]:
    return {
        f'{top}{name}/{name}_{i}.png': encode(pixels(10 * label + i, 8, 8))
        for label, name in enumerate(CLASSES)
        for i in (2, 1, 10)
    }


def read(path: Path, class_names: Sequence[str] | None = None, **options: Any) -> Dataset:
    return read_image_folder(path, class_names, progress=False, **options)


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    return write_zip(tmp_path / 'land.zip', members())


def test_archive_gives_sorted_names_labels_and_exact_pixels(archive: Path) -> None:
    dataset = read(archive)
    assert dataset.names[:4] == (
        'Field/Field_1.png',
        'Field/Field_10.png',
        'Field/Field_2.png',
        'River/River_1.png',
    )
    assert dataset.class_names == CLASSES
    np.testing.assert_array_equal(dataset.labels, np.repeat([0, 1, 2], 3))
    assert dataset.labels.dtype == np.int32
    assert dataset.images.dtype == np.uint8
    order = [10 * label + i for label in range(3) for i in (1, 10, 2)]
    np.testing.assert_array_equal(dataset.images, [pixels(seed, 8, 8) for seed in order])


@pytest.mark.parametrize('top', ['', 'set/', 'a/b/c/'])
def test_folder_equals_archive_at_any_depth(tmp_path: Path, archive: Path, top: str) -> None:
    folder = read(write_tree(tmp_path / 'tree', members(top)))
    other = read(archive)
    assert folder.names == other.names
    np.testing.assert_array_equal(folder.images, other.images)


def test_class_order_is_the_one_asked_for(archive: Path) -> None:
    dataset = read(archive, ('Town', 'Field', 'River'))
    assert dataset.class_names == ('Town', 'Field', 'River')
    assert [dataset.class_names[i] for i in dataset.labels] == [
        name.split('/')[0] for name in dataset.names
    ]


def test_more_images_than_one_task_keep_their_order(tmp_path: Path) -> None:
    content = {f'A/{i:03}.png': encode(np.full((2, 2, 3), i, np.uint8)) for i in range(200)}
    dataset = read(write_zip(tmp_path / 'many.zip', content))
    np.testing.assert_array_equal(dataset.images[:, 0, 0, 0], np.arange(200))


def test_hidden_files_and_other_files_are_left_out(tmp_path: Path) -> None:
    junk = {
        '__MACOSX/set/RGB/River/._River_1.png': b'x',
        'set/RGB/.DS_Store': b'x',
        'set/RGB/River/.hidden.png': b'x',
        'set/RGB/River/Thumbs.db': b'x',
        'set/RGB/labels.csv': b'x',
    }
    for path in (
        write_zip(tmp_path / 'land.zip', members() | junk),
        write_tree(tmp_path / 'tree', members() | junk),
    ):
        assert len(read(path).names) == 9


def test_images_above_the_class_folders_are_left_out_and_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_zip(tmp_path / 'land.zip', members() | {'set/preview.png': encode(pixels(0))})
    assert len(read(path, CLASSES).names) == 9
    assert '1 image outside of class folders' in capsys.readouterr().err


def test_names_cannot_reach_outside_of_the_archive(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    secret = tmp_path / 'River' / 'secret.png'
    write_tree(tmp_path, {'River/secret.png': encode(pixels(0, 8, 8))})
    content = members('') | {'../River/secret.png': b'', str(secret): encode(pixels(1, 8, 8))}
    inner = tmp_path / 'inner'
    inner.mkdir()
    path = write_zip(inner / 'land.zip', content)
    before = sorted(tmp_path.rglob('*'))
    with pytest.raises(UserError, match=r'class folders at several places'):
        read(path)
    del content[str(secret)]
    capsys.readouterr()
    assert 'River/secret.png' not in read(write_zip(inner / 'other.zip', content)).names
    (inner / 'other.zip').unlink()
    said = capsys.readouterr().err
    assert said.count('other.zip: 1 file left out, as ".." in a name leads out of the') == 1
    assert sorted(tmp_path.rglob('*')) == before


def test_resize_takes_images_of_different_sizes(tmp_path: Path) -> None:
    content = {
        'A/a.tif': encode(np.full((16, 16, 3), 40, np.uint8), 'TIFF'),
        'A/b.tif': encode(np.full((15, 17, 3), 90, np.uint8), 'TIFF'),
    }
    path = write_zip(tmp_path / 'odd.zip', content)
    dataset = read(path, resize=8)
    assert dataset.images.shape == (2, 8, 8, 3)
    np.testing.assert_array_equal(dataset.images[:, 0, 0, 0], [40, 90])
    with pytest.raises(UserError, match=r'A/b\.tif: 17x15 pixels; expected 16x16'):
        read(path)


def test_resize_keeps_the_mean_and_removes_what_cannot_be_shown() -> None:
    stripes = np.zeros((64, 64, 3), np.uint8)
    stripes[:, ::2] = 200
    small = decode_image(encode(stripes), 'stripes', resize=16)
    # Sampling without a low-pass filter would give 0 or 200.
    np.testing.assert_allclose(small[:, 2:-2], 100, atol=3)


def test_one_band_and_palette(tmp_path: Path) -> None:
    grey = np.arange(64, dtype=np.uint8).reshape(8, 8)
    np.testing.assert_array_equal(decode_image(encode(grey), 'g', num_bands=1)[..., 0], grey)
    colours = Image.fromarray(np.full((8, 8, 3), (10, 200, 30), np.uint8)).quantize(4)
    colours.save(tmp_path / 'palette.png')
    found = decode_image((tmp_path / 'palette.png').read_bytes(), 'p')
    np.testing.assert_array_equal(found, np.full((8, 8, 3), (10, 200, 30)))


@pytest.mark.parametrize(
    ('changes', 'options', 'message'),
    [
        ({'set/RGB/River/x.png': b'no image'}, {}, r'River/x\.png: not a JPEG, PNG or TIFF'),
        ({'set/RGB/River/x.png': b''}, {}, r'River/x\.png: an empty file \(0 bytes\)'),
        (
            {'set/RGB/River/x.jpg': encode(pixels(0, 8, 8), 'JPEG')[:-200]},
            {},
            r'River/x\.jpg: broken image',
        ),
        ({'set/RGB/River/x.png': encode(pixels(0, 8, 8))[:-30]}, {}, r'x\.png: broken image'),
        (
            {'set/RGB/River/x.png': encode(pixels(0, 8, 9))},
            {},
            r'River/x\.png: 9x8 pixels; expected 8x8',
        ),
        ({}, {'size': 64}, r'Field_1\.png: 8x8 pixels; expected 64x64'),
        (
            {'set/RGB/River/x.png': encode(pixels(0, 8, 8, 1))},
            {},
            r'River/x\.png: 1 band\(s\); expected 3; it is grey: save it in three colours',
        ),
        (
            {'set/RGB/River/x.png': encode(np.zeros((8, 8, 4), np.uint8))},
            {},
            r'River/x\.png: has transparent pixels',
        ),
        (
            {'set/RGB/River/x.png': encode(np.full((8, 8), 257 * 3, np.uint16))},
            {},
            r'River/x\.png: 1 band\(s\); expected 3',
        ),
        (
            {'set/RGB/Rivers/x.png': encode(pixels(0, 8, 8))},
            {'class_names': CLASSES},
            r"unknown class folder 'Rivers'; did you mean 'River'\? \(known: Field, River, Town\)",
        ),
        ({}, {'class_names': (*CLASSES, 'Sea')}, r"no images of class 'Sea'"),
        ({}, {'class_names': ('Lake', 'Sea')}, r"unknown class folder 'Field' \(known: Lake"),
        ({'set/RGB/Sea/readme.txt': b''}, {}, r"no images of class 'Sea'"),
        (
            {'other/MS/River/x.png': encode(pixels(0, 8, 8))},
            {},
            r"several places \('other/MS', 'set/RGB'\)",
        ),
        (
            {'set/RGB/River/more/x.png': encode(pixels(0, 8, 8))},
            {'class_names': CLASSES},
            r"images in 'set/RGB/River/more', which is not a class folder",
        ),
        ({}, {'resize': 0}, r'resized to 0 pixels'),
    ],
)
def test_errors_name_the_file_or_class(
    tmp_path: Path, changes: dict[str, bytes], options: dict[str, Any], message: str
) -> None:
    for path in (
        write_zip(tmp_path / 'land.zip', members() | changes),
        write_tree(tmp_path / 'tree', members() | changes),
    ):
        with pytest.raises(UserError, match=message) as caught:
            read(path, **options)
        assert str(path) in str(caught.value) or 'resize' in options
        assert '\n' not in str(caught.value)


def test_missing_classes_may_be_allowed(archive: Path) -> None:
    dataset = read(archive, ('Beach', *CLASSES), allow_missing_classes=True)
    assert dataset.num_classes == 4
    np.testing.assert_array_equal(np.bincount(dataset.labels), [0, 3, 3, 3])


def test_path_errors(tmp_path: Path, archive: Path) -> None:
    with pytest.raises(UserError, match=r'no such file or folder: .*nowhere'):
        read(tmp_path / 'nowhere')
    with pytest.raises(UserError, match=r'no such file or folder: .*nowhere'):
        read(tmp_path / 'nowhere', cache=tmp_path / 'cache')
    (tmp_path / 'empty').mkdir()
    with pytest.raises(UserError, match='no images'):
        read(tmp_path / 'empty')
    with pytest.raises(UserError, match='in no class folder'):
        read(write_tree(tmp_path / 'flat', {'a.png': encode(pixels(0))}))
    (tmp_path / 'text.zip').write_text('not an archive')
    with pytest.raises(UserError, match=r'text\.zip: neither a folder nor a zip archive'):
        read(tmp_path / 'text.zip')
    archive.write_bytes(archive.read_bytes()[:-100])
    with pytest.raises(UserError, match=r'land\.zip: truncated zip archive'):
        read(archive)


def test_damaged_member_is_named(archive: Path) -> None:
    with zipfile.ZipFile(archive) as content:
        info = content.getinfo('set/RGB/River/River_1.png')
    data = bytearray(archive.read_bytes())
    data[info.header_offset + 30 + len(info.filename) + info.file_size // 2] ^= 255
    archive.write_bytes(data)
    with pytest.raises(UserError, match=r'River/River_1\.png: damaged .*CRC'):
        read(archive)


def test_member_twice_and_folder_twice(tmp_path: Path) -> None:
    path = write_zip(tmp_path / 'land.zip', members())
    with zipfile.ZipFile(path, 'a') as content, pytest.warns(UserWarning, match='Duplicate'):
        content.writestr('set/RGB/River/River_1.png', encode(pixels(0, 8, 8)))
    with pytest.raises(UserError, match=r'River_1\.png is in the archive twice'):
        read(path)
    tree = write_tree(tmp_path / 'tree', members())
    (tree / 'set' / 'RGB' / 'River' / 'loop').symlink_to(tree / 'set')
    with pytest.raises(UserError, match='same folder as'):
        read(tree)


def test_cache_is_used_and_equal(
    archive: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = tmp_path / 'cache'
    first = read(archive, cache=cache)
    assert sorted(file.suffix for file in cache.iterdir()) == ['.json', '.npy']
    with monkeypatch.context() as patch:
        patch.setattr('eojax.data.reading.image_folder.LazyImages', None)  # a call would fail
        second = read(archive, cache=cache)
    assert_same(first, second)
    assert second.labels.dtype == np.int32


def test_cache_follows_the_source_and_the_options(archive: Path, tmp_path: Path) -> None:
    cache = tmp_path / 'cache'
    read(archive, cache=cache)
    assert read(archive, cache=cache, resize=4).images.shape[1:3] == (4, 4)
    write_zip(archive, members() | {'set/RGB/River/new.png': encode(pixels(0, 8, 8))})
    assert 'River/new.png' in read(archive, cache=cache).names
    # The same size again, but another time: it is decoded again, in the same place.
    write_zip(archive, members('set/rgb/'))
    os.utime(archive, ns=(1, 1))
    assert len(read(archive, cache=cache).names) == 9
    assert len(list(cache.iterdir())) == 4


def test_cache_of_a_folder_follows_its_files(tmp_path: Path) -> None:
    tree, cache = write_tree(tmp_path / 'tree', members()), tmp_path / 'cache'
    read(tree, cache=cache)
    file = tree / 'set/RGB/River/River_1.png'
    file.write_bytes(encode(pixels(77, 8, 8)))
    found = read(tree, cache=cache)
    np.testing.assert_array_equal(
        found.images[found.names.index('River/River_1.png')], pixels(77, 8, 8)
    )


def _flip_a_pixel(array: Path, description: Path) -> None:
    data = bytearray(array.read_bytes())
    data[-5] ^= 1
    array.write_bytes(data)


def _cut_the_array(array: Path, description: Path) -> None:
    array.write_bytes(array.read_bytes()[:-50])


def _remove_the_array(array: Path, description: Path) -> None:
    array.unlink()


def _break_the_description(array: Path, description: Path) -> None:
    description.write_text(description.read_text()[:-20])


def _change_a_label(array: Path, description: Path) -> None:
    content = json.loads(description.read_text())
    content['labels'][0] = 2
    description.write_text(json.dumps(content))


def _pickle(array: Path, description: Path) -> None:
    with open(array, 'wb') as file:
        np.save(file, np.array([{'a': 1}], object), allow_pickle=True)


@pytest.mark.parametrize(
    'damage',
    [
        _flip_a_pixel,
        _cut_the_array,
        _remove_the_array,
        _break_the_description,
        _change_a_label,
        _pickle,
    ],
)
def test_damaged_cache_is_rebuilt_with_a_line(
    archive: Path, tmp_path: Path, damage, capsys: pytest.CaptureFixture[str]
) -> None:
    cache = tmp_path / 'cache'
    expected = read(archive, cache=cache)
    (array,), (description,) = cache.glob('*.npy'), cache.glob('*.json')
    damage(array, description)
    found = read(archive, cache=cache)
    np.testing.assert_array_equal(found.images, expected.images)
    np.testing.assert_array_equal(found.labels, expected.labels)
    error = capsys.readouterr().err
    assert error.count('\n') == 1
    assert 'damaged' in error
    read(archive, cache=cache)
    assert not capsys.readouterr().err


def test_unwritable_cache_gives_one_line_and_the_data(
    archive: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch
) -> None:
    (tmp_path / 'file').touch()
    assert len(read(archive, cache=tmp_path / 'file' / 'cache').names) == 9
    error = capsys.readouterr().err
    assert error.count('\n') == 1
    assert 'no pixels are cached' in error

    def full_disk(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(np, 'save', full_disk)
    assert len(read(archive, cache=tmp_path / 'cache').names) == 9
    error = capsys.readouterr().err
    assert error.count('\n') == 1
    assert 'No space left on device' in error
    assert not list((tmp_path / 'cache').iterdir())


def test_cache_folder(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv('EOJAX_CACHE', str(tmp_path))
    assert cache_folder() == tmp_path
    monkeypatch.delenv('EOJAX_CACHE')
    monkeypatch.setenv('HOME', str(tmp_path))
    assert cache_folder() == tmp_path / '.cache' / 'eojax'


def test_progress_goes_to_stderr(archive: Path, capsys: pytest.CaptureFixture[str]) -> None:
    read_image_folder(archive)
    output = capsys.readouterr()
    assert 'decoding land.zip' in output.err
    assert not output.out
