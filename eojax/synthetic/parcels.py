"""Parcelled ground: straight strips of land, cut across into fields, house plots or works sites."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from eojax.synthetic.chance import Chance
from eojax.synthetic.fields import lookup, rotate

_KINDS = 256  # parcels whose ids agree modulo this share their attributes; neighbours never do


class Parcels(NamedTuple):
    """Which parcel every pixel lies in; arrays of `[N, H, W]`.

    Attributes:
      ids: int32, unique in an image.
      kind: integers below 256, the index of a parcel's attributes in tables of `[N, 256]`.
      across, along: metres from the middle of the parcel, across the strip and along it.
      half_width, half_length: metres, half the parcel's sides.
      strip_cut, cross_cut: which cut is the nearest to the pixel, as an index below 256: of those
        between strips, and of those within a strip.
      angle: direction of the strips, radians, `[N, 1, 1]` or `[N, H, W]`.
    """

    ids: np.ndarray
    kind: np.ndarray
    across: np.ndarray
    along: np.ndarray
    half_width: np.ndarray
    half_length: np.ndarray
    strip_cut: np.ndarray
    cross_cut: np.ndarray
    angle: np.ndarray

    @property
    def to_strip_cut(self) -> np.ndarray:
        """Metres to the nearest cut between strips."""
        return self.half_width - np.abs(self.across)

    @property
    def to_cross_cut(self) -> np.ndarray:
        """Metres to the nearest cut within the strip."""
        return self.half_length - np.abs(self.along)


def _cut(
    position: np.ndarray, jitter: np.ndarray, hashed: np.ndarray | int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Cuts a line at `i + jitter[i]`: the piece's number, the place from its middle, half its size.

    `hashed` is added to the cut's number before `jitter` (`[N, 256]`, 0 to below 1) is looked up.
    """
    floor = np.floor(position)
    cell, place = floor.astype(np.int32), position - floor
    here = lookup(jitter, (cell + hashed) & (_KINDS - 1))
    before = place < here
    other = lookup(jitter, (cell + hashed + 1 - 2 * before) & (_KINDS - 1))
    low, high = np.where(before, other - 1.0, here), np.where(before, here, other + 1.0)
    return cell - before, place - 0.5 * (low + high), 0.5 * (high - low)


def lay_out(
    chance: Chance,
    x: np.ndarray,
    y: np.ndarray,
    angle: np.ndarray,
    width: np.ndarray | float,
    length: np.ndarray | float,
    irregular: float = 0.7,
    block: np.ndarray | None = None,
) -> Parcels:
    """Cuts the plane into strips of about `width` metres and these into about `length` metres.

    Args:
      x, y: metres; bend them for curved parcels.
      angle, width, length: `[N, 1, 1]`, or `[N, H, W]` that are constant within a block.
      irregular: 0 for a regular grid, below 1.
      block: integers `[N, H, W]`; no parcel reaches over the border of two blocks.
    """
    along, across = rotate(x, y, angle)
    place = chance.uniform(-50.0, 50.0, 2, 1, 1)
    jitters = chance.uniform(0.0, irregular, 2, _KINDS)
    salt: np.ndarray | int = 0 if block is None else (block * 101).astype(np.int32)
    strip, middle_across, half_width = _cut(across / width + place[:, 0], jitters[:, 0], salt)
    # Every strip is cut at places, and into lengths, of its own.
    shift = lookup(jitters[:, 1], (strip * 31 + salt) & (_KINDS - 1)) * 3.0
    hashed = strip * 157 + salt
    piece, middle_along, half_length = _cut(
        along / length + place[:, 1] + shift, jitters[:, 1], hashed
    )
    across_metres, along_metres = middle_across * width, middle_along * length
    # Strips and pieces are numbered from about minus to plus half of `side`.
    side = _side(x.shape[-1])
    ids = (strip + side // 2) * side + piece + side // 2
    if block is not None:
        ids = ids + block.astype(np.int32) * side**2
    return Parcels(
        ids=ids.astype(np.int32),
        kind=(piece * 73 + hashed) & (_KINDS - 1),
        across=across_metres,
        along=along_metres,
        half_width=half_width * width,
        half_length=half_length * length,
        strip_cut=(strip + (across_metres > 0) + salt) & (_KINDS - 1),
        cross_cut=(piece + (along_metres > 0) + hashed) & (_KINDS - 1),
        angle=angle,
    )


def _side(size: int) -> int:
    """More strips, and more pieces of a strip, than an image of `size` pixels has."""
    return 1024 + size


def id_span(size: int) -> int:
    """All ids that `lay_out` gives are below this number."""
    return 2 * _side(size) ** 2


def per_parcel(chance: Chance, low: float = 0.0, high: float = 1.0) -> np.ndarray:
    """A table of uniform draws, `[N, 256]`, one for each kind of parcel or cut."""
    return chance.uniform(low, high, _KINDS)
