"""`python -m eojax.main --config=configs/NAME.py [--workdir=DIR] [--config.key=value ...]`.

With `--method`, `--model`, `--data` and `--source`, other parts stand in place of the config's, or
make a config by themselves (`eojax.config.swap`).
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

import jax
from absl import app, flags, logging

from eojax.config.command_line import Typed, help_text, read_arguments
from eojax.devices import compilation_cache, processes, sharding
from eojax.errors import UserError, one_line_errors
from eojax.home import expanded
from eojax.messages import say
from eojax.runs.run import default_folder

_WORKDIR = flags.DEFINE_string('workdir', None, 'Run folder; runs/ and the config name if absent.')
_TYPED: list[Typed] = []


def parse_flags(arguments: Sequence[str]) -> list[str]:
    """Parses the command line; what is wrong with it is one line and exit code 1."""
    with one_line_errors():
        typed = read_arguments(arguments[1:])
        if any(a.lstrip('-') in ('help', 'helpshort', 'helpfull', 'h') for a in typed.rest):
            print(help_text(typed.config))  # absl's own ends with exit code 1
            sys.exit(0)
        try:
            rest = flags.FLAGS([arguments[0], *typed.rest], known_only=False)
        except (flags.Error, AttributeError, KeyError, TypeError, ValueError) as error:
            raise UserError(str(error)) from error
        if len(rest) > 1:
            raise UserError(f'unknown argument {rest[1]!r}')
        if typed.config is None:
            raise UserError(
                'say what to run: --config=configs/NAME.py, or --method=NAME and --data=NAME'
            )
        _TYPED.append(typed)
    return rest


def main(arguments: Sequence[str]) -> None:
    """Starts all processes' devices and trains."""
    with one_line_errors():
        logging.set_verbosity(logging.ERROR)  # jax and orbax tell every move they make
        compilation_cache.enable()
        processes.start()
        _check_devices()
        from eojax.training.loop import Stopped, train

        typed = _TYPED[-1]
        assert typed.config is not None
        folder = expanded(_WORKDIR.value) if _WORKDIR.value else default_folder(typed.name)
        if sharding.is_main_process():
            for note in typed.notes:
                say(note)
        with processes.together():
            try:
                train(typed.config, folder)
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


def command(arguments: Sequence[str] | None = None) -> None:
    """The command line.

    Args:
      arguments: without the program's name; those of the process where None.
    """
    argv = sys.argv if arguments is None else [sys.argv[0], *arguments]
    app.run(main, argv=argv, flags_parser=parse_flags)


if __name__ == '__main__':
    command()
