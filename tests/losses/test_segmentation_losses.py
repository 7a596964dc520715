"""Weighted cross-entropy, focal and Dice loss against sums by hand over the labelled pixels."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import random
from sklearn.metrics import f1_score

from eojax.losses.dice import dice
from eojax.losses.focal import focal
from eojax.losses.pixel_cross_entropy import pixel_cross_entropy

WEIGHTS = np.array([1.0, 0.0, 2.5], np.float32)


@pytest.fixture(scope='module')
def batch() -> tuple[jax.Array, jax.Array]:
    keys = random.split(random.key(0))
    logits = 3 * random.normal(keys[0], (2, 4, 5, 3))
    return logits, random.randint(keys[1], (2, 4, 5), -1, 3)


def _of_labelled(batch: tuple[jax.Array, jax.Array]) -> tuple[np.ndarray, np.ndarray]:
    """Probabilities `[n, K]` and classes `[n]` of the labelled pixels."""
    logits, labels = (np.asarray(array) for array in batch)
    known = labels >= 0
    exponentials = np.exp(logits[known])
    return exponentials / exponentials.sum(-1, keepdims=True), labels[known]


@pytest.mark.parametrize('gamma', [0.0, 0.5, 2.0])
@pytest.mark.parametrize('weights', [None, WEIGHTS])
def test_focal_loss_by_hand(
    batch: tuple[jax.Array, jax.Array], gamma: float, weights: np.ndarray | None
) -> None:
    probabilities, classes = _of_labelled(batch)
    right = probabilities[np.arange(len(classes)), classes]
    share = np.ones(3)[classes] if weights is None else weights[classes]
    expected = (share * (1 - right) ** gamma * -np.log(right)).sum() / share.sum()
    given = None if weights is None else jnp.asarray(weights)
    assert float(focal(*batch, gamma, given)) == pytest.approx(expected, rel=1e-5)
    if gamma == 0:
        assert float(pixel_cross_entropy(*batch, given)) == pytest.approx(expected, rel=1e-5)


def test_dice_of_certain_maps_is_the_mean_f1(batch: tuple[jax.Array, jax.Array]) -> None:
    _, labels = batch
    guess = np.roll(np.maximum(np.asarray(labels), 0), 1, 2)
    certain = 100.0 * jax.nn.one_hot(guess, 3)
    known = np.asarray(labels) >= 0
    scores = f1_score(np.asarray(labels)[known], guess[known], average=None)
    assert float(dice(certain, labels)) == pytest.approx(1 - scores.mean(), rel=1e-5)
    weighted = 1 - (WEIGHTS * scores).sum() / WEIGHTS.sum()
    assert float(dice(certain, labels, jnp.asarray(WEIGHTS))) == pytest.approx(weighted, rel=1e-5)
    # A class without pixels is not in the mean.
    absent = jnp.where(labels == 2, -1, labels)
    known = np.asarray(absent) >= 0
    scores = f1_score(np.asarray(absent)[known], guess[known], average=None, labels=[0, 1])
    assert float(dice(certain, absent)) == pytest.approx(1 - scores.mean(), rel=1e-5)


@pytest.mark.parametrize('loss', [
    lambda logits, labels: focal(logits, labels, 0.5),
    dice,
    lambda logits, labels: pixel_cross_entropy(logits, labels, jnp.asarray(WEIGHTS)),
])  # fmt: skip
def test_unlabelled_pixels_enter_no_loss(loss, batch: tuple[jax.Array, jax.Array]) -> None:
    logits, labels = batch
    logits = logits.at[0, 0].set(jnp.array([200.0, 0.0, 0.0]))  # p is 1 to the last digit
    labels = labels.at[0, 0].set(0)
    gradient = np.asarray(jax.grad(loss)(logits, labels))
    assert np.isfinite(gradient).all()
    assert not gradient[np.asarray(labels) < 0].any()
    nothing = jnp.full_like(labels, -1)
    value, gradient = jax.value_and_grad(loss)(logits, nothing)
    assert float(value) == 0.0
    assert not np.asarray(gradient).any()
