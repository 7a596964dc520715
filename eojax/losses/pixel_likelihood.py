"""Log-likelihoods of 8-bit images whose pixel values are independent, given their means.

Images are in [-1, 1], where two neighbouring levels of 8 bits lie 2 / 255 apart. Both functions
are log-probabilities of levels, so that they may be compared: of the discretised logistic exactly,
of the Gaussian as its density times the distance of two levels.

The discretised logistic distribution: Salimans et al., "PixelCNN++: Improving the PixelCNN with
Discretized Logistic Mixture Likelihood and Other Modifications", 2017, Eq. 2, with one component.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import Array

# Between two levels of 8 bits in [-1, 1].
LEVEL = 2.0 / 255.0
# A scale below half a level would say more than 8 bits hold.
_SMALLEST_LOG_SCALE = math.log(LEVEL / 2.0)


def gaussian(images: Array, means: Array, log_scale: Array) -> Array:
    """log of N(x; m, s^2) times the width of a level, summed over pixels and bands.

    Args:
      images, means: `[N, H, W, C]`, of the range [-1, 1].
      log_scale: `[C]`, log s of each band.

    Returns:
      float32 `[N]`, in nats.
    """
    log_scale = jnp.maximum(log_scale, _SMALLEST_LOG_SCALE)
    deviations = (images - means) * jnp.exp(-log_scale)
    constant = 0.5 * math.log(2.0 * math.pi) - math.log(LEVEL)
    return -(0.5 * jnp.square(deviations) + log_scale + constant).sum((1, 2, 3))


def discretised_logistic(images: Array, means: Array, log_scale: Array) -> Array:
    """log of the logistic distribution's mass on each value's level, summed over pixels and bands.

    With F its distribution function and h half a level, a level x has the mass F(x + h) - F(x - h);
    the lowest level has all of the mass below, the highest all above: over the 256 levels the
    masses sum to one.

    Args and returns as for `gaussian`. A value between two levels has the mass of as wide an
    interval about itself, so that there is a gradient with respect to the images.
    """
    log_scale = jnp.maximum(log_scale, _SMALLEST_LOG_SCALE)
    precision = jnp.exp(-log_scale)
    centred, half = images - means, LEVEL / 2.0
    # With S the logistic function, S(a) - S(b) = S(a) S(-b) (1 - exp(b - a)), and b - a is known.
    below = jax.nn.log_sigmoid((centred + half) * precision)
    above = jax.nn.log_sigmoid(-(centred - half) * precision)
    between = below + above + jnp.log(-jnp.expm1(-LEVEL * precision))
    inside = jnp.where(images > 1.0 - half, above, between)
    return jnp.where(images < -1.0 + half, below, inside).sum((1, 2, 3))


LIKELIHOODS: dict[str, Callable[[Array, Array, Array], Array]] = {
    'discretised_logistic': discretised_logistic,
    'gaussian': gaussian,
}
