"""One run of a grid, in a process of its own; `eojax.studies.grid.runner` starts it.

    python -m eojax.studies.grid.process --config=CONFIG.json --workdir=RUN \\
        [--measure | --embed | --synthesise]

It trains, or goes on, and evaluates as `eojax.main` does, and adds to the run's folder
`provenance.json` (`eojax.studies.grid.run_record`) and `evaluation/reliability.json`: the object
that `eojax.apps.calibration` describes, without its `workdir`. With `--measure`, only the latter;
with `--embed`, only `evaluation/embeddings.npz` (`eojax.evaluation.embeddings`); with
`--synthesise`, only `synthesised/` (`eojax.evaluation.synthesis.training_images`). Where the
process that started it is gone, which is where its standard input ends, it saves and stops.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import jax
from absl import logging
from ml_collections import ConfigDict

from eojax.atomic_file import write_atomically
from eojax.command_parser import CommandParser
from eojax.config.base import from_json
from eojax.devices import compilation_cache, sharding
from eojax.errors import UserError, one_line_errors
from eojax.evaluation.calibration import calibration_numbers, measure
from eojax.evaluation.embeddings import embeddings_file, measure_embeddings
from eojax.evaluation.synthesis.training_images import write_training_images
from eojax.methods import METHODS
from eojax.runs import lock
from eojax.runs import run as runs
from eojax.runs.command import open_trained
from eojax.studies.grid import run_record
from eojax.training.loop import Stopped, train


def reliability_file(folder: Path) -> Path:
    """Where the calibration of a run's evaluated state on its test split is kept."""
    return folder / 'evaluation' / 'reliability.json'


def train_and_measure(config: ConfigDict, folder: Path) -> None:
    """Trains or resumes a run, and notes in its folder what it took and why it failed if it did.

    Raises:
      UserError, Stopped: see `eojax.training.loop.train`.
    """
    runs.check_folder(folder, config)
    with lock.hold(folder) as held:  # else a second process would note its refusal as the run's end
        start, error, begun = time.perf_counter(), None, False

        def begin() -> None:
            nonlocal begun
            run_record.begin(folder)
            begun = True
            # What was measured of an earlier state, or otherwise, is nobody's if this run is ended.
            for file in (folder / 'evaluation' / 'evaluation.json', embeddings_file(folder)):
                file.unlink(missing_ok=True)

        try:
            train(config, folder, held, begin)
            measure_reliability(folder)
        except Stopped:
            raise
        except Exception as mistake:
            error = _one_line(mistake)
            raise
        finally:
            if begun:
                run_record.end(folder, time.perf_counter() - start, error)
            elif error is not None:
                run_record.refuse(folder, error)


def measure_reliability(folder: Path) -> None:
    """Writes `reliability.json` of a trained run; nothing for a method that does not classify."""
    if 'logits' not in METHODS[from_json(folder / 'config.json').method.name].abilities:
        return
    run, state = open_trained(folder)
    text = json.dumps(calibration_numbers(measure(run, state)), allow_nan=False) + '\n'
    if sharding.is_main_process():
        file = reliability_file(folder)
        file.parent.mkdir(exist_ok=True)
        write_atomically(file, lambda out: out.write(text.encode()))


def _one_line(error: BaseException) -> str:
    message = ' '.join(str(error).split())[:500]
    if isinstance(error, (UserError, OSError)):
        return message
    return f'{type(error).__name__}: {message}'


def main() -> None:
    """The process: it also listens for the end of the one that started it."""
    # Until training listens, and while the run is evaluated, an interrupt ends without a word: what
    # is saved stays, and who started this process tells of it.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    threading.Thread(target=stop_when_alone, args=(0,), daemon=True).start()
    work()


def work(arguments: Sequence[str] | None = None) -> None:
    """The command line; what ends the run ends in one line and an exit code."""
    parser = CommandParser(prog='python -m eojax.studies.grid.process')
    parser.add_argument('--config', type=Path, required=True, help='as config.json in a run folder')
    parser.add_argument('--workdir', type=Path, required=True, help='folder of the run')
    parser.add_argument('--measure', action='store_true', help='calibration only, of a trained run')
    parser.add_argument('--embed', action='store_true', help='embeddings only, likewise')
    parser.add_argument('--synthesise', action='store_true', help='images of other training places')
    options = parser.parse_args(arguments)
    with one_line_errors():
        logging.set_verbosity(logging.ERROR)
        compilation_cache.enable()
        try:
            _check_devices()
            if options.measure:
                measure_reliability(options.workdir)
            elif options.embed:
                measure_embeddings(options.workdir)
            elif options.synthesise:
                write_training_images(options.workdir)
            else:
                train_and_measure(from_json(options.config), options.workdir)
        except Stopped as stopped:
            sys.exit(stopped.exit_code)
        except jax.errors.JaxRuntimeError as error:
            raise UserError(_one_line(error)) from error


def _check_devices() -> None:
    try:
        jax.devices()
    except RuntimeError as error:
        raise UserError(f'jax finds no devices: {str(error).splitlines()[0]}') from error


def stop_when_alone(pipe: int) -> None:
    """Ends this process in an orderly way once nobody holds the other end of the pipe."""
    while os.read(pipe, 4096):
        pass
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == '__main__':
    main()
