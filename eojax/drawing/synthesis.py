"""Figures of synthesised images: places in rows, scores of classes, backscatter of classes.

As in `eojax.drawing.figures`, every function writes one PNG, complete or not at all.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Patch
from matplotlib.ticker import PercentFormatter

from eojax.drawing.class_colours import NO_DATA_COLOUR, Colour, rgb
from eojax.drawing.style import (
    COLOURS,
    FAINT,
    bare_axes,
    legend_label,
    new_figure,
    plain_axes,
    save_figure,
)
from eojax.drawing.wording import count_in_words

# In inches.
_PANEL, _GAP, _TITLE, _LINE, _LEFT, _RIGHT = 1.75, 0.06, 0.3, 0.24, 0.42, 0.12
_HISTOGRAM_COLUMNS = 4
_TALLEST = 3.0  # of a synthesised distribution, in heights of the real one


class Row(NamedTuple):
    """A place in a figure.

    Attributes:
      title: of the place.
      pictures: uint8 `[h, w, 3]`, or 1 band for grey; None leaves a place empty.
    """

    title: str
    pictures: Sequence[np.ndarray | None]


class ClassHistogram(NamedTuple):
    """Backscatter of a class, real and synthesised.

    Attributes:
      title: of the class.
      edges: of the bins, in dB, `[bins + 1]`.
      real, made: pixels in each bin.
      real_looks, made_looks: equivalent number of looks; None where it is not known.
    """

    title: str
    edges: np.ndarray
    real: np.ndarray
    made: np.ndarray
    real_looks: float | None
    made_looks: float | None


def legend_of(
    labels: Sequence[np.ndarray], names: Sequence[str], colours: Sequence[Colour]
) -> list[tuple[str, Colour]]:
    """The classes that maps show, with their colours; -1 is unknown."""
    present = np.unique(np.concatenate([one.ravel() for one in labels])).tolist()
    entries = [(names[i], colours[i]) for i in present if i >= 0]
    return [*entries, *([('unknown', rgb(NO_DATA_COLOUR))] if min(present, default=0) < 0 else [])]


def picture_rows(
    rows: Sequence[Row],
    titles: Sequence[str],
    legend: Sequence[tuple[str, Colour]],
    path: str | Path,
) -> None:
    """Writes a row of pictures for each place.

    Args:
      titles: of the columns.
      legend: names and colours, below.
      path: of the PNG.
    """
    heights = [_PANEL * min(_ratio(row), 1.6) for row in rows]
    wide = len(titles) * (_PANEL + _GAP) + _LEFT + _RIGHT
    longest = max((len(name) for name, _ in legend), default=0)
    columns = max(1, min(len(legend), int((wide - _LEFT) / (0.35 + 0.085 * longest))))
    below = _LINE * math.ceil(len(legend) / columns) + 0.1
    high = _TITLE + sum(heights) + _GAP * len(rows) + below
    figure = new_figure(wide, high, layout=None)
    top = _TITLE
    for number, (row, tall) in enumerate(zip(rows, heights, strict=True)):
        for column, (picture, title) in enumerate(zip(row.pictures, titles, strict=True)):
            left = _LEFT + column * (_PANEL + _GAP)
            box = (left / wide, 1 - (top + tall) / high, _PANEL / wide, tall / high)
            axes = figure.add_axes(box)
            bare_axes(axes)
            if not number:
                axes.set_title(title, loc='left', size=9)
            if not column:
                axes.set_ylabel(row.title, size=7.5)
            if picture is not None:
                axes.imshow(picture, cmap='gray', vmin=0, vmax=255, interpolation='nearest')
        top += tall + _GAP
    handles = [Patch(facecolor='#{:02x}{:02x}{:02x}'.format(*colour)) for _, colour in legend]
    if handles:
        figure.legend(
            handles, [legend_label(name) for name, _ in legend], ncols=columns, loc='upper left',
            bbox_to_anchor=(_LEFT / wide, 1 - top / high), fontsize=8.5, borderaxespad=0,
            borderpad=0, handlelength=1.1, handleheight=0.9, columnspacing=1.0, labelspacing=0.35,
            frameon=False,
        )  # fmt: skip
    save_figure(figure, path)


def _ratio(row: Row) -> float:
    shown = next(picture for picture in row.pictures if picture is not None)
    return float(shown.shape[0] / shown.shape[1])


def class_comparison(
    values: Mapping[str, Sequence[float | None]],
    class_names: Sequence[str],
    shares: np.ndarray | None,
    path: str | Path,
) -> None:
    """Writes the IoU of each class as bars side by side, as Fig. 5 of the paper on synthesis.

    Args:
      values: by title, IoU of each class, 0 to 1; None where there is none.
      class_names: of the classes; one that no series has is left out.
      shares: `[classes]`, of the labelled pixels; None where they are not known.
      path: of the PNG.
    """
    chosen = [i for i in range(len(class_names)) if any(v[i] is not None for v in values.values())]
    if not chosen:
        return
    thick = 0.8 / len(values)
    figure = new_figure(7.2, 1.2 + (0.16 + 0.16 * len(values)) * len(chosen))
    axes = figure.add_subplot()
    places = np.arange(len(chosen))
    for number, (title, each) in enumerate(values.items()):
        scores = [np.nan if each[i] is None else float(each[i] or 0.0) for i in chosen]
        at = places + (number - (len(values) - 1) / 2) * thick
        axes.barh(
            at, scores, thick, color=COLOURS[number % len(COLOURS)], label=legend_label(title)
        )
    label, names = 'intersection over union', [class_names[i] for i in chosen]
    if shares is not None:
        label += ' (in brackets: share of the pixels)'
        names = [f'{class_names[i]}  ({shares[i]:.1%})' for i in chosen]
    axes.set_yticks(places, names)
    axes.set(xlim=(0, 1), xlabel=label)
    axes.invert_yaxis()
    axes.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    plain_axes(axes)
    axes.grid(visible=False, axis='y')
    figure.legend(*axes.get_legend_handles_labels(), loc='outside upper left', fontsize=9,
                  frameon=False)  # fmt: skip
    save_figure(figure, path)


def backscatter_histograms(panels: Sequence[ClassHistogram], path: str | Path) -> None:
    """Writes the distribution of backscatter of each class, real and synthesised."""
    columns = min(_HISTOGRAM_COLUMNS, len(panels))
    rows = math.ceil(len(panels) / columns)
    figure = new_figure(2.7 * columns, 0.5 + 2.0 * rows)
    grid = figure.subplots(rows, columns, squeeze=False)
    for axes in grid.flat[len(panels) :]:
        axes.set_axis_off()
    for axes, panel in zip(grid.flat, panels, strict=False):
        _draw_histogram(axes, panel)
    # The lowest of each column, also where the last row is not full.
    for axes in grid.flat[max(len(panels) - columns, 0) : len(panels)]:
        axes.set_xlabel('backscatter, dB', size=9)
    figure.legend(*grid[0, 0].get_legend_handles_labels(), loc='outside upper right', ncols=2,
                  fontsize=9, frameon=False)  # fmt: skip
    save_figure(figure, path)


def _draw_histogram(axes: Axes, panel: ClassHistogram) -> None:
    middle = (panel.edges[:-1] + panel.edges[1:]) / 2
    width = panel.edges[1] - panel.edges[0]
    real, made = (x / max(x.sum(), 1) / width for x in (panel.real, panel.made))
    axes.fill_between(middle, real, step='mid', color=FAINT, alpha=0.45, linewidth=0, label='real')
    axes.step(middle, made, where='mid', color=COLOURS[1], linewidth=1.4, label='synthesised')
    title = panel.title
    if panel.real_looks is not None and panel.made_looks is not None:
        looks = [f'{x:.1f}' if x < 950 else count_in_words(round(x))
                 for x in (panel.real_looks, panel.made_looks)]  # fmt: skip
        title += f'\nlooks: {looks[0]} real, {looks[1]} synthesised'
    axes.set_title(title, loc='left', size=9)
    axes.set_yticks([])
    # A sharp peak of what was synthesised would hide the real distribution.
    axes.set_ylim(0, 1.1 * max(real.max(), min(made.max(), _TALLEST * real.max())))
    plain_axes(axes)
    axes.tick_params(labelsize=8)
