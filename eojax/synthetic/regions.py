"""Regions: stretches of country whose tiles resemble one another, and those of others less.

A region has a kind (plain, coast, city, ...), which says what there is in it and how much, and a
season, a light, soils, roofs and a flora of its own. A classifier that was trained in some regions
meets another look in the next one, as it does from city to city on Earth.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from eojax.synthetic.canvas import draw_conditions
from eojax.synthetic.chance import Chance
from eojax.synthetic.scene import Conditions


class Region(NamedTuple):
    """The common traits of the tiles of a region.

    Attributes:
      name: `plain_0`: its kind and its number.
      altitude: metres above the sea, of the lowest ground of a tile.
      relief: metres, standard deviation of the hills.
      field_width: metres.
      bare, grass: the shares of fields that lie bare or are ripe, and that are meadows.
      hedges, tracks: the shares of the fields' borders that have them.
      orchards: the share of fields with planted rows.
      woods, heath: the shares of the land that are wooded, and that are heath.
      town, works, river, lake, sea: how often a tile has one, 0 to 1.
      town_radius: metres.
      dense: how often a town has a closely built core, 0 to 1.
      conditions: the season and the light, arrays with one entry.
    """

    name: str
    altitude: float
    relief: float
    field_width: float
    bare: float
    grass: float
    hedges: float
    tracks: float
    orchards: float
    woods: float
    heath: float
    town: float
    works: float
    river: float
    lake: float
    sea: float
    town_radius: float
    dense: float
    conditions: Conditions


Ranges = Mapping[str, tuple[float, float]]

# The lowest and the highest value of every number of a region, and what kinds have of their own.
_ANY: Ranges = {
    'altitude': (15.0, 90.0),
    'relief': (2.0, 8.0),
    'field_width': (70.0, 140.0),
    'bare': (0.15, 0.6),
    'grass': (0.1, 0.35),
    'hedges': (0.05, 0.25),
    'tracks': (0.1, 0.3),
    'orchards': (0.0, 0.06),
    'woods': (0.08, 0.18),
    'heath': (0.02, 0.08),
    'town': (0.5, 0.7),
    'works': (0.2, 0.35),
    'river': (0.2, 0.3),
    'lake': (0.15, 0.3),
    'sea': (0.0, 0.0),
    'town_radius': (250.0, 450.0),
    'dense': (0.2, 0.5),
    'dryness': (0.0, 1.0),
}
KINDS: Mapping[str, Ranges] = {
    'plain': {
        'relief': (1.0, 3.5),
        'field_width': (120.0, 230.0),
        'bare': (0.3, 0.75),
        'grass': (0.03, 0.12),
        'woods': (0.02, 0.07),
        'hedges': (0.0, 0.1),
    },
    'hedges': {
        'relief': (4.0, 10.0),
        'grass': (0.6, 0.85),
        'bare': (0.05, 0.15),
        'hedges': (0.5, 0.9),
        'woods': (0.06, 0.14),
        'lake': (0.3, 0.5),
        'dryness': (0.0, 0.35),
    },
    'orchards': {
        'relief': (4.0, 12.0),
        'field_width': (50.0, 90.0),
        'orchards': (0.35, 0.65),
        'hedges': (0.02, 0.15),
        'heath': (0.08, 0.2),
        'dryness': (0.55, 1.0),
    },
    'hills': {
        'altitude': (40.0, 100.0),
        'relief': (12.0, 24.0),
        'grass': (0.4, 0.7),
        'woods': (0.35, 0.6),
        'town': (0.3, 0.5),
        'works': (0.05, 0.15),
    },
    'heath': {
        'relief': (8.0, 18.0),
        'heath': (0.45, 0.7),
        'woods': (0.08, 0.2),
        'town': (0.2, 0.4),
        'works': (0.05, 0.15),
        'dryness': (0.2, 0.9),
    },
    'valley': {
        'relief': (6.0, 14.0),
        'river': (0.85, 1.0),
        'woods': (0.15, 0.3),
        'works': (0.3, 0.5),
    },
    'coast': {
        'altitude': (0.0, 0.0),
        'sea': (0.85, 1.0),
        'river': (0.0, 0.0),
        'lake': (0.0, 0.0),
        'heath': (0.1, 0.2),
        'woods': (0.05, 0.15),
        'town': (0.6, 0.8),
    },
    'city': {
        'altitude': (5.0, 50.0),
        'relief': (1.0, 5.0),
        'town': (1.0, 1.0),
        'town_radius': (650.0, 950.0),
        'dense': (0.85, 1.0),
        'works': (0.55, 0.8),
        'river': (0.35, 0.6),
        'woods': (0.05, 0.12),
    },
}
"""The traits of each kind of region, beside those that all share."""


def make_region(seed: int, number: int) -> Region:
    """Region `number` of a seed; kinds take turns in the order of `KINDS`."""
    kind = tuple(KINDS)[number % len(KINDS)]
    chance = Chance([[seed, number, 3]])
    ranges = {**_ANY, **KINDS[kind]}
    values = {name: float(chance.uniform(*ranges[name])[0]) for name in _ANY}
    dryness = np.array([values.pop('dryness')], np.float32)
    drawn = draw_conditions(chance)
    # A pass with thick haze would not be used.
    conditions = drawn._replace(dryness=dryness, haze=np.minimum(drawn.haze, np.float32(0.35)))
    return Region(name=f'{kind}_{number}', conditions=conditions, **values)


def tile_conditions(region: Region, chance: Chance) -> Conditions:
    """The region's conditions for every tile: one pass of the satellite, soils that vary a little.

    The haze and the light are the region's own.
    """
    count = len(chance)
    common = Conditions(*(np.repeat(values, count, axis=0) for values in region.conditions))
    return common._replace(
        dryness=np.clip(common.dryness + 0.08 * chance.normal(), 0.0, 1.0).astype(np.float32),
        soil=common.soil * np.exp(0.08 * chance.normal(3)),
        masonry=common.masonry * np.exp(0.05 * chance.normal(1)),
        foliage=common.foliage * np.exp(0.03 * chance.normal(3)),
    )
