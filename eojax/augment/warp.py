"""Affine warps of image batches, each image by its own matrix, as one gather.

A matrix `[[a, b, c], [d, e, f]]` takes a place in the new image to where it is found in the old
one, in pixels from the upper left corner: x' = a x + b y + c, y' = d x + e y + f. That is Pillow's
convention (`Image.transform(..., AFFINE, ...)`), and so is what is seen: the nearest pixel, in
fixed point of 16 bits below the pixel, or a bilinear mean of four.
"""

from __future__ import annotations

import jax.numpy as jnp
from jax import Array

INTERPOLATIONS = ('nearest', 'bilinear')
_ONE = 65536.0  # of the fixed point


def warp(
    images: Array, matrices: Array, interpolation: str = 'nearest', fill: float = 0.0
) -> Array:
    """Images `[N, H, W, C]` as their matrices say.

    Args:
      matrices: float32 `[N, 2, 3]`.
      interpolation: `nearest` or `bilinear`.
      fill: value of what lies outside of the old image; bilinear means at its border, half a pixel
        beyond the outermost centres, repeat the border.

    Returns:
      As the images, of their type; bilinear means of whole numbers are float32 and not rounded.
    """
    if interpolation == 'nearest':
        return _nearest(images, matrices, fill)
    return _bilinear(images.astype(jnp.float32), matrices, fill)


def rotation(degrees: Array, height: int, width: int) -> Array:
    """Matrices `[N, 2, 3]` that turn images counter-clockwise about their centre."""
    angle = -jnp.deg2rad(degrees)
    cos, sin = jnp.cos(angle), jnp.sin(angle)
    x, y = width / 2.0, height / 2.0
    rows = [[cos, sin, x - cos * x - sin * y], [-sin, cos, y + sin * x - cos * y]]
    return jnp.stack([jnp.stack(row, -1) for row in rows], -2)


def shear(along_x: Array, along_y: Array) -> Array:
    """Matrices `[N, 2, 3]`: x' = x + along_x y, y' = along_y x + y."""
    one, zero = jnp.ones_like(along_x), jnp.zeros_like(along_x)
    rows = [[one, along_x, zero], [along_y, one, zero]]
    return jnp.stack([jnp.stack(row, -1) for row in rows], -2)


def translation(right: Array, down: Array) -> Array:
    """Matrices `[N, 2, 3]` that show what lies so many pixels to the right and further down."""
    one, zero = jnp.ones_like(right), jnp.zeros_like(right)
    rows = [[one, zero, right], [zero, one, down]]
    return jnp.stack([jnp.stack(row, -1) for row in rows], -2)


def _nearest(images: Array, matrices: Array, fill: float) -> Array:
    _, height, width, _ = images.shape
    a, b, c, d, e, f = (
        matrices[:, row, column, None, None] for row in (0, 1) for column in (0, 1, 2)
    )
    y, x = jnp.arange(height)[:, None], jnp.arange(width)

    def places(by_x: Array, by_y: Array, constant: Array) -> Array:
        # In whole numbers: where a pixel is found does not depend on the order of roundings.
        start = _fixed(constant + 0.5 * by_x + 0.5 * by_y)
        return (start + _fixed(by_x) * x + _fixed(by_y) * y) >> 16

    columns, rows = places(a, b, c), places(d, e, f)
    inside = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
    found = _at(images, rows, columns)
    return jnp.where(inside[..., None], found, jnp.asarray(fill, images.dtype))


def _bilinear(images: Array, matrices: Array, fill: float) -> Array:
    _, height, width, _ = images.shape
    y, x = jnp.arange(height)[:, None] + 0.5, jnp.arange(width) + 0.5
    a, b, c, d, e, f = (
        matrices[:, row, column, None, None] for row in (0, 1) for column in (0, 1, 2)
    )
    columns, rows = a * x + b * y + c, d * x + e * y + f
    inside = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
    left, top = jnp.floor(columns - 0.5), jnp.floor(rows - 0.5)
    right_share = (columns - 0.5 - left)[..., None]
    lower_share = (rows - 0.5 - top)[..., None]
    i, j = top.astype(jnp.int32), left.astype(jnp.int32)
    upper = _at(images, i, j) * (1 - right_share) + _at(images, i, j + 1) * right_share
    lower = _at(images, i + 1, j) * (1 - right_share) + _at(images, i + 1, j + 1) * right_share
    found = upper * (1 - lower_share) + lower * lower_share
    return jnp.where(inside[..., None], found, fill)


def _fixed(values: Array) -> Array:
    return jnp.floor(values * _ONE + 0.5).astype(jnp.int32)


def _at(images: Array, rows: Array, columns: Array) -> Array:
    """The pixels at `[N, H, W]` places, the nearest ones for places outside."""
    num, height, width, bands = images.shape
    places = jnp.clip(rows, 0, height - 1) * width + jnp.clip(columns, 0, width - 1)
    flat = images.reshape(num, height * width, bands)
    found = jnp.take_along_axis(flat, places.reshape(num, height * width, 1), axis=1)
    return found.reshape(images.shape)
