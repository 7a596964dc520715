"""Stopping a run from outside: SIGTERM, as schedulers send it, and Ctrl-C."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any


class Stopped(Exception):
    """A signal asked the run to stop; its state is saved."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.exit_code = 128 + number


@contextmanager
def stop_signals() -> Iterator[list[int]]:
    """A list that holds the number of SIGTERM or SIGINT once one has come; a second one kills."""
    stop: list[int] = []
    kept: dict[int, Any] = {}

    def handler(number: int, frame: FrameType | None) -> None:
        stop.append(number)
        signal.signal(number, kept[number])
        # Not by print: the signal may have come in the middle of one.
        os.write(2, b'\neojax: stopping after the running steps; once more stops at once\n')

    try:
        for watched in (signal.SIGTERM, signal.SIGINT):
            kept[watched] = signal.signal(watched, handler)
    except ValueError:  # not in the main thread: nothing to handle
        kept.clear()
    try:
        yield stop
    finally:
        for number, former in kept.items():
            signal.signal(number, former)
