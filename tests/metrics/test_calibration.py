from __future__ import annotations

import numpy as np
import pytest

from eojax.metrics.calibration import expected_calibration_error, reliability_curve


def _two_classes(confidence: list[float]) -> np.ndarray:
    return np.stack([np.array(confidence), 1 - np.array(confidence)], axis=1)


def test_hand_made_bins():
    # 15 bins: 0.62 and 0.64 share (9/15, 10/15], 0.95 is alone in (14/15, 1].
    probabilities = _two_classes([0.62, 0.64, 0.95])
    labels = np.array([0, 1, 0])
    curve = reliability_curve(probabilities, labels)
    assert curve.counts.tolist() == [0] * 9 + [2] + [0] * 4 + [1]
    np.testing.assert_allclose(curve.confidence[[9, 14]], [0.63, 0.95])
    np.testing.assert_allclose(curve.accuracy[[9, 14]], [0.5, 1.0])
    assert np.isnan(curve.accuracy[0])
    expected = (2 * 0.13 + 1 * 0.05) / 3
    assert expected_calibration_error(probabilities, labels) == pytest.approx(expected)


def test_errors_of_opposite_sign_in_one_bin_cancel_and_in_two_bins_do_not():
    probabilities = _two_classes([0.7, 0.7, 0.95, 0.95])
    labels = np.array([0, 0, 0, 1])
    assert expected_calibration_error(probabilities, labels, num_bins=1) == pytest.approx(0.075)
    assert expected_calibration_error(probabilities, labels, num_bins=10) == pytest.approx(0.375)


def test_a_bin_holds_its_upper_edge():
    curve = reliability_curve(_two_classes([0.5, 0.75, 1.0]), np.zeros(3, int), num_bins=4)
    assert curve.counts.tolist() == [0, 1, 1, 1]


def test_certain_and_right_is_perfect_and_certain_and_wrong_is_worst():
    certain = np.eye(3)
    assert expected_calibration_error(certain, np.arange(3)) == 0.0
    assert expected_calibration_error(certain, np.array([1, 2, 0])) == 1.0


def test_labels_drawn_from_the_probabilities_are_calibrated():
    generator = np.random.default_rng(0)
    probabilities = generator.dirichlet(np.ones(4), 20_000)
    cumulative = probabilities.cumsum(axis=1)
    labels = (generator.random((20_000, 1)) > cumulative).sum(axis=1).clip(max=3)
    assert expected_calibration_error(probabilities, labels) < 0.02
    sharpened = probabilities**3 / (probabilities**3).sum(axis=1, keepdims=True)
    assert expected_calibration_error(sharpened, labels) > 0.15


def test_refuses_what_is_no_probability():
    with pytest.raises(ValueError, match='sum to 1'):
        reliability_curve(np.log(_two_classes([0.5])), np.array([0]))
    with pytest.raises(ValueError, match='expected'):
        reliability_curve(_two_classes([0.5]), np.array([0, 1]))
