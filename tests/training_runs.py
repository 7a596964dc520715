"""Trainings of seconds, and what they leave behind, for the tests of the loop."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp
import pytest
from ml_collections import ConfigDict

from eojax.config.base import base_config, set_keys, to_json
from eojax.methods import METHODS
from eojax.methods.method import Phase
from eojax.runs.carry import Carry
from eojax.runs.run import Run, build
from eojax.training import loop as train
from eojax.training.progress import read_metrics
from eojax.training.step_program import Programs, compile_phase
from tests.tiny_networks import TINY

# How fast it went, and what the evaluation of the test at hand adds.
_NOT_COMPARED = ('steps_per_second', 'images_per_second')


def small_config(method: str, network: str = 'wide_resnet', **changes: Any) -> ConfigDict:
    """Landscapes of 16 pixels and a tiny network, a dozen steps; the intervals share no divisor.

    Args:
      network: of `tests.tiny_networks.TINY`.
      changes: by key, with `__` for the dot.
    """
    config = base_config(method, network, 'landscapes')
    values: dict[str, Any] = {
        'steps': 12, 'batch_size': 8, 'log_every': 4, 'evaluate_every': 6, 'checkpoint_every': 5,
        'keep_checkpoints': 10, 'tensorboard': False, 'data.size': 16, 'data.num_images': 200,
        'optimizer.learning_rate': 1e-3, 'evaluate.batch_size': 32, 'evaluate.outlier_images': 20,
        'evaluate.keep_reference': False,
    }  # fmt: skip
    values |= {f'model.{key}': value for key, value in TINY[network].items()}
    if method == 'jem':
        values |= {
            'method.likelihood_batch_size': 8, 'method.supervised_steps': 5, 'sampler.steps': 2,
            'sampler.buffer_size': 40, 'sampler.reinitialise': 0.3,
        }  # fmt: skip
    set_keys(config, {k.replace('__', '.'): v for k, v in (values | changes).items()})
    return config


def stop_at(monkeypatch: pytest.MonkeyPatch, step: int, number: signal.Signals) -> None:
    """Sends a signal to this process when the loop has dispatched `step`; once."""
    original = train.Progress.at

    def at(self: train.Progress, now: int) -> None:
        original(self, now)
        if now == step:
            monkeypatch.setattr(train.Progress, 'at', original)
            signal.raise_signal(number)

    monkeypatch.setattr(train.Progress, 'at', at)


def steps_saved(folder: Path, which: str = 'checkpoints') -> list[int]:
    """The steps of the checkpoints on disk, ascending."""
    return sorted(int(p.name) for p in (folder / which).iterdir() if p.name.isdigit())


def saved_state(folder: Path, step: int | None = None) -> dict[str, np.ndarray]:
    """All arrays of a checkpoint, by name; of the newest where no step is given."""
    step = steps_saved(folder)[-1] if step is None else step
    place = (folder / 'checkpoints' / str(step) / 'state').absolute()
    checkpointer = ocp.PyTreeCheckpointer()
    leaves = checkpointer.metadata(place).item_metadata.tree
    # As host arrays: the devices that saved it may be others than these.
    on_host = {name: ocp.RestoreArgs(restore_type=np.ndarray) for name in leaves}
    tree = checkpointer.restore(place, args=ocp.args.PyTreeRestore(restore_args=on_host))
    return {name: np.asarray(value) for name, value in tree.items()}


def assert_same_bits(first: dict[str, np.ndarray], second: dict[str, np.ndarray]) -> None:
    assert first.keys() == second.keys()
    for name, value in first.items():
        assert value.dtype == second[name].dtype
        assert value.tobytes() == second[name].tobytes(), name


def rows(folder: Path) -> list[dict[str, Any]]:
    """The rows of `metrics.jsonl` without speeds."""
    found = read_metrics(folder / 'metrics.jsonl')
    return [{k: v for k, v in row.items() if k not in _NOT_COMPARED} for row in found]


class CompileOnce:
    """Runs of the same config in this process share their method and all that is compiled for it.

    A run that goes on after a stop traces and compiles what it did before it. From the cache on
    disk it would get the same programs; here it gets them without tracing a step again. A method
    that is built anew, as after a divergence, or by other means than before, is compiled for anew.
    """

    def __init__(self) -> None:
        self._runs: dict[tuple[str, Any], Run] = {}
        # With each phase, whose address would else be another's after its end.
        self._programs: dict[int, tuple[Phase, Programs]] = {}

    def build(self, config: ConfigDict, *rest: Any) -> Run:
        """In place of `eojax.runs.run.build`."""
        run = build(config, *rest)
        built_by = METHODS[config.method.name].build
        first = self._runs.setdefault((to_json(config), built_by), run)
        return run._replace(method=first.method, programs=first.programs)

    def compile_phase(self, run: Run, phase: Phase, carry: Carry, key: jax.Array) -> Programs:
        """In place of `eojax.training.step_program.compile_phase`."""
        if id(phase) not in self._programs:
            self._programs[id(phase)] = phase, compile_phase(run, phase, carry, key)
        return self._programs[id(phase)][1]
