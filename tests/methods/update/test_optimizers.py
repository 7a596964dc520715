"""Optimisers and schedules, against formulas and updates worked out by hand."""

from __future__ import annotations

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from ml_collections import ConfigDict

from eojax import option
from eojax.errors import UserError
from eojax.methods.update import optimizers


def options(**changes: Any) -> ConfigDict:
    return ConfigDict({**option.defaults(optimizers.OPTIONS), **changes})


def rates(steps: int, **changes: Any) -> list[float]:
    schedule = optimizers.learning_rate(options(**changes), steps)
    return [float(schedule(jnp.asarray(s))) for s in range(steps)]


def test_constant_after_a_linear_warm_up_from_zero() -> None:
    found = rates(8, learning_rate=0.4, warmup_steps=4)
    np.testing.assert_allclose(found, [0.0, 0.1, 0.2, 0.3, 0.4, 0.4, 0.4, 0.4], rtol=1e-6)
    np.testing.assert_allclose(rates(3, learning_rate=0.4), [0.4] * 3, rtol=1e-6)


@pytest.mark.parametrize('warmup', [0, 5])
def test_milestones_are_shares_of_all_steps(warmup: int) -> None:
    found = rates(
        20, learning_rate=1.0, schedule='milestones', milestones=(0.8, 0.9),
        milestone_factor=0.3, warmup_steps=warmup,
    )  # fmt: skip
    expected = [1.0] * 16 + [0.3] * 2 + [0.09] * 2
    np.testing.assert_allclose(found[warmup:], expected[warmup:], rtol=1e-6)


def test_milestones_that_fall_on_one_step_both_count() -> None:
    found = rates(4, learning_rate=1.0, schedule='milestones', milestones=(0.5, 0.55))
    np.testing.assert_allclose(found, [1.0, 1.0, 0.09, 0.09], rtol=1e-6)


def test_half_cosine_ends_near_zero() -> None:
    found = rates(10, learning_rate=2.0, schedule='cosine')
    expected = [1.0 + math.cos(math.pi * s / 10) for s in range(10)]
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_fixmatch_cosine() -> None:
    # cos(7 pi k / 16 K): ends at cos(7 pi / 16) of the peak.
    found = rates(100, learning_rate=0.03, schedule='cosine', cosine_cycles=7 / 32)
    expected = [0.03 * math.cos(7 * math.pi * k / 1600) for k in range(100)]
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_cosine_after_warm_up_begins_at_the_peak() -> None:
    found = rates(10, learning_rate=1.0, schedule='cosine', cosine_cycles=0.25, warmup_steps=4)
    assert found[4] == pytest.approx(1.0)
    assert found[9] == pytest.approx(math.cos(math.pi / 2 * 5 / 6), rel=1e-5)


def _first_update(gradient: dict[str, Any], parameters: dict[str, Any], **changes: Any) -> Any:
    optimizer = optimizers.build(options(learning_rate=0.1, **changes), 10)
    return optimizer.update(gradient, optimizer.init(parameters), parameters)[0]


PARAMETERS = {'kernel': jnp.full((2, 2), 3.0), 'bias': jnp.full((2,), 3.0)}
GRADIENT = {'kernel': jnp.full((2, 2), 0.5), 'bias': jnp.full((2,), 0.5)}


def test_sgd_adds_weight_decay_to_the_gradient_of_kernels() -> None:
    update = _first_update(
        GRADIENT, PARAMETERS, name='sgd', momentum=0.0, nesterov=False, weight_decay=0.01
    )
    np.testing.assert_allclose(update['kernel'], -0.1 * (0.5 + 0.01 * 3.0), rtol=1e-6)
    np.testing.assert_allclose(update['bias'], -0.1 * 0.5, rtol=1e-6)


def test_nesterov_momentum_by_hand() -> None:
    optimizer = optimizers.build(options(name='sgd', learning_rate=0.1, momentum=0.9), 10)
    state, position, velocity = optimizer.init(jnp.zeros(())), 0.0, 0.0
    for gradient in (1.0, -0.5, 2.0):
        velocity = gradient + 0.9 * velocity
        update, state = optimizer.update(jnp.asarray(gradient), state, jnp.asarray(position))
        assert float(update) == pytest.approx(-0.1 * (gradient + 0.9 * velocity), rel=1e-5)
        position += float(update)


def test_adam_decouples_weight_decay() -> None:
    update = _first_update(GRADIENT, PARAMETERS, name='adam', weight_decay=0.01)
    # The first step of Adam is the sign of the gradient.
    np.testing.assert_allclose(update['kernel'], -0.1 * (1.0 + 0.01 * 3.0), rtol=1e-4)
    np.testing.assert_allclose(update['bias'], -0.1, rtol=1e-4)


def test_the_gradient_is_clipped_by_its_global_norm() -> None:
    gradient = {'kernel': jnp.full((2, 2), 3.0), 'bias': jnp.asarray([8.0, 0.0])}
    update = _first_update(
        gradient, PARAMETERS, name='sgd', momentum=0.0, nesterov=False, clip_norm=1.0
    )
    assert float(optax.tree.norm(update)) == pytest.approx(0.1, rel=1e-5)
    assert float(update['bias'][0]) == pytest.approx(-0.08, rel=1e-5)


SCALES = {'a': jnp.asarray([1.0, 4.0]), 'b': jnp.asarray(9.0)}


def _quadratic_gradient(parameters: dict[str, Any]) -> tuple[Any, Any]:
    """Of sum_i h_i w_i^2 / 2, with the parameters beside it."""
    gradient = {name: SCALES[name] * value for name, value in parameters.items()}
    return gradient, parameters


@pytest.mark.parametrize('adaptive', [False, True])
def test_sharpness_aware_gradient_of_a_quadratic(adaptive: bool) -> None:
    parameters = {'a': jnp.asarray([0.5, -2.0]), 'b': jnp.asarray(0.1)}
    chosen = options(sharpness_radius=0.3, sharpness_adaptive=adaptive)
    found, beside = optimizers.sharpness_aware_gradient(_quadratic_gradient, parameters, chosen)
    # h (w + e), the closed form: e = r h w / ||h w||, or r h w^3 / ||h w^2|| where adaptive.
    w, h = np.array([0.5, -2.0, 0.1]), np.array([1.0, 4.0, 9.0])
    power = 3 if adaptive else 1
    ascent = 0.3 * h * w**power / np.linalg.norm(h * w ** (2 if adaptive else 1))
    np.testing.assert_allclose(np.append(found['a'], found['b']), h * (w + ascent), rtol=1e-5)
    assert beside is parameters  # what stands beside the gradient is that of the parameters


def test_adaptive_ascent_does_not_change_with_the_weights_scale() -> None:
    # The loss of w and that of w / c at c w are one function: the relative ascent is the same.
    chosen = options(sharpness_radius=0.3, sharpness_adaptive=True)
    seen: list[np.ndarray] = []
    for scale in (1.0, 20.0):

        def gradient_of(w: jax.Array, scale: float = scale) -> tuple[jax.Array, None]:
            seen.append(np.asarray(w / scale))
            return jnp.asarray([3.0, -1.0]) / scale, None

        optimizers.sharpness_aware_gradient(gradient_of, scale * jnp.asarray([0.5, 2.0]), chosen)
    assert len(seen) == 4
    np.testing.assert_allclose(seen[1], seen[3], rtol=1e-5)
    assert not np.allclose(seen[0], seen[1])


def test_without_a_radius_the_gradient_is_taken_once() -> None:
    calls = []

    def gradient_of(w: jax.Array) -> tuple[jax.Array, str]:
        calls.append(w)
        return 2.0 * w, 'beside'

    found, beside = optimizers.sharpness_aware_gradient(gradient_of, jnp.ones(3), options())
    assert (len(calls), beside) == (1, 'beside')
    np.testing.assert_array_equal(found, 2.0 * np.ones(3))


@pytest.mark.parametrize('adaptive', [False, True])
def test_a_zero_gradient_ascends_nowhere(adaptive: bool) -> None:
    chosen = options(sharpness_radius=2.0, sharpness_adaptive=adaptive)
    parameters = {'a': jnp.zeros(2), 'b': jnp.zeros(())}
    found, _ = optimizers.sharpness_aware_gradient(_quadratic_gradient, parameters, chosen)
    assert not np.any(found['a'])
    assert not np.any(found['b'])


def check(values: ConfigDict) -> None:
    option.check(optimizers.OPTIONS, values, 'optimizer')
    optimizers.check(values)


@pytest.mark.parametrize(
    ('changes', 'line'),
    [
        ({'name': 'adams'}, "unknown optimizer.name 'adams'; did you mean 'adam'"),
        ({'schedule': 'cosin'}, "unknown optimizer.schedule 'cosin'; did you mean 'cosine'"),
        ({'learning_rate': 0.0}, 'optimizer.learning_rate must be positive'),
        ({'learning_rate': math.inf}, 'optimizer.learning_rate must be a finite number'),
        ({'milestone_factor': 0.0}, 'optimizer.milestone_factor must be positive'),
        ({'b1': 1.0}, r'optimizer.b1 must lie in \[0, 1\)'),
        ({'b2': -0.1}, r'optimizer.b2 must lie in \[0, 1\)'),
        ({'momentum': 1.0}, r'optimizer.momentum must lie in \[0, 1\)'),
        ({'weight_decay': -1.0}, 'optimizer.weight_decay must not be negative'),
        ({'clip_norm': -1.0}, 'optimizer.clip_norm must not be negative'),
        ({'sharpness_radius': -0.1}, 'optimizer.sharpness_radius must not be negative'),
        ({'sharpness_radius': math.inf}, 'optimizer.sharpness_radius must be a finite'),
        ({'sharpness_adaptive': True}, 'optimizer.sharpness_adaptive needs'),
        ({'warmup_steps': -1}, 'optimizer.warmup_steps must not be negative'),
        ({'milestones': (160, 180)}, 'optimizer.milestones are shares of all steps'),
        ({'schedule': 'milestones'}, 'optimizer.milestones is empty'),
        ({'cosine_cycles': 0.4}, 'optimizer.cosine_cycles must lie in'),
        ({'cosine_cycles': 0.0}, 'optimizer.cosine_cycles must lie in'),
    ],
)
def test_refusals(changes: dict[str, Any], line: str) -> None:
    with pytest.raises(UserError, match=line):
        check(options(**changes))


def test_defaults_pass() -> None:
    check(options())
    check(options(schedule='cosine', cosine_cycles=7 / 32))
    check(options(sharpness_radius=2.0, sharpness_adaptive=True))
