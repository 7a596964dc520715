"""Langevin chains on an energy of your own: a mixture of two Gaussians in the plane.

The sampler knows no model: any function `[N, ...] -> [N]` that JAX can differentiate will do.
"""

import jax
import jax.numpy as jnp
import numpy as np

from eojax.samplers.langevin import Langevin, film_chain, run_chain

CENTRES = jnp.array([[-2.0, 0.0], [2.0, 1.0]])


def energy(points):
    """E(x) = -log p(x) + const of two Gaussians of standard deviation 0.5."""
    squares = jnp.square(points[:, None] - CENTRES).sum(-1)
    return -jax.nn.logsumexp(-squares / (2 * 0.5**2), axis=1)


key_start, key_chain = jax.random.split(jax.random.key(0))
starts = 3.0 * jax.random.normal(key_start, (2000, 2))
# `coupled`: step size alpha / 2 and noise of variance alpha, which samples p(x) itself.
langevin = Langevin(steps=300, step_size=0.02, coupled=True)
chain = jax.jit(run_chain, static_argnums=(0, 3))(energy, starts, key_chain, langevin)
ends = chain.images

right = ends[:, 0] > 0
for name, chosen in (('left', ~right), ('right', right)):
    mean, spread = np.asarray(ends[chosen].mean(0)), np.asarray(ends[chosen].std(0))
    print(f'{name}: {int(chosen.sum())} chains, mean {mean.round(2)}, deviation {spread.round(2)}')

# The course of the first five chains, a frame each 100 steps: [frames, chains, 2].
film = np.asarray(film_chain(energy, starts[:5], key_chain, langevin, every=100))
print('first chain, every 100 steps:', *film[:, 0].round(1))
