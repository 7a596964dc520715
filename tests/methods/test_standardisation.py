"""Rasters get mean 0 and standard deviation 1 over training, in steps and in synthesis alike."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import random

from eojax.data.dataset import ArraySource, Dataset, Places
from eojax.data.facts import Facts, Raster
from eojax.methods.adversarial import standardisation
from eojax.methods.adversarial.standardisation import Moments, standardised
from tests.methods.test_image_synthesis import FACTS, _batch, _config, _method


def _hills(spread: float) -> Dataset:
    facts = Facts(
        label='pixel',
        size=(8, 8),
        rasters={
            'images': Raster(),
            'elevation': Raster(('surface', 'flat'), 'float32', ((0.0, 1000.0),) * 2),
        },
    )
    heights = np.random.default_rng(0).normal(300.0, spread, (6, 8, 8, 2)).astype(np.float32)
    heights[..., 1] = 7.0
    sides = np.full(6, 8, np.int32)
    places = Places(np.array(list('abcdef')), sides, sides, np.zeros(6, np.int32))
    source = ArraySource({'images': np.zeros((6, 8, 8, 3), np.uint8), 'elevation': heights})
    return Dataset(facts, places, source)


def test_moments_are_those_of_the_training_pixels() -> None:
    dataset = _hills(20.0)
    moments = standardisation.fit(dataset, ('elevation',), 8)
    np.testing.assert_allclose(moments.mean, [-0.4, -0.986], atol=0.005)
    np.testing.assert_allclose(moments.deviation, [0.04, 1.0], rtol=0.05)
    for given, shape in zip(moments, standardisation.shapes_of(2), strict=True):
        assert (given.shape, given.dtype) == (shape.shape, shape.dtype)
    pixels = np.stack([dataset.source.read(n, None, ('elevation',))['elevation'] for n in range(6)])
    seen = np.asarray(standardised(jnp.asarray(pixels / 500.0 - 1.0), moments))
    np.testing.assert_allclose(seen.mean((0, 1, 2)), 0.0, atol=0.05)
    np.testing.assert_allclose(seen[..., 0].std(), 1.0, atol=0.05)
    # Heights that hardly vary are no relief.
    assert standardisation.fit(_hills(0.1), ('elevation',), 8).deviation[0] > 0.007
    assert standardised(seen, ()) is seen


def test_relief_is_what_a_pixel_has_over_its_surroundings() -> None:
    heights = np.random.default_rng(1).normal(size=(2, 7, 9, 2)).astype(np.float32)
    expected = np.empty_like(heights)
    for row, column in np.ndindex(7, 9):
        around = heights[:, max(row - 2, 0) : row + 3, max(column - 2, 0) : column + 3]
        expected[:, row, column] = heights[:, row, column] - around.mean((1, 2))
    np.testing.assert_allclose(standardisation.relief(jnp.asarray(heights), 5), expected, atol=1e-5)
    # A place on a hill is the same place, and a change is felt no farther than the square.
    raised = standardisation.relief(jnp.asarray(heights + 3.0), 5)
    np.testing.assert_allclose(raised, expected, atol=1e-5)
    heights[:, 6] = 0.0
    moved = np.abs(standardisation.relief(jnp.asarray(heights), 5) - expected).max((0, 2, 3))
    assert (moved[:4] < 1e-5).all()
    assert (moved[4:] > 1e-3).all()


def test_relief_reaches_both_networks_and_the_moments() -> None:
    config = _config(method__raster_values='relief', method__relief_window=3)
    method, batch = _method(config), _batch()
    state = method.init(random.key(0), batch, Moments(jnp.zeros(1), jnp.ones(1)))
    raised: dict[str, Any] = {'labelled': dict(batch['labelled'])}
    raised['labelled']['elevation'] = batch['labelled']['elevation'] + 0.5
    step = jax.jit(method.phases[0].step)
    losses = [step(state, drawn, random.key(1))[1] for drawn in (batch, raised)]
    for name in ('loss', 'discriminator_loss'):
        assert float(losses[0][name]) == pytest.approx(float(losses[1][name]), rel=1e-3)
    moments = standardisation.fit(_hills(20.0), ('elevation',), 8, 3)
    np.testing.assert_allclose(moments.mean, 0.0, atol=0.005)
    np.testing.assert_allclose(moments.deviation[1], 1.0)


def test_a_step_with_moments_is_one_on_standardised_rasters() -> None:
    """And what is synthesised is made of the same."""
    method = _method(_config())
    moments = Moments(np.array([0.25], np.float32), np.array([0.5], np.float32))
    assert jax.tree.map(lambda x: x.shape, method.fitted) == Moments((1,), (1,))
    batch = _batch()
    moved: dict[str, Any] = {'labelled': dict(batch['labelled'])}
    moved['labelled']['elevation'] = (batch['labelled']['elevation'] - 0.25) / 0.5
    step = jax.jit(method.phases[0].step)
    state = method.init(random.key(0), batch, moments)
    plain = method.init(random.key(0), moved, None)
    after, _ = step(state, batch, random.key(1))
    expected, _ = step(plain, moved, random.key(1))
    assert after.moments.mean == 0.25
    assert expected.moments == ()
    assert method.rasters == ('elevation', 'images')
    images = [
        method.abilities['synthesise'](
            new, drawn['labelled']['labels'], [drawn['labelled']['elevation']], random.key(2)
        )
        for new, drawn in ((after, batch), (expected, moved))
    ]
    np.testing.assert_allclose(*images, atol=1e-4)
    assert float(jnp.abs(images[0]).max()) > 0.01


def test_nothing_is_fitted_without_rasters_or_by_wish() -> None:
    assert _method(_config(method__generator='label')).fit is None
    assert _method(_config(method__raster_values='stored'), FACTS).fit is None
