"""The losses of a discriminator of classes, and what it is not shown."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import random

from eojax.losses import made_up_pixels
from eojax.losses.made_up_pixels import class_weights, draw_mask, label_mix

LABELS = jnp.array([[[0, 0, 0, 1], [-1, -1, 0, 1]]])  # 4 of class 0, 2 of class 1, none of class 2
LOGITS = random.normal(random.key(0), (1, 2, 4, 4))


def test_classes_are_balanced_by_their_share_of_the_known_pixels() -> None:
    # Of 6 known pixels in two classes: 6 / (2 * 4) and 6 / (2 * 2).
    np.testing.assert_allclose(class_weights(LABELS, 3), [0.75, 1.5, 0.0])
    np.testing.assert_array_equal(class_weights(jnp.full((1, 2, 2), -1), 3), 0.0)


def test_losses_by_hand_and_unknown_pixels_have_no_part() -> None:
    logarithms = np.asarray(jax.nn.log_softmax(LOGITS))
    known = np.argwhere(np.asarray(LABELS) >= 0)
    weights = (0.75, 1.5)
    expected = -np.mean(
        [weights[int(LABELS[tuple(p)])] * logarithms[(*p, int(LABELS[tuple(p)]))] for p in known]
    )
    assert float(made_up_pixels.loss_of_classes(LOGITS, LABELS)) == pytest.approx(expected)
    expected = -np.mean([logarithms[(*p, 3)] for p in known])
    assert float(made_up_pixels.loss_of_made_up(LOGITS, LABELS)) == pytest.approx(expected)
    for loss in (made_up_pixels.loss_of_classes, made_up_pixels.loss_of_made_up):
        gradient = np.asarray(jax.grad(loss)(LOGITS, LABELS))
        assert not gradient[0, 1, :2].any()
        assert gradient[0, 0].all()


def test_images_are_mixed_class_by_class() -> None:
    labels = random.randint(random.key(1), (6, 9, 9), -1, 3)
    mask = np.asarray(draw_mask(random.key(2), labels, 3))[..., 0]
    assert {0.0, 1.0} == set(np.unique(mask))
    for image, classes in zip(mask, np.asarray(labels), strict=True):
        assert all(len(np.unique(image[classes == c])) == 1 for c in range(-1, 3))
    real, fake = (random.normal(random.key(n), (6, 9, 9, 4)) for n in (3, 4))
    both = jnp.where(mask[..., None] > 0, real, fake)
    assert float(label_mix(both, real, fake, mask[..., None])) == pytest.approx(0.0, abs=1e-12)
    assert float(label_mix(both + 2.0, real, fake, mask[..., None])) == pytest.approx(4.0, rel=1e-5)
