"""Guarantees of a run: calibrated on the validation part, judged on the test part."""

from __future__ import annotations

import csv
import json
import math
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from scipy.special import softmax

from eojax.errors import UserError
from eojax.evaluation import evaluate
from eojax.evaluation.evaluation_set import EvaluationBatch, evaluation_set
from eojax.evaluation.evaluators import Measured
from eojax.evaluation.guarantees import sample as samples
from eojax.evaluation.guarantees.evaluator import judge
from eojax.evaluation.guarantees.rules import (
    Asked,
    calibrate_open,
    calibrate_sets,
    check_asked,
    too_few_blocks,
    trust,
)
from eojax.evaluation.guarantees.sample import Sample, kept_name, validation_sample
from eojax.evaluation.scoring import score
from eojax.runs.run import Run
from tests.tiny_runs import TinyRun, tiny_run
from tests.training_runs import small_config

NAMES = ('a', 'b', 'c')


@pytest.fixture(scope='module')
def jem(tmp_path_factory) -> TinyRun:
    """A copy, since what is calibrated on is kept in the run's folder."""
    case = tiny_run('jem')
    folder = tmp_path_factory.mktemp('runs') / 'jem'
    shutil.copytree(case.folder, folder)
    return case._replace(run=case.run._replace(folder=folder), folder=folder)


def _with(run: Run, **options: object) -> Run:
    config = run.config.copy_and_resolve_references()
    config.evaluate.update(options)
    return run._replace(config=config)


def _sample(num: int, blocks: int, seed: int, grouped: bool = True) -> Sample:
    """Logits that are right more often than not, in blocks that differ."""
    random = np.random.default_rng(seed)
    which = np.sort(random.integers(0, blocks, num))
    labels = random.integers(0, 3, num)
    logits = random.normal(0.0, 1.0, (num, 3))
    logits[np.arange(num), labels] += random.uniform(0.5, 3.0, blocks)[which]
    density = random.normal(0.0, 1.0, num)
    return Sample(
        logits.astype(np.float32), labels.astype(np.int32), which.astype(np.int32), grouped,
        density.astype(np.float32),
    )  # fmt: skip


def test_an_evaluation_has_the_numbers_of_a_computation_by_hand(jem, tmp_path):
    run = _with(jem.run, coverage=0.8, not_known=0.25, not_known_by='log_density', areas=True)
    evaluate.evaluate_run(run, jem.state, tmp_path)
    numbers = json.loads((tmp_path / 'evaluation.json').read_text())
    chosen = {'validation': run.splits.validation, 'test': run.splits.test}
    p, y, density = {}, {}, {}
    for part, index in chosen.items():
        p[part] = softmax(
            score(run, 'logits', jem.state, run.dataset.images, index).astype(float), -1
        )
        density[part] = score(run, 'log_density', jem.state, run.dataset.images, index)
        y[part] = run.dataset.labels[index]
    held = np.sort(1.0 - p['validation'][np.arange(len(y['validation'])), y['validation']])
    threshold = held[math.ceil(0.8 * (len(held) + 1)) - 1]
    assert numbers['set_threshold'] == pytest.approx(threshold)
    sets = 1.0 - p['test'] <= threshold
    assert numbers['set_mean_size'] == pytest.approx(sets.sum(1).mean())
    covered = sets[np.arange(len(sets)), y['test']]
    assert numbers['set_coverage'] == numbers['set_coverage_all'] == pytest.approx(covered.mean())
    assert numbers['set_coverage_low'] < numbers['set_coverage'] < numbers['set_coverage_high']
    assert numbers['calibration_blocks'] == len(held)
    limit = np.quantile(density['validation'].astype(float), 0.25, method='higher')
    assert numbers['not_known_share'] == pytest.approx(np.mean(density['test'] < limit))
    wrong = p['test'].argmax(1) != y['test']
    assert numbers['answered_error'] == pytest.approx(wrong[density['test'] >= limit].mean())
    assert numbers['error_at_100_confidence'] == pytest.approx(wrong.mean())
    assert {'aurc_confidence', 'aurc_log_density', 'aurc_set_size'} <= numbers.keys()
    truth = np.bincount(y['test'], minlength=10) / len(y['test'])
    assert [numbers[f'area_true_of_{n}'] for n in run.facts.class_names] == pytest.approx(
        list(truth)
    )
    with open(tmp_path / 'areas.csv', encoding='utf-8', newline='') as file:
        rows = list(csv.DictReader(file))
    assert [row['class'] for row in rows] == list(run.facts.class_names)
    for row in rows:
        assert float(row['share_low']) <= float(row['share']) <= float(row['share_high'])
    for name in ('sets.png', 'areas.png', 'risk_coverage.png'):
        assert (tmp_path / name).stat().st_size > 5000


def test_what_was_calibrated_on_is_kept_and_needs_no_data_then(jem, tmp_path, monkeypatch):
    first = validation_sample(jem.run, jem.state)

    def no_data(*_: object) -> None:
        raise UserError('no data at /elsewhere')

    monkeypatch.setattr(samples, 'with_data', no_data)
    again = validation_sample(jem.run, jem.state)
    for one, other in zip(first, again, strict=True):
        np.testing.assert_array_equal(one, other)
    # What is not whole is computed again.
    file = jem.folder / 'reference' / f'validation_step_{jem.run.step}.npz'
    kept = dict(np.load(file))
    for name, wrong in (
        ('labels', kept['labels'][:3]), ('logits', kept['logits'][:, :2]),
        ('labels', kept['labels'] + 100), ('labels', kept['labels'] - 1),
        ('logits', kept['logits'] * np.nan),
    ):  # fmt: skip
        np.savez(file, **{**kept, name: wrong})
        with pytest.raises(UserError, match='elsewhere'):
            validation_sample(jem.run, jem.state)
    np.savez(file, **kept)
    elsewhere = jem.run._replace(folder=tmp_path)
    with pytest.raises(UserError, match='elsewhere'):
        validation_sample(elsewhere, jem.state)


def test_windows_of_another_overlap_are_calibrated_on_their_own(tmp_path):
    def run(overlap: float, ability: str = 'pixel_logits') -> Any:
        return SimpleNamespace(
            folder=tmp_path, step=7, method=SimpleNamespace(abilities={ability: None}),
            config=SimpleNamespace(evaluate=SimpleNamespace(window_overlap=overlap)),
        )  # fmt: skip

    assert kept_name(run(0.5)) == 'validation_step_7'  # nothing is known of its training
    (tmp_path / 'config.json').write_text('{"evaluate": {"window_overlap": 0.25}}')
    assert kept_name(run(0.25)) == 'validation_step_7'
    assert kept_name(run(0.0)) == 'validation_step_7_overlap_0'
    assert kept_name(run(0.5)) == 'validation_step_7_overlap_0.5'
    assert kept_name(run(0.5, 'logits')) == 'validation_step_7'  # images have no windows


def test_nothing_is_asked_by_default_and_nothing_is_written(jem, tmp_path):
    evaluate.evaluate_run(jem.run, jem.state, tmp_path)
    numbers = json.loads((tmp_path / 'evaluation.json').read_text())
    assert not [key for key in numbers if key.startswith(('set_', 'area_', 'aurc_', 'not_known'))]
    assert not (tmp_path / 'areas.csv').exists()


@pytest.mark.parametrize('value', [90, '0.9', None, math.nan])
def test_a_level_that_is_none_is_a_line(value):
    with pytest.raises(UserError, match='coverage must lie between 0 and 1, not'):
        check_asked(Asked(coverage=value))


def test_no_name_of_a_class_takes_the_place_of_another_number():
    held, tested = _sample(400, 12, 0), _sample(400, 12, 1)
    asked = Asked(coverage=0.8, areas=True, not_known=0.1)
    plain = judge(asked, held, tested, NAMES).numbers
    odd = ('low', 'high', 'low_of_low')
    numbers = judge(asked, held, tested, odd).numbers
    assert len(numbers) == len(plain)
    for name, other in zip(odd, NAMES, strict=True):
        for kind in ('set_coverage', 'area', 'area_low', 'area_high', 'area_true', 'area_mapped'):
            assert numbers[f'{kind}_of_{name}'] == plain[f'{kind}_of_{other}']
    for key in ('set_coverage_low', 'set_coverage_high', 'area_error', 'area_mapped_error'):
        assert numbers[key] == plain[key]


def test_with_too_few_blocks_all_classes_are_in_all_sets_and_a_line_says_what_is_needed(capsys):
    held, tested = _sample(400, 5, 0), _sample(400, 12, 1)
    rule = calibrate_sets(held, 0.9, 'lac')
    line = too_few_blocks(rule, held)
    assert line is not None
    assert '5 blocks of ground' in line
    assert 'need 9' in line
    judged = judge(Asked(coverage=0.9), held, tested, NAMES)
    assert judged.numbers['set_coverage'] == 1.0
    assert judged.numbers['set_mean_size'] == 3.0
    assert 'set_threshold' not in judged.numbers
    assert 'need 9' in capsys.readouterr().err


def test_a_sample_of_one_block_gives_no_areas(capsys):
    judged = judge(Asked(areas=True), _sample(50, 1, 0), _sample(50, 3, 1), NAMES)
    assert 'one block of ground' in capsys.readouterr().err
    assert judged.areas is None


def test_blocks_are_the_units_where_the_data_say_them():
    held, tested = _sample(2000, 25, 2), _sample(2000, 25, 3)
    judged = judge(Asked(coverage=0.9, not_known=0.2, areas=True), held, tested, NAMES)
    assert judged.areas is not None
    assert judged.areas.blocks == 25
    numbers = judged.numbers
    assert numbers['calibration_blocks'] == numbers['test_blocks'] == 25
    assert numbers['set_coverage'] > 0.85
    assert numbers['not_known_share'] == pytest.approx(0.2, abs=0.05)
    assert numbers['not_known_error'] > numbers['answered_error']
    assert numbers['area_inside'] > 0.6


def test_what_is_trusted_least_comes_first():
    p = np.array([[0.9, 0.1], [0.6, 0.4]])
    np.testing.assert_array_equal(trust('confidence', p), [0.9, 0.6])
    np.testing.assert_array_equal(trust('log_density', p, np.array([3.0, 1.0])), [3.0, 1.0])
    # An empty set, which no class fits, is trusted least of all.
    sets = np.array([[True, False], [True, True], [False, False]])
    np.testing.assert_array_equal(trust('set_size', np.ones((3, 2)), None, sets), [-1, -2, -3])
    rule = calibrate_open(_sample(1000, 10, 4), 0.3, 'log_density', None)
    assert np.mean(_sample(1000, 10, 4).log_density < rule.threshold) == pytest.approx(0.3)


@pytest.mark.parametrize(('share', 'left'), [(0.02, 0.0), (0.15, 0.2), (0.25, 0.2), (0.7, 0.5)])
def test_equal_scores_are_left_open_where_that_is_nearer_to_what_was_asked(share, left):
    """Of 100 images 20 have the lowest score, and 30 the next."""
    scores = np.repeat([-3.0, -2.0, -1.0], [20, 30, 50]).astype(np.float32)
    sample = _sample(100, 10, 4)._replace(log_density=scores)
    rule = calibrate_open(sample, share, 'log_density', None)
    assert np.mean(trust('log_density', sample.probabilities, scores) < rule.threshold) == left


@pytest.mark.parametrize(
    ('asked', 'words'),
    [
        (Asked(coverage=1.0), 'coverage must lie between 0 and 1, not 1'),
        (Asked(coverage=-0.5), 'coverage must lie between 0 and 1'),
        (Asked(not_known=1.5), 'not_known must lie between 0 and 1'),
        (Asked(set_score='raps'), 'set_score'),
        (Asked(not_known=0.1, not_known_by='luck'), 'not_known_by'),
        (Asked(not_known=0.1, not_known_by='set_size'), 'set evaluate.coverage'),
        (Asked(not_known=0.1, not_known_by='log_density'), 'learned no p'),
    ],
)
def test_bad_options_end_in_a_line(asked, words):
    with pytest.raises(UserError, match=words):
        check_asked(asked, density=False)


def test_a_validation_part_that_is_the_test_part_is_refused(jem):
    run = _with(jem.run, coverage=0.9)
    run.config.data.validation_by = 'test'
    with pytest.raises(UserError, match='the test part itself'):
        evaluate.check(run.config)


def test_no_state_is_chosen_by_the_test_part():
    config = small_config('supervised', evaluate__checkpoint='best')
    evaluate.check(config)
    config.data.validation_by = 'test'
    with pytest.raises(UserError, match='would choose the state by the test images'):
        evaluate.check(config)
    config.evaluate.checkpoint = 'last'
    evaluate.check(config)


def test_a_run_without_a_validation_part_is_refused(jem):
    known = jem.run.known['data']
    counts = {**known.counts, 'validation': 0}
    run = jem.run._replace(known={'data': known._replace(counts=counts)})
    with pytest.raises(UserError, match='no validation part'):
        validation_sample(run, jem.state)
    # Before the training already.
    with pytest.raises(UserError, match='no validation part'):
        evaluate.check_inputs(_with(run, coverage=0.9))


def test_a_method_without_classes_is_refused(jem):
    abilities = {k: v for k, v in jem.run.method.abilities.items() if k != 'logits'}
    run = jem.run._replace(method=jem.run.method._replace(abilities=abilities))
    with pytest.raises(UserError, match='logits'):
        evaluate.check_inputs(_with(run, areas=True))


def test_images_without_labels_are_nothing_to_calibrate_on(jem):
    tested = evaluation_set(jem.run, jem.run.dataset.subset(jem.run.splits.validation))
    evaluator = samples.sampled(jem.run, tested, lambda sample: Measured({}))
    with pytest.raises(UserError, match='known class'):
        evaluator.finish([])


def test_pixels_are_drawn_by_chance_each_as_likely_as_any_other():
    labels = np.zeros((40, 20, 30), np.int32)
    labels[:, :5] = -1
    batch = EvaluationBatch(
        {}, labels, np.arange(40), np.zeros(40, int), np.zeros(40, int), None, None
    )
    chosen = samples._some(labels >= 0, 0.1, batch)
    assert not chosen[:, :5].any()
    assert chosen.sum() == pytest.approx(0.1 * 40 * 15 * 30, rel=0.05)
    assert chosen.any(0)[5:].mean() > 0.95
    np.testing.assert_array_equal(chosen, samples._some(labels >= 0, 0.1, batch))


def test_guarantees_of_pixels_by_region(tmp_path: Path):
    """A whole training on drawn land cover, with what its evaluation says of the regions."""
    from eojax.config.base import base_config
    from eojax.training import loop

    config = base_config('segmentation', 'pixel_network', 'landscape_cover')
    config.update({'steps': 2, 'batch_size': 4, 'log_every': 1, 'evaluate_every': 0})
    config.update({'checkpoint_every': 2, 'tensorboard': False})
    config.data.update({'size': 32, 'num_images': 48, 'regions': 24, 'test_fraction': 0.34})
    config.data.validation_fraction = 0.5
    config.model.update({'width': 4, 'kernel': 3})
    config.method.window = 32
    config.evaluate.update({'batch_size': 8, 'coverage': 0.8, 'not_known': 0.1, 'areas': True})
    loop.train(config, tmp_path / 'run')
    numbers = json.loads((tmp_path / 'run' / 'evaluation' / 'evaluation.json').read_text())
    assert numbers['calibration_blocks'] == 8
    assert numbers['test_blocks'] >= 8
    assert 0.5 < numbers['set_coverage'] <= 1.0
    assert numbers['area_inside'] > 0.4
    assert (tmp_path / 'run' / 'evaluation' / 'sets.png').exists()
