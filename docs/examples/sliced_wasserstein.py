"""The sliced Wasserstein distance of two batches of features, and its gradient.

Between N(0, I) and N(m, I) in D dimensions the squared distance is |m|^2 / D on average over
directions: 9 / 16 here.
"""

import jax
import jax.numpy as jnp

from eojax.losses.sliced_wasserstein import (
    class_conditional_sliced_wasserstein,
    distance,
    sliced_wasserstein,
)

key_source, key_target, key = jax.random.split(jax.random.key(0), 3)
source = jax.random.normal(key_source, (512, 16))
target = jax.random.normal(key_target, (512, 16)).at[:, 0].add(3.0)

compared = jax.jit(sliced_wasserstein, static_argnames='num_projections')
squared = compared(source, target, key, num_projections=200)
print(f'squared {squared:.3f} (9 / 16 = 0.5625), distance {distance(squared):.3f}')

# Gradient descent on the target closes the gap: this is what a transfer loss does to an encoder.
# The distance is a mean over all points, so each has a small share of its gradient.
rate = 4.0 * len(target)
slope = jax.jit(jax.grad(lambda z, k: sliced_wasserstein(source, z, k, num_projections=32)))
for step in range(20):
    target = target - rate * slope(target, jax.random.fold_in(key, step))
after = compared(source, target, key, num_projections=200)
print(f'after 20 steps of gradient descent: {after:.4f}')

# Class by class, where some of the target is labelled (-1: unknown).
labels = jnp.arange(512) % 4
known = jnp.where(jnp.arange(512) < 100, labels, -1)
by_class = jax.jit(class_conditional_sliced_wasserstein, static_argnums=(4, 6))
apart = by_class(source, labels, target, known, 4, key, 50)
print(f'summed over four classes, 100 labelled: {apart:.3f}')
