"""Figures of maps of classes: places side by side with their truth, scores by class and by city.

As in `eojax.drawing.figures`, every function writes one PNG, complete or not at all.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Patch
from matplotlib.ticker import PercentFormatter

from eojax.drawing.class_colours import NO_DATA_COLOUR, UNSEEN_COLOUR, Colour, rgb
from eojax.drawing.style import (
    DPI,
    TEXT,
    bare_axes,
    legend_label,
    new_figure,
    plain_axes,
    save_figure,
    text_width,
)

# In inches.
_PANEL, _GAP, _TITLE, _BAR, _LINE = 1.9, 0.08, 0.3, 0.5, 0.24
_LEFT, _RIGHT = 0.25, 0.15


class Example(NamedTuple):
    """A part of a place and what a network makes of it.

    Attributes:
      title: of the place.
      picture: uint8 `[h, w, 3]`, or 1 band for grey.
      truth: int `[h, w]`, -1 where the class is unknown, -2 where it was kept from training.
      predicted: int `[h, w]`; -1 where there is no data.
      confidence: float32 `[h, w]`, max p(y|x); NaN where there is no data.
      log_density: float32 `[h, w]`, NaN likewise; None for a method without it.
    """

    title: str
    picture: np.ndarray
    truth: np.ndarray
    predicted: np.ndarray
    confidence: np.ndarray
    log_density: np.ndarray | None = None


def coloured(classes: np.ndarray, colours: Sequence[Colour]) -> np.ndarray:
    """A map of classes in their colours, uint8 `[h, w, 3]`.

    -1, unknown, is light grey, and -2, of a class that was kept from training, magenta.
    """
    below_0 = (rgb(UNSEEN_COLOUR), rgb(NO_DATA_COLOUR))
    return np.array([*colours, *below_0], np.uint8)[np.maximum(classes, -2)]


def segmentation_examples(
    examples: Sequence[Example],
    class_names: Sequence[str],
    colours: Sequence[Colour],
    path: str | Path,
) -> None:
    """Writes a row for each place: image, truth, prediction, confidence and, if there, log p.

    Args:
      class_names, colours: of the classes.
      path: of the PNG.
    """
    titles = ['image', 'truth', 'prediction', 'confidence, max p(y|x)']
    with_density = examples[0].log_density is not None
    titles += ['log p, unnormalised'] if with_density else []
    heights = [_PANEL * min(e.truth.shape[0] / e.truth.shape[1], 1.6) for e in examples]
    present = np.unique(np.concatenate([x.ravel() for e in examples for x in e[2:4]]))
    entries = [(class_names[i], colours[i]) for i in present.tolist() if i >= 0]
    if (present == -2).any():
        entries.append(('kept from training', rgb(UNSEEN_COLOUR)))
    if (present == -1).any():
        entries.append(('unknown', rgb(NO_DATA_COLOUR)))
    wide = len(titles) * (_PANEL + _GAP) + _GAP + _LEFT + _RIGHT
    longest = max(len(name) for name, _ in entries)
    columns = max(1, min(len(entries), int(3 * (_PANEL + _GAP) / (0.35 + 0.085 * longest))))
    below = max(_BAR, _LINE * math.ceil(len(entries) / columns) + 0.1)
    high = _TITLE + sum(heights) + _GAP * len(heights) + below
    figure = new_figure(wide, high, layout=None)

    def panel(column: int, top: float, tall: float, width: float = _PANEL) -> Axes:
        left = _LEFT + _GAP + column * (_PANEL + _GAP)
        box = (left / wide, 1 - (top + tall) / high, width / wide, tall / high)
        return figure.add_axes(box)

    low, top_density = _density_range(examples)
    top = _TITLE
    for number, (example, tall) in enumerate(zip(examples, heights, strict=True)):
        panels = [panel(column, top, tall) for column in range(len(titles))]
        for axes, title in zip(panels, titles, strict=True):
            bare_axes(axes)
            if not number:
                axes.set_title(title, loc='left', size=9)
        panels[0].set_ylabel(example.title, size=7.5)
        panels[0].imshow(example.picture, cmap='gray', vmin=0, vmax=255)
        panels[1].imshow(coloured(example.truth, colours), interpolation='nearest')
        panels[2].imshow(coloured(example.predicted, colours), interpolation='nearest')
        sure = panels[3].imshow(example.confidence, cmap='viridis', vmin=0, vmax=1)
        if example.log_density is not None:
            density = panels[4].imshow(example.log_density, cmap='cividis', vmin=low,
                                       vmax=top_density)  # fmt: skip
        top += tall + _GAP
    bars = [panel(3, top, 0.12)]
    figure.colorbar(sure, bars[0], orientation='horizontal', format=PercentFormatter(1.0))
    if with_density:
        bars.append(panel(4, top, 0.12))
        figure.colorbar(density, bars[1], orientation='horizontal', extend='both')
    for bar in bars:
        bar.spines[:].set_visible(False)
        bar.tick_params(labelsize=7.5, length=2)
        bar.locator_params(nbins=4)
    handles = [Patch(facecolor='#{:02x}{:02x}{:02x}'.format(*colour)) for _, colour in entries]
    figure.legend(
        handles, [legend_label(name) for name, _ in entries], ncols=columns, loc='upper left',
        bbox_to_anchor=((_LEFT + _GAP) / wide, 1 - top / high), fontsize=8.5, borderaxespad=0,
        borderpad=0, handlelength=1.1, handleheight=0.9, columnspacing=1.0, labelspacing=0.35,
        frameon=False,
    )  # fmt: skip
    save_figure(figure, path)


def _density_range(examples: Sequence[Example]) -> tuple[float, float]:
    maps = [e.log_density for e in examples if e.log_density is not None]
    values = np.concatenate([m[np.isfinite(m)] for m in maps]) if maps else np.zeros(0)
    if not len(values):
        return 0.0, 1.0
    low, high = np.percentile(values, [1, 99])
    return float(low), float(max(high, low + 1e-6))


def class_bars(
    scores: np.ndarray,
    shares: np.ndarray,
    class_names: Sequence[str],
    colours: Sequence[Colour],
    path: str | Path,
) -> None:
    """Writes the IoU of each class as a bar, beside its share of the labelled pixels.

    Args:
      scores: IoU `[classes]`, 0 to 1; NaN for a class without labels, which has no bar.
      shares: `[classes]`, of the labelled pixels.
      class_names, colours: `[classes]`.
      path: of the PNG.
    """
    chosen = np.flatnonzero(np.isfinite(scores)).tolist()
    figure = new_figure(6.4, 1.0 + 0.3 * len(chosen))
    axes = figure.add_subplot()
    places = range(len(chosen))
    fills = ['#{:02x}{:02x}{:02x}'.format(*colours[i]) for i in chosen]
    axes.barh(places, scores[chosen], color=fills, edgecolor='#8c8c8c', linewidth=0.5, height=0.72)
    for place, i in zip(places, chosen, strict=True):
        axes.text(scores[i] + 0.01, place, f'{scores[i]:.1%}', va='center', size=9, color=TEXT)
    names = [f'{class_names[i]}  ({shares[i]:.1%})' for i in chosen]
    axes.set_yticks(places, names)
    axes.set(xlim=(0, 1.08), xlabel='intersection over union (in brackets: share of the pixels)')
    axes.invert_yaxis()
    axes.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    plain_axes(axes)
    axes.grid(visible=False, axis='y')
    axes.set_title(f'Mean IoU {scores[chosen].mean():.1%}', loc='left', size=10)
    save_figure(figure, path)


def group_table(
    values: np.ndarray, group_names: Sequence[str], columns: Sequence[str], path: str | Path
) -> None:
    """Writes scores of cities as a table whose cells are the darker the higher they are.

    Args:
      values: `[groups, columns]`, 0 to 1; NaN where a city has no pixel of a class.
      group_names: `[groups]`.
      columns: names of the scores.
      path: of the PNG.
    """
    rows = len(group_names)
    # Slanted names of columns take as much height as their length says; rows keep theirs.
    above = 0.7 * text_width(new_figure(1, 1), columns, 10) / DPI
    figure = new_figure(1.8 + 0.62 * len(columns), max(1.1, 0.4 + above) + 0.3 * rows,
                        layout='compressed')  # fmt: skip
    axes = figure.add_subplot()
    axes.imshow(np.ma.masked_invalid(values), cmap='Blues', vmin=0, vmax=1, aspect='auto')
    axes.set_facecolor('#f4f4f4')
    axes.set_yticks(range(rows), group_names)
    axes.set_xticks(range(len(columns)), columns, rotation=40, ha='left', rotation_mode='anchor')
    axes.tick_params(length=0, labeltop=True, labelbottom=False)
    axes.set_xticks(np.arange(len(columns) - 1) + 0.5, minor=True)
    axes.set_yticks(np.arange(rows - 1) + 0.5, minor=True)
    axes.grid(which='minor', color='white', linewidth=1.5)
    axes.tick_params(which='minor', length=0)
    axes.spines[:].set_visible(False)
    for row, column in np.argwhere(np.isfinite(values)):
        value = 100 * values[row, column]
        colour = 'white' if value > 55 else TEXT
        axes.text(column, row, f'{value:.1f}', ha='center', va='center', color=colour, size=8.5)
    save_figure(figure, path, crop=True)
