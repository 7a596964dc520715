from __future__ import annotations

import csv
import json
import os
import shutil
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image
from scipy.special import logsumexp
from sklearn import metrics as sklearn_metrics

from eojax import models
from eojax.data.facts import Facts
from eojax.data.sets.landscapes import CLASS_NAMES, generate
from eojax.drawing.pictures import ClassImages, grid_by_class
from eojax.errors import UserError
from eojax.evaluation import command, densities, evaluate, generation
from eojax.evaluation.outliers import outlier_sets, parse_outliers, spread
from eojax.evaluation.scoring import score
from eojax.runs.run import Run
from eojax.samplers.keys import keys_of_images
from tests.forked import Forked
from tests.tiny_runs import TinyRun, tiny_run
from tests.trained_states import with_trained


@pytest.fixture(scope='module')
def jem() -> TinyRun:
    return tiny_run('jem')


@pytest.fixture(scope='module')
def evaluated(jem, tmp_path_factory) -> Path:
    return evaluate.evaluate_run(jem.run, jem.state, tmp_path_factory.mktemp('evaluated'))


def _with(run: Run, **options: object) -> Run:
    config = run.config.copy_and_resolve_references()
    config.evaluate.update(options)
    return run._replace(config=config)


def _numbers(folder: Path) -> dict[str, float]:
    return json.loads((folder / 'evaluation.json').read_text())


def _logits_by_hand(case: TinyRun, images: np.ndarray) -> np.ndarray:
    """The network on all images at once, each under the noise of its own key, without scoring."""
    run, state = case.run, case.state
    keys = keys_of_images(jax.random.key(run.config.seed), jnp.asarray(images))
    noise = jnp.stack([jax.random.normal(key, images.shape[1:]) for key in keys])
    seen = images / np.float32(127.5) - 1.0 + run.config.method.input_noise * noise
    trained = state.trained
    network = models.build(run.config.model, run.task.num_classes)
    return np.asarray(network.apply(trained.average, trained.statistics, seen))


def _write_images(folder: Path, images: np.ndarray, labels: np.ndarray) -> Path:
    for number, (image, label) in enumerate(zip(images, labels, strict=True)):
        place = folder / CLASS_NAMES[label]
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(place / f'{number}.png')
    return folder


def test_numbers_are_those_of_an_independent_computation(jem, evaluated):
    run, numbers = jem.run, _numbers(evaluated)
    test = run.splits.test
    labels = run.dataset.labels[test]
    logits = _logits_by_hand(jem, run.dataset.images[test]).astype(np.float64)
    p = np.exp(logits - logits.max(1, keepdims=True))
    p /= p.sum(1, keepdims=True)
    guess = p.argmax(1)
    f1 = sklearn_metrics.f1_score(labels, guess, average=None)
    assert len(set(guess)) > 1
    assert numbers['accuracy'] == pytest.approx(np.mean(guess == labels))
    assert numbers['nll'] == pytest.approx(sklearn_metrics.log_loss(labels, p), rel=1e-4)
    brier = np.mean(np.sum((p - np.eye(10)[labels]) ** 2, axis=1))
    assert numbers['brier'] == pytest.approx(brier, rel=1e-4)
    assert numbers['f1_macro'] == pytest.approx(f1.mean())
    assert [numbers[f'f1_{name}'] for name in CLASS_NAMES] == pytest.approx(list(f1))
    assert (numbers['test_images'], numbers['step']) == (80, 0)
    confidence, right = p.max(1), guess == labels
    bins = np.ceil(confidence * 15)
    ece = sum(
        abs(right[bins == b].mean() - confidence[bins == b].mean()) * np.mean(bins == b)
        for b in set(bins)
    )
    assert numbers['ece'] == pytest.approx(ece, abs=1e-5)


def test_density_numbers_compare_test_images_with_outliers(jem, evaluated):
    run, numbers = jem.run, _numbers(evaluated)
    inside = score(run, 'log_density', jem.state, run.dataset.images, run.splits.test)
    logits = _logits_by_hand(jem, run.dataset.images[run.splits.test])
    np.testing.assert_allclose(inside, logsumexp(logits, axis=1), rtol=1e-4)
    rng = np.random.default_rng(0)
    flat = np.broadcast_to(rng.integers(0, 256, (40, 1, 1, 3), np.uint8), (40, 16, 16, 3))
    outside = score(run, 'log_density', jem.state, flat)
    expected = np.mean(inside[:, None] > outside) + 0.5 * np.mean(inside[:, None] == outside)
    assert numbers['auroc_constant'] == pytest.approx(expected)
    assert {'auroc_uniform_noise', 'fpr95_constant', 'kl_test'} <= numbers.keys()


def test_without_scores_of_training_images_the_other_numbers_stay(jem, monkeypatch, capsys):
    """As of a run that was stopped, whose data lie elsewhere."""

    def no_data(*_: object) -> None:
        raise UserError('no data at /elsewhere')

    monkeypatch.setattr(densities, '_of_training', no_data)
    evaluator = densities.density(jem.run, jem.state, 'log_density', lambda: None)
    inside = np.linspace(0.0, 1.0, 9, dtype=np.float32)
    numbers = evaluator.finish([inside]).numbers
    assert numbers['log_density_test'] == pytest.approx(0.5)
    assert {'auroc_constant', 'fpr95_uniform_noise'} <= numbers.keys()
    assert not {'kl_test', 'log_density_train'} & numbers.keys()
    assert 'no data at /elsewhere' in capsys.readouterr().err


def test_all_figures_are_there_and_all_numbers_finite(evaluated):
    names = {path.name for path in evaluated.iterdir()}
    assert names == {
        'evaluation.json', 'confusion_matrix.png', 'reliability.png', 'log_density.png',
        'predictions.csv', 'samples.png',
    }  # fmt: skip
    numbers = _numbers(evaluated)
    assert all(np.isfinite(value) for value in numbers.values())
    assert not {'fid', 'kid', 'inception_images'} & numbers.keys()


def test_scores_do_not_depend_on_padding_or_on_other_images(jem):
    images = jem.run.dataset.images
    whole = score(jem.run, 'logits', jem.state, images, np.arange(64))
    # A part of the second batch, in its place: only the padding is another.
    part = score(jem.run, 'logits', jem.state, images, np.arange(40))
    np.testing.assert_allclose(part, whole[:40], rtol=1e-5, atol=1e-6)
    again = score(jem.run, 'logits', jem.state, images, np.arange(64))
    np.testing.assert_array_equal(again, whole)


def test_scores_of_a_network_without_noise_do_not_depend_on_the_batch_size():
    case = tiny_run('supervised')
    rows = np.arange(50)
    by_32 = score(case.run, 'logits', case.state, case.run.dataset.images, rows)
    by_7 = score(_with(case.run, batch_size=7), 'logits', case.state, case.run.dataset.images, rows)
    np.testing.assert_allclose(by_7, by_32, rtol=1e-4, atol=1e-5)


def test_validation_is_right_and_compiles_once(jem, caplog):
    numbers = evaluate.validate(jem.run, jem.state)
    chosen = jem.run.splits.validation
    guess = _logits_by_hand(jem, jem.run.dataset.images[chosen]).argmax(1)
    assert numbers['validation_accuracy'] == np.mean(guess == jem.run.dataset.labels[chosen])
    with jax.log_compiles(), caplog.at_level('WARNING'):
        assert evaluate.validate(jem.run, jem.state) == numbers
        assert not [r for r in caplog.records if 'Compiling' in r.getMessage()]
        jax.jit(lambda x: x + 1)(np.zeros(3))  # the log does say it when something is compiled
        assert [r for r in caplog.records if 'Compiling' in r.getMessage()]


def test_inputs_and_outputs_are_checked_before_anything_is_scored(jem, tmp_path, monkeypatch):
    """The second set of outliers has a broken file; then the folder cannot be written to."""
    images = np.zeros((3, 16, 16, 3), np.uint8)
    for name in ('good', 'broken'):
        _write_images(tmp_path / name, images, np.arange(3))
    (file,) = (tmp_path / 'broken').rglob('2.png')
    file.write_bytes(file.read_bytes()[:50])
    monkeypatch.setattr(evaluate.evaluators, 'measure', None)
    config = jem.run.config.copy_and_resolve_references()
    config.evaluate.outliers = f'good={tmp_path}/good,broken={tmp_path}/broken'
    run = jem.run._replace(config=config)
    with pytest.raises(UserError, match=r'2\.png'):
        evaluate.evaluate_run(run, jem.state, tmp_path / 'out')
    assert not (tmp_path / 'out').exists()
    (tmp_path / 'out').touch()
    with pytest.raises(UserError, match='out cannot be written to'):
        evaluate.evaluate_run(jem.run, jem.state, tmp_path / 'out')


def test_a_diverged_state_is_one_clear_error(jem):
    broken = with_trained(
        jem.state,
        average=jax.tree.map(lambda leaf: leaf * np.float32('nan'), jem.state.trained.average),
    )
    with pytest.raises(UserError, match='diverged'):
        score(jem.run, 'logits', broken, jem.run.dataset.images, np.arange(4))


def test_sample_picture_shows_slots_of_the_buffer(jem, tmp_path):
    run = jem.run._replace(folder=tmp_path)
    picture = evaluate.sample_picture(run._replace(step=12), jem.state)
    assert picture is not None
    with Image.open(tmp_path / 'samples' / 'step_0000012.png') as file:
        np.testing.assert_array_equal(np.asarray(file), picture)
    first = np.asarray(jem.state.replay_buffer.images[0, 0], np.float32)
    expected = np.round((np.clip(first, -1, 1) + 1) * 127.5).astype(np.uint8)
    np.testing.assert_array_equal(picture[:64, :64], expected.repeat(4, 0).repeat(4, 1))
    assert picture.shape == (8 * 64 + 7 * 4, 8 * 64 + 7 * 4, 3)


def test_a_method_without_chains_has_no_samples(tmp_path):
    case = tiny_run('supervised')
    assert evaluate.sample_picture(case.run, case.state) is None
    out = evaluate.evaluate_run(case.run, case.state, tmp_path / 'out')
    assert not (out / 'samples.png').exists()
    assert 'auroc_constant' in _numbers(out)


def test_fid_and_kid_compare_as_many_samples_as_images(jem, tmp_path, monkeypatch):
    weights = tmp_path / 'weights.npz'
    weights.write_bytes(b'')
    seen = []

    def means(params: object, images: np.ndarray, **options: object) -> np.ndarray:
        seen.append(images)
        return images.reshape(len(images), -1)[:, :5].astype(np.float32)

    monkeypatch.setattr(generation.inception, 'load_inception', lambda path: {})
    monkeypatch.setattr(generation.inception, 'features', means)
    run = _with(jem.run, inception=str(weights), inception_images=50)
    numbers = _numbers(evaluate.evaluate_run(run, jem.state, tmp_path / 'out'))
    assert numbers['inception_images'] == 50
    assert np.isfinite([numbers['fid'], numbers['kid']]).all()
    assert [len(images) for images in seen] == [50, 50]
    test = {image.tobytes() for image in run.dataset.images[run.splits.test]}
    assert {image.tobytes() for image in seen[0]} <= test
    assert not {image.tobytes() for image in seen[1]} & test


def test_grid_has_a_row_for_each_class():
    real = np.full((3, 4, 4, 3), 10, np.uint8)
    samples = np.arange(8, dtype=np.uint8).repeat(48).reshape(8, 4, 4, 3)
    classes = np.array([1, 0, 1, 1, 1, 1, 1, 1])
    sets = [ClassImages(real, np.array([0, 0, 1]), 2), ClassImages(samples, classes, 6)]
    grid = grid_by_class(sets, 3)
    values = grid[:, :, 0, 0, 0]
    assert values.tolist() == [
        [10, 10, 1, 255, 255, 255, 255, 255],
        [10, 255, 0, 2, 3, 4, 5, 6],
        [255, 255, 255, 255, 255, 255, 255, 255],
    ]


def test_a_grid_shows_several_models_and_one_without_classes():
    images = np.arange(5, dtype=np.uint8).repeat(12).reshape(5, 2, 2, 3)
    first = ClassImages(images, np.array([1, 1, 0, 0, 0]), 1)
    grid = grid_by_class([first, ClassImages(images, None, 2)], 3)
    assert grid[:, :, 0, 0, 0].tolist() == [[2, 0, 1], [0, 2, 3], [255, 4, 255]]


def test_outlier_sets_are_read_at_any_depth_and_resized(jem, tmp_path):
    rng = np.random.default_rng(0)
    for name in ('a.png', 'deep/er/b.png', 'deep/c.png'):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 9, (24, 20, 3), np.uint8)).save(tmp_path / name)
    options = _with(jem.run, outliers=f'dark={tmp_path}', outlier_images=2).config.evaluate
    sets = outlier_sets(options, 16, False, Facts())
    assert {name: images.shape for name, images in sets.items()} == {
        name: (2, 16, 16, 3) for name in ('uniform_noise', 'constant', 'dark')
    }
    assert sets['dark'].max() < 12


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        ('/somewhere', 'expected name=path'),
        ('constant=/', 'is taken'),
        ('a=/,a=/', 'is taken'),
        ('a=/no/such/place', 'no such file or folder: /no/such/place'),
    ],
)
def test_wrong_outliers_are_refused(text, message):
    with pytest.raises(UserError, match=message):
        parse_outliers(text)


def test_spread_takes_distinct_indices_over_the_whole():
    assert spread(10, 3).tolist() == [0, 3, 6]
    assert spread(2, 5).tolist() == [0, 1]
    assert len(set(spread(17, 11).tolist())) == 11


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        ({'inception': '/no/weights.npz'}, 'evaluate.inception: no such file'),
        ({'outlier_images': 0}, 'evaluate.outlier_images must be at least 2'),
        ({'outliers': 'x'}, 'evaluate.outliers'),
    ],
)
def test_options_are_checked_before_the_work(jem, options, message):
    with pytest.raises(UserError, match=message):
        evaluate.check(_with(jem.run, **options).config)


def test_data_on_the_command_line_gives_its_accuracy(jem, tmp_path, capsys):
    labels = np.array([1, 1, 4, 4, 4, 8, 8, 9])
    images = generate(len(labels), 16, seed=5, labels=labels).images[:]
    data = _write_images(tmp_path / 'more', images, labels)
    out = tmp_path / 'out'
    command.main([f'--workdir={jem.folder}', f'--data={data}', f'--out={out}'])
    guess = _logits_by_hand(jem, images).argmax(1)
    numbers = _numbers(out)
    assert numbers['accuracy'] == np.mean(guess == labels)
    assert numbers['test_images'] == 8
    assert str(out) in capsys.readouterr().out


def test_an_unknown_class_is_one_line_and_a_failure(jem, tmp_path):
    data = _write_images(tmp_path / 'more', generate(2, 16).images[:], np.array([0, 1]))
    shutil.move(data / CLASS_NAMES[1], data / 'Forrest')
    command, log = (
        ['-m', 'eojax.evaluate', f'--workdir={jem.folder}', f'--data={data}'],
        tmp_path / 'log',
    )
    assert Forked(command, os.environ, log).wait() == 1
    said = log.read_text()
    lines = [line for line in said.splitlines() if line.startswith('eojax:')]
    assert len(lines) == 1
    assert "'Forrest'" in lines[0]
    assert "'Forest'" in lines[0]
    assert 'Traceback' not in said


@pytest.mark.parametrize('which', ['size', 'workdir', 'checkpoint'])
def test_what_cannot_be_evaluated_is_said_in_one_line(jem, tmp_path, which, capsys):
    arguments = {'--workdir': jem.folder, '--out': tmp_path / 'out'}
    if which == 'size':
        data = _write_images(tmp_path / 'more', generate(1, 24).images[:], np.array([0]))
        arguments['--data'], message = data, '24'
    elif which == 'workdir':
        arguments['--workdir'], message = tmp_path / 'nothing', 'no run folder'
    else:
        folder = tmp_path / 'untrained'
        folder.mkdir()
        shutil.copy(jem.folder / 'config.json', folder)
        arguments['--workdir'], message = folder, 'train the run first'
    with pytest.raises(SystemExit) as stopped:
        command.main([f'{key}={value}' for key, value in arguments.items()])
    assert stopped.value.code == 1
    assert message in capsys.readouterr().err


def test_the_table_of_predictions_has_a_row_for_each_tested_image(tmp_path: Path) -> None:
    tiny = tiny_run('jem')
    evaluate.evaluate_run(tiny.run, tiny.state, tmp_path)
    with open(tmp_path / 'predictions.csv', newline='') as file:
        table = list(csv.DictReader(file))
    tested = tiny.run.dataset.subset(tiny.run.splits.test)
    assert [row['file'] for row in table] == list(tested.names)
    names = tiny.run.facts.class_names
    assert [names.index(row['true']) for row in table] == tested.labels.tolist()
    right = np.mean([row['right'] == 'true' for row in table])
    numbers = json.loads((tmp_path / 'evaluation.json').read_text())
    assert right == pytest.approx(numbers['accuracy'])
    scores = score(tiny.run, 'log_density', tiny.state, tested.images)
    np.testing.assert_allclose([float(row['log_density']) for row in table], scores, rtol=1e-5)
    unseen = [float(row['percentile']) < 1.0 for row in table]
    assert [row['unseen'] == 'true' for row in table] == unseen


def test_a_classifier_without_a_density_has_its_log_sum_exp(tmp_path: Path, capsys) -> None:
    tiny = tiny_run('supervised')
    evaluate.evaluate_run(tiny.run, tiny.state, tmp_path)
    numbers = json.loads((tmp_path / 'evaluation.json').read_text())
    assert not [name for name in numbers if name.startswith('log_density')]
    tested = tiny.run.dataset.subset(tiny.run.splits.test)
    scores = score(tiny.run, 'log_sum_exp', tiny.state, tested.images)
    assert numbers['log_sum_exp_test'] == pytest.approx(float(scores.mean()), rel=1e-5)
    assert {'log_sum_exp_train', 'kl_test', 'auroc_constant'} <= numbers.keys()
    said = capsys.readouterr().out
    assert 'no density was trained' in said
    assert 'log_density' not in said.replace(str(tmp_path), '')
