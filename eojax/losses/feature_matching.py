"""Feature matching: the layers of a discriminator shall see the same in made-up images as in real.

    L = sum_k ||D_k(G(x), x) - D_k(y, x)||_1

over the layers k of a discriminator, each norm as a mean over pixels, channels and images, and the
mean over its scales (Wang et al., 2018; Baier et al., 2021, section II-D, which prints the sum
inside a minus sign and would reward distance by it).
"""

from __future__ import annotations

from collections.abc import Sequence

import jax.numpy as jnp
from jax import Array, lax


def feature_matching(fake: Sequence[Sequence[Array]], real: Sequence[Sequence[Array]]) -> Array:
    """The loss, a scalar; real features are constants to its gradient.

    Args:
      fake: for each scale the features of each layer, `[N, h, w, C]`, without the last layer, whose
        output is the score.
      real: those of the real images, of the same shapes.
    """
    scales = []
    for fakes, reals in zip(fake, real, strict=True):
        layers = [
            jnp.abs(one.astype(jnp.float32) - lax.stop_gradient(other).astype(jnp.float32)).mean()
            for one, other in zip(fakes, reals, strict=True)
        ]
        scales.append(jnp.stack(layers).sum())
    return jnp.stack(scales).mean()
