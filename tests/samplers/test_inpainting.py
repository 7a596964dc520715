"""Repairs by a Gaussian texture and a Gaussian energy, whose conditionals are known exactly."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import random

from eojax.samplers.inpainting import Inpainting, condition, inpaint
from eojax.samplers.starts import StationaryGaussian, fit_stationary_gaussian

SIZE, BANDS, PERIOD = 6, 2, 8
FLOOR = 0.01
OPTIONS = Inpainting(steps=0, floor=FLOOR, solver_steps=40)
_ROWS, _COLUMNS = np.meshgrid(np.fft.fftfreq(PERIOD), np.fft.fftfreq(PERIOD), indexing='ij')
SPECTRUM = 0.3 / (0.03 + _ROWS**2 + 0.5 * _COLUMNS**2)
MIX = np.array([[0.3, 0.0], [0.2, 0.25]])
MEAN = np.array([0.1, -0.3])


def texture() -> StationaryGaussian:
    """Longer than the images by two pixels, its bands correlated."""
    values, vectors = np.linalg.eigh(MIX @ MIX.T)
    root = (vectors * np.sqrt(values)) @ vectors.T
    filters = np.sqrt(SPECTRUM)[..., None, None] * root
    mean = np.stack([np.zeros(2), MEAN]).astype(np.float32)
    filters = np.stack([filters * 3.0, filters]).astype(np.complex64)
    return StationaryGaussian(jnp.asarray(mean), jnp.asarray(filters))


def covariance() -> np.ndarray:
    """Of all values of an image `[SIZE * SIZE * BANDS]`, entry by entry from the spectrum."""
    lags = np.fft.ifft2(SPECTRUM).real
    places = np.stack(np.mgrid[:SIZE, :SIZE], -1).reshape(-1, 2)
    apart = (places[:, None] - places[None]) % PERIOD
    between = lags[apart[..., 0], apart[..., 1]]
    full = np.kron(between, MIX @ MIX.T)
    return full + FLOOR * np.eye(len(full))


def exact(image: np.ndarray, mask: np.ndarray, extra: float = 0.0, to: float = 0.0):
    """Conditional mean and covariance of missing values, and the known ones' distance q / n.

    Args:
      extra: weight of a further energy extra / 2 * |x - to|^2 of the whole image.
    """
    full, mean = covariance(), np.tile(MEAN, SIZE * SIZE)
    values = image.reshape(-1).astype(np.float64)
    missing = np.repeat(mask.reshape(-1), BANDS)
    mk, kk = full[missing][:, ~missing], full[~missing][:, ~missing]
    known = values[~missing] - mean[~missing]
    solved = np.linalg.solve(kk, known)
    scale = known @ solved / len(known)
    conditional = mean[missing] + mk @ solved
    spread = full[missing][:, missing] - mk @ np.linalg.solve(kk, mk.T)
    if extra:
        precision = np.linalg.inv(scale * spread)
        tilted = np.linalg.inv(precision + extra * np.eye(len(spread)))
        return tilted @ (precision @ conditional + extra * to), tilted, scale
    return conditional, scale * spread, scale


def case() -> tuple[np.ndarray, np.ndarray]:
    """An image and a mask with a hole and single pixels."""
    rng = np.random.default_rng(3)
    image = rng.normal(0.0, 0.4, (1, SIZE, SIZE, BANDS)).astype(np.float32)
    mask = np.zeros((1, SIZE, SIZE), bool)
    mask[0, 1:4, 2:5] = True
    mask[0, 0, 0] = mask[0, 5, 1] = mask[0, 5, 5] = True
    return image, mask


def given(num: int = 1, options: Inpainting = OPTIONS):
    image, mask = case()
    labels = jnp.ones(num, jnp.int32)
    images, masks = jnp.repeat(image, num, 0), jnp.repeat(mask[..., None], num, 0)
    return condition(texture(), labels, images, masks, options)


def test_the_mean_and_the_scale_are_the_exact_conditional_ones():
    image, mask = case()
    found = given()
    mean, _, scale = exact(image, mask)
    repaired = np.asarray(found.images())
    np.testing.assert_allclose(repaired[mask].reshape(-1), mean, atol=2e-4)
    np.testing.assert_array_equal(repaired[~mask], image[~mask])
    assert float(found.scale[0, 0, 0, 0]) == pytest.approx(scale, rel=1e-3)


def test_what_stands_at_missing_pixels_is_not_read():
    image, mask = case()
    broken = np.where(mask[..., None], np.float32(np.nan), image)
    arguments = (jnp.ones(1, jnp.int32), jnp.asarray(broken), jnp.asarray(mask[..., None]))
    found = condition(texture(), *arguments, OPTIONS)
    np.testing.assert_array_equal(found.images(), given().images())


def _sample(energy, options: Inpainting, num: int = 1500) -> tuple[np.ndarray, np.ndarray]:
    """Missing values of many chains `[num, missing]`, and their ends."""
    _, mask = case()
    keys = random.split(random.key(1), num)

    @jax.jit
    def run():
        return inpaint(energy, given(num, options), keys, jnp.ones(num), options)

    ends = np.asarray(run())
    return ends[:, mask[0]].reshape(num, -1), ends


def test_samples_have_the_exact_conditional_mean_and_covariance():
    image, mask = case()
    found, ends = _sample(lambda x: jnp.zeros(len(x)), OPTIONS)
    mean, spread, _ = exact(image, mask)
    np.testing.assert_allclose(found.mean(0), mean, atol=0.1 * np.sqrt(spread.max()))
    error = np.abs(np.cov(found.T) - spread).max()
    assert error < 0.12 * spread.max()
    np.testing.assert_array_equal(ends[:, ~mask[0]], np.repeat(image, len(ends), 0)[:, ~mask[0]])


def test_a_flat_energy_leaves_the_texture_as_it_is_whatever_the_step():
    image, mask = case()
    options = OPTIONS._replace(steps=3, keep=0.2)
    found, _ = _sample(lambda x: jnp.zeros(len(x)), options)
    _, spread, _ = exact(image, mask)
    assert np.abs(np.cov(found.T) - spread).max() < 0.12 * spread.max()


def test_an_energy_tilts_the_texture_to_the_exact_posterior():
    """Of small steps, since the chain's bias is of the order of 1 - keep."""
    image, mask = case()
    weight, to = 2.0, 1.5
    options = OPTIONS._replace(steps=33, keep=0.92, weight=0.5, solver_steps=15)
    found, _ = _sample(lambda x: weight * jnp.square(x - to).sum((1, 2, 3)), options, 700)
    mean, spread, _ = exact(image, mask, weight, to)  # 0.5 * weight * |.|^2
    untilted, before, _ = exact(image, mask)
    assert np.abs(untilted - mean).max() > 0.1
    np.testing.assert_allclose(found.mean(0), mean, atol=0.06)
    variances = found.var(0)
    np.testing.assert_allclose(variances, np.diag(spread), rtol=0.25)
    assert (variances < 0.9 * np.diag(before)).any()


def test_opposite_noise_cancels_and_chains_do_not_depend_on_their_neighbours():
    options = OPTIONS._replace(steps=2)
    keys = random.split(random.key(2), 4)[jnp.array([0, 0, 1, 1])]
    signs = jnp.array([1.0, -1.0, 1.0, -1.0])

    def run(energy, keys, signs):
        chains = jax.jit(lambda k, s: inpaint(energy, given(len(s), options), k, s, options))
        return chains(keys, signs)

    flat = run(lambda x: jnp.zeros(len(x)), keys, signs)
    np.testing.assert_allclose((flat[0] + flat[1]) / 2, given().images()[0], atol=1e-4)
    assert float(jnp.abs(flat[0] - flat[2]).max()) > 0.05

    def energy(x):
        return 0.01 * jnp.square(x).sum((1, 2, 3)) ** 2

    four, last = run(energy, keys, signs), run(energy, keys[3:], signs[3:])
    assert float(jnp.abs(last).max()) < 10.0
    np.testing.assert_allclose(four[3], last[0], rtol=1e-4, atol=1e-4)


def test_a_margin_does_not_change_the_variance_of_a_fit():
    images = np.random.default_rng(0).integers(0, 256, (60, 12, 12, 1)).astype(np.uint8)
    labels = np.zeros(60, np.int64)
    variances = []
    for margin in (0, 5):
        fit = fit_stationary_gaussian(images, labels, 1, True, margin=margin)
        assert fit.filters.shape == (1, 12 + margin, 12 + margin, 1, 1)
        variances.append(float(jnp.square(jnp.abs(fit.filters)).mean()))
    assert variances[1] == pytest.approx(variances[0], rel=0.01)
