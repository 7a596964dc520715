"""Denoising score matching against its closed form on Gaussian data."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import Array, random

from eojax.losses.denoising_score_matching import denoising_score_matching

VARIANCE = 0.3  # of the data, whose mean is 0
IMAGES = jnp.sqrt(VARIANCE) * random.normal(random.key(0), (256, 16, 16, 1))


def gaussian(variance: Array | float) -> Callable[[Array], Array]:
    return lambda x: -jnp.square(x).sum((1, 2, 3)) / (2.0 * variance)


def expected(model_variance: float, scale: float, low: float, high: float) -> float:
    """With c = scale / variance, E[(-c (x + sigma n) + sigma n)^2 / sigma^2]."""
    contraction = scale / model_variance
    if low == high:
        inverse = 1.0 / low**2
    else:  # the mean of sigma^-2 under a log-uniform sigma
        inverse = (low**-2 - high**-2) / (2.0 * np.log(high / low))
    return contraction**2 * VARIANCE * inverse + (1.0 - contraction) ** 2


@pytest.mark.parametrize('levels', [(0.5, 0.5), (0.3, 1.2)])
@pytest.mark.parametrize(('model_variance', 'scale'), [(0.3, 0.1), (1.0, 0.5), (0.6, 1.0)])
def test_loss_of_a_gaussian_has_its_analytic_value(
    levels: tuple[float, float], model_variance: float, scale: float
):
    loss = denoising_score_matching(gaussian(model_variance), IMAGES, random.key(1), levels, scale)
    # Over 256 noise levels the mean of sigma^-2 has a standard error of 5%; one level has none.
    tolerance = 0.02 if levels[0] == levels[1] else 0.12
    assert float(loss) == pytest.approx(expected(model_variance, scale, *levels), rel=tolerance)


def test_a_flat_density_costs_one():
    loss = denoising_score_matching(
        lambda x: 0.0 * x.sum((1, 2, 3)), IMAGES, random.key(2), (0.02, 0.6)
    )
    assert float(loss) == pytest.approx(1.0, abs=0.02)


def test_perfect_denoising_costs_nothing():
    clean = jnp.full((4, 3, 3, 2), 0.25)  # all data at one point: log p = -(x - 1/4)^2 / 2 s
    loss = denoising_score_matching(
        lambda x: -jnp.square(x - 0.25).sum((1, 2, 3)) / 1.4, clean, random.key(3), (0.1, 1.0), 0.7
    )
    assert float(loss) < 1e-9


def test_the_true_one_step_denoiser_is_the_minimum():
    # At one level, x~ + s score is the posterior mean where s / v = sigma^2 / (VARIANCE + sigma^2).
    sigma, scale = 0.5, 0.2
    best = scale * (VARIANCE + sigma**2) / sigma**2

    def loss(variance: Array) -> Array:
        return denoising_score_matching(
            gaussian(variance), IMAGES, random.key(4), (sigma, sigma), scale
        )

    losses = jax.vmap(loss)(best * jnp.asarray([0.7, 0.9, 1.0, 1.1, 1.4]))
    assert int(losses.argmin()) == 2
    assert float(losses[2]) == pytest.approx(VARIANCE / (VARIANCE + sigma**2), rel=0.02)
    slope = jax.grad(loss)(jnp.float32(best)) * best
    assert abs(float(slope)) < 0.02  # against about 1 at half of that variance
    assert abs(float(jax.grad(loss)(jnp.float32(best / 2.0)) * best)) > 0.5


def test_noise_levels_are_log_uniform_and_drawn_for_each_image():
    levels = []

    def record(x: Array) -> Array:
        jax.debug.callback(lambda v: levels.append(np.asarray(v)), jax.lax.stop_gradient(x))
        return 0.0 * x.sum((1, 2, 3))

    denoising_score_matching(record, jnp.zeros((2000, 8, 8, 1)), random.key(5), (0.02, 0.6))
    jax.effects_barrier()
    logs = np.log(levels[0].std((1, 2, 3)))
    # The level itself is estimated from 64 pixels, which adds a deviation of 0.09.
    low, high = np.log(0.02), np.log(0.6)
    assert logs.mean() == pytest.approx((low + high) / 2.0, abs=0.1)
    assert logs.var() == pytest.approx((high - low) ** 2 / 12.0, rel=0.1)


def test_pixels_that_hold_no_data_get_no_noise_and_do_not_count():
    valid = jnp.ones((256, 16, 16), bool).at[:, :, 8:].set(False)
    levels = (0.5, 0.5)

    def loss(images: Array) -> float:
        return float(denoising_score_matching(gaussian(0.6), images, random.key(1), levels, 0.3,
                                              valid))  # fmt: skip

    value = loss(jnp.where(valid[..., None], IMAGES, 7.0))
    assert value == pytest.approx(loss(jnp.where(valid[..., None], IMAGES, -1.0)), rel=1e-6)
    assert value == pytest.approx(expected(0.6, 0.3, *levels), rel=0.03)
