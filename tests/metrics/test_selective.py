from __future__ import annotations

import numpy as np
import pytest

from eojax.metrics.selective import area_under, risk_at, risks


def test_risks_by_hand():
    # From the highest score: right, wrong, right, wrong.
    curve = risks(np.array([0.9, 0.1, 0.5, 0.7]), np.array([False, True, False, True]))
    np.testing.assert_allclose(curve, [0.0, 1 / 2, 1 / 3, 1 / 2])
    assert area_under(curve) == pytest.approx((0 + 1 / 2 + 1 / 3 + 1 / 2) / 4)
    assert [risk_at(curve, c) for c in (1.0, 0.75, 0.7, 0.5, 0.01)] == pytest.approx(
        [1 / 2, 1 / 3, 1 / 3, 1 / 2, 0.0]
    )


def test_equal_scores_are_worth_the_mean_over_their_orders():
    random = np.random.default_rng(0)
    scores, wrong = random.integers(0, 3, 12), random.random(12) < 0.4
    mean = np.zeros(12)
    for _ in range(4000):
        order = np.lexsort((random.random(12), -scores))
        mean += np.cumsum(wrong[order]) / np.arange(1, 13) / 4000
    np.testing.assert_allclose(risks(scores, wrong), mean, atol=0.02)
    constant = risks(np.zeros(12), wrong)
    np.testing.assert_allclose(constant, wrong.mean())


def test_bad_input_is_refused():
    with pytest.raises(ValueError, match='NaN'):
        risks(np.array([np.nan, 1.0]), np.array([True, False]))
    with pytest.raises(ValueError, match='twice'):
        risks(np.zeros(0), np.zeros(0, bool))


@pytest.mark.parametrize('coverage', [0.0, 1.5, np.nan])
def test_a_coverage_that_is_none_is_refused(coverage):
    with pytest.raises(ValueError, match='above 0 and up to 1'):
        risk_at(np.array([0.0, 0.5]), coverage)
