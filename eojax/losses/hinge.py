"""The hinge loss of adversarial training (Lim and Ye, "Geometric GAN", 2017).

With D the scores of a discriminator for real images y and made-up ones G,

    L_D = -E[min(0, -1 + D(y))] - E[min(0, -1 - D(G))],    L_G = -E[D(G)]

as in "Synthesizing Optical and SAR Imagery From Land Cover Maps and Auxiliary Raster Data"
(Baier et al., 2021), section II-D, which prints L_D without its two minus signs.
"""

from __future__ import annotations

from collections.abc import Sequence

import jax.numpy as jnp
from jax import Array


def hinge_of_real(scores: Sequence[Array]) -> Array:
    """-E[min(0, -1 + D(y))]: the mean over scales of the mean over patches and images.

    Args:
      scores: of real images, one array of any shape for each scale.
    """
    return _mean([jnp.maximum(0.0, 1.0 - scale).mean() for scale in scores])


def hinge_of_fake(scores: Sequence[Array]) -> Array:
    """-E[min(0, -1 - D(G))], likewise, of scores of made-up images."""
    return _mean([jnp.maximum(0.0, 1.0 + scale).mean() for scale in scores])


def adversarial(scores: Sequence[Array]) -> Array:
    """-E[D(G)], likewise: what the generator lowers."""
    return _mean([-scale.mean() for scale in scores])


def _mean(values: Sequence[Array]) -> Array:
    return jnp.stack(list(values)).mean()
