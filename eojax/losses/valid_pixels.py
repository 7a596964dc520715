"""Means over the pixels of a batch that show a measurement."""

from __future__ import annotations

import jax.numpy as jnp
from jax import Array


def mean_over(values: Array, valid: Array | None = None) -> Array:
    """The mean over the valid pixels of a batch; 0 where there are none.

    Args:
      values: `[N, h, w]`; what a pixel that is not valid holds has no part in it.
      valid: bool `[N, h, w]`; None: all pixels.
    """
    if valid is None:
        return values.mean()
    return jnp.where(valid, values, 0.0).sum() / jnp.maximum(valid.sum(), 1)
