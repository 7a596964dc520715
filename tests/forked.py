"""Commands in processes that are forked from one that has imported eojax.

Importing takes longer than most of what tests let a process do. The process that is forked from
has not started a backend: environment variables of JAX and XLA count for each fork anew, but for
those that JAX reads when it is imported, which are the tests' own.
"""

from __future__ import annotations

import atexit
import importlib
import multiprocessing
import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.quick import make_quick

ROOT = Path(__file__).resolve().parents[1]
_SERVER = multiprocessing.get_context('forkserver')
_SERVER.set_forkserver_preload(['tests.forked_imports'])


class Forked:
    """A process like those of `subprocess`, with the interpreter's arguments `-m` or `-c`.

    Args:
      arguments: `-m`, a command's module and its arguments, or `-c`, a program and its arguments.
      environment: all of its variables.
      log: file for what it writes to its outputs; without one they are those of the tests.
    """

    def __init__(
        self, arguments: Sequence[str], environment: Mapping[str, str], log: Path | None = None
    ) -> None:
        self._process = _SERVER.Process(target=_run, args=(list(arguments), dict(environment), log))
        self._process.start()
        assert self._process.pid is not None
        self.pid: int = self._process.pid

    def poll(self) -> int | None:
        """The exit code, negative for a signal; `None` while it runs."""
        return self._process.exitcode

    def wait(self, timeout: float | None = None) -> int:
        """The exit code, once it has ended.

        Raises:
          subprocess.TimeoutExpired: it has not by then, in seconds.
        """
        self._process.join(timeout)
        if self._process.exitcode is None:
            raise subprocess.TimeoutExpired(str(self.pid), timeout or 0.0)
        return self._process.exitcode

    def send_signal(self, number: int) -> None:
        """Sends a signal, if it still runs."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


def _run(arguments: list[str], environment: dict[str, str], log: Path | None) -> None:
    """What the forked process does; ends it with the code that an interpreter would."""
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(ROOT)
    make_quick()
    if log is not None:
        with open(log, 'wb') as file:
            os.dup2(file.fileno(), 1)
            os.dup2(file.fileno(), 2)
    kind, what, *rest = arguments
    try:
        if kind == '-m':
            # Not run as a program again: its flags are defined. The module's last line calls this.
            module = importlib.import_module(what)
            if hasattr(module, '__path__'):  # the `__main__` of packages calls this one's
                module = importlib.import_module(f'{what}.command')
            sys.argv = [str(module.__file__), *rest]
            getattr(module, 'command', module.main)(rest)
        else:
            sys.argv = [kind, *rest]
            exec(compile(what, '<string>', 'exec'), {'__name__': '__main__'})
    finally:
        atexit._run_exitfuncs()
