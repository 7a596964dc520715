"""Flips, quarter turns and shifts of image batches, compiled, each image with its own draw.

All take and return `[N, H, W, C]` of any dtype and leave values as they are: a satellite looks
straight down, so every orientation of a patch is as likely as any other.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import Array, lax, random


def random_flips(images: Array, key: Array) -> Array:
    """Mirrors each image left-right and up-down, each with probability 1/2."""
    key_columns, key_rows = random.split(key)
    shape = (images.shape[0], 1, 1, 1)
    images = jnp.where(random.bernoulli(key_columns, 0.5, shape), images[:, :, ::-1], images)
    return jnp.where(random.bernoulli(key_rows, 0.5, shape), images[:, ::-1], images)


def random_dihedral(images: Array, key: Array) -> Array:
    """Each of the eight symmetries of the square, equally likely; images must be square."""
    key_flips, key_transpose = random.split(key)
    images = random_flips(images, key_flips)
    transpose = random.bernoulli(key_transpose, 0.5, (images.shape[0], 1, 1, 1))
    return jnp.where(transpose, images.swapaxes(1, 2), images)


def random_shift(images: Array, key: Array, share: float = 0.125) -> Array:
    """Shifts each image by up to `share` of its side, at least one pixel, borders reflected."""
    num, height, width, _ = images.shape
    rows, columns = max(1, round(share * height)), max(1, round(share * width))
    padded = jnp.pad(images, ((0, 0), (rows, rows), (columns, columns), (0, 0)), mode='reflect')
    key_rows, key_columns = random.split(key)
    tops = random.randint(key_rows, (num,), 0, 2 * rows + 1)
    lefts = random.randint(key_columns, (num,), 0, 2 * columns + 1)

    def crop(image: Array, top: Array, left: Array) -> Array:
        return lax.dynamic_slice(image, (top, left, 0), (height, width, image.shape[2]))

    return jax.vmap(crop)(padded, tops, lefts)
