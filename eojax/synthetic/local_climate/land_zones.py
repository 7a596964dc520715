"""How the seven land covers among the Local Climate Zones are laid out on a canvas.

After tables 3 and 4 of Stewart and Oke, Local Climate Zones for Urban Temperature Studies (2012).
"""

from __future__ import annotations

import numpy as np

from eojax.synthetic import buildings, built, countryside, layouts, water
from eojax.synthetic.canvas import Canvas
from eojax.synthetic.fields import lookup, noise, rotate, smooth_step
from eojax.synthetic.local_climate.built_zones import street_blocks
from eojax.synthetic.parcels import per_parcel
from eojax.synthetic.scene import Material


def dense_trees(canvas: Canvas) -> None:
    """Closed forest on hills."""
    layouts.forest(canvas)


def scattered_trees(canvas: Canvas) -> None:
    """Grass with single trees and clumps: savanna, orchards, parks."""
    chance = canvas.chance
    countryside.relief(canvas, chance.image(0.5, 14.0))
    buildings.town_ground(canvas, 0.001, chance.image(0.0, 0.25))
    countryside.woods(canvas, chance.image(0.03, 0.22))
    countryside.lone_trees(canvas, chance.image(0.08, 0.45))
    countryside.winding_path(canvas, chance.happens(0.35), chance.image(1.5, 4.0))


def bush(canvas: Canvas) -> None:
    """Bushes and stunted trees on dry or stony ground."""
    chance = canvas.chance
    countryside.heath(canvas)
    patches = noise(chance, canvas.size, (50.0, 25.0, 12.0), (0.6, 1.0, 1.0))
    cover = smooth_step(patches - chance.image(-0.9, 0.9), -0.9, 0.9)
    canvas.paint(Material.SHRUB, 0.85 * cover, height=2.0, vegetation=0.7, tint=0.3 * patches)
    countryside.lone_trees(canvas, chance.image(0.0, 0.06))
    countryside.winding_path(canvas, chance.happens(0.4), chance.image(1.0, 3.5))


def low_plants(canvas: Canvas) -> None:
    """Meadows and crops without trees or houses."""
    chance = canvas.chance
    countryside.relief(canvas, chance.image(0.5, 10.0))
    width = 45.0 * np.exp(1.75 * chance.image(0.0, 1.0))
    parcels = countryside.fields(
        canvas,
        width,
        width * chance.image(1.0, 3.5),
        bare=chance.image(0.0, 1.0) ** 2 * 0.4,
        grass=chance.image(0.0, 1.0),
        contrast=chance.image(0.2, 1.0),
        bend=chance.happens(0.4) * chance.image(4.0, 30.0),
    )
    countryside.tracks_and_hedges(canvas, parcels, chance.image(0.0, 0.4), chance.image(0.0, 0.12))
    countryside.woods(canvas, chance.happens(0.15) * chance.image(0.02, 0.1))


def bare_rock_or_paved(canvas: Canvas) -> None:
    """Either stony hills or sealed ground: aprons, car parks, depots."""
    chance = canvas.chance
    canvas.land_cover[:] = canvas.mixed_with[:] = Material.ROCK
    hills = countryside.relief(canvas, chance.image(3.0, 24.0), rough=0.65)
    gully, strata = countryside.drainage(canvas)
    canvas.elevation -= chance.image(2.0, 16.0) * gully
    stone = countryside.mottle(canvas)
    grit = noise(chance, canvas.size, (25.0, 12.0), (0.6, 1.0))
    # From basalt to limestone.
    shade = chance.image(-1.8, 0.2)
    canvas.tint[:] = shade + 0.2 * stone + 0.3 * grit + chance.image(0.1, 0.5) * strata
    scree = smooth_step(0.6 * stone - hills + gully - chance.image(0.2, 2.0), 0.0, 1.2)
    canvas.paint(Material.BARE_SOIL, 0.8 * scree, vegetation=0.1)
    bushes = smooth_step(gully + 0.5 * grit - chance.image(0.8, 2.0), 0.0, 0.8)
    canvas.paint(Material.SHRUB, 0.5 * bushes, height=1.0, vegetation=0.5)
    canvas.sometimes(0.5, _paved_ground)


def _paved_ground(canvas: Canvas) -> None:
    """Replaces the hills by sealed ground with joints, stains and a strip of asphalt."""
    chance = canvas.chance
    clutter = noise(chance, canvas.size, (60.0, 25.0, 12.0), (0.6, 0.8, 1.0))
    canvas.elevation[:] *= 0.03
    canvas.paint(
        Material.PAVED,
        np.ones_like(clutter),
        height=0.0,
        vegetation=0.0,
        tint=chance.image(-0.8, 0.9) + chance.image(0.1, 0.6) * clutter,
    )
    blocks = street_blocks(canvas, (60.0, 180.0), (1.0, 3.0), chance.image(2.0, 8.0))
    green = lookup((per_parcel(chance) < chance.image(0.0, 0.3)[:, 0]) * 1.0, blocks.kind)
    canvas.paint(
        Material.GRASS, 0.9 * green * buildings.inside_blocks(blocks, 12.0), vegetation=0.6
    )
    canvas.sometimes(0.5, _runway)


def _runway(canvas: Canvas) -> None:
    """Lays a strip of asphalt across."""
    chance, reach = canvas.chance, canvas.size * 3.0
    _, across = rotate(canvas.x, canvas.y, chance.image(0.0, np.pi))
    built.pave(canvas, across - chance.image(-reach, reach), chance.image(12.0, 32.0), 1.0)


def bare_soil_or_sand(canvas: Canvas) -> None:
    """Fallow fields, quarries and deserts."""
    chance, size = canvas.chance, canvas.size
    countryside.relief(canvas, chance.image(0.5, 10.0))
    width = 60.0 * np.exp(1.75 * chance.image(0.0, 1.0))
    countryside.fields(
        canvas, width, width * chance.image(1.0, 3.5), bare=chance.image(0.85, 1.0), grass=0.05
    )
    canvas.sometimes(0.5, _desert)
    patches = noise(chance, size, (60.0, 25.0), (1.0, 0.7))
    bushes = smooth_step(patches - chance.image(1.0, 3.5), 0.0, 0.6)
    canvas.paint(Material.SHRUB, 0.7 * bushes, height=1.0, vegetation=0.5)


def _desert(canvas: Canvas) -> None:
    """Replaces the fields by sand or eroded soil, with dunes."""
    chance = canvas.chance
    bow = noise(chance, canvas.size, (200.0, 90.0), (1.0, 0.5))
    _, across = rotate(canvas.x, canvas.y, chance.image(0.0, np.pi))
    wavelength = chance.image(50.0, 200.0)
    ripple = np.sin((across + 30.0 * bow) * (2 * np.pi / wavelength))
    # Slopes of at most 5 to 14 degrees.
    dunes = chance.happens(0.6) * chance.image(0.014, 0.04) * wavelength
    sand = chance.happens(0.6) > 0
    canvas.land_cover[:] = canvas.mixed_with[:] = np.where(
        sand, Material.SAND, Material.BARE_SOIL
    ).astype(np.uint8)
    canvas.fraction[:], canvas.height[:], canvas.vegetation[:] = 1.0, 0.0, 0.0
    canvas.parcel[:], canvas.row_angle[:] = -1, 0.0
    canvas.wetness[:] = chance.image(0.0, 1.0) ** 3 * 0.6
    canvas.tint[:] = 0.5 * bow + chance.image(0.0, 0.4) * ripple
    canvas.elevation += dunes * ripple


def open_water(canvas: Canvas) -> None:
    """Sea, lakes and wide rivers, with a shore in half of the images."""
    chance = canvas.chance
    countryside.relief(canvas, chance.image(0.5, 8.0))
    buildings.town_ground(canvas, chance.image(0.0, 0.2), chance.image(0.0, 0.3))
    countryside.woods(canvas, chance.image(0.0, 0.6))
    canvas.elevation += 12.0
    water.sea(canvas, water.coastline(canvas, chance.happens(0.5)))
