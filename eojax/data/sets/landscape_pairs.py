"""Drawn tiles of country in four rasters, for image synthesis: from a map to what sensors see.

A stand-in for GeoNRW or DFC2020 that is always there. The places and the classes are those of
`landscape_cover`, and with `data.relief=1` so are elevation and colours; here a place has

- a class for each pixel;
- `elevation`: the surface with trees and buildings, int16 in decimetres, 10 m a pixel; -10 m
  becomes -1, and 190 m times `data.relief` becomes 1;
- `images`: true colour, uint8, with light on slopes and cast shadows by the region's sun;
- `sar`: radar backscatter in dB, C band, VV, the mean power of `data.looks` looks, as uint16 in
  hundredths of dB above -100 dB; -25 dB becomes -1 and 5 dB becomes 1.

What stands high throws shadows in both. The radar sees it nearer to itself (layover), slopes that
face it brighter, and those that turn away darker. So elevation tells of an image what land cover
does not, and gentle hills are `data.relief` times as high as those of `landscape_cover`, on which
the light hardly varies. By default the radar passes on one side (`data.orbit`), which no raster
tells.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from ml_collections import ConfigDict

from eojax.data.dataset import Dataset
from eojax.data.facts import IMAGES, Raster
from eojax.data.sets import landscape_cover
from eojax.data.sets.landscape_cover import COLOUR, View, surface_view
from eojax.data.sets.landscape_zones import SENSORS
from eojax.option import Option, between, one_of, such
from eojax.synthetic.scene import PIXEL_SIZE, Scene
from eojax.synthetic.views.render_sar import draw_acquisition, render_looks

NAME = 'landscape_pairs'
_RADAR = SENSORS['sar_db']
_HIGHEST = 190.0  # metres, with hills as in `landscape_cover`
# Slope that hills are raised to at most, and the share of a place that may be steeper.
_STEEPEST, _STEEPER = 0.5, 0.05
_ORBITS = ('descending', 'ascending', 'both')
OPTIONS: dict[str, Option] = {
    **landscape_cover.OPTIONS,
    'relief': Option(4.0, 'height of gentle hills, in those of landscape_cover', between(0, 10)),
    'sun': Option(
        35.0, "degrees of the sun above the horizon; 0: each region's own, 30 to 64",
        such('0, or from 10 to 90', lambda sun: sun == 0.0 or 10.0 <= sun <= 90.0),
    ),
    'looks': Option(4, 'looks of the radar that are averaged: more have less speckle',
                    between(1, 100)),
    'orbit': Option(
        'descending', 'passes of the radar, which looks west, east, or either by chance',
        one_of(*_ORBITS),
    ),
}  # fmt: skip


def with_relief(scene: Scene, relief: float) -> Scene:
    """A scene whose ground rises `relief` times as high above its lowest point.

    Where more than a twentieth of a place would become steeper than 1 in 2, the factor is smaller:
    hills that are steep already do not become cliffs. Water stays level; what stands on the ground
    keeps its height.
    """
    ground = scene.elevation
    lowest = ground.min((1, 2), keepdims=True)
    down, right = np.gradient(ground, PIXEL_SIZE, axis=(1, 2))
    steep = np.quantile(np.hypot(down, right), 1.0 - _STEEPER, axis=(1, 2), keepdims=True)
    most = np.maximum(_STEEPEST / np.maximum(steep, 1e-6), 1.0)
    factor = np.minimum(relief, most).astype(np.float32)
    return scene._replace(elevation=lowest + factor * (ground - lowest))


def under_sun(scene: Scene, degrees: float) -> Scene:
    """A scene with the sun so high above the horizon, in the region's own direction."""
    height = np.full_like(scene.conditions.sun_elevation, np.deg2rad(degrees))
    return scene._replace(conditions=scene.conditions._replace(sun_elevation=height))


def radar_view(looks: int = 4, orbit: str = 'descending') -> View:
    """Backscatter in dB.

    Args:
      looks: that are averaged.
      orbit: `descending` (the radar looks west), `ascending` (east), or `both`.
    """

    def render(scene: Scene) -> np.ndarray:
        way = draw_acquisition(scene)
        if orbit != 'both':
            way = way._replace(descending=np.full_like(way.descending, orbit == 'descending'))
        decibels = 10.0 * np.log10(np.maximum(render_looks(scene, looks, way), 1e-6))
        return np.rint(100.0 * (decibels[..., None] + 100.0)).astype(np.uint16)

    return View(Raster(_RADAR.bands, str(np.dtype(_RADAR.dtype)), _RADAR.limits), render)


def views_of(options: Mapping[str, Any] | ConfigDict) -> Mapping[str, View]:
    """The rasters that the options `relief`, `looks` and `orbit` ask for."""
    return {
        IMAGES: COLOUR,
        'elevation': surface_view(1, _HIGHEST * max(options['relief'], 1.0)),
        'sar': radar_view(options['looks'], options['orbit']),
    }


VIEWS = views_of({key: option.default for key, option in OPTIONS.items()})
"""The rasters with the defaults of these options."""


def _from_config(options: ConfigDict, progress: bool) -> Dataset:
    def shape(scene: Scene) -> Scene:
        scene = with_relief(scene, options.relief)
        return under_sun(scene, options.sun) if options.sun else scene

    dataset = landscape_cover.draw_dataset(
        options.num_images,
        options.size,
        options.regions,
        options.seed,
        options.least_share,
        views_of(options),
        options.palette,
        shape,
    )
    return dataset.with_facts(name=NAME, title='drawn land cover with radar')


KIND = landscape_cover.KIND._replace(name=NAME, from_config=_from_config, options=OPTIONS)
