"""Trackers beside metrics.jsonl: fakes of wandb and mlflow, without a network."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
from ml_collections import ConfigDict

from eojax.errors import UserError
from eojax.training.loop import train
from eojax.training.progress import Progress
from eojax.training.sinks import Sinks
from tests.training_runs import small_config


class FakeWandb(ModuleType):
    def __init__(self) -> None:
        super().__init__('wandb')
        self.ids: list[str] = []
        self.rows: list[dict] = []
        self.ends: list[int] = []
        self.broken = False

    def init(self, **settings):
        self.ids.append(settings['id'])
        return SimpleNamespace(
            define_metric=lambda *names, **others: None,
            log=self.log,
            finish=lambda exit_code: self.ends.append(exit_code),
        )

    def log(self, row: dict) -> None:
        if self.broken:
            raise ConnectionError('no network')
        self.rows.append(row)


class FakeMLflow(ModuleType):
    def __init__(self) -> None:
        super().__init__('mlflow')
        self.runs: list[str] = []
        self.rows: list[tuple] = []
        self.states: list[str] = []
        self.params: dict = {}
        self.MlflowClient = lambda: self

    def get_experiment_by_name(self, name: str) -> None:
        return None

    def create_experiment(self, name: str) -> str:
        return '1'

    def create_run(self, experiment: str, run_name: str):
        self.runs.append(run_name)
        return SimpleNamespace(info=SimpleNamespace(run_id=f'run{len(self.runs)}'))

    def log_param(self, run: str, name: str, value) -> None:
        self.params[name] = value

    def update_run(self, run: str, status: str) -> None:
        self.states.append(f'{run} {status}')

    def set_terminated(self, run: str, status: str) -> None:
        self.states.append(f'{run} {status}')

    def log_batch(self, run: str, metrics: list) -> None:
        self.rows += [(run, *metric) for metric in metrics]


def config_of(sinks: str) -> ConfigDict:
    return ConfigDict({'sinks': sinks, 'optimizer': {'learning_rate': 0.1}})


def progress_of(folder: Path, start: int, sinks: str) -> Progress:
    return Progress(folder, 10, start, tensorboard=False, sinks=Sinks(folder, config_of(sinks)))


def test_a_resumed_run_goes_on_in_the_same_wandb_run(tmp_path: Path, monkeypatch) -> None:
    wandb = FakeWandb()
    monkeypatch.setitem(sys.modules, 'wandb', wandb)
    with progress_of(tmp_path, 0, 'wandb') as progress:
        for step in (2, 4, 6):
            progress.write(step, {'loss': float(step), 'phase': 'joint', 'rate': float('nan')})
        progress.write(6, {'validation_accuracy': 0.5})
    with progress_of(tmp_path, 2, 'wandb') as progress:  # killed after its checkpoint at step 2
        for step in (4, 6, 8):
            progress.write(step, {'loss': float(step)})
    assert wandb.rows == [
        {'step': 2, 'loss': 2.0}, {'step': 4, 'loss': 4.0}, {'step': 6, 'loss': 6.0},
        {'step': 6, 'validation_accuracy': 0.5}, {'step': 8, 'loss': 8.0},
    ]  # fmt: skip
    assert len(set(wandb.ids)) == 1
    assert wandb.ends == [0, 0]


def test_a_resumed_run_goes_on_in_the_same_mlflow_run(tmp_path: Path, monkeypatch) -> None:
    mlflow = FakeMLflow()
    entities = ModuleType('mlflow.entities')
    entities.Metric = lambda key, value, time, step: (key, value, step)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, 'mlflow', mlflow)
    monkeypatch.setitem(sys.modules, 'mlflow.entities', entities)
    with progress_of(tmp_path, 0, 'mlflow') as progress:
        progress.write(2, {'loss': 2.0})
    progress = progress_of(tmp_path, 0, 'mlflow')
    progress.write(2, {'loss': 2.0})
    progress.write(4, {'loss': 4.0})
    progress.__exit__(RuntimeError, RuntimeError(), None)
    assert mlflow.rows == [('run1', 'loss', 2.0, 2), ('run1', 'loss', 4.0, 4)]
    assert mlflow.states == ['run1 FINISHED', 'run1 RUNNING', 'run1 FAILED']
    assert mlflow.runs == [tmp_path.name]
    assert mlflow.params['optimizer.learning_rate'] == 0.1


def test_a_sink_that_fails_warns_once_and_training_goes_on(
    tmp_path: Path, monkeypatch, capsys
) -> None:
    wandb = FakeWandb()
    monkeypatch.setitem(sys.modules, 'wandb', wandb)
    with progress_of(tmp_path, 0, 'wandb') as progress:
        wandb.broken = True
        progress.write(2, {'loss': 2.0})
        progress.write(4, {'loss': 4.0})
    assert capsys.readouterr().err.count('no network') == 1
    assert len((tmp_path / 'metrics.jsonl').read_text().splitlines()) == 2
    wandb.broken = False
    with progress_of(tmp_path, 0, 'wandb') as progress:
        progress.write(2, {'loss': 2.0})  # it never arrived
    assert wandb.rows == [{'step': 2, 'loss': 2.0}]


def test_a_missing_package_is_named(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, 'wandb', None)
    with pytest.raises(UserError, match=r"pip install 'eojax\[wandb\]'"):
        Sinks(tmp_path, config_of('wandb'))


def test_a_missing_package_leaves_no_run_behind(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, 'wandb', None)
    config = small_config('supervised', 'convnet', sinks='wandb')
    with pytest.raises(UserError, match=r"pip install 'eojax\[wandb\]'"):
        train(config, tmp_path / 'run')
    assert not (tmp_path / 'run').exists()
