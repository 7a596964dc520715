"""The command line of a grid of runs: configs, changes to all of them, lists.

Changes are typed as for `eojax.main`, `--config.key=value`, and are checked and read as there.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Collection, Sequence
from pathlib import Path

from ml_collections import ConfigDict

from eojax.config.base import base_config, flatten, set_keys
from eojax.config.command_line import changed_config
from eojax.errors import UserError
from eojax.home import expand_paths


def parse_arguments(
    parser: argparse.ArgumentParser,
    arguments: Sequence[str] | None,
    taken: Collection[str],
) -> tuple[argparse.Namespace, list[str]]:
    """The options of a grid's command, and the changes to its configs.

    Args:
      taken: keys of the config that the grid itself sets, each with the option that says them.

    Raises:
      UserError: an argument that is neither; or a change of a key that is taken.
    """
    options, changes = parser.parse_known_args(arguments)
    expand_paths(options)
    for change in changes:
        name = change.lstrip('-').partition('=')[0]
        prefix, _, key = name.partition('.')
        if not change.startswith('--') or prefix not in ('config', 'noconfig') or not key:
            raise UserError(f'unknown argument {change!r}')
        if prefix == 'config' and '=' not in change:
            raise UserError(f'{change}: write {change}=VALUE')
        if key in taken:
            raise UserError(f'--{name}: the grid sets {key} itself, for each of its runs')
    return options, changes


def load_configs(paths: str, changes: Sequence[str]) -> dict[str, ConfigDict]:
    """Configs by their names, each with the same changes.

    Args:
      paths: of the files, with commas between.
      changes: see `parse_arguments`.

    Raises:
      UserError: a file that is none, two of one name, or a change that one of them does not take.
    """
    found: dict[str, ConfigDict] = {}
    for path in parse_list('config', paths):
        # As the run's folder, `run.default_folder`.
        name = re.sub(r'\W+', '_', Path(path).name.removesuffix('.py'))
        if name in found:
            raise UserError(f'--config: two configs have the name {name}, which names their runs')
        try:
            found[name] = changed_config(path, changes)
        except UserError as error:
            raise UserError(f'{path}: {error}' if path not in str(error) else str(error)) from error
    return found


def parse_list(option: str, text: str) -> list[str]:
    """The entries of `--option=a,b,c`, in their order.

    Raises:
      UserError: one is empty or given twice.
    """
    entries = [entry.strip() for entry in text.split(',')]
    for entry in entries:
        if not entry:
            raise UserError(f'--{option}={text}: an entry is empty')
        if entries.count(entry) > 1:
            raise UserError(f'--{option}={text}: {entry} is given twice')
    return entries


def parse_seeds(text: str) -> list[int]:
    """The numbers of `--seeds=0,1,2`.

    Raises:
      UserError: one is no seed, or given twice.
    """
    for entry in parse_list('seeds', text):
        if not (entry.isascii() and entry.isdigit() and int(entry) < 2**32):
            raise UserError(f'--seeds={text}: {entry!r} is no whole number from 0 to 2**32 - 1')
    seeds = [int(entry) for entry in text.split(',')]
    if len(set(seeds)) < len(seeds):
        raise UserError(f'--seeds={text}: one is given twice')
    return seeds


def parse_seeds_or_number(text: str) -> list[int]:
    """The seeds of `--seeds=5`, the first five, from 0; or of `--seeds=3,4`, these two.

    Raises:
      UserError: see `parse_seeds`; or a number of seeds that is none.
    """
    seeds = parse_seeds(text)
    if len(seeds) > 1:
        return seeds
    if not 1 <= seeds[0] <= 1000:
        raise UserError(f'--seeds={text}: expected how many, from 1 to 1000, or several seeds')
    return list(range(seeds[0]))


def with_method(config: ConfigDict, method: str, source: str = '') -> ConfigDict:
    """The config of another method: all keys that it has too have the values of this one.

    Args:
      source: the data set that the other method learns from besides; none where empty.
    """
    other = base_config(method, config.model.name, config.data.name, source)
    known = dict(flatten(other))
    values = {key: value for key, value in flatten(config) if key in known}
    set_keys(other, values | {'method.name': method})
    return other
