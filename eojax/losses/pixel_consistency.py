"""FixMatch's consistency loss for maps of pseudo-labels: thesis of J. Castillo-Navarro, Eq. 3.25,
with pixels in place of images."""

from __future__ import annotations

import jax.numpy as jnp
import optax
from jax import Array


def pixel_consistency(
    logits: Array, labels: Array, seen: Array, weights: Array | None = None
) -> Array:
    """The mean of -log p(q|A(u)) over the pixels that a strong view shows, in nats.

    A pixel without a pseudo-label counts 0, as in Eq. 3.25, so that few labels weigh little. A
    pixel that the view does not show has no part in the mean; without any the loss is 0.

    Args:
      logits: float32 `[N, h, w, K]`, of the strong views.
      labels: int32 `[N, h, w]`, the pseudo-labels moved as the view was; -1 where there is none.
      seen: bool `[N, h, w]`, the pixels that the view shows.
      weights: float32 `[N, h, w]`, factors on the losses of the pixels; None: 1.
    """
    chosen = seen & (labels >= 0)
    losses = optax.softmax_cross_entropy_with_integer_labels(logits, jnp.maximum(labels, 0))
    if weights is not None:
        losses = weights * losses
    return jnp.where(chosen, losses, 0.0).sum() / jnp.maximum(seen.sum(), 1)
