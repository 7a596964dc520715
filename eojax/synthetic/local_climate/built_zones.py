"""How the ten built types of Local Climate Zones are laid out: functions that paint a canvas.

Heights, built and paved shares and street widths follow tables 3 and 4 of Stewart and Oke, Local
Climate Zones for Urban Temperature Studies (2012). Zones border on each other there, and so they do
here: the tallest building of a mid-rise quarter may be as high as the lowest of a high-rise one.
"""

from __future__ import annotations

import numpy as np

from eojax.synthetic import buildings, built, countryside
from eojax.synthetic.buildings import Style
from eojax.synthetic.canvas import Canvas
from eojax.synthetic.fields import band, noise, rotate, smooth_step, step
from eojax.synthetic.parcels import Parcels, lay_out
from eojax.synthetic.scene import Material


def street_blocks(
    canvas: Canvas,
    width: tuple[float, float],
    aspect: tuple[float, float],
    street: np.ndarray | float,
    curve: float = 0.0,
) -> Parcels:
    """Streets, in two directions in some images, with `street` metres to either side."""
    chance = canvas.chance
    _, angles, _ = countryside.two_blocks(canvas, 0.4)
    across = chance.image(*width)
    bent = chance.image(0.0, 1.0) ** 2 * curve
    return built.streets(canvas, angles, across, across * chance.image(*aspect), street, bent)


def _main_road(canvas: Canvas, probability: float, half_width: tuple[float, float]) -> None:
    """Lets a wider road run through the quarter in some images."""
    chance, reach = canvas.chance, canvas.size * 4.0
    built.road(
        canvas,
        chance.happens(probability),
        chance.image(0.0, np.pi),
        chance.image(-reach, reach),
        chance.image(*half_width),
        chance.image(0.0, 40.0),
        dual=chance.happens(0.4),
    )


def _park(canvas: Canvas) -> None:
    """Paints a green with trees, or a pond in it, at a random place."""
    chance, reach = canvas.chance, canvas.size * 5.0
    apart = np.hypot(canvas.x - chance.image(-reach, reach), canvas.y - chance.image(-reach, reach))
    rough = noise(chance, canvas.size, (90.0, 40.0), (1.0, 0.5))
    inside = chance.image(30.0, 90.0) - apart + 15.0 * rough
    canvas.paint(Material.GRASS, step(inside), height=0.0, vegetation=0.75, tint=0.1)
    countryside.woods(canvas, chance.image(0.1, 0.8), step(inside))
    pond = step(inside - chance.image(25.0, 60.0)) * chance.happens(0.35)
    canvas.paint(Material.WATER, pond, height=0.0, water_depth=2.0, turbidity=0.3)


def _compact(
    canvas: Canvas,
    style: Style,
    width: tuple[float, float],
    street: tuple[float, float],
    lot: tuple[float, float],
    court: float,
    trees: float,
) -> None:
    """Closely built quarters: lots filled almost wholly, or rows around courts (share `court`)."""
    chance = canvas.chance
    countryside.relief(canvas, chance.image(0.2, 5.0))
    buildings.town_ground(canvas, chance.image(0.7, 0.98))
    half_street = chance.image(*street)
    blocks = street_blocks(canvas, width, (1.0, 2.6), half_street, 60.0)
    side = chance.image(*lot)
    lots = buildings.cut_lots(canvas, blocks, side, side * chance.image(0.9, 1.8))
    front = half_street + chance.image(0.5, 2.5)
    open_court = chance.happens(court)
    from_street = np.minimum(blocks.to_strip_cut, blocks.to_cross_cut) - front
    depth = np.where(open_court > 0, chance.image(10.0, 16.0), 1e3)
    inside = step(from_street) * step(depth - from_street)
    buildings.on_lots(canvas, lots, style, inside)
    countryside.lone_trees(canvas, chance.image(0.0, 1.0) ** 2 * trees)
    canvas.sometimes(0.2, _park)
    _main_road(canvas, 0.2, (6.0, 12.0))


def compact_high_rise(canvas: Canvas) -> None:
    """Tall towers close together, streets like canyons, hardly any green."""
    chance = canvas.chance
    low = chance.image(22.0, 40.0)
    style = Style(
        low=low,
        high=low + chance.image(20.0, 90.0),
        tile=0.03,
        metal=chance.image(0.1, 0.5),
        fill_across=chance.image(0.75, 0.97),
        fill_along=chance.image(0.75, 0.97),
        occupied=chance.image(0.8, 1.0),
    )
    _compact(canvas, style, (65.0, 120.0), (5.0, 9.0), (26.0, 46.0), 0.0, 0.12)


def compact_mid_rise(canvas: Canvas) -> None:
    """Blocks of three to nine storeys, often around courts."""
    chance = canvas.chance
    low = chance.image(9.0, 14.0)
    style = Style(
        low=low,
        high=low + chance.image(3.0, 14.0),
        tile=chance.image(0.0, 1.0) ** 2,
        metal=chance.image(0.05, 0.35),
        fill_across=chance.image(0.8, 1.0),
        fill_along=chance.image(0.8, 1.0),
        occupied=chance.image(0.85, 1.0),
    )
    _compact(canvas, style, (55.0, 110.0), (3.5, 7.0), (16.0, 34.0), 0.5, 0.25)


def compact_low_rise(canvas: Canvas) -> None:
    """Small houses wall to wall along narrow streets."""
    chance = canvas.chance
    low = chance.image(3.0, 6.0)
    style = Style(
        low=low,
        high=low + chance.image(1.0, 5.0),
        tile=chance.image(0.0, 0.9),
        metal=chance.image(0.05, 0.5),
        fill_across=chance.image(0.75, 1.0),
        fill_along=chance.image(0.75, 1.0),
        occupied=chance.image(0.75, 0.98),
    )
    _compact(canvas, style, (34.0, 66.0), (1.8, 4.0), (8.0, 18.0), 0.25, 0.35)


def _open(
    canvas: Canvas,
    style: Style,
    width: tuple[float, float],
    lot: tuple[float, float],
    aspect: tuple[float, float],
) -> None:
    """Buildings that stand apart among lawns, trees and car parks."""
    chance = canvas.chance
    countryside.relief(canvas, chance.image(0.2, 6.0))
    buildings.town_ground(canvas, chance.image(0.2, 0.6), chance.image(0.0, 0.12))
    half_street = chance.image(3.0, 7.0)
    blocks = street_blocks(canvas, width, (1.0, 2.2), half_street, 60.0)
    side = chance.image(*lot)
    lots = buildings.cut_lots(canvas, blocks, side, side * chance.image(*aspect))
    buildings.on_lots(canvas, lots, style, buildings.inside_blocks(blocks, half_street + 4.0))
    countryside.lone_trees(canvas, chance.image(0.03, 0.35))
    countryside.woods(canvas, chance.happens(0.3) * chance.image(0.02, 0.12), canvas.height < 2.0)
    canvas.sometimes(0.2, _park)
    _main_road(canvas, 0.25, (6.0, 12.0))


def open_high_rise(canvas: Canvas) -> None:
    """Towers and tall slabs in a park-like setting."""
    chance = canvas.chance
    low = chance.image(22.0, 38.0)
    style = Style(
        low=low,
        high=low + chance.image(8.0, 60.0),
        tile=0.03,
        metal=chance.image(0.1, 0.6),
        fill_across=chance.image(0.42, 0.66),
        fill_along=chance.image(0.5, 0.85),
        occupied=chance.image(0.7, 0.98),
    )
    _open(canvas, style, (90.0, 200.0), (38.0, 62.0), (0.9, 1.8))


def open_mid_rise(canvas: Canvas) -> None:
    """Slabs of three to nine storeys between lawns."""
    chance = canvas.chance
    low = chance.image(9.0, 14.0)
    style = Style(
        low=low,
        high=low + chance.image(2.0, 12.0),
        tile=chance.image(0.0, 0.7),
        metal=chance.image(0.05, 0.5),
        fill_across=chance.image(0.42, 0.65),
        fill_along=chance.image(0.6, 0.95),
        occupied=chance.image(0.7, 0.98),
    )
    _open(canvas, style, (70.0, 160.0), (26.0, 44.0), (1.2, 2.6))


def open_low_rise(canvas: Canvas) -> None:
    """Detached houses and terraces with gardens along curving streets."""
    chance = canvas.chance
    countryside.relief(canvas, chance.image(0.2, 6.0))
    buildings.town_ground(canvas, chance.image(0.1, 0.45), chance.image(0.0, 0.12))
    blocks = street_blocks(canvas, (48.0, 85.0), (1.2, 3.2), chance.image(2.5, 5.0), 110.0)
    frontage = chance.image(11.0, 22.0)
    tile, metal = chance.image(0.0, 1.0), chance.image(0.0, 0.3)
    built.houses(canvas, blocks, frontage, chance.image(0.75, 1.0), tile, metal)
    countryside.lone_trees(canvas, chance.image(0.05, 0.4))
    canvas.sometimes(0.25, _park)
    _main_road(canvas, 0.2, (5.0, 9.0))


def lightweight_low_rise(canvas: Canvas) -> None:
    """Huts wall to wall under sheet metal, with trodden paths instead of streets."""
    chance = canvas.chance
    countryside.relief(canvas, chance.image(0.5, 9.0))
    buildings.town_ground(canvas, 0.02, chance.image(0.6, 0.95))
    _, angles, _ = countryside.two_blocks(canvas, 0.7)
    bow = noise(chance, canvas.size, (150.0, 70.0), (1.0, 0.6))
    angles = angles + 0.5 * bow * chance.image(0.0, 1.0)
    side = chance.image(6.0, 11.0)
    spread = chance.image(5.0, 25.0)
    x, y = canvas.x + spread * bow, canvas.y + spread * bow[:, ::-1, ::-1]
    angle = angles.mean((1, 2), keepdims=True)
    huts = lay_out(chance, x, y, angle, side, side * chance.image(1.0, 1.8), 0.8)
    low = chance.image(2.0, 2.8)
    style = Style(
        low=low,
        high=low + chance.image(0.5, 2.5),
        tile=chance.image(0.0, 0.35),
        metal=chance.image(0.25, 0.75),
        fill_across=chance.image(0.75, 0.98),
        fill_along=chance.image(0.75, 0.98),
        occupied=chance.image(0.75, 0.95),
    )
    edge = noise(chance, canvas.size, (160.0, 60.0), (1.0, 0.5)) + chance.image(0.9, 3.5)
    buildings.on_lots(canvas, huts, style, step(60.0 * edge))
    for _ in range(2):
        countryside.winding_path(canvas, chance.happens(0.7), chance.image(1.5, 4.0))
    countryside.lone_trees(canvas, chance.image(0.0, 0.10))
    _main_road(canvas, 0.2, (4.0, 8.0))


def large_low_rise(canvas: Canvas) -> None:
    """Warehouses, malls and halls on paved yards."""
    chance = canvas.chance
    countryside.relief(canvas, chance.image(0.2, 4.0))
    buildings.town_ground(canvas, chance.image(0.5, 0.9))
    built.works(canvas, 1.0)
    canvas.height[:] *= chance.image(0.4, 0.75)
    countryside.lone_trees(canvas, chance.image(0.0, 0.10))
    _main_road(canvas, 0.35, (6.0, 12.0))


def sparsely_built(canvas: Canvas) -> None:
    """Single houses far apart in fields, meadows and woods."""
    chance = canvas.chance
    countryside.relief(canvas, chance.image(0.5, 9.0))
    buildings.town_ground(canvas, chance.image(0.0, 0.08), chance.image(0.0, 0.25))
    width = chance.image(60.0, 160.0)
    canvas.sometimes(
        0.5,
        lambda part: countryside.fields(
            part, part.chance.image(50.0, 130.0), part.chance.image(80.0, 260.0), 0.3, grass=0.5
        ),
    )
    countryside.woods(canvas, chance.image(0.0, 0.3))
    blocks = street_blocks(canvas, (80.0, 150.0), (1.2, 2.5), chance.image(1.5, 3.5), 120.0)
    lots = buildings.cut_lots(canvas, blocks, chance.image(28.0, 45.0), chance.image(30.0, 60.0))
    style = Style(
        low=3.0,
        high=chance.image(5.0, 11.0),
        tile=chance.image(0.0, 0.9),
        metal=chance.image(0.05, 0.5),
        fill_across=chance.image(0.3, 0.5),
        fill_along=chance.image(0.3, 0.5),
        occupied=width / 160.0 * 0.9,
    )
    buildings.on_lots(canvas, lots, style, buildings.inside_blocks(blocks, 8.0))
    countryside.lone_trees(canvas, chance.image(0.05, 0.35))


def heavy_industry(canvas: Canvas) -> None:
    """Plants, tanks and stacks on paved or hard-packed ground, with heaps of ore or coal."""
    chance = canvas.chance
    buildings.town_ground(canvas, chance.image(0.3, 0.7), chance.image(0.5, 0.95))
    built.works(canvas, 1.0)
    canvas.height[:] *= chance.image(0.8, 1.5)
    heaps = noise(chance, canvas.size, (110.0, 50.0, 25.0), (1.0, 0.8, 0.4))
    heap = smooth_step(heaps - chance.image(0.6, 1.6), 0.0, 0.3)
    canvas.paint(
        Material.BARE_SOIL, heap, height=8.0 * heap, vegetation=0.0, tint=chance.image(-2.2, 0.8)
    )
    for probability in (0.75, 0.45):
        canvas.sometimes(probability, built.tanks)
    canvas.sometimes(0.6, _stacks)
    countryside.lone_trees(canvas, chance.image(0.0, 0.06))


def _stacks(canvas: Canvas) -> None:
    """Paints a row of chimneys, silos or cooling towers, some of them very tall."""
    chance, reach = canvas.chance, canvas.size * 3.5
    u, v = rotate(
        canvas.x - chance.image(-reach, reach),
        canvas.y - chance.image(-reach, reach),
        chance.image(0.0, np.pi),
    )
    pitch, count = chance.image(22.0, 50.0), chance.image(0.5, 3.0)
    nearest = np.clip(np.rint(u / pitch), -np.rint(count), np.rint(count))
    cover = band(np.hypot(u - nearest * pitch, v), chance.image(4.0, 11.0))
    canvas.paint(Material.ROOF_DARK, cover, height=chance.image(18.0, 70.0), tint=0.4)
