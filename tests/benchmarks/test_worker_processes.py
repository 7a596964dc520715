"""Results in order, and a queue that is as full after a turn as before it."""

from __future__ import annotations

import itertools
import os
import time

import pytest

from benchmarks import other_load
from benchmarks.worker_processes import Workers


def _work(held: int, task: int) -> tuple[int, int]:
    end = time.process_time() + 0.02
    while time.process_time() < end:
        pass
    return held + task, os.getpid()


@pytest.mark.parametrize('num', [0, 2])
def test_results_come_in_order_from_other_processes(num):
    workers = Workers(_work, 100, itertools.count(), num)
    found = [next(workers) for _ in range(9)]
    assert [value for value, _ in found] == list(range(100, 109))
    processes = {process for _, process in found}
    assert processes == {os.getpid()} if not num else os.getpid() not in processes
    workers.close()
    workers.close()


def test_after_settling_all_that_was_asked_for_is_there():
    asked = []

    def tasks():
        for task in itertools.count():
            asked.append(task)
            yield task

    workers = Workers(_work, 0, tasks(), 1, ahead=3)
    assert len(asked) == 3
    next(workers)
    workers.settle()
    assert len(asked) == 4
    assert all(pending.ready() for pending in workers._pending)
    workers.close()


def test_what_workers_compute_is_no_load_of_others():
    workers = Workers(_work, 0, itertools.count(), 1)
    next(workers)
    workers.settle()
    before = other_load._own_seconds() - sum(os.times()[:2])
    for _ in range(20):
        next(workers)
    workers.settle()
    spent = other_load._own_seconds() - sum(os.times()[:2]) - before
    assert 0.2 < spent < 5.0
    workers.close()
