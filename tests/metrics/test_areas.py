from __future__ import annotations

import numpy as np
import pytest

from eojax.metrics.areas import error_matrices, estimate_areas

# The example of Olofsson et al. (2014), Sec. 5: deforestation, forest gain, stable forest, stable
# non-forest; 10 million pixels of 30 m.
_COUNTS = np.array([[66, 0, 5, 4], [0, 55, 8, 12], [1, 0, 153, 11], [2, 1, 9, 313]])
_PIXELS = np.array([200_000, 150_000, 3_200_000, 6_450_000])


def test_the_example_of_olofsson_2014():
    areas = estimate_areas(_COUNTS, _PIXELS)
    whole = _PIXELS.sum()
    half = areas.shares.high - areas.shares.value
    assert areas.shares.value[0] * whole == pytest.approx(235_086, abs=1)
    assert half[0] * whole == pytest.approx(68_418, rel=1e-4)
    assert areas.shares.value[0] * whole * 0.09 == pytest.approx(21_158, abs=1)
    assert half[0] * whole * 0.09 == pytest.approx(6_158, abs=1)
    np.testing.assert_allclose(areas.users.value, [0.88, 0.73, 0.93, 0.96], atol=0.005)
    width = (areas.users.high - areas.users.value)[[0, 1, 2, 3]]
    np.testing.assert_allclose(width, [0.07, 0.10, 0.04, 0.02], atol=0.005)
    assert areas.producers.value[0] == pytest.approx(0.75, abs=0.005)
    assert areas.producers.high[0] - areas.producers.value[0] == pytest.approx(0.21, abs=0.005)
    assert areas.overall.value == pytest.approx(0.95, abs=0.005)
    assert areas.overall.high - areas.overall.value == pytest.approx(0.02, abs=0.005)
    assert areas.mapped.tolist() == pytest.approx([0.02, 0.015, 0.32, 0.645])
    assert (areas.places, areas.blocks, areas.unsampled.any()) == (640, None, False)


def test_without_correlation_blocks_change_little():
    random = np.random.default_rng(0)
    strata, labels = np.nonzero(np.ones((4, 4)))
    strata, labels = np.repeat(strata, _COUNTS.ravel()), np.repeat(labels, _COUNTS.ravel())
    counts = error_matrices(strata, labels, random.integers(0, 80, len(strata)), 4, 4)
    assert counts.sum(0).tolist() == _COUNTS.tolist()
    one, other = estimate_areas(counts, _PIXELS), estimate_areas(_COUNTS, _PIXELS)
    np.testing.assert_allclose(one.shares.value, other.shares.value)
    np.testing.assert_allclose(one.shares.error, other.shares.error, rtol=0.3)
    np.testing.assert_allclose(one.users.error, other.users.error, rtol=0.3)
    np.testing.assert_allclose(one.producers.error, other.producers.error, rtol=0.3)
    assert float(one.overall.error) == pytest.approx(float(other.overall.error), rel=0.3)


def _ground(random: np.random.Generator):
    """400 blocks of 50 places of three classes, and a map that errs block by block."""
    chances = random.dirichlet([2.0, 1.0, 0.6], 400)
    labels = (random.random((400, 50, 1)) > np.cumsum(chances, 1)[:, None]).sum(-1)
    wrong = random.random((400, 50)) < random.beta(1.0, 3.0, (400, 1))
    # Of the errors most go one way, so that the counts of the map are biased.
    strata = np.where(wrong, np.where(random.random((400, 50)) < 0.8, 0, 2), labels)
    return strata, labels


def test_intervals_have_their_coverage_where_blocks_err_as_a_whole():
    random = np.random.default_rng(3)
    strata, labels = _ground(random)
    mapped = np.bincount(strata.ravel(), minlength=3) / strata.size
    truth = np.bincount(labels.ravel(), minlength=3) / labels.size
    assert abs(mapped - truth).max() > 0.07
    inside = {'blocks': 0, 'places': 0}
    tries = 500
    for _ in range(tries):
        chosen = random.choice(400, 30, replace=False)
        blocks = np.repeat(chosen, 50)
        counts = error_matrices(strata[chosen].ravel(), labels[chosen].ravel(), blocks, 3, 3)
        for name, given in (('blocks', counts), ('places', counts.sum(0))):
            shares = estimate_areas(given, mapped).shares
            inside[name] += int(((shares.low <= truth) & (truth <= shares.high)).sum())
    assert 0.92 < inside['blocks'] / tries / 3 < 0.98
    assert inside['places'] / tries / 3 < 0.80


def test_ground_without_a_class_is_a_stratum_of_its_own():
    # A third of the ground is left open; half of it is of each class.
    counts = np.array([[90, 10], [0, 100], [50, 50]])
    areas = estimate_areas(counts, np.array([1.0, 1.0, 1.0]))
    assert areas.shares.value.tolist() == pytest.approx([(0.9 + 0.5) / 3, (0.1 + 1.0 + 0.5) / 3])
    assert float(areas.overall.value) == pytest.approx(0.95)
    assert areas.mapped.tolist() == pytest.approx([1 / 3, 1 / 3])


def test_the_errors_are_of_the_same_shares_where_ground_is_left_out():
    counts, shares = np.array([[80, 20], [15, 85], [0, 0]]), np.array([0.4, 0.3, 0.3])
    found = estimate_areas(counts, shares)
    random = np.random.default_rng(0)
    first, second = (
        random.binomial(100, 0.8, 40_000) / 100,
        random.binomial(100, 0.85, 40_000) / 100,
    )
    drawn = (0.4 * first + 0.3 * (1.0 - second)) / 0.7  # of 0.7 of the ground there are places
    assert found.shares.value[0] == pytest.approx(drawn.mean(), rel=0.01)
    assert found.shares.error[0] == pytest.approx(drawn.std(), rel=0.03)
    assert found.producers.error[0] == pytest.approx((0.4 * first / drawn).std(), rel=0.03)
    # Places as blocks of their own: the jackknife is of the same numbers.
    strata, labels = (np.repeat(x, counts.ravel()) for x in np.nonzero(np.ones((3, 2))))
    by_block = error_matrices(strata, labels, np.arange(len(strata)), 3, 2)
    left_out = estimate_areas(by_block, shares)
    np.testing.assert_allclose(left_out.shares.error, found.shares.error, rtol=0.02)


def test_strata_without_a_sample_widen_the_intervals():
    counts = np.array([[90, 10, 0], [5, 95, 0], [0, 0, 1]])
    areas = estimate_areas(counts, np.array([0.5, 0.4, 0.1]))
    assert areas.unsampled.tolist() == [False, False, True]
    assert areas.shares.value[2] == pytest.approx(0.1)
    assert areas.shares.low[2] == 0.0
    assert areas.shares.high[0] > areas.shares.value[0] + 0.1
    assert np.isnan(areas.users.value[2])
    assert areas.shares.value.sum() == pytest.approx(1.0)


def test_ground_without_a_class_and_a_sample_may_be_of_any_class():
    # Nearly half is left open, and nobody looked at it; the rest is right.
    counts = np.array([[400, 0], [0, 400], [0, 0]])
    areas = estimate_areas(counts, np.array([0.4, 0.2, 0.4]))
    assert areas.shares.value.tolist() == pytest.approx([2 / 3, 1 / 3])
    assert areas.shares.low.tolist() == pytest.approx([0.4, 0.2])
    assert areas.shares.high.tolist() == pytest.approx([0.8, 0.6])


@pytest.mark.parametrize(
    ('counts', 'shares', 'words'),
    [
        (np.zeros((2, 2)), np.ones(2), 'must be reference places'),
        (np.ones((1, 2)), np.ones(1), 'S >= K'),
        (np.ones((1, 2, 2)), np.ones(2), 'single block'),
    ],
)
def test_bad_input_is_refused(counts, shares, words):
    with pytest.raises(ValueError, match=words):
        estimate_areas(counts, shares)


def test_places_and_counts_that_cannot_be_are_refused():
    blocks = np.array([0, 1])
    # A label of 2 among two classes would lie in the next stratum.
    with pytest.raises(ValueError, match='labels must be from 0 to 1'):
        error_matrices(np.array([0, 1]), np.array([2, 0]), blocks, 2, 2)
    with pytest.raises(ValueError, match='strata must be from 0 to 1'):
        error_matrices(np.array([0, -1]), np.array([1, 0]), blocks, 2, 2)
    with pytest.raises(ValueError, match='no counts below 0'):
        estimate_areas(np.array([[5, -1], [1, 5]]), np.ones(2))
    with pytest.raises(ValueError, match=r'expected \[S, K\]'):
        estimate_areas(np.array([5, 1]), np.ones(2))
