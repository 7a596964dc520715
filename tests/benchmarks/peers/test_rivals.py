"""Peers are found by a config's method, and trained from the step's own beginning."""

from __future__ import annotations

from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest

torch = pytest.importorskip('torch', reason='the peers need benchmarks/requirements.txt')

from benchmarks import rivals, suites  # noqa: E402
from benchmarks.training_step import TrainingStep  # noqa: E402


@pytest.mark.parametrize(
    ('entry', 'names'),
    [
        ('fixmatch', ['reference_style', 'best_effort']),
        ('swd_transfer', ['best_effort']),
        ('segmentation', ['reference_style', 'best_effort']),
        ('fixmatch_segmentation', ['reference_style', 'best_effort']),
    ],
)
def test_an_entry_meets_the_peers_that_its_method_has(entry, names):
    step = TrainingStep(suites.suites()['tiny'].entries[entry]())
    found = rivals.build(step)
    try:
        assert [workload.name for workload in found.workloads] == names
        for workload in found.workloads:
            workload.run(2)
        assert [note.split(': ')[0] for note in found.notes] == names
    finally:
        found.close()
        step.close()


def test_a_method_without_peers_is_said_in_a_line():
    config = suites.suites()['tiny'].entries['fixmatch_jem']()
    found = rivals.build(cast(TrainingStep, SimpleNamespace(run=SimpleNamespace(config=config))))
    assert found.workloads == []
    assert found.notes == ["no PyTorch peer has the method 'fixmatch_jem'"]


def test_the_transfer_is_timed_in_its_alignment_from_the_step_where_that_begins():
    config = suites.suites()['tiny'].entries['swd_transfer']()
    step = TrainingStep(config)
    assert step.phase.name == 'alignment'
    assert int(step._carry.step) == config.method.source_steps + 2  # of the warm-up
    assert int(step._carry.state.target_updates) == 2
    assert step.images == config.batch_size + 2 * config.method.source_batch_size
    average = step._carry.state.trained.average['target']['head']['kernel']
    assert np.isfinite(np.asarray(average)).all()
    step.close()
