"""Names of files and folders as disks and archives write them, and links: one name, one class."""

from __future__ import annotations

import io
import os
import pickle
import unicodedata
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from eojax.data.dataset import Dataset
from eojax.data.facts import Facts, Raster
from eojax.data.reading.image_files import FileReader, fingerprint, open_image_files
from eojax.data.reading.image_folder import read_image_folder
from eojax.data.sources.layout import Layout, layer, read_layout
from eojax.errors import UserError
from tests.data.labelled_archives import encode, pixels, write_tree, write_zip

COMPOSED = 'forêt'
DECOMPOSED = unicodedata.normalize('NFD', COMPOSED)
IMAGES = [encode(pixels(seed, 8, 8)) for seed in range(4)]


def read(path: Path) -> Dataset:
    return read_image_folder(path, progress=False)


def write_bytes(path: bytes, content: bytes) -> None:
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, 'wb') as file:
        file.write(content)


def renamed_zip(path: Path, members: dict[str, bytes], old: bytes, new: bytes) -> Path:
    """An archive in which the bytes of a name are others of the same length, without a flag."""
    write_zip(path, members)
    assert len(old) == len(new)
    path.write_bytes(path.read_bytes().replace(old, new))
    return path


def test_one_name_however_it_is_written(tmp_path: Path) -> None:
    members = {f'{COMPOSED}/1.png': IMAGES[0], 'lac/2.png': IMAGES[1]}
    expected = read(write_tree(tmp_path / 'composed', members))
    assert expected.class_names == ('forêt', 'lac')
    other = {name.replace(COMPOSED, DECOMPOSED): data for name, data in members.items()}
    root = os.fsencode(tmp_path / 'latin')
    write_bytes(root + '/forêt/1.png'.encode('latin-1'), IMAGES[0])
    write_bytes(root + b'/lac/2.png', IMAGES[1])
    mac = {name.replace(COMPOSED, 'for??t'): data for name, data in members.items()}
    for path in (
        write_tree(tmp_path / 'decomposed', other),
        write_zip(tmp_path / 'decomposed.zip', other),
        tmp_path / 'latin',
        # As macOS writes it: UTF-8 without a word of it.
        renamed_zip(tmp_path / 'mac.zip', mac, b'for??t', 'forêt'.encode()),
        renamed_zip(
            tmp_path / 'dos.zip', {n.replace('??', '?'): d for n, d in mac.items()}, b'for?t',
            'forêt'.encode('cp437'),
        ),
    ):  # fmt: skip
        found = read(path)
        assert (found.class_names, found.names) == (expected.class_names, expected.names), path
        np.testing.assert_array_equal(found.images, expected.images)
        reader = pickle.loads(pickle.dumps(FileReader(path)))
        assert reader('forêt/1.png') == IMAGES[0]
        fingerprint(path)


def test_two_folders_of_one_name_are_refused(tmp_path: Path) -> None:
    members = {f'{COMPOSED}/1.png': IMAGES[0], f'{DECOMPOSED}/2.png': IMAGES[1]}
    for path in (write_tree(tmp_path / 'tree', members), write_zip(tmp_path / 'a.zip', members)):
        with pytest.raises(UserError, match=r"'forêt' is there twice, as .*two spellings"):
            read(path)


def test_capitals_make_two_classes_and_a_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    members = {'Lake/1.png': IMAGES[0], 'lake/1.png': IMAGES[1]}
    dataset = read(write_zip(tmp_path / 'a.zip', members))
    assert dataset.class_names == ('Lake', 'lake')
    np.testing.assert_array_equal(dataset.labels, [0, 1])
    assert "'Lake' and 'lake' differ in capitals alone" in capsys.readouterr().err


def test_archives_of_all_kinds_of_archivers(tmp_path: Path) -> None:
    members = {
        './set/a/1.png': IMAGES[0],
        '.\\set\\a\\2.png': IMAGES[1],
        'set/./b/3.png': IMAGES[2],
        './__MACOSX/set/a/._1.png': b'x',
        './set/.hidden/4.png': IMAGES[3],
        './set/../a/5.png': IMAGES[3],
    }
    assert read(write_zip(tmp_path / 'a.zip', members)).names == ('a/1.png', 'a/2.png', 'b/3.png')


def test_a_link_in_an_archive_is_no_image(tmp_path: Path) -> None:
    link = zipfile.ZipInfo('a/2.png')
    link.external_attr = 0o120777 << 16
    with zipfile.ZipFile(tmp_path / 'a.zip', 'w') as archive:
        archive.writestr('a/1.png', IMAGES[0])
        archive.writestr(link, '/etc/passwd')
    with pytest.raises(UserError, match=r'a/2\.png: a link, and no file'):
        read(tmp_path / 'a.zip')


@pytest.mark.parametrize(
    ('name', 'target', 'line'),
    [
        ('a/2.png', 'nowhere.png', r'a/2\.png is a link to nowhere\.png, which does not exist'),
        ('b', '../gone', r'/b is a link to \.\./gone, which does not exist'),
        ('a/2.png', '2.png', r'(2\.png is a link to 2\.png, which|cannot read .*2\.png: Too many)'),
        ('a/b', '..', r'a/b is the same folder as'),
    ],
)
def test_broken_links_and_circles_are_named_themselves(
    tmp_path: Path, name: str, target: str, line: str
) -> None:
    write_tree(tmp_path, {'a/1.png': IMAGES[0]})
    (tmp_path / name).symlink_to(target)
    for look in (read, fingerprint):
        with pytest.raises(UserError, match=line):
            look(tmp_path)


def test_what_is_no_file_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    write_tree(tmp_path, {'a/1.png': IMAGES[0]})
    (tmp_path / 'notes.txt').symlink_to('nowhere')  # no image: left alone
    assert read(tmp_path).names == ('a/1.png',)
    os.mkfifo(tmp_path / 'a/2.png')
    with (
        pytest.raises(UserError, match=r'2\.png is a pipe or a device'),
        open_image_files(tmp_path),
    ):
        pass


def test_pairs_of_files_in_two_spellings(tmp_path: Path) -> None:
    """An image by one system and its mask by another; GeoTIFFs in a folder and in an archive."""
    label = np.arange(64, dtype=np.uint8).reshape(8, 8) % 2
    members = {}
    for suffix, kind in (('png', 'PNG'), ('tif', 'TIFF')):
        buffer = io.BytesIO()
        Image.fromarray(label).save(buffer, kind)
        members[f'{suffix}/images/{DECOMPOSED}.{suffix}'] = encode(pixels(0, 8, 8), kind)
        members[f'{suffix}/masks/{COMPOSED}.{suffix}'] = buffer.getvalue()
    facts = Facts(class_names=('a', 'b'), rasters={'images': Raster()}, label='pixel')
    for root in (write_tree(tmp_path / 'tree', members), write_zip(tmp_path / 'a.zip', members)):
        for suffix in ('png', 'tif'):
            masks = layer(f'{suffix}/masks/{{name}}.{suffix}', values={0: 0, 1: 1})
            images = layer(f'{suffix}/images/{{name}}.{suffix}')
            data = read_layout(root, facts, Layout({'images': images, 'labels': masks}))
            assert list(data.names) == [COMPOSED]
            found = data.source.read(0, None, ('images', 'labels'))
            np.testing.assert_array_equal(found['labels'], label)
            np.testing.assert_array_equal(found['images'], pixels(0, 8, 8))
