"""Stationary Gaussians fitted to synthetic stationary fields, whose statistics are known."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import random

from eojax import option
from eojax.config.base import base_config
from eojax.errors import UserError
from eojax.samplers import starts
from eojax.samplers.starts import StationaryGaussian

SIZE = 16
MEAN = np.array([0.1, -0.2, 0.0])
MIX = np.array([[0.15, 0.0, 0.0], [0.10, 0.08, 0.0], [-0.05, 0.04, 0.10]])
COVARIANCE = MIX @ MIX.T
_ROWS, _COLUMNS = np.meshgrid(np.fft.fftfreq(SIZE), np.fft.fftfreq(SIZE), indexing='ij')
SPECTRUM = 1.0 / (0.02 + 4.0 * _ROWS**2 + 0.3 * _COLUMNS**2)  # longer waves along the columns
SPECTRUM /= SPECTRUM.mean()  # unit variance


def field(num: int, seed: int = 0) -> np.ndarray:
    """Periodic stationary fields, uint8 `[num, 16, 16, 3]`: white noise, filtered and mixed."""
    white = np.random.default_rng(seed).standard_normal((num, SIZE, SIZE, 3))
    waves = np.fft.fft2(white, axes=(1, 2)) * np.sqrt(SPECTRUM)[..., None]
    images = np.fft.ifft2(waves, axes=(1, 2)).real @ MIX.T + MEAN
    return np.clip(np.round((images + 1.0) * 127.5), 0, 255).astype(np.uint8)


def sample(gaussian: StationaryGaussian, labels: np.ndarray) -> np.ndarray:
    draw = jax.jit(starts.sample_stationary_gaussian)
    return np.asarray(draw(gaussian, random.key(0), jnp.asarray(labels)))


@functools.cache
def samples_of_the_field() -> np.ndarray:
    fitted = starts.fit_stationary_gaussian(field(1500), np.zeros(1500, int), 1, by_class=False)
    return sample(fitted, np.zeros(2000, int))


def test_mean_and_covariance_of_the_bands():
    pixels = samples_of_the_field().reshape(-1, 3)
    np.testing.assert_allclose(pixels.mean(0), MEAN, atol=0.005)
    np.testing.assert_allclose(np.cov(pixels.T), COVARIANCE, rtol=0.1)


@pytest.mark.parametrize('lag', [(0, 1), (1, 0), (3, 0), (1, 1), (8, 8)])
def test_correlation_between_pixels(lag: tuple[int, int]):
    expected = np.fft.ifft2(SPECTRUM).real[lag]
    centred = samples_of_the_field() - MEAN
    for band in range(3):
        image = centred[..., band]
        found = (image * np.roll(image, lag, (1, 2))).mean() / np.square(image).mean()
        # Windowing flattens the spectrum's peak a little.
        assert found == pytest.approx(expected, abs=0.06)


def test_spectrum_of_every_band():
    centred = samples_of_the_field() - MEAN
    power = np.square(np.abs(np.fft.fft2(centred, axes=(1, 2), norm='ortho'))).mean(0)
    ratio = power / (SPECTRUM[..., None] * np.diag(COVARIANCE))
    # The window costs resolution: the innermost frequencies leak; the others agree within 25%.
    inner = np.maximum(np.abs(_ROWS), np.abs(_COLUMNS)) < 1.5 / SIZE
    assert np.abs(np.log(ratio[~inner])).max() < np.log(1.25)
    assert np.abs(np.log(ratio[inner])).max() < np.log(1.6)


def test_classes_keep_their_own_statistics():
    dark = np.clip(field(60, 1).astype(int) - 40, 0, 255).astype(np.uint8)
    bright = np.clip((field(60, 2).astype(float) - 127.5) * 0.4 + 190.0, 0, 255).astype(np.uint8)
    labels = np.repeat([0, 1], 60)
    fitted = starts.fit_stationary_gaussian(np.concatenate([dark, bright]), labels, 2, True)
    asked = np.tile([1, 0], 200)
    drawn = sample(fitted, asked)
    for label, images in ((0, dark), (1, bright)):
        pixels = images.reshape(-1, 3) / 127.5 - 1.0
        found = drawn[asked == label].reshape(-1, 3)
        np.testing.assert_allclose(found.mean(0), pixels.mean(0), atol=0.03)
        np.testing.assert_allclose(found.std(0), pixels.std(0), rtol=0.12)


def test_classes_with_few_labels_take_everythings_gaussian():
    images = np.concatenate([field(30, 3), 255 - field(19, 4), field(40, 5)])
    labels = np.repeat([0, 1, -1], [30, 19, 40])
    fitted = starts.fit_stationary_gaussian(images, labels, 3, by_class=True)
    pooled = starts.fit_stationary_gaussian(images, labels, 3, by_class=False)
    for label in (1, 2):  # 19 labels, and none
        np.testing.assert_array_equal(fitted.mean[label], pooled.mean[label])
        np.testing.assert_array_equal(fitted.filters[label], pooled.filters[label])
    alone = starts.fit_stationary_gaussian(images[:30], labels[:30], 1, by_class=False)
    np.testing.assert_array_equal(fitted.mean[0], alone.mean[0])
    np.testing.assert_array_equal(fitted.filters[0], alone.filters[0])
    assert not np.allclose(fitted.mean[0], pooled.mean[0])


def test_starts_are_clipped_to_the_range_of_images():
    noise = np.random.default_rng(0).choice([0, 255], (40, 8, 8, 1)).astype(np.uint8)
    fitted = starts.fit_stationary_gaussian(noise, np.zeros(40, int), 1, by_class=False)
    drawn = sample(fitted, np.zeros(50, int))
    assert drawn.dtype == np.float32
    assert drawn.min() == -1.0
    assert drawn.max() == 1.0


def test_a_single_band_and_oblong_images():
    images = field(40)[:, :12, :, :1]
    fitted = starts.fit_stationary_gaussian(images, np.zeros(40, int), 2, by_class=True)
    drawn = sample(fitted, np.array([0, 1, 1]))
    assert drawn.shape == (3, 12, 16, 1)


@pytest.mark.parametrize('share', [0.0, 0.3, 1.0])
def test_uniform_starts_have_their_share(share: float):
    filters = jnp.broadcast_to(0.05 * jnp.eye(2, dtype=jnp.complex64), (1, 8, 8, 2, 2))
    gaussian = StationaryGaussian(jnp.zeros((1, 2)), filters)
    labels = jnp.zeros(2000, jnp.int32)
    drawn = starts.sample_starts(gaussian, random.key(1), labels, (8, 8, 2), share)
    deviations = np.asarray(drawn).std((1, 2, 3))  # 0.05 of the Gaussian, 0.577 of the uniform
    noise = deviations > 0.3
    assert abs(noise.mean() - share) <= 4.5 * np.sqrt(share * (1.0 - share) / 2000)
    np.testing.assert_allclose(deviations[~noise], 0.05, rtol=0.4)


def test_uniform_starts_without_a_gaussian():
    drawn = starts.sample_starts(None, random.key(2), jnp.zeros(500, jnp.int32), (4, 6, 5), 0.0)
    assert drawn.shape == (500, 4, 6, 5)
    assert drawn.dtype == jnp.float32
    pixels = np.sort(np.asarray(drawn).ravel())
    # Kolmogorov and Smirnov's statistic of 60,000 values of U(-1, 1).
    assert np.abs((pixels + 1.0) / 2.0 - np.linspace(0.0, 1.0, pixels.size)).max() < 0.008


@pytest.mark.parametrize(
    ('key', 'value'), [('start', 'gausian'), ('start_uniform_share', 1.5),
                       ('start_uniform_share', -0.1)],
)  # fmt: skip
def test_unknown_starts_are_refused(key: str, value: str | float):
    sampler = base_config('jem').sampler
    option.check(starts.OPTIONS, sampler, 'sampler')
    sampler[key] = value
    with pytest.raises(UserError, match=rf'sampler\.{key}.*{value}'):
        option.check(starts.OPTIONS, sampler, 'sampler')


def test_shapes_are_known_without_images() -> None:
    images = np.random.default_rng(0).integers(0, 256, (60, 8, 6, 3), dtype=np.uint8)
    fitted = starts.fit_stationary_gaussian(images, np.arange(60) % 2, 2, True)
    shapes = starts.gaussian_shapes(2, (8, 6, 3))
    assert jax.tree.map(lambda x: (x.shape, x.dtype), shapes) == jax.tree.map(
        lambda x: (x.shape, x.dtype), fitted
    )


class Recorded:
    """Images on access, that note which ones were asked for."""

    def __init__(self, images: np.ndarray) -> None:
        self.images, self.shape = images, images.shape
        self.asked: list[np.ndarray] = []

    def __getitem__(self, indices: np.ndarray) -> np.ndarray:
        self.asked.append(np.asarray(indices))
        return self.images[indices]


@pytest.mark.parametrize('num', [300, 4100])
def test_of_images_on_disk_only_those_of_the_fit_are_read(num: int) -> None:
    images = np.random.default_rng(0).integers(0, 256, (num, 4, 4, 1), np.uint8)
    labels = np.where(np.arange(num) < 30, 1, 0)
    recorded = Recorded(images)
    fitted = starts.fit_stationary_gaussian(recorded, labels, 3, True)  # type: ignore[arg-type]
    dense = starts.fit_stationary_gaussian(images, labels, 3, True)
    np.testing.assert_array_equal(fitted.mean, dense.mean)
    np.testing.assert_array_equal(fitted.filters, dense.filters)
    step = -(-num // 2000)
    np.testing.assert_array_equal(recorded.asked[0], np.arange(0, num, step))
    np.testing.assert_array_equal(recorded.asked[1], np.arange(30, num)[::step])
    np.testing.assert_array_equal(recorded.asked[2], np.arange(30))
    assert len(recorded.asked) == 3


def test_limits_stand_for_the_range_of_images() -> None:
    images = field(60)
    low, high = np.array([0.0, 500.0, 100.0]), np.array([2550.0, 5600.0, 355.0])
    stored = np.round(low + images / 255.0 * (high - low)).astype(np.uint16)  # exact
    limits = tuple(zip(low.tolist(), high.tolist(), strict=True))
    labels = np.zeros(60, int)
    fitted = starts.fit_stationary_gaussian(stored, labels, 1, False, limits)
    expected = starts.fit_stationary_gaussian(images, labels, 1, False)
    np.testing.assert_allclose(fitted.mean, expected.mean, atol=1e-5)
    np.testing.assert_allclose(fitted.filters, expected.filters, atol=1e-4)


class Broken(Recorded):
    def __getitem__(self, indices: np.ndarray) -> np.ndarray:
        raise UserError('land.zip: River/River_3.tif: broken image')


def test_an_image_that_cannot_be_read_is_one_line(capfd: pytest.CaptureFixture[str]) -> None:
    images = Broken(np.zeros((30, 4, 4, 1), np.uint8))
    with pytest.raises(UserError, match=r'^land\.zip: River/River_3\.tif: broken image$'):
        starts.fit_stationary_gaussian(images, np.zeros(30, int), 1, False)  # type: ignore[arg-type]
    assert not capfd.readouterr().err


def test_noise_of_all_scales_is_one_colour_pixels_and_all_between() -> None:
    images = np.asarray(starts.sample_noise_of_scales(random.key(0), 400, (16, 16, 2)))
    assert images.shape == (400, 16, 16, 2)
    assert np.abs(images).max() <= 1.0
    # How much a pixel has in common with its neighbour: all of one colour, nothing of pixels.
    steps = np.square(np.diff(images, axis=2)).mean((1, 2, 3))
    flat = steps < 1e-6
    assert flat.mean() == pytest.approx(1 / 5, abs=0.08)
    white = steps > 0.5  # independent pixels: 2/3
    assert white.mean() == pytest.approx(1 / 5, abs=0.08)
    assert ((steps > 1e-3) & (steps < 0.5)).mean() == pytest.approx(3 / 5, abs=0.1)
    # One colour is any colour.
    assert images[flat].mean((1, 2)).std() == pytest.approx(np.sqrt(1 / 3), abs=0.1)
