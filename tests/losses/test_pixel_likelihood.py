"""Pixel likelihoods against scipy's distributions, and as distributions over the 256 levels."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import Array
from scipy import stats

from eojax.data.value_range import scale_to_unit
from eojax.losses.pixel_likelihood import LEVEL, LIKELIHOODS, discretised_logistic, gaussian

LEVELS = np.asarray(scale_to_unit(jnp.arange(256, dtype=jnp.uint8)))


def each_level(name: str, mean: float, scale: float) -> np.ndarray:
    """log-probabilities of the 256 levels of one pixel."""
    images = jnp.asarray(LEVELS).reshape(256, 1, 1, 1)
    return np.asarray(
        LIKELIHOODS[name](images, jnp.full_like(images, mean), jnp.log(jnp.asarray([scale])))
    )


@pytest.mark.parametrize('mean', [-1.3, -1.0, 0.0, 0.501, 1.0, 2.0])
@pytest.mark.parametrize('scale', [0.004, 0.05, 0.7])
def test_masses_of_the_levels_sum_to_one(mean: float, scale: float):
    assert np.exp(each_level('discretised_logistic', mean, scale)).sum() == pytest.approx(1.0, 1e-4)


@pytest.mark.parametrize(('mean', 'scale'), [(0.1, 0.02), (-0.99, 0.1), (0.97, 0.3)])
def test_discretised_logistic_is_a_difference_of_distribution_functions(mean: float, scale: float):
    edges = LEVELS[:-1].astype(np.float64) + LEVEL / 2.0
    below = np.concatenate([[0.0], stats.logistic.cdf(edges, mean, scale), [1.0]])
    expected = np.diff(below)
    found = np.exp(each_level('discretised_logistic', mean, scale))
    np.testing.assert_allclose(found, expected, rtol=2e-3, atol=1e-6)


def test_gaussian_is_the_density_times_a_level():
    found = each_level('gaussian', 0.2, 0.1)
    expected = stats.norm.logpdf(LEVELS, 0.2, 0.1) + np.log(2.0 / 255.0)
    np.testing.assert_allclose(found, expected, rtol=1e-4)
    assert np.exp(found).sum() == pytest.approx(1.0, abs=1e-4)  # no mass beyond the ends here


@pytest.mark.parametrize('name', LIKELIHOODS)
def test_pixels_and_bands_add_up_and_bands_have_scales_of_their_own(name: str):
    rng = np.random.default_rng(0)
    images = LEVELS[rng.integers(0, 256, (2, 3, 2, 2))]
    means = rng.uniform(-1, 1, images.shape).astype(np.float32)
    scales = np.array([0.05, 0.4], np.float32)
    found = LIKELIHOODS[name](jnp.asarray(images), jnp.asarray(means), jnp.log(scales))
    expected = np.zeros(2)
    for n, y, x, c in np.ndindex(images.shape):
        one = each_level(name, means[n, y, x, c], scales[c])
        expected[n] += one[np.abs(LEVELS - images[n, y, x, c]).argmin()]
    np.testing.assert_allclose(found, expected, rtol=1e-4)


@pytest.mark.parametrize('function', [gaussian, discretised_logistic])
def test_far_from_the_mean_all_is_finite_and_points_back(function):
    """Where the mass of a level is below what float32 holds."""
    images = jnp.full((1, 1, 1, 1), float(LEVELS[200]))

    def likelihood(mean: Array, log_scale: Array) -> Array:
        return function(images, jnp.full_like(images, mean), log_scale[None])[0]

    for log_scale in (-9.0, -5.0, -1.0):
        value, slopes = jax.value_and_grad(likelihood, (0, 1))(
            jnp.float32(-1.5), jnp.float32(log_scale)
        )
        assert np.isfinite([value, *slopes]).all()
        assert slopes[0] > 0.0  # a mean nearer to the pixel is likelier
    # The scale does not fall below half a level, whatever the parameter is.
    finest = function(images, images, jnp.asarray([np.log(LEVEL / 2.0)]))
    np.testing.assert_allclose(function(images, images, jnp.asarray([-20.0])), finest, rtol=1e-6)
