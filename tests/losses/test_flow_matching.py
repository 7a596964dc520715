"""Flow matching: where its loss is known, and its pairs against the best assignment."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import Array, random
from scipy.optimize import linear_sum_assignment

from eojax.losses.flow_matching import flow_matching, pair

STARTS = random.normal(random.key(0), (24, 6, 6, 2))
SHIFT = 0.5 * random.normal(random.key(1), (6, 6, 2))


@pytest.mark.parametrize('scale', [1.0, 0.5])
def test_a_shift_of_the_starts_is_matched_by_a_linear_density(scale: float) -> None:
    # The plan of a shift is the shift, in whatever order the images stand.
    images = STARTS[::-1] + SHIFT

    def loss(factor: Array | float) -> Array:
        density = lambda x: factor * (x * SHIFT).sum((1, 2, 3)) / scale  # noqa: E731
        return flow_matching(density, STARTS, images, random.key(2), scale)

    assert float(loss(1.0)) < 1e-9
    # ||(factor - 1) SHIFT||^2 / ||SHIFT||^2
    assert float(loss(0.0)) == pytest.approx(1.0, abs=1e-6)
    assert float(loss(3.0)) == pytest.approx(4.0, rel=1e-5)
    # At 3, 2 (factor - 1) = 4: it can be trained.
    assert float(jax.grad(loss)(3.0)) == pytest.approx(4.0, rel=1e-5)


def test_the_points_lie_everywhere_on_the_way() -> None:
    seen = []

    def record(x: Array) -> Array:
        jax.debug.callback(lambda v: seen.append(np.asarray(v)), jax.lax.stop_gradient(x))
        return 0.0 * x.sum((1, 2, 3))

    num = 1000
    flow_matching(record, jnp.zeros((num, 1, 1, 1)), jnp.full((num, 1, 1, 1), 2.0), random.key(3))
    jax.effects_barrier()
    time = np.sort(seen[0].ravel() / 2.0)
    assert np.abs(time - (np.arange(num) + 0.5) / num).max() < 0.05  # Kolmogorov: 0.043 in 95 %


@pytest.mark.parametrize('num', [16, 64])
def test_pairs_are_nearly_those_of_least_cost(num: int) -> None:
    starts, images = (
        np.asarray(random.normal(random.key(seed), (num, 48))) * scale + shift
        for seed, scale, shift in ((4, 1.0, 0.0), (5, 0.6, 0.3))
    )
    costs = np.square(starts[:, None] - images[None]).sum(-1)
    best = costs[linear_sum_assignment(costs)].mean()
    draws = jax.vmap(lambda key: pair(starts, images, key))(random.split(random.key(6), 200))
    assert draws.shape == (200, num)
    reached = costs[np.asarray(draws), np.arange(num)].mean()
    assert reached < best + 0.1 * (costs.mean() - best)
    # Each start has its share of the images.
    shares = np.bincount(np.asarray(draws).ravel(), minlength=num) / 200
    assert shares.mean() == 1.0
    assert np.abs(shares - 1.0).max() < 0.15


def test_equal_starts_are_paired_without_a_preference() -> None:
    images = random.normal(random.key(7), (8, 5))
    draws = jax.vmap(lambda key: pair(jnp.zeros((8, 5)), images, key))(
        random.split(random.key(8), 2000)
    )
    shares = np.bincount(np.asarray(draws).ravel(), minlength=8) / draws.size
    assert np.abs(shares - 0.125).max() < 0.012  # four deviations
