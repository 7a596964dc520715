"""Hinge and feature matching against numbers by hand."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import Array

from eojax.losses.feature_matching import feature_matching
from eojax.losses.hinge import adversarial, hinge_of_fake, hinge_of_real


def test_hinge_by_hand() -> None:
    scores = [jnp.array([[2.0, 0.5, -1.0]]), jnp.array([[-3.0]])]
    assert float(hinge_of_real(scores)) == pytest.approx(((0 + 0.5 + 2) / 3 + 4) / 2)
    assert float(hinge_of_fake(scores)) == pytest.approx(((3 + 1.5 + 0) / 3 + 0) / 2)
    assert float(adversarial(scores)) == pytest.approx((-0.5 + 3) / 2)


def test_its_gradient_pulls_scores_apart_and_stops_at_the_margins() -> None:
    scores = jnp.array([2.0, 0.5, -2.0])

    def both(scores: Array) -> Array:
        return hinge_of_real([scores]) + 2.0 * hinge_of_fake([scores])

    np.testing.assert_allclose(jax.grad(lambda s: hinge_of_real([s]))(scores), [0, -1 / 3, -1 / 3])
    np.testing.assert_allclose(jax.grad(both)(scores), [2 / 3, 1 / 3, -1 / 3], atol=1e-6)
    np.testing.assert_allclose(jax.grad(lambda s: adversarial([s]))(scores), -np.ones(3) / 3)


def test_feature_matching_by_hand() -> None:
    fake = [[jnp.array([1.0, 3.0]), jnp.array([0.0])], [jnp.array([2.0]), jnp.array([5.0])]]
    real = [[jnp.array([0.0, 0.0]), jnp.array([4.0])], [jnp.array([2.0]), jnp.array([4.0])]]
    # Layers are summed, their values and the scales averaged.
    assert float(feature_matching(fake, real)) == pytest.approx(((2 + 4) + (0 + 1)) / 2)
    assert float(feature_matching(real, real)) == 0.0


def test_nearer_features_are_better_and_real_ones_constants() -> None:
    fake, real = jnp.array([1.0, -1.0]), jnp.array([0.0, 3.0])
    of_fake, of_real = jax.grad(lambda f, r: feature_matching([[f]], [[r]]), (0, 1))(fake, real)
    np.testing.assert_allclose(of_fake, [0.5, -0.5])
    np.testing.assert_array_equal(of_real, 0.0)
