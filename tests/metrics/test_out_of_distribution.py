from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from eojax.metrics import out_of_distribution as ood


def test_auroc_counts_the_pairs_in_order():
    generator = np.random.default_rng(0)
    inside, outside = generator.integers(0, 9, 30) + 2.0, generator.integers(0, 9, 20) * 1.0
    pairs = [(a > b) + 0.5 * (a == b) for a, b in itertools.product(inside, outside)]
    assert ood.auroc(inside, outside) == pytest.approx(np.mean(pairs))
    assert ood.auroc(outside, inside) == pytest.approx(1 - np.mean(pairs))


def test_auroc_takes_infinite_and_huge_scores():
    assert ood.auroc(np.array([1.0, 2.0]), np.array([-np.inf, -1e30])) == 1.0


def test_false_positives_at_95_percent():
    inside = np.arange(1.0, 101.0)  # 95 of these lie at 6 and above
    outside = np.array([5.9, 6.0, 7.0, 5.0])
    assert ood.fpr_at_95_tpr(inside, outside) == 0.5
    assert ood.fpr_at_95_tpr(np.arange(20.0), np.array([0.0, 1.0])) == 0.5
    assert ood.fpr_at_95_tpr(inside, inside) == 0.95


def test_divergence_of_hand_made_histograms():
    # Two bins over [0, 2], an open one at either end: reference (0, 1/2, 1/2, 0).
    reference = np.array([0.0, 0.5, 1.5, 2.0])
    scores = np.array([0.5, 0.5, 0.5, 1.5])
    expected = 0.75 * math.log(1.5) + 0.25 * math.log(0.5)
    assert ood.histogram_kl(scores, reference, num_bins=2) == pytest.approx(expected)
    assert ood.histogram_kl(reference, reference, num_bins=2) == pytest.approx(0)


def test_divergence_of_two_gaussians_nears_the_closed_form():
    generator = np.random.default_rng(0)
    scores, reference = generator.normal(0.5, 1, 200_000), generator.normal(0, 1, 200_000)
    assert ood.histogram_kl(scores, reference) == pytest.approx(0.125, abs=0.01)


def test_divergence_without_a_common_bin_is_bounded_by_the_smoothing():
    reference = np.linspace(0, 1, 100)
    far = np.array([-1e9, -np.inf])
    assert ood.histogram_kl(far, reference) == pytest.approx(-math.log(1e-12), rel=1e-3)
    assert ood.histogram_kl(far, reference, smoothing=0) == np.inf


def test_refuses_nan_and_nothing():
    for function in (ood.auroc, ood.fpr_at_95_tpr, ood.histogram_kl):
        with pytest.raises(ValueError, match='NaN'):
            function(np.array([1.0]), np.array([np.nan]))
        with pytest.raises(ValueError, match='num > 0'):
            function(np.array([]), np.array([1.0]))
    with pytest.raises(ValueError, match='finite'):
        ood.histogram_kl(np.array([1.0]), np.array([1.0, np.inf]))


def test_synthetic_outliers():
    noise = ood.uniform_noise(20, 32, bands=4, seed=1)
    assert noise.shape == (20, 32, 32, 4)
    assert noise.dtype == np.uint8
    assert noise.mean() == pytest.approx(127.5, abs=1)
    assert noise.std() == pytest.approx(73.9, abs=0.5)
    assert (noise.min(), noise.max()) == (0, 255)
    constant = ood.constant_images(20, 32, bands=4, seed=1)
    assert constant.shape == (20, 32, 32, 4)
    assert constant.dtype == np.uint8
    assert np.all(constant == constant[:, :1, :1])
    assert len(np.unique(constant[:, 0, 0], axis=0)) == 20
    for make in (ood.uniform_noise, ood.constant_images):
        np.testing.assert_array_equal(make(2, 4, 3, seed=5), make(2, 4, 3, seed=5))
        assert not np.array_equal(make(2, 4, 3, seed=5), make(2, 4, 3, seed=6))
