"""Stopping a run from outside: SIGTERM, as schedulers send it, and Ctrl-C."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from eojax.devices import processes


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
def stop_signals() -> Iterator[list[int]]:
    """A list that holds the number of SIGTERM or SIGINT once one has come; a second one kills.

    Among several processes jax hears SIGTERM in each, and `Agreement` tells when all may stop.
    """
    stop: list[int] = []
    kept: dict[int, Any] = {}

    def handler(number: int, frame: FrameType | None) -> None:
        stop.append(number)
        signal.signal(number, kept[number])
        # Not by print: the signal may have come in the middle of one.
        os.write(2, b'\neojax: stopping after the running steps; once more stops at once\n')

    def pass_on(number: int, frame: FrameType | None) -> None:
        os.kill(os.getpid(), signal.SIGTERM)

    try:
        if processes.several():
            kept[signal.SIGINT] = signal.signal(signal.SIGINT, pass_on)
        else:
            for watched in (signal.SIGTERM, signal.SIGINT):
                kept[watched] = signal.signal(watched, handler)
    except ValueError:  # not in the main thread: nothing to handle
        kept.clear()
    try:
        yield stop
    finally:
        for number, former in kept.items():
            signal.signal(number, former)
