"""Evaluation of a run on 13 bands in reflectance, its images in memory or on disk."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
from PIL import Image

from eojax.config.base import base_config
from eojax.data.reading.lazy_images import LazyImages
from eojax.data.sets import eurosat_ms
from eojax.data.value_range import scale_to_unit
from eojax.drawing.pictures import displayed
from eojax.errors import UserError
from eojax.evaluation import command, evaluate
from eojax.evaluation.scoring import score
from eojax.models import inception
from eojax.runs import run as runs
from eojax.runs.carry import initial_carry
from eojax.runs.run import Run
from eojax.samplers.keys import keys_of_images
from tests.data.labelled_archives import encode, pixels, write_tree, write_zip
from tests.data.sets.geotiff_archives import encode_geotiff, eurosat_ms_members, reflectances
from tests.tiny_runs import _nowhere_zero
from tests.trained_states import with_trained

pytestmark = pytest.mark.filterwarnings('ignore::rasterio.errors.NotGeoreferencedWarning')


@pytest.fixture(scope='module')
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_zip(tmp_path_factory.mktemp('ms') / 'EuroSAT_MS.zip', eurosat_ms_members(8))


@pytest.fixture(scope='module')
def outliers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    content = {f'deep/{i}.tif': encode_geotiff(reflectances(5000 + i, 24)) for i in range(3)}
    return write_tree(tmp_path_factory.mktemp('outliers'), content)


def prepared(archive: Path, outliers: Path, resident_gigabytes: float, folder: Path) -> Run:
    config = base_config('jem', 'wide_resnet', 'eurosat_ms')
    config.batch_size = 8
    config.tensorboard = False
    config.data.update({'root': str(archive), 'size': 16, 'workers': 0})
    config.data.resident_gigabytes = resident_gigabytes
    config.model.update({'depth': 10, 'width': 1, 'activation': 'swish', 'density_head': True})
    config.evaluate.update({'batch_size': 10, 'outlier_images': 12, 'outliers': f'far={outliers}'})
    config.method.likelihood_batch_size = 8
    config.sampler.update({'steps': 2, 'buffer_size': 20})
    return runs.prepare(config, folder)


class Case:
    """The same run twice: its images in memory, and on disk."""

    def __init__(self, archive: Path, outliers: Path, folder: Path) -> None:
        self.dense = prepared(archive, outliers, 4.0, folder)
        self.lazy = prepared(archive, outliers, 0.0, folder)
        carry = initial_carry(self.dense, jax.random.key(0))
        self.state: Any = with_trained(
            carry.state, average=jax.tree.map(_nowhere_zero, carry.state.trained.average)
        )


@pytest.fixture(scope='module')
def case(archive: Path, outliers: Path, tmp_path_factory: pytest.TempPathFactory) -> Case:
    return Case(archive, outliers, tmp_path_factory.mktemp('run'))


def test_the_limit_decides_where_images_are(case: Case) -> None:
    assert isinstance(case.dense.dataset.images, np.ndarray)
    assert isinstance(case.lazy.dataset.images, LazyImages)
    assert case.dense.task.image_shape == case.lazy.task.image_shape == (16, 16, 13)
    assert isinstance(case.lazy.domains['data'].training.images, LazyImages)


def test_scores_see_images_between_their_limits(case: Case) -> None:
    run, chosen = case.dense, np.array([3, 50, 79])
    found = score(run, 'logits', case.state, run.dataset.images, chosen)
    assert isinstance(run.dataset.images, np.ndarray)
    batch = np.zeros((10, 16, 16, 13), np.float32) + scale_to_unit(
        np.zeros(13, np.uint16), run.images.limits
    )
    batch[:3] = scale_to_unit(run.dataset.images[chosen], run.images.limits)
    stored = np.zeros((10, 16, 16, 13), run.images.dtype)
    stored[:3] = run.dataset.images[chosen]
    keys = keys_of_images(jax.random.key(run.config.seed), stored)
    expected = np.asarray(run.method.abilities['logits'](case.state, batch, keys))[:3]
    assert np.ptp(found) > 1e-3
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_scores_read_one_batch_at_a_time(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    run, asked = case.lazy, []
    read = LazyImages.__getitem__

    def recorded(self: LazyImages, key: Any) -> np.ndarray:
        asked.append(np.asarray(key))
        return read(self, key)

    monkeypatch.setattr(LazyImages, '__getitem__', recorded)
    chosen = np.random.default_rng(0).permutation(80)[:25]
    found = score(run, 'log_density', case.state, run.dataset.images, chosen)
    assert [len(rows) for rows in asked] == [10, 10, 5]
    np.testing.assert_array_equal(np.concatenate(asked), chosen)
    dense = score(case.dense, 'log_density', case.state, case.dense.dataset.images, chosen)
    np.testing.assert_array_equal(found, dense)


def test_evaluations_agree_and_figures_are_in_colour(case: Case, tmp_path: Path) -> None:
    texts = []
    for name, run in (('dense', case.dense), ('lazy', case.lazy)):
        out = evaluate.evaluate_run(run, case.state, tmp_path / name)
        texts.append((out / 'evaluation.json').read_text())
    assert texts[0] == texts[1]
    numbers = json.loads(texts[0])
    assert numbers['test_images'] == len(case.dense.splits.test)
    assert {'accuracy', 'auroc_far', 'auroc_uniform_noise', 'kl_test'} <= numbers.keys()
    one, other = (
        np.asarray(Image.open(tmp_path / name / 'samples.png')) for name in ('dense', 'lazy')
    )
    np.testing.assert_array_equal(one, other)
    assert (one[..., 0] != one[..., 2]).mean() > 0.05  # no grey


def test_inception_sees_red_green_and_blue(
    case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[np.ndarray] = []

    def features(params: object, images: np.ndarray, progress: bool) -> np.ndarray:
        seen.append(images)
        return np.asarray(images.mean((1, 2)), float)

    monkeypatch.setattr(inception, 'load_inception', lambda path: None)
    monkeypatch.setattr(inception, 'features', features)
    weights = tmp_path / 'weights.npz'
    weights.touch()
    config = case.lazy.config.copy_and_resolve_references()
    config.evaluate.update({'inception': str(weights), 'inception_images': 9})
    run = case.lazy._replace(config=config)
    numbers = json.loads(
        (evaluate.evaluate_run(run, case.state, tmp_path) / 'evaluation.json').read_text()
    )
    assert numbers['inception_images'] == 9
    assert np.isfinite([numbers['fid'], numbers['kid']]).all()
    assert [(images.shape, images.dtype) for images in seen] == [((9, 16, 16, 3), np.uint8)] * 2
    tested = case.dense.dataset.subset(case.dense.splits.test)
    assert isinstance(tested.images, np.ndarray)
    every = {image.tobytes() for image in displayed(tested.images, tested.bands, tested.limits)}
    assert {image.tobytes() for image in seen[0]} <= every


@pytest.mark.parametrize('which', ['dense', 'lazy'])
def test_labelled_data_are_read_in_the_runs_own_layout(
    case: Case, which: str, tmp_path: Path
) -> None:
    run: Run = getattr(case, which)
    content = {
        f'EuroSATallBands/{name}/{name}_{i}.tif': encode_geotiff(reflectances(9000 + i))
        for i, name in enumerate(('River', 'Forest'))
    }
    found = command.read_labelled(write_zip(tmp_path / 'more.zip', content), run)
    assert isinstance(found.images, LazyImages) == (which == 'lazy')
    assert found.images.shape == (2, 16, 16, 13)
    assert found.bands == eurosat_ms.BANDS
    assert found.limits == run.images.limits == eurosat_ms.LIMITS
    assert [found.class_names[i] for i in found.labels] == ['Forest', 'River']
    blocks = reflectances(9001).reshape(16, 4, 16, 4, 13).mean((1, 3))
    assert np.abs(found.images[0] - blocks).max() < 0.501
    assert score(run, 'logits', case.state, found.images).shape == (2, 10)


def test_files_of_another_format_are_named(case: Case, tmp_path: Path) -> None:
    data = write_tree(tmp_path / 'rgb', {'River/River_1.jpg': encode(pixels(0), 'JPEG')})
    with pytest.raises(UserError, match=r'River_1\.jpg: not a GeoTIFF'):
        command.read_labelled(data, case.dense)
