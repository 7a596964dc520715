"""How much detail an image has, in bits a pixel: what a density that likes smooth images overlooks.

A lossless code stores differences of neighbouring pixels, and a difference d takes about
log2(1 + |d|) bits. So these two say about how long the code of an image is, under a background
model that knows nothing but neighbours (Serra et al., "Input Complexity and Out-of-Distribution
Detection with Likelihood-based Generative Models", 2020, take the size of a PNG file; Ren et al.,
"Likelihood Ratios for Out-of-Distribution Detection", 2019, a model of background statistics). Of
themselves they rank nothing; beside log p(x) they say what is unusual
(`eojax.metrics.typicality`).
"""

from __future__ import annotations

import jax.numpy as jnp
from jax import Array

# Of 8-bit levels: half of the range from -1 to 1 is this many.
_LEVELS = 127.5


def roughness(images: Array) -> Array:
    """Bits of the differences along rows and columns, added: float32 `[N]`.

    Args:
      images: `[N, H, W, bands]` in [-1, 1], of at least two rows and columns.
    """
    return _bits(images[:, 1:] - images[:, :-1]) + _bits(images[:, :, 1:] - images[:, :, :-1])


def grain(images: Array) -> Array:
    """Bits of the mixed second differences, which slopes do not have: float32 `[N]`.

    Args:
      images: as for `roughness`.
    """
    rows = images[:, 1:] - images[:, :-1]
    return _bits(rows[:, :, 1:] - rows[:, :, :-1])


def _bits(differences: Array) -> Array:
    return jnp.log2(1.0 + _LEVELS * jnp.abs(differences)).mean((1, 2, 3))
