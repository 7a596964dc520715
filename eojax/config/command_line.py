"""The command line of a training: which config, changed how, checked before absl sees it.

What absl and ml_collections make of a mistake is a traceback or a page of flags; here it is one
line that names the key and the nearest valid one.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path

from absl import flags
from ml_collections import ConfigDict, config_flags

from eojax.config.base import base_config, flatten, unknown_key
from eojax.errors import UserError

_NAMES = ('method.name', 'model.name', 'data.name', 'source.name')
_BOOLEANS = ('true', 'false', '1', '0', 't', 'f', 'yes', 'no', 'y', 'n')


def load_config(path: str) -> ConfigDict:
    """The config that the Python file `path` makes by `get_config()`.

    Raises:
      UserError: the file is absent, does not run, or has no `get_config` that returns a config.
    """
    if not path:
        raise UserError('say which config: --config=configs/NAME.py')
    if not Path(path).is_file():
        hint = ' (a config takes no arguments: use --config.key=value)' if '.py:' in path else ''
        raise UserError(f'config file not found: {path}{hint}')
    spec = importlib.util.spec_from_file_location('eojax_config', path)
    if spec is None or spec.loader is None:
        raise UserError(f'config {path} is no Python file')
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
        config = module.get_config()
    except Exception as error:
        kind = '' if isinstance(error, UserError) else f'{type(error).__name__}: '
        raise UserError(f'config {path}: {kind}{error}') from error
    if not isinstance(config, ConfigDict):
        raise UserError(
            f'config {path}: get_config() must return a config, not {type(config).__name__}'
        )
    return config


def changed_config(path: str, changes: Sequence[str]) -> ConfigDict:
    """The config in a file as `eojax.main` would take it with these changes.

    Raises:
      UserError: see `check_arguments`.
    """
    arguments = [f'--config={path}', *changes]
    check_arguments(arguments)
    values = flags.FlagValues()
    config_flags.DEFINE_config_file(
        'config', lock_config=True, flag_values=values, sys_argv=arguments
    )
    try:
        values(['eojax', *arguments])
        return values.config
    except (flags.Error, AttributeError, KeyError, TypeError, ValueError) as error:
        raise UserError(str(error)) from error


def help_text(path: str | None) -> str:
    """The help text of the command; with a config, its keys and their values too."""
    lines = [
        'python -m eojax.main --config=FILE [--workdir=DIR] [--config.KEY=VALUE ...]',
        '  --config: what to run, a file such as configs/quickstart.py',
        '  --workdir: the run folder; runs/ and the name of the config if absent',
        '  --config.KEY: any key of the config; with a --config, --help lists them',
    ]
    if path is not None:
        lines += [f'  --config.{k}={v!r}' for k, v in flatten(load_config(path))]
    return '\n'.join(lines)


def check_arguments(arguments: Sequence[str]) -> str | None:
    """Checks every `--config...` of a command line.

    Args:
      arguments: without the program's name.

    Returns:
      The path of the config file; None where there is none.

    Raises:
      UserError: an unknown key, with the nearest; a value of another type; or what `load_config`
        raises.
    """
    path, changes = None, []
    for number, argument in enumerate(arguments):
        if argument == '--':
            break
        name, equals, value = argument.lstrip('-').partition('=')
        if not argument.startswith('-'):
            continue
        if name == 'config':
            path = value if equals else next(iter(arguments[number + 1 :]), '')
        elif name.startswith(('config.', 'noconfig.')):
            changes.append((name, value if equals else None))
    if path is None:
        if changes:
            raise UserError(f'--{changes[0][0]} changes no config: say --config=configs/NAME.py')
        return None
    known = dict(flatten(load_config(path)))
    for name, text in changes:
        prefix, _, key = name.partition('.')
        if key not in known:
            raise UserError(unknown_key(key, known))
        if prefix == 'noconfig':
            if not isinstance(known[key], bool) or text is not None:
                raise UserError(f'--{name} is for keys that are true or false; use --config.{key}=')
        elif text is not None:
            _check_text(key, text, known[key])
    _check_names(dict(changes), known)
    return path


def _check_names(changes: dict[str, str | None], known: dict[str, object]) -> None:
    """Another method, model or data set must have the options that the config has."""
    keys = [key for key in _NAMES if key in known]
    names = [changes.get(f'config.{key}') or str(known.get(key)) for key in keys]
    wanted = dict(flatten(base_config(*names)))
    for key, name in zip(keys, names, strict=True):
        differing = sorted(wanted.keys() ^ known.keys())
        if name != known.get(key) and differing:
            raise UserError(
                f'{key}={name} has other options than this config ({", ".join(differing[:3])});'
                f' write a config of its own that calls base_config({", ".join(map(repr, names))})'
            )


def _check_text(key: str, text: str, default: object) -> None:
    if isinstance(default, bool):
        if text.lower() not in _BOOLEANS:
            raise UserError(f'{key} must be true or false, not {text!r}')
        return
    for kind in (int, float):
        if isinstance(default, kind):
            try:
                kind(text)
            except ValueError:
                raise UserError(f'{key} must be of type {kind.__name__}, not {text!r}') from None
            return
