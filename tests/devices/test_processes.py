"""Several real processes on loopback: one result, one stop, one end."""

from __future__ import annotations

import json
import signal
import time
from pathlib import Path

import jax
import numpy as np
import pytest

from eojax.config.command_line import load_config
from eojax.devices import processes
from eojax.errors import UserError
from eojax.runs import run as runs
from eojax.runs.checkpoint import Checkpoints
from eojax.runs.opening import checkpoint_folder, restore_carry
from eojax.training.loop import train
from tests.forked import Forked
from tests.process_groups import start_processes, wait_for
from tests.training_runs import rows, saved_state, steps_saved

_SAME = """
from tests.training_runs import small_config

def get_config():
    return small_config(
        steps=8, log_every=1, checkpoint_every=4, evaluate_every=0, {extra}
    )
"""
_LONG = """
from tests.training_runs import small_config

def get_config():
    return small_config(
        'supervised', 'convnet', steps=100_000, evaluate_every=0, log_every=5, checkpoint_every=10,
        keep_checkpoints=3,
    )
"""


def command(config: Path, folder: Path) -> list[str]:
    return ['-m', 'eojax.main', f'--config={config}', f'--workdir={folder}']


def log_of(logs: Path, number: int) -> str:
    return (logs / f'{number}.log').read_text()


def wait_for_rows(folder: Path, num: int, group: list[Forked], logs: Path) -> None:
    """Returns once the run has written so many rows more."""
    file = folder / 'metrics.jsonl'

    def count() -> int:
        return file.read_bytes().count(b'\n') if file.exists() else 0

    goal, deadline = count() + num, time.monotonic() + 900
    while count() < goal:
        codes = [process.poll() for process in group]
        assert codes == [None] * len(group), [log_of(logs, n) for n in range(len(group))]
        assert time.monotonic() < deadline
        time.sleep(0.02)


# Chains of one step: more of them compile longer, and are cut over the devices as one is.
_CHAINS = "method='jem', network='convnet', sampler__steps=1"
_JEM = f'{_CHAINS}, sampler__buffer_parts=4, method__supervised_steps=0'
# Two phases, a buffer that the devices cannot share, and one device for each process.
_PHASES = f'{_CHAINS}, sampler__buffer_parts=1, method__supervised_steps=4'
_STREAMED = 'data__resident_gigabytes=0.0'


# Processes and devices of each, and what more is in their config, that are held against one device
# of this process with resident data.
_LAYOUTS = {_JEM: {(2, 2): _STREAMED, (1, 4): ''}, _PHASES: {(2, 1): ''}}


@pytest.mark.parametrize('extra', _LAYOUTS, ids=['jem', 'phases'])
def test_processes_and_devices_do_not_change_the_result(tmp_path: Path, extra: str) -> None:
    folders = {layout: tmp_path / f'{layout[0]}x{layout[1]}' for layout in _LAYOUTS[extra]}
    for (num, devices), folder in folders.items():
        config, logs = folder.with_suffix('.py'), tmp_path / f'logs-{folder.name}'
        config.write_text(_SAME.format(extra=f'{extra}, {_LAYOUTS[extra][num, devices]}'))
        group = start_processes(num, devices, command(config, folder), logs)
        assert wait_for(group) == [0] * num, [log_of(logs, n) for n in range(num)]
    config = tmp_path / 'alone.py'
    config.write_text(_SAME.format(extra=extra))
    assert jax.device_count() == 1
    alone = tmp_path / 'alone'
    train(load_config(str(config)), alone)
    losses = [row['loss'] for row in rows(alone) if 'loss' in row]
    assert len(losses) == 8
    for layout, folder in folders.items():
        ours = [row['loss'] for row in rows(folder) if 'loss' in row]
        np.testing.assert_allclose(ours, losses, rtol=2e-4, err_msg=str(layout))
        first, second = saved_state(folder), saved_state(alone)
        assert first.keys() == second.keys()
        assert any(name.startswith('state.trained.parameters') for name in first)
        for name, value in first.items():
            if name.startswith('state.trained.parameters'):
                np.testing.assert_allclose(value, second[name], atol=1e-3, err_msg=name)
            if name == 'state.replay_buffer.labels':
                np.testing.assert_array_equal(value, second[name])
        numbers, expected = (
            json.loads((f / 'evaluation' / 'evaluation.json').read_text()) for f in (folder, alone)
        )
        assert numbers.keys() == expected.keys()
        assert numbers['nll'] == pytest.approx(expected['nll'], rel=1e-3)
    # One writer: whatever the number of processes, a row a step and one set of figures.
    assert [row['step'] for row in rows(next(iter(folders.values())))] == [
        row['step'] for row in rows(alone)
    ]


def test_one_stop_one_end_and_a_checkpoint_for_any_number(tmp_path: Path) -> None:
    config, folder = tmp_path / 'long.py', tmp_path / 'run'
    config.write_text(_LONG)

    def started(name: str) -> tuple[list[Forked], Path]:
        group = start_processes(2, 1, command(config, folder), tmp_path / name)
        wait_for_rows(folder, 3, group, tmp_path / name)
        return group, tmp_path / name

    # A process that is killed: the other ends, says why, and soon.
    group, logs = started('killed')
    group[1].kill()
    begun = time.monotonic()
    codes = wait_for(group, 120)
    assert codes == [1, -signal.SIGKILL]
    assert time.monotonic() - begun < 60
    said = log_of(logs, 0)
    assert 'start all processes again' in said
    assert 'Traceback' not in said
    # SIGTERM to one: both save the same step and stop.
    group, logs = started('stopped')
    assert 'resuming at step' in log_of(logs, 0)
    group[1].send_signal(signal.SIGTERM)
    assert wait_for(group, 120) == [143, 143]
    stopped = [
        f'stopped at step {steps_saved(folder)[-1]}, saved' in log_of(logs, n) for n in (0, 1)
    ]
    assert stopped == [True, True]
    # What two processes saved, one restores.
    run = runs.prepare(runs.from_json(folder / 'config.json'), folder)
    checkpoints, step = Checkpoints(checkpoint_folder(folder), 3), steps_saved(folder)[-1]
    carry, _ = restore_carry(run, checkpoints, step)
    assert int(carry.step) == step


def test_an_error_in_one_ends_all_with_its_message(tmp_path: Path) -> None:
    program = (
        'from eojax.devices import processes; from eojax.errors import UserError\n'
        'import jax, time\n'
        'processes.start()\n'
        'with processes.together():\n'
        '  if jax.process_index() == 1: raise UserError("the disk is full")\n'
        '  time.sleep(200)\n'
    )
    group = start_processes(2, 1, ['-c', program], tmp_path)
    assert wait_for(group, 100) == [1, 1]
    assert log_of(tmp_path, 1).strip().endswith('eojax: the disk is full')
    assert 'process 1 of this run failed: the disk is full' in log_of(tmp_path, 0)


def test_a_process_without_signs_of_life_is_gone():
    seen: dict[int, tuple[str, float]] = {}
    assert processes._gone(seen, {0: '1', 1: '1', 2: '9'}, 0, 0.0) is None
    assert processes._gone(seen, {0: '1', 1: '2', 2: 'finished'}, 0, 20.0) is None
    # Its own sign and that of one that has finished do not count.
    assert processes._gone(seen, {0: '1', 1: '2', 2: 'finished'}, 0, 49.0) is None
    assert processes._gone(seen, {0: '1', 1: '2', 2: 'finished'}, 0, 51.0) == 1


def test_start_refuses_what_names_no_run(monkeypatch):
    def start(**values: str) -> None:
        for name in ('COORDINATOR', 'NUM_PROCESSES', 'PROCESS_ID'):
            monkeypatch.delenv(f'EOJAX_{name}', raising=False)
        for name, value in values.items():
            monkeypatch.setenv(f'EOJAX_{name}', value)
        processes.start()

    start()  # alone
    start(COORDINATOR='127.0.0.1:1', NUM_PROCESSES='1', PROCESS_ID='0')
    assert not processes.several()
    for values, message in (
        ({'COORDINATOR': 'host:1'}, 'missing: EOJAX_NUM_PROCESSES, EOJAX_PROCESS_ID'),
        ({'COORDINATOR': 'h:1', 'NUM_PROCESSES': '2', 'PROCESS_ID': '2'}, 'must lie in 0 to 1'),
        ({'COORDINATOR': 'h', 'NUM_PROCESSES': '2', 'PROCESS_ID': '1'}, 'expected host:port'),
        ({'COORDINATOR': 'h:1', 'NUM_PROCESSES': 'two', 'PROCESS_ID': '1'}, 'invalid literal'),
    ):
        with pytest.raises(UserError, match=message):
            start(**values)
    monkeypatch.setattr(processes, '_PATIENCE', 0)
    with pytest.raises(UserError, match='process 0 of this run does not answer'):
        start(COORDINATOR='127.0.0.1:1', NUM_PROCESSES='2', PROCESS_ID='1')
