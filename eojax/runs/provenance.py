"""Where a number comes from: the hardware, the versions of the packages, the commit.

What the keys mean is described in `benchmarks/results/README.md`.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import os
import platform
import re
import subprocess
from pathlib import Path
from typing import Any

import jax

from eojax.errors import UserError

_PACKAGES = ('jax', 'jaxlib', 'flax', 'optax', 'orbax-checkpoint', 'numpy')


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
    """The commit of this checkout, with `-dirty` where tracked files differ from it.

    Raises:
      UserError: the code does not lie in a checkout of its own, or there is no git.
    """
    root = Path(__file__).resolve().parent.parent.parent
    # An installed package may lie inside somebody else's repository.
    if Path(_git(root, 'rev-parse', '--show-toplevel')).resolve() != root:
        raise UserError(f'a record needs the commit, and {root} is no checkout of eojax')
    dirty = '-dirty' if _git(root, 'status', '--porcelain', '--untracked-files=no') else ''
    return _git(root, 'rev-parse', 'HEAD') + dirty


def _git(root: Path, *words: str) -> str:
    try:
        done = subprocess.run(
            ['git', *words], cwd=root, capture_output=True, text=True, check=False
        )
    except OSError as error:
        raise UserError(f'a record needs the commit, and git does not start: {error}') from error
    if done.returncode:
        raise UserError(f'a record needs the commit, and git says: {done.stderr.strip()}')
    return done.stdout.strip()
