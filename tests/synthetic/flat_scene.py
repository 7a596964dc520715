"""Level scenes of one material, for what can be computed by hand."""

from __future__ import annotations

from typing import Any

import numpy as np

from eojax.synthetic.scene import Conditions, Material, Scene
from eojax.synthetic.views.render_sar import Acquisition


def flat_scene(material: Material, count: int = 1, size: int = 32, **layers: Any) -> Scene:
    """Level scenes of one material without plants, dry, outside of parcels.

    `layers` are numbers or arrays that replace these.
    """
    shape = (count, size, size)
    names = [name for name in Scene._fields if name not in ('conditions', 'seed')]
    values: dict[str, Any] = {name: np.zeros(shape, np.float32) for name in names}
    values['land_cover'] = values['mixed_with'] = np.full(shape, material, np.uint8)
    values['fraction'] = np.ones(shape, np.float32)
    values['parcel'] = np.full(shape, -1, np.int32)
    for name, value in layers.items():
        values[name] = np.broadcast_to(value, shape).astype(values[name].dtype)
    one = np.ones(count, np.float32)
    conditions = Conditions(
        sun_azimuth=one * np.pi,
        sun_elevation=one * np.pi / 4,
        haze=one * 0,
        dryness=one * 0.5,
        soil=np.full((count, 3), 0.1, np.float32),
        masonry=np.ones((count, 3), np.float32),
        foliage=np.ones((count, 3), np.float32),
    )
    return Scene(**values, conditions=conditions, seed=np.arange(count))


def passing(
    count: int = 1, descending: bool = False, degrees: float = 38.0, wind: float = 5.0
) -> Acquisition:
    """The same pass for every image, over ground of middling roughness."""
    one = np.ones(count, np.float32)
    return Acquisition(
        descending=np.full(count, descending),
        incidence=np.deg2rad(degrees) * one,
        wind=wind * one,
        roughness=0.0 * one,
    )
