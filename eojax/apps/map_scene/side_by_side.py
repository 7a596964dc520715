"""Scenes and their maps by several runs in one figure: a row for each scene, a column for each map.

As in `eojax.drawing.figures`, every function writes one PNG, complete or not at all.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from eojax.apps.map_scene.figures import (
    Overview,
    coloured,
    density_panel,
    draw_confidence,
    stretched,
)
from eojax.drawing.class_colours import NO_DATA_COLOUR, Colour
from eojax.drawing.style import TEXT, bare_axes, legend_label, new_figure, save_figure

SCENE, CLASSES, CONFIDENCE, LOG_DENSITY = 'scene', 'classes', 'confidence', 'log_density'
# In inches: the longest side of a panel, a title above it, a bar of colours below it, the gap.
_PANEL, _TITLE, _BAR, _GAP = 3.0, 0.42, 0.46, 0.18
_LEGEND_COLUMN, _LEGEND_LINE = 2.2, 0.24


class Panel(NamedTuple):
    """A picture of a scene or of its map.

    Attributes:
      title: above it.
      layer: `SCENE`, `CLASSES`, `CONFIDENCE` or `LOG_DENSITY`.
      overview: of the scene and the map.
    """

    title: str
    layer: str
    overview: Overview


def side_by_side(
    rows: Mapping[str, Sequence[Panel]],
    colours: Mapping[str, Colour],
    path: str | Path,
) -> None:
    """Writes all panels, and below them the classes that the maps have.

    Args:
      rows: by the scene, from left to right.
      colours: of all classes, by name in their order.
      path: of the PNG.
    """
    count = max(map(len, rows.values()))
    heights = [_height(panels[0].overview) for panels in rows.values()]
    bars = [_BAR if any(p.layer in (CONFIDENCE, LOG_DENSITY) for p in panels) else 0.0
            for panels in rows.values()]  # fmt: skip
    present = _present(rows, colours)
    width = _GAP + count * (_PANEL + _GAP)
    columns = max(1, int((width - _GAP) / _LEGEND_COLUMN))
    legend = _LEGEND_LINE * -(-len(present) // columns)
    height = legend + sum(heights) + sum(bars) + len(rows) * (_TITLE + _GAP)
    figure = new_figure(width, height, layout=None)
    top = height
    for (scene, panels), high, bar in zip(rows.items(), heights, bars, strict=True):
        top -= _TITLE + high
        figure.text(
            _GAP / width, (top + high + _TITLE - 0.04) / height, scene, va='top', size=11,
            color=TEXT,
        )  # fmt: skip
        for number, panel in enumerate(panels):
            left = _GAP + number * (_PANEL + _GAP)
            box = (left / width, top / height, _PANEL / width, high / height)
            axes = figure.add_axes(box)
            axes.set(facecolor=NO_DATA_COLOUR, anchor='NW')
            bare_axes(axes)
            axes.set_title(panel.title, loc='left', size=9.5, pad=3)
            place = (left + 0.08) / width, (top - 0.2) / height, (_PANEL - 0.16) / width
            _draw(figure, axes, panel, [*place, 0.11 / height], colours)
        top -= bar + _GAP
    if present:
        figure.legend(
            [Patch(facecolor='#{:02x}{:02x}{:02x}'.format(*colours[name])) for name in present],
            [legend_label(name) for name in present],
            loc='lower left', bbox_to_anchor=(_GAP / width, 0.06 / height), ncols=columns,
            frameon=False, fontsize=9, borderaxespad=0, borderpad=0, handlelength=1.1,
            handleheight=0.9, columnspacing=1.0,
        )  # fmt: skip
    save_figure(figure, path)


def _height(overview: Overview) -> float:
    rows, columns = overview.classes.shape
    return _PANEL * min(rows / columns, 1.6)


def _present(rows: Mapping[str, Sequence[Panel]], colours: Mapping[str, Colour]) -> list[str]:
    """The classes that some map shows, in their order."""
    shown = [p.overview.classes for panels in rows.values() for p in panels if p.layer == CLASSES]
    there = {int(label) for classes in shown for label in np.unique(classes)}
    return [name for number, name in enumerate(colours) if number in there]


def _draw(
    figure: Figure, axes: Axes, panel: Panel, place: Sequence[float], colours: Mapping[str, Colour]
) -> None:
    """The picture of a panel; `place` is that of its bar of colours, where it has one."""
    overview = panel.overview
    if panel.layer == SCENE:
        axes.imshow(stretched(overview.picture, overview.valid), cmap='gray')
    elif panel.layer == CLASSES:
        axes.imshow(coloured(overview.classes, [*colours.values()]), interpolation='nearest')
    elif panel.layer == CONFIDENCE:
        draw_confidence(figure, axes, _bar(figure, place), overview)
    else:
        density_panel(figure, axes, _bar(figure, place), overview, brief=True)


def _bar(figure: Figure, place: Sequence[float]) -> Axes:
    left, bottom, width, height = place
    return figure.add_axes((left, bottom, width, height))
