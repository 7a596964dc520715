"""How each class of landscape is laid out: ten functions that paint a canvas.

The classes are those of EuroSAT (Helber et al., 2019). Fields, soils, season and light vary as
much as within a class there, so that the mean colour alone tells little.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from eojax.synthetic import built, countryside, water
from eojax.synthetic.canvas import Canvas
from eojax.synthetic.fields import lookup, noise, rotate, smooth_step
from eojax.synthetic.parcels import per_parcel
from eojax.synthetic.scene import Material


def annual_crop(canvas: Canvas) -> None:
    """Large straight-edged fields of bare soil, stubble and green crops, with tracks between."""
    chance = canvas.chance
    countryside.relief(canvas, chance.image(0.5, 7.0))
    width = 45.0 * np.exp(1.75 * chance.image(0.0, 1.0))
    parcels = countryside.fields(
        canvas,
        width,
        width * chance.image(1.2, 4.0),
        bare=chance.image(0.15, 0.95),
        grass=chance.image(0.0, 0.12),
        bend=chance.happens(0.2) * chance.image(4.0, 18.0),
    )
    countryside.tracks_and_hedges(canvas, parcels, chance.image(0.0, 0.55), chance.image(0.0, 0.18))
    countryside.woods(canvas, chance.happens(0.15) * chance.image(0.02, 0.12))


def forest(canvas: Canvas) -> None:
    """Closed canopy on hills, with stands of different species, clearings and forest roads."""
    chance, size = canvas.chance, canvas.size
    hills = countryside.relief(canvas, chance.image(2.0, 22.0))
    gully, _ = countryside.drainage(canvas)
    canvas.elevation -= chance.image(0.0, 14.0) * gully
    canvas.land_cover[:] = canvas.mixed_with[:] = Material.GRASS
    canvas.vegetation[:] = 0.8 - 0.45 * canvas.conditions.dryness[:, None, None]
    canvas.tint[:] = 0.4 * countryside.mottle(canvas)
    gaps = noise(chance, size, (180.0, 80.0, 40.0, 20.0), (1.0, 0.7, 0.5, 0.3))
    open_ground = smooth_step(gaps - chance.image(1.2, 4.0) - 0.1 * hills, 0.0, 0.35)
    countryside.canopy(canvas, 1.0 - open_ground, mixed=0.55)
    countryside.winding_path(canvas, chance.happens(0.35), chance.image(1.5, 4.0))


def herbaceous_vegetation(canvas: Canvas) -> None:
    """Heath, scrub and natural grassland: mottled, without straight lines, often dry and stony."""
    chance = canvas.chance
    countryside.heath(canvas)
    countryside.woods(canvas, chance.happens(0.25) * chance.image(0.02, 0.2))
    countryside.winding_path(canvas, chance.happens(0.5), chance.image(1.5, 4.0))
    countryside.winding_path(canvas, chance.happens(0.3), chance.image(1.0, 3.0))


def _mixed_farmland(canvas: Canvas) -> None:
    """The land around roads, works and rivers: fields, meadows, woods and a few houses."""
    chance = canvas.chance
    countryside.relief(canvas, chance.image(0.5, 8.0))
    width = chance.image(60.0, 220.0)
    parcels = countryside.fields(
        canvas,
        width,
        width * chance.image(1.0, 3.5),
        bare=chance.image(0.0, 0.6),
        grass=chance.image(0.05, 0.7),
        contrast=chance.image(0.4, 1.0),
        bend=chance.image(0.0, 25.0),
    )
    countryside.tracks_and_hedges(canvas, parcels, chance.image(0.0, 0.3), chance.image(0.0, 0.4))
    countryside.woods(canvas, chance.image(0.0, 0.3))
    canvas.sometimes(0.35, hamlet)


def hamlet(canvas: Canvas) -> None:
    """Paints a patch of a small settlement at a random place."""
    chance, reach = canvas.chance, canvas.size * 4.5
    apart = np.hypot(canvas.x - chance.image(-reach, reach), canvas.y - chance.image(-reach, reach))
    rough = noise(chance, canvas.size, (120.0, 50.0), (1.0, 0.5))
    where = (apart + 50.0 * rough < chance.image(90.0, 260.0)) * 1.0
    canvas.paint(Material.GRASS, where, height=0.0, vegetation=0.7)
    blocks = built.streets(
        canvas,
        chance.image(0.0, np.pi),
        chance.image(50.0, 80.0),
        chance.image(90.0, 180.0),
        3.0,
        30.0,
        where,
    )
    built.houses(canvas, blocks, chance.image(14.0, 26.0), 0.8, chance.image(0.1, 0.9), where=where)
    countryside.lone_trees(canvas, 0.12, where)


def highway(canvas: Canvas) -> None:
    """A main road through the country, with crossings, slip roads and farm land beside it."""
    chance, size = canvas.chance, canvas.size
    _mixed_farmland(canvas)
    angle, bend = chance.image(0.0, np.pi), chance.image(0.0, 1.0) ** 2 * 110.0
    crossing = angle + chance.image(0.35, 2.8)
    reach = size * 3.0
    built.road(
        canvas,
        chance.happens(0.6),
        crossing,
        chance.image(-reach, reach),
        chance.image(3.5, 7.0),
        chance.image(0.0, 60.0),
    )
    canvas.sometimes(0.35, built.interchange)
    half_width = chance.image(7.0, 17.0)
    offset = chance.image(-1.8, 1.8) * size
    wide = (half_width > 10.0).astype(np.float32)
    built.road(canvas, 1.0, angle, offset, half_width, bend, dual=wide * chance.happens(0.7))


def industrial(canvas: Canvas) -> None:
    """Halls with large roofs, yards and access roads, with fields or houses at the margin."""
    chance, size = canvas.chance, canvas.size
    _mixed_farmland(canvas)
    angle = chance.image(0.0, np.pi)
    _, across = rotate(canvas.x, canvas.y, angle + (np.pi / 2) * chance.happens(0.5))
    margin = chance.image(1.0, 8.0) * size
    where = (across < margin).astype(np.float32)
    built.works(canvas, where)
    canvas.sometimes(0.2, built.tanks)
    countryside.lone_trees(canvas, chance.image(0.0, 0.15), where)
    half_width = chance.image(5.0, 9.0)
    built.pave(canvas, across - margin, half_width, chance.happens(0.6))


def pasture(canvas: Canvas) -> None:
    """Green meadows of low contrast between hedges, with lone trees and a farm here and there."""
    chance = canvas.chance
    conditions = canvas.conditions
    canvas.conditions = conditions._replace(dryness=0.4 * conditions.dryness)
    countryside.relief(canvas, chance.image(1.0, 10.0))
    width = chance.image(90.0, 260.0)
    parcels = countryside.fields(
        canvas,
        width,
        width * chance.image(0.9, 2.0),
        bare=chance.happens(0.3) * chance.image(0.0, 0.15),
        grass=chance.image(0.75, 1.0),
        contrast=chance.image(0.2, 0.5),
        bend=chance.image(5.0, 40.0),
    )
    countryside.tracks_and_hedges(
        canvas, parcels, chance.image(0.0, 0.15), chance.image(0.1, 0.9), chance.image(7.0, 15.0)
    )
    countryside.lone_trees(canvas, chance.image(0.0, 0.012))
    countryside.woods(canvas, chance.happens(0.4) * chance.image(0.0, 0.12))
    countryside.winding_path(canvas, chance.happens(0.3), chance.image(1.5, 3.5))
    canvas.sometimes(0.08, hamlet)


def permanent_crop(canvas: Canvas) -> None:
    """Orchards, vineyards and olive groves: small parcels with regular rows or dots."""
    chance = canvas.chance
    countryside.relief(canvas, chance.image(1.0, 12.0))
    width = chance.image(45.0, 150.0)
    parcels = countryside.fields(
        canvas,
        width,
        width * chance.image(1.0, 3.2),
        bare=chance.image(0.45, 0.95),
        grass=chance.image(0.0, 0.3),
        contrast=chance.image(0.4, 0.9),
        bend=chance.image(0.0, 16.0),
    )
    planted = (per_parcel(chance) < chance.image(0.65, 1.0)[:, 0]).astype(np.float32)
    spacing = chance.image(24.0, 42.0)[:, 0] * per_parcel(chance, 0.9, 1.15)
    dots = (per_parcel(chance) < chance.happens(0.5)[:, 0] * 0.8).astype(np.float32)
    leaves = countryside.rows(
        canvas, parcels, *(lookup(t, parcels.kind) for t in (planted, spacing, dots))
    )
    vigour = lookup(per_parcel(chance, 0.45, 1.0), parcels.kind) * chance.image(0.55, 1.0)
    tree_like = chance.happens(0.5) > 0
    canvas.paint(
        np.where(tree_like, Material.TREE, Material.SHRUB),
        leaves * vigour,
        height=np.where(tree_like, 3.5, 1.5),
        vegetation=0.85,
        tint=0.0,
    )
    countryside.tracks_and_hedges(
        canvas, parcels, chance.image(0.1, 0.6), chance.image(0.0, 0.25), 9.0
    )
    countryside.woods(canvas, chance.happens(0.25) * chance.image(0.0, 0.12))
    canvas.sometimes(0.12, hamlet)


def residential(canvas: Canvas) -> None:
    """Small houses along curving streets, with gardens, from villas to dense towns."""
    chance, size = canvas.chance, canvas.size
    countryside.relief(canvas, chance.image(0.5, 6.0))
    ground = countryside.mottle(canvas)
    dryness = canvas.conditions.dryness[:, None, None]
    canvas.land_cover[:] = canvas.mixed_with[:] = Material.GRASS
    canvas.vegetation[:] = 0.8 - 0.6 * dryness + 0.15 * ground
    canvas.tint[:] = 0.3 * ground
    density = chance.image(0.55, 1.0)
    speckle = noise(chance, size, (30.0, 12.0), (0.6, 1.0))
    paved = smooth_step(0.7 * speckle + 1.5 * density - chance.image(0.8, 2.6), -0.8, 0.8)
    canvas.paint(Material.PAVED, 0.75 * paved, tint=0.4 * speckle - 0.3)
    angle = chance.image(0.0, np.pi)
    _, angles, _ = countryside.two_blocks(canvas, 0.6)
    width = chance.image(52.0, 110.0)
    blocks = built.streets(
        canvas,
        angles,
        width,
        width * chance.image(1.2, 3.5),
        chance.image(3.0, 6.0),
        chance.image(0.0, 1.0) ** 2 * 120.0,
    )
    frontage = chance.image(11.0, 36.0)
    built.houses(canvas, blocks, frontage, density, chance.image(0.0, 1.0), chance.image(0.0, 0.35))
    countryside.lone_trees(canvas, chance.image(0.03, 0.30))
    countryside.woods(canvas, chance.happens(0.35) * chance.image(0.0, 0.12))
    reach = size * 3.0
    built.road(
        canvas,
        chance.happens(0.35),
        angle + chance.image(0.2, 2.9),
        chance.image(-reach, reach),
        chance.image(5.0, 9.0),
        chance.image(0.0, 40.0),
    )


def river(canvas: Canvas) -> None:
    """A river or canal through farm land, woods and villages."""
    chance = canvas.chance
    _mixed_farmland(canvas)
    countryside.woods(canvas, chance.happens(0.3) * chance.image(0.2, 0.8))
    water.river(canvas)


def sea_lake(canvas: Canvas) -> None:
    """Open water, with a shore in three images out of ten."""
    chance = canvas.chance
    _mixed_farmland(canvas)
    canvas.elevation += 12.0
    water.sea(canvas, water.coastline(canvas, chance.happens(0.3)))


LAYOUTS: dict[str, Callable[[Canvas], None]] = {
    'AnnualCrop': annual_crop,
    'Forest': forest,
    'HerbaceousVegetation': herbaceous_vegetation,
    'Highway': highway,
    'Industrial': industrial,
    'Pasture': pasture,
    'PermanentCrop': permanent_crop,
    'Residential': residential,
    'River': river,
    'SeaLake': sea_lake,
}
