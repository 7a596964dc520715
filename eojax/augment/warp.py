"""Affine warps of image batches, each image by its own matrix, as one gather.

A matrix `[[a, b, c], [d, e, f]]` takes a place in the new image to where it is found in the old
one, in pixels from the upper left corner: x' = a x + b y + c, y' = d x + e y + f. That is Pillow's
convention (`Image.transform(..., AFFINE, ...)`), and so is what is seen: the nearest pixel, in
fixed point of 16 bits below the pixel, or a bilinear mean of four.
"""

from __future__ import annotations

import jax.numpy as jnp
from flax import struct
from jax import Array

from eojax.augment.boxes import Boxes
from eojax.augment.pixels import pick
from eojax.augment.sample import Sample, check_sample, take
from eojax.errors import UserError, unknown_name

INTERPOLATIONS = ('nearest', 'bilinear')
_ONE = 65536.0  # of the fixed point
_MOST_PIXELS = 2**14  # of a side: a warp then stays below 2**15 pixels, and within 32 bits


@struct.dataclass
class Warped:
    """The geometry of a strong view of each image: warps, one after the other, and a box.

    Attributes:
      size: height and width of the images in pixels.
      matrices: float32 `[passes, N, 2, 3]`, in the order in which they were applied.
      covered: what is cut out of the view. None: nothing, and what would lie below it is kept.
    """

    size: tuple[int, int] = struct.field(pytree_node=False)
    matrices: Array
    covered: Boxes | None = None

    def apply(self, sample: Sample) -> dict[str, Array]:
        """A sample, such as one of pseudo-labels, as the view shows it.

        Each pixel is the nearest one, the same as in a view by nearest interpolation. What came in
        from beyond the border, and what is covered, nobody can see in the view: rasters are 0
        there, classes -1, and the mask `valid`, which the result always has, False. To keep what
        lies under the box, ask `dataclasses.replace(warped, covered=None)`.

        Raises:
          UserError: a sample of another number or size of places, or as `check_sample`.
        """
        num = self.matrices.shape[1]
        check_sample(sample, num, self.size)
        places = self._places(num)
        seen = places >= 0
        if self.covered is not None:
            seen &= ~self.covered.mask(*self.size)
        return take(sample, (jnp.maximum(places, 0),), seen)

    def _places(self, num: int) -> Array:
        """int32 `[num, h, w]`: the place before of each pixel after, -1 where there is none."""
        height, width = self.size
        places = jnp.arange(height * width, dtype=jnp.int32).reshape(1, height, width, 1)
        places = jnp.broadcast_to(places, (num, height, width, 1))
        for matrices in self.matrices:
            places = warp(places, matrices, 'nearest', -1)
        return places[..., 0]


def warp(
    images: Array, matrices: Array, interpolation: str = 'nearest', fill: float = 0.0
) -> Array:
    """Images `[N, H, W, C]` as their matrices say.

    Args:
      matrices: float32 `[N, 2, 3]`.
      interpolation: one of `INTERPOLATIONS`.
      fill: value of what lies outside of the old image; bilinear means at its border, half a pixel
        beyond the outermost centres, repeat the border.

    Returns:
      As the images, of their type; bilinear means of whole numbers are float32 and not rounded.

    Raises:
      UserError: an unknown interpolation; images of another rank, or too large; matrices that are
        not one for each image; a fill that the images' type cannot hold.
    """
    _check(images, matrices, interpolation, fill)
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


def _check(images: Array, matrices: Array, interpolation: str, fill: float) -> None:
    if interpolation not in INTERPOLATIONS:
        raise unknown_name('interpolation', interpolation, INTERPOLATIONS)
    if images.ndim != 4:
        raise UserError(f'warps take images [N, h, w, bands], not {list(images.shape)}')
    if matrices.shape != (len(images), 2, 3):
        raise UserError(
            f'{len(images)} images need matrices [{len(images)}, 2, 3], not {list(matrices.shape)}'
        )
    if max(images.shape[1:3]) > _MOST_PIXELS:
        raise UserError(
            f'warps take images of at most {_MOST_PIXELS} px a side, not'
            f' {images.shape[1]} x {images.shape[2]}: cut windows first'
        )
    if jnp.issubdtype(images.dtype, jnp.integer):
        limits = jnp.iinfo(images.dtype)
        if not (limits.min <= fill <= limits.max and fill == round(fill)):
            raise UserError(f'images of {images.dtype} cannot hold the fill {fill}')


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
    pixels = _at(images, rows, columns)
    return jnp.where(inside[..., None], pixels, jnp.asarray(fill, images.dtype))


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
    means = upper * (1 - lower_share) + lower * lower_share
    return jnp.where(inside[..., None], means, fill)


def _fixed(values: Array) -> Array:
    return jnp.floor(values * _ONE + 0.5).astype(jnp.int32)


def _at(images: Array, rows: Array, columns: Array) -> Array:
    """The pixels at `[N, H, W]` places, the nearest ones for places outside."""
    num, height, width, bands = images.shape
    places = jnp.clip(rows, 0, height - 1) * width + jnp.clip(columns, 0, width - 1)
    flat = images.reshape(num, height * width, bands)
    return pick(flat, places.reshape(num, height * width)).reshape(images.shape)
