"""The Mumford-Shah functional of soft maps: clusters of one colour each, with short borders.

"Semi-supervised Learning for Large-scale Earth Observation Data Understanding" (Castillo-Navarro,
2022), section 3.2.3, after Kim and Ye (2019), with the centroids c_k of relaxed k-means:

    L_MS(x) = sum_k sum_i |x_i - c_k|^2 y^_ik + a_reg sum_k sum_i |grad y^_ik|    (Eq. 3.12)

Notes:
  Both terms are means over pixels, and the first one over bands too, so that weights depend neither
  on the size of the images nor on the number of bands. The gradient is that of forward differences,
  and |.| the sum of their two absolute values, as in Kim and Ye.
"""

from __future__ import annotations

import jax.numpy as jnp
from jax import Array, lax

from eojax.losses.relaxed_k_means import centroids
from eojax.losses.valid_pixels import mean_over


def spread(images: Array, memberships: Array, valid: Array | None = None) -> Array:
    """The first term of Eq. 3.12: squared distances to the centroids.

    Args:
      images: float32 `[N, h, w, C]`.
      memberships: float32 `[N, h, w, K]`, not negative, their sum 1 at each pixel.
      valid: bool `[N, h, w]`, the pixels that count; None: all.
    """
    centres = centroids(images, memberships, valid)[:, None, None]
    distances = jnp.square(images[..., None, :] - centres).mean(-1)
    return mean_over((distances * memberships).sum(-1), valid)


def border_length(memberships: Array, valid: Array | None = None) -> Array:
    """The second term of Eq. 3.12 without its weight; 0 of a constant map.

    Between pixels of which one is not valid there is no border. Arguments as of `spread`.
    """
    total = jnp.zeros(())
    for axis in (1, 2):
        steps = jnp.diff(memberships, axis=axis)
        # |.| whose gradient is 0 at 0, and not 1: a map without borders stays as it is.
        steps = (lax.stop_gradient(jnp.sign(steps)) * steps).sum(-1)
        if valid is not None:
            size = steps.shape[axis]
            first, second = (
                jnp.take(valid, jnp.arange(start, start + size), axis) for start in (0, 1)
            )
            steps = jnp.where(first & second, steps, 0.0)
        total = total + steps.sum()
    pixels = memberships[..., 0].size if valid is None else jnp.maximum(valid.sum(), 1)
    return total / pixels
