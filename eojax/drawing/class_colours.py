"""Colours of classes on maps: the data set's own, or chosen so that all eyes tell them apart.

A class whose name speaks of land takes a colour of its kind (`eojax.drawing.land_cover`), any
other class any colour, those of Okabe and Ito (2008) first. Each lies as far from all others as
can be, up to a distance that is enough, as seen by whichever of four pairs of eyes tells them apart
worst (`eojax.drawing.colour_vision`). One table serves pictures, legends and GeoTIFFs.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence

import numpy as np

from eojax.drawing.colour_vision import Colour, distances, lab, seen
from eojax.drawing.land_cover import kind_of

NO_DATA_COLOUR = '#e4e4e4'  # also of pixels whose class is unknown
UNSEEN_COLOUR = '#f032c8'  # of classes that were kept from training
_LEVELS = 11  # of each band of the grid of candidates
_LIGHTNESS = (14.0, 96.0)  # neither black nor white: these are text, borders and paper
_SWEEPS = 6
# A class leaves the colours of its kind where none is farther from all others; from the second
# distance on, colours are as good as they are typical.
_TOO_NEAR, _ENOUGH = 5.0, 12.0
_PULL = 0.08  # of the typical colour: a distance of CIELAB weighs so much of one in CIEDE2000
# Of EuroSAT in the facts of earlier runs: the same without red cones.
_EARLIER = {'Forest': '#1b5e20', 'Highway': '#4d4d4d', 'Residential': '#d7261e'}
_OTHERS = ('#0072b2', '#e69f00', '#009e73', '#cc79a7', '#56b4e9', '#d55e00', '#f0e442')


def class_colours(
    names: Sequence[str], known: Mapping[str, str] | None = None
) -> tuple[Colour, ...]:
    """A colour for each class, all different: the data set's own, or chosen ones.

    Args:
      known: `#rrggbb` by class name, as the facts of the data set state them; they are taken where
        there is one for each class. Runs of earlier versions keep colours of EuroSAT of which some
        eyes take two for one; chosen ones replace these.

    Returns:
      Red, green and blue from 0 to 255.
    """
    if known and set(names) <= set(known) and not _EARLIER.items() <= dict(known).items():
        return tuple(rgb(known[name]) for name in names)
    return _chosen(tuple(names))


def rgb(text: str) -> Colour:
    """The values of `#rrggbb`."""
    red, green, blue = bytes.fromhex(text.lstrip('#'))
    return red, green, blue


@functools.cache
def _chosen(names: tuple[str, ...]) -> tuple[Colour, ...]:
    """Colours that lie far apart: each class in turn takes the best one, a few times over."""
    levels = np.linspace(0, 255, _LEVELS).round().astype(int)
    grid = np.stack(np.meshgrid(levels, levels, levels, indexing='ij'), -1).reshape(-1, 3)
    light = lab(grid)[:, 0]
    grid = grid[(light > _LIGHTNESS[0]) & (light < _LIGHTNESS[1])]
    looks, places = seen(grid), lab(grid)

    @functools.cache
    def apart(colour: Colour) -> np.ndarray:
        return distances(looks, seen(np.array([colour])))

    allowed, pulls = _wishes(names, places)
    # Those with the least choice first.
    order = sorted(range(len(names)), key=lambda i: (int(allowed[i].sum()), i))
    colours: dict[int, Colour] = {}
    for _ in range(_SWEEPS):
        for i in order:
            others = [rgb(NO_DATA_COLOUR), rgb(UNSEEN_COLOUR)]
            others += [colour for other, colour in colours.items() if other != i]
            distance = np.min([apart(colour) for colour in others], axis=0)
            worth = np.minimum(distance, _ENOUGH) - pulls[i]
            best = int(np.where(allowed[i], worth, -np.inf).argmax())
            if distance[best] < _TOO_NEAR:
                best = int(distance.argmax())
            red, green, blue = grid[best].tolist()
            colours[i] = (red, green, blue)
    return tuple(colours[i] for i in range(len(names)))


def _wishes(names: Sequence[str], places: np.ndarray) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Which candidates each class may take, and how much speaks against each of them.

    Args:
      places: CIELAB of the candidates.
    """
    allowed, pulls, others = [], [], iter(_OTHERS)
    for name in names:
        kind = kind_of(name)
        typical = next(others, None) if kind is None else kind.typical
        allowed.append(np.ones(len(places), bool) if kind is None else kind.holds(places))
        away = places if typical is None else lab(np.array([rgb(typical)]))
        pulls.append(_PULL * np.linalg.norm(places - away, axis=1))
    return allowed, pulls
