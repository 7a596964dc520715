"""The paper's results for image synthesis: Table III.

Baier, Deschemps, Schmitt, Yokoya, "Synthesizing Optical and SAR Imagery From Land Cover Maps and
Auxiliary Raster Data", IEEE Transactions on Geoscience and Remote Sensing 60, 2022. RGB images from
land cover and elevation (GeoNRW) or Sentinel-1 (DFC2020), judged by a U-Net that was trained on
real images.

Notes:
  The mean IoU is over all ten classes, those that do not occur counted as 0: `mean_iou_all` here.
  Pixel accuracy counts pixels of label 0, "no class", which are unknown here.
  Concat and merge agree to the last digit in the first row of GeoNRW: probably a misprint.
"""

from __future__ import annotations

from typing import NamedTuple

PAPER = (
    'G. Baier, A. Deschemps, M. Schmitt, N. Yokoya. Synthesizing Optical and SAR Imagery From Land'
    ' Cover Maps and Auxiliary Raster Data. IEEE Transactions on Geoscience and Remote Sensing 60,'
    ' 2022.'
)
PLACE = 'Table III'
# Names of data sets in a config, and the paper's names of them.
DATA_SETS = {'geonrw': 'GeoNRW', 'dfc2020': 'DFC2020'}
# In the table's order.
GENERATORS = ('raster', 'label', 'concat', 'merge', 'fusion')


class PublishedSynthesis(NamedTuple):
    """A column of the table; mean IoU and pixel accuracy from 0 to 1.

    Attributes:
      truth: mean IoU over all classes and pixel accuracy of the segmenter's maps of synthesised
        images, against the ground truth.
      agreement: the same against its maps of the real images.
      distance: Frechet distance of the segmenter's features.
    """

    truth: tuple[float, float]
    agreement: tuple[float, float]
    distance: float


_REAL = {'geonrw': (0.1734, 0.5434), 'dfc2020': (0.3722, 0.7514)}
_MADE = {
    'geonrw': {
        'raster': PublishedSynthesis((0.1845, 0.5509), (0.2315, 0.7528), 0.0307),
        'label': PublishedSynthesis((0.1991, 0.5367), (0.1999, 0.6641), 0.0233),
        'concat': PublishedSynthesis((0.1706, 0.5470), (0.2317, 0.7638), 0.0097),
        'merge': PublishedSynthesis((0.1706, 0.5470), (0.2201, 0.7575), 0.0223),
        'fusion': PublishedSynthesis((0.1836, 0.5617), (0.2326, 0.7692), 0.0078),
    },
    'dfc2020': {
        'raster': PublishedSynthesis((0.3385, 0.7175), (0.3846, 0.7778), 0.0035),
        'label': PublishedSynthesis((0.3802, 0.7661), (0.3946, 0.7897), 0.0916),
        'concat': PublishedSynthesis((0.3786, 0.7571), (0.4352, 0.8209), 0.0643),
        'merge': PublishedSynthesis((0.3787, 0.7602), (0.4431, 0.8243), 0.0150),
        'fusion': PublishedSynthesis((0.3758, 0.7524), (0.4344, 0.8095), 0.0174),
    },
}


def published(data: str, generator: str) -> PublishedSynthesis | None:
    """The paper's numbers of a generator on a data set; None where it has none.

    Args:
      data: as in a config.
      generator: one of `GENERATORS`.
    """
    return _MADE.get(data, {}).get(generator)


def published_real(data: str) -> tuple[float, float] | None:
    """Mean IoU over all classes and pixel accuracy of the segmenter on real images."""
    return _REAL.get(data)
