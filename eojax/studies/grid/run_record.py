"""`provenance.json` in a run's folder: by which code, on what, when and for how long it ran.

An object with `error` (null, or why the run ended without a result) and `parts`, one for each time
that the run was started or resumed: `commit` (null outside a checkout), `hardware`, `versions` and
`date` as in `benchmarks/results/README.md`, and `seconds` from the start of the process's work to
its end (0 as long as it has not ended).
"""

from __future__ import annotations

import contextlib
import datetime
import json
from pathlib import Path
from typing import Any, NamedTuple

from eojax.atomic_file import write_atomically
from eojax.errors import UserError
from eojax.runs import provenance

_FILE = 'provenance.json'


class RunRecord(NamedTuple):
    """The contents of `provenance.json`; empty for a run that no grid has started.

    Attributes:
      parts: in the order in which they ran.
      error: one line; None where the last part ended well, was stopped, or still runs.
    """

    parts: list[dict[str, Any]]
    error: str | None

    def facts(self) -> dict[str, Any]:
        """`commit`, `hardware`, `date`, `versions` and `seconds` of the whole run.

        The seconds are summed, all commits are named, and the rest is of the last part; each is
        None where there is none.
        """
        last = self.parts[-1] if self.parts else {}
        commits = dict.fromkeys(part['commit'] for part in self.parts if part['commit'])
        return {
            'commit': ', '.join(commits) or None,
            'hardware': last.get('hardware'),
            'date': last.get('date'),
            'versions': last.get('versions'),
            'seconds': round(sum(p['seconds'] for p in self.parts), 1) if self.parts else None,
        }


def read(folder: Path) -> RunRecord:
    """The record of a run.

    Raises:
      UserError: the file is damaged.
    """
    file = folder / _FILE
    if not file.exists():
        return RunRecord([], None)
    try:
        values = json.loads(file.read_bytes())
        parts, error = values['parts'], values['error']
        _ = [(part['commit'], float(part['seconds'])) for part in parts]
    except (ValueError, KeyError, TypeError) as mistake:
        raise UserError(f'{file} is damaged: {mistake!r}; delete it') from mistake
    return RunRecord(parts, None if error is None else str(error))


def begin(folder: Path) -> None:
    """Adds a part of today, by this code, on the devices of this process."""
    commit = None
    with contextlib.suppress(UserError):
        commit = provenance.commit()
    part = {
        'commit': commit,
        'hardware': provenance.hardware(),
        'date': datetime.date.today().isoformat(),
        'versions': provenance.versions(),
        'seconds': 0.0,
    }
    _write(folder, RunRecord([*read(folder).parts, part], None))


def end(folder: Path, seconds: float, error: str | None = None) -> None:
    """Completes the last part: how long it took, and why it failed if it did."""
    parts = read(folder).parts
    if parts:
        parts[-1]['seconds'] = round(seconds, 1)
    _write(folder, RunRecord(parts, error))


def refuse(folder: Path, error: str) -> None:
    """Notes why a run did not begin, or go on; what it took before stays what it was."""
    _write(folder, RunRecord(read(folder).parts, error))


def _write(folder: Path, record: RunRecord) -> None:
    text = json.dumps(record._asdict(), indent=2) + '\n'
    write_atomically(folder / _FILE, lambda file: file.write(text.encode()))
