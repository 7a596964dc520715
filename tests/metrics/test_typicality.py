"""Scores that are highest where an image is as usual."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import multivariate_normal

from eojax.metrics.out_of_distribution import auroc
from eojax.metrics.typicality import fit_ratio, fit_states, typicality


def test_typicality_is_the_distance_from_the_median():
    training = np.array([1.0, 2.0, 3.0, 100.0])
    np.testing.assert_allclose(
        typicality(np.array([2.5, 0.5, 4.5], np.float32), training), [0.0, -2.0, -2.0]
    )


def test_a_ratio_is_what_detail_does_not_explain():
    rng = np.random.default_rng(0)
    detail, own = rng.normal(5.0, 2.0, 4000), rng.normal(0.0, 1.0, 4000)
    density = 30.0 - 4.0 * detail + own
    ratio = fit_ratio(density.astype(np.float32), detail.astype(np.float32))
    found = ratio(density, detail)
    assert abs(np.corrcoef(found, detail)[0, 1]) < 1e-3
    assert np.abs(found - own).max() < 0.2  # the line itself is known to some hundredths
    # Smooth, and no likelier than its smoothness makes it; log p(x) ranks it above all others.
    smooth = (np.array([30.0]), np.array([0.0]))
    assert smooth[0] > density.mean() + 2 * density.std()
    assert abs(ratio(*smooth)[0]) < 0.3
    # Images that all have the same detail, and a single one.
    assert fit_ratio(np.array([1.0, 3.0]), np.ones(2))(np.array([5.0]), np.array([9.0])) == 3.0
    with pytest.raises(ValueError, match='at least two'):
        fit_ratio(np.ones(1), np.ones(1))


def test_states_are_the_density_of_both_statistics():
    rng = np.random.default_rng(0)
    density = rng.normal(10.0, 2.0, 4000)
    logs = 1.0 + 0.3 * (density - 10.0) + rng.normal(0.0, 0.5, 4000)
    states = fit_states({'log_density': density, 'gradient': -np.exp(logs)})
    x = np.array([10.0, 12.0, 8.0, 10.0])
    y = np.array([1.0, 1.6, 1.6, 3.0])
    covariance = np.array([[4.0, 1.2], [1.2, 0.36 + 0.25]])
    expected = multivariate_normal([10.0, 1.0], covariance).logpdf(np.stack([x, y], 1))
    found = states({'log_density': x, 'gradient': -np.exp(y)})
    # Of standardised statistics, so all differ by one constant.
    np.testing.assert_allclose(found - found[0], expected - expected[0], atol=0.5)


def test_what_is_likelier_than_all_training_images_is_found():
    rng = np.random.default_rng(1)
    density, gradient = rng.normal(0.0, 1.0, 1000), -np.exp(rng.normal(0.0, 0.3, 1000))
    inside = rng.normal(0.0, 1.0, 300), -np.exp(rng.normal(0.0, 0.3, 300))
    smooth = rng.normal(4.0, 0.5, 300), -np.exp(rng.normal(-2.0, 0.1, 300))
    assert auroc(inside[0], smooth[0]) < 0.05
    typical = typicality(inside[0], density), typicality(smooth[0], density)
    assert auroc(*typical) > 0.99
    names = ('log_density', 'gradient')
    states = fit_states(dict(zip(names, (density, gradient), strict=True)))
    ranked = [states(dict(zip(names, images, strict=True))) for images in (inside, smooth)]
    assert auroc(*ranked) > 0.99


def test_a_few_images_and_equal_ones_have_states():
    states = fit_states({'log_density': np.full(3, 2.0), 'gradient': np.full(3, -1.0)})
    found = states({'log_density': np.array([2.0, 3.0]), 'gradient': np.array([-1.0, -1.0])})
    assert np.isfinite(found).all()
    assert found[0] > found[1]
    # A gradient of zero has a logarithm too.
    flat = {'log_density': np.array([2.0]), 'gradient': np.array([0.0])}
    assert np.isfinite(states(flat)).all()
    with pytest.raises(ValueError, match='at least two'):
        fit_states({'log_density': np.array([1.0])})
    with pytest.raises(ValueError, match='need a statistic'):
        fit_states({'max_probability': np.ones(9)})
