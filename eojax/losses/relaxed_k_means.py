"""Relaxed k-means: an image in K colours that a network chooses.

"Semi-supervised Learning for Large-scale Earth Observation Data Understanding" (Castillo-Navarro,
2022), section 3.2.3. With y^_ik from 0 to 1 the membership of pixel i in cluster k, and x_i its
bands:

    c_k = sum_i x_i y^_ik / sum_i y^_ik                                     (Eq. 3.8)
    x_c = sum_k c_k y^_k                                                    (Eq. 3.9)
    L_rec = L_1(x, x_c)                                                     (Eq. 3.10)
    L_reg = sum_k sum_i y^_ik (1 - y^_ik)                                   (Eq. 3.11)

L_reg ("peakedness") is 0 where every pixel belongs to one cluster.

Notes:
  Each image has its own centroids, and gradients pass through them. L_reg is the mean over pixels
  and not the printed sum, so that its weight does not depend on the size of the images.
"""

from __future__ import annotations

import jax.numpy as jnp
from jax import Array

from eojax.losses.reconstruction import l1
from eojax.losses.valid_pixels import mean_over

# The least weight of a cluster, in pixels: an empty one has its centroid at 0 and no gradient.
_LEAST = 1e-6


def centroids(images: Array, memberships: Array, valid: Array | None = None) -> Array:
    """The mean bands of every cluster of each image, `[N, K, C]` (Eq. 3.8).

    Args:
      images: float32 `[N, h, w, C]`.
      memberships: float32 `[N, h, w, K]`, not negative, their sum 1 at each pixel.
      valid: bool `[N, h, w]`, the pixels that count; None: all.
    """
    if valid is not None:
        memberships = jnp.where(valid[..., None], memberships, 0.0)
        images = jnp.where(valid[..., None], images, 0.0)
    sums = jnp.einsum('nhwc,nhwk->nkc', images, memberships)
    return sums / jnp.maximum(memberships.sum((1, 2)), _LEAST)[..., None]


def quantised(images: Array, memberships: Array, valid: Array | None = None) -> Array:
    """The images in the colours of their clusters, x_c (Eq. 3.9); arguments as of `centroids`."""
    return jnp.einsum('nkc,nhwk->nhwc', centroids(images, memberships, valid), memberships)


def reconstruction(images: Array, memberships: Array, valid: Array | None = None) -> Array:
    """Eq. 3.10, the mean over pixels and bands; arguments as of `centroids`."""
    return l1(images, quantised(images, memberships, valid), valid)


def peakedness(memberships: Array, valid: Array | None = None) -> Array:
    """Eq. 3.11 as a mean over pixels, from 0 to 1 - 1 / K; arguments as of `centroids`."""
    return mean_over((memberships * (1.0 - memberships)).sum(-1), valid)
