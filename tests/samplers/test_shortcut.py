"""Inner steps that re-use a gradient, against the same updates written out by hand."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import Array, random

from eojax.models.convolution import convolution
from eojax.samplers.langevin import Langevin, film_chain, run_chain
from eojax.samplers.shortcut import Cut, cut_gradient

Stem = Callable[[Array], Array]
KERNEL = 0.6 * random.normal(random.key(0), (3, 3, 2, 4))


@pytest.fixture(autouse=True)
def looped(monkeypatch: pytest.MonkeyPatch) -> None:
    # A loop compiles in a fraction of the time.
    monkeypatch.setattr(jax, 'default_backend', lambda: 'gpu')


def affine(x: Array) -> Array:
    return convolution(x, KERNEL) + 0.3


def bent(x: Array) -> Array:
    return jax.nn.swish(affine(x))


def energy_of_features(features: Array) -> Array:
    return jnp.square(features - 0.4).sum((1, 2, 3)) + jnp.sin(3.0 * features).sum((1, 2, 3))


def cut_at(stem: Stem) -> Cut:
    return Cut(bent if stem is bent else affine, energy_of_features, affine=stem is affine)


def whole(cut: Cut) -> Callable[[Array], Array]:
    return lambda x: cut.energy_of_features(cut.stem(x))


def starts(num: int = 3) -> Array:
    return random.uniform(random.key(1), (num, 6, 6, 2), minval=-0.9, maxval=0.9)


def by_hand(cut: Cut, images: Array, options: Langevin) -> tuple[Array, list[float]]:
    """Noiseless chain: p at each outer step, and the stem's transpose at each inner one."""
    norms = []
    for step in range(options.steps):
        share = (1.0 - step / options.steps) ** options.decay
        slopes = jax.grad(lambda f: cut.energy_of_features(f).sum())(cut.stem(images))
        for inner in range(options.inner_steps):
            _, transpose = jax.vjp(cut.stem, images)
            gradient = transpose(slopes)[0]
            if inner == 0:
                norms.append(float(jnp.sqrt(jnp.square(gradient).sum((1, 2, 3))).mean()))
            move = options.step_size * share * gradient
            if options.clamp_gradient:
                move = jnp.clip(move, -options.clamp_gradient, options.clamp_gradient)
            images = images - move
            if options.clamp:
                images = jnp.clip(images, -options.clamp, options.clamp)
    return images, norms


@pytest.mark.parametrize('stem', [affine, bent])
@pytest.mark.parametrize('clamped', [True, False])
def test_inner_steps_hold_what_lies_above_the_stem(stem: Stem, clamped: bool):
    options = Langevin(steps=3, step_size=0.01, noise=0.0, decay=1.0, inner_steps=4)
    if clamped:
        options = options._replace(clamp=0.95, clamp_gradient=0.02)
    cut = cut_at(stem)
    found = run_chain(whole(cut), starts(), random.key(2), options, cut=cut)
    expected, norms = by_hand(cut, starts(), options)
    np.testing.assert_allclose(found.images, expected, atol=2e-6)
    assert float(found.gradient_norm) == pytest.approx(np.mean(norms), rel=1e-5)
    # It is another chain than one of as many full gradients.
    full = options._replace(steps=12, inner_steps=1)
    ends = run_chain(whole(cut), starts(), random.key(2), full).images
    assert np.abs(ends - found.images).max() > 1e-3


def test_of_an_affine_stem_the_inner_steps_are_one_larger_step():
    # Published sizes: five inner steps of 0.2, gradients and samples clamped to +-1.
    cut = cut_at(affine)
    inner = Langevin(steps=2, step_size=0.2, noise=0.0, clamp=1.0, clamp_gradient=0.2,
                     inner_steps=5)  # fmt: skip
    plain = Langevin(steps=2, step_size=1.0, noise=0.0, clamp=1.0, clamp_gradient=1.0)
    found = run_chain(whole(cut), starts(), random.key(2), inner, cut=cut)
    expected = run_chain(whole(cut), starts(), random.key(2), plain)
    np.testing.assert_allclose(found.images, expected.images, atol=1e-4)
    # Of a stem that bends, they are not.
    cut = cut_at(bent)
    found = run_chain(whole(cut), starts(), random.key(2), inner, cut=cut)
    expected = run_chain(whole(cut), starts(), random.key(2), plain)
    assert np.abs(found.images - expected.images).max() > 0.01


@pytest.mark.parametrize('stem', [affine, bent])
def test_gradient_of_the_cut_is_that_of_the_energy(stem: Stem):
    cut = cut_at(stem)
    images, moved = starts(), -0.5 * starts()
    gradient, nearby = cut_gradient(cut, images)
    expected = jax.grad(lambda x: cut.energy_of_features(cut.stem(x)).sum())(images)
    np.testing.assert_allclose(gradient, expected, atol=1e-5)
    np.testing.assert_allclose(nearby(images), expected, atol=1e-5)
    same = np.allclose(nearby(moved), expected, atol=1e-5)
    assert same == (stem is affine)


def test_one_gradient_of_the_trunk_for_each_outer_step():
    count = 0

    def counted(features: Array) -> Array:
        nonlocal count
        count += 1
        return energy_of_features(features)

    for steps in (1, 2):
        count, options = 0, Langevin(steps=steps, step_size=0.01, noise=0.0, inner_steps=6)
        images = starts()
        with jax.disable_jit():  # loops run in Python: every evaluation is seen
            run_chain(whole(cut_at(bent)), images, random.key(0), options, cut=Cut(bent, counted))
        assert count == steps


@pytest.mark.parametrize('coupled', [True, False])
def test_every_inner_step_has_noise_of_its_own(coupled: bool):
    options = Langevin(steps=3, step_size=0.04, noise=0.2, coupled=coupled, inner_steps=5)
    cut = Cut(lambda x: x, lambda x: 0.0 * x.sum((1, 2, 3)), affine=True)
    images = jnp.zeros((32, 16, 16, 2))
    ends = run_chain(whole(cut), images, random.key(3), options, cut=cut)
    # 15 updates of variance 0.04 each; 16,384 pixels: a standard error of 1.1%.
    assert float(ends.images.var()) == pytest.approx(15 * 0.04, rel=0.05)


def test_clamp_and_mask_hold_in_inner_steps():
    options = Langevin(steps=2, step_size=0.1, noise=0.8, clamp=0.7, inner_steps=3)
    cut = cut_at(affine)
    mask = (jnp.arange(36) % 2).astype(jnp.float32).reshape(6, 6, 1)
    images = 0.5 * starts()
    ends = np.asarray(run_chain(whole(cut), images, random.key(4), options, mask, cut).images)
    held = np.broadcast_to(np.asarray(mask) == 0, images.shape)
    np.testing.assert_array_equal(ends[held], np.asarray(images)[held])
    assert np.abs(ends).max() == pytest.approx(0.7)
    assert (ends[~held] != np.asarray(images)[~held]).all()


def test_film_shows_the_outer_steps():
    options = Langevin(steps=4, step_size=0.02, noise=0.1, inner_steps=3)
    cut = cut_at(bent)
    film = film_chain(whole(cut), starts(), random.key(5), options, every=2, cut=cut)
    assert film.shape == (3, *starts().shape)
    end = run_chain(whole(cut), starts(), random.key(5), options, cut=cut)
    np.testing.assert_allclose(film[-1], end.images, atol=1e-6)


def test_without_inner_steps_the_cut_is_not_used():
    options = Langevin(steps=3, step_size=0.02, noise=0.1)
    cut = cut_at(bent)
    wrong = Cut(bent, lambda features: 100.0 * features.sum((1, 2, 3)))
    plain = run_chain(whole(cut), starts(), random.key(6), options)
    beside = run_chain(whole(cut), starts(), random.key(6), options, cut=wrong)
    np.testing.assert_array_equal(plain.images, beside.images)


def test_inner_steps_need_a_cut():
    options = Langevin(steps=1, inner_steps=2)
    with pytest.raises(ValueError, match='cut after its first layer'):
        run_chain(whole(cut_at(affine)), starts(), random.key(7), options)


def test_nothing_is_differentiated_through_the_inner_steps():
    options = Langevin(steps=2, step_size=0.1, inner_steps=2)

    def loss(parameter: Array) -> Array:
        cut = Cut(lambda x: parameter * affine(x), energy_of_features, affine=True)
        return run_chain(whole(cut), starts(1), random.key(8), options, cut=cut).images.sum()

    assert float(jax.grad(loss)(jnp.float32(0.7))) == 0.0
