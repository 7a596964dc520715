"""The command line of a training: which config, changed how, checked before absl sees it.

What absl and ml_collections make of a mistake is a traceback or a page of flags; here it is one
line that names the key and the nearest valid one.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from absl import flags
from ml_collections import ConfigDict, config_flags

from eojax.config.base import base_config, flatten, names_of, unknown_key
from eojax.config.listing import help_lines
from eojax.config.phases import STEPS, keep_proportions
from eojax.config.shipped import config_file
from eojax.config.swap import PARTS, config_of, swapped
from eojax.errors import UserError
from eojax.messages import say
from eojax.program_name import program_name

_NAMES = ('method.name', 'model.name', 'data.name', 'source.name')


class Typed(NamedTuple):
    """A command line of a training.

    Attributes:
      config: that it asks for; None where it asks for none. It is not checked.
      name: of the config, and of the parts that stand in place of its own: the run's folder.
      notes: lines that say what changed besides what was asked for.
      rest: the arguments that are not about the config.
    """

    config: ConfigDict | None
    name: str = ''
    notes: tuple[str, ...] = ()
    rest: tuple[str, ...] = ()


def load_config(path: str) -> ConfigDict:
    """The config that a Python file makes by `get_config()`.

    Args:
      path: of the file, or the name of a config that comes with eojax.

    Raises:
      UserError: the file is absent, does not run, or has no `get_config` that returns a config.
    """
    if not path:
        raise UserError('say which config: --config=configs/NAME.py')
    file = config_file(path)
    spec = importlib.util.spec_from_file_location('eojax_config', file)
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
    """The config in a file as `eojax.main` would take it with these changes; says its notes.

    Raises:
      UserError: see `read_arguments`.
    """
    typed = read_arguments([f'--config={path}', *changes])
    assert typed.config is not None
    for note in typed.notes:
        say(note)
    return typed.config


def help_text(config: ConfigDict | None) -> str:
    """The help text of the command; with a config, its keys, their values and meanings too."""
    lines = [
        f'{program_name("eojax.main")} --config=FILE [--workdir=DIR] [--config.KEY=VALUE ...]',
        '  --config: what to run: a file, or the name of a config that comes with eojax',
        '  --method, --model, --data, --source: others than those of the config, with defaults;',
        '    --method and --data make a config by themselves',
        '  --workdir: the run folder; runs/ and the name of the config if absent',
        '  --config.KEY: any key of the config; with a --config, --help lists them',
    ]
    return '\n'.join(lines + ([] if config is None else help_lines(config)))


def read_arguments(arguments: Sequence[str]) -> Typed:
    """The config that a command line asks for.

    `--config` names it; `--method`, `--model`, `--data` and `--source` put other parts in it, or
    make one by themselves (`eojax.config.swap`); `--config.KEY=VALUE` changes a key. Where `steps`
    is changed, the phases keep their shares of it (`eojax.config.phases`).

    Args:
      arguments: without the program's name.

    Raises:
      UserError: an unknown key, with the nearest; a value of another type; or what `load_config`
        and `swapped` raise.
    """
    named, others = _named(arguments)
    parts = {part: named[part] for part in PARTS if part in named}
    if 'config' in named:
        path = named['config']
        config, note = swapped(load_config(path), parts)
        name = '_'.join((Path(path).stem, *parts.values()))
    elif parts:
        config, note = config_of(parts), ''
        name = '_'.join(names_of(dict(flatten(config))))
    else:
        change = next((a for a in others if a.lstrip('-').startswith(_CHANGES)), None)
        if change is not None:
            raise UserError(f'{change} changes no config: say --config=configs/NAME.py')
        return Typed(None, rest=tuple(others))
    changes, rest = _changes(others, dict(flatten(config)))
    steps = config[STEPS]
    given = _apply(config, changes)
    notes = (note, keep_proportions(config, steps, given))
    return Typed(config, name, tuple(filter(None, notes)), tuple(rest))


_CHANGES = ('config.', 'noconfig.')


def _named(arguments: Sequence[str]) -> tuple[dict[str, str], list[str]]:
    """The values of `--config` and of the parts, and all other arguments."""
    named: dict[str, str] = {}
    others: list[str] = []
    words = iter(arguments)
    for word in words:
        name, equals, value = word.lstrip('-').partition('=')
        if word == '--':
            return named, [*others, word, *words]
        if word.startswith('-') and name in ('config', *PARTS):
            named[name] = value if equals else next(words, '')
            if name != 'config' and not named[name]:
                raise UserError(f'--{name}: say which, --{name}=NAME')
        else:
            others.append(word)
    return named, others


def _changes(arguments: Sequence[str], known: dict[str, object]) -> tuple[list[str], list[str]]:
    """The arguments that change a key, checked, and all others."""
    changes, rest = [], []
    words = iter(arguments)
    texts: dict[str, str | None] = {}
    for word in words:
        name, equals, text = word.lstrip('-').partition('=')
        if word == '--':
            rest += [word, *words]
        elif not (word.startswith('-') and name.startswith(_CHANGES)):
            rest.append(word)
        else:
            changes.append(word)
            prefix, _, key = name.partition('.')
            value = text if equals else None
            if not equals and not isinstance(known.get(key, False), bool):
                value = next(words, None)
                changes += [] if value is None else [value]
            _check_change(name, prefix, key, value, known)
            texts[key] = value
    _check_names(texts, known)
    return changes, rest


def _check_change(
    name: str, prefix: str, key: str, text: str | None, known: dict[str, object]
) -> None:
    if key not in known:
        raise UserError(unknown_key(key, known))
    if prefix == 'noconfig':
        if not isinstance(known[key], bool) or text is not None:
            raise UserError(f'--{name} is for keys that are true or false; use --config.{key}=')
    elif text is not None:
        _check_text(key, text, known[key])


def _apply(config: ConfigDict, changes: Sequence[str]) -> set[str]:
    """Changes the config, in place, and returns the keys that were given."""
    values = flags.FlagValues()
    config_flags.DEFINE_config_dict('config', config, flag_values=values, sys_argv=list(changes))
    try:
        values(['eojax', *changes])
    except (flags.Error, AttributeError, KeyError, TypeError, ValueError) as error:
        raise UserError(str(error)) from error
    return set(config_flags.get_override_values(values['config']))


def _check_names(changes: dict[str, str | None], known: dict[str, object]) -> None:
    """Another method, model or data set must have the options that the config has."""
    keys = [key for key in _NAMES if key in known]
    names = [changes.get(key) or str(known.get(key)) for key in keys]
    wanted = dict(flatten(base_config(*names)))
    for key, name in zip(keys, names, strict=True):
        differing = sorted(wanted.keys() ^ known.keys())
        if name != known.get(key) and differing:
            raise UserError(
                f'{key}={name} has other options than this config ({", ".join(differing[:3])});'
                f' to put it in with its defaults, say --{key.partition(".")[0]}={name}'
            )


def _check_text(key: str, text: str, default: object) -> None:
    if isinstance(default, bool):
        try:
            flags.BooleanParser().parse(text)
        except ValueError:
            raise UserError(f'{key} must be true or false, not {text!r}') from None
        return
    for kind in (int, float):
        if isinstance(default, kind):
            try:
                kind(text)
            except ValueError:
                raise UserError(f'{key} must be of type {kind.__name__}, not {text!r}') from None
            return
