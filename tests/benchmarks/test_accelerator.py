"""The plan for a few minutes of an accelerator, and the comparison with the CPU."""

from __future__ import annotations

import fcntl
import functools
import time
from pathlib import Path

import pytest
from ml_collections import ConfigDict

from benchmarks import accelerator, agreement
from benchmarks.accelerator import Task
from benchmarks.suites import suites
from eojax.config.base import check_config
from eojax.config.command_line import read_arguments
from eojax.devices import sharding, target


def test_the_plan_names_entries_and_configs_that_there_are() -> None:
    tasks = accelerator.plan(Path('out'))
    assert [task.name for task in tasks[:3]] == ['agreement', 'suite jem', 'suite fixmatch']
    assert set(accelerator.ENTRIES) <= set(suites()['gpu'].entries)
    [training] = [task for task in tasks if task.name == 'training']
    assert Path(accelerator.CONFIG).exists()
    assert '--data=landscapes' in training.command
    [training] = [t for t in accelerator.plan(Path('out'), 'E.zip') if t.name == 'training']
    assert '--config.data.root=E.zip' in training.command


@pytest.mark.parametrize('config', [accelerator.CONFIG, 'configs/quickstart.py'])
@pytest.mark.parametrize('eurosat', ['', 'E.zip'])
def test_the_training_is_one_that_starts(config: str, eurosat: str) -> None:
    tasks = accelerator.plan(Path('out'), eurosat, config=config, steps=20)
    [command] = [task.command for task in tasks if task.name == 'training']
    typed = read_arguments(command[command.index('eojax.main') + 1 :])
    assert typed.config is not None
    check_config(typed.config)
    assert typed.config.steps == 20
    assert typed.rest == (f'--workdir=out/{Path(config).stem}_accelerator',)


def test_a_task_that_fails_or_takes_too_long_keeps_no_other_from_running(tmp_path: Path) -> None:
    tasks = [
        Task('fails', ('-c', 'import sys; print("why"); sys.exit(3)'), 0),
        Task('works', ('-c', 'print("here")'), 0),
        Task('needs more', ('-c', 'pass'), 10_000),
        Task('waits', ('-c', 'import time; time.sleep(600)'), 0),
    ]
    begun = time.monotonic()
    outcomes = accelerator.run(tasks, tmp_path, 8.0)
    assert time.monotonic() - begun < 30.0
    assert [one.result for one in outcomes] == [
        'failed with exit code 3', 'done', 'not begun', 'out of time',
    ]  # fmt: skip
    assert (tmp_path / 'fails.log').read_text() == 'why\n'


def test_the_command_prints_its_plan_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    accelerator.main(['--plan', f'--out={tmp_path / "none"}'])
    assert capsys.readouterr().out.count('python -m') >= 8
    assert not (tmp_path / 'none').exists()


@pytest.mark.parametrize(
    ('option', 'says'),
    [
        ('--config=jem_eurosta', 'nearest is jem_eurosat'),
        ('--config=configs/none.py', 'config file not found: configs/none.py'),
        ('--eurosat=none.zip', '--eurosat none.zip'),
        (f'--eurosat={__file__}', 'no whole zip archive'),
        ('--suite=tiney', "did you mean 'tiny'"),
        ('--steps=0', '--steps must be at least 1'),
        ('--minutes=nan', '--minutes must be positive'),
    ],
)
def test_what_is_not_there_is_refused_before_anything_is_planned(
    option: str, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    _refused(['--plan', option], says, capsys)


def test_a_folder_with_an_earlier_training_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / 'jem_eurosat_accelerator').mkdir()
    _refused([f'--out={tmp_path}'], 'is there from before', capsys)
    assert len(list(tmp_path.iterdir())) == 1


def test_minutes_in_which_nothing_is_begun_are_no_success(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _refused([f'--out={tmp_path}', '--minutes=0.01'], 'too little for any task', capsys)


def _refused(arguments: list[str], says: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        accelerator.main(arguments)
    assert ended.value.code == 1
    said = capsys.readouterr().err
    assert says in said
    assert said.count('\n') == 1


def test_what_a_task_started_ends_with_it(tmp_path: Path) -> None:
    lock = tmp_path / 'lock'
    lock.touch()
    holds = (
        f'import fcntl, time; held = open({str(lock)!r}); fcntl.flock(held, fcntl.LOCK_EX);'
        ' print("held", flush=True); time.sleep(60)'
    )
    starts = f'import subprocess, sys; subprocess.run([sys.executable, "-c", {holds!r}])'
    begun = time.monotonic()
    [outcome] = accelerator.run([Task('training', ('-c', starts), 0)], tmp_path, 3.0)
    assert outcome.result == 'out of time'
    assert (tmp_path / 'training.log').read_text() == 'held\n'
    with lock.open() as file:
        fcntl.flock(file, fcntl.LOCK_EX)  # which the process would keep for a minute
    assert time.monotonic() - begun < 30.0


@functools.cache
def _fixmatch_on_the_cpu() -> dict[str, float]:
    return agreement.metrics_on(_fixmatch(), sharding.data_mesh(), 1)


def _fixmatch() -> ConfigDict:
    config = suites()['tiny'].entries['fixmatch']()
    config.model.dtype = 'float32'
    return config


@pytest.mark.parametrize('platform', ['gpu', 'tpu'])
def test_what_accelerators_compute_in_other_ways_is_the_same(
    platform: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their formulations of draws, gathers, tables, loops and convolutions, on the CPU."""
    here = _fixmatch_on_the_cpu()
    monkeypatch.setattr(target, 'platform', lambda: platform)
    there = agreement.metrics_on(_fixmatch(), sharding.data_mesh(), 1)
    assert agreement.difference(there, here) < 1e-4


def test_a_difference_ends_with_exit_code_1(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    numbers = iter([{'loss': 1.0}, {'loss': 1.0}, {'loss': 2.0}, {'loss': 2.5}])
    monkeypatch.setattr(agreement, 'metrics_on', lambda *_: next(numbers))
    agreement.main(['--method=jem'])
    with pytest.raises(SystemExit) as ended:
        agreement.main(['--method=jem'])
    assert ended.value.code == 1
    assert '0.2' in capsys.readouterr().err.replace('2.0e-01', '0.2')


def test_an_unknown_method_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        agreement.main(['--method=jam'])
    assert 'jam' in capsys.readouterr().err


def test_what_is_no_number_is_a_difference(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    numbers = iter([{'loss': float('nan')}, {'loss': 1.0}])
    monkeypatch.setattr(agreement, 'metrics_on', lambda *_: next(numbers))
    with pytest.raises(SystemExit):
        agreement.main(['--method=jem'])
    assert 'nan' in capsys.readouterr().err


def test_no_steps_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        agreement.main(['--method=jem', '--steps=0'])
    assert capsys.readouterr().err.count('\n') == 1
