"""Dice loss of maps of classes, after "V-Net" (Milletari, Navab and Ahmadi, 2016).

With p_ik the probability of class k at the labelled pixel i, and y_ik = 1 where it is its class:

    L = 1 - mean_k 2 sum_i p_ik y_ik / (sum_i p_ik + sum_i y_ik)

A class counts the same however few its pixels are.

Notes:
  The mean is over the classes that the batch has pixels of; V-Net has one class. The denominator
  is without V-Net's squares, as most users have it. Sums are over the batch, not over each image.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import Array


def dice(logits: Array, labels: Array, weights: Array | None = None) -> Array:
    """The Dice loss of a batch, from 0 to 1; 0 where no pixel is labelled.

    Args:
      logits: float32 `[N, h, w, K]`.
      labels: int32 `[N, h, w]`, 0 to K - 1; a pixel below 0 has no part in the loss.
      weights: float32 `[K]`, of the classes in their mean; None: all alike.
    """
    num_classes = logits.shape[-1]
    known = (labels >= 0).reshape(-1, 1)
    probabilities = jnp.where(known, jax.nn.softmax(logits).reshape(-1, num_classes), 0.0)
    classes = jax.nn.one_hot(labels.reshape(-1), num_classes)  # all 0 below 0
    both = (probabilities * classes).sum(0)
    each = probabilities.sum(0) + classes.sum(0)
    present = (classes.sum(0) > 0).astype(both.dtype)
    share = present if weights is None else present * weights
    total = share.sum()
    scores = 2.0 * both / jnp.maximum(each, 1e-12)
    return (share * (1.0 - scores)).sum() / jnp.where(total > 0, total, 1.0)
