"""Coordinates, noise, lines and bands on the pixel grid: the geometry that layouts are drawn with.

Distances are in metres and every function works on a whole batch.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence

import numpy as np

from eojax.synthetic.chance import Chance
from eojax.synthetic.scene import PIXEL_SIZE


@functools.lru_cache(maxsize=8)
def coordinates(size: int) -> tuple[np.ndarray, np.ndarray]:
    """Metres east and south of the centre, each float32 `[1, size, size]`; do not write to them."""
    along = ((np.arange(size) - (size - 1) / 2) * PIXEL_SIZE).astype(np.float32)
    x, y = np.meshgrid(along, along)
    return x[None], y[None]


def rotate(x: np.ndarray, y: np.ndarray, angle: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Coordinates `(along, across)` in a frame that is turned by `angle` radians."""
    cos, sin = np.cos(angle), np.sin(angle)
    return x * cos + y * sin, y * cos - x * sin


@functools.lru_cache(maxsize=64)
def _spline_basis(size: int, spacing: float) -> np.ndarray:
    """Uniform cubic B-splines at the pixels' centres, `[size, knots]`, rows of unit mean square."""
    position = (np.arange(size) + 0.5) * PIXEL_SIZE / spacing
    first = np.floor(position).astype(int)
    t = position - first
    weights = np.stack(
        [
            (1 - t) ** 3,
            3 * t**3 - 6 * t**2 + 4,
            -3 * t**3 + 3 * t**2 + 3 * t + 1,
            t**3,
        ],
        axis=1,
    )
    basis = np.zeros((size, first[-1] + 4))
    basis[np.arange(size)[:, None], first[:, None] + np.arange(4)] = weights
    return (basis / np.sqrt((basis**2).sum(1).mean())).astype(np.float32)


# OpenBLAS starts its threads above this many multiplications, and where all cores are busy the
# threads wait for one another far longer than such products take.
_ONE_THREAD = 2**18


def _spread(basis: np.ndarray, lattice: np.ndarray) -> np.ndarray:
    """`basis @ lattice @ basis.T` for every image, in products that one thread does alone."""
    size, knots = basis.shape
    rows = max(1, min(size, _ONE_THREAD // (knots * max(knots, size))))
    strips = -(-size // rows)
    padded = np.zeros((strips * rows, knots), np.float32)
    padded[:size] = basis
    halfway = padded.reshape(strips, rows, knots) @ lattice[:, None]
    return (halfway @ basis.T).reshape(len(lattice), strips * rows, size)[:, :size]


def noise(
    chance: Chance,
    size: int,
    spacings: Sequence[float],
    weights: Sequence[float | np.ndarray] | None = None,
) -> np.ndarray:
    """Smooth random fields of zero mean and about unit variance, float32 `[N, size, size]`.

    A sum over octaves: normal values on a lattice of `spacing` metres, joined by cubic B-splines.
    The fields do not wrap around, and cost two small matrix products an octave.

    Args:
      spacings: the lattices' spacings in metres.
      weights: each octave's amplitude, a number or `[N, 1, 1]`; in proportion to the spacings if
        not given.
    """
    scales = [np.asarray(w, np.float32) for w in (spacings if weights is None else weights)]
    bases = [_spline_basis(size, float(s)) for s in spacings]
    draws = chance.normal(sum(b.shape[1] ** 2 for b in bases))
    total: np.ndarray = np.zeros((1, 1, 1), np.float32)
    start = 0
    for basis, scale in zip(bases, scales, strict=True):
        knots = basis.shape[1]
        lattice = draws[:, start : start + knots**2].reshape(-1, knots, knots)
        total = total + _spread(basis, lattice * scale)
        start += knots**2
    return total / np.sqrt(sum(s**2 for s in scales))


def lookup(table: np.ndarray, index: np.ndarray) -> np.ndarray:
    """`table[n, index[n, ...]]` for every image n: `[N, K]` and `[N, H, W]` give `[N, H, W]`."""
    count, length = table.shape
    start = (np.arange(count) * length).reshape((count,) + (1,) * (index.ndim - 1))
    return np.take(table.reshape(-1), index + start, mode='clip')


def band(distance: np.ndarray, half_width: float | np.ndarray) -> np.ndarray:
    """The share of a pixel that a straight band covers, 0 to 1.

    The exact box integral across the band, so that a path narrower than a pixel shows faintly.

    Args:
      distance: from the pixel's centre to the band's middle, metres, signed or not.
      half_width: half the band's width, metres.
    """
    near = np.abs(distance)
    outer = np.clip(0.5 + (half_width - near) / PIXEL_SIZE, 0.0, 1.0)
    inner = np.clip(0.5 - (half_width + near) / PIXEL_SIZE, 0.0, 1.0)
    return np.asarray(outer - inner, np.float32)


def step(distance: np.ndarray) -> np.ndarray:
    """The share of a pixel on the positive side of an edge `distance` metres away, 0 to 1."""
    return np.asarray(np.clip(0.5 + distance / PIXEL_SIZE, 0.0, 1.0), np.float32)


def smooth_step(value: np.ndarray, low: float, high: float) -> np.ndarray:
    """0 below `low`, 1 above `high`, with a smooth cubic between."""
    t = np.clip((value - low) / (high - low), 0.0, 1.0)
    return t * t * (3.0 - 2.0 * t)


def meander(
    chance: Chance,
    x: np.ndarray,
    y: np.ndarray,
    angle: np.ndarray,
    offset: np.ndarray,
    bend: np.ndarray,
    wavelength: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Distances from a winding line: `(signed distance across, distance along)`, metres.

    The line runs at `angle` and swings by about `bend` metres to either side; two incommensurate
    sines keep it from repeating itself. All parameters are `[N, 1, 1]`.
    """
    along, across = rotate(x, y, angle)
    phases = chance.uniform(0.0, 2 * np.pi, 2, 1, 1)
    slow = 2 * np.pi / wavelength
    fast = slow * 2.3
    first, second = along * slow + phases[:, 0], along * fast + phases[:, 1]
    swing = bend * (np.sin(first) + 0.3 * np.sin(second))
    slope = bend * (slow * np.cos(first) + 0.3 * fast * np.cos(second))
    # The constant keeps the line at its offset near the centre whatever the phases are.
    middle = bend * (np.sin(phases[:, 0]) + 0.3 * np.sin(phases[:, 1]))
    return (across - offset - swing + middle) / np.sqrt(1.0 + slope**2), along
