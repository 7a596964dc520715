"""Rivers, lakes and the sea with their beds and shores, painted on a canvas."""

from __future__ import annotations

import numpy as np

from eojax.synthetic.canvas import Canvas
from eojax.synthetic.countryside import canopy
from eojax.synthetic.fields import meander, noise, rotate, smooth_step, step
from eojax.synthetic.scene import Material


def river(canvas: Canvas, angle: np.ndarray | None = None, slopes: float = 160.0) -> None:
    """Lets a winding river cut through the canvas, with banks, bars and riverside trees.

    Args:
      angle: its direction, radians, `[N, 1, 1]`; a random one if not given.
      slopes: metres from the water over which the ground rises to its own height.
    """
    chance, size = canvas.chance, canvas.size
    half_width = 14.0 + 95.0 * chance.image(0.0, 1.0) ** 1.5
    bend = chance.image(0.0, 1.0) ** 1.3 * 130.0
    reach = size * 2.0
    distance, _ = meander(
        chance,
        canvas.x,
        canvas.y,
        chance.image(0.0, np.pi) if angle is None else angle,
        chance.image(-reach, reach),
        bend,
        chance.image(600.0, 1300.0) + 2.0 * bend,
    )
    rough = noise(chance, size, (150.0, 70.0, 30.0), (1.0, 0.5, 0.25))
    natural = chance.image(0.0, 1.0)  # 0: a canal
    shore = half_width + natural * (5.0 + 0.12 * half_width) * rough - np.abs(distance)
    away = smooth_step(-shore, 0.0, slopes)
    canvas.elevation[:] = away * (6.0 + canvas.elevation)
    trees = noise(chance, size, (90.0, 40.0, 20.0), (1.0, 0.6, 0.4)) - chance.image(-1.0, 2.2)
    canopy(canvas, step(shore + 38.0) * (trees > 0))
    canvas.paint(Material.GRASS, step(shore + 12.0), height=0.0, vegetation=0.6, tint=0.3 * rough)
    bars = chance.happens(0.45) * smooth_step(rough, 0.3, 0.9)
    canvas.paint(Material.SAND, bars * step(shore + 16.0), height=0.0, wetness=0.2, tint=-0.2)
    turbidity = 0.08 + 0.85 * chance.image(0.0, 1.0) ** 3
    streaks = noise(chance, size, (200.0, 60.0), (1.0, 0.5))
    canvas.paint(
        Material.WATER,
        step(shore),
        height=0.0,
        water_depth=np.maximum(0.8, 0.06 * shore),
        turbidity=turbidity * (1.0 + 0.12 * streaks) + 0.02,
        tint=0.5 * streaks,
    )


def sea(canvas: Canvas, shore: np.ndarray) -> None:
    """Floods the canvas where `shore` (metres from the coast, `[N, H, W]`) is positive.

    Depth grows from the shore; plumes of sediment, swell and wind slicks give the water its looks.
    """
    chance, size = canvas.chance, canvas.size
    plumes = noise(chance, size, (400.0, 200.0, 100.0, 50.0), (1.0, 0.6, 0.35, 0.2))
    slicks = noise(chance, size, (300.0, 120.0, 50.0), (1.0, 0.7, 0.4))
    _, across = rotate(canvas.x, canvas.y, chance.image(0.0, np.pi))
    swell = np.sin(across * (2 * np.pi / chance.image(45.0, 110.0)) + 1.2 * slicks)
    base = 0.75 * chance.image(0.0, 1.0) ** 4
    swirl = chance.image(0.0, 1.0) ** 2 * 0.07
    near_shore = chance.image(0.0, 0.25) * np.exp(-np.maximum(shore, 0.0) / 90.0)
    slope = chance.image(0.01, 0.06)
    fairness = smooth_step(plumes, -1.0, 1.6)
    canvas.paint(Material.SAND, step(shore + chance.image(-12.0, 22.0)), height=0.0, wetness=0.25)
    canvas.paint(
        Material.WATER,
        step(shore),
        height=0.0,
        water_depth=np.maximum(0.5, slope * shore) * np.ones_like(plumes),
        turbidity=base * (0.6 + 0.6 * fairness) + swirl * plumes + near_shore * fairness,
        tint=chance.image(0.0, 0.9) * slicks + 0.6 * chance.image(0.0, 1.0) ** 2 * swell,
    )
    canvas.elevation[:] = smooth_step(-shore, 0.0, 250.0) * np.maximum(canvas.elevation, 1.0)


def coastline(
    canvas: Canvas, present: np.ndarray | float, nearest: float = -3.8, farthest: float = 1.0
) -> np.ndarray:
    """Metres from a coast that crosses the image where `present` is 1; far out at sea elsewhere.

    The coast lies between `nearest` and `farthest` metres from the centre for each pixel of the
    image's side, on the side of the land where negative.
    """
    chance, size = canvas.chance, canvas.size
    bend = chance.image(10.0, 90.0)
    distance, _ = meander(
        chance,
        canvas.x,
        canvas.y,
        chance.image(0.0, 2 * np.pi),
        chance.image(nearest, farthest) * size,
        bend,
        chance.image(500.0, 1200.0),
    )
    rough = noise(chance, size, (120.0, 60.0, 25.0), (1.0, 0.5, 0.25))
    return distance + 0.25 * bend * rough + 3000.0 * (1.0 - present)
