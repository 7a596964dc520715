"""Denoising score matching for an energy without a noise level of its own.

Vincent (2011): with x~ = x + sigma n, n ~ N(0, 1), the score of the noisy density at x~ is the mean
of (x - x~) / sigma^2. Li, Chen and Sommer (2019) train one energy on many noise levels at once by
a fixed scale s in place of sigma^2:

    L = E_sigma E_x,n  ||s grad_x log p(x~) - (x - x~)||^2 / (D sigma^2)

One Langevin step of size s then takes a noisy image back to a clean one, from every distance: the
gradient field that short chains need, learned without running a chain.
"""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import Array, random

from eojax.losses.valid_pixels import mean_over
from eojax.samplers import keys


def denoising_score_matching(
    log_density: Callable[[Array], Array],
    images: Array,
    key: Array,
    noise_range: tuple[float, float],
    scale: float = 1.0,
    valid: Array | None = None,
) -> Array:
    """The mean over images of the loss above; 1 for a flat density, 0 for perfect denoising.

    Args:
      log_density: `[N, H, W, C]` to `[N]`, differentiable twice.
      images: clean, `[N, H, W, C]`.
      key: of noise levels and noise.
      noise_range: smallest and largest sigma; drawn log-uniformly, one for each image.
      scale: s, in squared units of the images.
      valid: bool `[N, H, W]`, the pixels that show a measurement: the others get no noise and have
        no part in the mean. None: all.
    """
    key_level, key_noise = random.split(key)
    low, high = jnp.log(noise_range[0]), jnp.log(noise_range[1])
    level = jnp.exp(random.uniform(key_level, (images.shape[0], 1, 1, 1), minval=low, maxval=high))
    noise = level * keys.normal(key_noise, images.shape)
    if valid is not None:
        noise = jnp.where(valid[..., None], noise, 0.0)
    score = jax.grad(lambda x: log_density(x).sum())(images + noise)
    errors = jnp.square((scale * score + noise) / level)
    return errors.mean() if valid is None else mean_over(errors.mean(-1), valid)
