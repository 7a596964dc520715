"""Chains against what Langevin dynamics on Gaussian and linear energies gives in closed form."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import Array, random

from eojax import option
from eojax.config.base import base_config
from eojax.errors import UserError
from eojax.models.convolution import convolution
from eojax.samplers import langevin
from eojax.samplers.langevin import Chain, Langevin, film_chain, run_chain

MEAN, VARIANCE = 0.3, 0.5
SHAPE = (64, 16, 16, 2)


@pytest.fixture(autouse=True)
def looped(monkeypatch: pytest.MonkeyPatch) -> None:
    # A loop compiles in a fraction of the time; that unrolling changes nothing is tested below.
    monkeypatch.setattr(jax, 'default_backend', lambda: 'gpu')


def gaussian_energy(x: Array) -> Array:
    return jnp.square(x - MEAN).sum((1, 2, 3)) / (2.0 * VARIANCE)


@functools.cache
def run(options: Langevin, start: float = 2.0, shape: tuple[int, ...] = SHAPE) -> Chain:
    images = jnp.full(shape, start)
    return jax.jit(lambda x, k: run_chain(gaussian_energy, x, k, options))(images, random.key(0))


@pytest.mark.parametrize(('alpha', 'steps'), [(0.5, 40), (0.05, 300)])
def test_coupled_chain_reaches_the_discretised_stationary_gaussian(alpha: float, steps: int):
    ends = run(Langevin(steps=steps, step_size=alpha, coupled=True)).images
    # x' - m = (1 - alpha / 2 v) (x - m) + N(0, alpha), whose variance has this fixed point.
    expected = VARIANCE / (1.0 - alpha / (4.0 * VARIANCE))
    # 32,768 independent pixels: standard errors of 0.5% of the deviation and 0.8% of the variance.
    assert float(ends.mean()) == pytest.approx(MEAN, abs=0.015)
    assert float(ends.var()) == pytest.approx(expected, rel=0.03)


def test_decoupled_chain_reaches_its_own_stationary_variance():
    ends = run(Langevin(steps=40, step_size=0.1, noise=0.2)).images
    rate = 1.0 - 0.1 / VARIANCE
    assert float(ends.mean()) == pytest.approx(MEAN, abs=0.01)
    assert float(ends.var()) == pytest.approx(0.2**2 / (1.0 - rate**2), rel=0.03)


def test_pixels_are_independent_along_the_chain():
    ends = np.asarray(run(Langevin(steps=40, step_size=0.5, coupled=True)).images)
    pixels = ends.reshape(SHAPE[0], -1)
    neighbours = np.corrcoef(pixels[:, :-1].ravel(), pixels[:, 1:].ravel())[0, 1]
    images = np.corrcoef(pixels[:-1].ravel(), pixels[1:].ravel())[0, 1]
    assert abs(neighbours) < 0.03
    assert abs(images) < 0.03


@pytest.mark.parametrize('decay', [0.0, 1.0, 2.5])
@pytest.mark.parametrize('steps', [7, 40])
def test_noiseless_chain_contracts_by_the_analytic_rate(decay: float, steps: int):
    options = Langevin(steps=steps, step_size=0.1, noise=0.0, decay=decay)
    ends = run(options, shape=(2, 3, 3, 1)).images
    shares = (1.0 - np.arange(steps) / steps) ** decay
    expected = MEAN + (2.0 - MEAN) * np.prod(1.0 - 0.1 * shares / VARIANCE)
    np.testing.assert_allclose(ends, expected, rtol=2e-5)


def test_coupled_step_is_half_of_alpha():
    # Eq. 8: the mean moves by alpha / 2 times the gradient, whatever the noise.
    ends = run(Langevin(steps=3, step_size=0.2, coupled=True)).images
    expected = MEAN + (2.0 - MEAN) * (1.0 - 0.2 / (2.0 * VARIANCE)) ** 3
    assert float(ends.mean()) == pytest.approx(expected, abs=0.015)


@pytest.mark.parametrize('coupled', [True, False])
def test_polynomial_decay_of_step_and_noise(coupled: bool):
    steps, decay, size, noise = 12, 2.0, 0.3, 0.4
    ends = run(Langevin(steps, size, noise, coupled, decay)).images
    variance = 0.0
    for i in range(steps):
        alpha = size * (1.0 - i / steps) ** decay
        rate = 1.0 - alpha / (2.0 * VARIANCE if coupled else VARIANCE)
        variance = rate**2 * variance + (alpha if coupled else noise**2)
    assert float(ends.var()) == pytest.approx(variance, rel=0.03)


def test_clamp_bounds_every_frame_and_is_reached():
    options = Langevin(steps=5, step_size=0.1, noise=1.0, clamp=0.6)
    frames = film_chain(gaussian_energy, jnp.zeros((4, 4, 4, 1)), random.key(1), options)
    assert float(jnp.abs(frames).max()) == pytest.approx(0.6)
    assert (jnp.abs(frames[1:]) == jnp.float32(0.6)).mean() > 0.2


def test_clamped_gradient_bounds_each_elements_move():
    slopes = jnp.asarray([-50.0, -0.5, 0.5, 50.0]).reshape(1, 2, 2, 1)
    options = Langevin(steps=1, step_size=2.0, noise=0.0, clamp_gradient=1.5)
    end = run_chain(lambda x: (slopes * x).sum((1, 2, 3)), jnp.zeros((1, 2, 2, 1)),
                    random.key(0), options)  # fmt: skip
    # The scaled gradients are -100, -1, 1 and 100.
    np.testing.assert_allclose(end.images.ravel(), [1.5, 1.0, -1.0, -1.5])
    np.testing.assert_allclose(end.gradient_norm, jnp.linalg.norm(slopes), rtol=1e-6)


def test_mask_holds_pixels_exactly_and_leaves_the_others_alone():
    options = Langevin(steps=6, step_size=0.1, noise=0.1, clamp=0.5)
    images = random.uniform(random.key(2), (3, 4, 4, 2), minval=-2.0, maxval=2.0)
    mask = (jnp.arange(16) % 3 == 0).astype(jnp.float32).reshape(4, 4, 1)
    free = run_chain(gaussian_energy, images, random.key(3), options).images
    held = run_chain(gaussian_energy, images, random.key(3), options, mask).images
    expected = np.where(np.asarray(mask) > 0, free, images)
    np.testing.assert_allclose(held, expected, atol=1e-6)
    fixed = np.broadcast_to(np.asarray(mask) == 0, images.shape)
    assert (np.asarray(held)[fixed] == np.asarray(images)[fixed]).all()


def test_film_shows_the_course_of_the_same_chain():
    images = random.normal(random.key(4), (3, 4, 4, 1))
    options = Langevin(steps=9, step_size=0.1, noise=0.3)
    film = film_chain(gaussian_energy, images, random.key(5), options, every=3)
    assert film.shape == (4, 3, 4, 4, 1)
    np.testing.assert_array_equal(film[0], images)
    for frame, steps in ((1, 3), (3, 9)):
        # Without decay, the course of a longer chain is that of a shorter one.
        end = run_chain(gaussian_energy, images, random.key(5), options._replace(steps=steps))
        np.testing.assert_allclose(film[frame], end.images, atol=1e-6)


def test_film_with_decay_ends_where_the_chain_ends():
    images = random.normal(random.key(4), (3, 4, 4, 1))
    options = Langevin(steps=8, step_size=0.3, coupled=True, decay=1.0, clamp=1.0)
    film = film_chain(gaussian_energy, images, random.key(6), options, every=2)
    end = run_chain(gaussian_energy, images, random.key(6), options)
    np.testing.assert_allclose(film[-1], end.images, atol=1e-6)


def test_nothing_is_differentiated_through_the_chain():
    options = Langevin(steps=3, step_size=0.1)

    def loss(parameter: Array, images: Array) -> Array:
        chain = run_chain(lambda x: parameter * gaussian_energy(x), images, random.key(0), options)
        return chain.images.sum() + chain.gradient_norm

    gradients = jax.grad(loss, argnums=(0, 1))(jnp.float32(0.7), jnp.ones((2, 3, 3, 1)))
    for gradient in gradients:
        assert not np.asarray(gradient).any()


def test_gradient_norm_is_the_mean_over_images_and_updates():
    options = Langevin(steps=4, step_size=0.1, noise=0.0)
    images = jnp.stack([jnp.full((3, 3, 1), 1.0), jnp.full((3, 3, 1), -2.0)])
    chain = run_chain(gaussian_energy, images, random.key(0), options)
    rate = 1.0 - 0.1 / VARIANCE
    distances = np.abs(np.array([1.0, -2.0]) - MEAN)[:, None] * rate ** np.arange(4)
    expected = (3.0 * distances / VARIANCE).mean()  # 9 pixels: sqrt(9) times that of each
    assert float(chain.gradient_norm) == pytest.approx(expected, rel=1e-5)


def test_unrolled_equals_looped(monkeypatch: pytest.MonkeyPatch):
    kernel = 0.3 * random.normal(random.key(7), (3, 3, 2, 4))

    def energy(x: Array) -> Array:
        return jax.nn.swish(convolution(x, kernel, 2)).sum((1, 2, 3)) + gaussian_energy(x)

    images = random.normal(random.key(8), (3, 8, 8, 2))
    options = Langevin(steps=3, step_size=0.1, noise=0.1)

    def trace_and_run() -> tuple[int, Chain]:
        def chain_of(x: Array) -> Chain:
            return run_chain(energy, x, random.key(9), options)

        equations = jax.make_jaxpr(chain_of)(images).eqns
        scan = next(e for e in equations if e.primitive.name == 'scan')
        return scan.params['unroll'], jax.jit(chain_of)(images)

    # Unrolling is for the CPU backend alone; elsewhere the same chain is a loop.
    monkeypatch.setattr(jax, 'default_backend', lambda: 'cpu')
    unrolled, first = trace_and_run()
    monkeypatch.setattr(jax, 'default_backend', lambda: 'gpu')
    looped, second = trace_and_run()
    assert (unrolled, looped) == (3, 1)
    np.testing.assert_allclose(first.images, second.images, atol=1e-5)
    np.testing.assert_allclose(first.gradient_norm, second.gradient_norm, rtol=1e-5)


def test_positions_are_float32_whatever_comes_in():
    options = Langevin(steps=100, step_size=1e-4, noise=0.0)
    images = jnp.ones((1, 2, 2, 1), jnp.bfloat16)
    end = run_chain(gaussian_energy, images, random.key(0), options).images
    assert end.dtype == jnp.float32
    # Each move is far below the spacing of bfloat16 at 1, which would stand still.
    expected = MEAN + (1.0 - MEAN) * (1.0 - 1e-4 / VARIANCE) ** 100
    np.testing.assert_allclose(end, expected, rtol=1e-5)


def test_noise_depends_on_the_key_and_the_update():
    images = jnp.zeros((2, 4, 4, 1))
    flat = Langevin(steps=2, step_size=1.0, noise=1.0)

    @jax.jit
    def course(key: Array) -> Array:
        return film_chain(lambda x: 0.0 * x.sum((1, 2, 3)), images, key, flat)

    first, second = course(random.key(0)), course(random.key(1))
    assert not np.allclose(first[1], second[1])
    assert not np.allclose(first[1] - first[0], first[2] - first[1])
    np.testing.assert_array_equal(first, course(random.key(0)))


@pytest.mark.parametrize(
    ('key', 'value'),
    [('steps', 0), ('step_size', 0.0), ('step_size', float('nan')), ('noise', -0.1),
     ('decay', -1.0), ('clamp', -1.0), ('clamp_gradient', -1.0)],
)  # fmt: skip
def test_options_that_make_no_chain_are_refused(key: str, value: float):
    sampler = base_config('jem').sampler
    option.check(langevin.OPTIONS, sampler, 'sampler')
    sampler[key] = value
    with pytest.raises(UserError, match=rf'^sampler\.{key} .*{value}$'):
        option.check(langevin.OPTIONS, sampler, 'sampler')


def test_chain_of_a_config():
    sampler = base_config('jem').sampler
    sampler.steps, sampler.noise = 7, 0.5
    assert langevin.from_config(sampler) == Langevin(steps=7, noise=0.5)
