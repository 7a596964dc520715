"""Many runs, one after the other or some at once, each in a process and a folder of its own.

A run that is finished is left alone, one that was stopped goes on, one that fails is told of in its
row while the grid goes on with the others. A process for each run gives all memory back, and a
crash ends one run and not the grid. This process itself computes nothing on the devices, which are
the run's alone.

Usage::

    cells = [Cell(folder, config, {'config': 'jem_eurosat', 'seed': 0}), ...]
    check(cells)
    ended = run_grid(cells, after_each=write_table)
    finish(ended)
"""

from __future__ import annotations

import functools
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, NamedTuple

from eojax.config.base import to_json
from eojax.messages import counted, say
from eojax.runs import lock
from eojax.studies.grid import run_record
from eojax.studies.grid.cells import Cell, Row, is_finished, rows_of, to_evaluate
from eojax.studies.grid.process import reliability_file
from eojax.training.stopping import handled, leave_terminal


class Ended(NamedTuple):
    """How a grid ended.

    Attributes:
      rows: see `rows_of`.
      stopped: the number of the signal that stopped it; 0 where all cells had their turn.
    """

    rows: list[Row]
    stopped: int


# Their numbers above 128 are the exit codes of a run that saved and stopped.
_STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Listener:
    """Hears SIGINT, SIGTERM and SIGHUP, and tells the processes of the current runs.

    Attributes:
      got: the first signal's number; 0 before it.
    """

    def __init__(self) -> None:
        self.got = 0
        self._processes: list[subprocess.Popen[bytes]] = []

    def __call__(self, number: int, frame: FrameType | None) -> None:
        self.got = self.got or number
        if number == signal.SIGHUP:
            leave_terminal()
        self.tell()

    def tell(self) -> None:
        """The first time the run saves and stops, the second time it ends at once.

        Always by SIGINT: a scheduler sends SIGTERM to the run's process as well, and training takes
        a second signal of the same kind for impatience.
        """
        for process in list(self._processes):
            process.send_signal(signal.SIGINT)

    def watch(self, process: subprocess.Popen[bytes]) -> int:
        """The exit code of a run's process, which hears until then what is heard here."""
        self._processes.append(process)
        try:
            if self.got:  # before there was a process to tell
                process.send_signal(signal.SIGINT)
            return process.wait()
        finally:
            self._processes.remove(process)


_PROCESS = (sys.executable, '-m', 'eojax.studies.grid.process')
# Runs `eojax.studies.grid.process` with these arguments and returns its exit code.
Start = Callable[[Sequence[str], Listener], int]


def start_process(arguments: Sequence[str], listener: Listener) -> int:
    """The `Start` of everyday: a process in a session of its own, so that only we interrupt it."""
    # Its standard input ends where this process does, however that ends.
    with subprocess.Popen(
        [*_PROCESS, *arguments], stdin=subprocess.PIPE, start_new_session=True
    ) as process:
        return listener.watch(process)


def start_beside_others(arguments: Sequence[str], listener: Listener) -> int:
    """As `start_process`, for several at once: what it prints goes to `output.txt` of the run.

    Accelerators have memory for the others too: none takes most of it at its start.
    """
    (workdir,) = (text.partition('=')[2] for text in arguments if text.startswith('--workdir='))
    folder = Path(workdir)
    folder.mkdir(parents=True, exist_ok=True)
    with (
        open(folder / 'output.txt', 'ab') as output,
        subprocess.Popen(
            [*_PROCESS, *arguments],
            stdin=subprocess.PIPE,
            stdout=output,
            stderr=output,
            env={'XLA_PYTHON_CLIENT_PREALLOCATE': 'false', **os.environ},
            start_new_session=True,
        ) as process,
    ):
        return listener.watch(process)


def run_grid(
    cells: Sequence[Cell],
    after_each: Callable[[list[Row]], object] = lambda rows: None,
    start: Start = start_process,
    jobs: int = 1,
) -> Ended:
    """Runs or resumes every cell that is not finished, in order; they are checked (`check`).

    Args:
      after_each: called with the rows so far whenever a run has ended.
      start: how a run is started.
      jobs: how many run at once.
    """
    finished = sum(map(is_finished, cells))
    if finished:
        say(f'{finished} of {len(cells)} runs are finished already')
    again = [(cell, reason) for cell in cells if (reason := to_evaluate(cell))]
    if again:
        cell, reason = again[0]
        say(f'{counted(len(again), "run")} to evaluate anew, such as {cell}: {reason}')
    with _listening() as listener:
        turns = _turns(cells, jobs)
        each = functools.partial(_run, listener=listener, start=start)
        run_them = _one_by_one if jobs == 1 else functools.partial(_together, jobs, listener)
        stopped = run_them(turns, each, lambda: after_each(rows_of(cells)))
    if stopped:
        say('the grid is stopped; run the command again to go on')
    return Ended(rows_of(cells), stopped)


def _turns(cells: Sequence[Cell], jobs: int) -> Iterator[Cell]:
    """The cells that are not finished, each announced when its turn comes."""
    for number, cell in enumerate(cells):
        if is_finished(cell):
            continue
        rest = [c for c in cells[number:] if not is_finished(c)]
        say(f'run {number + 1} of {len(cells)}: {cell}{_estimate(rest, cells, jobs)}')
        yield cell


def _one_by_one(
    turns: Iterator[Cell], run: Callable[[Cell], int], after_each: Callable[[], object]
) -> int:
    """Runs cells in this thread; returns the number of the signal that stopped one, or 0."""
    for cell in turns:
        stopped = run(cell)
        after_each()
        if stopped:
            return stopped
    return 0


def _together(
    jobs: int,
    listener: Listener,
    turns: Iterator[Cell],
    run: Callable[[Cell], int],
    after_each: Callable[[], object],
) -> int:
    """As `_one_by_one`, so many at once; what has begun is waited for."""
    stopped, running = 0, set[Future[int]]()
    with ThreadPoolExecutor(jobs) as pool:
        try:
            while True:
                while len(running) < jobs and not (stopped or listener.got):
                    cell = next(turns, None)
                    if cell is None:
                        break
                    running.add(pool.submit(run, cell))
                if not running:
                    return stopped or listener.got
                ended, running = wait(running, return_when=FIRST_COMPLETED)
                stopped = stopped or max(one.result() for one in ended)
                after_each()
        except BaseException:
            listener.tell()  # else the error would wait for the ends of all runs
            raise


def _run(cell: Cell, listener: Listener, start: Start) -> int:
    """One run; returns the number of the signal that stopped it, or 0."""
    begun = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix='eojax-') as place:
        config = Path(place) / 'config.json'
        config.write_text(to_json(cell.config), encoding='utf-8')
        code = start([f'--config={config}', f'--workdir={cell.folder}'], listener)
    stopped = listener.got
    if not stopped and code - 128 in _STOPPING:  # it alone was stopped
        stopped = code - 128
    held = lock.held_by_another(cell.folder) if code == 1 else ''  # the code of what is refused
    if held:  # its record is that of another command, which goes on writing it
        say(f'this run is left to another process: {cell}: {held}')
        return stopped
    record = run_record.read(cell.folder)
    silent = not record.parts or not record.parts[-1]['seconds']
    error = record.error
    if not (stopped or error or is_finished(cell)):
        error = _cause(code)
    if silent or error != record.error:
        cell.folder.mkdir(parents=True, exist_ok=True)
        run_record.end(cell.folder, time.perf_counter() - begun, error)
    if error:
        say(f'this run failed: {cell}: {error}')
    return stopped


def _cause(code: int) -> str:
    if code < 0:
        return f'the process of the run ended by {signal.Signals(-code).name}'
    return f'the process of the run ended with exit code {code} and no result'


def measure_calibration(folders: Iterable[Path], start: Start = start_process) -> int:
    """Measures the calibration of trained runs that `reliability.json` is missing from.

    Returns:
      See `measure`.
    """
    return measure(folders, 'calibration', '--measure', reliability_file, start)


def measure(
    folders: Iterable[Path],
    what: str,
    option: str,
    file_of: Callable[[Path], Path],
    start: Start = start_process,
) -> int:
    """Measures something of those trained runs whose file of it is missing.

    Args:
      what: it is, for people.
      option: of the run's process, which measures it.
      file_of: the file in a run's folder.

    Returns:
      The number of the signal that stopped it; 0 where it came to the end.
    """
    with _listening() as listener:
        for folder in folders:
            if file_of(folder).exists():
                continue
            say(f'measuring the {what} of {folder}')
            config = folder / 'config.json'
            code = start([f'--config={config}', f'--workdir={folder}', option], listener)
            if listener.got:
                return listener.got
            if code:
                say(f'the {what} of {folder} is left out: {_cause(code)}')
    return 0


@contextmanager
def _listening() -> Iterator[Listener]:
    listener = Listener()
    numbers = [signal.SIGTERM, signal.SIGINT]
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # as under nohup
        numbers.append(signal.SIGHUP)
    with handled(dict.fromkeys(numbers, listener), {}):
        yield listener


def finish(ended: Ended) -> None:
    """Ends the command as its grid ended.

    Raises:
      SystemExit: 128 and the signal's number where it was stopped; 1 where runs failed, after a
        line for each.
    """
    failed = [row for row in ended.rows if row['error'] is not None]
    for row in failed:
        print(f'eojax: {row["folder"]}: {row["error"]}', file=sys.stderr)
    if ended.stopped or failed:
        raise SystemExit(128 + ended.stopped if ended.stopped else 1)


def _estimate(rest: Sequence[Cell], cells: Sequence[Cell], jobs: int = 1) -> str:
    """How long the unfinished runs will take, by those that are finished; empty without any."""
    known: dict[Any, list[float]] = {}
    for cell in cells:
        seconds = run_record.read(cell.folder).facts()['seconds']
        if seconds and is_finished(cell):
            known.setdefault(cell.labels.get('config'), []).append(seconds)
    if not known:
        return ''
    every = [seconds for found in known.values() for seconds in found]
    total = 0.0
    for cell in rest:
        like = known.get(cell.labels.get('config'), every)
        total += sum(like) / len(like)
    return f'; about {duration(total / min(jobs, len(rest)))} left'


def duration(seconds: float) -> str:
    """`40 s`, `5 min`, `2 h 10 min` or `3 d 4 h`."""
    minutes = round(seconds / 60)
    if minutes < 2:
        return f'{seconds:.0f} s'
    if minutes < 60:
        return f'{minutes} min'
    hours = round(minutes / 60)
    if minutes < 48 * 60:
        return f'{minutes // 60} h {minutes % 60} min'
    return f'{hours // 24} d {hours % 24} h'
