"""Lists of options for people: of a config, and of all parts that a config can have."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from ml_collections import ConfigDict

from eojax import models as networks
from eojax.config.base import flatten, names_of, unknown_key
from eojax.config.options import EVALUATE, RECOVERY, RUN, options_of
from eojax.data.sets import DATASETS
from eojax.data.shared_options import SHARED
from eojax.errors import UserError
from eojax.methods import METHODS
from eojax.methods.update import optimizers
from eojax.models import MODELS
from eojax.option import Choices, Option, Options, flat

_KINDS = {bool: 'true or false', int: 'whole number', float: 'number', str: 'text'}


class Section(NamedTuple):
    """Options that belong together.

    Attributes:
      title: for people.
      options: by their keys in a config.
      values: of a config; none of them where it is all parts that are listed.
    """

    title: str
    options: Mapping[str, Option]
    values: Mapping[str, Any] = {}


def kind_of(option: Option) -> str:
    """The values that an option may have, in words, and its unit."""
    if isinstance(option.default, tuple):
        kind = option.within.text or 'numbers'
    elif isinstance(option.within, Choices):
        kind = option.within.text
    else:
        names = (_KINDS[type(option.default)], option.within.text)
        text = isinstance(option.default, str) and names[1]
        kind = names[1] if text else ', '.join(filter(None, names))
    return f'{kind}; {option.unit}' if option.unit else kind


def of_config(config: ConfigDict) -> list[Section]:
    """The options of a config with their values there."""
    values = dict(flatten(config))
    return [Section('', dict(flat(options_of(*names_of(values)))), values)]


def of_all_parts() -> list[Section]:
    """The options of the run, and those that each data set, network and method brings."""
    run: Options = {
        **RUN,
        'optimizer': optimizers.OPTIONS,
        'recovery': RECOVERY,
        'evaluate': EVALUATE,
    }
    sections = [
        Section('Every run', dict(flat(run))),
        Section('Every data set', dict(flat({'data': SHARED}))),
    ]
    for name, kind in sorted(DATASETS.items()):
        sections.append(Section(f'Data set {name}', dict(flat({'data': kind.options}))))
    shared = dict(flat({'model': networks.SHARED}))
    sections.append(Section('Every network but that of the vae', shared))
    for name, network in sorted(MODELS.items()):
        sections.append(Section(f'Network {name}', dict(flat({'model': network.options}))))
    for name, recipe in sorted(METHODS.items()):
        own = {group: _without_groups(options) for group, options in recipe.options.items()}
        sections.append(Section(f'Method {name}', dict(flat(own))))
    return [section for section in sections if section.options]


def _without_groups(options: Options) -> Options:
    """Without groups in a group, which are options of another part once more."""
    return {key: one for key, one in options.items() if isinstance(one, Option)}


def matching(sections: list[Section], wanted: str) -> list[Section]:
    """Those options whose key has `wanted` in it; all where it is empty.

    Raises:
      UserError: there is none; one line with the nearest.
    """
    chosen = [
        section._replace(options={k: v for k, v in section.options.items() if wanted in k})
        for section in sections
    ]
    chosen = [section for section in chosen if section.options]
    if not chosen:
        raise UserError(unknown_key(wanted, {k: v for s in sections for k, v in s.options.items()}))
    return chosen


def as_text(sections: list[Section]) -> str:
    """The options for a terminal, two lines for each."""
    lines: list[str] = []
    for section in sections:
        if section.title:
            lines += ['', section.title] if lines else [section.title]
        for key, option in section.options.items():
            value = section.values.get(key, option.default)
            here = '' if value == option.default else f'; default {option.default!r}'
            lines.append(f'  {key} = {value!r}  ({kind_of(option)}{here})')
            lines.append(f'      {option.meaning}')
    return '\n'.join(lines)


def help_lines(config: ConfigDict) -> list[str]:
    """The keys of a config as they are typed, and what each means."""
    lines: list[str] = []
    for section in of_config(config):
        for key, option in section.options.items():
            lines.append(f'  --config.{key}={section.values[key]!r}')
            lines.append(f'      {option.meaning} ({kind_of(option)})')
    return lines
