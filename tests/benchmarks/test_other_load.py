"""The load of other processes is told apart from that of this one."""

from __future__ import annotations

import os

import pytest

from benchmarks import other_load
from benchmarks.other_load import OtherLoad, is_quiet


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """A machine whose counters, clock and own time a test sets."""
    ticks = os.sysconf('SC_CLK_TCK')
    now = {'clock': 0.0, 'own': 0.0}
    monkeypatch.setattr(other_load.time, 'perf_counter', lambda: now['clock'])
    monkeypatch.setattr(other_load, '_own_seconds', lambda: now['own'])

    def after(clock, own, busy):
        now.update(clock=clock, own=own)
        # user nice system idle iowait irq softirq steal guest guest_nice
        numbers = [int(busy * ticks), 0, 0, 10**9, 10**6, 0, 0, 0, 0, 0]
        (tmp_path / 'stat').write_text(f'cpu  {" ".join(map(str, numbers))}\ncpu0 1 2 3\n')
        return tmp_path / 'stat'

    return after


def test_cores_of_others_are_what_is_busy_beyond_the_own_time(machine):
    load = OtherLoad(machine(clock=100.0, own=7.0, busy=1000.0))
    machine(clock=110.0, own=22.0, busy=1020.0)
    # 20 s of work in 10 s, of which 15 s are ours.
    assert load.cores() == pytest.approx(0.5)
    machine(clock=110.0, own=30.0, busy=1020.0)  # counters of another grain
    assert load.cores() == 0.0


def test_where_nobody_says_it_is_not_called_quiet(tmp_path):
    assert OtherLoad(tmp_path / 'absent').cores() is None
    assert not is_quiet(None)


def test_quiet_is_a_twentieth_of_the_cores(monkeypatch):
    monkeypatch.setattr(other_load.os, 'cpu_count', lambda: 2)
    assert is_quiet(0.09)
    assert not is_quiet(0.11)
