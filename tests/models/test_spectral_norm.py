"""Spectral normalisation against NumPy's singular values."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import Array, random

from eojax.errors import UserError
from eojax.models import spectral_norm

KEYS = random.split(random.key(0), 4)
PARAMETERS = {
    'first': {'kernel': random.normal(KEYS[0], (3, 3, 4, 6)), 'bias': jnp.ones(6)},
    'deep': {'second': {'kernel': 5.0 * random.normal(KEYS[1], (4, 4, 6, 1))}},
    'head': {'kernel': random.normal(KEYS[2], (7, 5))},
}
EVERYTHING = spectral_norm.named('')


def _largest(kernel: Array) -> float:
    matrix = np.asarray(kernel).reshape(-1, kernel.shape[-1])
    return float(np.linalg.svd(matrix, compute_uv=False)[0])


def test_it_goes_to_the_largest_singular_value() -> None:
    spectra = spectral_norm.begin(PARAMETERS, EVERYTHING, KEYS[3])
    spectra = jax.jit(spectral_norm.iterated, static_argnums=2)(PARAMETERS, spectra, 200)
    norms = spectral_norm.norms(PARAMETERS, spectra)
    expected = {
        'first/kernel': _largest(PARAMETERS['first']['kernel']),
        'deep/second/kernel': _largest(PARAMETERS['deep']['second']['kernel']),
        'head/kernel': _largest(PARAMETERS['head']['kernel']),
    }
    assert norms.keys() == expected.keys()
    for name, value in expected.items():
        assert float(norms[name]) == pytest.approx(value, rel=1e-4)
    normal = spectral_norm.normalised(PARAMETERS, spectra)
    for leaf in jax.tree.leaves(normal):
        if leaf.ndim > 1:
            assert _largest(leaf) == pytest.approx(1.0, rel=1e-4)
    np.testing.assert_array_equal(normal['first']['bias'], np.ones(6))


def test_one_iteration_a_step_follows_a_kernel_that_moves() -> None:
    kernel = random.normal(KEYS[0], (3, 3, 4, 6))
    move = 0.003 * random.normal(KEYS[1], kernel.shape)
    spectra = spectral_norm.begin({'kernel': kernel}, EVERYTHING, KEYS[3])
    iterated = jax.jit(spectral_norm.iterated)
    for _ in range(100):
        kernel = kernel + move
        spectra = iterated({'kernel': kernel}, spectra)
    norm = float(spectral_norm.norms({'kernel': kernel}, spectra)['kernel'])
    assert norm == pytest.approx(_largest(kernel), rel=0.01)


def test_its_gradient_takes_the_vectors_as_constants() -> None:
    kernel, weights = (random.normal(key, (2, 3, 4)) for key in KEYS[:2])
    spectra = spectral_norm.begin({'kernel': kernel}, EVERYTHING, KEYS[3])

    def loss(kernel: Array) -> Array:
        again = spectral_norm.iterated({'kernel': kernel}, spectra)
        return (weights * spectral_norm.normalised({'kernel': kernel}, again)['kernel']).sum()

    again = spectral_norm.iterated({'kernel': kernel}, spectra)['kernel']
    v, u = (np.asarray(vector, np.float64) for vector in again)
    matrix, scaled = (np.asarray(x, np.float64).reshape(-1, 4) for x in (kernel, weights))
    norm = v @ matrix @ u
    # d(W / s) with s = v^T W u and nothing else that depends on W.
    expected = scaled / norm - (scaled * matrix).sum() / norm**2 * np.outer(v, u)
    gradient = np.asarray(jax.grad(loss)(kernel)).reshape(-1, 4)
    np.testing.assert_allclose(gradient, expected, atol=1e-5)


def test_kernels_are_chosen_by_name() -> None:
    def chosen(pattern: str) -> list[Any]:
        choice = spectral_norm.named(pattern)
        return list(
            spectral_norm.norms(PARAMETERS, spectral_norm.begin(PARAMETERS, choice, KEYS[3]))
        )

    assert chosen('^deep') == ['deep/second/kernel']
    assert chosen('^(?!head)') == ['deep/second/kernel', 'first/kernel']
    assert chosen('bias') == []
    with pytest.raises(UserError, match=r'no regular expression'):
        spectral_norm.named('(')
