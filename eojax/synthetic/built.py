"""Works of people: roads, houses along streets, works with large roofs, painted on a canvas."""

from __future__ import annotations

import numpy as np

from eojax.synthetic.canvas import Canvas
from eojax.synthetic.countryside import two_blocks
from eojax.synthetic.fields import band, lookup, meander, noise, rotate
from eojax.synthetic.parcels import Parcels, lay_out, per_parcel
from eojax.synthetic.scene import Material

ROOFS = (Material.ROOF_TILE, Material.ROOF_METAL, Material.ROOF_DARK)


def road(
    canvas: Canvas,
    present: np.ndarray | float,
    angle: np.ndarray,
    offset: np.ndarray,
    half_width: np.ndarray,
    bend: np.ndarray,
    dual: np.ndarray | float = 0.0,
) -> np.ndarray:
    """Paints an asphalt road with verges, and a green median where `dual` is 1.

    All parameters are `[N, 1, 1]`, metres and radians. Returns the signed distance from the middle.
    """
    wavelength = canvas.chance.image(700.0, 1500.0)
    distance, _ = meander(canvas.chance, canvas.x, canvas.y, angle, offset, bend, wavelength)
    pave(canvas, distance, half_width, present, dual)
    return distance


def pave(
    canvas: Canvas,
    distance: np.ndarray,
    half_width: np.ndarray | float,
    present: np.ndarray | float,
    dual: np.ndarray | float = 0.0,
) -> None:
    """Paints asphalt and its verges along the line at which `distance` is 0."""
    tint = canvas.chance.image(-1.0, 1.4)
    canvas.paint(
        Material.GRASS, band(distance, half_width + 7.0) * present, height=0.0, vegetation=0.65
    )
    canvas.paint(Material.ROAD, band(distance, half_width) * present, height=0.0, tint=tint)
    canvas.paint(Material.GRASS, band(distance, 3.0) * present * dual, vegetation=0.55)


def interchange(canvas: Canvas) -> None:
    """Paints two loops of slip roads."""
    chance, reach = canvas.chance, canvas.size * 2.5
    for _ in range(2):
        x0, y0 = chance.image(-reach, reach), chance.image(-reach, reach)
        radius = chance.image(35.0, 110.0)
        squash = chance.image(0.6, 1.0)
        u, v = rotate(canvas.x - x0, canvas.y - y0, chance.image(0.0, np.pi))
        distance = np.sqrt(u**2 + (v / squash) ** 2) - radius
        open_side = (u + chance.image(-0.2, 1.0) * radius > 0).astype(np.float32)
        pave(canvas, distance, chance.image(4.0, 7.0), open_side)


def _roofs(canvas: Canvas, tile: np.ndarray | float, metal: np.ndarray | float) -> np.ndarray:
    """A table of roof materials for parcel kinds, `[N, 256]`; the rest are dark roofs."""
    choice = per_parcel(canvas.chance)
    tile, metal = (np.asarray(a, np.float32).reshape(-1, 1) for a in (tile, metal))
    roof = np.where(choice < tile + metal, Material.ROOF_METAL, Material.ROOF_DARK)
    return np.where(choice < tile, Material.ROOF_TILE, roof).astype(np.uint8)


def streets(
    canvas: Canvas,
    angle: np.ndarray,
    block_width: np.ndarray,
    block_length: np.ndarray,
    half_width: np.ndarray | float,
    curve: np.ndarray | float,
    where: np.ndarray | float = 1.0,
) -> Parcels:
    """Paints a street grid whose lines curve by about `curve` metres; returns its blocks."""
    bow = noise(canvas.chance, canvas.size, (420.0, 180.0), (1.0, 0.3))
    x, y = canvas.x + curve * bow, canvas.y + curve * bow[:, ::-1, ::-1]
    blocks = lay_out(canvas.chance, x, y, angle, block_width, block_length, irregular=0.5)
    distance = np.minimum(blocks.to_strip_cut, blocks.to_cross_cut)
    tint = canvas.chance.image(-0.9, 1.2)
    canvas.paint(Material.ROAD, band(distance, half_width) * where, height=0.0, tint=tint)
    canvas.allot(blocks, where)
    return blocks


def houses(
    canvas: Canvas,
    blocks: Parcels,
    frontage: np.ndarray,
    density: np.ndarray | float,
    tile: np.ndarray | float,
    metal: np.ndarray | float = 0.12,
    where: np.ndarray | float = 1.0,
) -> None:
    """Paints houses in a row along every street, with gardens or courts inside the blocks.

    Args:
      frontage: length of street a house has to itself, metres; below 12 the row closes to a
        terrace.
      density: the share of plots with a house.
      tile, metal: the shares of tiled roofs and of bright ones; the rest are dark.
    """
    chance = canvas.chance
    on_strip = blocks.to_strip_cut < blocks.to_cross_cut
    from_street = np.where(on_strip, blocks.to_strip_cut, blocks.to_cross_cut)
    place = np.where(on_strip, blocks.along, blocks.across)
    plot = np.floor(place / frontage)
    side = np.where(on_strip, blocks.across > 0, 2 + (blocks.along > 0))
    kind = (plot.astype(np.int32) * 73 + blocks.kind + side * 59) & 255
    half_depth, half_length = chance.image(4.0, 9.0), chance.image(0.32, 0.5) * frontage
    middle = half_depth + chance.image(6.0, 11.0) + lookup(per_parcel(chance, -2.0, 2.0), kind)
    cover = band(from_street - middle, half_depth)
    cover = cover * band(place - (plot + 0.5) * frontage, half_length)
    occupied = per_parcel(chance) < np.asarray(density).reshape(-1, 1)
    # Whole blocks share an age, and so their roofs; some blocks are parks or squares.
    built_up = (per_parcel(chance) > chance.image(0.0, 0.25)[:, 0]) * 1.0
    uniform_block = lookup(per_parcel(chance), blocks.kind) < 0.6
    tiled = lookup(_roofs(canvas, tile, 0.08), blocks.kind)
    roofs = np.where(uniform_block, tiled, lookup(_roofs(canvas, tile, metal), kind))
    cover = cover * lookup(occupied.astype(np.float32), kind) * lookup(built_up, blocks.kind)
    canvas.paint(
        roofs,
        cover * where,
        height=lookup(per_parcel(chance, 4.0, 9.0), kind),
        tint=0.9 * lookup(per_parcel(chance, -1.0, 1.0), kind)
        + 0.8 * lookup(per_parcel(chance, -1.0, 1.0), blocks.kind),
    )


def works(canvas: Canvas, where: np.ndarray | float) -> None:
    """Paints industrial sites: yards, access roads and halls with large flat roofs."""
    chance = canvas.chance
    block, angle, _ = two_blocks(canvas, 0.7)
    width, length = chance.uniform(70.0, 190.0, 2), chance.uniform(90.0, 260.0, 2)
    sites = lay_out(
        chance,
        canvas.x,
        canvas.y,
        angle,
        lookup(width, block),
        lookup(length, block),
        irregular=0.8,
        block=block,
    )
    yard = lookup(per_parcel(chance), sites.kind)
    shade = lookup(per_parcel(chance, -1.0, 1.0), sites.kind)
    clutter = noise(chance, canvas.size, (30.0, 12.0), (0.6, 1.0))
    paved = (yard < chance.image(0.45, 0.85)) * where
    canvas.allot(sites, where)
    canvas.paint(Material.PAVED, paved, height=0.0, tint=0.6 * shade + 0.45 * clutter)
    lawn = (yard > 0.80) * where
    canvas.paint(Material.GRASS, lawn, height=0.0, vegetation=0.7)
    streets_near = np.minimum(sites.to_strip_cut, sites.to_cross_cut)
    canvas.paint(Material.ROAD, band(streets_near, 6.0) * where, height=0.0, tint=0.1)
    _halls(canvas, sites, where)


def _halls(canvas: Canvas, sites: Parcels, where: np.ndarray | float) -> None:
    """Paints one to four halls on most sites: a site is quartered, and walls may be left out."""
    chance = canvas.chance
    metal = chance.image(0.1, 0.7)
    quartered = lookup((per_parcel(chance) < 0.5).astype(np.float32), sites.kind)
    side, end = (sites.across > 0).astype(np.int32), (sites.along > 0).astype(np.int32)
    kind = (sites.kind + (quartered > 0) * (side * 89 + end * 47)) & 255
    half_width = sites.half_width * (1.0 - 0.5 * quartered)
    half_length = sites.half_length * (1.0 - 0.5 * quartered)
    across = sites.across - quartered * half_width * (2 * side - 1)
    along = sites.along - quartered * half_length * (2 * end - 1)
    fill_width = lookup(per_parcel(chance, 0.40, 0.86), kind)
    fill_length = lookup(per_parcel(chance, 0.40, 0.90), kind)
    cover = band(across, half_width * fill_width) * band(along, half_length * fill_length)
    built = lookup((per_parcel(chance) < 0.75).astype(np.float32), kind)
    bright = per_parcel(chance, -1.2, 1.0)
    ribs = 0.10 * np.sin(across * (2 * np.pi / 32.0))
    canvas.paint(
        lookup(_roofs(canvas, 0.05, metal), kind),
        cover * built * where,
        height=lookup(per_parcel(chance, 6.0, 18.0), kind),
        tint=lookup(bright + 0.9 * np.maximum(bright, 0.0), kind) + ribs,
    )


def tanks(canvas: Canvas) -> None:
    """Paints a group of round storage tanks."""
    chance, reach = canvas.chance, canvas.size * 3.0
    u, v = rotate(canvas.x, canvas.y, chance.image(0.0, np.pi))
    pitch = chance.image(60.0, 100.0)
    cell_u, cell_v = np.floor(u / pitch), np.floor(v / pitch)
    kind = (cell_u.astype(np.int32) * 73 + cell_v.astype(np.int32) * 157) & 255
    radius = pitch * lookup(per_parcel(chance, 0.2, 0.42), kind)
    near = np.hypot(u - chance.image(-reach, reach), v - chance.image(-reach, reach))
    yards = np.isin(canvas.land_cover, (Material.PAVED, Material.ROAD, *ROOFS))
    in_group = (near < chance.image(100.0, 220.0)) * yards
    canvas.paint(Material.PAVED, in_group, height=0.0, tint=-0.3)
    apart = np.hypot(u - (cell_u + 0.5) * pitch, v - (cell_v + 0.5) * pitch)
    standing = lookup((per_parcel(chance) < chance.image(0.4, 1.0)[:, 0]) * 1.0, kind)
    cover = band(apart, radius) * in_group * standing
    canvas.paint(Material.ROOF_METAL, cover, height=12.0, tint=chance.image(-0.4, 0.5))
