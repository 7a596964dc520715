"""Randomness for a batch of images: one key for all of them, or one for each.

With a key for each image, what is drawn for it depends neither on its place in the batch nor on
what stands beside it. With one key it does, which training does not mind.

What is drawn for a batch with one key is drawn as one row of numbers and then given its shape, the
same values to the bit: of an array whose first axis is split over several TPUs, jax's generator
would count the places of each axis by itself, and all devices would have to agree on the counters
in every update of a chain.
"""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
from jax import Array, lax, random


def normal(key: Array, shape: tuple[int, ...]) -> Array:
    """Independent standard normal values, float32 of `shape`.

    Args:
      key: one, or `[N]`, one for each of the first axis.
    """
    if key.ndim == 0:
        return random.normal(key, (math.prod(shape),)).reshape(shape)
    return jax.vmap(lambda one: random.normal(one, shape[1:]))(key)


def uniform(key: Array, shape: tuple[int, ...], low: float = 0.0, high: float = 1.0) -> Array:
    """Independent values, uniform in [low, high), float32 of `shape`, of one key."""
    return random.uniform(key, (math.prod(shape),), minval=low, maxval=high).reshape(shape)


def fold_in(key: Array, number: int | Array) -> Array:
    """Another key, or other keys `[N]`, for each number."""
    if key.ndim == 0:
        return random.fold_in(key, number)
    return jax.vmap(lambda one: random.fold_in(one, number))(key)


def split(key: Array, num: int) -> Array:
    """`num` keys of one, `[num]`; of keys `[N]` as many of each, `[num, N]`."""
    if key.ndim == 0:
        return random.split(key, num)
    return jax.vmap(lambda one: random.split(one, num), out_axes=1)(key)


def keys_of_images(key: Array, *rasters: Array) -> Array:
    """A key for each image, `[N]`, of what it shows: the same wherever it stands.

    Args:
      key: of all of them.
      rasters: `[N, ...]` as stored, integers or floating point of at most four bytes.
    """
    numbers = [jnp.zeros(len(rasters[0]), jnp.uint32)]
    for raster in rasters:
        bits = _bits(raster).reshape(len(raster), -1)
        place = _mixed(jnp.arange(bits.shape[1], dtype=jnp.uint32) + jnp.uint32(0x9E3779B9))
        # A sum of whole numbers, which no order of summation changes.
        numbers.append(_mixed(bits ^ place).sum(1, dtype=jnp.uint32))
    digest = numbers[0]
    for number in numbers[1:]:
        digest = _mixed(digest ^ number)
    return jax.vmap(lambda one: random.fold_in(key, one))(digest)


def _bits(values: Array) -> Array:
    """The bits of each value, as uint32."""
    kinds = {1: jnp.uint8, 2: jnp.uint16, 4: jnp.uint32}
    if values.dtype == jnp.bool_:
        return values.astype(jnp.uint32)
    return lax.bitcast_convert_type(values, kinds[values.dtype.itemsize]).astype(jnp.uint32)


def _mixed(words: Array) -> Array:
    """Each word turned into one that looks random: the last step of MurmurHash3 (Appleby)."""
    words = (words ^ (words >> 16)) * jnp.uint32(0x85EBCA6B)
    words = (words ^ (words >> 13)) * jnp.uint32(0xC2B2AE35)
    return words ^ (words >> 16)
