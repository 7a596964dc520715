"""Coordinates along a picture of a scene: round ones, in the scene's own system."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator
from rasterio.crs import CRS
from rasterio.transform import Affine


class Frame(NamedTuple):
    """Where a scene that lies north up has its edges, in the units of its coordinate system.

    Attributes:
      left, right, top, bottom: of the outermost pixels' outer edges.
      system: its name and unit, such as `EPSG:32648, metre`.
    """

    left: float
    right: float
    top: float
    bottom: float
    system: str


def frame_of(crs: CRS | None, transform: Affine, height: int, width: int) -> Frame | None:
    """The frame of a scene; None of one without a coordinate system, or that is turned.

    Args:
      height, width: in pixels of the transform.
    """
    if crs is None or transform.b or transform.d:
        return None
    right, bottom = transform @ (width, height)
    code = crs.to_epsg()
    name = 'own coordinate system' if code is None else f'EPSG:{code}'
    unit = 'degree' if crs.is_geographic else crs.linear_units
    return Frame(transform.c, right, transform.f, bottom, f'{name}, {unit}')


def draw_ticks(axes: Axes, frame: Frame, height: int, width: int) -> None:
    """Marks round coordinates at the left and the lower edge of a picture, in the same units.

    Args:
      axes: which show a picture by `imshow`.
      height, width: of the picture.
    """
    for axis, first, last, size in (
        (axes.xaxis, frame.left, frame.right, width),
        (axes.yaxis, frame.top, frame.bottom, height),
    ):
        ends = min(first, last), max(first, last)
        locator = MaxNLocator(3, steps=[1, 2, 5, 10], min_n_ticks=2)
        values = np.asarray(locator.tick_values(*ends))
        values = values[(values >= ends[0]) & (values <= ends[1])]
        places = (values - first) / (last - first) * size - 0.5
        axis.set_ticks(places.tolist(), tick_labels(values))
    axes.tick_params(length=3, width=0.6, labelsize=7.5, pad=1.5)
    for label in axes.get_yticklabels():
        label.set(rotation=90, va='center')


def tick_labels(values: np.ndarray) -> list[str]:
    """The values with as many decimals as tell them apart, all with the same number."""
    for decimals in range(9):
        texts = [f'{value:,.{decimals}f}' for value in values]
        if np.allclose([round(value, decimals) for value in values], values, rtol=0, atol=1e-9):
            break
    return texts
