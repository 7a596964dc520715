"""Pictures of maps, rasters and images side by side; each is one PNG, complete or not at all."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from eojax.data import facts
from eojax.data.facts import Limits
from eojax.data.value_range import scale_to_unit
from eojax.drawing.class_colours import NO_DATA_COLOUR, Colour, rgb
from eojax.drawing.pictures import displayed, shown_indices
from eojax.drawing.segmentation import coloured
from eojax.drawing.style import bare_axes, legend_label, new_figure, save_figure

LONGEST = 900  # pixels of a panel's longer side
# In inches.
_PANEL, _GAP, _TITLE, _BAR, _LINE, _HEAD = 3.4, 0.15, 0.26, 0.42, 0.24, 0.32
_LEAST = 0.6
_GREY_BANDS = 2  # of an image without red, green and blue, that are shown


class Panel(NamedTuple):
    """One picture of a figure.

    Attributes:
      title: above it.
      picture: uint8 `[h, w, 3]`; or float32 `[h, w]`, NaN where there is no data.
      ends: of values that are no picture: those at the ends of their scale of greys.
    """

    title: str
    picture: np.ndarray
    ends: tuple[float, float] = (0.0, 1.0)


class Entry(NamedTuple):
    """A class in the legend."""

    name: str
    colour: Colour


def shown(
    images: np.ndarray, valid: np.ndarray, raster: facts.Raster, stretch: Limits | None = None
) -> list[tuple[str, np.ndarray]]:
    """Images as they are shown, each with the names of its bands: one in colour, or two in grey.

    Values are always stretched alike, so that one picture can be compared with another.

    Args:
      images: `[h, w, bands]` as stored.
      valid: bool `[h, w]`; the others are light grey.
      stretch: the values that are black and white, for each band; the raster's limits where None.

    Returns:
      Pairs of a name, empty for colours, and uint8 `[h, w, 3]`.
    """
    limits = stretch or raster.limits
    if len(shown_indices(raster.bands)) > 1:
        if raster.dtype == 'uint8' and stretch is None:
            limits = None
        pictures = [('', displayed(images, raster.bands, limits))]
    else:
        values = images.astype(np.float32) if limits is not None else images
        grey = np.round((scale_to_unit(np.nan_to_num(values), limits) + 1.0) * 127.5)
        pictures = [
            (name, grey[..., band, None].astype(np.uint8).repeat(3, -1))
            for band, name in enumerate(raster.bands[:_GREY_BANDS])
        ]
    empty = np.array(rgb(NO_DATA_COLOUR), np.uint8)
    return [(name, np.where(valid[..., None], picture, empty)) for name, picture in pictures]


def cover_panel(title: str, labels: np.ndarray, colours: Sequence[Colour]) -> Panel:
    """A map of classes, int `[h, w]`, -1 where they are unknown."""
    return Panel(title, coloured(labels, colours))


def raster_panel(title: str, values: np.ndarray, valid: np.ndarray) -> Panel:
    """One band of a raster `[h, w]`, from its 2nd to its 98th percentile."""
    seen = values[valid].astype(np.float64)
    low, high = np.percentile(seen, [2, 98]) if len(seen) else (0.0, 1.0)
    picture = np.where(valid, values, np.nan).astype(np.float32)
    return Panel(title, picture, (float(low), float(max(high, low + 1e-6))))


def legend_of(
    labels: Sequence[np.ndarray], names: Sequence[str], colours: Sequence[Colour]
) -> list[Entry]:
    """The classes that maps show, those with most pixels first."""
    counts = np.zeros(len(names) + 1, np.int64)
    for one in labels:
        counts += np.bincount(one.ravel() + 1, minlength=len(counts))
    order = sorted(np.flatnonzero(counts[1:]).tolist(), key=lambda i: -counts[1 + i])
    entries = [Entry(names[i], colours[i]) for i in order]
    return [*entries, Entry('unknown', rgb(NO_DATA_COLOUR))] if counts[0] else entries


def panel_grid(
    title: str, rows: Sequence[Sequence[Panel]], legend: Sequence[Entry], path: Path
) -> None:
    """Writes panels of one size in rows, values with their scale below, classes in a legend."""
    height, width = rows[0][0].picture.shape[:2]
    columns = max(len(row) for row in rows)
    side = min(_PANEL, max(1.6, 15.0 / columns))
    tall = max(side * height / max(height, width), _LEAST)
    broad = max(side * width / max(height, width), _LEAST)
    bars = [any(panel.picture.ndim == 2 for panel in row) for row in rows]
    wide = max(columns * (broad + _GAP) + _GAP, 4.0)
    per_line = max(1, int(wide / (0.45 + 0.085 * max((len(e.name) for e in legend), default=1))))
    below = _LINE * math.ceil(len(legend) / per_line) + _GAP
    high = _HEAD + sum(_TITLE + tall + _GAP + _BAR * bar for bar in bars) + below
    figure = new_figure(wide, high, layout=None)
    figure.text(_GAP / wide, 1 - 0.2 / high, title, size=9.5, va='center')
    top = _HEAD
    for row, bar in zip(rows, bars, strict=True):
        top += _TITLE
        for column, panel in enumerate(row):
            left = _GAP + column * (broad + _GAP)
            axes = figure.add_axes(
                (left / wide, 1 - (top + tall) / high, broad / wide, tall / high)
            )
            bare_axes(axes)
            axes.set_title(panel.title, loc='left', size=8.5, pad=3)
            if panel.picture.ndim == 3:
                axes.imshow(panel.picture, interpolation='nearest')
                continue
            low, upper = panel.ends
            image = axes.imshow(panel.picture, cmap='gray', vmin=low, vmax=upper)
            axes.set_facecolor(NO_DATA_COLOUR)
            place = (left / wide, 1 - (top + tall + 0.16) / high, broad / wide, 0.1 / high)
            scale = figure.colorbar(
                image, figure.add_axes(place), orientation='horizontal', extend='both'
            )
            scale.ax.xaxis.set_major_locator(MaxNLocator(4))
            scale.ax.tick_params(labelsize=7.5, length=2)
        top += tall + _GAP + _BAR * bar
    handles = [Patch(facecolor='#{:02x}{:02x}{:02x}'.format(*entry.colour)) for entry in legend]
    if handles:
        figure.legend(
            handles, [legend_label(entry.name) for entry in legend], ncols=per_line,
            loc='upper left', bbox_to_anchor=(_GAP / wide, 1 - top / high), fontsize=8.5,
            borderaxespad=0, borderpad=0, handlelength=1.1, handleheight=0.9, columnspacing=1.0,
            labelspacing=0.35, frameon=False,
        )  # fmt: skip
    save_figure(figure, path)


def small_size(height: int, width: int, longest: int = LONGEST) -> tuple[int, int]:
    """Height and width of a picture of a map, its longer side at most so many pixels."""
    share = min(1.0, longest / max(height, width))
    return max(1, round(height * share)), max(1, round(width * share))
