from __future__ import annotations

from typing import Any

import pytest

from eojax.training import calls_ahead
from eojax.training.calls_ahead import CallsAhead


class _Clock:
    """Devices on which a call takes a second, and a host that does nothing but wait for them."""

    def __init__(self) -> None:
        self.now = self.free = 0.0

    def perf_counter(self) -> float:
        return self.now

    def call(self) -> Any:
        self.free = max(self.free, self.now) + 1.0
        return _Ticket(self, self.free)


class _Ticket:
    def __init__(self, clock: _Clock, end: float) -> None:
        self._clock, self._end = clock, end

    def is_ready(self) -> bool:
        return self._clock.now >= self._end

    def block_until_ready(self) -> None:
        self._clock.now = max(self._clock.now, self._end)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> _Clock:
    made = _Clock()
    monkeypatch.setattr(calls_ahead, 'time', made)
    return made


def test_an_interval_ends_when_the_devices_have_done_it(clock: _Clock) -> None:
    calls = CallsAhead()
    for step in range(1, 6):
        calls.add(clock.call(), step * 10)
    assert clock.now == 1.0  # the host goes on four calls before the devices
    calls.watch()
    for step in range(6, 9):
        calls.add(clock.call(), step * 10)
    assert calls.reached() == 5.0
    assert clock.now == 5.0  # told late, it took no time to wait for
    calls.watch()
    assert calls.reached() == 8.0


def test_a_host_that_is_slower_than_the_devices_sees_calls_end_at_once(clock: _Clock) -> None:
    calls = CallsAhead()
    for step in range(1, 5):
        calls.add(clock.call(), step)
        clock.now += 10.0
    calls.watch()
    calls.add(clock.call(), 5)
    assert calls.reached() == 40.0
    calls.forget()
    calls.add(clock.call(), 3)
    calls.watch()
    assert calls.reached() == 42.0
