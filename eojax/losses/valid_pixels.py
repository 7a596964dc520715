"""Means over the pixels of a batch that show a measurement, and over the windows that do."""

from __future__ import annotations

import jax.numpy as jnp
from jax import Array


def mean_over(values: Array, valid: Array | None = None) -> Array:
    """The mean over the valid pixels of a batch; 0 where there are none.

    Args:
      values: `[N, h, w]`, or of any other shape; what a pixel that is not valid holds has no part
        in it.
      valid: bool, of the same shape; None: all pixels.
    """
    if valid is None:
        return values.mean()
    return jnp.where(valid, values, 0.0).sum() / jnp.maximum(valid.sum(), 1)


def mean_over_windows(values: Array, valid: Array | None = None) -> Array:
    """The mean over the windows of a batch that have a valid pixel; 0 where there are none.

    Args:
      values: `[N]`.
      valid: bool `[N, h, w]`; None: all pixels.
    """
    return mean_over(values, None if valid is None else valid.any((1, 2)))
