"""The label efficiency table: numbers by hand, figures, and what is typed wrong."""

from __future__ import annotations

import json
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from eojax.config.base import base_config, from_json
from eojax.studies.grid.process import reliability_file
from eojax.studies.grid.runner import Listener, Start
from eojax.studies.grid.tables import over_seeds, percent_cells, runs_of
from eojax.studies.label_efficiency import command as label_efficiency
from eojax.studies.label_efficiency.figures import merged
from tests.apps.finished_runs import changed, write_finished, write_reliability
from tests.studies.grid_commands import PROVENANCE, cells_of, one_error, run_grid_command
from tests.training_runs import small_config

_CONFIG = """
from tests.training_runs import small_config

def get_config():
    return small_config({method!r}, data__num_images=100)
"""


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """Config files of two methods, and one that does not classify."""
    for method in ('supervised', 'fixmatch', 'vae'):
        (tmp_path / f'{method}.py').write_text(_CONFIG.format(method=method))
    return tmp_path


def _jem(labels: str, seed: int, **changes: Any):
    config = base_config('jem', 'wide_resnet', 'eurosat')
    return changed(config, data__labels_per_class=labels, seed=seed, **changes)


def _grid(workdir: Path) -> Path:
    """JEM on EuroSAT: two seeds of 10 labels, one of 1, and one that failed."""
    for labels, seed, accuracy, ece in (('10', 0, 0.60, 0.1), ('10', 1, 0.64, 0.2),
                                        ('1', 0, 0.30, 0.5)):  # fmt: skip
        folder = workdir / 'jem_eurosat' / f'{labels}_labels' / f'seed_{seed}'
        numbers = {'accuracy': accuracy, 'ece': ece, 'nll': 1.0, 'auroc_clouds': 0.9}
        write_finished(folder, _jem(labels, seed), **numbers)
        record = {'parts': [PROVENANCE], 'error': None}
        (folder / 'provenance.json').write_text(json.dumps(record))
        write_reliability(folder, [0, 10, 30], [None, 0.5, 0.9], [None, 0.4, 0.8])
    failed = workdir / 'jem_eurosat' / '1_labels' / 'seed_1'
    write_finished(failed, _jem('1', 1), step=70)
    (failed / 'evaluation' / 'evaluation.json').unlink()
    record = {'parts': [PROVENANCE], 'error': 'training diverged at step 70'}
    (failed / 'provenance.json').write_text(json.dumps(record))
    return workdir


def _run(*arguments: str, start: Start | None = None, code: int = 0) -> None:
    run_grid_command(label_efficiency.main, *arguments, start=start, code=code)


def _train(arguments: Sequence[str], listener: Listener) -> int:
    """A `Start` that trains nothing: the accuracy tells the labels and the seed."""
    config, folder = (Path(argument.partition('=')[2]) for argument in arguments[:2])
    values = from_json(config)
    if '--measure' in arguments:
        write_reliability(folder, [20], [0.5], [0.5])
        return 0
    labels = values.data.labels_per_class
    share = 0.9 if labels == 'all' else 0.01 * int(labels)
    write_finished(folder, values, accuracy=share + 0.1 * values.seed, ece=0.1)
    return 0


def test_the_table_has_means_deviations_and_the_papers_numbers(tmp_path, capsys):
    workdir = _grid(tmp_path / 'grid')
    _run('--table_only', f'--workdir={workdir}')
    text = (workdir / 'table.md').read_text()
    assert text in capsys.readouterr().out
    lines = text.splitlines()
    start = lines.index('## eurosat: Accuracy in %')
    header, rule, ten, one = lines[start + 2 : start + 6]
    assert cells_of(header) == ['labels per class', 'jem_eurosat', 'paper', 'difference']
    assert set(rule) <= set('|-:')
    # 60 and 64: mean 62, deviation of the sample sqrt(8) = 2.83; the paper has 61.60.
    assert cells_of(ten) == ['10', '62.00 ± 2.83', '61.60 ± 1.49', '+0.40']
    assert cells_of(one) == ['1', '30.00 (1)', '36.86 ± 1.11', '-6.86']
    start = next(i for i, line in enumerate(lines) if 'calibration error' in line)
    assert cells_of(lines[start + 4]) == ['10', '15.00 ± 7.07', '10.22', '+4.78']
    assert cells_of(lines[start + 5]) == ['1', '50.00 (1)', '–', '–']
    start = lines.index('## Runs')
    assert cells_of(lines[start + 4]) == [
        'jem_eurosat', 'eurosat', 'jem', 'WRN-28-10', '64', '1,000', '3 of 4', '10 min', 'H9000',
        '0123456789-dirty',
    ]  # fmt: skip
    assert any('IEEE' in line and 'Table III' in line for line in lines)
    (failed,) = [line for line in lines if line.startswith('- failed')]
    assert failed.endswith('seed_1: training diverged at step 70')


def test_the_rows_say_what_was_measured_and_where(tmp_path):
    workdir = _grid(tmp_path / 'grid')
    _run('--table_only', f'--workdir={workdir}')
    rows = json.loads((workdir / 'table.json').read_text())
    assert [(r['labels_per_class'], r['seed']) for r in rows] == [(10, 0), (10, 1), (1, 0), (1, 1)]
    first, *_, failed = rows
    assert first['method'] == 'jem'
    assert (first['config'], first['data'], first['network']) == (
        'jem_eurosat', 'eurosat', 'WRN-28-10',
    )  # fmt: skip
    assert (first['accuracy'], first['ece'], first['nll'], first['steps']) == (0.6, 0.1, 1.0, 1000)
    assert first['auroc_clouds'] == 0.9
    for key in ('commit', 'hardware', 'date', 'versions', 'seconds'):
        assert first[key] == PROVENANCE[key]
    assert (failed['accuracy'], failed['steps']) == (None, 70)
    assert failed['error'] == 'training diverged at step 70'


def test_runs_that_are_not_finished_are_named(tmp_path, capsys):
    workdir = _grid(tmp_path / 'grid')
    folder = next(workdir.glob('*/*_labels/seed_0'))
    (folder / 'evaluation' / 'evaluation.json').unlink()
    (folder / 'metrics.jsonl').write_text('{"step": 70, "loss": 1.0}\n')
    _run('--table_only', f'--workdir={workdir}')
    said = capsys.readouterr().err
    assert f'not in the table: {folder}: it was trained for 70 of 1,000 steps' in said


def test_the_figures_are_pictures(tmp_path):
    workdir = _grid(tmp_path / 'grid')
    _run('--table_only', f'--workdir={workdir}')
    for name in ('accuracy', 'ece', 'reliability'):
        picture = np.asarray(Image.open(workdir / f'{name}.png').convert('L'))
        assert picture.std() > 5, name


def test_reliability_is_over_all_images_of_the_runs(tmp_path):
    for name, counts, confidence, accuracy in (
        ('a', [0, 10, 30], [None, 0.5, 0.9], [None, 0.4, 0.8]),
        ('b', [0, 30, 10], [None, 0.6, 0.7], [None, 0.8, 0.4]),
    ):
        write_reliability(
            write_finished(tmp_path / name, _jem('1', 0)), counts, confidence, accuracy
        )
    curve = merged([reliability_file(tmp_path / name) for name in 'ab'])
    assert curve.counts.tolist() == [0, 40, 40]
    np.testing.assert_allclose(curve.confidence[1:], [0.575, 0.85])
    np.testing.assert_allclose(curve.accuracy[1:], [0.7, 0.7])
    assert np.isnan(curve.confidence[0])


def test_every_combination_is_run_with_its_seed_and_labels_and_once(files):
    command = (
        f'--config={files}/supervised.py,{files}/fixmatch.py', '--labels=2,all,1', '--seeds=3,0',
        f'--workdir={files}/grid', '--config.steps=5',
    )  # fmt: skip
    _run(*command, start=_train)
    rows = json.loads((files / 'grid' / 'table.json').read_text())
    expected = [
        (name, labels, seed)
        for name in ('supervised', 'fixmatch') for labels in ('all', 2, 1) for seed in (0, 3)
    ]  # fmt: skip
    assert [(r['config'], r['labels_per_class'], r['seed']) for r in rows] == expected
    for row in rows:
        name, labels, seed = row['config'], row['labels_per_class'], row['seed']
        folder = files / 'grid' / name / f'{labels}_labels' / f'seed_{seed}'
        config = from_json(folder / 'config.json')
        assert row['folder'] == str(folder)
        assert (config.seed, config.data.labels_per_class) == (seed, str(labels))
        assert (config.steps, config.method.name) == (5, name)
        assert row['accuracy'] == (0.9 if labels == 'all' else 0.01 * labels) + 0.1 * seed
    _run(*command)  # starts nothing any more
    assert json.loads((files / 'grid' / 'table.json').read_text()) == rows


def test_a_stopped_grid_writes_what_there_is_and_ends_with_the_signal(files):
    def start(arguments: Sequence[str], listener: Listener) -> int:
        if 'seed_1' in arguments[1]:
            return 128 + signal.SIGTERM
        return _train(arguments, listener)

    command = (f'--config={files}/supervised.py', '--labels=1', f'--workdir={files}/grid')
    _run(*command, start=start, code=143)
    (row,) = json.loads((files / 'grid' / 'table.json').read_text())
    assert row['seed'] == 0
    assert (files / 'grid' / 'accuracy.png').exists()
    _run(*command, start=_train)
    assert len(json.loads((files / 'grid' / 'table.json').read_text())) == 3


def test_a_failed_run_is_a_row_and_the_exit_code(files, capsys):
    def start(arguments: Sequence[str], listener: Listener) -> int:
        return 1 if 'seed_1' in arguments[1] else _train(arguments, listener)

    command = (f'--config={files}/supervised.py', '--labels=1', f'--workdir={files}/grid')
    _run(*command, start=start, code=1)
    rows = json.loads((files / 'grid' / 'table.json').read_text())
    assert [row['error'] is None for row in rows] == [True, False, True]
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith(f'eojax: {rows[1]["folder"]}: the process of the run ended')


def test_runs_from_elsewhere_join_their_series_or_begin_one(tmp_path):
    workdir = _grid(tmp_path / 'grid')
    same = write_finished(tmp_path / 'more', _jem('10', 7), accuracy=0.65)
    other = write_finished(tmp_path / 'wide', _jem('10', 0, model__width=4), accuracy=0.7)
    again = write_finished(tmp_path / 'wide_1', _jem('10', 1, model__width=4), accuracy=0.8)
    _run('--table_only', f'--workdir={workdir}', f'--runs={same},{other},{again}')
    rows = json.loads((workdir / 'table.json').read_text())
    found = {r['folder']: r['config'] for r in rows}
    assert found[str(same)] == 'jem_eurosat'
    assert found[str(other)] == found[str(again)] == 'wide'
    # 60, 64 and 65, and the paper's number beside both series.
    assert '63.00 ± 2.65' in (workdir / 'table.md').read_text()
    assert '75.00 ± 7.07' in (workdir / 'table.md').read_text()


WRONG = {
    'nothing to train': ((), 'say what to train'),
    'no such config': (('--config=nope.py',), 'config file not found: nope.py'),
    'two of a name': (('--config={}/supervised.py,{}/x/../supervised.py',), 'the name supervised'),
    'unknown key': (('--config={}/supervised.py', '--config.stepz=3'), "nearest is 'steps'"),
    'wrong type': (('--config={}/supervised.py', '--config.steps=x'), 'steps must be of type int'),
    'no value': (('--config={}/supervised.py', '--config.steps'), '--config.steps=VALUE'),
    'the seed': (('--config={}/supervised.py', '--config.seed=3'), 'the grid sets seed itself'),
    'unknown argument': (('--config={}/supervised.py', 'x'), "unknown argument 'x'"),
    'labels': (('--config={}/supervised.py', '--labels=1,x'), '--labels=1,x: expected positive'),
    'labels twice': (('--config={}/supervised.py', '--labels=1,01'), 'one is given twice'),
    'seeds': (('--config={}/supervised.py', '--seeds=0,-1'), "'-1' is no whole number"),
    'too many labels': (
        ('--config={}/supervised.py', '--labels=1,99'),
        'supervised, 99 labels per class, seed 0 and 2 more: data.labels_per_class=99, but class',
    ),
    'no classifier': (('--config={}/vae.py',), "method 'vae' does not classify"),
    'nothing there': (('--table_only',), 'holds no trained runs'),
    'no run': (('--runs={}',), 'is no run folder'),
}  # fmt: skip


@pytest.mark.parametrize(('arguments', 'message'), WRONG.values(), ids=WRONG.keys())
def test_mistakes_are_one_line_and_nothing_runs(files, capsys, arguments, message):
    (files / 'x').mkdir()
    typed = [argument.replace('{}', str(files)) for argument in arguments]
    _run(*typed, f'--workdir={files}/grid', code=1)
    assert message in one_error(capsys)
    assert not (files / 'grid').exists()


def test_runs_of_another_config_of_that_name_are_refused(files, capsys):
    (files / 'grid').mkdir()
    _run(f'--config={files}/supervised.py', '--labels=1', '--seeds=0', f'--workdir={files}/grid',
         start=_train)  # fmt: skip
    _run(f'--config={files}/supervised.py', '--labels=2', '--seeds=0', f'--workdir={files}/grid',
         '--config.steps=13', code=1)  # fmt: skip
    assert 'a run of another supervised (steps: 12 -> 13)' in capsys.readouterr().err


def test_a_run_without_its_evaluation_is_no_row(tmp_path, capsys):
    folder = write_finished(tmp_path / 'run', small_config('supervised'))
    (folder / 'evaluation' / 'evaluation.json').unlink()
    _run('--table_only', f'--workdir={tmp_path}/grid', f'--runs={folder}', code=1)
    assert 'has no evaluation' in capsys.readouterr().err
    # Nor is one of which the half is trained: its series would be of two lengths.
    write_finished(folder, small_config('supervised'), step=6, accuracy=0.5)
    _run('--table_only', f'--workdir={tmp_path}/grid', f'--runs={folder}', code=1)
    assert 'it was trained for 6 of 12 steps' in one_error(capsys)


def test_runs_of_other_lengths_are_no_table(tmp_path, capsys):
    workdir = _grid(tmp_path / 'grid')
    folder = workdir / 'jem_eurosat' / '10_labels' / 'seed_1'
    write_finished(folder, _jem('10', 1, steps=500), accuracy=0.64)
    _run('--table_only', f'--workdir={workdir}', code=1)
    assert 'a run of another jem_eurosat (steps:' in one_error(capsys)


def test_seeds_that_were_evaluated_otherwise_are_no_part_of_the_mean(files, capsys):
    typed = (f'--config={files}/supervised.py', '--labels=1', f'--workdir={files}/grid')
    _run(*typed, '--seeds=0', start=_train)
    capsys.readouterr()
    _run(*typed, '--seeds=1', '--config.evaluate.checkpoint=best', code=1)
    line = one_error(capsys)
    assert "was evaluated otherwise (evaluate.checkpoint: 'last' -> 'best')" in line
    assert not (files / 'grid' / 'supervised' / '1_labels' / 'seed_1').exists()


def test_the_seeds_of_a_series_are_summarised_by_labels():
    numbers = [(10, 0, 1.0), (10, 1, 2.0), (10, 2, 6.0), ('all', 0, 0.5), (1, 0, None)]
    rows = [{'labels': n, 'seed': s, 'x': x, 'other': 7} for n, s, x in numbers]
    runs = runs_of(rows, 'x', 'labels')
    summary = over_seeds(runs, ['all', 10, 1, 5])
    np.testing.assert_array_equal(summary['count'], [1, 3, 0, 0])
    np.testing.assert_allclose(summary['mean'], [0.5, 3.0, np.nan, np.nan])
    np.testing.assert_allclose(summary['std'], [np.nan, 7**0.5, np.nan, np.nan])
    np.testing.assert_allclose(summary['sem'], [np.nan, (7 / 3) ** 0.5, np.nan, np.nan])
    # One run of three has no number: the cell says how many have.
    assert percent_cells(summary, 'std') == ['50.00 (1)', '300.00 ± 264.58', '–', '–']
    assert percent_cells(summary, 'sem', '+')[1] == '+300.00 ± 152.75'
    # A difference is of the seeds that both have.
    fewer = runs_of([row | {'x': 1.0} for row in rows[:2]], 'x', 'labels')
    difference = over_seeds(runs - fewer, [10])
    assert (difference['mean'].item(), difference['count'].item()) == (0.5, 2)
