"""The sums of a logging interval, of a method whose steps are known by hand."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import Array, random
from ml_collections import ConfigDict

from eojax.devices import sharding
from eojax.methods.method import Metrics, Phase, share_of
from eojax.runs.carry import Carry, fresh_sums, metric_names, with_sums
from eojax.training.step_program import end_interval, means, step_program


class _State(NamedTuple):
    done: Array


def _step(state: _State, batch: Any, key: Array) -> tuple[_State, Metrics]:
    """Step s counts s of four images and finds the first of them right; the loss is s."""
    number = jnp.arange(4)
    counted = number < state.done
    share = share_of('accuracy', counted & (number == 0), counted)
    return _State(state.done + 1), {'loss': state.done, **share}


def _run(names: tuple[str, ...] = ()) -> tuple[Any, Phase, Carry]:
    phase = Phase('counting', 10, {}, _step)
    run: Any = SimpleNamespace(
        config=ConfigDict({'recovery': {'max_loss': 1e9}, 'random': 'threefry2x32'}),
        facts_by_group={},
        mesh=sharding.data_mesh(),
        method=SimpleNamespace(phases=(phase,), split=()),
    )
    state = _State(jnp.zeros(()))
    return run, phase, fresh_sums(names or metric_names(run, 0, state), state, jnp.int32(0))


@pytest.mark.parametrize(('steps', 'share'), [(1, None), (2, 1.0), (4, 0.5)])
def test_a_share_is_of_all_that_the_steps_counted(steps: int, share: float | None) -> None:
    run, phase, carry = _run()
    program = jax.jit(step_program(run, phase, steps))
    carry, interval = end_interval(program(carry, {}, random.key(0))[0])
    found = means(jax.device_get(interval.sums), int(interval.summed))
    assert list(found) == ['accuracy', 'loss']
    assert found['loss'] == pytest.approx((steps - 1) / 2)
    # 0 + 1 + 2 + 3 images were counted, 0 + 1 + 1 + 1 of them right. Of none there is no share.
    np.testing.assert_allclose(found['accuracy'], np.nan if share is None else share)
    assert not any(float(value) for value in carry.sums.values())


def test_sums_of_another_version_begin_anew() -> None:
    run, _, carry = _run()
    assert with_sums(run, 0, carry) is carry
    _, _, older = _run(('accuracy', 'loss'))
    older = older._replace(
        sums={name: value + 3.0 for name, value in older.sums.items()}, summed=jnp.int32(3)
    )
    renewed = with_sums(run, 0, older)
    assert sorted(renewed.sums) == sorted(carry.sums)
    assert not any(float(value) for value in renewed.sums.values())
    assert int(renewed.summed) == 0
    assert renewed.state is older.state
