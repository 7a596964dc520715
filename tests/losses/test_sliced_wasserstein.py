from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import Array, random
from jax.test_util import check_grads

from eojax.errors import UserError
from eojax.losses import sliced_wasserstein as module
from eojax.losses.sliced_wasserstein import distance, order_of, random_projections

KEY = random.key(5)
# As steps call them: one program, where operations by themselves are dozens to compile.
sliced_wasserstein = jax.jit(module.sliced_wasserstein, static_argnums=3)
class_conditional_sliced_wasserstein = jax.jit(
    module.class_conditional_sliced_wasserstein, static_argnums=(4, 6), static_argnames='by_size'
)


def normal(seed: int, *shape: int) -> Array:
    return random.normal(random.key(seed), shape)


def quantile_distance(x: np.ndarray, z: np.ndarray) -> float:
    """The integral of the squared difference of two quantile functions, on a grid of levels."""
    grid = (np.arange(200_000) + 0.5) / 200_000
    found = []
    for values in (x, z):
        levels = np.arange(1, len(values) + 1) / len(values)
        found.append(np.sort(values)[np.searchsorted(levels, grid).clip(max=len(values) - 1)])
    return float(((found[0] - found[1]) ** 2).mean())


def test_one_dimension_is_the_sorted_identity():
    x, z = normal(0, 33, 1), 2.0 * normal(1, 33, 1) + 0.5
    expected = np.mean((np.sort(x[:, 0]) - np.sort(z[:, 0])) ** 2)
    np.testing.assert_allclose(sliced_wasserstein(x, z, KEY, 4), expected, rtol=1e-5)


def test_directions_are_of_unit_length_and_uniform():
    directions = random_projections(KEY, 4_000, 3)
    np.testing.assert_allclose(jnp.linalg.norm(directions, axis=1), 1.0, rtol=1e-5)
    np.testing.assert_allclose(directions.mean(0), 0.0, atol=0.04)
    np.testing.assert_allclose(directions.T @ directions / 4_000, np.eye(3) / 3, atol=0.03)


def test_a_shift_moves_the_distance_by_its_projections():
    x, shift = normal(0, 50, 6), normal(2, 6)
    found = sliced_wasserstein(x, x[::-1] + shift, KEY, 20_000)
    exact = jnp.square(random_projections(KEY, 20_000, 6) @ shift).mean()
    np.testing.assert_allclose(found, exact, rtol=1e-4)
    np.testing.assert_allclose(found, jnp.square(shift).sum() / 6, rtol=0.05)


def test_gaussians_that_are_shifted_and_scaled_have_their_analytic_distance():
    mean, scale, num, size = jnp.array([1.0, -2.0, 0.5, 0.0]), 1.7, 5_000, 4
    x, z = normal(0, num, size), mean + scale * normal(1, num, size)
    # Along any unit vector g: (g.m)^2 + (1 - s)^2.
    directions = random_projections(KEY, 64, size)
    expected = jnp.square(directions @ mean).mean() + (1.0 - scale) ** 2
    np.testing.assert_allclose(sliced_wasserstein(x, z, KEY, 64), expected, rtol=0.03)


def test_the_value_of_pot():
    ot = pytest.importorskip('ot', reason='POT is optional: benchmarks/requirements.txt')
    x, z = np.asarray(normal(0, 40, 5)), np.asarray(1.5 * normal(1, 40, 5) + 0.3)
    directions = np.asarray(random_projections(KEY, 30, 5))
    theirs = ot.sliced_wasserstein_distance(x, z, projections=directions.T, p=2)
    ours = distance(sliced_wasserstein(x, z, KEY, 30))
    np.testing.assert_allclose(ours, theirs, rtol=1e-5)


def test_gradients_are_those_of_finite_differences():
    x, z = normal(0, 7, 3), normal(1, 7, 3)
    check_grads(lambda a, b: sliced_wasserstein(a, b, KEY, 5), (x, z), 1, ['rev'], 5e-3, 5e-3, 1e-3)


def test_identical_sets_are_at_distance_zero_with_a_gradient_of_zero():
    x = normal(0, 16, 4)
    for function in (
        lambda a: sliced_wasserstein(a, x[::-1], KEY, 8),
        lambda a: distance(sliced_wasserstein(a, x[::-1], KEY, 8)),
    ):
        value, gradient = jax.value_and_grad(function)(x)
        assert value == 0.0
        np.testing.assert_array_equal(gradient, 0.0)


def test_the_root_of_the_squared_distance_is_reported():
    np.testing.assert_allclose(distance(jnp.array([0.0, 4.0, 2.25])), [0.0, 2.0, 1.5])


def test_projections_of_bfloat16_features_are_float32():
    x, z = normal(0, 64, 8), normal(1, 64, 8) + 1.0
    low = [a.astype(jnp.bfloat16) for a in (x, z)]
    found = sliced_wasserstein(*low, KEY, 16)
    assert found.dtype == jnp.float32
    exact = sliced_wasserstein(*[a.astype(jnp.float32) for a in low], KEY, 16)
    np.testing.assert_allclose(found, exact, rtol=1e-6)
    gradient = jax.grad(lambda a: sliced_wasserstein(a, low[1], KEY, 16))(low[0])
    assert gradient.dtype == jnp.bfloat16


def test_what_cannot_be_compared_is_refused():
    with pytest.raises(UserError, match='8 and 6: make the batch sizes equal'):
        sliced_wasserstein(normal(0, 8, 3), normal(1, 6, 3), KEY, 4)
    with pytest.raises(UserError, match='at least 1 projection'):
        sliced_wasserstein(normal(0, 8, 3), normal(1, 8, 3), KEY, 0)
    with pytest.raises(ValueError, match='must be'):
        sliced_wasserstein(normal(0, 8, 3), normal(1, 8, 4), KEY, 4)
    labels = jnp.zeros(8, jnp.int32)
    with pytest.raises(ValueError, match='labels or weights'):
        class_conditional_sliced_wasserstein(
            normal(0, 8, 3), labels, normal(1, 8, 3), labels[:7], 2, KEY, 4
        )


@pytest.mark.parametrize('labelled', [False, True])
@pytest.mark.parametrize('num', [1, 2, 37, 128])
def test_both_ways_to_sort_give_the_order(num: int, labelled: bool):
    values = normal(0, 5, num).at[:, num // 2].set(-0.25)
    values = jnp.concatenate([values, -jnp.abs(values) * 1e-30, jnp.zeros((1, num))])
    labels = random.randint(random.key(1), (num,), 0, 3) if labelled else None
    expected = [
        np.lexsort((row,) if labels is None else (row, labels)) for row in np.asarray(values)
    ]
    for function in (order_of, module._order_by_keys, module._order_by_digits):
        found = np.asarray(function(values, labels))
        ordered = np.take_along_axis(np.asarray(values), found, 1)
        np.testing.assert_array_equal(
            ordered, np.take_along_axis(np.asarray(values), np.asarray(expected), 1)
        )
        np.testing.assert_array_equal(np.sort(found, 1), np.tile(np.arange(num), (len(values), 1)))
        if labels is not None:
            assert (np.diff(np.asarray(labels)[found], axis=1) >= 0).all()


def test_classes_with_equal_counts_add_up_their_distances():
    x, z = normal(0, 12, 4), normal(1, 12, 4) + 1.0
    labels_x, labels_z = jnp.arange(12) % 3, jnp.arange(12) // 4
    found = class_conditional_sliced_wasserstein(x, labels_x, z, labels_z, 3, KEY, 6)
    expected = sum(sliced_wasserstein(x[labels_x == k], z[labels_z == k], KEY, 6) for k in range(3))
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_unequal_counts_compare_quantiles():
    x, z = normal(0, 7, 3), normal(1, 5, 3) + 0.5
    labels_x, labels_z = jnp.array([0, 0, 0, 1, 1, 1, 1]), jnp.array([0, 0, 1, 1, 1])
    found = class_conditional_sliced_wasserstein(x, labels_x, z, labels_z, 2, KEY, 5)
    directions = np.asarray(random_projections(KEY, 5, 3))
    expected = [
        sum(
            quantile_distance(
                np.asarray(x)[np.asarray(labels_x) == k] @ g,
                np.asarray(z)[np.asarray(labels_z) == k] @ g,
            )
            for k in range(2)
        )
        for g in directions
    ]
    np.testing.assert_allclose(found, np.mean(expected), rtol=1e-3)


def test_by_size_each_class_counts_once_for_each_of_its_targets():
    x, z = normal(0, 7, 3), normal(1, 7, 3) + 0.5
    labels_x, labels_z = jnp.array([0, 0, 1, 1, 1, 2, 2]), jnp.array([0, 0, 1, 1, 1, -1, 3])
    whole = class_conditional_sliced_wasserstein(x, labels_x, z, labels_z, 4, KEY, 5, by_size=True)
    one, two = (sliced_wasserstein(x[labels_x == k], z[labels_z == k], KEY, 5) for k in (0, 1))
    np.testing.assert_allclose(whole, 2 * one + 3 * two, rtol=1e-5)
    weights = jnp.array([0.5, 0.5, 2.0, 2.0, 2.0, 1.0, 1.0])
    weighed = class_conditional_sliced_wasserstein(
        x, labels_x, z, labels_z, 4, KEY, 5, weights, by_size=True
    )
    np.testing.assert_allclose(weighed, 1 * one + 6 * two, rtol=1e-4)


def test_weights_count_as_repetitions():
    x, z = normal(0, 6, 3), normal(1, 4, 3)
    labels = jnp.zeros(6, jnp.int32)
    weights = jnp.array([1.0, 2.0, 0.0, 3.0])
    repeated = jnp.array([0, 1, 1, 3, 3, 3])
    found = class_conditional_sliced_wasserstein(x, labels, z, labels[:4], 1, KEY, 5, weights)
    np.testing.assert_allclose(found, sliced_wasserstein(x, z[repeated], KEY, 5), rtol=1e-5)


def test_classes_absent_on_one_side_and_unlabelled_samples_contribute_nothing():
    x, z = normal(0, 6, 3), normal(1, 6, 3) + 2.0
    labels_x, labels_z = jnp.array([0, 0, 1, 1, -1, 2]), jnp.array([1, 1, 3, 3, -1, 9])

    def value(a: Array, b: Array) -> Array:
        return class_conditional_sliced_wasserstein(a, labels_x, b, labels_z, 4, KEY, 5)

    found, gradients = jax.value_and_grad(value, (0, 1))(x, z)
    np.testing.assert_allclose(found, sliced_wasserstein(x[2:4], z[:2], KEY, 5), rtol=1e-5)
    for gradient, shared in zip(gradients, (slice(2, 4), slice(0, 2)), strict=True):
        assert np.isfinite(gradient).all()
        assert np.abs(gradient[shared]).min() > 0.0
        np.testing.assert_array_equal(gradient.at[shared].set(0.0), 0.0)
    nothing = class_conditional_sliced_wasserstein(x, labels_x - 9, z, labels_z, 4, KEY, 5)
    assert nothing == 0.0


def test_weights_of_all_samples_count_as_repetitions():
    x, z = normal(0, 6, 3), normal(1, 6, 3) + 0.5
    weights = jnp.array([1.0, 2.0, 0.0, 3.0, 0.0, 0.0])
    repeated = jnp.array([0, 1, 1, 3, 3, 3])
    found = sliced_wasserstein(x, z, KEY, 5, weights)
    np.testing.assert_allclose(found, sliced_wasserstein(x[repeated], z, KEY, 5), rtol=1e-5)
    even = sliced_wasserstein(x, z, KEY, 5, jnp.full(6, 0.3))
    np.testing.assert_allclose(even, sliced_wasserstein(x, z, KEY, 5), rtol=1e-5)
    gradients = jax.grad(lambda a: sliced_wasserstein(a, z, KEY, 5, weights))(x)
    np.testing.assert_array_equal(gradients[weights == 0.0], 0.0)


def test_gradients_within_classes_are_those_of_finite_differences():
    x, z = normal(0, 7, 2), normal(1, 5, 2)
    labels_x, labels_z = jnp.array([0, 0, 0, 1, 1, 1, 1]), jnp.array([0, 0, 1, 1, 1])

    def value(a: Array, b: Array) -> Array:
        return class_conditional_sliced_wasserstein(a, labels_x, b, labels_z, 2, KEY, 4)

    check_grads(value, (x, z), 1, ['rev'], 5e-3, 5e-3, 1e-3)
