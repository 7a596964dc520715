"""The losses of windows without labels against scikit-learn, hand-made cases and brute force."""

from __future__ import annotations

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import random
from sklearn.cluster import KMeans

from eojax.losses import jigsaw, mumford_shah, reconstruction, relaxed_k_means
from eojax.losses.inpainting import dropped, inpainting, square_holes

# Two pixels of the left column are -1, one of them is not valid; the right column is 0.5 and 1.
IMAGES = jnp.array([[[[-1.0], [0.5]], [[-1.0], [1.0]]]])
HALVES = jax.nn.one_hot(jnp.array([[[0, 1], [0, 1]]]), 2)


def test_hard_memberships_give_the_quantisation_error_of_k_means() -> None:
    images = np.asarray(random.uniform(random.key(0), (1, 12, 10, 3), minval=-1.0))
    pixels = images.reshape(-1, 3)
    fitted = KMeans(4, n_init=3, random_state=0).fit(pixels)
    hard = jax.nn.one_hot(fitted.labels_.reshape(1, 12, 10), 4)
    centres = relaxed_k_means.centroids(jnp.asarray(images), hard)
    np.testing.assert_allclose(centres[0], fitted.cluster_centers_, atol=1e-5)
    # In squares what scikit-learn minimises, and by Eq. 3.10 the same in absolute values.
    inertia = float(mumford_shah.spread(jnp.asarray(images), hard))
    assert inertia == pytest.approx(fitted.inertia_ / (120 * 3), rel=1e-5)
    error = np.abs(pixels - fitted.cluster_centers_[fitted.labels_]).mean()
    assert float(relaxed_k_means.reconstruction(jnp.asarray(images), hard)) == pytest.approx(
        error, rel=1e-5
    )
    assert float(relaxed_k_means.peakedness(hard)) == 0.0
    assert float(relaxed_k_means.peakedness(jnp.full((1, 2, 2, 4), 0.25))) == pytest.approx(0.75)


def test_an_empty_cluster_has_finite_gradients() -> None:
    images = random.uniform(random.key(0), (2, 6, 6, 3), minval=-1.0)
    outputs = jnp.zeros((2, 6, 6, 3)).at[..., 1].set(-300.0)  # exp is 0 in float32

    @jax.jit
    @jax.grad
    def gradient(outputs: jax.Array) -> jax.Array:
        memberships = jax.nn.softmax(outputs)
        total: jax.Array = relaxed_k_means.reconstruction(images, memberships)
        total += relaxed_k_means.peakedness(memberships)
        return total + mumford_shah.spread(images, memberships)

    assert np.isfinite(np.asarray(gradient(outputs))).all()


def test_mumford_shah_of_two_halves() -> None:
    # Centroids -1 and 0.75: squares 0, 0, 1/16, 1/16. Two borders, of both memberships.
    assert float(mumford_shah.spread(IMAGES, HALVES)) == pytest.approx(1 / 32)
    assert float(mumford_shah.border_length(HALVES)) == pytest.approx(4 / 4)
    # Without the lower right pixel: centroid 0.5, one border among three pixels.
    valid = jnp.array([[[True, True], [True, False]]])
    assert float(mumford_shah.spread(IMAGES, HALVES, valid)) == pytest.approx(0.0)
    assert float(mumford_shah.border_length(HALVES, valid)) == pytest.approx(2 / 3)
    # A constant map has no border.
    constant = jnp.broadcast_to(jnp.array([0.2, 0.8]), (1, 5, 7, 2))
    assert float(mumford_shah.border_length(constant)) == 0.0
    assert not np.asarray(jax.grad(mumford_shah.border_length)(constant)).any()


def test_losses_do_not_depend_on_the_size_of_the_images() -> None:
    memberships = 0.9 * HALVES + 0.05
    for loss in (relaxed_k_means.reconstruction, mumford_shah.spread):
        wide = [jnp.tile(array, (1, 3, 4, 1)) for array in (IMAGES, memberships)]
        assert float(loss(*wide)) == pytest.approx(float(loss(IMAGES, memberships)), rel=1e-5)


@pytest.mark.parametrize(('loss', 'power'), [(reconstruction.l1, 1), (reconstruction.l2, 2)])
def test_reconstruction_counts_valid_pixels_alone(loss, power: int) -> None:
    images, painted = random.normal(random.key(0), (2, 2, 4, 5, 3))
    valid = random.bernoulli(random.key(1), 0.6, (2, 4, 5))
    distances = np.abs(np.asarray(images - painted)) ** power
    assert float(loss(images, painted)) == pytest.approx(distances.mean(), rel=1e-5)
    expected = distances[np.asarray(valid)].mean()
    assert float(loss(images, painted, valid)) == pytest.approx(expected, rel=1e-5)


def test_inpainting_sees_the_hole_alone() -> None:
    holes = square_holes(random.key(0), 200, (7, 9), 4)
    assert holes.sum((1, 2)).tolist() == 200 * [16]
    places = {tuple(np.argwhere(hole)[0]) for hole in np.asarray(holes)}
    assert places == set(itertools.product(range(4), range(6)))  # everywhere that it fits
    images = random.uniform(random.key(1), (200, 7, 9, 2), minval=0.5)
    shown = dropped(images, holes)
    np.testing.assert_array_equal(np.asarray(shown == 0).all(-1), holes)
    painted = random.normal(random.key(2), images.shape)
    gradient = np.asarray(jax.grad(lambda p: inpainting(images, p, holes))(painted))
    np.testing.assert_array_equal(np.asarray(gradient != 0).all(-1), holes)
    assert not gradient[~np.asarray(holes)].any()
    expected = np.square(np.asarray(images - painted))[np.asarray(holes)].mean()
    assert float(inpainting(images, painted, holes)) == pytest.approx(expected, rel=1e-5)
    with pytest.raises(ValueError, match='hole of 8 pixels'):
        square_holes(random.key(0), 1, (7, 9), 8)


def _distances(orders: np.ndarray) -> np.ndarray:
    return np.asarray((orders[:, None] != orders[None]).sum(-1))


def test_permutations_are_greedily_as_far_apart_as_can_be() -> None:
    orders = jigsaw.permutations(8, patches=4)
    everything = np.array(list(itertools.permutations(range(4))))
    for count in range(1, 8):
        least = (everything[:, None] != orders[None, :count]).sum(-1).min(1)
        assert _distances(orders[: count + 1])[count, :count].min() == least.max()
    np.testing.assert_array_equal(orders, jigsaw.permutations(8, patches=4))
    with pytest.raises(ValueError, match='25 permutations of 4'):
        jigsaw.permutations(25, patches=4)


def test_thirty_permutations_of_nine_patches() -> None:
    orders = jigsaw.permutations(30)
    assert (np.sort(orders, 1) == np.arange(9)).all()
    distances = _distances(orders) + 9 * np.eye(30, dtype=int)
    assert (distances[:9, :9] == 9).all()  # no two of them have a patch at the same place
    assert distances.min() >= 7


def test_permuting_and_permuting_back_is_the_identity() -> None:
    images = random.normal(random.key(0), (5, 11, 13, 2))
    orders = jnp.asarray(jigsaw.permutations(24, patches=4)[:5])
    orders = jnp.concatenate([orders, orders + 4, jnp.full((5, 1), 8)], 1)
    moved = jigsaw.permuted(images, orders)
    for n in range(5):
        for j in range(9):
            k = int(orders[n, j])
            (row, column), (row_of, column_of) = divmod(j, 3), divmod(k, 3)
            np.testing.assert_array_equal(
                moved[n, 3 * row : 3 * row + 3, 4 * column : 4 * column + 4],
                images[n, 3 * row_of : 3 * row_of + 3, 4 * column_of : 4 * column_of + 4],
            )
    back = jigsaw.permuted(moved, jnp.argsort(orders, 1))
    np.testing.assert_array_equal(back, images)
    np.testing.assert_array_equal(moved[:, 9:], images[:, 9:])  # what no patch holds stays
