"""Picks pixels of images by place: a gather, or products where gathers are slow.

A TPU gathers one pixel after the other, and multiplies matrices fast: there a pixel is picked by an
indicator of its row, a product, and one of its column. That chooses exactly. CPUs and GPUs gather.
"""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
from jax import Array, lax

from eojax.devices import target

# Values of one image's rows, one for each pixel that is picked, that are in memory at a time.
_AT_ONCE = 2**26


def pick(pixels: Array, places: Array) -> Array:
    """Of each image the pixels at some places.

    Args:
      pixels: `[N, P, C]` of any type; floats must be finite.
      places: int32 `[N, Q]`, from 0 to P - 1.

    Returns:
      `[N, Q, C]`, of the type and with the values of `pixels`.
    """
    if target.platform() == 'tpu':
        bands = jnp.moveaxis(pixels, -1, 1)
        return jnp.moveaxis(_by_products(bands, places[:, None]), 1, -1)
    return jnp.take_along_axis(pixels, places[..., None], axis=1, mode='promise_in_bounds')


def pick_entries(tables: Array, places: Array) -> Array:
    """Of each table the entries at some places.

    Args:
      tables: `[N, C, P]` of any type; floats must be finite.
      places: int32 `[N, C, Q]`, from 0 to P - 1.

    Returns:
      `[N, C, Q]`, of the type and with the values of `tables`.
    """
    if target.platform() == 'tpu':
        return _by_products(tables, places)
    return jnp.take_along_axis(tables, places, axis=2, mode='promise_in_bounds')


def _by_products(values: Array, places: Array) -> Array:
    """`values` `[N, C, P]` at `places` `[N, C or 1, Q]`, in numbers that products hold exactly."""
    dtype = values.dtype
    if dtype.itemsize == 1:  # whole numbers below 2^8, which bfloat16 has
        return _grouped(values.astype(jnp.bfloat16), places).astype(dtype)
    if jnp.issubdtype(dtype, jnp.floating) or dtype.itemsize == 2:
        return _grouped(values.astype(jnp.float32), places).astype(dtype)
    words = lax.bitcast_convert_type(values, jnp.uint32)
    halves = ((words & 0xFFFF).astype(jnp.float32), (words >> 16).astype(jnp.float32))
    low, high = (_grouped(half, places).astype(jnp.uint32) for half in halves)
    return lax.bitcast_convert_type(low | (high << 16), dtype)


def _grouped(values: Array, places: Array) -> Array:
    """Some images at a time, each device of its own share."""
    num, channels, length = values.shape
    width = _width(length)
    devices = target.num_devices() if num % target.num_devices() == 0 else 1
    share, size = num // devices, channels * width * places.shape[-1]
    each = max(n for n in range(1, share + 1) if share % n == 0 and n * size <= max(size, _AT_ONCE))
    if each == share:
        return _selected(values, places, width)

    def groups(array: Array) -> Array:
        parts = array.reshape(devices, share // each, each, *array.shape[1:])
        return jnp.moveaxis(parts, 1, 0)

    def some(group: tuple[Array, Array]) -> Array:
        some_values, some_places = (part.reshape(-1, *part.shape[2:]) for part in group)
        found = _selected(some_values, some_places, width)
        return found.reshape(devices, each, *found.shape[1:])

    found = lax.map(some, (groups(values), groups(places)))
    return jnp.moveaxis(found, 0, 1).reshape(num, channels, -1)


def _selected(values: Array, places: Array, width: int) -> Array:
    num, channels, length = values.shape
    table = values.reshape(num, channels, length // width, width)
    row = jax.nn.one_hot(places // width, length // width, dtype=values.dtype, axis=-2)
    column = jax.nn.one_hot(places % width, width, axis=-2)
    # At the highest precision a float32 is the sum of the parts that are multiplied.
    rows = jnp.einsum(
        'nchw,nchq->ncwq' if places.shape[1] == channels else 'nchw,nohq->ncwq',
        table,
        row,
        precision=lax.Precision.HIGHEST,
        preferred_element_type=jnp.float32,
    )
    return (rows * column).sum(-2)


def _width(length: int) -> int:
    """The divisor of a length that is nearest to its root from below."""
    return next(w for w in range(math.isqrt(length), 0, -1) if length % w == 0)
