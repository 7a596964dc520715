"""Drawn tiles of country in four rasters, for image synthesis: from a map to what sensors see.

A stand-in for GeoNRW or DFC2020 that is always there. The places, the classes and the options are
those of `landscape_cover`, and so are place i and its colours; here a place has

- a class for each pixel;
- `elevation`: the surface, int16 in decimetres, 10 m a pixel;
- `images`: true colour, uint8;
- `sar`: radar backscatter in dB, C band, VV, averaged over 3 x 3 pixels, as uint16 in hundredths of
  dB above -100 dB; -25 dB becomes -1 and 5 dB becomes 1.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from ml_collections import ConfigDict

from eojax.data.dataset import Dataset
from eojax.data.facts import IMAGES, Raster
from eojax.data.sets import landscape_cover
from eojax.data.sets.landscape_cover import COLOUR, View, surface_view
from eojax.data.sets.landscape_zones import SENSORS
from eojax.synthetic.scene import Scene

NAME = 'landscape_pairs'
_RADAR = SENSORS['sar_db']


def _decibels(scene: Scene) -> np.ndarray:
    return _RADAR.render(scene, np.ones((len(scene.seed), 1, 1), np.float32))


VIEWS: Mapping[str, View] = {
    IMAGES: COLOUR,
    'elevation': surface_view(scale=1),
    'sar': View(Raster(_RADAR.bands, str(np.dtype(_RADAR.dtype)), _RADAR.limits), _decibels),
}


def _from_config(options: ConfigDict, progress: bool) -> Dataset:
    dataset = landscape_cover.draw_dataset(
        options.num_images,
        options.size,
        options.regions,
        options.seed,
        options.least_share,
        VIEWS,
        options.palette,
    )
    return dataset.with_facts(name=NAME, title='drawn land cover with radar')


KIND = landscape_cover.KIND._replace(name=NAME, from_config=_from_config)
