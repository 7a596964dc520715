"""Areas under curves from counts against scikit-learn's from all scores."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from eojax.metrics.ranking_counts import NOTHING, added, auroc, counts_of


def _expected(inside: np.ndarray, outside: np.ndarray) -> float:
    truth = np.repeat([1, 0], [inside.size, outside.size])
    return float(roc_auc_score(truth, np.concatenate([inside.reshape(-1), outside.reshape(-1)])))


@pytest.mark.parametrize('shift', [-0.7, 0.0, 3.0])
def test_counts_of_batches_rank_as_all_scores_do(shift: float) -> None:
    generator = np.random.default_rng(0)
    inside = (generator.normal(size=(6, 40, 40)) + shift).astype(np.float32)
    outside = (2.0 * generator.normal(size=(5, 30, 30))).astype(np.float32)
    counts = [NOTHING, NOTHING]
    for place, scores in enumerate((inside, outside)):
        for one in scores:
            counts[place] = added(counts[place], counts_of(one))
        assert counts[place].total == scores.size
    assert auroc(*counts) == pytest.approx(_expected(inside, outside), abs=2e-5)


def test_ties_zeros_and_signs() -> None:
    inside = np.array([-2.0, -0.0, 0.0, 1.0, 1.0, 1e30])
    outside = np.array([0.0, -3.0, -1e-30, 1.0, -1e30])
    found = auroc(counts_of(inside), counts_of(outside))
    assert found == pytest.approx(_expected(inside, outside), abs=1e-12)


def test_what_cannot_be_ranked_is_refused() -> None:
    with pytest.raises(ValueError, match='NaN'):
        counts_of(np.array([0.0, np.nan]))
    with pytest.raises(ValueError, match='one kind'):
        auroc(counts_of(np.ones(3)), NOTHING)
