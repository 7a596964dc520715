"""Effects of height on a radar image: slopes, shadow, layover and walls.

All layers here are `[N, H, W]` in the radar's frame: columns run away from the radar, which looks
right, and `HEADING` turns its view a little towards row 0. Metres, radians from the vertical.
"""

from __future__ import annotations

import numpy as np

from eojax.synthetic.scene import PIXEL_SIZE

HEADING = float(np.deg2rad(11.0))
"""By how much the orbit's inclination tilts the look direction from east or west to the north."""

_MARGIN = 12  # pixels beyond both sides whose shadows and displaced echoes still reach the image
_FARTHEST = 12  # length of the longest shadow, pixels


def to_radar_frame(layer: np.ndarray, mirrored: np.ndarray) -> np.ndarray:
    """Turns the radar's side of `[N, H, W]` to the left and mirrors the land beyond the borders.

    `mirrored` says for each image, `[N]`, whether the radar stands on its right.
    """
    turned = np.where(mirrored[:, None, None], layer[..., ::-1], layer)
    margin = min(_MARGIN, layer.shape[-1] - 1)
    return np.pad(turned, ((0, 0), (0, 0), (margin, margin)), mode='reflect')


def from_radar_frame(layer: np.ndarray, mirrored: np.ndarray, width: int) -> np.ndarray:
    """The inverse of `to_radar_frame` for images of that width."""
    margin = min(_MARGIN, width - 1)
    inner = layer[..., margin : margin + width]
    return np.where(mirrored[:, None, None], inner[..., ::-1], inner)


def ahead(layer: np.ndarray, steps: int) -> np.ndarray:
    """The values `steps` pixels further from the radar; at the borders those of the border."""
    rows = round(steps * np.tan(HEADING))
    height, width = layer.shape[1:]
    source_rows = np.clip(np.arange(height) - rows, 0, height - 1)
    source_columns = np.clip(np.arange(width) + steps, 0, width - 1)
    return np.take(np.take(layer, source_columns, axis=2), source_rows, axis=1)


def slope_factor(elevation: np.ndarray, incidence: np.ndarray) -> np.ndarray:
    """Backscatter of slopes relative to level ground.

    A power of the cosine for the surface, and 1 / sin(local incidence) for the area of slope that a
    ground cell holds. Layover of whole hills is left out: the local incidence stays above 8
    degrees.
    """
    uphill = (ahead(elevation, 1) - ahead(elevation, -1)) / (2.0 * PIXEL_SIZE)
    local = np.clip(incidence - np.arctan(uphill), np.deg2rad(8.0), np.deg2rad(88.0))
    surface = (np.cos(local) / np.cos(incidence)) ** 1.5
    return surface * np.sin(incidence) / np.sin(local)


def lit_share(surface: np.ndarray, incidence: np.ndarray) -> np.ndarray:
    """The share of every pixel that is not in the shadow of what stands between it and the radar.

    Args:
      surface: elevation of all that stands there, metres.
      incidence: `[N, 1, 1]`.
    """
    rise = PIXEL_SIZE / np.tan(incidence)  # of the ray towards the radar over one pixel
    steps = int(np.ptp(surface, axis=(1, 2)).max(initial=0.0) / rise.min()) + 1
    lit = np.ones_like(surface)
    for step in range(1, 1 + min(steps, _FARTHEST)):
        over = (ahead(surface, -step) - surface) / rise - (step - 1.0)
        np.minimum(lit, 1.0 - over, out=lit)
    return np.maximum(lit, 0.0)


def facing_walls(height: np.ndarray, roof_share: np.ndarray) -> np.ndarray:
    """Height of the walls that face the radar at the far side of every pixel, metres.

    Args:
      height: of buildings, mean over the pixel.
      roof_share: of every pixel.
    """
    behind = np.maximum(ahead(height, 1) - height, 0.0) * (ahead(roof_share, 1) > 0.3)
    # What is narrower than a pixel shows in its mean height alone; half of its walls face the
    # radar. The far end of a longer building turns away from it.
    small = (roof_share > 0.04) * (ahead(height, -1) <= height)
    within = 2.0 * (1.0 - roof_share) * height * small
    return np.maximum(behind, within)


def lay_over(echo: np.ndarray, height: np.ndarray, incidence: np.ndarray) -> np.ndarray:
    """Echoes where the radar sees them: what stands high is nearer to it than its foot.

    The displacement on the ground is `height / tan(incidence)`; power is kept, but for what leaves
    the image.

    Args:
      echo: power of every pixel.
      height: of what returns it above the ground, metres.
      incidence: `[N, 1, 1]`.
    """
    count, rows, columns = echo.shape
    nearer = height / (np.tan(incidence) * PIXEL_SIZE)
    place = np.arange(columns) - nearer
    row = np.arange(rows)[:, None] + np.rint(nearer * np.tan(HEADING)).astype(np.int64)
    first = np.floor(place).astype(np.int64)
    second_share = place - first
    # A column more on either side takes what leaves the image.
    line = (np.arange(count)[:, None, None] * rows + np.clip(row, 0, rows - 1)) * (columns + 2)
    total = np.zeros(count * rows * (columns + 2))
    for column, share in ((first, 1.0 - second_share), (first + 1, second_share)):
        flat = line + np.clip(column, -1, columns) + 1
        total += np.bincount(flat.ravel(), (echo * share).ravel(), total.size)
    framed = total.reshape(count, rows, columns + 2)
    return framed[..., 1:-1].astype(np.float32)
