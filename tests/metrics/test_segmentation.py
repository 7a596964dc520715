from __future__ import annotations

import json

import jax
import numpy as np
import pytest
from sklearn.metrics import accuracy_score, f1_score, jaccard_score

from eojax.metrics.segmentation import (
    confusion_counts,
    intersection_over_union,
    segmentation_numbers,
)

NAMES = ('water', 'crops', 'trees', 'snow')


def _maps(seed: int, count: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """Predictions and labels `[count, 20, 24]`; snow is neither; a fifth is unknown."""
    random = np.random.default_rng(seed)
    labels = random.integers(0, 3, (count, 20, 24))
    wrong = random.random(labels.shape) < 0.4
    predicted = np.where(wrong, random.integers(0, 3, labels.shape), labels)
    labels[random.random(labels.shape) < 0.2] = -1
    return predicted.astype(np.int32), labels.astype(np.int32)


def test_sums_of_batches_give_the_numbers_of_scikit_learn() -> None:
    predicted, labels = _maps(0, 6)
    count = jax.jit(confusion_counts, static_argnums=2)
    parts = [count(predicted[i : i + 2], labels[i : i + 2], 4) for i in (0, 2, 4)]
    matrix = np.sum([np.asarray(part, np.int64) for part in parts], axis=0)
    assert matrix.shape == (4, 4)
    assert matrix.sum() == (labels >= 0).sum()
    numbers = segmentation_numbers(matrix, NAMES)
    true, guessed = labels[labels >= 0], predicted[labels >= 0]
    iou = jaccard_score(true, guessed, average=None)
    assert numbers['pixels'] == len(true)
    assert numbers['pixel_accuracy'] == pytest.approx(accuracy_score(true, guessed))
    assert [numbers[f'iou_{name}'] for name in NAMES[:3]] == pytest.approx(list(iou))
    assert numbers['mean_iou'] == pytest.approx(iou.mean())
    assert numbers['mean_iou_all'] == pytest.approx(iou.sum() / 4)
    assert numbers['mean_f1'] == pytest.approx(f1_score(true, guessed, average='macro'))
    assert 'iou_snow' not in numbers
    assert json.loads(json.dumps(numbers, allow_nan=False)) == numbers


def test_unknown_pixels_count_nowhere() -> None:
    predicted, labels = _maps(1)
    other = np.where(labels < 0, (predicted + 1) % 3, predicted)
    np.testing.assert_array_equal(*(confusion_counts(p, labels, 4) for p in (predicted, other)))
    assert np.asarray(confusion_counts(predicted, np.full_like(labels, -1), 4)).sum() == 0


def test_a_class_that_is_only_predicted_lowers_the_others_and_is_not_present() -> None:
    # Four pixels of water, one of them taken for snow.
    matrix = np.zeros((4, 4), np.int64)
    matrix[0, 0], matrix[0, 3] = 3, 1
    assert intersection_over_union(matrix)[[0, 3]].tolist() == [0.75, 0.0]
    assert np.isnan(intersection_over_union(matrix)[1:3]).all()
    numbers = segmentation_numbers(matrix, NAMES)
    assert numbers['mean_iou'] == 0.75
    assert numbers['mean_iou_all'] == 0.75 / 4


def test_counts_of_other_classes_or_of_nothing_are_refused() -> None:
    with pytest.raises(ValueError, match='4 classes'):
        segmentation_numbers(np.ones((3, 3), np.int64), NAMES)
    with pytest.raises(ValueError, match='no labelled pixel'):
        segmentation_numbers(np.zeros((4, 4), np.int64), NAMES)
