"""Calls of a step that were handed to the devices, and when the devices had done them."""

from __future__ import annotations

import collections
import time

from jax import Array

# How many calls the host may be ahead: enough to keep the devices busy, few enough that a request
# to stop is answered soon.
_MOST = 4


class CallsAhead:
    """The calls that the host has not seen end yet, at most a few.

    The time at which the host hands a call over says little of speed: it may be `_MOST` calls ahead
    of the devices, or none after a checkpoint. So an interval is timed by when its calls ended.
    """

    def __init__(self) -> None:
        self._calls: collections.deque[tuple[Array, int]] = collections.deque()
        self._ended = (0.0, -1)  # the last call that did: time, steps done
        self._watched = -1
        self._reached: float | None = None

    def add(self, ticket: Array, step: int) -> None:
        """A call was handed over; waits for earlier ones where there are too many.

        Args:
          ticket: is ready when the call is done.
          step: steps done after it.
        """
        self._calls.append((ticket, step))
        while self._calls and (len(self._calls) > _MOST or _is_ready(self._calls[0][0])):
            self._end_one()

    def watch(self) -> None:
        """Asks for the time at which the newest call ends; one call at a time is watched."""
        self._watched = self._calls[-1][1] if self._calls else self._ended[1]
        self._reached = None if self._calls else self._ended[0]

    def reached(self) -> float:
        """The time at which the watched call ended, of `time.perf_counter`; waits for it."""
        while self._reached is None:
            self._end_one()
        return self._reached

    def forget(self) -> None:
        """Forgets all calls, of a stretch that is done again."""
        self._calls.clear()

    def _end_one(self) -> None:
        ticket, step = self._calls.popleft()
        ticket.block_until_ready()
        self._ended = (time.perf_counter(), step)
        if step == self._watched and self._reached is None:
            self._reached = self._ended[0]


def _is_ready(ticket: Array) -> bool:
    ready: bool = ticket.is_ready()  # type: ignore[attr-defined]  # of all arrays, not of their type
    return ready
