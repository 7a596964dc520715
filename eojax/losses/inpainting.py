"""Inpainting: paint what a hole hides.

"Semi-supervised Learning for Large-scale Earth Observation Data Understanding" (Castillo-Navarro,
2022), section 3.2.3, after the context encoders of Pathak et al. (2016). M is 1 where pixels were
dropped, a square at a random place:

    L_ca(x) = L_2(M x, M phi_u((1 - M) x))                                  (Eq. 3.13)

Notes:
  The mean is over the pixels of the holes and not over all, so that it does not shrink with them.
  Dropped pixels are 0, the middle of each band's range.
"""

from __future__ import annotations

import jax.numpy as jnp
from jax import Array, random

from eojax.losses.reconstruction import l2


def square_holes(key: Array, num: int, size: tuple[int, int], side: int) -> Array:
    """M of each image: a square that lies in it, anywhere as likely, bool `[num, h, w]`.

    Args:
      size: height and width of the images.
      side: of the square in pixels, at most as long as the shorter of both.

    Raises:
      ValueError: a square that does not fit.
    """
    if not 0 < side <= min(size):
        raise ValueError(f'a hole of {side} pixels does not lie in {size[0]} x {size[1]}')
    inside = []
    for length, one in zip(size, random.split(key), strict=True):
        first = random.randint(one, (num, 1), 0, length - side + 1)
        at = jnp.arange(length)
        inside.append((at >= first) & (at < first + side))
    return inside[0][:, :, None] & inside[1][:, None, :]


def dropped(images: Array, holes: Array) -> Array:
    """(1 - M) x: images `[N, h, w, C]` with 0 in their holes, bool `[N, h, w]`."""
    return jnp.where(holes[..., None], 0.0, images)


def inpainting(images: Array, painted: Array, holes: Array, valid: Array | None = None) -> Array:
    """Eq. 3.13, the mean over pixels of the holes and bands.

    Args:
      images, painted: float32 `[N, h, w, C]`.
      holes: bool `[N, h, w]`, M.
      valid: bool `[N, h, w]`, the pixels that show a measurement; None: all.
    """
    return l2(images, painted, holes if valid is None else holes & valid)
