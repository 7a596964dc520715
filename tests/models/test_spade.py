"""SPADE against what it must be for constant maps, and its parts against flax's."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn
from jax import Array, random

from eojax.devices import target
from eojax.models.spade import (
    Normalisation,
    PaddedConvolution,
    ResidualBlock,
    SpadeStyle,
    Standardisation,
    cover_maps,
    instance_normalised,
)

STYLE = SpadeStyle(hidden=6)


def _normals(seed: int, *shape: int) -> Array:
    return random.normal(random.key(seed), shape)


def _nowhere_zero(tree: Any) -> Any:
    return jax.tree.map(lambda x: x + 0.3 * _normals(x.size, *x.shape), tree)


def test_land_cover_is_resized_by_nearest_neighbours_and_unknown_ground_is_nothing() -> None:
    labels = jnp.array([[[0, 1, 2, -1], [1, 1, 1, 1], [2, 0, -1, 0], [0, 0, 0, 0]]])
    fine, coarse, coarsest = cover_maps(labels, 3, 2, jnp.float32)
    assert (fine.shape, coarse.shape, coarsest.shape) == ((1, 4, 4, 3), (1, 2, 2, 3), (1, 1, 1, 3))
    np.testing.assert_array_equal(fine[0, 0, 3], [0, 0, 0])
    np.testing.assert_array_equal(coarse[0], [[[1, 0, 0], [0, 0, 1]], [[0, 0, 1], [0, 0, 0]]])
    np.testing.assert_array_equal(coarsest[0, 0, 0], [1, 0, 0])


def test_on_tpus_convolutions_get_numbers_and_not_comparisons(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def made(labels: jax.Array) -> list[jax.Array]:
        return cover_maps(labels, 3, 1, jnp.float32)

    labels = jnp.array([[[0, 1], [2, -1]]])
    here = made(labels)
    monkeypatch.setattr(target, 'platform', lambda: 'tpu')
    last = jax.make_jaxpr(lambda labels: made(labels))(labels).eqns[-1]
    assert last.primitive.name == 'optimization_barrier'
    for one, other in zip(made(labels), here, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize('train', [True, False])
def test_a_constant_map_is_one_affine_of_each_channel(train: bool) -> None:
    x, layer = _normals(0, 2, 9, 8, 5), Normalisation(STYLE)
    cover = jnp.broadcast_to(jnp.eye(3)[1], (2, 9, 8, 3))
    variables = _nowhere_zero(layer.init(random.key(1), x, cover, False))
    y = layer.apply(variables, x, cover, train, mutable=['batch_stats'])[0]

    # By hand: inside the map every pixel meets the sums of the kernels.
    p = jax.tree.map(np.asarray, variables['params'])
    hidden = p['hidden']['kernel'].sum((0, 1))[1] + p['hidden']['bias']
    hidden = np.maximum(hidden, 0.0)
    both = hidden @ p['modulation']['kernel'].sum((0, 1)) + p['modulation']['bias']
    gamma, beta = both[:5], both[5:]
    kept = variables['batch_stats']['statistics']
    mean, variance = (x.mean((0, 1, 2)), x.var((0, 1, 2))) if train else (kept['mean'], kept['var'])
    expected = (x - mean) / np.sqrt(variance + 1e-5) * (1.0 + gamma) + beta
    np.testing.assert_allclose(y[:, 2:-2, 2:-2], expected[:, 2:-2, 2:-2], atol=1e-4)
    assert np.abs(y - expected)[:, 0].max() > 1e-3  # Near the border zeros are seen too.


def test_each_pixel_has_the_affine_of_the_classes_around_it() -> None:
    x, layer = _normals(0, 1, 12, 12, 4), Normalisation(STYLE)
    labels = jnp.zeros((1, 12, 12), jnp.int32).at[:, :, 6:].set(1)
    cover = cover_maps(labels, 2, 0, jnp.float32)[0]
    variables = _nowhere_zero(layer.init(random.key(1), x, cover, False))
    y = layer.apply(variables, x, cover, False)
    other = cover_maps(labels.at[:, :, 6:].set(-1), 2, 0, jnp.float32)[0]
    changed = np.abs(layer.apply(variables, x, other, False) - y).max((0, 1, 3)) > 1e-6
    # Two convolutions of 3 x 3 see two pixels to each side.
    np.testing.assert_array_equal(changed, np.arange(12) >= 4)


@pytest.mark.parametrize('train', [True, False])
def test_without_a_map_it_is_batch_normalisation(train: bool) -> None:
    x = 3.0 * _normals(0, 3, 5, 4, 7) + 1.0
    ours = Normalisation(SpadeStyle(momentum=0.8))
    theirs = nn.BatchNorm(use_running_average=not train, momentum=0.8)
    variables = _nowhere_zero(ours.init(random.key(0), x, None, False))
    kept = variables['batch_stats']['statistics']
    kept = {'mean': kept['mean'], 'var': jnp.abs(kept['var'])}
    variables = {'params': variables['params'], 'batch_stats': {'statistics': kept}}

    def weighed(apply: Any) -> Any:
        def total(x: Array) -> Any:
            y, updated = apply(x)
            return (y * jnp.cos(x)).sum(), (y, updated)

        return jax.jit(jax.grad(total, has_aux=True))(x)

    gradient, (y, updated) = weighed(
        lambda x: ours.apply(variables, x, None, train, mutable=['batch_stats'])
    )
    flat = {'params': variables['params'], 'batch_stats': kept}
    expected, (z, after) = weighed(lambda x: theirs.apply(flat, x, mutable=['batch_stats']))
    np.testing.assert_allclose(y, z, atol=1e-4)
    np.testing.assert_allclose(gradient, expected, atol=1e-4)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5),
        updated['batch_stats']['statistics'],
        after['batch_stats'],
    )


def test_instances_are_normalised_one_by_one() -> None:
    x = 2.0 * _normals(0, 3, 6, 5, 4) + 1.0
    theirs = nn.InstanceNorm(epsilon=1e-5, use_scale=False, use_bias=False)
    np.testing.assert_allclose(instance_normalised(x), theirs.apply({}, x), atol=1e-5)
    mean, scale = Standardisation('instance').apply({}, x, False)
    np.testing.assert_allclose((x - mean) * scale, theirs.apply({}, x), atol=1e-5)


@pytest.mark.parametrize(('padding', 'mode'), [('reflect', 'reflect'), ('zero', 'constant')])
def test_padding_is_numpys(padding: str, mode: Any) -> None:
    x = _normals(0, 1, 6, 7, 2)
    layer = PaddedConvolution(3, 5, SpadeStyle(padding=padding))
    variables = layer.init(random.key(1), x)
    padded = np.pad(x, ((0, 0), (2, 2), (2, 2), (0, 0)), mode)
    kernel = np.asarray(variables['params']['convolution']['kernel'])
    windows = np.lib.stride_tricks.sliding_window_view(padded, (5, 5), (1, 2))
    expected = np.einsum('nhwcij,ijco->nhwo', windows, kernel)
    np.testing.assert_allclose(layer.apply(variables, x), expected, atol=1e-5)


def test_an_enlarged_block_equals_the_block_of_enlarged_pixels() -> None:
    x, labels = _normals(0, 2, 4, 6, 5), random.randint(random.key(3), (2, 8, 12), -1, 3)
    cover = cover_maps(labels, 3, 0, jnp.float32)[0]
    block, plain = ResidualBlock(3, STYLE, enlarged=True), ResidualBlock(3, STYLE)
    variables = _nowhere_zero(block.init(random.key(1), x, cover, False))
    enlarged = x.repeat(2, 1).repeat(2, 2)
    for one in (cover, None):
        if one is None:
            variables = _nowhere_zero(block.init(random.key(1), x, None, False))
        y, statistics = block.apply(variables, x, one, True, mutable=['batch_stats'])
        z, expected = plain.apply(variables, enlarged, one, True, mutable=['batch_stats'])
        assert y.shape == (2, 8, 12, 3)
        np.testing.assert_allclose(y, z, atol=1e-4)
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5), statistics, expected)
