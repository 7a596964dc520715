"""The common part of the measuring commands: flags, early refusals, and the writing of numbers."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax

from benchmarks import provenance
from benchmarks.other_load import is_quiet
from benchmarks.timing import Spread
from eojax.errors import UserError

BUSY = 'NOT COMPARABLE, other processes computed on these cores meanwhile: time it again alone'

Numbers = dict[str, float | None]


def parser(name: str, description: str | None) -> argparse.ArgumentParser:
    """A parser with the flags of a record.

    Args:
      name: of the module in `benchmarks`.
    """
    made = argparse.ArgumentParser(
        prog=f'python -m benchmarks.{name}',
        description=description,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument('--repeats', type=int, default=5, help='rounds of what takes turns')
    made.add_argument('--out', type=Path, help='file to write a record to')
    made.add_argument('--notes', default='', help='what a reader of the record must know')
    made.add_argument(
        '--commit', default='', help='for the record, where the code is a copy without git'
    )
    return made


def commit_for(options: argparse.Namespace) -> str:
    """The commit for the record, empty where none is to be written.

    Called before the minutes of timing, so that what cannot be written is said first.

    Raises:
      UserError: no round, or a file that cannot be written.
    """
    if options.repeats < 1:
        raise UserError(f'--repeats must be at least 1, not {options.repeats}')
    if not options.out:
        return ''
    folder = options.out.parent
    if not folder.is_dir():
        raise UserError(f'--out {options.out}: there is no folder {folder}')
    if options.out.is_dir() or not os.access(folder, os.W_OK | os.X_OK):
        raise UserError(f'--out {options.out} is not writable')
    return options.commit or provenance.commit()


def spelled(name: str, options: argparse.Namespace, flags: Sequence[str]) -> str:
    """The command as it can be run elsewhere: without where its record went here."""
    given = [
        f'--{flag}={value}' for flag in flags if (value := getattr(options, flag)) not in ('', None)
    ]
    return ' '.join([f'python -m benchmarks.{name}', *given])


def write(options: argparse.Namespace, record: Mapping[str, Any]) -> None:
    """Writes the record where one was asked for."""
    if options.out:
        provenance.write_record(options.out, record)
        print(f'recorded in {options.out}')


def plain_value(text: str) -> Any:
    """The value of KEY=VALUE: `False`, `256` and the like as what they are; all else as text."""
    try:
        return json.loads(text.lower())
    except ValueError:
        return text


def whole_numbers(flag: str, text: str) -> tuple[int, ...]:
    """`64,256` as numbers.

    Raises:
      UserError: they are none, or not positive.
    """
    try:
        found = tuple(int(part) for part in text.split(','))
    except ValueError as error:
        raise UserError(f'--{flag} takes whole numbers, not {text}') from error
    if min(found) < 1:
        raise UserError(f'--{flag} must be positive, not {text}')
    return found


def spread_numbers(name: str, values: Spread) -> Numbers:
    """The median under the name, and the slowest and the fastest round."""
    median, low, high = map(rounded, values)
    return {name: median, f'{name}_low': low, f'{name}_high': high}


def rounded(value: float) -> float:
    """Four digits: the fifth is never the same twice."""
    return float(f'{value:.4g}')


def load_notes(other_cores: float | None) -> list[str]:
    """Notes on the load of other processes during a measurement on the CPU."""
    return [BUSY] if jax.default_backend() == 'cpu' and not is_quiet(other_cores) else []


def say(line: str) -> None:
    """Tells what is being done."""
    print(line, file=sys.stderr, flush=True)
