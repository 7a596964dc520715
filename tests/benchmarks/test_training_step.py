"""The parts of a training step that are timed."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.suites import suites
from benchmarks.training_step import TrainingStep, _memory_of
from tests.tiny_runs import tiny_config


@pytest.mark.parametrize('resident_gigabytes', [4.0, 0.0], ids=['resident', 'streamed'])
def test_the_parts_can_be_timed_by_turns(resident_gigabytes):
    config = tiny_config('supervised')
    config.steps = 100
    config.data.resident_gigabytes = resident_gigabytes
    step = TrainingStep(config)
    assert step.run.feed.streamed == (resident_gigabytes == 0.0)
    before = np.asarray(step.parameters['head']['kernel'])
    workloads = step.workloads()
    done = int(step._carry.step)
    for _ in range(2):
        for workload in workloads:
            workload.run(3)
    # Only what is end to end trains on; the others leave its state alone.
    assert int(step._carry.step) == done + 6
    assert not np.allclose(
        np.asarray(step._carry.state.trained.parameters['head']['kernel']), before
    )
    assert step.healthy()
    assert step.images == config.batch_size
    assert step.compile_seconds > 0.0
    step.close()


def test_the_phase_with_chains_is_timed():
    config = tiny_config('jem')
    config.method.supervised_steps = 2
    step = TrainingStep(config)
    assert step.phase.name == 'joint'
    assert 'sampler_gradient' in step._carry.sums
    assert step.images == config.batch_size + config.method.likelihood_batch_size


def test_windows_of_the_joint_phase_of_pixels_are_timed():
    config = suites()['tiny'].entries['seg_jem']()
    step = TrainingStep(config)
    assert step.phase.name == 'joint'
    assert 'sampler_gradient' in step._carry.sums
    assert step.images == 2 * config.batch_size
    assert step.healthy()
    step.close()


def test_memory_is_the_devices_where_its_peak_rose_else_the_programs():
    class Program:
        def memory_analysis(self):
            sizes = {'argument': 7, 'output': 5, 'alias': 4, 'temp': 30}
            return type('', (), {f'{k}_size_in_bytes': v for k, v in sizes.items()})

    assert _memory_of(Program(), 10, 25) == (25, True)
    assert _memory_of(Program(), 25, 25) == (38, False)
    assert _memory_of(Program(), None, None) == (38, False)
