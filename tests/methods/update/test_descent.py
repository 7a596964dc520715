"""The shared update: the running average, the parameters that it moves, and what it passes on."""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
from jax import Array
from ml_collections import ConfigDict

from eojax import option
from eojax.methods.update import descent, optimizers
from eojax.methods.update.descent import Aside, running_average


def plain(**changes: Any) -> ConfigDict:
    """Gradient descent at rate 0.5."""
    values = {'name': 'sgd', 'learning_rate': 0.5, 'momentum': 0.0, 'nesterov': False}
    return ConfigDict({**option.defaults(optimizers.OPTIONS), **values, **changes})


def parabola(parameters: Any) -> tuple[Array, Aside]:
    """1/2 sum of squares, whose gradient is the parameters themselves."""
    total = sum(jnp.square(value).sum() for value in parameters.values())
    return 0.5 * total, Aside({'seen': total}, {'mean': total}, kept='kept')


def test_only_the_named_parameters_move():
    down = descent.build(plain(momentum=0.9), 10, 0.5, ('a',))
    begun = down.begin({'a': jnp.array([4.0, 3.0]), 'b': jnp.array([2.0])}, {'mean': 0.0})
    after, aside = down.step(begun, parabola)
    np.testing.assert_allclose(after.parameters['a'], [2.0, 1.5])
    np.testing.assert_array_equal(after.parameters['b'], [2.0])
    # The first update's memory is a tenth, not a half: 0.1 of the old and 0.9 of the new.
    np.testing.assert_allclose(after.average['a'], [2.2, 1.65], rtol=1e-6)
    np.testing.assert_array_equal(after.average['b'], [2.0])
    assert int(after.updates) == 1
    assert float(after.statistics['mean']) == 29.0
    assert aside.kept == 'kept'
    # Of the loss at the old parameters; the gradient is that of the moved ones alone.
    assert {name: float(value) for name, value in aside.metrics.items()} == pytest.approx(
        {'loss': 14.5, 'seen': 29.0, 'gradient_norm': 5.0}
    )


def test_a_second_descent_goes_on_with_moments_of_its_own():
    first, second = (descent.build(plain(momentum=m), 10) for m in (0.9, 0.5))
    trained, _ = first.step(first.begin({'a': jnp.array([4.0])}), parabola)
    assert float(trained.moments[0][0].trace['a'][0]) == 4.0
    taken = second.take_over(trained)
    assert float(taken.moments[0][0].trace['a'][0]) == 0.0
    assert taken._replace(moments=None) == trained._replace(moments=None)
    after, _ = second.step(taken, parabola)
    np.testing.assert_allclose(after.parameters['a'], [1.0])
    assert int(after.updates) == 2


def test_running_average_forgets_the_initial_values():
    average = jnp.float32(100.0)
    expected = 100.0
    for step in range(30):
        average = running_average(average, jnp.float32(step), jnp.int32(step), 0.6)
        decay = min(0.6, (1.0 + step) / (10.0 + step))
        expected = decay * expected + (1.0 - decay) * step
    np.testing.assert_allclose(average, expected, rtol=1e-5)
    assert float(running_average(average, jnp.float32(5.0), jnp.int32(9), 0.0)) == 5.0
