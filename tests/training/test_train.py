"""The loop: resuming, stopping, divergence, a full disk, several devices, and what a step costs."""

from __future__ import annotations

import errno
import functools
import json
import os
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp
import pytest
from jax import random
from ml_collections import ConfigDict

from eojax.errors import UserError
from eojax.evaluation import evaluate, reference
from eojax.methods import METHODS
from eojax.runs import lock
from eojax.runs import run as runs
from eojax.training import loop as train
from eojax.training import recovery
from eojax.training.loop import Stopped
from tests import training_runs
from tests.forked import Forked
from tests.trained_states import with_trained
from tests.training_runs import (
    assert_same_bits,
    rows,
    saved_state,
    steps_saved,
    stop_at,
)

pytestmark = pytest.mark.usefixtures('compiled_once')
# The loop does not know the network.
small_config = functools.partial(training_runs.small_config, network='convnet')


@pytest.fixture(autouse=True)
def evaluated(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The real evaluation has tests of its own; here it is a number that depends on the state."""
    calls: list[int] = []

    def evaluate_run(run: Any, state: Any, out: Path) -> Path:
        calls.append(run.step)
        return out

    def validate(run: Any, state: Any) -> dict[str, float]:
        return {'validation_accuracy': float(jax.tree.leaves(state.trained.parameters)[0].sum())}

    monkeypatch.setattr(evaluate, 'evaluate_run', evaluate_run)

    monkeypatch.setattr(reference, 'keep', lambda run, state: None)
    monkeypatch.setattr(evaluate, 'validate', validate)
    monkeypatch.setattr(evaluate, 'sample_picture', lambda run, state: None)
    return calls


@pytest.fixture(scope='module')
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """The folder of a run from end to end, trained once for each method."""
    folders: dict[str, Path] = {}

    def folder_of(method: str) -> Path:
        if method not in folders:
            folders[method] = tmp_path_factory.mktemp(method) / 'whole'
            train.train(small_config(method), folders[method])
        return folders[method]

    return folder_of


def stopped(config: ConfigDict, folder: Path) -> int:
    with pytest.raises(Stopped) as caught:
        train.train(config, folder)
    return caught.value.exit_code


@pytest.mark.parametrize('method', ['jem', 'supervised'])
def test_stopped_and_resumed_equals_uninterrupted(
    method: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, uninterrupted
) -> None:
    config, whole = small_config(method), uninterrupted(method)
    # Before, in and after the phase's end at 5; neither is a multiple of an interval.
    for step, number in ((3, signal.SIGTERM), (7, signal.SIGINT), (11, signal.SIGTERM)):
        stop_at(monkeypatch, step, number)
        assert stopped(config, tmp_path / 'run') == 128 + number
        assert steps_saved(tmp_path / 'run')[-1] == step
    train.train(config, tmp_path / 'run')
    assert_same_bits(saved_state(tmp_path / 'run'), saved_state(whole))
    assert rows(tmp_path / 'run') == rows(whole)
    assert steps_saved(tmp_path / 'run', 'best') == steps_saved(whole, 'best')
    for name in ('config.json', 'splits.json'):
        assert (tmp_path / 'run' / name).read_bytes() == (whole / name).read_bytes()


def test_stopped_at_the_end_of_a_phase(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, uninterrupted
) -> None:
    stop_at(monkeypatch, 5, signal.SIGTERM)
    stopped(small_config('jem'), tmp_path)
    train.train(small_config('jem'), tmp_path)
    assert_same_bits(saved_state(tmp_path), saved_state(uninterrupted('jem')))
    assert rows(tmp_path) == rows(uninterrupted('jem'))


def test_stopped_before_the_first_step(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, uninterrupted
) -> None:
    def stop_in(place: Any, name: str) -> None:
        original = getattr(place, name)

        def call(*arguments: Any) -> Any:
            monkeypatch.setattr(place, name, original)
            signal.raise_signal(signal.SIGTERM)
            return original(*arguments)

        monkeypatch.setattr(place, name, call)

    for place, name in ((train, 'initial_carry'), (train, 'compile_phase')):
        stop_in(place, name)
        assert stopped(small_config('supervised'), tmp_path) == 143
        assert steps_saved(tmp_path) == [0]
        assert not (tmp_path / 'metrics.jsonl').exists()
    train.train(small_config('supervised'), tmp_path)
    assert_same_bits(saved_state(tmp_path), saved_state(uninterrupted('supervised')))
    assert rows(tmp_path) == rows(uninterrupted('supervised'))


def test_handlers_are_put_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT)
    stop_at(monkeypatch, 2, signal.SIGINT)
    assert stopped(small_config('supervised'), tmp_path) == 130
    assert before == (signal.getsignal(signal.SIGTERM), signal.getsignal(signal.SIGINT))


def test_rows_hold_means_of_their_interval(uninterrupted) -> None:
    found = rows(uninterrupted('jem'))
    # Multiples of 4, the phase's end at 5, validation at 6 (no log there) and 12.
    assert [row['step'] for row in found] == [4, 5, 6, 8, 12]
    assert [row.get('phase') for row in found] == ['supervised'] * 2 + [None] + ['joint'] * 2
    assert all('validation_accuracy' in row for row in found if row['step'] in (6, 12))
    assert all(0.0 <= row['accuracy'] <= 1.0 for row in found if 'accuracy' in row)
    # 8 images a step: a mean over 4 steps is a multiple of 1 / 32, over the one at 5 of 1 / 8.
    assert found[0]['accuracy'] * 32 % 1 == 0.0
    assert found[1]['accuracy'] * 8 % 1 == 0.0


def test_a_finished_run_is_evaluated_again_and_not_trained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, evaluated: list[int]
) -> None:
    config = small_config('supervised', steps=4)
    train.train(config, tmp_path)
    before = saved_state(tmp_path), rows(tmp_path)
    monkeypatch.setattr(train, 'compile_phase', None)
    assert train.train(config, tmp_path) == tmp_path / 'evaluation'
    assert evaluated == [4, 4]
    assert_same_bits(before[0], saved_state(tmp_path))
    assert before[1] == rows(tmp_path)


def test_another_config_is_refused_and_free_keys_are_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = small_config('supervised', steps=4)
    train.train(config, tmp_path)
    other = small_config('supervised', steps=4, seed=3, model__convolutions=2)
    # Refused before the data is looked at.
    monkeypatch.setattr(runs, 'load_domains', None)
    with pytest.raises(UserError) as caught:
        train.train(other, tmp_path)
    assert 'model.convolutions: 1 -> 2; seed: 0 -> 3' in str(caught.value)
    monkeypatch.undo()
    free = small_config('supervised', steps=4, log_every=1, evaluate__outlier_images=30)
    monkeypatch.setattr(evaluate, 'evaluate_run', lambda run, state, out: out)
    monkeypatch.setattr(reference, 'keep', lambda run, state: None)
    train.train(free, tmp_path)
    assert json.loads((tmp_path / 'config.json').read_text())['log_every'] == 1


def test_a_run_does_not_go_on_with_other_data(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = small_config('supervised', steps=4)
    stop_at(monkeypatch, 2, signal.SIGTERM)
    stopped(config, tmp_path)
    file = tmp_path / 'splits.json'
    kept = json.loads(file.read_text())
    kept['parts']['validation']['sha256'] = '0' * 64
    file.write_text(json.dumps(kept))
    config.data.workers = 3  # free at resume: not even that is written
    before = contents(tmp_path)
    with pytest.raises(UserError, match=r'splits\.json: validation is not that of this data'):
        train.train(config, tmp_path)
    assert contents(tmp_path) == before
    with lock.hold(tmp_path):
        before = contents(tmp_path)
        with pytest.raises(UserError, match=r'is being trained by process \d+ on'):
            train.train(config, tmp_path)
        assert contents(tmp_path) == before


def contents(folder: Path) -> dict[Path, bytes]:
    """All files below a folder."""
    return {file: file.read_bytes() for file in folder.rglob('*') if file.is_file()}


def test_a_refused_beginning_leaves_no_folder(tmp_path: Path) -> None:
    config = small_config('supervised', data__labels_per_class='1000')
    with pytest.raises(UserError, match='1000'):
        train.train(config, tmp_path / 'run')
    assert not list(tmp_path.iterdir())


def test_a_folder_that_cannot_be_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runs, 'load_domains', None)
    (tmp_path / 'file').touch()
    with pytest.raises(UserError, match=r'--workdir .*file/run cannot be made a folder'):
        train.train(small_config('supervised'), tmp_path / 'file' / 'run')
    with pytest.raises(UserError, match=r'--workdir .*file cannot be made a folder'):
        train.train(small_config('supervised'), tmp_path / 'file')
    (tmp_path / 'config.json').write_text('[1')
    with pytest.raises(UserError, match=r'config\.json is damaged'):
        train.train(small_config('supervised'), tmp_path)


def test_one_label_a_class_fills_a_batch_of_16(tmp_path: Path) -> None:
    config = small_config('supervised', steps=3, batch_size=16, data__labels_per_class='1')
    train.train(config, tmp_path)
    kept = json.loads((tmp_path / 'splits.json').read_text())
    assert kept['parts']['labelled']['places'] == 10
    assert rows(tmp_path)[-1]['step'] == 3
    assert np.isfinite(rows(tmp_path)[-1]['loss'])


def test_no_unlabelled_stream_without_labels_is_a_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r'data\.labels_per_class'):
        train.train(small_config('jem', data__labels_per_class='1000'), tmp_path)


def test_several_steps_a_call_give_the_same_numbers(tmp_path: Path, uninterrupted) -> None:
    train.train(small_config('supervised', steps_per_call=3), tmp_path)
    expected = rows(uninterrupted('supervised'))
    assert len(expected) == len(rows(tmp_path))
    for found, wanted in zip(rows(tmp_path), expected, strict=True):
        assert found['step'] == wanted['step']
        if 'loss' in wanted:
            assert found['loss'] == pytest.approx(wanted['loss'], rel=1e-4)


# Divergence.


@pytest.fixture
def poisoned(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Above the learning rate of the second try, step 10 writes a NaN and reports a good loss.

    Returns:
      The learning rates that the method was built with.
    """
    rates: list[float] = []
    original = METHODS['supervised'].build

    def build(config: ConfigDict, task: Any) -> Any:
        method = original(config, task)
        (phase,) = method.phases
        rates.append(config.optimizer.learning_rate)
        poison = rates[-1] > 0.6e-3

        def step(state: Any, batch: Any, key: Any) -> Any:
            new, metrics = phase.step(state, batch, key)
            bad = (state.trained.updates == 9) & poison
            parameters = jax.tree.map(lambda x: jnp.where(bad, jnp.nan, x), new.trained.parameters)
            metrics = {**metrics, 'chance': random.uniform(random.fold_in(key, 99))}
            return with_trained(new, parameters=parameters), metrics

        return method._replace(phases=(phase._replace(step=step),))

    monkeypatch.setitem(METHODS, 'supervised', METHODS['supervised']._replace(build=build))
    return rates


@pytest.mark.parametrize('method', ['fixmatch_jem', 'fixmatch_then_jem'])
def test_the_rate_is_lowered_in_every_stage(
    method: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    changes = {'steps': 100, 'batch_size': 10, 'fixmatch__steps': 4}
    config = small_config(method, optimizer__learning_rate=0.2, **changes)
    config.fixmatch.optimizer.learning_rate = 0.6
    run, built = runs.prepare(config, tmp_path), []
    recipe = METHODS[method]._replace(build=lambda c, task: built.append(c))
    monkeypatch.setitem(METHODS, method, recipe)
    runs.rebuilt(run, 0.5)
    rates = [(c.optimizer.learning_rate, c.fixmatch.optimizer.learning_rate) for c in built]
    assert rates == [(pytest.approx(0.1), pytest.approx(0.3))]
    assert config.fixmatch.optimizer.learning_rate == 0.6


def test_nan_is_rolled_back_with_another_key_and_a_lower_rate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, poisoned: list[float], capsys
) -> None:
    config = small_config('supervised', log_every=1)
    whole, parted = tmp_path / 'whole', tmp_path / 'parted'
    train.train(config, whole)
    assert poisoned[-1] == pytest.approx(0.5e-3)
    events = [row for row in rows(whole) if 'event' in row]
    assert events == [{'step': 5, 'event': 'diverged', 'at': 10, 'rate': 0.5}]
    assert 'diverged before step 10: back to step 5' in capsys.readouterr().err
    assert [r['step'] for r in rows(whole) if 'event' not in r] == list(range(1, 13))
    for step in steps_saved(whole):
        for name, value in saved_state(whole, step).items():
            assert np.isfinite(value).all(), (step, name)

    # Stopped before the divergence, the same steps have another key.
    stop_at(monkeypatch, 7, signal.SIGTERM)
    stopped(config, parted)
    first, second = ({r['step']: r for r in rows(f)} for f in (parted, whole))
    assert first[5]['chance'] == next(r for r in rows(whole) if r['step'] == 5)['chance']
    assert first[6]['chance'] != second[6]['chance']

    # Stopped after the rollback and before the next checkpoint, it is not forgotten.
    rewound: list[int] = []
    original = train.Progress.rewind

    def rewind(self: train.Progress, step: int) -> None:
        original(self, step)
        rewound.append(step)
        if len(rewound) == 2:
            raise KeyboardInterrupt

    monkeypatch.setattr(train.Progress, 'rewind', rewind)
    with pytest.raises(KeyboardInterrupt):
        train.train(config, parted)
    monkeypatch.setattr(train.Progress, 'rewind', original)
    built = len(poisoned)
    train.train(config, parted)
    assert poisoned[built:] == [pytest.approx(1e-3), pytest.approx(0.5e-3)]
    # Not from where the signal stopped it, but from where it would have gone back to without.
    assert_same_bits(saved_state(parted), saved_state(whole))
    regular = [[row for row in rows(f) if 'event' not in row] for f in (whole, parted)]
    assert regular[0] == regular[1]
    assert [row for row in rows(parted) if 'event' in row] == events


def test_a_rollback_is_remembered_over_a_restart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, poisoned: list[float]
) -> None:
    config = small_config('supervised')
    whole, parted = tmp_path / 'whole', tmp_path / 'parted'
    train.train(config, whole)
    # Killed as soon as it has gone back, before another checkpoint is written.
    with monkeypatch.context() as patch:
        patch.setattr(train._Loop, '_set_attempt', _killed)
        with pytest.raises(KeyboardInterrupt):
            train.train(config, parted)
    train.train(config, parted)
    assert_same_bits(saved_state(parted), saved_state(whole))
    # What happened is told once: the rows with events are the same too.
    assert rows(parted) == rows(whole)


def _killed(self: Any, attempt: int) -> None:
    raise KeyboardInterrupt


def _scored(monkeypatch: pytest.MonkeyPatch, *rounds: dict[int, float]) -> None:
    """Validation finds these scores by step, those of the next round once steps have gone back."""
    left, steps = list(rounds), [0]

    def validate(run: Any, state: Any) -> dict[str, float]:
        if run.step <= steps[-1]:
            left.pop(0)
        steps.append(run.step)
        return {'validation_accuracy': left[0].get(run.step, 0.1)}

    monkeypatch.setattr(evaluate, 'validate', validate)


def test_a_best_state_of_what_was_abandoned_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, poisoned: list[float]
) -> None:
    config = small_config('supervised', log_every=1, evaluate_every=2)
    # Step 10 diverges, and the run goes back to step 5. What was best there is the best again.
    _scored(monkeypatch, {2: 0.5, 6: 0.9}, {6: 0.2})
    train.train(config, tmp_path / 'first')
    assert [row['at'] for row in rows(tmp_path / 'first') if 'event' in row] == [10]
    assert steps_saved(tmp_path / 'first', 'best') == [2]
    _scored(monkeypatch, {2: 0.5, 6: 0.9}, {8: 0.6})
    train.train(config, tmp_path / 'second')
    assert steps_saved(tmp_path / 'second', 'best') == [8]


def test_after_a_kill_the_best_state_is_that_of_the_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(self: Any, state: Any) -> None:
        if self.step == 8:
            raise KeyboardInterrupt

    scores = {2: 0.5, 6: 0.9, 7: 0.8}
    _scored(monkeypatch, scores, scores)
    with monkeypatch.context() as patch:
        patch.setattr(evaluate, 'sample_picture', killed)
        with pytest.raises(KeyboardInterrupt):
            train.train(small_config('supervised', evaluate_every=2), tmp_path)
    assert steps_saved(tmp_path)[-1] == 5
    assert steps_saved(tmp_path, 'best')[-1] == 6
    # From step 5 on it is evaluated at others, and never at step 6.
    train.train(small_config('supervised', evaluate_every=7), tmp_path)
    assert steps_saved(tmp_path, 'best') == [7]


def test_a_training_that_begins_anew_knows_nothing_of_a_former_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, uninterrupted
) -> None:
    whole = uninterrupted('supervised')
    folder = Path(shutil.copytree(whole, tmp_path / 'run'))
    recovery.write(folder, recovery.Recovery(1, 8, 5))
    shutil.rmtree(folder / 'checkpoints')
    stop_at(monkeypatch, 5, signal.SIGTERM)
    stopped(small_config('supervised'), folder)
    assert steps_saved(folder, 'best') == []
    train.train(small_config('supervised'), folder)
    assert_same_bits(saved_state(folder), saved_state(whole))
    assert rows(folder) == rows(whole)
    assert steps_saved(folder, 'best') == steps_saved(whole, 'best')


def test_a_rollback_goes_further_back_where_its_checkpoint_was_deleted(
    tmp_path: Path, uninterrupted
) -> None:
    folder = Path(shutil.copytree(uninterrupted('supervised'), tmp_path / 'run'))
    recovery.write(folder, recovery.Recovery(1, 8, 5))
    shutil.rmtree(folder / 'checkpoints' / '5')
    train.train(small_config('supervised'), folder)
    assert steps_saved(folder) == [0, 5, 10, 12]


def test_training_that_does_not_heal_is_given_up(tmp_path: Path) -> None:
    config = small_config('supervised', recovery__max_loss=1e-3, recovery__tries=1)
    for _ in range(2):  # and is at once when asked again
        with pytest.raises(UserError) as caught:
            train.train(config, tmp_path)
        assert 'diverged at step 4 and 1 restart(s) did not help' in str(caught.value)
        assert '\n' not in str(caught.value)
    events = [(row['event'], row['rate']) for row in rows(tmp_path)]
    assert events == [('diverged', 0.5)]
    assert steps_saved(tmp_path) == [0]


def test_a_rate_beyond_reason_never_reaches_a_checkpoint(tmp_path: Path) -> None:
    config = small_config('supervised', optimizer__learning_rate=1e30, recovery__tries=0)
    with pytest.raises(UserError, match='did not help'):
        train.train(config, tmp_path)
    assert steps_saved(tmp_path) == [0]


# A full disk.


def test_a_full_disk_stops_the_run_and_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, uninterrupted
) -> None:
    original = ocp.CheckpointManager.save

    def save(self: ocp.CheckpointManager, step: int, *rest: Any, **options: Any) -> bool:
        if step == 10:
            raise OSError(errno.ENOSPC, 'No space left on device')
        return original(self, step, *rest, **options)

    with monkeypatch.context() as patch:
        patch.setattr(ocp.CheckpointManager, 'save', save)
        with pytest.raises(UserError) as caught:
            train.train(small_config('supervised'), tmp_path)
    line = 'step 10 could not be saved in .*: the disk is full; the one of step 5 is intact'
    assert caught.match(line)
    assert steps_saved(tmp_path) == [0, 5]
    train.train(small_config('supervised'), tmp_path)
    assert_same_bits(saved_state(tmp_path), saved_state(uninterrupted('supervised')))
    assert rows(tmp_path) == rows(uninterrupted('supervised'))


# What a step costs.


@pytest.fixture
def compilations() -> Iterator[list[str]]:
    """The events of XLA compilations, as they come."""
    events: list[str] = []

    def listen(event: str, duration_secs: float, **details: str | int) -> None:
        if event == '/jax/core/compile/backend_compile_duration':
            events.append(event)

    jax.monitoring.register_event_duration_secs_listener(listen)
    yield events
    jax.monitoring.unregister_event_duration_listener(listen)


def test_steps_compile_nothing_transfer_nothing_and_donate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, compilations: list[str]
) -> None:
    compiled_at: dict[int, int] = {}
    original = train.compile_phase

    def guarded(program: Callable[..., Any]) -> Callable[..., Any]:
        def call(carry: Any, feed: Any, key: Any) -> Any:
            before = len(compilations)
            with jax.transfer_guard('disallow'):
                new, ticket = program(carry, feed, key)
            assert len(compilations) == before
            compiled_at[int(ticket)] = before
            held = [x for x in jax.tree.leaves(carry) if not x.is_deleted()]
            assert not held
            assert not any(x.is_deleted() for x in jax.tree.leaves(feed))
            return new, ticket

        return call

    def compile_phase(*arguments: Any) -> Any:
        programs = original(*arguments)
        return programs._replace(many=guarded(programs.many), one=guarded(programs.one))

    monkeypatch.setattr(train, 'compile_phase', compile_phase)
    config = small_config('jem', steps=20, log_every=1, checkpoint_every=4, evaluate_every=6)
    train.train(config, tmp_path)
    assert compilations, 'the events have another name: nothing was measured'
    # After the first log, checkpoint and validation of the last phase nothing is compiled at all.
    assert compiled_at[20] == compiled_at[13]


# Processes.


_CONFIG = """
from tests.training_runs import small_config

def get_config():
    return small_config(
        'supervised', 'convnet', steps=100_000, evaluate_every=0, log_every=7, checkpoint_every=10,
    )
"""


def _rows_in(folder: Path) -> int:
    file = folder / 'metrics.jsonl'
    return file.read_bytes().count(b'\n') if file.exists() else 0


def _send_when_it_moves(folder: Path, config: Path, number: int, log: Path) -> int:
    """Starts the command, sends it a signal two rows later, and returns its exit code."""
    begun = _rows_in(folder)
    command = ['-m', 'eojax.main', f'--config={config}', f'--workdir={folder}']
    process = Forked(command, os.environ, log)
    deadline = time.monotonic() + 600
    try:
        while _rows_in(folder) < begun + 2:
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.01)
        process.send_signal(number)
        return process.wait(600)
    finally:
        process.kill()
        process.wait()


def test_signals_and_a_kill_lose_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config, folder, log = tmp_path / 'long.py', tmp_path / 'run', tmp_path / 'log'
    config.write_text(_CONFIG)
    for number, code in (
        (signal.SIGTERM, 143),
        (signal.SIGKILL, -signal.SIGKILL),
        (signal.SIGINT, 130),
    ):
        assert _send_when_it_moves(folder, config, number, log) == code
        said = log.read_text()
        assert 'Traceback' not in said
        if code > 0:
            assert 'saved; run the command again to go on' in said
    end = steps_saved(folder)[-1] + 3
    values: dict[str, Any] = {}
    exec(_CONFIG, values)
    for place in (folder, tmp_path / 'whole'):
        stop_at(monkeypatch, end, signal.SIGTERM)
        stopped(values['get_config'](), place)
    assert_same_bits(saved_state(folder, end), saved_state(tmp_path / 'whole', end))
    assert rows(folder) == rows(tmp_path / 'whole')


def test_each_phase_has_a_best_state_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def validate(run: Any, state: Any) -> dict[str, float]:
        return {'validation_accuracy': float('nan') if run.step == 6 else 1.0 / run.step}

    monkeypatch.setattr(evaluate, 'validate', validate)
    # Supervised for five steps, then joint for seven: each is worse than the one before, and the
    # first joint one is no number.
    train.train(small_config('jem', evaluate_every=3), tmp_path)
    assert steps_saved(tmp_path, 'best') == [9]


def test_what_later_commands_need_is_kept_where_it_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, uninterrupted: Callable[[str], Path]
) -> None:
    folder = Path(shutil.copytree(uninterrupted('supervised'), tmp_path / 'run'))
    kept: list[int] = []
    monkeypatch.setattr(reference, 'keep', lambda run, state: kept.append(run.step))
    for wanted, steps in ((False, []), (True, [12])):
        train.train(small_config('supervised', evaluate__keep_reference=wanted), folder)
        assert kept == steps
