"""Runs that synthesise: from training to numbers and figures, and segmenters that cannot judge."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from eojax.apps.report.command import main as report
from eojax.config.base import from_json, to_json
from eojax.data.dataset import Dataset
from eojax.data.facts import valid_of
from eojax.errors import UserError
from eojax.evaluation.evaluate import evaluate_run
from eojax.evaluation.evaluation_set import EvaluationSet
from eojax.evaluation.synthesis.outputs import counted_pixels, seen_labels
from eojax.evaluation.synthesis.segmenter import open_segmenter
from eojax.runs import run as runs
from eojax.runs.beginning import write_beginning
from eojax.runs.opening import load_state, open_untrained
from eojax.studies.grid.cells import load_dataset
from eojax.training.loop import train
from eojax.training.progress import read_metrics
from tests.apps.finished_runs import changed
from tests.evaluation.synthesis.stand_in import painted_config


def _numbers(folder: Path) -> dict[str, float]:
    return json.loads((folder / 'evaluation' / 'evaluation.json').read_text())


def test_a_run_is_judged_as_it_is_trained_and_at_its_end(judged: Path, segmenter: Path):
    numbers = _numbers(judged)
    assert {'mae', 'psnr', 'ssim', 'truth_mean_iou', 'agreement_mean_iou'} <= {*numbers}
    # The segmenter's own evaluation is of the same places.
    own = _numbers(segmenter)
    for key in ('pixel_accuracy', 'mean_iou', 'mean_iou_all', 'iou_grass'):
        assert numbers[f'real_{key}'] == pytest.approx(own[key])
    assert numbers['frechet_features'] == 2
    assert numbers['frechet_images'] == numbers['test_images']
    rows = read_metrics(judged / 'metrics.jsonl')
    assert any('validation_agreement_mean_iou' in row for row in rows)
    assert any(row.get('validation_ssim', 0) != 0 for row in rows)
    assert (judged / 'best').is_dir()
    for name in ('evaluation/synthesis', 'evaluation/class_iou', 'samples/step_0000002'):
        assert np.asarray(Image.open(judged / f'{name}.png').convert('L')).std() > 5, name


def test_the_report_tells_of_it(judged: Path, tmp_path: Path):
    report([f'--workdir={judged}', f'--out={tmp_path}/page.html'])
    page = (tmp_path / 'page.html').read_text()
    for text in ('SSIM', 'synthesised image, against the map of the real one', 'Fréchet distance'):
        assert text in page
    assert 'truth iou' not in page  # it stands in a table, not among the main numbers


def test_radar_is_synthesised_in_windows_of_the_middle(painted: None, tmp_path: Path):
    config = painted_config(
        method__target='sar', method__rasters='', method__evaluation_window=24, evaluate__centre=16
    )
    train(config, tmp_path / 'run')
    numbers = _numbers(tmp_path / 'run')
    assert {'mae_db', 'backscatter_distance', 'backscatter_distance_grass'} <= {*numbers}
    assert (tmp_path / 'run' / 'evaluation' / 'backscatter.png').exists()
    run, state = load_state(open_untrained(config, tmp_path / 'run'))
    whole = open_untrained(changed(config, evaluate__centre=0), tmp_path / 'run')
    evaluate_run(whole._replace(step=run.step), state, tmp_path / 'whole')
    others = json.loads((tmp_path / 'whole' / 'evaluation.json').read_text())
    assert others['mae_db'] != numbers['mae_db']


def test_a_segmenter_that_cannot_judge_is_one_line(painted: None, judged: Path, tmp_path: Path):
    def opened(**changes: str) -> None:
        config = changed(painted_config(), **changes)
        open_segmenter(open_untrained(config, judged))

    with pytest.raises(UserError, match=r'evaluate\.segmenter: .*nowhere'):
        opened(evaluate__segmenter=str(tmp_path / 'nowhere'))
    with pytest.raises(UserError, match=r"'painted' cannot pixel logits; these can: .*seg_jem"):
        opened(evaluate__segmenter=str(judged))
    for name, changes, message in (
        ('classes', {'data__classes': 'land=crops+grass,trees=trees'}, 'the classes land, trees'),
        ('rasters', {'method__rasters': 'images,elevation'}, 'sees images, elevation, and only'),
        ('target', {'method__rasters': 'sar'}, 'train it with method.rasters=images'),
    ):  # fmt: skip
        folder = tmp_path / name
        write_beginning(runs.prepare(painted_config('segmentation', **changes), folder))
        with pytest.raises(UserError, match=message):
            opened(evaluate__segmenter=str(folder))


def test_other_limits_of_a_raster_are_refused(segmenter: Path, judged: Path, painted: None):
    run = open_untrained(painted_config(evaluate__segmenter=str(segmenter)), judged)
    images = run.images._replace(limits=((0.0, 1.0),) * 3)
    facts = run.facts._replace(rasters={**run.facts.rasters, 'images': images})
    other = run._replace(known={'data': run.known['data']._replace(facts=facts)})
    with pytest.raises(UserError, match=r'sees images with limits None, .* \(\(0\.0, 1\.0\)'):
        open_segmenter(other)


def test_a_segmenter_that_is_half_trained_judges_nothing(
    painted: None, segmenter: Path, judged: Path, tmp_path: Path
):
    folder = shutil.copytree(segmenter, tmp_path / 'half')
    config = changed(from_json(folder / 'config.json'), steps=99)
    (folder / 'config.json').write_text(to_json(config))
    own = changed(painted_config(), evaluate__segmenter=str(folder))
    with pytest.raises(UserError, match='was trained for 2 of its 99 steps'):
        open_segmenter(open_untrained(own, judged))


def test_a_segmenter_that_knows_the_tested_places_is_told_of(
    painted: None, segmenter: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    # With another seed other places are the test.
    config = painted_config(seed=1, evaluate__segmenter=str(segmenter))
    train(config, tmp_path / 'run')
    assert 'has learnt from' in capsys.readouterr().err


def _pairs() -> Dataset:
    return load_dataset(painted_config('segmentation').data, 'data')


def test_labels_of_whole_windows_are_seen_though_each_pixel_counts_once():
    dataset = _pairs()
    tested = EvaluationSet(dataset, ('images', 'labels'), 24, 5)
    batch = next(tested.batches(np.ones(5, bool)))
    whole = seen_labels(batch)
    assert (batch.labels == -1).any()
    assert not (whole == -1).any()
    counted = counted_pixels(batch, dataset.facts)
    np.testing.assert_array_equal(np.where(counted, whole, -1), batch.labels)
    place = dataset.source.read(0, None, ('labels',))['labels']
    np.testing.assert_array_equal(whole[3], place[8:, 8:])


def test_the_centre_is_the_middle_of_each_place():
    dataset = _pairs()
    tested = EvaluationSet(dataset, ('images',), 10, 50, centre=True)
    (batch,) = tested.batches(np.ones(50, bool))
    assert batch.place.tolist() == list(range(32))
    image = dataset.source.read(7, None, ('images',))['images']
    np.testing.assert_array_equal(batch.rasters['images'][7], image[11:21, 11:21])
    assert (batch.labels >= 0).all()


def test_pixels_without_data_do_not_count():
    dataset = _pairs()
    images = dataset.facts.images._replace(missing=True)
    facts = dataset.facts._replace(rasters={**dataset.facts.rasters, 'images': images})
    valid = np.ones((32, 32, 32), bool)
    valid[:, :3] = False
    source = dataset.source._replace(arrays={**dataset.source.arrays, valid_of('images'): valid})
    tested = EvaluationSet(
        dataset._replace(facts=facts, source=source),
        ('images', valid_of('images'), 'labels'), None, 8,
    )  # fmt: skip
    batch = next(tested.batches(np.ones(8, bool)))
    counted = counted_pixels(batch, facts)
    assert not counted[:, :3].any()
    assert counted[:, 3:].all()
    assert (batch.labels[:, :3] == -1).all()
