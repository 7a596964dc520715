"""Two networks that are trained against each other fit the contract, and resume exactly."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import random

from eojax.methods import METHODS
from eojax.runs import run as runs
from eojax.runs.carry import initial_carry
from eojax.training.loop import Stopped, train
from eojax.training.step_program import compile_phase
from tests.methods.toy_gan import TOY_GAN
from tests.training_runs import assert_same_bits, rows, saved_state, small_config, stop_at


@pytest.fixture(autouse=True)
def known(monkeypatch: pytest.MonkeyPatch) -> None:
    """The method among those that configs can name."""
    monkeypatch.setitem(METHODS, 'toy_gan', TOY_GAN)


def moved(new: Any, old: Any) -> bool:
    """Whether every array is another one than before."""
    pairs = zip(jax.tree.leaves(new), jax.tree.leaves(old), strict=True)
    return all(np.abs(np.asarray(a) - np.asarray(b)).max() > 0 for a, b in pairs)


def test_one_donated_step_moves_both_networks(tmp_path: Path):
    run = runs.prepare(small_config('toy_gan'), tmp_path)
    key = random.key(0)
    carry = initial_carry(run, key)
    before = jax.tree.map(jnp.copy, carry.state)  # a view on the host would forbid the donation
    phase = run.method.phases[0]
    feed = run.feed.feed(phase.streams, key, 0)
    after, _ = compile_phase(run, phase, carry, key).one(carry, feed, key)
    held = [p for p, x in jax.tree_util.tree_leaves_with_path(carry.state) if not x.is_deleted()]
    assert not held
    for new, old in zip(after.state, before, strict=True):
        assert moved(new.parameters, old.parameters)
        assert int(new.updates) == int(old.updates) + 1 == 1
    assert moved(after.state.generator.statistics, before.generator.statistics)
    assert not after.state.discriminator.statistics
    # Each has a running average of its own: of the second one the newest parameters.
    second = after.state.discriminator
    jax.tree.map(np.testing.assert_array_equal, second.average, second.parameters)
    assert moved(after.state.generator.average, after.state.generator.parameters)
    run.feed.close()


def test_stopped_and_resumed_equals_uninterrupted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    whole, parted = tmp_path / 'whole', tmp_path / 'parted'
    out = train(small_config('toy_gan'), whole)
    assert (out / 'samples.png').exists()
    stop_at(monkeypatch, 7, signal.SIGTERM)
    with pytest.raises(Stopped):
        train(small_config('toy_gan'), parted)
    train(small_config('toy_gan'), parted)
    state = saved_state(whole, 12)
    assert {name.split('.')[1] for name in state if name.startswith('state.')} == {
        'generator', 'discriminator',
    }  # fmt: skip
    assert_same_bits(saved_state(parted, 12), state)
    assert rows(parted)[-1] == rows(whole)[-1]
