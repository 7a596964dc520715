"""Trackers that a run's numbers go to as well: Weights & Biases and MLflow, by `sinks`."""

from __future__ import annotations

import contextlib
import importlib
import json
import math
import os
import secrets
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

from ml_collections import ConfigDict

from eojax.atomic_file import write_atomically
from eojax.errors import UserError
from eojax.messages import say


class Tracker(Protocol):
    """A run at a tracker.

    Attributes:
      key: its name there, by which a resumed run finds it again.
    """

    key: str

    def write(self, step: int, numbers: Mapping[str, float]) -> None:
        """Adds finite numbers of a step."""

    def close(self, failed: bool) -> None:
        """Ends the run there, for now."""


class _Wandb:
    def __init__(self, module: Any, folder: Path, key: str, config: Mapping[str, Any]) -> None:
        self.key = key or secrets.token_hex(4)
        project = os.environ.get('WANDB_PROJECT', 'eojax')
        self._run = module.init(
            project=project, name=folder.name, id=self.key, resume='allow', dir=str(folder),
            config=dict(config),
        )  # fmt: skip
        # Its own counter must grow; after a rollback, steps go back.
        self._run.define_metric('*', step_metric='step')

    def write(self, step: int, numbers: Mapping[str, float]) -> None:
        self._run.log({'step': step, **numbers})

    def close(self, failed: bool) -> None:
        self._run.finish(exit_code=int(failed))


class _MLflow:
    def __init__(self, module: Any, folder: Path, key: str, config: Mapping[str, Any]) -> None:
        # A server that does not answer holds up training once, for seconds and not for minutes.
        os.environ.setdefault('MLFLOW_HTTP_REQUEST_MAX_RETRIES', '1')
        os.environ.setdefault('MLFLOW_HTTP_REQUEST_TIMEOUT', '20')
        self._metric = importlib.import_module('mlflow.entities').Metric
        self._client = module.MlflowClient()
        if key:
            self._client.update_run(key, status='RUNNING')
            self.key = key
            return
        name = os.environ.get('MLFLOW_EXPERIMENT_NAME', 'eojax')
        experiment = self._client.get_experiment_by_name(name)
        number = experiment.experiment_id if experiment else self._client.create_experiment(name)
        self.key = self._client.create_run(number, run_name=folder.name).info.run_id
        for option, value in _flat(config).items():
            self._client.log_param(self.key, option, value)

    def write(self, step: int, numbers: Mapping[str, float]) -> None:
        now = int(time.time() * 1000)
        metrics = [self._metric(name, value, now, step) for name, value in numbers.items()]
        self._client.log_batch(self.key, metrics=metrics)

    def close(self, failed: bool) -> None:
        self._client.set_terminated(self.key, 'FAILED' if failed else 'FINISHED')


_KINDS: dict[str, Callable[[Any, Path, str, Mapping[str, Any]], Tracker]] = {
    'wandb': _Wandb,
    'mlflow': _MLflow,
}


def check(config: ConfigDict) -> None:
    """Refuses trackers whose package is not there, before anything is written.

    Raises:
      UserError: the package of one is not installed.
    """
    _modules(config)


def _modules(config: ConfigDict) -> dict[str, Any]:
    names = [name.strip() for name in config.sinks.split(',') if name.strip()]
    return {name: _import(name) for name in names}


class Sinks:
    """The trackers of a run.

    `sinks.json` in the run's folder keeps the run's name at each of them, and the last step of each
    number there: a resumed run goes on in the same one and writes no step again. One that fails is
    left out from then on, after one line; training goes on.
    """

    def __init__(self, folder: Path, config: ConfigDict) -> None:
        """Opens them.

        Args:
          folder: the run's.
          config: of the run; `sinks` are names with commas.

        Raises:
          UserError: the package of one is not installed.
        """
        modules = _modules(config)
        self._file = folder / 'sinks.json'
        self._kept: dict[str, dict[str, Any]] = {}
        self._open: dict[str, Tracker] = {}
        for name, module in modules.items():
            try:
                if not self._kept and self._file.exists():
                    self._kept = json.loads(self._file.read_text())
                kept = self._kept.setdefault(name, {'run': '', 'last': {}})
                tracker = _KINDS[name](module, folder, kept['run'], config.to_dict())
                kept['run'] = tracker.key
                self._open[name] = tracker
                self._keep()
            except Exception as error:
                self._drop(name, error)

    def write(self, step: int, row: Mapping[str, Any]) -> None:
        """Hands on the finite numbers of a row that are not there yet."""
        numbers = {
            name: value for name, value in row.items()
            if name != 'step' and isinstance(value, (int, float)) and math.isfinite(value)
        }  # fmt: skip
        for name, tracker in list(self._open.items()):
            last = self._kept[name]['last']
            fresh = {key: value for key, value in numbers.items() if step > last.get(key, -1)}
            if not fresh:
                continue
            self._kept[name]['last'] = last | dict.fromkeys(fresh, step)
            try:
                self._keep()  # first: a kill in between must not lead to the same numbers twice
                tracker.write(step, fresh)
            except Exception as error:
                self._kept[name]['last'] = last
                with contextlib.suppress(OSError):
                    self._keep()
                self._drop(name, error)

    def close(self, failed: bool) -> None:
        """Ends the run at each; `failed` where an error ends it."""
        for name, tracker in list(self._open.items()):
            try:
                tracker.close(failed)
            except Exception as error:
                self._drop(name, error)

    def _keep(self) -> None:
        text = json.dumps(self._kept, indent=1)
        write_atomically(self._file, lambda file: file.write(text.encode()))

    def _drop(self, name: str, error: Exception) -> None:
        self._open.pop(name, None)
        reason = ' '.join(str(error).split()) or type(error).__name__
        say(f'{name} gets no more numbers, training goes on (see metrics.jsonl): {reason[:200]}')


def _import(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise UserError(
            f"config.sinks={name} needs the package {name}: pip install 'eojax[{name}]'"
        ) from error


def _flat(values: Mapping[str, Any], prefix: str = '') -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for name, value in values.items():
        inner = isinstance(value, Mapping)
        flat |= _flat(value, f'{prefix}{name}.') if inner else {f'{prefix}{name}': value}
    return flat
