"""Bytes and seconds of summing over devices, and what a compiled program's text says of it."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from benchmarks.chips import CHIPS, Chip
from benchmarks.collectives import (
    all_reduce_seconds,
    predict,
    reduced_bytes,
    ring_all_reduce_bytes,
)
from benchmarks.flops import StepFlops
from tests.tiny_runs import tiny_config

ROUND = Chip('round numbers', 1e12, 1e9, 0.0, 0.0, 4, 1e8)


def _ring(values: np.ndarray) -> tuple[np.ndarray, list[int]]:
    """A ring all-reduce done by hand: all sums, and the bytes that each device has sent."""
    devices = len(values)
    parts = values.copy().reshape(devices, devices, -1)
    sent = [0] * devices
    for phase, step in itertools.product((0, 1), range(devices - 1)):
        before = parts.copy()
        for device in range(devices):
            part, right = (device - step + phase) % devices, (device + 1) % devices
            taken = before[device, part]
            parts[right, part] = taken if phase else before[right, part] + taken
            sent[device] += taken.nbytes
    return parts.reshape(devices, -1), sent


@pytest.mark.parametrize('devices', [2, 3, 4, 8])
def test_the_ring_formula_counts_what_a_ring_sends(devices: int) -> None:
    values = np.random.default_rng(devices).integers(0, 9, (devices, 24 * devices))
    sums, sent = _ring(values)
    np.testing.assert_array_equal(sums, np.broadcast_to(values.sum(0), sums.shape))
    expected = ring_all_reduce_bytes(values[0].nbytes, devices)
    assert sent == [pytest.approx(expected)] * devices


def test_one_device_sends_nothing() -> None:
    assert ring_all_reduce_bytes(1e6, 1) == 0.0


def test_two_levels_by_hand() -> None:
    # In a group of 4: 2 x 3/4 of 8 MB at 1 GB/s, 12 ms. Each of its chips sums 2 MB with those of
    # the other groups at 0.1 GB/s: with one other group 2 x 1/2 of them, 20 ms; with three 30 ms.
    assert all_reduce_seconds(8e6, 4, ROUND) == pytest.approx(12e-3)
    assert all_reduce_seconds(8e6, 8, ROUND) == pytest.approx(32e-3)
    assert all_reduce_seconds(8e6, 16, ROUND) == pytest.approx(42e-3)
    assert all_reduce_seconds(8e6, 2, ROUND) == pytest.approx(8e-3)
    with pytest.raises(ValueError, match='whole number of groups'):
        all_reduce_seconds(8e6, 6, ROUND)


def test_a_prediction_by_hand() -> None:
    # 40 GFLOP in chains and 60 in training, at half of 1 TFLOP/s: 0.2 s on a chip with a batch of
    # its own, 0.08 of them backward to the parameters. 8 MB over 4 chips: 12 ms, hidden.
    flops = StepFlops(2e9, 20, 60e9)
    weak = predict(flops, 8e6, 4, ROUND, 0.5, 1.0)
    assert weak.compute_seconds == pytest.approx(0.2)
    assert weak.communication_seconds == pytest.approx(12e-3)
    assert weak.no_overlap == pytest.approx(0.2 / 0.212)
    assert weak.full_overlap == 1.0
    # One batch over 16 chips: 12.5 ms, 5 of them backward, against 42 ms.
    strong = predict(flops, 8e6, 16, ROUND, 0.5, 1.0 / 16)
    assert strong.no_overlap == pytest.approx(12.5 / 54.5)
    assert strong.full_overlap == pytest.approx(12.5 / 49.5)


@pytest.mark.parametrize('name', CHIPS)
def test_more_chips_are_never_more_efficient(name: str) -> None:
    flops = StepFlops(5e12, 20, 25e12)
    for share in (lambda n: 1.0, lambda n: 1.0 / n):
        found = [
            predict(flops, 146e6, n, CHIPS[name], 0.5, share(n)) for n in (8, 16, 32, 64, 128, 256)
        ]
        for fewer, more in itertools.pairwise(found):
            assert more.no_overlap < fewer.no_overlap
            assert more.full_overlap <= fewer.full_overlap
        for each in found:
            assert 0.0 < each.no_overlap < each.full_overlap <= 1.0


def test_the_gradient_is_as_large_as_the_parameters() -> None:
    config = tiny_config('jem')
    config.model.density_head = False
    # WRN-10-1 with biases: a stem, three blocks of two convolutions, shortcuts where the width or
    # the resolution changes (not in the first), and the linear layer on top.
    count = 9 * 3 * 16 + 16
    for before, after in ((16, 16), (16, 32), (32, 64)):
        count += 9 * before * after + after + 9 * after * after + after
        count += (before * after + after) * (before != after)
    count += 64 * 10 + 10
    gradient, metrics = reduced_bytes(config, (16, 16, 3), 10)
    assert gradient == 4 * count
    assert metrics % 4 == 0
    assert 0 < metrics < 100
