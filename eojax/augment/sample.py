"""Samples, which are augmented: all their rasters, class maps and masks move together.

A sample is a mapping of names to arrays of `N` places:

  rasters `[N, h, w, C]` of any type and under any name, such as `images` or `elevation`;
  `labels` and `truth`: classes, integers, `[N, h, w]` for pixels or `[N]` for whole images, -1
    where the class is unknown;
  `valid`: bool `[N, h, w]`, False where a pixel shows no measurement; without it all pixels do;
  numbers of each place, `[N]`, such as `index`: they pass unchanged.

Geometry acts on all rasters, class maps and masks alike, by one draw for each place. It chooses
pixels and never computes new values, so types and values stay as they are. Where a pixel of the
result would lie outside of what was there, it is unknown: rasters are 0, classes -1, `valid` False.
Of floats in [-1, 1], 0 is the middle of a band's limits.
"""

from __future__ import annotations

from collections.abc import Mapping

import jax.numpy as jnp
from jax import Array, lax

from eojax.augment.pixels import pick
from eojax.data.facts import PIXEL_LABELS
from eojax.errors import UserError

Sample = Mapping[str, Array]

# Entries that are classes: what a method may know, and all that is known, for reports alone.
CLASSES = (PIXEL_LABELS, 'truth')
VALID = 'valid'


def size_of(sample: Sample) -> tuple[int, int, int]:
    """Number, height and width of the places of a sample, which it checks.

    Raises:
      UserError: as `check_sample`; or a sample without a raster or a map.
    """
    for array in sample.values():
        if array.ndim >= 3:
            num, height, width = array.shape[:3]
            check_sample(sample, num, (height, width))
            return num, height, width
    raise UserError(f'a sample of {_named(sample)} has no raster [N, h, w, bands] to augment')


def check_sample(sample: Sample, num: int, size: tuple[int, int]) -> None:
    """Refuses what cannot be moved as one.

    Args:
      sample: as the module says.
      num: how many places it must have.
      size: height and width that all its rasters and maps must have.

    Raises:
      UserError: an entry of another number, size, rank or type, by name.
    """
    for name, array in sample.items():
        _check_kind(name, array)
        if array.shape[0] != num:
            raise UserError(f'{name} has {array.shape[0]} places, and not {num} as the others')
        if array.ndim > 1 and array.shape[1:3] != size:
            raise UserError(
                f'{name} is {_pixels(array.shape[1:3])}, and not {_pixels(size)} as the others:'
                ' bring all rasters of a sample to one size first'
            )


def take(
    sample: Sample, places: tuple[Array, ...], inside: Array | None = None
) -> dict[str, Array]:
    """The sample whose pixels are those at other places of this one.

    Args:
      sample: of N places of h x w pixels, checked.
      places: int32, summands of `[N, h, w]`, row times width plus column of the pixel that each one
        shows: such as one summand for rows `[N, h, 1]` and one for columns `[N, 1, w]`.
      inside: bool `[N, h, w]`, where there is such a pixel; the result has a mask `valid` then.
        None: everywhere.

    Raises:
      UserError: classes of a type that cannot hold -1 where some become unknown.
    """
    moved = {name: _taken(name, array, places, inside) for name, array in sample.items()}
    if inside is not None:
        moved.setdefault(VALID, inside)
    return moved


def _check_kind(name: str, array: Array) -> None:
    shape = list(array.shape)
    if name in CLASSES:
        if array.ndim not in (1, 3) or not jnp.issubdtype(array.dtype, jnp.integer):
            raise UserError(
                f'{name} must be integers [N, h, w] or [N], and not {array.dtype} {shape}'
            )
    elif name == VALID:
        if array.ndim != 3 or array.dtype != jnp.bool_:
            raise UserError(f'{name} must be bool [N, h, w], and not {array.dtype} {shape}')
    elif array.ndim not in (1, 4) or 0 in array.shape[1:]:
        raise UserError(f'{name} must be a raster [N, h, w, bands] or numbers [N], and not {shape}')


def _taken(name: str, array: Array, places: tuple[Array, ...], inside: Array | None) -> Array:
    if array.ndim == 1:
        return array
    # Each raster adds up the places by itself. The compiler would write out a table that several
    # share, and gather ten times slower on the CPU than where it knows what the table is made of.
    array, *places_of_it = lax.optimization_barrier((jnp.asarray(array), *places))
    num, height, width = array.shape[:3]
    table = sum(places_of_it).reshape(num, height * width)
    flat = array.reshape(num, height * width, -1)
    pixels = pick(flat, table).reshape(array.shape)
    if inside is None:
        return pixels
    if name not in CLASSES:
        inside = inside[..., None] if array.ndim == 4 else inside
        return jnp.where(inside, pixels, jnp.zeros((), array.dtype))
    if not jnp.issubdtype(array.dtype, jnp.signedinteger):
        raise UserError(f'{name} are {array.dtype}, which cannot hold -1, unknown: make them int32')
    return jnp.where(inside, pixels, jnp.full((), -1, array.dtype))


def _pixels(size: tuple[int, ...]) -> str:
    return f'{size[0]} x {size[1]} px'


def _named(sample: Sample) -> str:
    return ', '.join(sample) or 'nothing'
