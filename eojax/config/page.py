"""The page of all options, `docs/options.md`, which `eojax options --markdown` writes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from eojax.config.listing import Section, kind_of

_HEAD = """# Options

All keys of a config. Each is set in a config file (`config.KEY = value`) or on the command line
(`--config.KEY=VALUE`). `eojax options --config=NAME` lists those of a config with their values
there, `eojax options WORD` those whose key has a word in it.

A config has the options of every run and of every data set, and those of its data set, its network
and its method. The keys of the group `source`, of methods that learn from two data sets, are those
of the group `data`. Where a part has an option of every data set once more, it has a default or a
range of its own.

This page is written by `eojax options --markdown > docs/options.md`.
"""
_NOTES = {
    'Method fixmatch_jem': 'Besides, `fixmatch.optimizer` has the options of `optimizer`.',
    'Method fixmatch_then_jem': (
        'Besides, `fixmatch.method`, `fixmatch.model` and `fixmatch.optimizer` have the options of'
        ' the method `fixmatch`, the network `wide_resnet` and of `optimizer`.'
    ),
    'Method image_synthesis': (
        'Besides, `discriminator.optimizer` has the options of `optimizer`; its learning rate is'
        ' 0.0004, its `b1` 0.0 and its `b2` 0.9 by default.'
    ),
}


def as_markdown(sections: Sequence[Section]) -> str:
    """The page: a table for each section."""
    parts = [_HEAD]
    for section in sections:
        rows = ['| key | default | values | meaning |', '|---|---|---|---|']
        for key, option in section.options.items():
            cells = (f'`{key}`', _code(option.default), kind_of(option), option.meaning)
            rows.append('| ' + ' | '.join(_escaped(cell) for cell in cells) + ' |')
        note = _NOTES.get(section.title)
        parts.append(
            '\n'.join([f'## {section.title}', '', *rows, *(['', note] if note else []), ''])
        )
    return '\n'.join(parts)


def _code(value: Any) -> str:
    return f'`{value!r}`'


def _escaped(cell: str) -> str:
    """A cell of a table, whose bars do not end it and whose tags are shown."""
    return cell.replace('|', '\\|').replace('<', '&lt;')
