from __future__ import annotations

import json
import math

import numpy as np
import pytest
from sklearn import metrics

from eojax.metrics import classification


def _random_predictions(num: int = 200, num_classes: int = 4) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(0)
    logits = generator.normal(size=(num, num_classes))
    probabilities = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    return probabilities, generator.integers(0, num_classes, num)


def test_hand_made_case():
    probabilities = np.array([[0.5, 0.25, 0.25], [0.1, 0.8, 0.1], [0.6, 0.2, 0.2]])
    labels = np.array([0, 1, 2])
    assert classification.accuracy(probabilities, labels) == pytest.approx(2 / 3)
    expected_nll = -(math.log(0.5) + math.log(0.8) + math.log(0.2)) / 3
    assert classification.nll(np.log(probabilities), labels) == pytest.approx(expected_nll)
    expected_brier = (0.375 + 0.06 + (0.36 + 0.04 + 0.64)) / 3
    assert classification.brier(probabilities, labels) == pytest.approx(expected_brier)
    np.testing.assert_array_equal(
        classification.confusion_matrix(probabilities, labels), [[1, 0, 0], [0, 1, 0], [1, 0, 0]]
    )


def test_agrees_with_scikit_learn():
    probabilities, labels = _random_predictions()
    predicted = probabilities.argmax(axis=1)
    assert classification.accuracy(probabilities, labels) == metrics.accuracy_score(
        labels, predicted
    )
    assert classification.nll(np.log(probabilities), labels) == pytest.approx(
        metrics.log_loss(labels, probabilities)
    )
    expected = metrics.brier_score_loss(labels, probabilities, scale_by_half=False)
    assert classification.brier(probabilities, labels) == pytest.approx(expected)
    scores = classification.per_class(classification.confusion_matrix(probabilities, labels))
    expected_scores = metrics.precision_recall_fscore_support(labels, predicted)[:3]
    np.testing.assert_allclose(scores, expected_scores)


def test_brier_leaves_its_input_alone():
    probabilities, labels = _random_predictions()
    before = probabilities.copy()
    classification.brier(probabilities, labels)
    np.testing.assert_array_equal(probabilities, before)


def test_class_that_never_occurs_has_no_score():
    matrix = np.array([[3, 1, 0, 0], [0, 4, 0, 0], [2, 0, 0, 0], [0, 0, 0, 0]])
    scores = classification.per_class(matrix)
    np.testing.assert_allclose(scores.precision, [3 / 5, 4 / 5, 0, np.nan])
    np.testing.assert_allclose(scores.recall, [3 / 4, 1, 0, np.nan])
    np.testing.assert_allclose(scores.f1, [2 / 3, 8 / 9, 0, np.nan])


def test_summary_is_finite_even_where_a_class_is_absent_or_the_classifier_certain_and_wrong():
    with np.errstate(divide='ignore'):
        log_probabilities = np.log(np.array([[1.0, 0, 0], [0, 1, 0], [1, 0, 0]]))
    result = classification.numbers_of(
        classification.sums_of(log_probabilities, np.array([0, 1, 1])), ['A', 'B', 'C']
    )
    json.dumps(result, allow_nan=False)
    assert 'f1_C' not in result
    assert result['f1_A'] == pytest.approx(2 / 3)
    assert result['f1_macro'] == pytest.approx((result['f1_A'] + result['f1_B']) / 2)
    assert result['nll'] == pytest.approx(708.396 / 3, rel=1e-4)
    assert result['brier'] == pytest.approx(2 / 3)


@pytest.mark.parametrize(
    ('probabilities', 'labels', 'message'),
    [
        (np.ones((3, 2)), np.zeros(2, int), 'expected'),
        (np.ones((0, 2)), np.zeros(0, int), 'num > 0'),
        (np.ones((3, 2)), np.array([0, 1, 2]), '0 to 1'),
        (np.ones((3, 2)), np.array([0.0, 1, 1]), 'integers'),
        (np.full((3, 2), np.nan), np.array([0, 1, 1]), 'NaN'),
    ],
)
def test_refuses_what_does_not_fit(probabilities, labels, message):
    with pytest.raises(ValueError, match=message):
        classification.accuracy(probabilities, labels)
