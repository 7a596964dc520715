"""Interleaved timing: what is compared runs by turns, so that a slow minute slows all of it.

A round times every workload once, in order, and the rounds repeat. The median over the rounds is
the number; the slowest and the fastest round are its spread. A ratio is taken round by round.
"""

from __future__ import annotations

import collections
import math
import statistics
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax

# As in training: the host stays a few calls ahead of the devices, and not more.
_CALLS_AHEAD = 4
_MOST_CALLS = 10_000


class Workload(NamedTuple):
    """Something to time.

    Attributes:
      name: of what is timed.
      run: `run(n)` does it n times and returns when the device has finished.
    """

    name: str
    run: Callable[[int], None]


class Spread(NamedTuple):
    """A number over several rounds: the median, the lowest and the highest."""

    median: float
    low: float
    high: float


def spread(values: Sequence[float]) -> Spread:
    """Of values, at least one."""
    return Spread(statistics.median(values), min(values), max(values))


def rates(seconds: Sequence[float], amount: float = 1.0) -> Spread:
    """`amount` per second, where it took these seconds."""
    return spread([amount / value for value in seconds])


def ratios(ours: Sequence[float], theirs: Sequence[float]) -> Spread:
    """How many times as fast as theirs ours is: seconds over seconds, round by round.

    Raises:
      ValueError: the two have different numbers of rounds.
    """
    return spread([their / our for our, their in zip(ours, theirs, strict=True)])


def times_faster(ratio: float) -> str:
    """`0.71x`; three digits from ten on need no fraction."""
    return f'{ratio:.2f}x' if ratio < 10.0 else f'{ratio:.1f}x'


def interleave(
    workloads: Sequence[Workload],
    repeats: int,
    seconds: float,
    clock: Callable[[], float] = time.perf_counter,
) -> dict[str, list[float]]:
    """Times workloads by turns: a, b, c, a, b, c, ...

    Args:
      workloads: with names of their own, compiled and warmed up.
      repeats: how many rounds.
      seconds: what a workload should last at least in a round; it runs as often as that takes.
      clock: in seconds.

    Returns:
      By name, the seconds of doing it once, in each round.
    """
    times = {w.name: _times(w, seconds, clock) for w in workloads}
    taken: dict[str, list[float]] = {w.name: [] for w in workloads}
    for _ in range(repeats):
        for workload in workloads:
            each = _seconds(workload, times[workload.name], clock) / times[workload.name]
            taken[workload.name].append(each)
    return taken


def _times(workload: Workload, seconds: float, clock: Callable[[], float]) -> int:
    """How often a workload runs in a round."""
    times = 1
    while True:
        taken = _seconds(workload, times, clock)
        if taken >= seconds or times >= _MOST_CALLS:
            return times
        # At most tenfold: a first short run says little.
        wanted = math.ceil(times * seconds / max(taken, 1e-9))
        times = min(_MOST_CALLS, 10 * times, max(times + 1, wanted))


def _seconds(workload: Workload, times: int, clock: Callable[[], float]) -> float:
    begun = clock()
    workload.run(times)
    return clock() - begun


def repeated(call: Callable[[], Any]) -> Callable[[int], None]:
    """`run(n)` of a call that gives arrays: n calls, and a wait until the last are there."""

    def run(times: int) -> None:
        waiting: collections.deque[Any] = collections.deque()
        for _ in range(times):
            waiting.append(call())
            if len(waiting) > _CALLS_AHEAD:
                jax.block_until_ready(waiting.popleft())
        jax.block_until_ready(list(waiting))

    return run
