from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import random

from eojax.losses.supervised_contrastive import supervised_contrastive


def by_hand(features: np.ndarray, labels: np.ndarray, temperature: float) -> float:
    """The mean of Eq. 3's summands over the anchors that have a positive, in loops."""
    z = features / np.linalg.norm(features, axis=1, keepdims=True)
    known = [i for i in range(len(labels)) if labels[i] >= 0]
    losses = []
    for i in known:
        others = [a for a in known if a != i]
        positives = [p for p in others if labels[p] == labels[i]]
        if positives:
            total = sum(np.exp(z[i] @ z[a] / temperature) for a in others)
            logs = [np.log(np.exp(z[i] @ z[p] / temperature) / total) for p in positives]
            losses.append(-np.mean(logs))
    return float(np.mean(losses)) if losses else 0.0


@pytest.mark.parametrize('temperature', [0.07, 0.5])
@pytest.mark.parametrize('labels', [[0, 1, 0, 2, 1, 0, 1, 1], [0, -1, 0, 2, 1, 3, 1, -1]])
def test_it_is_the_papers_sum_over_positives(temperature: float, labels: list[int]):
    features = np.asarray(random.normal(random.key(0), (8, 5)), np.float64)
    found = supervised_contrastive(jnp.asarray(features), jnp.asarray(labels), temperature)
    np.testing.assert_allclose(found, by_hand(features, np.asarray(labels), temperature), rtol=1e-4)


def test_an_anchor_without_positives_contributes_nothing():
    features = random.normal(random.key(1), (5, 4))
    for labels in ([0, 1, 2, 3, 4], [-1] * 5, [0, -1, -1, -1, -1]):
        value, gradient = jax.value_and_grad(supervised_contrastive)(
            features, jnp.asarray(labels), 0.1
        )
        assert value == 0.0
        np.testing.assert_array_equal(gradient, 0.0)


def test_unlabelled_samples_are_left_out_of_everything():
    features = random.normal(random.key(2), (6, 4))
    labels = jnp.array([0, 1, 0, 1, -1, -1])
    found, gradient = jax.value_and_grad(supervised_contrastive)(features, labels, 0.1)
    np.testing.assert_allclose(found, supervised_contrastive(features[:4], labels[:4], 0.1), 1e-6)
    np.testing.assert_array_equal(gradient[4:], 0.0)


def test_the_length_of_features_does_not_matter_and_zeros_stay_finite():
    features = random.normal(random.key(3), (6, 4))
    labels = jnp.array([0, 1, 0, 1, 2, 2])
    lengths = jnp.array([0.01, 1.0, 5.0, 100.0, 0.3, 2.0])[:, None]
    found = supervised_contrastive(features * lengths, labels, 0.1)
    np.testing.assert_allclose(found, supervised_contrastive(features, labels, 0.1), rtol=1e-4)
    value, gradient = jax.value_and_grad(supervised_contrastive)(
        features.at[0].set(0.0), labels, 0.1
    )
    assert np.isfinite(value)
    assert np.isfinite(gradient).all()


def test_descent_brings_classes_together_and_apart():
    features = random.normal(random.key(4), (12, 8))
    labels = jnp.arange(12) % 3
    step = jax.jit(lambda f: f - 0.5 * jax.grad(supervised_contrastive)(f, labels, 0.5))
    moved = features
    for _ in range(100):
        moved = step(moved)

    def cosines(values: jax.Array) -> tuple[float, float]:
        z = values / jnp.linalg.norm(values, axis=1, keepdims=True)
        same = labels[:, None] == labels
        products = z @ z.T
        own = (jnp.where(same, products, 0.0).sum() - 12) / (same.sum() - 12)
        return float(own), float(jnp.where(same, 0.0, products).sum() / (~same).sum())

    before, after = cosines(features), cosines(moved)
    assert after[0] > 0.7 > before[0] + 0.5
    assert after[1] < min(before[1], -0.2)


def test_bfloat16_features_and_shapes():
    features = random.normal(random.key(5), (4, 3))
    labels = jnp.array([0, 0, 1, 1])
    assert supervised_contrastive(features.astype(jnp.bfloat16), labels, 0.1).dtype == jnp.float32
    with pytest.raises(ValueError, match=r'labels \[N\]'):
        supervised_contrastive(features, labels[:3], 0.1)
