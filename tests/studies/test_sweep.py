"""A study of any options: its runs, its table by hand, its choice by validation, its figures."""

from __future__ import annotations

import csv
import json
import math
import shutil
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from eojax.config.base import from_json
from eojax.data.splits import Rule, Splits
from eojax.errors import UserError
from eojax.studies.grid import runner
from eojax.studies.grid.runner import Listener, Start
from eojax.studies.sweep import command
from eojax.studies.sweep.plan import Axis, Study, parse_vary, read_study
from eojax.studies.sweep.points import is_share, less_is_better
from eojax.studies.sweep.table import number_cell
from tests.apps.finished_runs import write_finished
from tests.studies.grid_commands import PROVENANCE, cells_of, never, one_error, run_grid_command

_CONFIG = """
from tests.training_runs import small_config

def get_config():
    return small_config('supervised', data__num_images=100)
"""
RATE, SMOOTHING = 'optimizer.learning_rate', 'method.label_smoothing'


class Trained:
    """A `Start` that trains nothing: test accuracy rises with the rate, validation's falls."""

    def __init__(self, validated: bool = True) -> None:
        self.started: list[str] = []
        self.at_once = self.most = 0
        self._validated = validated
        self._lock = threading.Lock()

    def __call__(self, arguments: Sequence[str], listener: Listener) -> int:
        with self._lock:
            self.at_once += 1
            self.most = max(self.most, self.at_once)
        config, folder = (Path(argument.partition('=')[2]) for argument in arguments[:2])
        values = from_json(config)
        rate = 100 * values.optimizer.learning_rate
        test, validation = rate + 0.02 * values.seed, 0.9 - rate - 0.04 * values.seed
        # Whole at once, as a run's own files are: others may be reading.
        made = write_finished(
            folder.with_name(f'.{folder.name}'), values, accuracy=test, ece=0.1, f1_River=0.3
        )
        rows = [{'step': values.steps - 1, 'validation_accuracy': 0.1}]
        if self._validated:
            rows.append({'step': values.steps, 'validation_accuracy': validation})
        rows.append({'step': values.steps, 'loss': 1.0})
        (made / 'metrics.jsonl').write_text('\n'.join(map(json.dumps, rows)) + '\n')
        (made / 'provenance.json').write_text(json.dumps({'parts': [PROVENANCE], 'error': None}))
        made.rename(folder)
        with self._lock:
            self.started.append(folder.as_posix())
            self.at_once -= 1
        return 0


@pytest.fixture
def config(tmp_path: Path) -> str:
    (tmp_path / 'small.py').write_text(_CONFIG)
    return f'--config={tmp_path}/small.py'


def _run(*arguments: str, start: Start | None = None, code: int = 0) -> None:
    def main(arguments: list[str], start: Start) -> None:
        command.main(arguments, start=start)

    run_grid_command(main, *arguments, start=start, code=code)


VARY = (f'--vary={RATE}=1e-3,3e-3', '--vary=seed=0,1')


def test_every_combination_is_a_run_and_seeds_become_means(config, tmp_path, capsys):
    workdir, start = tmp_path / 'study', Trained()
    _run(config, *VARY, f'--workdir={workdir}', start=start)
    assert [Path(folder).relative_to(workdir).as_posix() for folder in start.started] == [
        f'{RATE}={rate}/seed={seed}' for rate in (0.001, 0.003) for seed in (0, 1)
    ]
    text = (workdir / 'table.md').read_text()
    assert text in capsys.readouterr().out
    lines = text.splitlines()
    start_of = next(n for n, line in enumerate(lines) if line.startswith(f'| {RATE}'))
    head, _, first, second = (cells_of(line) for line in lines[start_of : start_of + 4])
    assert head == [RATE, 'runs', 'test accuracy in %', 'validation accuracy in %']
    # 10 and 12 % of two seeds: the deviation of the sample is the square root of 2.
    assert first == ['0.001', '2', '11.00 ± 1.41', '78.00 ± 2.83']
    assert second == ['0.003', '2', '31.00 ± 1.41', '58.00 ± 2.83']
    # Test images prefer the other one.
    assert f'- best by validation: {RATE}=0.001 (accuracy of the validation images 78.00' in text
    rows = json.loads((workdir / 'table.json').read_text())
    assert [(row[RATE], row['seed'], row['validation_accuracy']) for row in rows] == [
        (0.001, 0, pytest.approx(0.8)), (0.001, 1, pytest.approx(0.76)),
        (0.003, 0, pytest.approx(0.6)), (0.003, 1, pytest.approx(0.56)),
    ]  # fmt: skip
    with open(workdir / 'table.csv', newline='') as file:
        table = list(csv.DictReader(file))
    assert [(float(row[RATE]), row['seed']) for row in table] == [
        (row[RATE], str(row['seed'])) for row in rows
    ]
    assert [float(row['accuracy']) for row in table] == [row['accuracy'] for row in rows]
    assert np.asarray(Image.open(workdir / 'accuracy.png')).std() > 5
    assert read_study(workdir) == Study('small', (RATE, 'seed'))


def test_it_goes_on_with_new_values_alone_and_refuses_another_study(config, tmp_path, capsys):
    workdir, start = f'--workdir={tmp_path}/study', Trained()
    _run(config, *VARY, workdir, start=start)
    _run(config, *VARY, workdir)  # all is done
    more = Trained()
    _run(config, f'--vary={RATE}=1e-2', '--vary=seed=0,1', workdir, start=more)
    assert len(more.started) == 2
    assert len(json.loads((tmp_path / 'study' / 'table.json').read_text())) == 6
    before = (tmp_path / 'study' / 'table.md').read_text()
    _run('--table_only', workdir)
    assert (tmp_path / 'study' / 'table.md').read_text() == before
    capsys.readouterr()
    _run(config, '--vary=seed=0,1', workdir, code=1)
    assert f'holds a study of small by {RATE}, seed, not of small by seed' in one_error(capsys)
    _run(config, *VARY, '--config.batch_size=5', workdir, code=1)
    assert 'a run of another config (batch_size:' in one_error(capsys)


def test_runs_at_once_and_a_metric_that_training_did_not_validate(config, tmp_path, capsys):
    workdir, start = tmp_path / 'study', Trained(validated=False)
    _run(config, *VARY, f'--workdir={workdir}', '--jobs=3', start=start)
    assert len(start.started) == 4
    text = (workdir / 'table.md').read_text()
    assert 'nothing is ranked: training did not measure accuracy on the validation' in text
    _run('--table_only', f'--workdir={workdir}', '--metric=ece')
    assert 'test ece in %' in (workdir / 'table.md').read_text()
    assert (workdir / 'ece.png').exists()
    capsys.readouterr()
    _run('--table_only', f'--workdir={workdir}', '--metric=acuracy', code=1)
    assert "unknown --metric 'acuracy'; did you mean 'accuracy'" in one_error(capsys)


def test_at_most_so_many_run_at_once(config, tmp_path):
    barrier = threading.Barrier(2, timeout=20)  # breaks unless two run at once

    class Together(Trained):
        def __call__(self, arguments: Sequence[str], listener: Listener) -> int:
            barrier.wait()
            return super().__call__(arguments, listener)

    start = Together()
    _run(config, *VARY, f'--workdir={tmp_path}/study', '--jobs=2', start=start)
    assert len(start.started) == 4


def test_what_a_run_beside_others_prints_is_kept(tmp_path, monkeypatch):
    tell = 'import os, sys; print(sys.argv[1:], os.environ["XLA_PYTHON_CLIENT_PREALLOCATE"])'
    monkeypatch.setattr(runner, '_PROCESS', (sys.executable, '-c', f'{tell}; sys.exit(3)'))
    arguments = ['--config=c.json', f'--workdir={tmp_path}/run']
    assert [runner.start_beside_others(arguments, Listener()) for _ in range(2)] == [3, 3]
    assert (tmp_path / 'run' / 'output.txt').read_text() == f'{arguments} false\n' * 2


def test_methods_can_vary_and_steps_shorten_their_phases(config, tmp_path):
    workdir, start = tmp_path / 'study', Trained()
    _run(config, '--vary=method=supervised,fixmatch', '--vary=steps=4,8',
         f'--workdir={workdir}', start=start)  # fmt: skip
    folder = workdir / 'method=fixmatch' / 'steps=8'
    assert folder.as_posix() in start.started
    values = json.loads((workdir / 'table.json').read_text())
    assert {row['method'] for row in values} == {'supervised', 'fixmatch'}
    assert np.asarray(Image.open(workdir / 'accuracy.png')).std() > 5


def test_one_change_at_a_time(config, tmp_path, capsys):
    workdir, start = tmp_path / 'study', Trained()
    smoothing, seeds, where = f'--vary={SMOOTHING}=0.1', '--vary=seed=0,1', f'--workdir={workdir}'
    alone = (smoothing, seeds, '--one_at_a_time', where)
    # The config's own rate is 1e-3: it is no change.
    _run(config, f'--vary={RATE}=1e-3,2e-3,4e-3', *alone, start=start)
    assert len(start.started) == 2 * (1 + 2 + 1)
    table = (workdir / 'table.md').read_text()
    lines = [line for line in table.partition('## Runs')[0].splitlines() if line.startswith('|')]
    changed = [cells_of(line)[0] for line in lines]
    assert changed[0] == 'changed'
    assert table.splitlines()[0].endswith(', one at a time')
    assert changed[2:] == ['nothing', f'{RATE}=0.002', f'{RATE}=0.004', f'{SMOOTHING}=0.1']
    assert np.asarray(Image.open(workdir / 'accuracy.png')).std() > 5
    more = Trained()
    _run(config, f'--vary={RATE}=3e-3', *alone, start=more)
    assert [Path(folder).relative_to(workdir).parts[0] for folder in more.started] == [
        f'{RATE}=0.003'
    ] * 2
    before = (workdir / 'table.md').read_text()
    assert f'{RATE}=0.004' in before
    _run('--table_only', where)
    assert (workdir / 'table.md').read_text() == before
    capsys.readouterr()
    _run(config, f'--vary={RATE}=3e-3', smoothing, seeds, where, code=1)
    assert 'one at a time from' in one_error(capsys)
    _run(config, '--vary=method=supervised,fixmatch', '--one_at_a_time', code=1)
    assert 'leave out --one_at_a_time' in one_error(capsys)


@pytest.mark.parametrize(
    'vary',
    [
        (f'{RATE}=1e-3,2e-3,3e-3', f'{SMOOTHING}=0.0,0.1,0.2'),  # a map
        ('method.augment=none,flips', 'seed=0,1'),  # dots
        ('method.augment=none,flips', f'{RATE}=1e-4,1e-3,3e-3', 'seed=0,1'),  # lines
        ('seed=0,1,2',),
    ],
)
def test_figures_of_all_kinds(vary: tuple[str, ...], config: str, tmp_path: Path) -> None:
    workdir = tmp_path / 'study'
    _run(config, *(f'--vary={text}' for text in vary), f'--workdir={workdir}', start=Trained())
    assert np.asarray(Image.open(workdir / 'accuracy.png')).std() > 5


@pytest.mark.parametrize(
    ('text', 'values'),
    [
        ('seed=0,1', ('0', '1')),
        ('optimizer.milestones=(0.5,0.8),(0.9,)', ('(0.5,0.8)', '(0.9,)')),
        ('data.classes=a=b+c,d;a,d', ('a=b+c,d', 'a,d')),
    ],
)
def test_values_are_parted_by_commas_outside_brackets(text: str, values: tuple[str, ...]) -> None:
    assert parse_vary([text]) == (Axis(text.partition('=')[0], values),)


@pytest.mark.parametrize(
    ('arguments', 'line'),
    [
        (['--vary=seed'], '--vary=seed: write KEY=VALUE,VALUE'),
        (['--vary=seed=0,,1'], 'write KEY=VALUE,VALUE'),
        (['--vary=seed=0,0'], '0 is given twice'),
        (['--vary=seed=0', '--vary=seed=1'], 'seed varies already'),
        ([], 'say what varies'),
        (['--vary=seed=0', '--config.seed=1'], 'seed varies; leave one of the two out'),
        (['--vary=sede=0,1'], "unknown config key 'sede'; the nearest is 'seed'"),
        (['--vary=steps=many'], 'steps must be of type int'),
        (['--vary=model.depth=12'], 'model.depth must be 10, 16'),
        (['--vary=method=jam'], "unknown method 'jam'"),
        (['--vary=seed=0', '--jobs=0'], '--jobs must be at least 1'),
        (['--vary=seed=0', 'stray'], "unknown argument 'stray'"),
        (['--table_only', '--workdir=nowhere'], 'holds no study'),
    ],
)
def test_what_is_typed_wrong_is_one_line(
    arguments: list[str], line: str, config: str, tmp_path: Path, monkeypatch: Any, capsys: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    _run(config, *arguments, start=never, code=1)
    assert line in one_error(capsys)
    assert not list(tmp_path.rglob('config.json'))


def test_two_values_of_one_folder_are_refused(config, tmp_path, capsys):
    # Both would lie in `data.classes=a_b+c_d`: the second would be taken for the first.
    vary = '--vary=data.classes=Forest=River,SeaLake;Forest,River=SeaLake'
    _run(config, vary, f'--workdir={tmp_path}/study', start=never, code=1)
    line = one_error(capsys)
    assert 'would have the same folder' in line
    assert 'Forest=River,SeaLake' in line
    assert 'Forest,River=SeaLake' in line


def test_the_table_alone_takes_no_runs_of_another_config(config, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)  # the folder is that of the config and the keys
    _run(config, *VARY, start=Trained())
    _run(config, *VARY, '--table_only')
    capsys.readouterr()
    _run(config, *VARY, '--config.batch_size=5', '--table_only', code=1)
    assert 'a run of another config (batch_size:' in one_error(capsys)


def _point_lines(workdir: Path) -> list[list[str]]:
    """The cells of each point of the table."""
    text = (workdir / 'table.md').read_text().partition('## Runs')[0]
    return [cells_of(line) for line in text.splitlines() if line.startswith('|')][2:]


def test_a_copy_of_a_run_is_not_counted_twice(config, tmp_path, capsys):
    workdir = tmp_path / 'study'
    _run(config, *VARY, f'--workdir={workdir}', start=Trained())
    first = workdir / f'{RATE}=0.001' / 'seed=0'
    shutil.copytree(first, first.with_name('seed=0_old'))
    capsys.readouterr()
    _run('--table_only', f'--workdir={workdir}', code=1)
    assert 'are the same run twice; move one' in one_error(capsys)


def test_a_point_with_a_run_that_failed_is_not_the_best(config, tmp_path):
    workdir = tmp_path / 'study'
    _run(config, *VARY, f'--workdir={workdir}', start=Trained())
    # What was best loses its worse seed, which makes its mean better still.
    lost = workdir / f'{RATE}=0.001' / 'seed=1'
    (lost / 'evaluation' / 'evaluation.json').unlink()
    (lost / 'provenance.json').write_text(json.dumps({'parts': [PROVENANCE], 'error': 'diverged'}))
    _run('--table_only', f'--workdir={workdir}')
    first, second = _point_lines(workdir)
    assert first == ['0.001', '1 of 2', '10.00', '80.00']
    assert second[:2] == ['0.003', '2']
    text = (workdir / 'table.md').read_text()
    assert f'best by validation, of the points without a failed run: {RATE}=0.003' in text


def test_a_point_is_ranked_by_all_of_its_runs_or_none(config, tmp_path):
    workdir = tmp_path / 'study'
    _run(config, *VARY, f'--workdir={workdir}', start=Trained())
    file = workdir / f'{RATE}=0.001' / 'seed=1' / 'metrics.jsonl'
    rows = [json.loads(line) for line in file.read_text().splitlines()]
    rows[1]['validation_accuracy'] = None  # was not finite
    file.write_text('\n'.join(map(json.dumps, rows)) + '\n')
    _run('--table_only', f'--workdir={workdir}')
    assert 'nothing is ranked: training did not measure' in (workdir / 'table.md').read_text()


def test_test_images_choose_nothing_though_they_are_those_of_validation(config, tmp_path):
    workdir = tmp_path / 'study'
    _run(config, *VARY, f'--workdir={workdir}', start=Trained())
    part = {'places': 20, 'sha256': 'a'}
    parts = dict.fromkeys(Splits._fields, part)
    for folder in workdir.glob('*/seed=*'):
        record = {'rule': Rule(0)._asdict(), 'parts': parts, 'class_counts': [5]}
        (folder / 'splits.json').write_text(json.dumps(record))
    _run('--table_only', f'--workdir={workdir}')
    assert 'nothing is ranked' in (workdir / 'table.md').read_text()
    assert {row[-1] for row in _point_lines(workdir)} == {'–'}


def test_numbers_are_read_as_they_are() -> None:
    assert number_cell(0.123456, math.nan, 'accuracy') == '12.35'
    assert number_cell(123.456, 1.5, 'fid') == '123.5 ± 1.5'
    assert number_cell(math.nan, math.nan, 'fid') == '–'
    assert is_share('validation_pixel_accuracy')
    assert not is_share('nll')
    assert less_is_better('fpr95_clouds')
    assert not less_is_better('auroc_clouds')
    # The others of the validation images that training measures.
    less = ('mae', 'mae_db', 'nll', 'texture_distance')
    more = ('accuracy', 'agreement_mean_iou', 'log_density', 'psnr', 'ssim', 'texture_match')
    assert [*map(less_is_better, (*less, *more))] == [True] * 4 + [False] * 6


def test_a_damaged_study_is_named(tmp_path: Path) -> None:
    (tmp_path / 'study.json').write_text('[]')
    with pytest.raises(UserError, match=r'study\.json is damaged'):
        read_study(tmp_path)
