"""The files of a finished item: its caption and numbers for people, and a record."""

from __future__ import annotations

import datetime
import json
import math
from collections.abc import Iterable, Sequence
from typing import Any

from eojax.atomic_file import write_atomically
from eojax.errors import UserError
from eojax.messages import counted
from eojax.runs import provenance
from eojax.studies.grid.cells import unfinished_lines
from eojax.studies.papers.item import Compared, Outcome, Work
from eojax.studies.papers.papers import PAPERS
from eojax.tables import markdown_table

TEXT, RECORD = 'README.md', 'record.json'


def write(work: Work, outcome: Outcome, command: str) -> None:
    """Writes the text and the record of an item into its folder, whole or not at all.

    Args:
      command: that made it, as it can be typed again.
    """
    text = markdown(work, outcome, command)
    write_atomically(work.out / TEXT, lambda file: file.write(text.encode()))
    values = json.dumps(record(work, outcome, command), indent=1, allow_nan=False) + '\n'
    write_atomically(work.out / RECORD, lambda file: file.write(values.encode()))


def caption_of(work: Work, outcome: Outcome) -> str:
    """The caption with what is small, changed, left out or in place of something else."""
    item = work.plan.item
    parts = [f'{PAPERS[item.paper].name}, {item.kind} {item.number}. {outcome.caption}']
    if item.repeats:
        parts.append(f'The same as {item.repeats}.')
    if work.small:
        parts.append("Small runs, not the paper's size.")
    missing = len(unfinished_lines(work.cells))
    if missing:
        many = counted(len(work.cells), 'run')
        parts.append(f'Not finished, and left out: {missing} of {many}.')
    if work.changes:
        parts.append(f'Changed: {" ".join(work.changes)}.')
    parts += [f'{note[0].upper()}{note[1:]}.' for note in work.plan.notes]
    return ' '.join(parts)


def markdown(work: Work, outcome: Outcome, command: str) -> str:
    """For people: caption, pictures, numbers beside the paper's, command."""
    item = work.plan.item
    parts = [outcome.table.strip() or f'# {item.key}: {item.title}', caption_of(work, outcome)]
    missing = unfinished_lines(work.cells)
    if missing:
        parts.append('\n'.join(f'- not in it: {line}' for line in missing))
    parts += [f'![{item.title}]({file})' for file in outcome.files]
    if not outcome.table and outcome.numbers:
        parts.append(_numbers_table(outcome.numbers))
    parts.append(f'Paper: {PAPERS[item.paper].citation}')
    parts.append(f'```\n{command}\n```')
    return '\n\n'.join(parts) + '\n'


def _numbers_table(numbers: Iterable[Compared]) -> str:
    rows = [['of', 'what', 'ours', 'paper', 'where']]
    for one in numbers:
        ours = '–' if one.ours is None else f'{one.ours:.4g}'
        rows.append([one.of, one.key, ours, one.printed or '–', one.place or '–'])
    return markdown_table(rows, left=(0, 1, 4))


def record(work: Work, outcome: Outcome, command: str) -> dict[str, Any]:
    """The record as `benchmarks/results/README.md` describes it."""
    item = work.plan.item
    try:
        commit: str | None = provenance.commit()
    except UserError:
        commit = None  # of an installed package
    return {
        'command': command,
        'commit': commit,
        'hardware': provenance.hardware(),
        'date': datetime.date.today().isoformat(),
        'versions': provenance.versions(),
        'numbers': _flat(outcome.numbers),
        'paper': {
            'item': f'{item.kind} {item.key}',
            'title': item.title,
            'citation': PAPERS[item.paper].citation,
            'small': work.small,
            'changes': [*work.changes],
            'left_out_or_replaced': [*work.plan.notes],
            'published': _published(outcome.numbers),
            'unfinished': unfinished_lines(work.cells),
            **outcome.more,
        },
        'notes': caption_of(work, outcome),
        'runs': [*work.rows],
    }


def _flat(numbers: Sequence[Compared]) -> dict[str, float | None]:
    """Ours by name; what is no finite number is null."""
    return {
        f'{one.of}: {one.key}': one.ours
        if one.ours is not None and math.isfinite(one.ours)
        else None
        for one in numbers
    }


def _published(numbers: Sequence[Compared]) -> dict[str, dict[str, Any]]:
    return {
        f'{one.of}: {one.key}': {'value': one.published, 'printed': one.printed, 'place': one.place}
        for one in numbers
        if one.published is not None
    }
