"""Cross-entropy of maps of classes, over the pixels whose class is known."""

from __future__ import annotations

import jax.numpy as jnp
import optax
from jax import Array


def pixel_cross_entropy(logits: Array, labels: Array, weights: Array | None = None) -> Array:
    """The mean of -log p(y|x) over the labelled pixels of a batch, in nats; 0 where there are none.

    A pixel counts the same in whatever image it lies, so that an image of which little is labelled
    has little weight.

    Args:
      logits: float32 `[N, h, w, K]`.
      labels: int32 `[N, h, w]`, 0 to K - 1; a pixel below 0 has no part in the loss, nor in its
        gradient.
      weights: float32 `[K]`, of the classes; the mean is then weighted by them. None: all alike.
    """
    known = labels >= 0
    losses = optax.softmax_cross_entropy_with_integer_labels(logits, jnp.maximum(labels, 0))
    if weights is not None:
        share = jnp.where(known, weights[jnp.maximum(labels, 0)], 0.0)
        total = share.sum()
        return (share * losses).sum() / jnp.where(total > 0, total, 1.0)
    return jnp.where(known, losses, 0.0).sum() / jnp.maximum(known.sum(), 1)


def pixels_right(logits: Array, labels: Array) -> tuple[Array, Array]:
    """Which labelled pixels have their class as the most probable one, and which are labelled.

    Args:
      logits: `[N, h, w, K]`.
      labels: int32 `[N, h, w]`, below 0 where there is none.

    Returns:
      Two of bool `[N, h, w]`.
    """
    known = labels >= 0
    return (logits.argmax(-1) == labels) & known, known
