"""The training loop: batches, one compiled step, metrics, checkpoints, recovery.

The loop knows phases, streams and a state; it never asks which method it runs. Drawing, augmenting
and the method's step are one program with donated state. The host reads metrics back only at logs,
evaluations and checkpoints; otherwise it stays a few calls ahead of the devices.
"""

from __future__ import annotations

import contextlib
import math
import signal
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
from jax import Array, random
from ml_collections import ConfigDict

from eojax.config.base import check_config
from eojax.devices import sharding
from eojax.errors import UserError
from eojax.evaluation import evaluate, reference
from eojax.messages import say
from eojax.methods import METHODS
from eojax.methods.method import Phase
from eojax.runs import domains, lock
from eojax.runs import run as runs
from eojax.runs.beginning import check_data, write_beginning
from eojax.runs.carry import Carry, begin_phase, initial_carry, phase_at, with_sums
from eojax.runs.checkpoint import Checkpoints
from eojax.runs.lock import Lock
from eojax.runs.opening import checkpoint_folder, load_state, restore_carry
from eojax.runs.run import Run
from eojax.runs.starting import Start, read_start
from eojax.training import recovery, sinks
from eojax.training.calls_ahead import CallsAhead
from eojax.training.profiling import Trace
from eojax.training.progress import Progress
from eojax.training.recovery import Recovery
from eojax.training.sinks import Sinks
from eojax.training.step_program import (
    Interval,
    Programs,
    all_finite,
    compile_phase,
    means,
    order_key,
)
from eojax.training.stopping import Agreement, Stopped, stop_signals


def train(
    config: ConfigDict,
    folder: Path,
    held: Lock | None = None,
    when_checked: Callable[[], object] = lambda: None,
) -> Path:
    """Trains as the config says, from where the folder's last checkpoint is, and evaluates.

    Nothing is written to the folder before all that can be refused has been checked: a run that is
    refused is as it was.

    Args:
      held: the lock of the folder, where the caller holds it already.
      when_checked: called once all has been checked, before anything is written.

    Returns:
      The folder with the evaluation.

    Raises:
      UserError: what a user can mend, a divergence that did not heal, or a full disk.
      Stopped: after SIGTERM or Ctrl-C, with everything saved.
    """
    check_config(config)
    evaluate.check(config)
    new = not folder.exists()
    runs.check_folder(folder, config)
    with contextlib.ExitStack() as stack:
        if new:
            stack.callback(_remove_empty, folder)
        held = stack.enter_context(lock.hold(folder)) if held is None else held
        return _train(config, folder, held, when_checked)


def _remove_empty(folder: Path) -> None:
    """Leaves no folder behind where nothing was written to it: the run was refused."""
    if sharding.is_main_process():
        with contextlib.suppress(OSError):
            folder.rmdir()


def _train(
    config: ConfigDict, folder: Path, held: Lock, when_checked: Callable[[], object]
) -> Path:
    run = runs.prepare(config, folder)
    check_data(run)
    evaluate.check_inputs(run)  # hours before they are used
    if sharding.is_main_process():
        sinks.check(run.config)
    start = None if _has_begun(folder) else read_start(run)
    assert run.domains is not None
    others = runs.others_in(folder)
    when_checked()
    if others:
        more = f' and {len(others) - 1:,} more' if len(others) > 1 else ''
        say(f'{folder} holds {others[0]}{more}; the run is written beside that')
    say(f'{domains.described(run.domains)}; {run.mesh.size} {jax.default_backend()} device(s)')
    run, state = _Loop(run, held, start).run_to_end()
    if run.config.evaluate.checkpoint == 'best':
        run, state = load_state(run)
    held.check()
    done = evaluate.evaluate_run(run, state, folder / 'evaluation')
    if run.config.evaluate.keep_reference:
        held.check()
        reference.keep(run, state)
    return done


def _has_begun(folder: Path) -> bool:
    """Whether a checkpoint is there to go on from."""
    place = checkpoint_folder(folder)
    return place.is_dir() and any(file.name.isdecimal() for file in place.iterdir())


class _Report(NamedTuple):
    """A logging interval that is still to be told."""

    step: int
    interval: Interval
    phase: Phase

    def metrics(self, steps: int, seconds: float) -> dict[str, Any]:
        """The row for the log; waits for the devices to reach the interval's end.

        Args:
          steps, seconds: that were timed: `seconds` without evaluations and checkpoints.
        """
        sums, summed = jax.device_get((self.interval.sums, self.interval.summed))
        speed = steps / seconds if seconds > 0 else 0.0
        images = sum(stream.batch_size for stream in self.phase.streams.values())
        return {
            **means(sums, summed),
            'steps_per_second': speed,
            'images_per_second': images * speed,
            'phase': self.phase.name,
        }


class _Loop:
    """One run of the loop: where it is, and what it writes to."""

    def __init__(self, run: Run, held: Lock, start: Start | None) -> None:
        self.run = run
        self.start = start
        self.lock = held
        self.config = run.config
        self.attempt = 0
        self.diverged_at = -1
        self.rollback: Recovery | None = None  # that a start before this one did not get to tell
        keep, writes = self.config.keep_checkpoints, sharding.is_main_process()
        self.last = Checkpoints(checkpoint_folder(run.folder), keep, clean_up=writes)
        self.best = Checkpoints(checkpoint_folder(run.folder, 'best'), None, clean_up=writes)
        self.best_score: float | None = None
        self.carry: Carry
        self.step = 0
        self.phase = 0
        self.programs: Programs | None = None
        self.calls = CallsAhead()
        self.timed_from = (0.0, 0)
        self.report: _Report | None = None
        self.agreement = Agreement()
        self.trace = Trace(run.folder / 'profile', wanted=self.config.profile)

    @property
    def total(self) -> int:
        return sum(phase.steps for phase in self.run.method.phases)

    @property
    def key(self) -> Array:
        """Of the run: another one after each rollback."""
        key = random.key(self.config.seed, impl=self.config.random)
        key = random.fold_in(key, self.attempt)
        return sharding.place_key(key, self.run.mesh)

    def run_to_end(self) -> tuple[Run, Any]:
        """Trains until the last step; returns the run at that step, and the state."""
        try:
            with stop_signals() as stop:
                self._begin()
                with self._progress() as progress:
                    if self.rollback is not None:
                        progress.write_event(self.step, self._event(self.rollback))
                    while self.step < self.total and not stop:
                        self._stretch(progress, stop)
                    self._tell(progress)
                    self._save()
                    if self.step == self.total:
                        self._keep_bests([])
                    self.last.close()
                    self.best.close()
                if stop:
                    say(f'stopped at step {self.step}, saved; run the command again to go on')
                    raise Stopped(stop[0])
        finally:
            # Also after an error: an orderly end of what is being written, the first error wins.
            self.trace.end()
            self.run.feed.close()
            self._close_quietly()
        return self.run._replace(step=self.step), self.carry.state

    def _close_quietly(self) -> None:
        for checkpoints in (self.last, self.best):
            try:
                checkpoints.close()
            except UserError as error:
                say(str(error))

    def _progress(self) -> Progress:
        first = sharding.is_main_process()
        return Progress(
            self.run.folder,
            self.total,
            self.step,
            tensorboard=self.config.tensorboard,
            silent=not first,
            sinks=Sinks(self.run.folder, self.config) if first and self.config.sinks else None,
        )

    def _begin(self) -> None:
        steps = self.last.steps()
        if steps:
            self._restore(steps[-1])
            rollback = recovery.read(self.run.folder)
            write_beginning(self.run)
            if rollback.attempt > self.attempt:  # it was stopped before its next checkpoint
                # Where somebody has deleted that checkpoint, the one before it.
                step = max((s for s in steps if s <= rollback.step), default=steps[0])
                self.rollback = rollback
                self._roll_back(rollback._replace(step=step))
            else:
                self._forget_later_bests()
            if self.step < self.total:
                say(f'resuming at step {self.step} of {self.total}')
            return
        start = self.start
        if start is None:
            self.carry = initial_carry(self.run, self.key)
        else:
            self.carry = initial_carry(self.run, self.key, start.into)
        write_beginning(self.run)
        if start is not None:
            start.write(self.run.folder)
            self.start = None  # a copy of the weights less in memory
        # Of a former training, whose checkpoints somebody has deleted.
        self._forget_later_bests()
        if sharding.is_main_process():
            recovery.forget(self.run.folder)
        self._save()

    def _restore(self, step: int) -> None:
        carry, meta = restore_carry(self.run, self.last, step)
        self.carry, self.step = carry, step
        self.phase = phase_at(self.run, step)[0]
        self.best_score = meta['best_score']
        self.diverged_at = meta.get('diverged_at', -1)
        if meta['attempt'] != self.attempt:
            self._set_attempt(meta['attempt'])

    def _set_attempt(self, attempt: int) -> None:
        """Another key, and a learning rate lower by the configured factor for each attempt."""
        self.attempt = attempt
        self.run = runs.rebuilt(
            self.run._replace(config=self.config), self.config.recovery.rate_factor**attempt
        )
        self.programs = None

    def _save(self) -> None:
        self.lock.check()
        self.last.wait()
        self._keep_bests(self.last.steps())
        meta = {
            'attempt': self.attempt,
            'diverged_at': self.diverged_at,
            'best_score': self.best_score,
        }
        self.last.save(self.step, self.carry, meta)

    def _stretch(self, progress: Progress, stop: list[int]) -> None:
        """Steps up to the next thing that the host has to do, and that thing."""
        phase_end = phase_at(self.run, self.step)[1]
        end = min(
            phase_end,
            *(
                (self.step // every + 1) * every
                for every in (
                    self.config.log_every,
                    self.config.checkpoint_every,
                    self.config.evaluate_every or self.total,
                )
            ),
        )
        if self.programs is None:
            self._compile()
        self._steps(end, progress, stop)
        self.lock.check()
        # Told one interval late: by now the devices have long finished it, and nobody waits.
        if not self._tell(progress):
            return
        logs = self.step % self.config.log_every == 0 or self.step == phase_end
        saves = self.step % self.config.checkpoint_every == 0 or self.step == phase_end
        if self.step == end and not (saves or self._evaluates()):
            self.report = self._end_interval()
            return
        self.calls.watch()
        paused = self.calls.reached()  # from here on nothing is timed
        if not (bool(self.carry.healthy) and bool(all_finite(self.carry.state))):
            self._recover(progress, self.step)
            return
        if self.step < end:  # asked to stop on the way: nothing is due here
            return
        metrics = self._row(self._end_interval()) if logs else {}
        if self._evaluates():
            metrics |= self._validate(progress)
        if metrics:
            progress.write(self.step, metrics)
        if self.step == phase_end and self.step < self.total:
            self._next_phase()
        if saves:
            self._save()
        begun, done = self.timed_from
        self.timed_from = (begun + time.perf_counter() - paused, done)

    def _steps(self, end: int, progress: Progress, stop: list[int]) -> None:
        programs = self.programs
        assert programs is not None
        key, each = self.key, programs.steps_per_call
        streams, order = self.run.method.phases[self.phase].streams, order_key(key)
        while self.step < end and not stop:
            if self.agreement.reached():
                stop.append(signal.SIGTERM)
                break
            many = end - self.step >= each
            with jax.profiler.StepTraceAnnotation('train', step_num=self.step):
                program = programs.many if many else programs.one
                feed = self.run.feed.feed(streams, order, self.step)
                self.carry, ticket = program(self.carry, feed, key)
            self.step += each if many else 1
            self.calls.add(ticket, self.step)
            self.trace.at_call(ticket)
            progress.at(self.step)

    def _compile(self) -> None:
        phase = self.run.method.phases[self.phase]
        self.carry = with_sums(self.run, self.phase, self.carry)
        self.programs = compile_phase(self.run, phase, self.carry, self.key)
        say(f'compiled the {phase.name} step in {self.programs.seconds:.1f} s')
        self.timed_from = (time.perf_counter(), self.step)
        self.trace.begin_phase(phase.name)

    def _next_phase(self) -> None:
        self.phase += 1
        self.best_score = None  # a later phase may be another model: its best is its own
        self.carry = begin_phase(self.run, self.phase, self.carry)
        self.programs = None

    def _end_interval(self) -> _Report:
        """The numbers of the interval up to here; the sums begin anew."""
        assert self.programs is not None
        self.carry, interval = self.programs.interval(self.carry)
        self.calls.watch()
        return _Report(self.step, interval, self.run.method.phases[self.phase])

    def _row(self, report: _Report) -> dict[str, Any]:
        """The row of an interval, which ends where the next one begins."""
        begun, done = self.timed_from
        self.timed_from = ended, step = self.calls.reached(), report.step
        return report.metrics(step - done, ended - begun)

    def _tell(self, progress: Progress) -> bool:
        """Writes the row of the interval before; false where it diverged and the run went back."""
        report, self.report = self.report, None
        if report is None:
            return True
        if not bool(report.interval.healthy):
            self._recover(progress, report.step)
            return False
        progress.write(report.step, self._row(report))
        return True

    def _evaluates(self) -> bool:
        every = self.config.evaluate_every
        return self.step == self.total or bool(every and self.step % every == 0)

    def _validate(self, progress: Progress) -> dict[str, Any]:
        """Validation metrics, the best checkpoint, and a picture of the samples."""
        run = self.run._replace(step=self.step)
        metrics = evaluate.validate(run, self.carry.state)
        name = run.method.score
        score = metrics.get(f'validation_{name}')
        if score is not None and not math.isfinite(score):
            score = None  # no later one would be above NaN
        if score is not None and (self.best_score is None or score > self.best_score):
            self.best_score = score
            self.best.save(self.step, self.carry, {name: score})
        picture = evaluate.sample_picture(run, self.carry.state)
        if picture is not None:
            progress.picture(self.step, 'samples', picture)
        return metrics

    def _keep_bests(self, checkpoints: Sequence[int]) -> None:
        """Keeps the best state, and those that were the best one at these checkpoints.

        The run may go back to one of them: the best state is then the one that was the best there.
        """
        bests = self.best.steps()
        kept = {
            max((best for best in bests if best <= step), default=None)
            for step in (*checkpoints, self.step)
        }
        for best in bests:
            if best not in kept:
                self.best.delete(best)

    def _forget_later_bests(self) -> None:
        """Deletes best states of a stretch that is done again, by another way it may be."""
        for best in self.best.steps():
            if best > self.step:
                self.best.delete(best)
        if not self.best.steps():
            self.best_score = None  # where the state of that score is gone, the next one is best

    def _recover(self, progress: Progress, failed: int) -> None:
        """Back to a good checkpoint with another key and a lower rate, or the end of the run."""
        options, self.report = self.config.recovery, None
        self.calls.forget()
        attempt = self.attempt + 1
        if attempt > options.tries:
            raise UserError(
                f'training diverged at step {failed} and {options.tries} restart(s) did not help;'
                f' {METHODS[self.config.method.name].advice}, in a new --workdir.'
                f' The last good checkpoint is in {checkpoint_folder(self.run.folder)}'
            )
        steps = self._regular_checkpoints()
        # The newest checkpoint may be ill already: a second divergence goes further back.
        again = self.diverged_at >= 0 and failed <= self.diverged_at + self.config.checkpoint_every
        step = steps[-2] if again and len(steps) > 1 else steps[-1]
        rollback = Recovery(attempt, failed, step)
        if sharding.is_main_process():
            recovery.write(self.run.folder, rollback)
        event = self._event(rollback)
        progress.rewind(step)
        progress.write_event(step, event)
        self._roll_back(rollback)
        say(
            f'training diverged before step {failed}: back to step {self.step},'
            f' learning rate times {event["rate"]:g} (try {attempt} of {options.tries})'
        )

    def _event(self, rollback: Recovery) -> dict[str, Any]:
        """What the log says of a rollback."""
        rate = self.config.recovery.rate_factor**rollback.attempt
        return {'event': 'diverged', 'at': rollback.diverged_at, 'rate': rate}

    def _regular_checkpoints(self) -> list[int]:
        """The steps that a run without interruptions would have saved, if there are any left.

        To go back to where a signal stopped the run would make the result depend on the signal.
        """
        steps, every = self.last.steps(), self.config.checkpoint_every
        ends = {phase_at(self.run, max(step - 1, 0))[1] for step in steps}
        return [step for step in steps if step % every == 0 or step in ends] or steps

    def _roll_back(self, rollback: Recovery) -> None:
        for step in self.last.steps():
            if step > rollback.step:
                self.last.delete(step)
        self._restore(rollback.step)
        self._forget_later_bests()
        self.diverged_at = rollback.diverged_at
        self._set_attempt(rollback.attempt)
