"""How far painted images are from what they should show.

"Semi-supervised Learning for Large-scale Earth Observation Data Understanding" (Castillo-Navarro,
2022), section 3.2.3, for N pixels:

    L_1(x) = 1 / N sum_i |x_i - x^_i|                                       (Eq. 3.6)
    L_2(x) = 1 / N sum_i (x_i - x^_i)^2                                     (Eq. 3.7)

Notes:
  Both are means over bands too. x is in [-1, 1], where L_1 is twice, and L_2 four times, what it is
  in [0, 1].
"""

from __future__ import annotations

import jax.numpy as jnp
from jax import Array

from eojax.losses.valid_pixels import mean_over


def l1(images: Array, painted: Array, valid: Array | None = None) -> Array:
    """Eq. 3.6, the mean over all pixels and bands of a batch.

    Args:
      images, painted: float32 `[N, h, w, C]`.
      valid: bool `[N, h, w]`, the pixels that count; None: all.
    """
    return mean_over(jnp.abs(images - painted).mean(-1), valid)


def l2(images: Array, painted: Array, valid: Array | None = None) -> Array:
    """Eq. 3.7; arguments as of `l1`."""
    return mean_over(jnp.square(images - painted).mean(-1), valid)
