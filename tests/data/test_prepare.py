"""Preparing a tfds data set and reading it back, without TensorFlow."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from eojax.data import prepare
from eojax.data.reading.published_images import load_published
from eojax.data.reading.tfds.source import prepared_folder
from eojax.data.sets import eurosat, ucmerced
from eojax.errors import UserError
from tests.data.comparisons import assert_same
from tests.data.labelled_archives import encode, eurosat_members, pixels, write_zip

pytest.importorskip('tensorflow_datasets')
pytest.importorskip('array_record')

# Whoever imports TensorFlow here fails, whether it is installed or not.
ROUND_TRIP = """
import sys
def refuse(event, arguments):
    assert event != 'import' or arguments[0].partition('.')[0] != 'tensorflow', 'TensorFlow'
sys.addaudithook(refuse)
from eojax.data import prepare
from eojax.data.reading.published_images import load_published
from eojax.data.sets import eurosat
prepare.main(['--dataset=eurosat', '--root=' + sys.argv[1], '--data_dir=' + sys.argv[2]])
dataset = load_published(eurosat.EUROSAT, sys.argv[2], 'tfds', progress=False)
assert dataset.images.shape == (20, 64, 64, 3)
assert 'tensorflow' not in sys.modules
"""


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv('EOJAX_CACHE', str(tmp_path / 'cache'))


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    return write_zip(tmp_path / 'EuroSAT.zip', eurosat_members())


def test_round_trip_equals_the_archive(
    archive: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data_dir = tmp_path / 'tfds'
    prepare.main(['--dataset=eurosat', f'--root={archive}', f'--data_dir={data_dir}'])
    assert capsys.readouterr().out == (
        f'eurosat is ready in {data_dir}/eojax_images/eurosat/1.0.0\n'
    )
    expected = load_published(eurosat.EUROSAT, archive, progress=False)
    for _ in range(2):  # decoded, then from the cache
        found = load_published(eurosat.EUROSAT, data_dir, 'tfds', progress=False)
        assert_same(found, expected)
    half = load_published(eurosat.EUROSAT, data_dir, 'tfds', size=32, progress=False)
    np.testing.assert_array_equal(
        half.images, load_published(eurosat.EUROSAT, archive, size=32, progress=False).images
    )
    prepare.main(['--dataset=eurosat', f'--root={archive}', f'--data_dir={data_dir}'])
    assert 'is there already' in capsys.readouterr().err


def test_the_folder_of_the_stock_data_set_is_found_too(archive: Path, tmp_path: Path) -> None:
    folder = prepare.prepare('eurosat', archive, tmp_path / 'own')
    for version in ('2.0.0', '10.0.0'):
        shutil.copytree(folder, tmp_path / 'tfds' / 'eurosat' / 'rgb' / version)
    assert prepared_folder(eurosat.EUROSAT, tmp_path / 'tfds').name == '10.0.0'
    assert (
        len(load_published(eurosat.EUROSAT, tmp_path / 'tfds', 'tfds', progress=False).names) == 20
    )


def test_tiff_of_any_size_round_trips(tmp_path: Path) -> None:
    content = {
        f'UCMerced_LandUse/Images/{name}/{name}00.tif': encode(pixels(i, 64 + i, 64), 'TIFF')
        for i, name in enumerate(ucmerced.CLASS_NAMES)
    }
    archive = write_zip(tmp_path / 'uc.zip', content)
    prepare.prepare('ucmerced', archive, tmp_path / 'tfds')
    found = load_published(ucmerced.UCMERCED, tmp_path / 'tfds', 'tfds', progress=False)
    np.testing.assert_array_equal(
        found.images, load_published(ucmerced.UCMERCED, archive, progress=False).images
    )


def test_tensorflow_is_never_imported(archive: Path, tmp_path: Path) -> None:
    subprocess.run(
        [sys.executable, '-c', ROUND_TRIP, archive, tmp_path / 'tfds'], check=True, timeout=120
    )


def test_command_line(tmp_path: Path) -> None:
    command = [sys.executable, '-m', 'eojax.data.prepare']
    usage = subprocess.run([*command, '--help'], capture_output=True, text=True, check=True)
    assert 'python -m eojax.data.prepare --dataset=eurosat --root=EuroSAT.zip' in usage.stdout
    missing = subprocess.run(
        [*command, '--dataset=eurosat', '--root=nowhere.zip', f'--data_dir={tmp_path}'],
        capture_output=True,
        text=True,
        env=os.environ | {'COLUMNS': '100'},
        check=False,
    )
    assert missing.returncode == 1
    assert missing.stderr.splitlines()[-1].endswith('eojax: no such file or folder: nowhere.zip')
    assert 'Traceback' not in missing.stderr


def test_broken_image_leaves_nothing_prepared(tmp_path: Path, capsys) -> None:
    content = eurosat_members() | {'2750/River/River_2.jpg': b'broken'}
    archive = write_zip(tmp_path / 'EuroSAT.zip', content)
    data_dir = tmp_path / 'tfds'
    with pytest.raises(SystemExit) as caught:
        prepare.main(['--dataset=eurosat', f'--root={archive}', f'--data_dir={data_dir}'])
    assert caught.value.code == 1
    assert 'River_2.jpg: not a JPEG, PNG or TIFF image' in capsys.readouterr().err
    with pytest.raises(UserError, match=r'no prepared tfds data set of eurosat'):
        load_published(eurosat.EUROSAT, data_dir, 'tfds')


def test_not_prepared_tells_the_command(tmp_path: Path) -> None:
    with pytest.raises(UserError) as caught:
        load_published(eurosat.EUROSAT, tmp_path, 'tfds')
    assert (
        f'python -m eojax.data.prepare --dataset=eurosat --root=ZIP_OR_FOLDER --data_dir={tmp_path}'
    ) in str(caught.value)
    with pytest.raises(UserError, match=r'--config\.data\.root'):
        load_published(eurosat.EUROSAT, '', 'tfds')


def test_damaged_or_foreign_data_set_is_refused(archive: Path, tmp_path: Path) -> None:
    folder = prepare.prepare('eurosat', archive, tmp_path / 'tfds')
    with pytest.raises(UserError, match="unknown class 'AnnualCrop'"):
        load_published(ucmerced.UCMERCED, folder, 'tfds', progress=False)
    (records,) = folder.glob('*array_record-*')
    records.write_bytes(records.read_bytes()[:-1000])
    with pytest.raises(UserError, match=r'cannot be read as a tfds data set .*prepare it again'):
        load_published(eurosat.EUROSAT, folder, 'tfds', progress=False)
    (folder / 'dataset_info.json').write_text('{')
    with pytest.raises(UserError, match=r'cannot be read as a tfds data set'):
        load_published(eurosat.EUROSAT, folder, 'tfds', progress=False)
