"""Open country: relief, fields and their boundaries, rows, woods and heath, painted on a canvas."""

from __future__ import annotations

import numpy as np

from eojax.synthetic.canvas import Canvas
from eojax.synthetic.fields import band, lookup, meander, noise, rotate, smooth_step, step
from eojax.synthetic.parcels import Parcels, lay_out, per_parcel
from eojax.synthetic.scene import Material


def relief(canvas: Canvas, metres: np.ndarray, rough: float = 0.5) -> np.ndarray:
    """Raises hills of about `metres` (standard deviation, `[N, 1, 1]`); returns them, normalised.

    `rough` is the amplitude of an octave relative to that of twice its spacing.
    """
    hills = noise(
        canvas.chance, canvas.size, (480.0, 240.0, 120.0, 60.0), [rough**k for k in range(4)]
    )
    canvas.elevation += metres * hills
    return hills


def mottle(canvas: Canvas, fine: float = 1.0) -> np.ndarray:
    """Patchiness from 20 m to 200 m, unit variance; `fine` weighs the smallest scale."""
    return noise(canvas.chance, canvas.size, (160.0, 80.0, 40.0, 20.0), (1.0, 0.8, 0.6, fine))


def two_blocks(canvas: Canvas, split: float = 0.6) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Cuts the land by a line into two blocks whose parcels run in directions of their own.

    Returns `(block, angle, distance)`: 0 or 1, radians, and metres from the line, `[N, H, W]`. Only
    the share `split` of the images is cut.
    """
    chance = canvas.chance
    line = chance.image(0.0, np.pi)
    reach = canvas.size * 3.0
    far = 1e5 * (1.0 - chance.happens(split))
    _, across = rotate(canvas.x, canvas.y, line)
    distance = across + chance.image(-reach, reach) + far
    block = (distance < 0).astype(np.int32)
    angles = chance.uniform(0.0, np.pi, 2)
    # Most parcels are laid out along the line that divides the blocks.
    angles[:, :1] = np.where(chance.uniform(0.0, 1.0, 1) < 0.6, line[:, :, 0], angles[:, :1])
    return block, lookup(angles, block), distance


def fields(
    canvas: Canvas,
    width: np.ndarray,
    length: np.ndarray,
    bare: np.ndarray | float,
    grass: np.ndarray | float = 0.0,
    contrast: np.ndarray | float = 1.0,
    bend: np.ndarray | float = 0.0,
    split: float = 0.6,
) -> Parcels:
    """Covers the whole canvas with fields.

    Args:
      width, length: of the parcels, metres, `[N, 1, 1]`.
      bare, grass: the shares of parcels that lie bare or are ripe, and that are meadows.
      contrast: how much parcels differ in growth and brightness.
      bend: metres by which boundaries sway.
    """
    chance, size = canvas.chance, canvas.size
    block, angle, _ = two_blocks(canvas, split)
    x, y = canvas.x, canvas.y
    if np.any(np.asarray(bend) > 0):
        sway = noise(chance, size, (200.0, 100.0), (1.0, 0.4))
        x, y = x + bend * sway, y + bend * sway[:, ::-1, ::-1]
    parcels = lay_out(chance, x, y, angle, width, length, block=block)
    kind, growth, ripeness, bright, moist = (per_parcel(chance) for _ in range(5))
    bare, grass, contrast = (
        np.asarray(a, np.float32).reshape(-1, 1) for a in (bare, grass, contrast)
    )
    is_bare, is_grass = kind < bare, kind > 1.0 - grass
    vegetation = np.where(is_bare, 0.22 * growth**2, 1.0 - contrast * 0.55 * growth**2)
    dryness = canvas.conditions.dryness[:, None]
    vegetation = np.where(is_grass, 0.9 - 0.5 * dryness - 0.2 * growth, vegetation)
    material = np.where(is_grass, Material.GRASS, Material.CROP)
    material = np.where(is_bare & (ripeness < 0.65), Material.BARE_SOIL, material)
    canvas.land_cover[:] = canvas.mixed_with[:] = lookup(material.astype(np.uint8), parcels.kind)
    canvas.allot(parcels)
    soil_moisture, patches = per_parcel(chance), mottle(canvas, 0.5)
    canvas.wetness[:] = lookup(contrast * 0.75 * moist**2 * soil_moisture, parcels.kind) + (
        0.06 * patches
    )
    stripes = tillage(canvas, parcels)
    canvas.vegetation[:] = lookup(vegetation, parcels.kind) + 0.05 * patches + 0.03 * stripes
    tint = lookup(contrast * 1.3 * (bright - 0.5), parcels.kind)
    canvas.tint[:] = tint + 0.10 * patches + 0.14 * stripes
    heights = np.where(is_bare, 0.0, 0.2 + 0.6 * growth)
    canvas.height[:] = lookup(heights.astype(np.float32), parcels.kind)
    return parcels


def tillage(canvas: Canvas, parcels: Parcels) -> np.ndarray:
    """Streaks along the parcels' rows, strong in some parcels and absent in others."""
    chance = canvas.chance
    strength = lookup(np.maximum(0.0, per_parcel(chance, -1.0, 1.6)), parcels.kind)
    line = np.floor(parcels.across / 14.0).astype(np.int32) + parcels.kind * 7
    return strength * lookup(chance.normal(256), line & 255)


def rows(
    canvas: Canvas, parcels: Parcels, planted: np.ndarray, spacing: np.ndarray, dots: np.ndarray
) -> np.ndarray:
    """Leaf cover of planted rows, 0 to 1: stripes, or dots where `dots` is 1, in parcels `planted`.

    `planted`, `spacing` (metres) and `dots` are `[N, H, W]`.
    """
    wave = 2 * np.pi / spacing
    stripe = 0.5 + 0.5 * np.cos(parcels.across * wave)
    beads = 0.5 + 0.5 * np.cos(parcels.along * wave)
    return planted * stripe * (1.0 - dots + dots * beads)


def tracks_and_hedges(
    canvas: Canvas,
    parcels: Parcels,
    tracks: np.ndarray | float,
    hedges: np.ndarray | float,
    hedge_width: np.ndarray | float = 12.0,
) -> None:
    """Paints field tracks along some of the parcels' cuts and hedges, with gaps, along others.

    `tracks` and `hedges` are the shares of the cuts that have them.
    """
    chance, size = canvas.chance, canvas.size
    tracks, hedges = np.broadcast_to(tracks, (len(chance), 1, 1)), np.asarray(hedges)
    gaps = noise(chance, size, (60.0, 30.0), (1.0, 0.7))
    for distance, cut in (
        (parcels.to_strip_cut, parcels.strip_cut),
        (parcels.to_cross_cut, parcels.cross_cut),
    ):
        kind = lookup(per_parcel(chance), cut)
        verge = band(distance, 4.0) * (kind < 0.75)
        canvas.paint(Material.GRASS, 0.8 * verge)
        hedge = band(distance, 0.5 * hedge_width) * (kind > 1.0 - hedges) * (gaps > -0.9)
        canvas.paint(Material.TREE, hedge, height=5.0 + 2.5 * gaps, vegetation=0.9)
        track = band(distance, 3.0) * (kind < tracks)
        canvas.paint(Material.TRACK, track, height=0.0, vegetation=0.15)


def woods(canvas: Canvas, share: np.ndarray | float, where: np.ndarray | float = 1.0) -> None:
    """Paints clumps of trees over about `share` of the land within the mask `where`."""
    share = np.clip(share, 1e-3, 0.999)
    field = noise(canvas.chance, canvas.size, (220.0, 110.0, 55.0, 25.0), (1.0, 0.6, 0.3, 0.15))
    # The logistic approximation to the normal quantile.
    cover = step((field - np.log((1.0 - share) / share) / 1.702) * 60.0) * where
    canopy(canvas, cover)


def canopy(canvas: Canvas, cover: np.ndarray, mixed: float = 0.5) -> None:
    """Paints closed forest: crowns of uneven height, and stands of different species."""
    chance, size = canvas.chance, canvas.size
    crowns = noise(chance, size, (60.0, 24.0, 12.0), (0.6, 1.0, 0.9))
    stands = noise(chance, size, (240.0, 90.0), (1.0, 0.6))
    canvas.paint(
        Material.TREE,
        cover,
        height=np.maximum(14.0 + chance.image(0.7, 1.9) * crowns + 0.6 * stands, 2.0),
        vegetation=0.92 - 0.08 * np.abs(stands) + 0.04 * crowns,
        tint=mixed * stands + 0.25 * crowns,
    )


def lone_trees(canvas: Canvas, share: np.ndarray | float, where: np.ndarray | float = 1.0) -> None:
    """Paints single trees and bushes on about `share` of the pixels within the mask `where`."""
    chance = canvas.chance
    spots = chance.uniform(0.0, 1.0, canvas.size, canvas.size)
    # Nothing grows on roofs and asphalt.
    free = np.isin(canvas.land_cover, (Material.GRASS, Material.CROP, Material.PAVED))
    cover = (spots < share) * free * where * (0.35 + 0.65 * spots / np.maximum(share, 1e-3))
    canvas.paint(Material.TREE, cover, height=7.0, vegetation=0.9, tint=0.0)


def winding_path(
    canvas: Canvas,
    present: np.ndarray,
    half_width: np.ndarray | float,
    material: Material = Material.TRACK,
    bend: tuple[float, float] = (15.0, 70.0),
) -> np.ndarray:
    """Paints a winding track in the images where `present` is 1; returns the distance from it."""
    chance, reach = canvas.chance, canvas.size * 3.0
    distance, _ = meander(
        chance,
        canvas.x,
        canvas.y,
        chance.image(0.0, np.pi),
        chance.image(-reach, reach),
        chance.image(*bend),
        chance.image(250.0, 600.0),
    )
    canvas.paint(material, band(distance, half_width) * present, height=0.0, vegetation=0.1)
    return distance


def heath(canvas: Canvas) -> None:
    """Covers the canvas with grass, bushes, bare ground and rock in a mosaic on rough terrain."""
    chance, size = canvas.chance, canvas.size
    hills = relief(canvas, chance.image(2.0, 26.0), rough=0.62)
    gully, flow = drainage(canvas)
    canvas.elevation -= chance.image(0.0, 9.0) * gully
    patches, speckle = mottle(canvas, 1.0), noise(chance, size, (25.0, 12.0), (1.0, 1.0))
    dryness = canvas.conditions.dryness[:, None, None]
    lushness = 0.75 - 0.62 * dryness + chance.image(-0.15, 0.15)
    canvas.land_cover[:] = canvas.mixed_with[:] = Material.GRASS
    canvas.vegetation[:] = lushness + 0.10 * patches + 0.08 * speckle - 0.05 * hills
    canvas.vegetation += chance.image(0.0, 0.3) * gully + 0.10 * flow
    canvas.tint[:] = 0.35 * patches + 0.25 * speckle + chance.image(0.0, 0.5) * flow
    bare = 0.7 * patches + 0.5 * speckle + 0.4 * flow - chance.image(0.4, 2.4) + 0.8 * dryness
    canvas.paint(Material.BARE_SOIL, 0.85 * smooth_step(bare, -1.2, 0.9), vegetation=0.1)
    stony = chance.happens(0.25) * smooth_step(
        hills - 0.5 * patches - chance.image(0.4, 1.6), -0.6, 0.6
    )
    canvas.paint(Material.ROCK, 0.9 * stony, vegetation=0.1)
    bushes = 0.6 * speckle - 0.4 * patches + gully * chance.image(0.0, 1.8) - chance.image(0.4, 2.2)
    canvas.paint(Material.SHRUB, 0.8 * smooth_step(bushes, -1.0, 0.9), height=2.0, vegetation=0.75)


def drainage(canvas: Canvas) -> tuple[np.ndarray, np.ndarray]:
    """Branching gullies (1 in the bed, 0 beyond) and streaks beside them, of unit variance."""
    chance, size = canvas.chance, canvas.size
    slopes = noise(chance, size, (260.0, 130.0, 65.0, 32.0), (1.0, 0.55, 0.3, 0.15))
    gully = np.exp(-((slopes / chance.image(0.06, 0.16)) ** 2))
    streaks = np.sin(slopes * chance.image(6.0, 14.0)) * 1.4
    return gully, streaks
