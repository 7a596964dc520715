"""The consistency loss of pixels against arithmetic by hand."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import random

from eojax.losses.pixel_consistency import pixel_consistency


def test_pixels_without_a_pseudo_label_count_zero_and_unseen_ones_not_at_all() -> None:
    logits = random.normal(random.key(0), (2, 3, 4, 5))
    labels = np.array(random.randint(random.key(1), (2, 3, 4), -1, 5))
    seen = np.array(random.bernoulli(random.key(2), 0.6, (2, 3, 4)))
    log_p = np.asarray(jax.nn.log_softmax(logits))
    total = sum(
        -log_p[place][labels[place]]
        for place in np.ndindex(2, 3, 4)
        if seen[place] and labels[place] >= 0
    )
    loss = pixel_consistency(logits, jnp.asarray(labels), jnp.asarray(seen))
    assert float(loss) == pytest.approx(float(total) / seen.sum(), rel=1e-5)
    slope = jax.grad(pixel_consistency)(logits, jnp.asarray(labels), jnp.asarray(seen))
    counted = seen & (labels >= 0)
    assert not np.asarray(slope)[~counted].any()
    assert np.asarray(slope)[counted].any(-1).all()


def test_a_batch_of_which_nothing_is_seen_has_no_loss() -> None:
    nothing = jnp.zeros((1, 2, 2), bool)
    logits = jnp.ones((1, 2, 2, 3))
    value, slope = jax.value_and_grad(pixel_consistency)(
        logits, jnp.zeros((1, 2, 2), jnp.int32), nothing
    )
    assert float(value) == 0.0
    assert not np.asarray(slope).any()
