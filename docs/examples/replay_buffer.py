"""A replay buffer: short chains that go on from where earlier ones ended.

Ten steps are far too few to get from uniform noise to the energy's minimum, and so are the ten of
each training step of an energy-based model. Persistent chains get there over many of them.
"""

import jax
import jax.numpy as jnp

from eojax.samplers import replay_buffer
from eojax.samplers.langevin import Langevin, run_chain


def energy(images):
    """Images of one grey level, 0.5, are the most likely."""
    return 5.0 * jnp.square(images - 0.5).mean((1, 2, 3))


def starts(key, labels):
    """Fresh starts: uniform noise, whatever the class."""
    return jax.random.uniform(key, (len(labels), 8, 8, 3), minval=-1.0, maxval=1.0)


@jax.jit
def step(buffer, key):
    """What a step of training does: draw, run the chains, store their ends."""
    key_draw, key_chain = jax.random.split(key)
    drawn = replay_buffer.draw(buffer, key_draw, num=32, reinitialise=0.02, starts=starts)
    chain = run_chain(energy, drawn.images, key_chain, Langevin(steps=10, noise=0.005))
    return replay_buffer.store(buffer, drawn, chain.images), energy(chain.images).mean()


buffer = replay_buffer.fill(jax.random.key(0), starts, capacity=256, num_classes=10)
energies = []
for number in range(120):
    buffer, mean = step(buffer, jax.random.fold_in(jax.random.key(1), number))
    energies.append(float(mean))
for number in (0, 20, 60, 119):
    print(f'step {number:3d}: mean energy of the chains {energies[number]:.4f}')
