"""The layers of a scene while they are being drawn, and the brush that paints materials on them."""

from __future__ import annotations

import copy
from collections.abc import Callable

import numpy as np

from eojax.synthetic.chance import Chance
from eojax.synthetic.fields import coordinates
from eojax.synthetic.parcels import Parcels, id_span
from eojax.synthetic.scene import Conditions, Material, Scene

LAYERS = tuple(name for name in Scene._fields if name not in ('conditions', 'seed'))

_SOILS = np.array(
    [
        [0.085, 0.068, 0.054],  # dark, humus-rich
        [0.165, 0.112, 0.075],  # brown
        [0.225, 0.125, 0.078],  # red
        [0.320, 0.215, 0.150],  # sandy or chalky
        [0.165, 0.132, 0.102],  # grey
    ],
    np.float32,
)


class Canvas:
    """Layers of `[N, size, size]` that start as flat, bare ground.

    Attributes are those of `Scene`; `x` and `y` are metres east and south of the centre.
    """

    def __init__(self, chance: Chance, size: int) -> None:
        self.chance, self.size = chance, size
        self.x, self.y = coordinates(size)
        shape = (len(chance), size, size)
        self.elevation = np.zeros(shape, np.float32)
        self.height = np.zeros(shape, np.float32)
        self.land_cover = np.full(shape, Material.BARE_SOIL, np.uint8)
        self.mixed_with = np.full(shape, Material.BARE_SOIL, np.uint8)
        self.fraction = np.ones(shape, np.float32)
        self.parcel = np.full(shape, -1, np.int32)
        self.row_angle = np.zeros(shape, np.float32)
        self.vegetation = np.zeros(shape, np.float32)
        self.wetness = np.zeros(shape, np.float32)
        self.tint = np.zeros(shape, np.float32)
        self.water_depth = np.zeros(shape, np.float32)
        self.turbidity = np.zeros(shape, np.float32)
        self.conditions = draw_conditions(chance)
        # How many times land was handed out, so that no two layouts share an id.
        self._layouts = np.zeros((len(chance), 1, 1), np.int32)

    def paint(
        self,
        material: Material | np.ndarray,
        cover: np.ndarray,
        **layers: float | np.ndarray,
    ) -> None:
        """Lays `material` over the ground.

        Args:
          material: one for all, or ids of `[N, H, W]`.
          cover: the share of each pixel that it covers, 0 to 1, `[N, H, W]`.
          layers: the material's values of other layers; a pixel takes on the mean of what it holds.
        """
        cover = np.broadcast_to(np.asarray(cover, np.float32), self.fraction.shape)
        main = cover >= 0.5
        # Under 4 percent nobody sees it, and it would push out the pixel's second material.
        second = (cover > 0.04) & ~main
        ids = np.broadcast_to(np.asarray(material, np.uint8), main.shape)
        np.copyto(self.mixed_with, ids, where=second)
        np.copyto(self.mixed_with, self.land_cover, where=main)
        np.copyto(self.land_cover, ids, where=main)
        np.copyto(self.fraction, 1.0 - cover, where=second)
        np.copyto(self.fraction, cover, where=main)
        for name, value in layers.items():
            layer = getattr(self, name)
            layer += cover * (value - layer)

    def allot(self, parcels: Parcels, where: np.ndarray | float = 1.0) -> None:
        """Hands the land within the mask `where` to `parcels`: their ids and their direction."""
        land = np.broadcast_to(where, self.parcel.shape) > 0.5
        ids = parcels.ids + self._layouts * id_span(self.size)
        np.copyto(self.parcel, ids, where=land)
        self._layouts += 1
        np.copyto(self.row_angle, parcels.angle, where=land, casting='same_kind')

    def sometimes(self, probability: float, draw: Callable[[Canvas], object]) -> None:
        """Lets `draw` work on a random share of the images, as a canvas of their own."""
        self.on(np.flatnonzero(self.chance.uniform(0.0, 1.0) < probability), draw)

    def on(self, rows: np.ndarray, draw: Callable[[Canvas], object]) -> None:
        """Lets `draw` work on the images `rows`, as a canvas of their own."""
        if not len(rows):
            return
        part = copy.copy(self)
        part.chance = self.chance.part(rows)
        part._layouts = self._layouts[rows]
        part.conditions = Conditions(*(values[rows] for values in self.conditions))
        for name in LAYERS:
            setattr(part, name, getattr(self, name)[rows])
        draw(part)
        self._layouts[rows] = part._layouts
        for name in LAYERS:
            getattr(self, name)[rows] = getattr(part, name)

    def within(
        self,
        where: np.ndarray,
        draw: Callable[[Canvas], object],
        ground: np.ndarray | float = 0.0,
    ) -> None:
        """Lets `draw` work on a copy and keeps the part of it that lies within a mask.

        So any layout, which covers a whole canvas, can become a quarter of a larger one.

        Args:
          where: bool `[N, H, W]`.
          ground: how much of the copy's elevation is kept, 0 to 1; a soft edge leaves no cliff.
        """
        part = copy.copy(self)
        for name in LAYERS:
            setattr(part, name, getattr(self, name).copy())
        draw(part)
        self.elevation += ground * (part.elevation - self.elevation)
        for name in LAYERS:
            if name != 'elevation':
                np.copyto(getattr(self, name), getattr(part, name), where=where)

    def scene(self) -> Scene:
        """The finished scene."""
        dry = (self.land_cover != Material.WATER) & (self.mixed_with != Material.WATER)
        self.water_depth[dry] = self.turbidity[dry] = 0.0
        water = self.land_cover == Material.WATER
        self.parcel[water], self.row_angle[water] = -1, 0.0
        for layer in (self.vegetation, self.wetness, self.turbidity):
            np.clip(layer, 0.0, 1.0, out=layer)
        return Scene(
            **{name: getattr(self, name) for name in LAYERS},
            conditions=self.conditions,
            seed=self.chance.seeds(),
        )


def draw_conditions(chance: Chance) -> Conditions:
    """A day, an hour of the morning, a soil and a flora for every image."""
    degrees = np.pi / 180
    # A power of uniform draws makes one or two of the soils prevail.
    shares = chance.uniform(0.0, 1.0, len(_SOILS)) ** 3 * np.array([0.7, 1.3, 0.9, 0.8, 1.0])
    shares = (shares / shares.sum(1, keepdims=True)).astype(np.float32)
    brightness = np.exp(0.24 * chance.normal(1))
    haze = chance.uniform(0.0, 1.0) ** 7 + 0.04 * np.abs(chance.normal())
    return Conditions(
        sun_azimuth=chance.uniform(130 * degrees, 168 * degrees),
        sun_elevation=chance.uniform(30 * degrees, 64 * degrees),
        haze=np.minimum(0.85 * haze, 1.0).astype(np.float32),
        dryness=chance.uniform(0.0, 1.0),
        soil=(shares @ _SOILS) * brightness,
        masonry=np.exp(0.06 * chance.normal(3) + 0.22 * chance.normal(1)).astype(np.float32),
        foliage=np.exp(0.07 * chance.normal(3) + 0.10 * chance.normal(1)).astype(np.float32),
    )
