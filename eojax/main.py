"""`python -m eojax.main --config=configs/NAME.py [--workdir=DIR] [--config.key=value ...]`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import jax
from absl import app, flags, logging
from ml_collections import config_flags

from eojax.config import command_line
from eojax.devices import compilation_cache, processes
from eojax.errors import UserError, one_line_errors
from eojax.runs.run import default_folder

_CONFIG = config_flags.DEFINE_config_file('config', None, 'What to run.', lock_config=True)
_WORKDIR = flags.DEFINE_string('workdir', None, 'Run folder; runs/ and the config name if absent.')
_PATH: list[str] = []


def parse_flags(arguments: Sequence[str]) -> list[str]:
    """Parses the command line; what is wrong with it is one line and exit code 1."""
    with one_line_errors():
        path = command_line.check_arguments(arguments[1:])
        if any(a.lstrip('-') in ('help', 'helpshort', 'helpfull', 'h') for a in arguments[1:]):
            print(command_line.help_text(path))  # absl's own ends with exit code 1
            sys.exit(0)
        if path is not None:
            _PATH.append(path)
        try:
            rest = flags.FLAGS(list(arguments), known_only=False)
        except (flags.Error, AttributeError, KeyError, TypeError, ValueError) as error:
            raise UserError(str(error)) from error
        if len(rest) > 1:
            raise UserError(f'unknown argument {rest[1]!r}')
        if path is None:
            raise UserError('say what to run: --config=configs/NAME.py')
    return rest


def main(arguments: Sequence[str]) -> None:
    """Starts all processes' devices and trains."""
    with one_line_errors():
        logging.set_verbosity(logging.ERROR)  # jax and orbax tell every move they make
        compilation_cache.enable()
        processes.start()
        _check_devices()
        from eojax.training.loop import Stopped, train

        folder = Path(_WORKDIR.value) if _WORKDIR.value else default_folder(_PATH[-1])
        with processes.together():
            try:
                train(_CONFIG.value, folder)
            except Stopped as stopped:
                sys.exit(stopped.exit_code)
            except jax.errors.JaxRuntimeError as error:
                if 'RESOURCE_EXHAUSTED' not in str(error):
                    raise
                raise UserError(
                    'the devices ran out of memory; lower batch_size, evaluate.batch_size,'
                    f' data.size or sampler.buffer_size ({str(error).splitlines()[0][:200]})'
                ) from error


def _check_devices() -> None:
    try:
        jax.devices()
    except RuntimeError as error:
        raise UserError(f'jax finds no devices: {str(error).splitlines()[0]}') from error


if __name__ == '__main__':
    app.run(main, flags_parser=parse_flags)
