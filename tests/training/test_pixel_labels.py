"""Tiles with a class for each pixel through the whole house: split by region, drawn as windows,
resident and streamed, trained, evaluated, opened again and mapped."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
import rasterio
from ml_collections import ConfigDict

from eojax.apps.map_scene import command as map_scene
from eojax.apps.report.evaluation import describe_evaluation
from eojax.config.base import set_key
from eojax.config.command_line import load_config
from eojax.data.facts import IMAGES, PIXEL_LABELS
from eojax.data.value_range import scale_to_unit
from eojax.evaluation import calibration
from eojax.metrics.segmentation import confusion_counts, segmentation_numbers
from eojax.runs.opening import open_run
from eojax.runs.run import with_data
from eojax.training.loop import train
from tests.data.rasters import write_raster
from tests.training_runs import assert_same_bits, rows, saved_state

CONFIG = Path(__file__).parents[2] / 'configs' / 'segmentation_landscapes.py'
LABELLED = ('plain_0', 'coast_6', 'plain_8')


def _config(**changes: Any) -> ConfigDict:
    """The config, small: 16 tiles of 32 pixels in eight regions, both rasters."""
    config = load_config(str(CONFIG))
    values: dict[str, Any] = {
        'steps': 4, 'batch_size': 4, 'log_every': 1, 'evaluate_every': 2, 'checkpoint_every': 2,
        'tensorboard': False, 'data.size': 32, 'data.num_images': 32, 'data.regions': 16,
        'data.labelled_groups': ','.join(LABELLED), 'method.window': 16, 'model.width': 4,
        'model.kernel': 3, 'optimizer.warmup_steps': 0, 'evaluate.batch_size': 5,
    }  # fmt: skip
    for key, value in (values | changes).items():
        set_key(config, key.replace('__', '.'), value)
    return config


@pytest.fixture(scope='module')
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that sees colours and elevation, of tiles that lie on the devices."""
    folder = tmp_path_factory.mktemp('runs') / 'resident'
    train(_config(method__rasters='images,elevation'), folder)
    return folder


def test_losses_are_finite_and_pixels_are_scored(whole: Path) -> None:
    found = rows(whole)
    assert [row['step'] for row in found] == [1, 2, 3, 4]
    assert all(np.isfinite(row['loss']) for row in found)
    assert 'validation_mean_iou' in found[-1]
    numbers = json.loads((whole / 'evaluation' / 'evaluation.json').read_text())
    assert 0.0 <= numbers['mean_iou_all'] <= numbers['mean_iou'] <= 1.0
    assert (whole / 'evaluation' / 'confusion_matrix.png').stat().st_size > 0


def test_streamed_tiles_train_the_same_bits(whole: Path, tmp_path: Path) -> None:
    config = _config(method__rasters='images,elevation', data__resident_gigabytes=0.0)
    train(config, tmp_path / 'streamed')
    losses = [[row['loss'] for row in rows(folder)] for folder in (whole, tmp_path / 'streamed')]
    assert losses[0] == losses[1]
    assert_same_bits(saved_state(whole), saved_state(tmp_path / 'streamed'))


def test_an_opened_run_scores_as_arithmetic_on_its_tiles_does(whole: Path) -> None:
    run, state = open_run(whole, 'last')
    run = with_data(run)
    groups, names = run.dataset.places.groups, run.dataset.facts.group_names
    assert groups is not None
    parts = [run.splits.train, run.splits.validation, run.splits.test]
    regions = [{names[group] for group in groups[part]} for part in parts]
    assert sum(map(len, regions)) == len(set().union(*regions)) == 16  # no region is cut
    assert {names[group] for group in groups[run.splits.labelled]} == set(LABELLED) & regions[0]

    matrix = np.zeros((8, 8), np.int64)
    for place in run.splits.test.tolist():
        read = run.dataset.source.read(place, None, (IMAGES, 'elevation', PIXEL_LABELS))
        images, surface = (
            scale_to_unit(read[name], run.facts.rasters[name].limits)[None]
            for name in (IMAGES, 'elevation')
        )
        surface = surface.repeat(2, 1).repeat(2, 2)
        logits = run.method.abilities['pixel_logits'](state, images, surface, jax.random.key(0))
        labels = np.where(read[PIXEL_LABELS] == 255, -1, read[PIXEL_LABELS].astype(np.int32))
        matrix += np.asarray(confusion_counts(logits.argmax(-1)[0], labels, 8))
    expected = segmentation_numbers(matrix, run.facts.class_names)
    numbers = json.loads((whole / 'evaluation' / 'evaluation.json').read_text())
    assert {name: numbers[name] for name in expected} == pytest.approx(expected, abs=2e-3)


def test_pixels_are_calibrated_by_the_numbers_of_their_evaluation(whole: Path) -> None:
    measured = calibration.calibration_numbers(calibration.measure(*open_run(whole, 'last')))
    numbers = json.loads((whole / 'evaluation' / 'evaluation.json').read_text())
    assert measured['test_pixels'] == numbers['pixels']
    assert measured['test_images'] == numbers['test_images']
    for key, name in (('ece', 'ece'), ('nll', 'nll'), ('accuracy', 'pixel_accuracy')):
        assert measured[key] == pytest.approx(numbers[name], rel=1e-6)
    page = describe_evaluation(whole / 'evaluation', numbers, None)
    cities = [key for key in numbers if key.startswith('pixel_accuracy_')]
    assert page.groups is not None
    assert len(page.groups.rows) == len(cities) > 1
    assert not [one for one in page.measures if one.name.startswith(('iou', 'mean iou'))]
    assert all(score.iou for score in page.classes)
    shown = {'segmentation', 'iou', 'groups', 'reliability', 'confusion_matrix'}
    assert {Path(figure.name).stem for figure in page.figures} == shown


def test_a_scene_is_mapped_by_a_run_of_colours(tmp_path: Path) -> None:
    folder = tmp_path / 'colours'
    train(_config(), folder)
    run, state = open_run(folder, 'last')
    images = with_data(run).dataset.source.read(3, None, (IMAGES,))[IMAGES]
    scene = write_raster(tmp_path / 'place.tif', images, ('red', 'green', 'blue'))
    map_scene.main([f'--workdir={folder}', f'--scene={scene}', f'--out={tmp_path / "map"}'])
    with rasterio.open(tmp_path / 'map' / 'class_map.tif') as file:
        classes = file.read(1)
    shown = scale_to_unit(images)[None]
    logits = np.asarray(run.method.abilities['pixel_logits'](state, shown, jax.random.key(0)))[0]
    # A map's program may round otherwise: where two classes are as likely, either is right.
    chosen = np.take_along_axis(logits, classes[..., None].astype(int), -1)[..., 0]
    np.testing.assert_allclose(chosen, logits.max(-1), atol=1e-3)
