"""Ten minutes of one accelerator: all that is worth knowing of it, in order of worth.

    python -m benchmarks.accelerator --out=benchmarks/results [--minutes=10] [--eurosat=EuroSAT.zip]
    python -m benchmarks.accelerator --plan      # what it would run, and nothing else

Each task is a process of its own with what is left of the time, and writes its own record; one that
fails or does not end in time is said at the end and keeps none of the others from running:

1. tiny steps of FixMatch and JEM compute on the accelerator what they compute on the CPU (all
   methods: `benchmarks.agreement`);
2. the suite of `benchmarks.run` against the PyTorch peers, one entry after the other, with the
   memory that each took (predicted: `benchmarks.compile_for`);
3. a short training of `configs/jem_eurosat.py` in bfloat16, evaluated, with samples; on drawn
   landscapes where EuroSAT is not at hand.

`pip install -r benchmarks/requirements.txt` adds the peers.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime
import math
import os
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import IO, NamedTuple

from benchmarks.suites import suites
from eojax.config.shipped import config_file
from eojax.errors import UserError, one_line_errors, unknown_name

ENTRIES = ('jem', 'fixmatch', 'swd_transfer', 'image_synthesis', 'segmentation', 'seg_jem')
CONFIG, STEPS = 'configs/jem_eurosat.py', 600
_ROUNDS = 3
# Of these the steps have most that accelerators do in other ways; all methods take minutes.
_COMPARED = 'fixmatch,jem'


class Task(NamedTuple):
    """A process of the plan.

    Attributes:
      name: for the summary and the name of its log.
      command: without the interpreter.
      at_least: seconds below which it is not begun.
    """

    name: str
    command: tuple[str, ...]
    at_least: int = 20


class Outcome(NamedTuple):
    """How a task ended.

    Attributes:
      name: of the task.
      result: `done`, `failed`, `out of time` or `not begun`.
      seconds: it took.
    """

    name: str
    result: str
    seconds: float


def plan(
    out: Path, eurosat: str = '', suite: str = 'gpu', config: str = CONFIG, steps: int = STEPS
) -> list[Task]:
    """The tasks, the most telling first."""
    today = datetime.date.today().isoformat()
    tasks = [Task('agreement', ('-m', 'benchmarks.agreement', f'--method={_COMPARED}'))]
    for entry in ENTRIES:
        file = out / f'suite_{entry}_accelerator_{today}.json'
        tasks.append(
            Task(
                f'suite {entry}',
                ('-m', 'benchmarks.run', f'--suite={suite}', f'--only={entry}',
                 f'--repeats={_ROUNDS}', f'--out={file}'),
                60,
            )
        )  # fmt: skip
    root = (f'--config.data.root={eurosat}',) if eurosat else ()
    data = ('--data=eurosat' if eurosat else '--data=landscapes', *root)
    name = Path(config).stem
    training = Task(
        'training',
        ('-m', 'benchmarks.record', f'--out={out / f"{name}_accelerator_{today}.json"}',
         '--notes', f'{steps} of the recipe\'s steps', '--', sys.executable, '-m', 'eojax.main',
         f'--config={config}', f'--workdir={out / f"{name}_accelerator"}',
         f'--config.steps={steps}', *data),
        120,
    )  # fmt: skip
    # Before what is less worth than it.
    tasks.insert(4, training)
    return tasks


def run(tasks: Sequence[Task], logs: Path, seconds: float) -> list[Outcome]:
    """Runs tasks one after the other until the time is up.

    Args:
      logs: folder for what each prints.
    """
    end, outcomes = time.monotonic() + seconds, []
    for task in tasks:
        left = end - time.monotonic()
        if left < task.at_least:
            outcomes.append(Outcome(task.name, 'not begun', 0.0))
            continue
        begun = time.monotonic()
        print(f'{task.name}: at most {left:.0f} s', flush=True)
        with (logs / f'{task.name.replace(" ", "_")}.log').open('w') as log:
            code = _exit_code([sys.executable, *task.command], log, left)
            result = 'done' if code == 0 else f'failed with exit code {code}'
            result = 'out of time' if code is None else result
        outcomes.append(Outcome(task.name, result, time.monotonic() - begun))
        print(f'{task.name}: {result}, {outcomes[-1].seconds:.0f} s', flush=True)
    return outcomes


def _exit_code(command: Sequence[str], log: IO[str], seconds: float) -> int | None:
    """Of a process; None where it did not end in time.

    What it started ends with it, however it ends: a training that goes on would hold the card and
    slow down what is measured next.
    """
    process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
    try:
        return process.wait(seconds)
    except subprocess.TimeoutExpired:
        return None
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def _check(options: argparse.Namespace) -> None:
    """Refuses what would fail after minutes of a card."""
    config_file(options.config)
    # Without asking jax, which would take the card for this process.
    known = suites()
    if options.suite not in known:
        raise unknown_name('suite', options.suite, known)
    if options.steps < 1:
        raise UserError(f'--steps must be at least 1, not {options.steps}')
    if not 0 < options.minutes < math.inf:
        raise UserError(f'--minutes must be positive, not {options.minutes:g}')
    archive = Path(options.eurosat)
    if options.eurosat and not archive.exists():
        raise UserError(f'--eurosat {archive}: there is no such archive or folder')
    if options.eurosat and archive.is_file() and not zipfile.is_zipfile(archive):
        raise UserError(f'--eurosat {archive} is no whole zip archive: was its download cut off?')


def _folder(out: Path, tasks: Sequence[Task]) -> None:
    """Makes the folder of the records, which no earlier training may lie in."""
    out.mkdir(parents=True, exist_ok=True)
    if not os.access(out, os.W_OK | os.X_OK):
        raise UserError(f'--out {out} is not writable')
    for word in (word for task in tasks for word in task.command):
        name, _, folder = word.partition('=')
        if name == '--workdir' and Path(folder).exists():
            raise UserError(f'{folder} is there from before: move it away, or name another --out')


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the plan, and ends with exit code 1 where a task failed."""
    parser = argparse.ArgumentParser(
        prog='python -m benchmarks.accelerator',
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument('--out', type=Path, default=Path('accelerator'), help='folder of records')
    parser.add_argument('--minutes', type=float, default=10.0, help='for all tasks together')
    parser.add_argument('--eurosat', default='', help='the archive or folder; else drawn images')
    parser.add_argument('--suite', default='gpu', help='gpu, or cpu to try this without one')
    parser.add_argument('--config', default=CONFIG, help='of the training: a file or a name')
    parser.add_argument('--steps', type=int, default=STEPS, help='of the training')
    parser.add_argument('--plan', action='store_true', help='print the commands and end')
    options = parser.parse_args(arguments)
    with one_line_errors():
        # Before anything is planned: minutes of a card should not end at a mistyped name.
        _check(options)
        tasks = plan(options.out, options.eurosat, options.suite, options.config, options.steps)
        if options.plan:
            for task in tasks:
                print(f'{task.name}: python {" ".join(task.command)}')
            return
        _folder(options.out, tasks)
        outcomes = run(tasks, options.out, 60.0 * options.minutes)
        bad = [one for one in outcomes if one.result not in ('done', 'not begun')]
        for one in outcomes:
            print(f'{one.name}: {one.result}')
        if all(one.result == 'not begun' for one in outcomes):
            raise UserError(f'--minutes={options.minutes:g} is too little for any task')
        if bad:
            raise UserError(
                f'{len(bad)} of {len(outcomes)} tasks did not end well; what they printed is in'
                f' {options.out}/*.log'
            )


if __name__ == '__main__':
    main()
