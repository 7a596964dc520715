"""Whole tiles of country, 1 to 5 km wide: fields, woods, heath, towns, works, water and roads.

The layouts that fill a patch with one class (`layouts`, `built_zones`) become parts of a tile here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from eojax.synthetic import built, countryside, layouts, water
from eojax.synthetic.canvas import Canvas
from eojax.synthetic.chance import Chance
from eojax.synthetic.fields import lookup, noise, rotate, smooth_step, step
from eojax.synthetic.local_climate import built_zones
from eojax.synthetic.parcels import Parcels, per_parcel
from eojax.synthetic.regions import Region, tile_conditions
from eojax.synthetic.scene import PIXEL_SIZE, Material, Scene

# Lattices of the fields that say where towns, woods and heath lie, metres, and their weights.
_BROAD = ((900.0, 400.0, 160.0, 60.0), (1.0, 0.6, 0.3, 0.12))


class _Town(NamedTuple):
    """Where the settlement of a tile lies; metres from the tile's centre, `[N, 1, 1]`."""

    x: np.ndarray
    y: np.ndarray
    radius: np.ndarray


def make_tiles(
    region: Region, numbers: Sequence[int] | np.ndarray, size: int, seed: int = 0
) -> Scene:
    """Draws tiles of a region.

    Args:
      region: from `regions.make_region`.
      numbers: the tiles' numbers, `[N]`. A tile depends on the region, `seed`, its number and
        `size` alone.
      size: height and width in pixels of 10 m.
    """
    canvas = Canvas(Chance([seed, int(i), 2] for i in numbers), size)
    canvas.conditions = tile_conditions(region, canvas.chance)
    draw(canvas, region)
    return canvas.scene()


def draw(canvas: Canvas, region: Region) -> None:
    """Paints a tile of the region on a canvas."""
    chance = canvas.chance
    extent = PIXEL_SIZE * canvas.size
    town = _Town(
        chance.image(-0.35, 0.35) * extent,
        chance.image(-0.35, 0.35) * extent,
        region.town_radius * chance.image(0.7, 1.3),
    )
    _hills(canvas, region)
    _farmland(canvas, region)
    _heath(canvas, region)
    _woods(canvas, region)
    canvas.sometimes(region.works, _works)
    settled = chance.happens(region.town)
    _settlement(canvas, region, town, settled)
    bearing = chance.image(0.0, np.pi)
    rivers = np.flatnonzero(chance.happens(region.river))
    canvas.on(rivers, lambda part: water.river(part, bearing[rivers], 700.0))
    _roads(canvas, town, settled, bearing)
    # After the roads, so that none leads into a lake or the sea.
    canvas.sometimes(region.lake, _lake)
    canvas.sometimes(
        region.sea, lambda part: water.sea(part, water.coastline(part, 1.0, -3.0, 4.0))
    )
    canvas.elevation += region.altitude * chance.image(0.85, 1.15)


def _hills(canvas: Canvas, region: Region) -> None:
    """Ground that rises from 0 metres at its lowest point."""
    broad = noise(canvas.chance, canvas.size, (1600.0, 800.0), (1.0, 0.6))
    canvas.elevation += region.relief * broad
    countryside.relief(canvas, 0.35 * region.relief * np.ones_like(broad[:, :1, :1]))
    canvas.elevation -= canvas.elevation.min((1, 2), keepdims=True)


def _farmland(canvas: Canvas, region: Region) -> None:
    chance = canvas.chance
    width = region.field_width * chance.image(0.75, 1.3)
    parcels = countryside.fields(
        canvas,
        width,
        width * chance.image(1.2, 3.0),
        bare=np.clip(region.bare * chance.image(0.6, 1.4), 0.0, 1.0),
        grass=np.clip(region.grass * chance.image(0.7, 1.3), 0.0, 1.0),
        contrast=chance.image(0.5, 1.0),
        bend=chance.image(0.0, 25.0),
    )
    _orchards(canvas, region, parcels)
    countryside.tracks_and_hedges(
        canvas, parcels, region.tracks, region.hedges * chance.image(0.6, 1.1)
    )
    countryside.lone_trees(canvas, 0.004 * chance.image(0.0, 1.0))


def _orchards(canvas: Canvas, region: Region, parcels: Parcels) -> None:
    """Rows of fruit trees or of vines on some of the fields."""
    chance = canvas.chance
    planted = lookup((per_parcel(chance) < region.orchards).astype(np.float32), parcels.kind)
    spacing = lookup(chance.image(22.0, 36.0)[:, 0] * per_parcel(chance, 0.9, 1.15), parcels.kind)
    dots = lookup((per_parcel(chance) < 0.4).astype(np.float32), parcels.kind)
    leaves = countryside.rows(canvas, parcels, planted, spacing, dots)
    trees = chance.happens(0.5) > 0
    canvas.paint(
        np.where(trees, Material.TREE, Material.SHRUB),
        leaves * lookup(per_parcel(chance, 0.6, 1.0), parcels.kind),
        height=np.where(trees, 3.5, 1.5),
        vegetation=0.85,
        tint=0.0,
    )


def _spread(canvas: Canvas, share: float, leaning: np.ndarray | float = 0.0) -> np.ndarray:
    """Metres from the border of patches that take up about `share` of the land; positive inside.

    `leaning` is added to the field of unit variance whose highest parts are the patches.
    """
    field = noise(canvas.chance, canvas.size, *_BROAD) + leaning
    share = float(np.clip(share, 1e-3, 0.999))
    # The logistic approximation to the normal quantile; the field's slope is about 1 in 150 m.
    return 150.0 * (field - np.log((1.0 - share) / share) / 1.702)


def _high_ground(canvas: Canvas) -> np.ndarray:
    """The ground's elevation, normalised over the tile."""
    ground = canvas.elevation
    mean, spread = ground.mean((1, 2), keepdims=True), ground.std((1, 2), keepdims=True)
    return (ground - mean) / np.maximum(spread, 1e-3)


def _heath(canvas: Canvas, region: Region) -> None:
    """Heath where the ground is high."""
    inside = _spread(canvas, region.heath, 0.4 * _high_ground(canvas))
    canvas.within(inside > 0, countryside.heath, smooth_step(inside, -100.0, 100.0))


def _woods(canvas: Canvas, region: Region) -> None:
    """Woods where the ground is high, with clearings, and copses between the fields."""
    inside = _spread(canvas, region.woods, 0.4 * _high_ground(canvas))
    gaps = noise(canvas.chance, canvas.size, (120.0, 50.0, 20.0), (1.0, 0.6, 0.3))
    countryside.canopy(canvas, step(inside) * (gaps < 2.0))
    countryside.woods(canvas, 0.2 * region.woods)


def _works(canvas: Canvas) -> None:
    """A works estate with halls and yards."""
    chance, reach = canvas.chance, 3.5 * canvas.size
    x0, y0 = chance.image(-reach, reach), chance.image(-reach, reach)
    u, v = rotate(canvas.x - x0, canvas.y - y0, chance.image(0.0, np.pi))
    long, wide = chance.image(250.0, 600.0), chance.image(150.0, 350.0)
    where = ((np.abs(u) < long) & (np.abs(v) < wide)).astype(np.float32)
    canvas.paint(Material.GRASS, where, height=0.0, vegetation=0.6, wetness=0.1)
    built.works(canvas, where)
    canvas.sometimes(0.25, built.tanks)
    countryside.lone_trees(canvas, chance.image(0.0, 0.1), where)


def _settlement(canvas: Canvas, region: Region, town: _Town, settled: np.ndarray) -> None:
    """A town of houses with gardens, some with a closely built core, or else a hamlet."""
    chance = canvas.chance
    rough = noise(chance, canvas.size, (500.0, 200.0, 80.0), (1.0, 0.6, 0.3))
    apart = np.hypot(canvas.x - town.x, canvas.y - town.y)
    inside = town.radius * (1.0 + 0.22 * rough) - apart
    rows = np.flatnonzero(settled)
    canvas.on(rows, lambda part: part.within(inside[rows] > 0, layouts.residential))
    core = np.flatnonzero(settled * chance.happens(region.dense))
    for layout, low, high in (
        (built_zones.compact_mid_rise, 0.45, 0.65),
        (built_zones.open_mid_rise, 0.7, 0.85),
    ):
        edge = inside - town.radius * chance.image(low, high)
        canvas.on(core, lambda part: part.within(edge[core] > 0, layout))  # noqa: B023
    canvas.on(np.flatnonzero(settled == 0), layouts.hamlet)


def _lake(canvas: Canvas) -> None:
    chance, reach = canvas.chance, 4.0 * canvas.size
    u, v = rotate(
        canvas.x - chance.image(-reach, reach),
        canvas.y - chance.image(-reach, reach),
        chance.image(0.0, np.pi),
    )
    radius = 60.0 + 340.0 * chance.image(0.0, 1.0) ** 2
    rough = noise(chance, canvas.size, (300.0, 120.0, 50.0), (1.0, 0.6, 0.3))
    shore = radius * (1.0 + 0.25 * rough) - np.hypot(u, v * chance.image(1.0, 1.8))
    countryside.canopy(canvas, step(shore + 40.0) * (rough > 0.2))
    water.sea(canvas, shore)


def _roads(canvas: Canvas, town: _Town, settled: np.ndarray, bearing: np.ndarray) -> None:
    """Main roads, the first of them through the town and over the river, where there are such.

    `bearing` is the direction of the river.
    """
    chance = canvas.chance
    dry = canvas.land_cover != Material.WATER
    for probability, angle, bridges in (
        (0.85, bearing + 0.5 * np.pi + chance.image(-0.5, 0.5), True),
        (0.4, chance.image(0.0, np.pi), False),
    ):
        _, to_town = rotate(town.x, town.y, angle)
        offset = np.where(settled > 0, to_town, chance.image(-3.0, 3.0) * canvas.size)
        half_width = chance.image(5.0, 12.0)
        built.road(
            canvas,
            chance.happens(probability) * (1.0 if bridges else dry),
            angle,
            offset,
            half_width,
            chance.image(20.0, 90.0),
            dual=(half_width > 10.0) * chance.happens(0.5),
        )
