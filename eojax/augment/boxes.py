"""Rectangles, one of each image: what cutout covers, or what another image fills."""

from __future__ import annotations

from typing import NamedTuple

import jax.numpy as jnp
from jax import Array, random

from eojax.errors import UserError


class Boxes(NamedTuple):
    """Rectangles in pixels, which may reach beyond the image.

    Attributes:
      top, left: int32 `[N]`, of the upper left pixel.
      height, width: int32 `[N]`; 0 is an empty one.
    """

    top: Array
    left: Array
    height: Array
    width: Array

    def mask(self, height: int, width: int) -> Array:
        """Which pixels of images of this size they hold, bool `[N, height, width]`."""
        rows, columns = jnp.arange(height), jnp.arange(width)
        top, left = self.top[:, None], self.left[:, None]
        in_rows = (rows >= top) & (rows < top + self.height[:, None])
        in_columns = (columns >= left) & (columns < left + self.width[:, None])
        return in_rows[:, :, None] & in_columns[:, None, :]


def draw_squares(
    key: Array, num: int, height: int, width: int, share: float, drawn: bool = False
) -> Boxes:
    """Squares whose centres are uniform in the image.

    What of a square lies outside of the image is lost, as in DeVries and Taylor, "Improved
    Regularization of Convolutional Neural Networks with Cutout" (2017).

    Args:
      share: the side, in shorter sides of the image.
      drawn: each side is uniform from 0 to that share, and not the share itself.

    Raises:
      UserError: `share` does not lie in [0, 1].
    """
    if not 0.0 <= share <= 1.0:
        raise UserError(f'the share of a cutout must lie in [0, 1], not {share}')
    key_row, key_column = random.split(key)
    side = share * min(height, width)
    sides = jnp.full((num,), round(side), jnp.int32)
    if drawn:
        uniform = random.uniform(random.fold_in(key, 2), (num,))
        sides = jnp.round(uniform * side).astype(jnp.int32)
    top = random.randint(key_row, (num,), 0, height) - sides // 2
    left = random.randint(key_column, (num,), 0, width) - sides // 2
    return Boxes(top, left, sides, sides)
