"""Focal loss of maps of classes: "Focal Loss for Dense Object Detection" (Lin et al., 2017).

    FL = -w_y (1 - p(y|x))^gamma log p(y|x)                                  (Eq. 5 there)

A pixel that is classified well has little weight; gamma = 0 is the cross-entropy.
"""

from __future__ import annotations

import jax.numpy as jnp
import optax
from jax import Array

# The factor's gradient is not finite at p = 1 where gamma is below 1.
_LEAST = 1e-6


def focal(logits: Array, labels: Array, gamma: float, weights: Array | None = None) -> Array:
    """The mean focal loss over the labelled pixels of a batch, in nats; 0 where there are none.

    Args:
      logits: float32 `[N, h, w, K]`.
      labels: int32 `[N, h, w]`, 0 to K - 1; a pixel below 0 has no part in the loss.
      gamma: not negative; 2 there.
      weights: float32 `[K]`, w of each class; the mean is then weighted by them. None: all alike.
    """
    known = labels >= 0
    classes = jnp.maximum(labels, 0)
    losses = optax.softmax_cross_entropy_with_integer_labels(logits, classes)
    losses = jnp.maximum(-jnp.expm1(-losses), _LEAST) ** gamma * losses
    share = known.astype(losses.dtype) if weights is None else jnp.where(known, weights[classes], 0)
    total = share.sum()
    return (share * losses).sum() / jnp.where(total > 0, total, 1.0)
