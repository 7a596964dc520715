"""The plane and what lies in it: each place's images and region, scores, thumbnails, others.

As in `eojax.drawing.figures`, every function writes one PNG, complete or not at all.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, Rectangle

from eojax.apps.representativeness.gathered import Gathered
from eojax.apps.representativeness.places import BESIDE, LABELLED, TEST, UNLABELLED
from eojax.apps.representativeness.regions import Grid, Regions, Table
from eojax.drawing.style import (
    COLOURS,
    FAINT,
    TEXT,
    bare_axes,
    legend_label,
    new_figure,
    save_figure,
)

PART_COLOURS = {LABELLED: '#0072B2', UNLABELLED: '#56B4E9', TEST: '#D55E00', BESIDE: '#CC0000'}
PART_TITLES = {LABELLED: 'labelled', UNLABELLED: 'unlabelled', TEST: 'test', BESIDE: 'beside'}
_MOST_NUMBERS = 24  # rows or columns of a table whose cells still have room for numbers
_THUMBNAILS = 26  # along the longer side of the plane


def place_titles(gathered: Gathered) -> list[str]:
    """The names of the places, each with its part where two have the same."""
    names = [name for name, _ in gathered.places]
    return [
        f'{name} ({part})' if names.count(name) > 1 and name != part else name
        for name, part in gathered.places
    ]


def small_multiples(num: int, most_columns: int = 6) -> tuple[int, int]:
    """Rows and columns of panels."""
    columns = min(num, most_columns, max(2, math.ceil(math.sqrt(num * 1.4))))
    return -(-num // columns), columns


def panel_height(grid: Grid, width: float = 2.1) -> float:
    """Inches of a panel of the plane with its title."""
    return width * grid.shape[0] / grid.shape[1] + 0.25


def plane_axes(axes: Axes, grid: Grid) -> None:
    """The plane without ticks: neither its axes nor its scale have a meaning."""
    rows, columns = grid.shape
    axes.set(
        xlim=(grid.low[0], grid.low[0] + columns * grid.cell),
        ylim=(grid.low[1], grid.low[1] + rows * grid.cell),
        aspect='equal',
    )
    bare_axes(axes)
    axes.spines[:].set(visible=True, color='#d0d0d0')


def overlaps(table: Table, path: Path) -> None:
    """Both tables as heat maps, with lines before the unions (Fig. 2.13 of the thesis)."""
    rows, columns = table.iou.shape
    wide = 2.6 + 2 * max(2.6, 0.5 * columns)
    figure = new_figure(wide, 1.9 + max(1.6, 0.4 * rows))
    panels = figure.subplots(1, 2, sharey=True)
    training = sum(not title.startswith('all ') for title in table.rows)
    for axes, scores, title in (
        (panels[0], table.iou, 'IoU: how alike'),
        (panels[1], table.iot, 'IoT: share of the test region that training covers'),
    ):
        image = axes.imshow(scores, vmin=0.0, vmax=1.0, cmap='Blues', aspect='auto')
        axes.set_title(title, size=10, color=TEXT, loc='left')
        axes.set_xticks(range(columns), table.columns, rotation=50, ha='right',
                        rotation_mode='anchor', size=9)  # fmt: skip
        axes.set_yticks(range(rows), table.rows, size=9)
        axes.tick_params(length=0)
        axes.axhline(training - 0.5, color='white', linewidth=3)
        axes.axvline(columns - 1.5, color='white', linewidth=3)
        axes.spines[:].set_visible(False)
        if max(rows, columns) <= _MOST_NUMBERS:
            for row, column in np.ndindex(rows, columns):
                value = scores[row, column]
                axes.text(column, row, f'{value:.2f}', ha='center', va='center', size=8,
                          color='white' if value > 0.55 else TEXT)  # fmt: skip
    bar = figure.colorbar(image, ax=panels, shrink=0.8, aspect=22, pad=0.015)
    bar.outline.set_visible(False)
    bar.ax.tick_params(length=0, labelsize=8)
    panels[0].set_ylabel('training')
    figure.supxlabel('test', size=10)
    save_figure(figure, path)


def places(gathered: Gathered, points: np.ndarray, regions: Regions, judged: Sequence[int],
           path: Path) -> None:  # fmt: skip
    """A panel for each place: its images and its region, all others in grey (Fig. 2.12).

    Args:
      points: `[N, 2]`, where images lie.
      judged: the numbers of the places that have a region, in the regions' order.
    """
    rows, columns = small_multiples(len(judged))
    figure = new_figure(2.1 * columns, panel_height(regions.grid) * rows)
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    x, y = regions.grid.centres()
    titles = place_titles(gathered)
    for axes, number, decision in zip(panels, judged, regions.decisions, strict=False):
        part = gathered.places[number][1]
        own, colour = gathered.place == number, PART_COLOURS[part]
        plane_axes(axes, regions.grid)
        axes.scatter(*_xy(points[~own]), s=2, color='#dcdcdc', linewidths=0, rasterized=True)
        axes.contourf(x, y, decision, levels=[0.0, np.inf], colors=[colour], alpha=0.22)
        axes.contour(x, y, decision, levels=[0.0], colors=[colour], linewidths=1.1)
        axes.scatter(*_xy(points[own]), s=5, color=colour, linewidths=0)
        label = titles[number] if titles[number] == part else f'{titles[number]} · {part}'
        axes.set_title(f'{label} ({own.sum():,})', size=8.5, color=TEXT, loc='left')
    for axes in panels[len(judged) :]:
        axes.set_visible(False)
    save_figure(figure, path)


def split(gathered: Gathered, points: np.ndarray, regions: Regions, judged: Sequence[int],
          path: Path) -> None:  # fmt: skip
    """The union of each part's regions, and training against test (Fig. 2.17).

    Args: as of `places`.
    """
    parts = [part for part in (LABELLED, UNLABELLED, TEST) if gathered.numbers(part)]
    rows, columns = regions.grid.shape
    figure = new_figure(2.9 * (len(parts) + 1), 2.9 * rows / columns + 0.8)
    panels = figure.subplots(1, len(parts) + 1)
    x, y = regions.grid.centres()
    part_of = np.array([part for _, part in gathered.places])

    def highest(*wanted: str) -> np.ndarray:
        chosen = [
            decision
            for number, decision in zip(judged, regions.decisions, strict=True)
            if part_of[number] in wanted
        ]
        # Where any SVM's decision is positive; they differ in scale, and only the sign counts.
        return np.max(chosen, axis=0)

    for axes, part in zip(panels, parts, strict=False):
        own, colour = part_of[gathered.place] == part, PART_COLOURS[part]
        plane_axes(axes, regions.grid)
        axes.scatter(*_xy(points[~own]), s=2, color='#dcdcdc', linewidths=0)
        axes.contourf(x, y, highest(part), levels=[0.0, np.inf], colors=[colour], alpha=0.25)
        axes.scatter(*_xy(points[own]), s=4, color=colour, linewidths=0)
        number = len(gathered.numbers(part))
        axes.set_title(f'{PART_TITLES[part]}: {number} place{"s" * (number > 1)}', size=10,
                       color=TEXT, loc='left')  # fmt: skip
    axes = panels[-1]
    plane_axes(axes, regions.grid)
    training, test = highest(LABELLED, UNLABELLED), highest(TEST)
    kinds = (
        (training >= 0) & (test < 0),
        (training >= 0) & (test >= 0),
        (training < 0) & (test >= 0),
    )
    shown = ('#bcd8ea', '#7a7aa8', PART_COLOURS[TEST])
    for mask, colour in zip(kinds, shown, strict=True):
        axes.contourf(x, y, mask.astype(float), levels=[0.5, 1.5], colors=[colour])
    names = ('training alone', 'both', 'test alone: not covered')
    handles = [Patch(color=c, label=n) for c, n in zip(shown, names, strict=True)]
    axes.legend(handles=handles, loc='upper center', bbox_to_anchor=(0.5, -0.01), ncols=3,
                fontsize=7.5, frameon=False, handlelength=1, columnspacing=0.8,
                handletextpad=0.4)  # fmt: skip
    axes.set_title('training against test', size=10, color=TEXT, loc='left')
    save_figure(figure, path)


def appearance(gathered: Gathered, points: np.ndarray, path: Path) -> None:
    """Thumbnails where they lie in the plane: of each cell of a lattice, the image nearest to its
    centre, framed in the colour of its part (Fig. 2.10)."""
    assert gathered.thumbnails is not None
    low, high = points.min(0), points.max(0)
    step = float((high - low).max()) / _THUMBNAILS
    cell = np.floor((points - low) / step).astype(int)
    away = np.abs(points - (low + (cell + 0.5) * step)).max(1)
    nearest: dict[tuple[int, int], int] = {}
    for image in np.argsort(away, kind='stable'):
        nearest.setdefault((int(cell[image, 0]), int(cell[image, 1])), int(image))
    size = high - low + step
    figure = new_figure(9.0 * size[0] / size.max(), 9.0 * size[1] / size.max() + 0.35)
    axes = figure.subplots()
    for (column, row), image in nearest.items():
        x, y = low[0] + column * step, low[1] + row * step
        part = gathered.places[gathered.place[image]][1]
        box = (x + 0.04 * step, x + 0.96 * step, y + 0.04 * step, y + 0.96 * step)
        axes.add_patch(_frame(box, PART_COLOURS[part], 0.03 * step))
        axes.imshow(gathered.thumbnails[image], extent=box, zorder=2, interpolation='bilinear')
    axes.set(xlim=(low[0] - 0.1 * step, low[0] + (cell[:, 0].max() + 1.1) * step),
             ylim=(low[1] - 0.1 * step, low[1] + (cell[:, 1].max() + 1.1) * step))  # fmt: skip
    axes.set_aspect('equal')
    bare_axes(axes)
    present = [part for part in PART_COLOURS if gathered.numbers(part)]
    axes.legend(handles=[Patch(color=PART_COLOURS[p], label=PART_TITLES[p]) for p in present],
                loc='upper center', bbox_to_anchor=(0.5, 0.0), ncols=4, frameon=False)  # fmt: skip
    save_figure(figure, path)


def _frame(box: tuple[float, float, float, float], colour: str, width: float) -> Patch:
    left, right, bottom, top = box
    return Rectangle((left - width, bottom - width), right - left + 2 * width,
                     top - bottom + 2 * width, color=colour, zorder=1)  # fmt: skip


def beside(gathered: Gathered, points: np.ndarray, regions: Regions, path: Path) -> None:
    """Another data set in the plane of all places (Fig. 2.18)."""
    figure = new_figure(6.4, 6.2)
    axes = figure.subplots()
    plane_axes(axes, regions.grid)
    handles = []
    part_of = np.array([part for _, part in gathered.places])[gathered.place]
    for part in (LABELLED, UNLABELLED, TEST):
        if gathered.numbers(part):
            axes.scatter(*_xy(points[part_of == part]), s=7, color=PART_COLOURS[part], alpha=0.55,
                         linewidths=0)  # fmt: skip
            handles.append(_dot(PART_COLOURS[part], PART_TITLES[part]))
    x, y = regions.grid.centres()
    axes.contour(x, y, np.max(regions.decisions, axis=0), levels=[0.0], colors=[FAINT],
                 linewidths=0.8)  # fmt: skip
    for rank, number in enumerate(gathered.numbers(BESIDE)):
        colour = ('#CC0000', *COLOURS[2:])[rank % 6]
        own = gathered.place == number
        axes.scatter(*_xy(points[own]), s=34, marker='*', color=colour, edgecolors='white',
                     linewidths=0.4, zorder=3)  # fmt: skip
        handles.append(Line2D([], [], marker='*', linestyle='', color=colour, markersize=9,
                              label=legend_label(gathered.places[number][0])))  # fmt: skip
    axes.legend(handles=handles, loc='upper center', bbox_to_anchor=(0.5, 0.0), ncols=4,
                fontsize=9, frameon=False)  # fmt: skip
    save_figure(figure, path)


def _xy(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return points[:, 0], points[:, 1]


def _dot(colour: str, label: str) -> Line2D:
    return Line2D([], [], marker='o', linestyle='', color=colour, markersize=5, label=label)
