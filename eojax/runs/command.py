"""The common part of the commands of `eojax.apps`: which run, where to write, how they start.

A command makes its parser by `run_parser`, and ends in `run_command(parser, check, work)`: the
options are checked before anything is read, a mistake ends in one line, and the processes of a
command that has several of them stay together.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from eojax.command_parser import CommandParser
from eojax.config.base import from_json, set_key
from eojax.devices import compilation_cache, processes
from eojax.errors import UserError, one_line_errors
from eojax.home import expand_paths
from eojax.program_name import program_name
from eojax.runs.opening import load_state, open_untrained
from eojax.runs.run import Run
from eojax.weights.unpacked import WORKDIR_HELP, run_folder


def run_parser(
    name: str, description: str, example: str, out: bool = True, several: bool = False
) -> argparse.ArgumentParser:
    """The parser of `python -m eojax.apps.NAME` with the options that name a run.

    Args:
      name: of the module.
      description: what the command does, in a sentence.
      example: the arguments of an example.
      out: whether the command writes to a folder that has to be named, `--out`.
      several: whether `--workdir` may be repeated; it is a list then.
    """
    called = program_name(f'eojax.apps.{name}')
    parser = CommandParser(
        prog=called,
        description=description,
        epilog=f'example: {called} {example}',
    )
    if several:
        parser.add_argument(
            '--workdir', type=Path, required=True, action='append', help=f'{WORKDIR_HELP}; repeat'
        )
    else:
        parser.add_argument('--workdir', type=Path, required=True, help=WORKDIR_HELP)
    if out:
        parser.add_argument('--out', type=Path, required=True, help='folder to write to')
    parser.add_argument('--checkpoint', choices=('last', 'best'), help="else as the run's config")
    parser.add_argument('--data_root', default='', help="where the run's own data set lies now")
    parser.add_argument(
        '--class_folders', default='', metavar='FOLDER=CLASS,...',
        help="class folders that have other names than the run's classes",
    )  # fmt: skip
    return parser


def run_command(
    parser: argparse.ArgumentParser,
    arguments: Sequence[str] | None,
    check: Callable[[argparse.Namespace], None],
    work: Callable[[argparse.Namespace], None],
) -> None:
    """Parses, checks and works; a mistake of the user's ends in one line and exit code 1.

    Args:
      arguments: the command line without the program's name; `sys.argv` where None.
      check: of the options alone, before jax starts; raises `UserError`.
      work: what the command does; all processes of it call it together.
    """
    options = parser.parse_args(arguments)
    with one_line_errors():
        expand_paths(options)
        check(options)
        compilation_cache.enable()
        processes.start()
        with processes.together():
            work(options)


def open_folder_for_writing(folder: Path, option: str = '--out') -> None:
    """Makes the folder, and tries whether a file can be written to it.

    Raises:
      UserError: it cannot; the message names the option.
    """
    if folder.exists() and not folder.is_dir():
        raise UserError(f'{option}={folder} cannot be written to: it is a file; name a folder')
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        raise UserError(f'{option}={folder} cannot be written to: {error.strerror}') from None


def check_seed(seed: int, option: str = '--seed') -> None:
    """Refuses a seed that a key of JAX does not hold: it would be another one, or none.

    Raises:
      UserError: negative, or 2^32 and more.
    """
    if not 0 <= seed < 2**32:
        raise UserError(f'{option} must lie between 0 and {2**32 - 1}, not {seed}')


def read_config(workdir: Path, data_root: str = '', class_folders: str = '') -> ConfigDict:
    """The config of a run, with its data set where it lies, and as it is called, now.

    Args:
      workdir: as `place` of `eojax.runs.opening.open_run`.

    Raises:
      UserError: no run is there.
    """
    config = from_json(run_folder(workdir) / 'config.json')
    if data_root:
        set_key(config, 'data.root', data_root)
    if class_folders:
        set_key(config, 'data.class_folders', class_folders)
    return config


def open_trained(
    workdir: Path,
    checkpoint: str | None = None,
    data_root: str = '',
    need: Callable[[Run], object] = lambda run: None,
    class_folders: str = '',
) -> tuple[Run, Any]:
    """A run and its trained state, from `--workdir`, `--checkpoint`, `--data_root` and so on.

    Args:
      need: refuses a run that cannot do what is asked, before its checkpoint is read.

    Raises:
      UserError: see `eojax.runs.opening.open_run`.
    """
    run = open_untrained(read_config(workdir, data_root, class_folders), run_folder(workdir))
    need(run)
    return load_state(run, checkpoint or '')
