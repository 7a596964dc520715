"""How much other processes computed while something was timed.

Turns do not cancel it: on a busy CPU, PyTorch's threads wait for the slowest of them at the end of
every operation and fall behind tenfold where XLA's fall behind twofold, so that a ratio taken then
says the opposite of one taken on a quiet machine.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

# Of all cores: what a desktop or the kernel does by itself stays below.
QUIET_SHARE = 0.05


class OtherLoad:
    """Counts from when it is made; only Linux tells."""

    def __init__(self, stat: Path = Path('/proc/stat')) -> None:
        self._stat = stat
        self._begun = time.perf_counter()
        self._machine, self._own = self._busy_seconds(), _own_seconds()

    def cores(self) -> float | None:
        """The cores that others kept busy since then, on average; None where nobody says."""
        machine = self._busy_seconds()
        if machine is None or self._machine is None:
            return None
        others = (machine - self._machine) - (_own_seconds() - self._own)
        return max(0.0, others / max(time.perf_counter() - self._begun, 1e-9))

    def _busy_seconds(self) -> float | None:
        """Of all cores since the machine started: neither idle nor waiting for a disk."""
        if not self._stat.exists():
            return None
        user, nice, system, _, _, *rest = map(int, self._stat.read_text().split()[1:9])
        return (user + nice + system + sum(rest)) / os.sysconf('SC_CLK_TCK')


def _own_seconds() -> float:
    """Of this process and of those that it began, whether they have ended or not."""
    times = os.times()
    ended = times.user + times.system + times.children_user + times.children_system
    return ended + sum(_seconds_of_living(os.getpid()))


def _seconds_of_living(ancestor: int) -> list[float]:
    """Of each living descendant, its own and those of its children that have ended."""
    ticks: dict[int, int] = {}
    children: dict[int, list[int]] = {}
    for stat in Path('/proc').glob('[0-9]*/stat'):
        try:
            # The name, in brackets, may hold anything; fields 4 and 14 to 17 (from 1) follow.
            fields = stat.read_text().rpartition(')')[2].split()
        except OSError:  # it has just ended
            continue
        process = int(stat.parent.name)
        children.setdefault(int(fields[1]), []).append(process)
        ticks[process] = sum(map(int, fields[11:15]))
    found, left = [], list(children.get(ancestor, ()))
    while left:
        process = left.pop()
        found.append(ticks[process] / os.sysconf('SC_CLK_TCK'))
        left.extend(children.get(process, ()))
    return found


def is_quiet(cores: float | None) -> bool:
    """Whether others used so little that times on the CPU can be compared."""
    return cores is not None and cores <= QUIET_SHARE * (os.cpu_count() or 1)
