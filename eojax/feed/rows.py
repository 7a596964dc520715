"""Equally large places as rows of one array, which every device gathers from as it lies.

A TPU keeps arrays in tiles. Of an array `[N, h, w, C]` it has to lay all of it out anew, with much
of it empty, before it gathers images from it, and for windows does so for each one of them; rows of
one long axis it takes as they lie (`docs/compiled.md`). In the memory of CPUs and GPUs both are
the same.
"""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array, lax

from eojax.devices import target
from eojax.devices.rows import rows_of_an_image


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Rows:
    """A raster, labels or a mask of equally large places.

    Attributes:
      values: `[N * rows of a place, length]`, place by place, of each its pixels line by line.
      shape: of a place: `(h, w, C)`, or `(h, w)` of labels and masks.
    """

    values: Any
    shape: tuple[int, ...] = dataclasses.field(metadata={'static': True})


def described(num: int, shape: tuple[int, ...], dtype: Any, windows: bool) -> Rows:
    """Shape and type of rows, as `jax.ShapeDtypeStruct`.

    Args:
      num: of the places.
      shape: of each.
      windows: whether windows will be cut from them: then a row is one line of pixels. Else it is
        as many as go evenly into it.
    """
    each = shape[0] if windows else rows_of_an_image(shape)
    return Rows(jax.ShapeDtypeStruct((num * each, math.prod(shape) // each), dtype), shape)


def gather(rows: Rows, chosen: Array) -> Array:
    """Whole places.

    Args:
      chosen: int32 `[B]`, their numbers.

    Returns:
      `[B, *shape]`, as stored.
    """
    if target.platform() != 'tpu':
        return _places(rows)[chosen]
    each = math.prod(rows.shape) // rows.values.shape[1]
    numbers = chosen[:, None] * each + jnp.arange(each, dtype=chosen.dtype)
    return rows.values[numbers].reshape(len(chosen), *rows.shape)


def cut(rows: Rows, chosen: Array, tops: Array, lefts: Array, side: int) -> Array:
    """Square windows of places.

    Args:
      chosen: int32 `[B]`, numbers of places.
      tops, lefts: int32 `[B]`, the upper left corners.
      side: of the windows, in pixels; they lie within their places.

    Returns:
      `[B, side, side, ...]`, as stored.
    """
    height, width, *bands = rows.shape
    if target.platform() != 'tpu' or rows.values.shape[1] != width * math.prod(bands):
        return _slices(_places(rows), chosen, tops, lefts, side)
    lines = (chosen * height + tops)[:, None] + jnp.arange(side, dtype=chosen.dtype)
    whole = rows.values[lines].reshape(len(chosen), side, width, *bands)
    if side == width:
        return whole
    return jax.vmap(lambda line, left: lax.dynamic_slice_in_dim(line, left, side, 1))(whole, lefts)


def _places(rows: Rows) -> Array:
    places: Array = rows.values.reshape(-1, *rows.shape)
    return places


def _slices(places: Array, chosen: Array, tops: Array, lefts: Array, side: int) -> Array:
    bands = places.shape[3:]

    def one(place: Array, top: Array, left: Array) -> Array:
        start = (place, top, left, *(jnp.int32(0) for _ in bands))
        return lax.dynamic_slice(places, start, (1, side, side, *bands))[0]

    return jax.vmap(one)(chosen, tops, lefts)
