"""Palettes: the colours of soils, leaves, walls and roofs that are a region's own.

A city built of slate on grey soil does not look like one of clay tiles on red soil, whatever the
day. Heights, shapes and classes stay what they are.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from eojax.synthetic.chance import Chance
from eojax.synthetic.scene import Material, Scene

# What the roofs of tile, of metal and the dark ones become, by the custom of a country.
CUSTOMS: tuple[tuple[Material, Material, Material], ...] = (
    (Material.ROOF_TILE, Material.ROOF_METAL, Material.ROOF_DARK),
    (Material.ROOF_TILE, Material.ROOF_TILE, Material.ROOF_TILE),
    (Material.ROOF_DARK, Material.ROOF_METAL, Material.ROOF_DARK),
    (Material.ROOF_METAL, Material.ROOF_METAL, Material.ROOF_DARK),
)
# Standard deviations of the logarithms of the factors, of all bands together and of each.
_SOIL, _FOLIAGE, _MASONRY = (0.20, 0.16), (0.15, 0.14), (0.12, 0.08)


class Palette(NamedTuple):
    """Factors on the reflectance in red, green and blue, float32 `[3]`, and a custom of roofs.

    Attributes:
      soil, foliage, masonry: factors on the scene's conditions of these names.
      roofs: what the roofs of tile, of metal and the dark ones become.
    """

    soil: np.ndarray
    foliage: np.ndarray
    masonry: np.ndarray
    roofs: tuple[Material, Material, Material]


def make_palette(seed: int, number: int, strength: float) -> Palette:
    """The palette of region `number` of a seed.

    Args:
      strength: of the factors, at least 0; they are all 1 where it is 0, and roofs stay.
    """
    chance = Chance([[seed, number, 4]])

    def factors(together: float, each: float) -> np.ndarray:
        drawn = together * chance.normal(1) + each * chance.normal(3)
        return np.exp(strength * drawn[0]).astype(np.float32)

    soil, foliage, masonry = (factors(*spread) for spread in (_SOIL, _FOLIAGE, _MASONRY))
    custom = int(chance.uniform(0.0, len(CUSTOMS))[0]) if strength else 0
    return Palette(soil, foliage, masonry, CUSTOMS[custom])


def in_palette(scene: Scene, palette: Palette) -> Scene:
    """The scene in these colours."""
    roofs = np.arange(len(Material), dtype=np.uint8)
    roofs[list(CUSTOMS[0])] = palette.roofs
    conditions = scene.conditions._replace(
        soil=scene.conditions.soil * palette.soil,
        foliage=scene.conditions.foliage * palette.foliage,
        masonry=scene.conditions.masonry * palette.masonry,
    )
    return scene._replace(
        land_cover=roofs[scene.land_cover],
        mixed_with=roofs[scene.mixed_with],
        conditions=conditions,
    )
