"""Programs that need several devices, run in a process of their own with as many of the CPU."""

from __future__ import annotations

import tempfile
from pathlib import Path

from tests.process_groups import start_processes, wait_for


def run_on_devices(program: str, count: int) -> None:
    """Runs a program that prints `done` at its end, on `count` CPU devices.

    Raises:
      AssertionError: it failed or did not come to its end; with what it wrote.
    """
    with tempfile.TemporaryDirectory() as folder:
        codes = wait_for(start_processes(1, count, ['-c', program], Path(folder)), 300)
        wrote = (Path(folder) / '0.log').read_text()
    assert codes == [0], wrote
    assert wrote.splitlines()[-1:] == ['done'], wrote
