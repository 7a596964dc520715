"""Where a measurement comes from: hardware, versions, commit, and the file that keeps it.

What a record holds is described in `benchmarks/results/README.md`.
"""

from __future__ import annotations

import contextlib
import datetime
import importlib.metadata
import json
import os
import platform
import re
import shlex
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jax

from eojax.atomic_file import write_atomically
from eojax.errors import UserError

RESULTS = Path(__file__).parent / 'results'
_PACKAGES = ('jax', 'jaxlib', 'flax', 'optax', 'orbax-checkpoint', 'numpy')


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


def hardware() -> dict[str, Any]:
    """The devices that jax computes on, and the machine around them."""
    devices = jax.devices()
    memory = os.sysconf('SC_PAGE_SIZE') * os.sysconf('SC_PHYS_PAGES') / 2**30
    return {
        'device': devices[0].device_kind,
        'count': len(devices),
        'cpu': _cpu_name(),
        'cores': os.cpu_count(),
        'memory_gb': round(memory),
    }


def _cpu_name() -> str:
    info = Path('/proc/cpuinfo')
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith('model name'):
                return line.split(':', 1)[1].strip()
    return platform.processor() or platform.machine()


def versions(*others: str) -> dict[str, str]:
    """Of Python, the packages that compute, CUDA or libtpu where there is one, and `others`."""
    found = {name: importlib.metadata.version(name) for name in _PACKAGES}
    cuda = re.search(r'cuda (\d+)(\d\d)\d\b', jax.devices()[0].client.platform_version)
    if cuda:
        found['cuda'] = f'{int(cuda[1])}.{int(cuda[2]) // 10}'
    for name in ('libtpu', *others):
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[name] = importlib.metadata.version(name)
    return {'python': platform.python_version(), **found}


def commit() -> str:
    """The commit of this checkout, with `-dirty` where tracked files differ from it."""
    root = Path(__file__).parent.parent

    def git(*words: str) -> str:
        done = subprocess.run(
            ['git', *words], cwd=root, capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise UserError(f'a record needs the commit, and git says: {done.stderr.strip()}')
        return done.stdout.strip()

    dirty = '-dirty' if git('status', '--porcelain', '--untracked-files=no') else ''
    return git('rev-parse', 'HEAD') + dirty
