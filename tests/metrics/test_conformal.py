from __future__ import annotations

import math

import numpy as np
import pytest

from eojax.metrics import conformal
from eojax.metrics.conformal import block_quantile, blocks_needed, class_scores, shares_of_blocks


def test_lac_is_one_minus_the_probability_and_aps_sums_down_to_the_class():
    p = np.array([[0.2, 0.5, 0.3]])
    np.testing.assert_allclose(class_scores(p, 'lac'), [[0.8, 0.5, 0.7]])
    scores = class_scores(p, 'aps', np.array([0.5]))
    # 0.5 stands first, then 0.3, then 0.2.
    np.testing.assert_allclose(scores, [[0.8 + 0.1, 0.25, 0.5 + 0.15]])
    with pytest.raises(ValueError, match='uniform'):
        class_scores(p, 'aps')


def test_one_place_a_block_is_ordinary_split_conformal():
    scores = np.random.default_rng(0).random(57)
    rank = math.ceil(0.9 * 58)
    assert block_quantile(scores, np.arange(57), 0.9) == np.sort(scores)[rank - 1]


def test_each_block_weighs_the_same_whatever_its_size():
    # Nine blocks: one of a thousand places of score 0.1, eight of one place each.
    scores = np.concatenate([np.full(1000, 0.1), np.linspace(0.2, 0.9, 8)])
    blocks = np.concatenate([np.zeros(1000, int), np.arange(1, 9)])
    # Weights are tenths: 0.1 of the large block, and each of the others.
    assert block_quantile(scores, blocks, 0.3) == pytest.approx(0.3)
    assert block_quantile(scores, blocks, 0.9) == pytest.approx(0.9)
    assert block_quantile(scores, blocks, 0.91) == math.inf


@pytest.mark.parametrize(('level', 'needed'), [(0.5, 1), (0.8, 4), (0.9, 9), (0.95, 19)])
def test_so_many_blocks_are_needed(level, needed):
    assert blocks_needed(level) == needed
    scores = np.linspace(0.0, 1.0, needed)
    assert math.isfinite(block_quantile(scores, np.arange(needed), level))
    if needed > 1:
        assert block_quantile(scores[1:], np.arange(needed - 1), level) == math.inf


@pytest.mark.parametrize('level', [0.0, 1.0, -0.1, float('nan')])
def test_levels_outside_0_and_1_are_refused(level):
    with pytest.raises(ValueError, match='between 0 and 1'):
        block_quantile(np.ones(3), np.arange(3), level)


def _places(random: np.random.Generator, num_blocks: int):
    """p(y|x) of four classes and the classes, in blocks that are hard or easy as a whole.

    The network is as sure everywhere, and wrong far more often in hard blocks, which are small.
    """
    hard = random.random(num_blocks)
    sizes = np.where(hard > 0.6, 10, 150)
    blocks = np.repeat(np.arange(num_blocks), sizes)
    sharp = random.gamma(2.0, 1.5, len(blocks))
    logits = random.normal(0.0, 1.0, (len(blocks), 4))
    labels = random.integers(0, 4, len(blocks))
    # What the network says has less to do with the class the harder the block is.
    logits[np.arange(len(blocks)), labels] += sharp * (1.6 - 1.6 * hard[blocks])
    p = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    return p, labels, blocks


@pytest.mark.parametrize('kind', ['lac', 'aps'])
def test_blocks_hold_their_level_where_places_as_units_do_not(kind):
    random, level = np.random.default_rng(1), 0.9
    by_block, by_place = [], []
    for _ in range(200):
        held = _places(random, 20)
        tested = _places(random, 20)

        def scores(places, random=random):
            p, labels, _ = places
            every = class_scores(p, kind, random.random(len(p)))
            return every[np.arange(len(p)), labels]

        kept, new = scores(held), scores(tested)
        limits = (
            block_quantile(kept, held[2], level),
            block_quantile(kept, np.arange(len(kept)), level),
        )
        for limit, into in zip(limits, (by_block, by_place), strict=True):
            into.append(shares_of_blocks(new <= limit, tested[2]).mean)
    error = np.std(by_block) / math.sqrt(len(by_block))
    assert np.mean(by_block) > level - 2 * error
    # Not by far too much either: 1 / (K + 1) and what ties add.
    assert np.mean(by_block) < level + 0.05
    assert np.mean(by_place) < level - 0.03


def test_intervals_of_shares_over_blocks():
    random = np.random.default_rng(2)
    inside = 0
    for _ in range(400):
        chances = random.beta(6.0, 2.0, 12)
        blocks = np.repeat(np.arange(12), 50)
        shares = shares_of_blocks(random.random(600) < chances[blocks], blocks)
        inside += shares.low <= 0.75 <= shares.high
    assert 0.91 < inside / 400 < 0.98
    single = shares_of_blocks(np.array([True, False]), np.array([3, 3]))
    assert (single.mean, single.low, single.high) == (0.5, 0.0, 1.0)
    places = shares_of_blocks(np.arange(10) < 8, np.arange(10))
    assert places.low == pytest.approx(0.490, abs=0.001)  # Wilson's of 8 of 10
    assert places.pooled == pytest.approx(0.8)
    # Three blocks without an error have no spread, and yet say little of the next one.
    blocks = np.repeat(np.arange(3), 20)
    covered = shares_of_blocks(np.ones(60, bool), blocks)
    assert (covered.mean, covered.high) == (1.0, pytest.approx(1.0))
    assert covered.low == pytest.approx(0.438, abs=0.001)  # Wilson's of 3 of 3


def test_kinds_have_names():
    assert conformal.SCORES == ('lac', 'aps')
    with pytest.raises(ValueError, match='lac'):
        class_scores(np.ones((1, 1)), 'raps')


def test_numbers_that_are_no_probabilities_are_refused():
    for wrong in ([[90.0, 10.0]], [[-2.0, 0.5]]):
        with pytest.raises(ValueError, match='between 0 and 1'):
            class_scores(np.array(wrong), 'lac')
    with pytest.raises(ValueError, match=r'expected \[2\] uniform numbers'):
        class_scores(np.full((2, 2), 0.5), 'aps', np.array([0.5]))
    with pytest.raises(ValueError, match='NaN'):
        block_quantile(np.array([np.nan, 0.1]), np.array([0, 1]), 0.5)
