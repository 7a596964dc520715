"""Several processes of one run on loopback, for the tests of what they do together."""

from __future__ import annotations

import os
import socket
from collections.abc import Sequence
from pathlib import Path

from tests.forked import ROOT, Forked


def start_processes(num: int, devices: int, arguments: Sequence[str], logs: Path) -> list[Forked]:
    """Starts `num` processes with `devices` CPU devices each; alone, one has no coordinator.

    Args:
      arguments: of the interpreter, as `Forked` has them.
      logs: folder for `<number>.log`, what each process writes.
    """
    logs.mkdir(parents=True, exist_ok=True)
    with socket.socket() as free:
        free.bind(('127.0.0.1', 0))
        address = f'127.0.0.1:{free.getsockname()[1]}'
    flags = f'{os.environ.get("XLA_FLAGS", "")} --xla_force_host_platform_device_count={devices}'
    started = []
    for number in range(num):
        environment = {
            **os.environ, 'JAX_PLATFORMS': 'cpu', 'XLA_FLAGS': flags, 'PYTHONPATH': str(ROOT),
        }  # fmt: skip
        if num > 1:
            environment |= {
                'EOJAX_COORDINATOR': address,
                'EOJAX_NUM_PROCESSES': str(num),
                'EOJAX_PROCESS_ID': str(number),
            }
        started.append(Forked(arguments, environment, logs / f'{number}.log'))
    return started


def wait_for(processes: Sequence[Forked], timeout: float = 900.0) -> list[int]:
    """The exit codes; all are killed where one does not end in time, which is ample on purpose.

    It only keeps a test that hangs from hanging for ever: a machine may have other work to do.
    """
    try:
        return [process.wait(timeout) for process in processes]
    finally:
        for process in processes:
            process.kill()
