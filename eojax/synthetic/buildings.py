"""Buildings of any height on the lots of street blocks, painted on a canvas."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from eojax.synthetic.canvas import Canvas
from eojax.synthetic.fields import band, lookup, noise, step
from eojax.synthetic.parcels import Parcels, lay_out, per_parcel
from eojax.synthetic.scene import Material


class Style(NamedTuple):
    """The look of a quarter's buildings; numbers or one value an image, `[N, 1, 1]`.

    Attributes:
      low, high: metres, the range of heights.
      tile, metal: the shares of tiled roofs and of bright, flat ones; the rest are dark.
      fill_across, fill_along: the share of a lot's width and length that is built on.
      occupied: the share of lots with a building.
    """

    low: np.ndarray | float
    high: np.ndarray | float
    tile: np.ndarray | float
    metal: np.ndarray | float
    fill_across: np.ndarray | float = 0.9
    fill_along: np.ndarray | float = 0.9
    occupied: np.ndarray | float = 1.0


def cut_lots(
    canvas: Canvas, blocks: Parcels, width: np.ndarray | float, length: np.ndarray | float
) -> Parcels:
    """Cuts street blocks into lots of about `width` by `length` metres along the streets."""
    # Neighbouring blocks differ in kind, so that no lot reaches over a street.
    return lay_out(
        canvas.chance, canvas.x, canvas.y, blocks.angle, width, length, 0.4, block=blocks.kind
    )


def on_lots(
    canvas: Canvas, lots: Parcels, style: Style, inside: np.ndarray | float = 1.0
) -> np.ndarray:
    """Paints a building on every lot within the mask `inside`; returns the cover, `[N, H, W]`."""
    chance = canvas.chance
    spread = lookup(per_parcel(chance, 0.85, 1.15), lots.kind)
    standing = lookup(_share_of(canvas, style.occupied), lots.kind)
    cover = standing * inside
    for place, half, fill in (
        (lots.across, lots.half_width, style.fill_across),
        (lots.along, lots.half_length, style.fill_along),
    ):
        # What of the pixel lies in other lots is taken to be built on as its own lot is.
        own = np.maximum(band(place, half), 0.05)
        cover = cover * np.minimum(band(place, half * np.minimum(fill * spread, 1.0)) / own, 1.0)
    _raise(canvas, cover, style, lots.kind)
    return cover


def along_streets(
    canvas: Canvas, blocks: Parcels, lots: Parcels, style: Style, depth: np.ndarray, street: float
) -> np.ndarray:
    """Paints closed rows of buildings around courts, `depth` metres deep; returns the cover.

    `street` is the distance of the fronts from the middle of the street.
    """
    from_street = np.minimum(blocks.to_strip_cut, blocks.to_cross_cut) - street
    standing = lookup(_share_of(canvas, style.occupied), lots.kind)
    cover = band(from_street - 0.5 * depth, 0.5 * depth) * standing
    _raise(canvas, cover, style, lots.kind)
    return cover


def _share_of(canvas: Canvas, share: np.ndarray | float) -> np.ndarray:
    """A table of 0 and 1, `[N, 256]`, with the given share of ones."""
    return (per_parcel(canvas.chance) < np.asarray(share).reshape(-1, 1)).astype(np.float32)


def _raise(canvas: Canvas, cover: np.ndarray, style: Style, kind: np.ndarray) -> None:
    """Paints roofs with heights and tints of their own for every kind of lot."""
    chance = canvas.chance
    # Most buildings are low for their quarter, and a few tower above it.
    share = lookup(per_parcel(chance) ** 1.5, kind)
    canvas.paint(
        lookup(roof_materials(canvas, style.tile, style.metal), kind),
        cover,
        height=style.low + (style.high - style.low) * share,
        tint=lookup(per_parcel(chance, -1.0, 1.0), kind) + chance.image(-0.4, 0.4),
    )


def roof_materials(
    canvas: Canvas, tile: np.ndarray | float, metal: np.ndarray | float
) -> np.ndarray:
    """A table of roofs, uint8 `[N, 256]`, by the shares of tiles and of bright flat roofs."""
    choice = per_parcel(canvas.chance)
    tile, metal = (np.asarray(share, np.float32).reshape(-1, 1) for share in (tile, metal))
    flat = np.where(choice < tile + metal, Material.ROOF_METAL, Material.ROOF_DARK)
    return np.where(choice < tile, Material.ROOF_TILE, flat).astype(np.uint8)


def inside_blocks(blocks: Parcels, street: np.ndarray | float) -> np.ndarray:
    """The share of every pixel that is further than `street` metres from a street's middle."""
    return step(np.minimum(blocks.to_strip_cut, blocks.to_cross_cut) - street)


def town_ground(
    canvas: Canvas, paved: np.ndarray | float, bare: np.ndarray | float = 0.0
) -> np.ndarray:
    """Covers the canvas with lawns, and about the shares `paved` and `bare` of it in patches.

    Returns the patchiness, of unit variance.
    """
    chance, size = canvas.chance, canvas.size
    patches = noise(chance, size, (120.0, 50.0, 20.0), (0.8, 1.0, 0.8))
    dryness = canvas.conditions.dryness[:, None, None]
    canvas.land_cover[:] = canvas.mixed_with[:] = Material.GRASS
    canvas.vegetation[:] = 0.8 - 0.55 * dryness + 0.12 * patches
    canvas.wetness[:] = chance.image(0.0, 0.4)
    canvas.tint[:] = 0.25 * patches
    clutter = noise(chance, size, (30.0, 12.0), (0.6, 1.0))
    for material, share in ((Material.BARE_SOIL, bare), (Material.PAVED, paved)):
        share = np.clip(share, 1e-3, 0.999)
        # The logistic approximation to the normal quantile.
        edge = np.log((1.0 - share) / share) / 1.702
        field = noise(chance, size, (90.0, 35.0, 15.0), (0.8, 1.0, 0.8))
        canvas.paint(
            material, step((field - edge) * 15.0), vegetation=0.05, tint=0.45 * clutter - 0.2
        )
    return patches
