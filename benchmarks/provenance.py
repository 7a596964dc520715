"""The record of a measurement: what was run, where, and the file that keeps it.

What a record holds is described in `benchmarks/results/README.md`.
"""

from __future__ import annotations

import datetime
import json
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from eojax.atomic_file import write_atomically
from eojax.runs.provenance import commit, hardware, versions

__all__ = (
    'RESULTS',
    'commit',
    'hardware',
    'record_of',
    'repeatable',
    'versions',
    'write_record',
)

RESULTS = Path(__file__).parent / 'results'


def record_of(
    command: str, commit: str, numbers: Mapping[str, Any], notes: str = '', packages: str = ''
) -> dict[str, Any]:
    """A record of today on this machine.

    Args:
      notes: what a reader must know; left out where empty.
      packages: names, with spaces between, whose versions also matter, where installed.
    """
    record = {
        'command': command,
        'commit': commit,
        'hardware': hardware(),
        'date': datetime.date.today().isoformat(),
        'versions': versions(*packages.split()),
        'numbers': dict(numbers),
    }
    return {**record, 'notes': notes} if notes else record


def write_record(path: Path, record: Mapping[str, Any]) -> None:
    """Writes a record as indented JSON."""
    text = json.dumps(record, indent=2) + '\n'
    write_atomically(path, lambda file: file.write(text.encode()))


def repeatable(command: Sequence[str]) -> str:
    """The command line as it can be run elsewhere: without where the interpreter lies here."""
    program = Path(command[0]).name
    return shlex.join(['python' if program.startswith('python') else program, *command[1:]])
