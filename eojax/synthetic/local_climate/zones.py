"""The layout of each Local Climate Zone, in the zones' order."""

from __future__ import annotations

from collections.abc import Callable

from eojax.synthetic.canvas import Canvas
from eojax.synthetic.local_climate import built_zones, land_zones

LAYOUTS: tuple[Callable[[Canvas], None], ...] = (
    built_zones.compact_high_rise,
    built_zones.compact_mid_rise,
    built_zones.compact_low_rise,
    built_zones.open_high_rise,
    built_zones.open_mid_rise,
    built_zones.open_low_rise,
    built_zones.lightweight_low_rise,
    built_zones.large_low_rise,
    built_zones.sparsely_built,
    built_zones.heavy_industry,
    land_zones.dense_trees,
    land_zones.scattered_trees,
    land_zones.bush,
    land_zones.low_plants,
    land_zones.bare_rock_or_paved,
    land_zones.bare_soil_or_sand,
    land_zones.open_water,
)
