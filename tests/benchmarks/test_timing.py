"""Interleaved timing against a clock that the workloads themselves move."""

from __future__ import annotations

import pytest

from benchmarks.timing import Workload, interleave, rates, ratios, spread, times_faster


class Clock:
    """Time that passes only in workloads, and what they did."""

    def __init__(self) -> None:
        self.now = 0.0
        self.order: list[tuple[str, int]] = []

    def __call__(self) -> float:
        return self.now

    def workload(self, name: str, *seconds: float) -> Workload:
        """Takes these seconds once, call after call; the last ones go on."""
        left = list(seconds)

        def run(times: int) -> None:
            self.order.append((name, times))
            self.now += times * (left.pop(0) if len(left) > 1 else left[0])

        return Workload(name, run)


def test_workloads_take_turns():
    clock = Clock()
    chosen = [clock.workload(name, 1.0) for name in ('ours', 'a', 'b')]
    interleave(chosen, 3, 0.5, clock)
    # The first call of each finds out how often it must run.
    assert [name for name, _ in clock.order] == ['ours', 'a', 'b'] * 4


def test_seconds_are_those_of_one_time_in_each_round():
    clock = Clock()
    taken = interleave([clock.workload('x', 1.0, 1.0, 3.0, 2.0)], 3, 0.5, clock)
    assert taken == {'x': [1.0, 3.0, 2.0]}


def test_a_short_workload_runs_as_often_as_the_seconds_take():
    clock = Clock()
    taken = interleave([clock.workload('x', 0.001)], 2, 0.5, clock)
    assert clock.order[-1] == ('x', 500)
    assert taken['x'] == pytest.approx([0.001, 0.001])


def test_median_and_spread():
    assert spread([3.0, 1.0, 10.0]) == (3.0, 1.0, 10.0)
    assert rates([0.5, 0.25, 1.0], amount=2.0) == (4.0, 2.0, 8.0)


def test_a_ratio_is_taken_round_by_round():
    # A minute at half the speed in the second round slows both and leaves the ratio.
    assert ratios([1.0, 2.0, 1.0], [3.0, 6.0, 4.0]) == (3.0, 3.0, 4.0)
    with pytest.raises(ValueError, match='shorter'):
        ratios([1.0, 2.0], [1.0])


@pytest.mark.parametrize(
    ('ratio', 'text'), [(0.714, '0.71x'), (1.0, '1.00x'), (5.126, '5.13x'), (25.84, '25.8x')]
)
def test_a_ratio_is_printed_as_times(ratio, text):
    assert times_faster(ratio) == text
