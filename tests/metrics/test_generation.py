from __future__ import annotations

import numpy as np
import pytest
from scipy import linalg

from eojax.metrics import generation


def _random_covariance(generator: np.random.Generator, size: int) -> np.ndarray:
    factor = generator.normal(size=(size, size))
    return factor @ factor.T


def test_distance_of_gaussians_whose_covariances_commute():
    # |mean1 - mean2|^2 + sum of (sigma1 - sigma2)^2 = 9 + 16 + (1 - 2)^2 + (3 - 5)^2
    distance = generation.frechet_distance(
        np.zeros(2), np.diag([1.0, 9.0]), np.array([3.0, 4.0]), np.diag([4.0, 25.0])
    )
    assert distance == pytest.approx(30)


def test_distance_of_two_by_two_gaussians_in_closed_form():
    # The trace of the root of a 2 x 2 matrix A is sqrt(tr A + 2 sqrt(det A)).
    cov1, cov2 = np.array([[2.0, 1.0], [1.0, 3.0]]), np.array([[1.0, -0.5], [-0.5, 2.0]])
    product = cov1 @ cov2
    root_trace = np.sqrt(np.trace(product) + 2 * np.sqrt(np.linalg.det(product)))
    expected = np.trace(cov1) + np.trace(cov2) - 2 * root_trace
    distance = generation.frechet_distance(np.zeros(2), cov1, np.zeros(2), cov2)
    assert distance == pytest.approx(expected)


def test_distance_agrees_with_the_matrix_root_of_the_product():
    generator = np.random.default_rng(0)
    cov1, cov2 = _random_covariance(generator, 20), _random_covariance(generator, 20)
    mean1, mean2 = generator.normal(size=(2, 20))
    root = linalg.sqrtm(cov1 @ cov2).real
    expected = np.sum((mean1 - mean2) ** 2) + np.trace(cov1 + cov2 - 2 * root)
    assert generation.frechet_distance(mean1, cov1, mean2, cov2) == pytest.approx(expected)


def test_distance_of_singular_covariances():
    one = np.diag([4.0, 0.0, 0.0])
    other = np.diag([0.0, 9.0, 0.0])
    zero = np.zeros(3)
    assert generation.frechet_distance(zero, one, zero, other) == pytest.approx(13)
    assert generation.frechet_distance(zero, one, zero, one) == pytest.approx(0, abs=1e-12)


def test_fid_of_samples_of_known_gaussians():
    generator = np.random.default_rng(0)
    a = generator.normal(0, 1, (50_000, 3))
    b = generator.normal(0, 2, (50_000, 3)) + np.array([1.0, 0.0, 0.0])
    assert generation.fid(a, b) == pytest.approx(1 + 3, rel=0.02)
    assert generation.fid(a, a) == pytest.approx(0, abs=1e-9)


def test_fid_with_fewer_images_than_features():
    # Nonzero spectrum of cov_a cov_b: squared singular values of the centred a times b transposed.
    generator = np.random.default_rng(0)
    a, b = generator.normal(size=(12, 40)), generator.normal(0.3, 1.5, size=(9, 40))
    centred_a, centred_b = a - a.mean(axis=0), b - b.mean(axis=0)
    root_trace = linalg.svdvals(centred_a @ centred_b.T).sum() / np.sqrt(11 * 8)
    expected = (
        np.sum((a.mean(axis=0) - b.mean(axis=0)) ** 2)
        + np.sum(centred_a**2) / 11
        + np.sum(centred_b**2) / 8
        - 2 * root_trace
    )
    assert generation.fid(a, b) == pytest.approx(expected)


def _squared_mmd_by_loops(a: np.ndarray, b: np.ndarray) -> float:
    def kernel(x: np.ndarray, y: np.ndarray) -> float:
        return (float(np.dot(x, y)) / len(x) + 1) ** 3

    num = len(a)
    within = sum(
        kernel(sample[i], sample[j])
        for sample in (a, b)
        for i in range(num)
        for j in range(num)
        if i != j
    )
    across = sum(kernel(x, y) for x in a for y in b)
    return within / (num * (num - 1)) - 2 * across / num**2


def test_kid_of_whole_sets_against_a_double_loop():
    generator = np.random.default_rng(0)
    a, b = generator.normal(size=(15, 6)), generator.normal(0.5, 1.2, size=(15, 6))
    assert generation.kid(a, b) == pytest.approx(_squared_mmd_by_loops(a, b))


def test_kid_averages_over_seeded_subsets():
    generator = np.random.default_rng(0)
    a, b = generator.normal(size=(40, 6)), generator.normal(0.5, 1.2, size=(30, 6))
    value = generation.kid(a, b, subsets=400, subset_size=10, seed=1)
    assert value == generation.kid(a, b, subsets=400, subset_size=10, seed=1)
    assert value != generation.kid(a, b, subsets=400, subset_size=10, seed=2)
    # Each draw is unbiased for the estimate that keeps every pair of both sets.
    gram = {
        name: (x @ y.T / 6 + 1) ** 3 for name, x, y in (('aa', a, a), ('bb', b, b), ('ab', a, b))
    }
    whole = (
        (gram['aa'].sum() - np.trace(gram['aa'])) / (40 * 39)
        + (gram['bb'].sum() - np.trace(gram['bb'])) / (30 * 29)
        - 2 * gram['ab'].mean()
    )
    assert value == pytest.approx(whole, rel=0.1)


def test_kid_of_one_distribution_is_near_zero():
    a, b = np.random.default_rng(0).normal(size=(2, 300, 8))
    assert abs(generation.kid(a, b)) < 0.05
    assert generation.kid(a, b + 1) > 1


def test_refuses_what_does_not_fit():
    with pytest.raises(ValueError, match='two rows'):
        generation.fid(np.zeros((1, 3)), np.zeros((4, 3)))
    with pytest.raises(ValueError, match='expected two'):
        generation.kid(np.zeros((5, 3)), np.zeros((5, 4)))
    with pytest.raises(ValueError, match='not finite'):
        generation.fid(np.full((5, 3), np.nan), np.zeros((5, 3)))
    with pytest.raises(ValueError, match='do not match'):
        generation.frechet_distance(np.zeros(2), np.eye(2), np.zeros(3), np.eye(3))
