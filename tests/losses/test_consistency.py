"""Pseudo-labels, thresholds and alignment, by hand."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from eojax.losses.consistency import (
    Beliefs,
    align,
    class_thresholds,
    consistency_loss,
    initial_beliefs,
    pseudo_labels,
    update_beliefs,
)

Q = jnp.array([[0.97, 0.02, 0.01], [0.5, 0.3, 0.2], [0.02, 0.02, 0.96], [0.04, 0.95, 0.01]])


def test_only_confident_predictions_are_chosen():
    pseudo = pseudo_labels(Q, 0.95)
    np.testing.assert_array_equal(pseudo.labels, [0, 0, 2, 1])
    np.testing.assert_array_equal(pseudo.chosen, [True, False, True, True])


def test_a_threshold_of_one_chooses_nothing():
    certain = jnp.eye(3)
    assert not pseudo_labels(certain, 1.0).chosen.any()
    logits = jnp.ones((3, 3))
    assert float(consistency_loss(logits, pseudo_labels(certain, 1.0))) == 0.0
    assert pseudo_labels(certain, 0.999).chosen.all()


def test_loss_is_averaged_over_all_images():
    logits = jnp.array([[2.0, 0.0, 1.0], [0.0, 0.0, 9.0], [0.5, 0.5, 0.5], [1.0, 3.0, 0.0]])
    pseudo = pseudo_labels(Q, 0.95)
    terms = [
        np.log(np.exp(row).sum()) - row[y] for row, y in zip(logits, [0, 0, 2, 1], strict=True)
    ]
    expected = (terms[0] + terms[2] + terms[3]) / 4
    assert float(consistency_loss(logits, pseudo)) == pytest.approx(float(expected), rel=1e-6)


def test_no_gradient_reaches_the_predictions():
    def loss(weak: jax.Array) -> jax.Array:
        pseudo = pseudo_labels(jax.nn.softmax(weak), 0.3)
        assert pseudo.probabilities.shape == (4, 3)
        return consistency_loss(weak * 0.0 + 1.0, pseudo) + pseudo.probabilities.sum()

    np.testing.assert_array_equal(jax.grad(loss)(jnp.log(Q)), np.zeros((4, 3)))


def test_beliefs_are_running_means():
    beliefs = update_beliefs(initial_beliefs(3), Q, 0.75)
    most = np.mean([0.97, 0.5, 0.96, 0.95])
    assert float(beliefs.confidence) == pytest.approx(0.75 / 3 + 0.25 * most, rel=1e-6)
    np.testing.assert_allclose(beliefs.classes, 0.75 / 3 + 0.25 * np.mean(Q, 0), rtol=1e-6)
    assert float(beliefs.classes.sum()) == pytest.approx(1.0)


def test_thresholds_follow_the_classes():
    beliefs = Beliefs(jnp.float32(0.8), jnp.array([0.5, 0.25, 0.25]))
    np.testing.assert_allclose(class_thresholds(beliefs), [0.8, 0.4, 0.4], rtol=1e-6)
    # Each class by its own: 0.5 of the first is too little, 0.5 of the second enough.
    pseudo = pseudo_labels(jnp.array([[0.5, 0.3, 0.2], [0.3, 0.5, 0.2]]), class_thresholds(beliefs))
    np.testing.assert_array_equal(pseudo.chosen, [False, True])


def test_alignment_makes_the_mean_that_of_the_labels():
    rng = np.random.default_rng(0)
    q = jnp.asarray(rng.dirichlet([4.0, 1.0, 1.0], 5000), jnp.float32)
    beliefs = Beliefs(q.max(-1).mean(), q.mean(0))
    target = jnp.full(3, 1 / 3)
    aligned = align(q, beliefs, target)
    np.testing.assert_allclose(aligned.sum(-1), 1.0, rtol=1e-5)
    before, after = np.abs(q.mean(0) - target).max(), np.abs(aligned.mean(0) - target).max()
    assert after < before / 3
    # By hand, for one prediction.
    ratio = np.asarray(q[0]) / 3 / np.asarray(beliefs.classes)
    np.testing.assert_allclose(aligned[0], ratio / ratio.sum(), rtol=1e-5)
