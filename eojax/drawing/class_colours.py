"""Colours of classes on maps: the data set's own, or a palette for the colour blind too.

The palette begins with the colours of Okabe and Ito (2008). Each further colour is the one of a
grid whose nearest chosen colour is farthest away, as seen by whichever of three pairs of eyes tells
them apart worst: those without a defect, without red and without green cones (matrices of Machado,
Oliveira and Fernandes, 2009, severity 1). Distances are of CIELAB.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence

import numpy as np

Colour = tuple[int, int, int]

_FIRST = ('#0072b2', '#e69f00', '#009e73', '#cc79a7', '#56b4e9', '#d55e00', '#f0e442')
_LEVELS = 9  # of each band of the grid of candidates
_LIGHTNESS = (25.0, 93.0)  # not so dark or bright that neighbours and no data are mistaken for them
_NO_DATA = '#e4e4e4'
# On linear red, green and blue.
_EYES = np.array([
    [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]],
    [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216],
     [-0.003882, -0.048116, 1.051998]],
    [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413],
     [-0.011820, 0.042940, 0.968881]],
])  # fmt: skip
_TO_XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])


def class_colours(
    names: Sequence[str], known: Mapping[str, str] | None = None
) -> tuple[Colour, ...]:
    """A colour for each class, all different: the data set's own, or those of the palette.

    Args:
      known: `#rrggbb` by class name, as the facts of the data set state them; they are taken where
        there is one for each class.

    Returns:
      Red, green and blue from 0 to 255.
    """
    if known and set(names) <= set(known):
        return tuple(rgb(known[name]) for name in names)
    return _palette(len(names))


def rgb(text: str) -> Colour:
    """The values of `#rrggbb`."""
    red, green, blue = bytes.fromhex(text.lstrip('#'))
    return red, green, blue


@functools.cache
def _palette(num: int) -> tuple[Colour, ...]:
    chosen = [rgb(text) for text in _FIRST][:num]
    levels = np.linspace(0, 255, _LEVELS).round().astype(int)
    grid = np.stack(np.meshgrid(levels, levels, levels, indexing='ij'), -1).reshape(-1, 3)
    seen = _seen(grid)
    light = (seen[0, :, 0] > _LIGHTNESS[0]) & (seen[0, :, 0] < _LIGHTNESS[1])
    grid, seen = grid[light], seen[:, light]
    distance = np.full(len(grid), np.inf)
    for colour in [rgb(_NO_DATA), *chosen]:
        distance = np.minimum(distance, _distances(seen, colour))
    while len(chosen) < num:
        red, green, blue = grid[distance.argmax()].tolist()
        chosen.append((red, green, blue))
        distance = np.minimum(distance, _distances(seen, chosen[-1]))
    return tuple(chosen)


def _distances(seen: np.ndarray, colour: Colour) -> np.ndarray:
    """Of the candidates from a colour, to the eyes that see the least of it."""
    other = _seen(np.array([colour]))
    return np.sqrt(np.square(seen - other).sum(-1)).min(0)


def _seen(colours: np.ndarray) -> np.ndarray:
    """CIELAB of red, green and blue `[num, 3]` as each pair of eyes sees them, `[3, num, 3]`."""
    values = colours / 255.0
    linear = np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)
    xyz = np.clip(np.einsum('eij,nj->eni', _EYES, linear), 0.0, 1.0) @ _TO_XYZ.T
    share = xyz / _TO_XYZ.sum(1)
    bent = np.where(share > 216 / 24389, np.cbrt(share), (24389 / 27 * share + 16) / 116)
    x, y, z = np.moveaxis(bent, -1, 0)
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], -1)
