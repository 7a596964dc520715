from __future__ import annotations

import json

import jax
import numpy as np
import pytest
from scipy.ndimage import distance_transform_edt
from sklearn.metrics import (
    accuracy_score,
    cohen_kappa_score,
    f1_score,
    jaccard_score,
    precision_score,
    recall_score,
)

from eojax.metrics.segmentation import (
    confusion_counts,
    intersection_over_union,
    near_border,
    numbers_of_counts,
    segmentation_numbers,
    window_counts,
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
    assert numbers['kappa'] == pytest.approx(cohen_kappa_score(true, guessed))
    for kind, score in (('precision', precision_score), ('recall', recall_score)):
        expected = score(true, guessed, average=None)
        assert [numbers[f'{kind}_{name}'] for name in NAMES[:3]] == pytest.approx(list(expected))
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


def test_counts_of_windows_add_up_to_the_matrix() -> None:
    predicted, labels = _maps(2, 5)
    counts = window_counts(predicted, labels, 4)
    one = segmentation_numbers(np.asarray(confusion_counts(predicted[3], labels[3], 4)), NAMES)
    assert numbers_of_counts(counts.at(3), NAMES) == one
    matrix = np.asarray(confusion_counts(predicted, labels, 4))
    assert numbers_of_counts(counts.sum(), NAMES) == segmentation_numbers(matrix, NAMES)


def test_kappa_of_a_single_class_is_left_out() -> None:
    assert 'kappa' not in segmentation_numbers(np.array([[5, 0], [0, 0]]), NAMES[:2])


@pytest.mark.parametrize('distance', [0, 1, 3, 40])
def test_pixels_near_a_border_have_another_class_so_near(distance: int) -> None:
    labels = np.random.default_rng(0).integers(-1, 3, (6, 7)).repeat(4, 0).repeat(5, 1)
    expected = np.zeros(labels.shape, bool)
    for number in range(3):
        others = (labels >= 0) & (labels != number)
        away = distance_transform_edt(~others)
        expected |= (labels == number) & (away <= distance)
    np.testing.assert_array_equal(near_border(labels, distance), expected)
