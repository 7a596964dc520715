"""The figure of a study: its metric against the keys that vary."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle
from matplotlib.ticker import NullLocator, PercentFormatter

from eojax.drawing.style import COLOURS, FAINT, TEXT, new_figure, plain_axes, save_figure
from eojax.studies.grid.cells import Row
from eojax.studies.grid.figures import MARKERS
from eojax.studies.sweep.plan import Study, title_of
from eojax.studies.sweep.points import (
    Point,
    best_of,
    is_number,
    is_share,
    points_of,
)
from eojax.studies.sweep.table import number_cell

# From this many values of both keys on, numbers make a map and not lines.
_MAP = 3
# Values that are so far apart, as a factor, stand on a log scale.
_LOG = 16.0
# Series that one figure tells apart.
_MOST = 7
_WHISKERS = 'mean and deviation over the seeds'


def draw(rows: Sequence[Row], study: Study, metric: str, path: Path) -> None:
    """Writes the figure; nothing where no run has the metric.

    One key: a line for numbers, dots with intervals for names. Two: a map where both are numbers of
    three values and more, else a line or a row of dots for each value of the second. Further keys
    are told in the names of the series. One key at a time: a row of dots for each change. Whiskers
    are standard deviations over the seeds, faint dots single runs; a ring marks the best point by
    validation.
    """
    points = [point for point in points_of(rows, study, metric) if point.runs]
    if not points:
        return
    keys = list(study.compared)
    if study.base is None and len(keys) == 2 and all(_numeric(points, key) >= _MAP for key in keys):
        return _map(points, keys, metric, path)
    # The key with most numbers is the axis.
    axis = max(keys, key=lambda key: _numeric(points, key), default='')
    along = study.base is None and bool(axis) and _numeric(points, axis) > 1
    figure = new_figure(7.2, 4.6 if along else 1.6 + 0.45 * len(points))
    axes = figure.subplots()
    if along:
        _lines(axes, points, rows, study, axis, metric)
    else:
        _dots(axes, points, rows, study, metric)
    plain_axes(axes)
    axes.set_title(study.name, loc='left')
    save_figure(figure, path)
    return None


def _numeric(points: Sequence[Point], key: str) -> int:
    """How many values a key has, if all are numbers; else 0."""
    values = {point.values[key] for point in points}
    return len(values) if all(map(is_number, values)) else 0


def _series(points: Sequence[Point], axis: str) -> dict[str, list[Point]]:
    """The points by the values of all other keys, in words."""
    series: dict[str, list[Point]] = {}
    for point in points:
        others = (f'{key}={value}' for key, value in point.values.items() if key != axis)
        series.setdefault(', '.join(others), []).append(point)
    return series


def _scores(rows: Sequence[Row], study: Study, point: Point, metric: str) -> list[float]:
    """The numbers of a point's single runs."""
    own = [row for row in rows if title_of(row, study) == point.title]
    return [row[metric] for row in own if row.get(metric) is not None]


def _lines(
    axes: Axes, points: Sequence[Point], rows: Sequence[Row], study: Study, axis: str, metric: str
) -> None:
    places = sorted({float(point.values[axis]) for point in points})
    if places[0] > 0.0 and places[-1] / places[0] >= _LOG:
        axes.set_xscale('log')
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_major_locator(NullLocator())
    axes.set_xticks(places, [f'{place:g}' for place in places])
    best = best_of(points, metric)
    for number, (title, own) in enumerate(_series(points, axis).items()):
        colour = COLOURS[number % len(COLOURS)]
        where = [float(point.values[axis]) for point in own]
        for place, point in zip(where, own, strict=True):
            scores = _scores(rows, study, point, metric)
            axes.plot([place] * len(scores), scores, 'o', color=colour, alpha=0.3, markersize=4)
        axes.errorbar(
            where, [point.mean for point in own], _whiskers(own), color=colour, linewidth=1.8,
            marker=MARKERS[number % len(MARKERS)], markersize=6, capsize=3, elinewidth=1.2,
            label=title or _WHISKERS, zorder=3, linestyle='-' if number < _MOST else ':',
        )  # fmt: skip
    if best is not None:
        _ring(axes, float(best.values[axis]), best.mean)
    axes.set_xlabel(axis)
    axes.set_ylabel(f'test {metric}')
    if is_share(metric):
        axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=None))
    axes.legend(loc='best', fontsize=8)


def _dots(
    axes: Axes, points: Sequence[Point], rows: Sequence[Row], study: Study, metric: str
) -> None:
    best = best_of(points, metric)
    for place, point in enumerate(points):
        scores = _scores(rows, study, point, metric)
        axes.plot(scores, [place] * len(scores), 'o', color=COLOURS[0], alpha=0.3, markersize=4)
    axes.errorbar(
        [point.mean for point in points], range(len(points)), xerr=_whiskers(points),
        color=COLOURS[0], marker='o', markersize=7, linestyle='none', capsize=3, zorder=3,
        label=_WHISKERS,
    )  # fmt: skip
    if best is not None:
        _ring(axes, best.mean, points.index(best))
    axes.legend(loc='best', fontsize=8)
    axes.set_yticks(range(len(points)), [point.title for point in points])
    axes.set_ylim(len(points) - 0.5, -0.5)
    axes.set_xlabel(f'test {metric}')
    if is_share(metric):
        axes.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=None))


def _whiskers(points: Sequence[Point]) -> list[float]:
    return [0.0 if np.isnan(point.deviation) else point.deviation for point in points]


def _ring(axes: Axes, x: float, y: float) -> None:
    axes.plot(
        [x], [y], 'o', markersize=14, markerfacecolor='none', markeredgecolor=TEXT,
        markeredgewidth=1.3, linestyle='none', label='best by validation', zorder=4,
    )  # fmt: skip


def _map(points: Sequence[Point], keys: Sequence[str], metric: str, path: Path) -> None:
    """A map of two keys that are numbers, with the number in each cell."""
    across, down = keys
    columns, rows = (sorted({point.values[key] for point in points}) for key in (across, down))
    means = np.full((len(rows), len(columns)), np.nan)
    figure = new_figure(1.9 + 1.15 * len(columns), 1.4 + 0.62 * len(rows))
    axes = figure.subplots()
    where: dict[str, tuple[int, int]] = {}
    for point in points:
        where[point.title] = rows.index(point.values[down]), columns.index(point.values[across])
        means[where[point.title]] = point.mean
    image = axes.imshow(means, cmap='cividis', aspect='auto')
    low, high = np.nanmin(means), np.nanmax(means)
    for point in points:
        row, column = where[point.title]
        dark = point.mean < (low + high) / 2.0
        axes.text(
            column, row, number_cell(point.mean, point.deviation, metric), ha='center', va='center',
            color='white' if dark else 'black', fontsize=8,
        )  # fmt: skip
    best = best_of(points, metric)
    if best is not None:
        row, column = where[best.title]
        corner = (column - 0.47, row - 0.46)
        frame = Rectangle(corner, 0.94, 0.92, fill=False, edgecolor=COLOURS[1], linewidth=2.5)
        axes.add_patch(frame)
        axes.set_title('framed: best by validation', loc='left', fontsize=9)
    axes.set_xticks(range(len(columns)), _ticks(columns))
    axes.set_yticks(range(len(rows)), _ticks(rows))
    axes.set(xlabel=across, ylabel=down)
    axes.spines[:].set_color(FAINT)
    formatter = PercentFormatter(1.0, decimals=None) if is_share(metric) else None
    figure.colorbar(image, label=f'test {metric}', format=formatter)
    save_figure(figure, path)


def _ticks(values: Sequence[Any]) -> list[str]:
    return [f'{value:g}' for value in values]
