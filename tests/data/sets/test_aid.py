"""AID in its true layout: sizes, classes, where to get it, and a network that trains on it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from eojax.config.base import base_config, check_config, set_key
from eojax.data import prepare
from eojax.data.reading.lazy_images import LazyImages
from eojax.data.reading.published_images import load_published
from eojax.data.sets import DATASETS, aid
from eojax.errors import UserError
from eojax.training import loop as train
from tests.data.labelled_archives import encode, pixels, write_tree, write_zip
from tests.training_runs import rows


@pytest.fixture(scope='module')
def content() -> dict[str, bytes]:
    """An image of each class, by its path in the archive."""
    return {
        f'AID/{name}/{name.lower()}_1.jpg': encode(pixels(label, 600, 600), 'JPEG')
        for label, name in enumerate(aid.CLASS_NAMES)
    }


@pytest.fixture(autouse=True)
def _own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv('EOJAX_CACHE', str(tmp_path / 'cache'))


@pytest.mark.parametrize('write', [write_zip, write_tree], ids=['archive', 'folder'])
def test_images_are_resampled_to_the_papers_size(
    tmp_path: Path, content: dict[str, bytes], write
) -> None:
    dataset = load_published(aid.AID, write(tmp_path / 'AID.zip', content), progress=False)
    assert dataset.images.shape == (30, 64, 64, 3)
    assert dataset.images.dtype == np.uint8
    assert dataset.class_names == aid.CLASS_NAMES
    assert dataset.bands == ('red', 'green', 'blue')
    assert dataset.limits is None
    assert dataset.parts is None
    assert dataset.names[:2] == ('Airport/airport_1.jpg', 'BareLand/bareland_1.jpg')
    np.testing.assert_array_equal(dataset.labels, np.arange(30))
    whole = Image.fromarray(pixels(4, 600, 600))
    small = np.asarray(whole.resize((64, 64), Image.Resampling.BICUBIC), float)
    assert np.abs(dataset.images[4] - small).max() < 6  # JPEG is lossy


def test_the_facts_of_the_set() -> None:
    assert len(aid.CLASS_NAMES) == len(set(aid.CLASS_NAMES)) == 30
    assert list(aid.CLASS_NAMES) == sorted(aid.CLASS_NAMES)
    assert aid.AID.size == 600
    assert not hasattr(aid, 'MEAN')  # none are published


def test_other_images_are_refused(tmp_path: Path, content: dict[str, bytes]) -> None:
    small = content | {'AID/Park/park_1.jpg': encode(pixels(0, 256, 256), 'JPEG')}
    with pytest.raises(UserError, match=r'park_1\.jpg: 256x256 pixels; expected 600x600'):
        load_published(aid.AID, write_zip(tmp_path / 'a.zip', small), progress=False)
    without = {name: data for name, data in content.items() if '/Park/' not in name}
    with pytest.raises(UserError, match="no images of class 'Park'"):
        load_published(aid.AID, write_zip(tmp_path / 'b.zip', without), progress=False)
    wrong = content | {'AID/Ports/a.jpg': content['AID/Port/port_1.jpg']}
    with pytest.raises(UserError, match="'Ports'; did you mean 'Port'"):
        load_published(aid.AID, write_zip(tmp_path / 'c.zip', wrong), progress=False)


def test_without_a_download_one_line_says_where_to_get_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(UserError) as caught:
        load_published(aid.AID, '')
    assert str(caught.value) == (
        'AID cannot be downloaded from here: get it from https://captain-whu.github.io/AID/ and'
        ' name it by --config.data.root=PATH'
    )
    with pytest.raises(SystemExit) as ended:
        prepare.main(['--dataset=aid', f'--data_dir={tmp_path}'])
    assert ended.value.code == 1
    error = capsys.readouterr().err
    assert error.endswith('captain-whu.github.io/AID/ and name it by --root=PATH\n')
    assert 'Traceback' not in error


def test_prepared_for_tfds_it_is_the_same(tmp_path: Path, content: dict[str, bytes]) -> None:
    pytest.importorskip('tensorflow_datasets')
    pytest.importorskip('array_record')
    archive = write_zip(tmp_path / 'AID.zip', content)
    prepare.prepare('aid', archive, tmp_path / 'tfds')
    found = load_published(aid.AID, tmp_path / 'tfds', 'tfds', progress=False)
    expected = load_published(aid.AID, archive, progress=False)
    np.testing.assert_array_equal(found.images, expected.images)
    assert found.names == expected.names


def test_the_options_are_those_of_the_config(tmp_path: Path, content: dict[str, bytes]) -> None:
    config = base_config('supervised', 'wide_resnet', 'aid')
    config.data.update({'root': str(write_zip(tmp_path / 'AID.zip', content)), 'size': 16})
    check_config(config)
    dense = DATASETS['aid'].from_config(config.data, False)
    assert dense.images.shape == (30, 16, 16, 3)
    config.data.resident_gigabytes = 0.0
    lazy = DATASETS['aid'].from_config(config.data, False)
    assert isinstance(lazy.images, LazyImages)
    np.testing.assert_array_equal(lazy.images[:], dense.images)
    config.data.source = 'file'
    with pytest.raises(UserError, match=r"unknown data\.source 'file'; did you mean 'files'"):
        check_config(config)


def test_a_network_trains_on_it(tmp_path: Path, content: dict[str, bytes]) -> None:
    copies = [(name.replace('_1.', f'_{i}.'), data) for name, data in content.items()
              for i in range(4)]  # fmt: skip
    config = base_config('supervised', 'wide_resnet', 'aid')
    values = {
        'steps': 2, 'batch_size': 8, 'log_every': 1, 'evaluate_every': 2, 'checkpoint_every': 2,
        'tensorboard': False, 'data.root': str(write_zip(tmp_path / 'AID.zip', dict(copies))),
        'data.size': 16, 'data.labels_per_class': '1', 'model.depth': 10, 'model.width': 1,
        'evaluate.batch_size': 32, 'evaluate.keep_reference': False,
    }  # fmt: skip
    for key, value in values.items():
        set_key(config, key, value)
    train.train(config, tmp_path / 'run')
    found = rows(tmp_path / 'run')
    losses = [row['loss'] for row in found if 'loss' in row]
    assert len(losses) == 2
    assert np.isfinite(losses).all()
    assert any('validation_accuracy' in row for row in found)
