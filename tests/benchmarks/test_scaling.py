"""Scaling: a tiny measurement over real numbers of devices, and what is said to be measured."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from benchmarks import scaling
from benchmarks.collectives import reduced_bytes
from benchmarks.flops import StepFlops
from benchmarks.forced_devices import ForcedDevices, Size, jem_config
from benchmarks.scaling import Step
from eojax.errors import UserError

TINY = Size(depth=10, width=1, pixels=16, updates=1)
STEP = Step(StepFlops(5e12, 20, 25e12), 146_000_000, 28, 64)


@pytest.fixture(scope='module')
def measured() -> dict[str, Any]:
    """Over one and two devices, so small that only the numbers' names and relations mean much."""
    numbers: dict[str, Any] = scaling.measure((1, 2), 4, TINY, 2, 0.0, ('strong',))
    # For the other half of the table.
    weak = {k.replace('strong', 'weak'): v for k, v in numbers.items() if 'strong' in k}
    return numbers | weak


def test_real_processes_are_measured(measured: dict[str, Any]) -> None:
    assert [measured[f'measured_strong_{n}_devices_batch'] for n in (1, 2)] == [8, 8]
    assert measured['measured_strong_1_devices_relative_throughput'] == 1.0
    for n in (1, 2):
        start = f'measured_strong_{n}_devices_steps_per_second'
        assert 0.0 < measured[f'{start}_low'] <= measured[start] <= measured[f'{start}_high']
        assert measured[start] < math.inf


def test_each_batch_is_timed_once_and_weak_scaling_counts_images(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made = []

    class Fake(ForcedDevices):
        def __init__(self, devices: int, batch: int, size: Size) -> None:
            made.append((devices, batch))
            self.devices, self.batch, self.collectives = devices, batch, {'all-reduce': 8}

        def wait(self) -> None:
            pass

        def __exit__(self, *error: object) -> None:
            pass

    def turns(workloads: list[Any], repeats: int, seconds: float) -> dict[str, list[float]]:
        # A step takes as long as it has images, and a tenth more for each further device.
        pairs = {w.name: w.run.__self__ for w in workloads}
        return {k: [p.batch * (0.9 + 0.1 * p.devices)] * repeats for k, p in pairs.items()}

    monkeypatch.setattr(scaling, 'ForcedDevices', Fake)
    monkeypatch.setattr(scaling, 'interleave', turns)
    found = scaling.measure((1, 2, 4), 4, TINY, repeats=3, seconds=0.0)
    assert sorted(made) == [(1, 4), (1, 16), (2, 8), (2, 16), (4, 16)]
    for name, batches in (('strong', (16, 16, 16)), ('weak', (4, 8, 16))):
        for n, batch, cost in zip((1, 2, 4), batches, (1.0, 1.1, 1.3), strict=True):
            start = f'measured_{name}_{n}_devices'
            assert found[f'{start}_batch'] == batch
            expected = 1.0 / (batch * cost)
            assert found[f'{start}_steps_per_second'] == pytest.approx(expected, abs=1e-4)
            # Images per second: each has one device's, but for what splitting costs.
            relative = found[f'{start}_relative_throughput']
            assert relative == pytest.approx(1.0 / cost, abs=1e-4)
    assert found['measured_4_devices_all_reduce_bytes'] == 8


def test_the_compiled_step_sums_the_gradient_and_one_device_tells_nobody(
    measured: dict[str, Any],
) -> None:
    gradient, metrics = reduced_bytes(jem_config(8, TINY), (16, 16, 3), 10)
    # What the predictions assume, and a few scalars more.
    summed = measured['measured_2_devices_all_reduce_bytes']
    assert gradient + metrics <= summed <= gradient + metrics + 1_000
    assert not [name for name in measured if name.startswith('measured_1_devices_')]


def test_what_is_printed_says_that_it_is_measured(measured: dict[str, Any]) -> None:
    text = scaling.measured_text(measured, (1, 2), TINY)
    assert text.startswith('MEASURED: ')
    assert 'PREDICTED' not in text
    assert 'it is no speed-up' in text.replace('\n', ' ')
    assert '  1 device(s): none' in text.splitlines()
    gradient = f'{measured["measured_2_devices_all_reduce_bytes"]:,}'
    assert f'all-reduce {gradient}' in text


def test_a_process_that_ends_is_an_error_in_one_line(capfd: pytest.CaptureFixture[str]) -> None:
    with (
        pytest.raises(UserError, match='the process with 1 CPU devices ended with code 1'),
        ForcedDevices(1, 4, TINY._replace(pixels=10)) as process,
    ):
        process.wait()
    assert 'divisible by 4' in capfd.readouterr().err


def test_predictions_say_that_they_are_none_of_the_measured() -> None:
    numbers = scaling.predicted_numbers(STEP, 0.5)
    assert all(name.startswith('predicted_') for name in numbers)
    text = scaling.predicted_text(numbers, STEP, 0.5)
    assert text.startswith('PREDICTED, not measured: ')
    assert 'MEASURED' not in text
    assert '50% of the published bfloat16 peak' in text
    # By hand, TPU v4, 64 chips, one batch: 125 TFLOP / 64 at 137.5 TFLOP/s, and 2 x 63/64 of the
    # bytes at 100 GB/s; 2/3 of training's fifth can hide some of them.
    compute, told = 125e12 / 64 / 137.5e12, 2 * 63 / 64 * 146_000_028 / 100e9
    hidden = 2 / 3 * 25e12 / 64 / 137.5e12
    name = 'predicted_tpu_v4_strong_64_chips_efficiency'
    assert numbers[f'{name}_no_overlap'] == pytest.approx(compute / (compute + told), abs=1e-4)
    expected = compute / (compute + told - hidden)
    assert numbers[f'{name}_full_overlap'] == pytest.approx(expected, abs=1e-4)


def test_a_batch_is_not_shared_by_more_chips_than_it_has_images() -> None:
    numbers: dict[str, Any] = scaling.predicted_numbers(STEP, 0.5)
    for chips in (128, 256):
        assert numbers[f'predicted_h100_strong_{chips}_chips_efficiency_no_overlap'] is None
        assert numbers[f'predicted_h100_weak_{chips}_chips_efficiency_no_overlap'] > 0.9
    lines = scaling.predicted_text(numbers, STEP, 0.5).splitlines()
    ends = [line.split()[-2:] for line in lines if line.startswith('256 ')]
    assert ends == [['-', '-']] * 4


def test_a_record_holds_the_numbers_and_how_they_came_about(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(scaling, 'counted_step', lambda file: STEP)
    out = tmp_path / 'scaling.json'
    scaling.main(['--only=predicted', f'--out={out}', f'--commit={"0" * 40}', '--notes=made up'])
    record = json.loads(out.read_text())
    assert record['command'] == 'python -m benchmarks.scaling --repeats=5 --only=predicted'
    assert record['commit'] == '0' * 40
    assert record['notes'] == 'made up'
    assert record['numbers'] == scaling.predicted_numbers(STEP, scaling.UTILISATION)
    assert record['scaling'] == {'predicted': {'config': 'jem_eurosat.py', 'utilisation': 0.5}}
    assert 'PREDICTED' in capsys.readouterr().out


def test_the_published_step_is_that_of_wrn_28_10() -> None:
    step = scaling.counted_step(scaling.CONFIG)
    assert step.batch == 64
    assert step.gradient_bytes == pytest.approx(4 * 36.5e6, rel=0.005)  # 36.5 M parameters
    assert step.flops.updates == 20


@pytest.mark.parametrize('words', [['--repeats=0'], ['--out={}/none/x.json'], ['--out={}']])
def test_what_cannot_work_is_said_before_anything_is_timed(
    words: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        scaling.main([word.format(tmp_path) for word in words])
    assert caught.value.code == 1
    assert capsys.readouterr().err.count('\n') == 1
