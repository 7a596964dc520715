"""Programs that need several devices, run in a process of their own with as many of the CPU."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def run_on_devices(program: str, count: int) -> None:
    """Runs a program that prints `done` at its end, on `count` CPU devices.

    Raises:
      AssertionError: it failed or did not come to its end; with what it wrote to its errors.
    """
    flags = f'{os.environ.get("XLA_FLAGS", "")} --xla_force_host_platform_device_count={count}'
    environment = {**os.environ, 'JAX_PLATFORMS': 'cpu', 'XLA_FLAGS': flags.strip()}
    finished = subprocess.run(
        [sys.executable, '-c', program],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert finished.returncode == 0, finished.stderr
    assert finished.stdout.strip() == 'done'
