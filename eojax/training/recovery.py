"""A run's memory of its divergences between a rollback and the next checkpoint.

Without it, a run that is killed in between would come back as if nothing had happened.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import NamedTuple

from eojax.atomic_file import write_atomically
from eojax.errors import UserError


class Recovery(NamedTuple):
    """The newest rollback of a run.

    Attributes:
      attempt: how many there were; it chooses the key and the learning rate.
      diverged_at: the step at which the divergence was seen; -1 where there was none.
      step: of the checkpoint that the run went back to.
    """

    attempt: int = 0
    diverged_at: int = -1
    step: int = 0


def write(folder: Path, recovery: Recovery) -> None:
    """Writes `recovery.json` to the run's folder, whole or not at all."""
    text = json.dumps(recovery._asdict()) + '\n'
    write_atomically(folder / 'recovery.json', lambda file: file.write(text.encode()))


def forget(folder: Path) -> None:
    """Removes the file, for a run that begins anew."""
    (folder / 'recovery.json').unlink(missing_ok=True)


def read(folder: Path) -> Recovery:
    """The newest rollback of the run; `Recovery()` where there was none.

    Raises:
      UserError: the file is damaged.
    """
    file = folder / 'recovery.json'
    if not file.exists():
        return Recovery()
    try:
        return Recovery(**{k: int(v) for k, v in json.loads(file.read_bytes()).items()})
    except (ValueError, TypeError, AttributeError) as error:
        raise UserError(f'{file} is damaged: {error}; delete it') from error
