from __future__ import annotations

import jax
import numpy as np
from jax import Array, random
from scipy.special import log_softmax

from eojax.losses.pixel_cross_entropy import pixel_cross_entropy, pixels_right


def _batch() -> tuple[Array, np.ndarray]:
    logits = random.normal(random.key(0), (3, 5, 4, 6)) * 3.0
    labels = np.array(random.randint(random.key(1), (3, 5, 4), -1, 6))
    labels[2] = -1  # an image without labels
    return logits, labels


def test_it_is_the_mean_over_labelled_pixels() -> None:
    logits, labels = _batch()
    log_p = log_softmax(np.asarray(logits, np.float64), axis=-1)
    chosen = [(log_p[i][labels[i]], log_p[i].argmax() == labels[i])
              for i in np.ndindex(labels.shape) if labels[i] >= 0]  # fmt: skip
    losses, right = zip(*chosen, strict=True)
    np.testing.assert_allclose(pixel_cross_entropy(logits, labels), -np.mean(losses), rtol=1e-6)
    for found, wanted in zip(pixels_right(logits, labels), (sum(right), len(right)), strict=True):
        assert found.sum() == wanted


def test_unlabelled_pixels_have_no_gradient_and_no_say() -> None:
    logits, labels = _batch()
    gradient = jax.grad(pixel_cross_entropy)(logits, labels)
    assert (np.abs(np.asarray(gradient)).sum(-1)[labels < 0] == 0.0).all()
    assert (np.abs(np.asarray(gradient)).sum(-1)[labels >= 0] > 0.0).all()
    damaged = np.where((labels < 0)[..., None], np.float32(1e4), logits)
    assert pixel_cross_entropy(damaged, labels) == pixel_cross_entropy(logits, labels)


def test_a_batch_without_labels_gives_zero_and_not_nan() -> None:
    logits, labels = _batch()
    nothing = np.full_like(labels, -1)
    assert pixel_cross_entropy(logits, nothing) == 0.0
    assert not any(found.any() for found in pixels_right(logits, nothing))
    assert not np.asarray(jax.grad(pixel_cross_entropy)(logits, nothing)).any()
