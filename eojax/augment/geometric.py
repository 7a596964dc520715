"""Flips, quarter turns and shifts: weak augmentation, each place by its own draw.

A satellite looks straight down, so every orientation of a patch is as likely as any other.

A draw is a value, `Move`. It can be applied to other maps of the same places, such as
pseudo-labels, and undone on maps that a network made of the moved images. All of it is one table of
places and one gather for each raster.
"""

from __future__ import annotations

import dataclasses

import jax.numpy as jnp
from flax import struct
from jax import Array, random

from eojax.augment.sample import Sample, check_sample, take
from eojax.errors import UserError


@struct.dataclass
class Move:
    """How each place is moved: mirrored, then transposed, then shifted.

    Beyond its border a place is reflected (the outermost pixels are not repeated). What is
    reflected is measured all the same: rasters, classes and `valid` masks are reflected alike, so
    that each pixel keeps its class and stays valid.

    Attributes:
      size: height and width in pixels of the maps that it moves.
      upside_down, left_right: bool `[N]`, whether rows and columns are mirrored.
      transposed: bool `[N]`, whether rows become columns; of squares alone.
      down, right: int32 `[N]`: pixel (row, column) shows what was at (row + down, column + right).

    None in place of an array: no place is moved so.
    """

    size: tuple[int, int] = struct.field(pytree_node=False)
    upside_down: Array | None = None
    left_right: Array | None = None
    transposed: Array | None = None
    down: Array | None = None
    right: Array | None = None

    def apply(self, sample: Sample) -> dict[str, Array]:
        """The sample with all rasters, class maps and masks moved.

        Raises:
          UserError: a sample of another number or size of places, or as `check_sample`.
        """
        num = self._num()
        if num is None:
            return dict(sample)
        self._check(sample, num)
        return take(sample, self._places(num))

    def undo(self, sample: Sample) -> dict[str, Array]:
        """Maps of the moved places brought back to where they were.

        All that flips and turns do is undone. What a shift has pushed out is unknown: rasters are
        0 there and classes -1, and the result has a mask `valid` that says so.

        Args:
          sample: such as `{'probabilities': [N, h, w, K]}` or `{'labels': [N, h, w]}`.

        Raises:
          UserError: as `apply`.
        """
        num = self._num()
        if num is None:
            return dict(sample)
        self._check(sample, num)
        return take(sample, *self._places_before(num))

    def _num(self) -> int | None:
        """Of places; None where none of them moves."""
        draws = (self.upside_down, self.left_right, self.transposed, self.down, self.right)
        return next((len(draw) for draw in draws if draw is not None), None)

    def _check(self, sample: Sample, num: int) -> None:
        if self.transposed is not None:
            _check_square(*self.size)
        check_sample(sample, num, self.size)

    def _places(self, num: int) -> tuple[Array, Array]:
        """The place before of each pixel after, as `take` wants it."""
        height, width = self.size
        rows = _reflected(_lines(num, height) + _column(self.down), height)
        columns = _reflected(_lines(num, width) + _column(self.right), width)
        by_row = _mirrored(rows, self.upside_down, height) * width
        by_column = _mirrored(columns, self.left_right, width)
        if self.transposed is not None:
            turned = self.transposed[:, None]
            by_row = jnp.where(turned, _mirrored(rows, self.left_right, width), by_row)
            of_columns = _mirrored(columns, self.upside_down, height) * width
            by_column = jnp.where(turned, of_columns, by_column)
        return by_row[:, :, None], by_column[:, None, :]

    def _places_before(self, num: int) -> tuple[tuple[Array, Array], Array | None]:
        """The place after of each pixel before, and where there is one, as `take` wants it."""
        height, width = self.size
        rows = _mirrored(_lines(num, height), self.upside_down, height)
        columns = _mirrored(_lines(num, width), self.left_right, width)
        down, right = _column(self.down), _column(self.right)
        # Of a transposed square, rows are those that were columns.
        turned = False if self.transposed is None else self.transposed[:, None]
        rows -= jnp.where(turned, right, down)
        columns -= jnp.where(turned, down, right)
        inside = _within(rows, height)[:, :, None] & _within(columns, width)[:, None, :]
        rows, columns = jnp.clip(rows, 0, height - 1), jnp.clip(columns, 0, width - 1)
        by_row = jnp.where(turned, rows, rows * width)
        by_column = jnp.where(turned, columns * width, columns)
        shifted = self.down is not None or self.right is not None
        return (by_row[:, :, None], by_column[:, None, :]), inside if shifted else None


def no_move(key: Array, num: int, height: int, width: int) -> Move:
    """Leaves each place as it is."""
    return Move((height, width))


def draw_flips(key: Array, num: int, height: int, width: int) -> Move:
    """Mirrors each place left-right and up-down, each with probability 1/2."""
    key_columns, key_rows = random.split(key)
    left_right = random.bernoulli(key_columns, 0.5, (num,))
    return Move((height, width), random.bernoulli(key_rows, 0.5, (num,)), left_right)


def draw_dihedral(key: Array, num: int, height: int, width: int) -> Move:
    """Each of the eight symmetries of the square, equally likely.

    Raises:
      UserError: height and width differ.
    """
    _check_square(height, width)
    key_flips, key_transpose = random.split(key)
    move = draw_flips(key_flips, num, height, width)
    return dataclasses.replace(move, transposed=random.bernoulli(key_transpose, 0.5, (num,)))


def draw_shift(key: Array, num: int, height: int, width: int, share: float = 0.125) -> Move:
    """Shifts each place by up to `share` of its sides, at least one pixel, borders reflected.

    Raises:
      UserError: `share` does not lie in [0, 1].
    """
    if not 0.0 <= share <= 1.0:
        raise UserError(f'the share of a shift must lie in [0, 1], not {share}')
    rows, columns = max(1, round(share * height)), max(1, round(share * width))
    key_rows, key_columns = random.split(key)
    down = random.randint(key_rows, (num,), 0, 2 * rows + 1) - rows
    right = random.randint(key_columns, (num,), 0, 2 * columns + 1) - columns
    return Move((height, width), down=down, right=right)


def draw_flips_shift(key: Array, num: int, height: int, width: int) -> Move:
    """Flips, then a shift."""
    key_flips, key_shift = random.split(key)
    move = draw_flips(key_flips, num, height, width)
    return _then_shifted(move, draw_shift(key_shift, num, height, width))


def draw_mirror_shift(key: Array, num: int, height: int, width: int) -> Move:
    """Left and right exchanged in half of the places, then a shift: as of photographs."""
    return dataclasses.replace(draw_flips_shift(key, num, height, width), upside_down=None)


def draw_dihedral_shift(key: Array, num: int, height: int, width: int) -> Move:
    """A symmetry of the square, then a shift."""
    key_dihedral, key_shift = random.split(key)
    move = draw_dihedral(key_dihedral, num, height, width)
    return _then_shifted(move, draw_shift(key_shift, num, height, width))


def _check_square(height: int, width: int) -> None:
    if height != width:
        raise UserError(
            f'quarter turns (dihedral) need square images, not {height} x {width} px:'
            ' choose an augmentation with flips'
        )


def _then_shifted(move: Move, shift: Move) -> Move:
    return dataclasses.replace(move, down=shift.down, right=shift.right)


def _lines(num: int, size: int) -> Array:
    """Numbers of rows or columns, int32 `[num, size]`."""
    return jnp.broadcast_to(jnp.arange(size, dtype=jnp.int32), (num, size))


def _column(amounts: Array | None) -> Array:
    return jnp.zeros((), jnp.int32) if amounts is None else amounts[:, None]


def _reflected(lines: Array, size: int) -> Array:
    """Lines beyond the border as those inside that NumPy's `reflect` shows there."""
    if size == 1:
        return jnp.zeros_like(lines)
    lines = lines % (2 * size - 2)
    return jnp.minimum(lines, 2 * size - 2 - lines)


def _mirrored(lines: Array, chosen: Array | None, size: int) -> Array:
    return lines if chosen is None else jnp.where(chosen[:, None], size - 1 - lines, lines)


def _within(lines: Array, size: int) -> Array:
    return (lines >= 0) & (lines < size)
