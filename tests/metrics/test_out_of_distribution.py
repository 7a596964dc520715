from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from eojax.metrics import out_of_distribution as ood
from eojax.metrics.summaries import density_numbers


def test_auroc_counts_the_pairs_in_order():
    generator = np.random.default_rng(0)
    inside, outside = generator.integers(0, 9, 30) + 2.0, generator.integers(0, 9, 20) * 1.0
    pairs = [(a > b) + 0.5 * (a == b) for a, b in itertools.product(inside, outside)]
    assert ood.auroc(inside, outside) == pytest.approx(np.mean(pairs))
    assert ood.auroc(outside, inside) == pytest.approx(1 - np.mean(pairs))


@pytest.mark.parametrize('digits', [0, 1, 6])  # many ties, some, none
def test_auroc_agrees_with_scikit_learn(digits: int):
    rng = np.random.default_rng(digits)
    inside, outside = rng.normal(1.0, 1.0, 301).round(digits), rng.normal(size=77).round(digits)
    labels = np.repeat([1, 0], [301, 77])
    expected = roc_auc_score(labels, np.concatenate([inside, outside]))
    assert ood.auroc(inside, outside) == pytest.approx(expected, abs=1e-12)


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
    bounded = ood.histogram_kl(far, reference)
    assert bounded == pytest.approx(-math.log(1e-16), rel=1e-3)
    assert bounded > 28.2  # as the papers report, which 1e-12 would not let through
    assert ood.histogram_kl(far, reference, smoothing=0) == np.inf


def closed_form(mean: float, deviation: float) -> float:
    """D(N(mean, deviation^2) || N(0, 1))."""
    return 0.5 * (deviation**2 + mean**2 - 1.0) - math.log(deviation)


@pytest.mark.parametrize(('mean', 'deviation'), [(0.0, 1.0), (0.5, 1.0), (0.0, 0.5), (1.5, 0.7)])
def test_divergence_by_neighbours_nears_the_closed_form(mean, deviation):
    generator = np.random.default_rng(1)
    scores, reference = generator.normal(mean, deviation, 5000), generator.normal(0, 1, 8000)
    found = ood.neighbour_kl(scores, reference)
    assert found == pytest.approx(closed_form(mean, deviation), abs=0.04)
    shifted = ood.neighbour_kl(scores * 1e4 - 3e4, reference * 1e4 - 3e4)
    assert shifted == pytest.approx(found, abs=1e-3)  # whatever the units


def test_divergence_by_neighbours_grows_without_a_bound():
    generator = np.random.default_rng(2)
    scores, reference = generator.normal(0, 1, 500), generator.normal(0, 1, 700)
    away = [ood.neighbour_kl(scores + 10.0**power, reference) for power in (2, 3, 4, 5)]
    np.testing.assert_allclose(np.diff(away), math.log(10.0), atol=0.1)
    # Against a histogram's, which is the same for all that share no bin.
    assert len({round(ood.histogram_kl(scores + 10.0**p, reference), 6) for p in (2, 4)}) == 1


@pytest.mark.parametrize(('mean', 'stated'), [(0.0, 0.0), (1.0, 0.42), (2.0, 1.49), (3.0, 2.60)])
def test_divergence_by_neighbours_is_as_low_as_its_docstring_says(mean, stated):
    generator = np.random.default_rng(4)
    found = [
        ood.neighbour_kl(generator.normal(mean, 1, 1000), generator.normal(0, 1, 1000))
        for _ in range(10)
    ]
    assert np.mean(found) == pytest.approx(stated, abs=0.06)


def test_divergence_by_neighbours_is_that_of_its_definition():
    generator = np.random.default_rng(3)
    x, y = generator.normal(0, 1, 40), generator.normal(0.3, 2, 25)
    for k in (1, 3, 7):
        own = np.sort(np.abs(x[:, None] - x), 1)[:, k]  # the first is the score itself
        others = np.sort(np.abs(x[:, None] - y), 1)[:, k - 1]
        expected = np.log(others / own).mean() + math.log(len(y) / (len(x) - 1))
        assert ood.neighbour_kl(x, y, k) == pytest.approx(expected)


def test_divergence_of_repeated_scores_counts_all_of_them():
    # Images that are there several times, in a training set ten times as large.
    few, many = np.zeros(20), np.zeros(200)
    assert ood.neighbour_kl(few, many) == pytest.approx(0.0)
    values = np.arange(10.0)
    half = ood.neighbour_kl(np.repeat(values[:5], 8), np.repeat(values, 80))
    assert half == pytest.approx(math.log(2.0), abs=0.15)


def test_a_single_image_has_no_divergence_by_neighbours():
    reference = np.linspace(0.0, 1.0, 100)
    assert ood.divergence(np.array([0.5]), reference, 'neighbours') is None
    assert ood.divergence(np.array([0.5]), reference, 'histogram') > 0.0
    scores = {'train': reference, 'test': np.array([0.5]), 'other': reference + 1.0}
    numbers = density_numbers(scores)
    assert 'kl_test' not in numbers
    assert numbers['kl_other'] > 1.0


def test_divergence_by_neighbours_of_repeated_scores_is_finite():
    repeated = np.full(50, -3.0, np.float32)
    reference = np.linspace(0, 1, 100)
    assert np.isfinite(ood.neighbour_kl(repeated, reference))
    assert np.isfinite(ood.neighbour_kl(repeated, repeated))
    assert ood.neighbour_kl(repeated, reference) > ood.neighbour_kl(repeated, repeated)
    for scores in (np.array([1.0]), np.array([1.0, np.inf])):
        with pytest.raises(ValueError, match='finite, and at least 2'):
            ood.neighbour_kl(scores, reference)


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
