"""A landscape before any sensor looks at it: physical layers on a 10 m grid.

Every view of a place (colour, elevation, radar backscatter, a map of its materials) is computed
from one and the same `Scene`.
"""

from __future__ import annotations

from enum import IntEnum
from typing import NamedTuple

import numpy as np

PIXEL_SIZE = 10.0
"""Ground sampling distance in metres, that of Sentinel-2's visible bands."""


class Material(IntEnum):
    """The material that covers the ground; the values of `Scene.land_cover`."""

    WATER = 0
    """Open water: sea, lake, river, pond."""
    BARE_SOIL = 1
    """Tilled or eroded soil."""
    CROP = 2
    """Annual crops, from seedlings to a closed canopy (see `Scene.vegetation`)."""
    GRASS = 3
    """Meadow, lawn, verge, natural grassland."""
    SHRUB = 4
    """Heath, scrub, vines and bushes, 0.5 to 3 m high."""
    TREE = 5
    """Tree canopy: woods, hedges, orchards, garden trees."""
    ROAD = 6
    """Asphalt."""
    TRACK = 7
    """Unsealed, compacted ground: farm tracks, forest roads, paths."""
    PAVED = 8
    """Concrete and gravel yards, car parks."""
    ROOF_TILE = 9
    """Clay tiles, pitched roofs."""
    ROOF_METAL = 10
    """Bright sheet metal, membranes and white paint, flat roofs."""
    ROOF_DARK = 11
    """Slate, bitumen, dark sheet metal."""
    SAND = 12
    """Beaches, gravel banks, dry river bed."""
    ROCK = 13
    """Outcrops and scree."""


class Conditions(NamedTuple):
    """The season and the light, one value an image.

    Attributes:
      sun_azimuth, sun_elevation: float32 `[N]`, radians; azimuth clockwise from north.
      haze: float32 `[N]`, 0 (clean air) to about 1 (milky); optical views alone depend on it.
      dryness: float32 `[N]`, 0 (lush) to 1 (parched grass).
      soil: float32 `[N, 3]`, reflectance of the dry soil in red, green, blue.
      masonry: float32 `[N, 3]`, factors on the reflectance of roads and roofs (region, age).
      foliage: float32 `[N, 3]`, factors on the reflectance of green leaves (species, leaf age).
    """

    sun_azimuth: np.ndarray
    sun_elevation: np.ndarray
    haze: np.ndarray
    dryness: np.ndarray
    soil: np.ndarray
    masonry: np.ndarray
    foliage: np.ndarray


class Scene(NamedTuple):
    """A batch of landscapes; layers are `[N, H, W]`, row 0 in the north, column 0 in the west.

    A pixel is made of two materials at most (a linear mixture): `land_cover` fills `fraction` of
    it and `mixed_with` the rest. The other layers hold means over the pixel.

    Attributes:
      elevation: float32, the ground (on water: the surface), metres.
      height: float32, buildings and canopy above the ground, metres.
      land_cover: uint8, the pixel's main `Material`.
      mixed_with: uint8, its second `Material`.
      fraction: float32, 0.5 to 1, the share of `land_cover`.
      parcel: int32, field, garden block or works site; -1 where the ground is not parcelled.
      row_angle: float32, the direction that rows, tillage or streets follow, radians, clockwise
        from east; 0 where there is none.
      vegetation: float32, 0 to 1, green cover of the pixel's vegetated part or its soil; says
        nothing on water, roads and roofs.
      wetness: float32, 0 to 1, moisture of soil and sand.
      tint: float32, about -1 to 1, natural variation of the material's brightness.
      water_depth: float32, metres; 0 where there is no water.
      turbidity: float32, 0 to 1, suspended matter in water; 0 where there is none.
      conditions: the season and the light.
      seed: int64 `[N]`, what a view's sensor noise and speckle are drawn from.
    """

    elevation: np.ndarray
    height: np.ndarray
    land_cover: np.ndarray
    mixed_with: np.ndarray
    fraction: np.ndarray
    parcel: np.ndarray
    row_angle: np.ndarray
    vegetation: np.ndarray
    wetness: np.ndarray
    tint: np.ndarray
    water_depth: np.ndarray
    turbidity: np.ndarray
    conditions: Conditions
    seed: np.ndarray
