"""Flow matching for an energy without a time of its own: the start of Energy Matching.

Balcerak et al. (2025), after Lipman et al. (2023) and Tong et al. (2024): points x0 at which chains
begin are paired with images x1 of the data by optimal transport within the batch, and the gradient
of log p(x) is to be the velocity of the straight way from one to the other, wherever on it:

    L = E_x0,x1,t  ||s grad_x log p(x_t) - (x1 - x0)||^2 / E ||x1 - x0||^2,    t ~ U(0, 1),
    x_t = (1 - t) x0 + t x1

A chain whose steps sum up to s then carries starts to the data. Denoising score matching
(`eojax.losses.denoising_score_matching`) has the gradient point to the data from noise around them;
this one from where chains begin.

Notes:
  The paper solves the assignment on the host. Here it is an entropic plan, found by a fixed number
  of Sinkhorn's iterations and drawn from, in the compiled step.
"""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import Array, lax, random

from eojax.samplers import keys

# Sinkhorn's. With EuroSAT images and their textures, 16 to 128 of each: the starts' shares are
# within 1.2 % then, and the plan has 96 % and more of what the best assignment gains over chance.
_ITERATIONS = 200


def flow_matching(
    log_density: Callable[[Array], Array],
    starts: Array,
    images: Array,
    key: Array,
    scale: float = 1.0,
) -> Array:
    """The loss above; 1 for a flat density, 0 where the gradient is the velocity.

    Args:
      log_density: `[N, H, W, C]` to `[N]`, differentiable twice.
      starts: x0 `[M, H, W, C]`.
      images: x1 `[N, H, W, C]`.
      key: of the pairs and of t.
      scale: s.
    """
    key_pairs, key_time = random.split(key)
    starts = starts[pair(starts, images, key_pairs)]
    time = keys.uniform(key_time, (len(images), 1, 1, 1), 0.0, 1.0)
    velocity = images - starts
    score = jax.grad(lambda x: log_density(x).sum())(starts + time * velocity)
    return jnp.square(scale * score - velocity).mean() / jnp.square(velocity).mean()


def pair(starts: Array, images: Array, key: Array, sharpness: float = 20.0) -> Array:
    """Which start each image is paired with, int32 `[N]`, drawn from an optimal transport plan.

    The costs are squared distances. Every image has one start; a start may have several images or
    none, each as many as its share of the images in the mean.

    Args:
      starts: `[M, ...]`.
      images: `[N, ...]`.
      key: of the draw.
      sharpness: the standard deviation of the costs, means of rows and columns aside, in units of
        the plan's temperature; at infinity the plan is the assignment that costs least.
    """
    points, ends = starts.reshape(len(starts), -1), images.reshape(len(images), -1)
    # Squared distances but for |x0|^2 and |x1|^2, which no plan depends on.
    costs = -2.0 * jnp.einsum('id,jd->ij', points, ends, precision='highest')
    deviation = jnp.std(costs - costs.mean(0) - costs.mean(1, keepdims=True))
    log_kernel = -sharpness * costs / jnp.maximum(deviation, 1e-12)

    def iterate(number: int, potentials: tuple[Array, Array]) -> tuple[Array, Array]:
        _, of_images = potentials
        of_starts = -jax.nn.logsumexp(log_kernel + of_images, 1)
        of_images = -jax.nn.logsumexp(log_kernel + of_starts[:, None], 0)
        return of_starts, of_images

    begin = (jnp.zeros(len(points)), jnp.zeros(len(ends)))
    of_starts, _ = lax.fori_loop(0, _ITERATIONS, iterate, begin)
    plan = lax.stop_gradient(log_kernel + of_starts[:, None])
    return random.categorical(key, plan, axis=0)
