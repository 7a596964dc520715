"""Jigsaw puzzles: nine patches of an image in another order, and a network that says in which.

"Semi-supervised Learning for Large-scale Earth Observation Data Understanding" (Castillo-Navarro,
2022), section 3.2.3, after Noroozi and Favaro (2016) and Carlucci et al. (2019): the network sees
the permuted image, and the loss is the cross-entropy of the P permutations that are allowed.

These are chosen far apart, by Noroozi and Favaro's greedy algorithm: the first one at random, then
always the one whose least Hamming distance to those before is largest; of several such, one whose
sum of distances is largest.
"""

from __future__ import annotations

import functools
import itertools
import math

import jax.numpy as jnp
import numpy as np
import optax
from jax import Array

from eojax.losses.valid_pixels import mean_over_windows

# Patches along each side.
GRID = 3


@functools.cache
def permutations(num: int, patches: int = GRID**2, seed: int = 0) -> np.ndarray:
    """Orders of the patches that are far apart, int32 `[num, patches]`, each one different.

    Args:
      num: how many, at most the factorial of `patches`.
      seed: of the first one, and of the choice among equals.

    Raises:
      ValueError: more than there are.
    """
    if not 1 <= num <= math.factorial(patches):
        raise ValueError(f'{num} permutations of {patches} patches')
    count = math.factorial(patches)
    flat = itertools.chain.from_iterable(itertools.permutations(range(patches)))
    orders = np.fromiter(flat, np.int8, count * patches).reshape(count, patches)
    draws = np.random.default_rng(seed)
    chosen = [int(draws.integers(count))]
    least, total = np.full(count, patches + 1, np.int16), np.zeros(count, np.int32)
    for _ in range(num - 1):
        distances = (orders != orders[chosen[-1]]).sum(1, dtype=np.int16)
        least, total = np.minimum(least, distances), total + distances
        best = np.flatnonzero(least == least.max())
        best = best[total[best] == total[best].max()]
        chosen.append(int(draws.choice(best)))
    return orders[chosen].astype(np.int32)


def permuted(images: Array, orders: Array) -> Array:
    """Images whose patches stand in another order: patch j of the result is patch `orders[j]`.

    Patches are counted by rows. Where three patches of whole pixels do not fill a side, the last
    pixels of it stay where they are.

    Args:
      images: `[N, h, w, C]`, h and w at least 3.
      orders: int32 `[N, 9]`, a permutation for each image.
    """
    num, height, width, channels = images.shape
    rows, columns = height // GRID, width // GRID
    inner = images[:, : GRID * rows, : GRID * columns]
    patches = inner.reshape(num, GRID, rows, GRID, columns, channels).transpose(0, 1, 3, 2, 4, 5)
    patches = patches.reshape(num, GRID**2, rows, columns, channels)
    patches = jnp.take_along_axis(patches, orders[:, :, None, None, None], 1)
    patches = patches.reshape(num, GRID, GRID, rows, columns, channels)
    moved = patches.transpose(0, 1, 3, 2, 4, 5).reshape(inner.shape)
    return images.at[:, : GRID * rows, : GRID * columns].set(moved)


def jigsaw(logits: Array, which: Array, valid: Array | None = None) -> Array:
    """The mean cross-entropy of the permutations of a batch, in nats.

    Args:
      logits: float32 `[N, P]`.
      which: int32 `[N]`, the number of each image's permutation.
      valid: bool `[N, h, w]`, the pixels that show a measurement: an image without any does not
        count. None: all.
    """
    losses = optax.softmax_cross_entropy_with_integer_labels(logits, which)
    return mean_over_windows(losses, valid)
