"""Stub commands on PATH, and the launch scripts run with them."""

from __future__ import annotations

import os
import stat
import subprocess
from pathlib import Path

LAUNCH = Path(__file__).resolve().parents[2] / 'launch'
# What launch scripts look at and a test's own environment may hold.
_THEIRS = ('EOJAX_', 'SLURM_', 'TPU_', 'CUDA_', 'JAX_', 'XLA_FLAGS', 'PYTHON', 'SCRATCH')

# What a real process computes in a test: the sum over the devices of all of them, 1 + 2 + ...
SUM_OVER_DEVICES = """
import json
import jax, jax.numpy as jnp
from eojax.devices import processes, sharding
processes.start()
mesh = sharding.data_mesh()
place = sharding.split(mesh)
ones = jax.make_array_from_callback((mesh.size,), place, lambda i: jnp.arange(mesh.size)[i] + 1.0)
total = jax.jit(jnp.sum, out_shardings=sharding.replicated(mesh))(ones)
with open('sum_%d.json' % jax.process_index(), 'w') as file:
    json.dump([jax.process_count(), jax.local_device_count(), mesh.size, float(total)], file)
"""


def write_command(path: Path, lines: str) -> Path:
    """An executable bash script at `path`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f'#!/usr/bin/env bash\n{lines}\n')
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return path


def environment(folder: Path, **variables: object) -> dict[str, str]:
    """The environment of a script: `folder/bin` first on PATH, and none of what scripts look at."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(_THEIRS)}
    kept |= {'PATH': f'{folder / "bin"}:{os.environ["PATH"]}', 'HOME': str(folder)}
    return kept | {'TMPDIR': str(folder)} | {k: str(v) for k, v in variables.items()}


def start(script: str, *arguments: str, folder: Path, **variables: object) -> subprocess.Popen[str]:
    """A script of `launch/`, started in `folder`."""
    return subprocess.Popen(
        # A shell cannot trap what was ignored when it started, as SIGINT is in the background.
        ['env', '--default-signal=INT', 'bash', str(LAUNCH / script), *arguments],
        cwd=folder,
        env=environment(folder, **variables),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def run(
    script: str, *arguments: str, folder: Path, **variables: object
) -> subprocess.CompletedProcess[str]:
    """A script of `launch/`, run to its end."""
    with start(script, *arguments, folder=folder, **variables) as process:
        try:
            out, err = process.communicate(timeout=120)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)
