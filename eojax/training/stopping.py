"""Stopping a run from outside: SIGTERM, as schedulers send it, a closed terminal, and Ctrl-C."""

from __future__ import annotations

import contextlib
import os
import signal
import stat
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import FrameType
from typing import Any

from eojax.devices import processes

Handler = Callable[[int, FrameType | None], object]


class Stopped(Exception):
    """A signal asked the run to stop; its state is saved."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.exit_code = 128 + number


class Agreement:
    """Stops all processes at the same step when one of them is asked to stop.

    jax finds a step that none of them has passed yet.
    """

    def __init__(self) -> None:
        self._calls = 0

    def reached(self) -> bool:
        """Whether to stop here; all processes ask before each call of a step."""
        if not processes.several():
            return False
        from jax.experimental import multihost_utils

        self._calls += 1
        return multihost_utils.reached_preemption_sync_point(self._calls)


@contextmanager
def handled(handlers: Mapping[int, Handler], former: dict[int, Any]) -> Iterator[None]:
    """Signals go to these handlers while it is open, and then to the former ones again.

    Outside the main thread nothing is handled.

    Args:
      handlers: by the signal's number.
      former: receives the former handler of each signal, for handlers that need them.
    """
    with contextlib.suppress(ValueError):  # not in the main thread
        for number, handler in handlers.items():
            former[number] = signal.signal(number, handler)
    try:
        yield
    finally:
        for number, before in former.items():
            signal.signal(number, before)


def leave_terminal() -> None:
    """Sends what is said to nowhere where it went to a terminal, which is gone: writing fails."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (1, 2):
        with contextlib.suppress(OSError):
            if not _can_be_written(stream):
                os.dup2(nowhere, stream)
    os.close(nowhere)


def _can_be_written(stream: int) -> bool:
    try:
        # A file or a pipe stays as it is; one that was a terminal says no longer that it is one.
        if stat.S_ISCHR(os.fstat(stream).st_mode):
            os.write(stream, b'\n')
    except OSError:
        return False
    return True


@contextmanager
def stop_signals() -> Iterator[list[int]]:
    """A list that holds the number of SIGTERM, SIGHUP or SIGINT once one has come.

    A second one kills. SIGHUP, of a terminal that was closed, stays ignored under `nohup`. Among
    several processes jax hears SIGTERM in each, and `Agreement` tells when all may stop.
    """
    stop: list[int] = []
    former: dict[int, Any] = {}

    def handler(number: int, frame: FrameType | None) -> None:
        stop.append(number)
        signal.signal(number, former[number])
        if number == signal.SIGHUP:
            leave_terminal()
        # Not by print: the signal may have come in the middle of one.
        with contextlib.suppress(OSError):
            os.write(2, b'\neojax: stopping after the running steps; once more stops at once\n')

    def pass_on(number: int, frame: FrameType | None) -> None:
        os.kill(os.getpid(), signal.SIGTERM)

    def pass_on_hangup(number: int, frame: FrameType | None) -> None:
        leave_terminal()
        pass_on(number, frame)

    handlers: dict[int, Handler] = {signal.SIGTERM: handler, signal.SIGINT: handler}
    hangup: Handler = handler
    if processes.several():
        handlers, hangup = {signal.SIGINT: pass_on}, pass_on_hangup
    if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        handlers[signal.SIGHUP] = hangup
    with handled(handlers, former):
        yield stop
