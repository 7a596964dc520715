"""The figures of studies of segmentation: scores of settings, of cities and classes, and curves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import NullFormatter, NullLocator, PercentFormatter

from eojax.drawing.style import COLOURS, FAINT, TEXT, new_figure, plain_axes, save_figure
from eojax.evaluation.published_segmentation import DATA_SETS
from eojax.studies.grid.figures import MARKERS, beside
from eojax.studies.segmentation.study import (
    ACCURACY,
    MEAN_IOU,
    SCORES,
    Line,
    cities_of,
    parts_of,
    runs_of_lines,
    summary_of,
)

_DRAWN = (ACCURACY, MEAN_IOU)
_LINE_HEIGHT = 0.42
_IOU = 'iou_'


def draw(lines: Sequence[Line], folder: Path) -> None:
    """Writes `scores.png`, `cities.png` and `classes.png`, those that there are numbers for."""
    counts = summary_of(lines, ACCURACY)['count']
    finished = [line for line, count in zip(lines, counts, strict=True) if count]
    if not finished:
        return
    scores(finished, folder / 'scores.png')
    cities = cities_of(finished)
    if cities:
        panels = {SCORES[key]: {city: f'{key}_{city}' for city in cities} for key in _DRAWN}
        number_grids(finished, panels, 'test city', folder / 'cities.png')
    classes = parts_of(finished, _IOU)
    if classes:
        panels = {'IoU': {key.removeprefix(_IOU): key for key in classes}}
        number_grids(finished, panels, 'class', folder / 'classes.png')


def scores(lines: Sequence[Line], path: Path) -> None:
    """Writes overall accuracy and mean IoU of each setting: every run, mean and deviation.

    The thesis' scores are hollow, and there only where they are of the same data.
    """
    figure = new_figure(9.6, 1.5 + _LINE_HEIGHT * len(lines))
    panels = figure.subplots(1, len(_DRAWN), sharey=True)
    for axes, key in zip(panels, _DRAWN, strict=True):
        for place, line in enumerate(lines):
            _draw_line(axes, line, key, place)
        for mean in summary_of([line for line in lines if line.is_base], key)['mean']:
            axes.axvline(mean, color=FAINT, linewidth=1, linestyle=(0, (4, 3)), zorder=1)
        axes.set_xlabel(SCORES[key])
        axes.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=None))
        plain_axes(axes)
        axes.tick_params(axis='y', length=0)
    panels[0].set_yticks(range(len(lines)), [line.title for line in lines])
    panels[0].set_ylim(len(lines) - 0.5, -0.5)
    if panels[0].get_legend_handles_labels()[0]:
        panels[0].legend(loc='best', fontsize=9, frameon=False)
    title = 'dot and bar: mean ± standard deviation over the seeds; strokes: the runs'
    figure.suptitle(title, x=0.01, ha='left', size=10)
    save_figure(figure, path)


def _draw_line(axes: Axes, line: Line, key: str, place: int) -> None:
    colour = TEXT if line.is_base else COLOURS[0]
    runs = runs_of_lines([line], key)
    axes.plot(runs, np.full(len(runs), place + 0.22), '|', color=colour, markersize=6, alpha=0.7)
    ((mean, deviation, _, _),) = summary_of([line], key).itertuples(index=False)
    axes.errorbar(
        mean, place, xerr=None if np.isnan(deviation) else deviation,
        color=colour, marker='o', markersize=6, capsize=3, elinewidth=1.4, zorder=3,
    )  # fmt: skip
    thesis = line.published
    if thesis is not None and thesis.data == line.rows[0]['data']:
        value, error = {
            ACCURACY: (thesis.accuracy, thesis.accuracy_deviation),
            MEAN_IOU: (thesis.mean_iou, thesis.mean_iou_deviation),
        }[key]
        known = axes.get_legend_handles_labels()[1]
        title = f'thesis, {DATA_SETS[thesis.data]}'
        axes.errorbar(
            value, place - 0.2, xerr=error, color=FAINT, marker='D', markersize=6, capsize=2,
            markerfacecolor='white', linestyle='none', label='' if title in known else title,
        )  # fmt: skip


def number_grids(
    lines: Sequence[Line], panels: Mapping[str, Mapping[str, str]], label: str, path: Path
) -> None:
    """Writes means in per cent, a row for each setting and a column for each part.

    Args:
      panels: title -> title of each column -> its key in the rows.
      label: the name of a part.
    """
    columns = max(map(len, panels.values()))
    width = 2.4 + 0.62 * columns * len(panels)
    figure = new_figure(width, 1.8 + _LINE_HEIGHT * len(lines))
    all_axes = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
    for axes, (title, keys) in zip(all_axes, panels.items(), strict=True):
        means = np.stack([summary_of(lines, key)['mean'] for key in keys.values()], axis=1)
        axes.imshow(means, cmap='Blues', vmin=0, vmax=1, aspect='auto')
        axes.set_xticks(range(len(keys)), list(keys), rotation=45, ha='right', size=9,
                        rotation_mode='anchor')  # fmt: skip
        axes.set_title(f'{title} in %, by {label}', loc='left', size=11)
        axes.spines[:].set_visible(False)
        axes.tick_params(length=0)
        for row, column in np.argwhere(np.isfinite(means)):
            value = means[row, column]
            axes.text(column, row, f'{100 * value:.1f}', ha='center', va='center', size=9,
                      color='white' if value > 0.6 else TEXT)  # fmt: skip
    all_axes[0].set_yticks(range(len(lines)), [line.title for line in lines])
    save_figure(figure, path)


def curves(
    series: Mapping[str, Mapping[float, Line]],
    label: str,
    path: Path,
    base: Line | None = None,
) -> None:
    """Writes overall accuracy and mean IoU against a number on a log scale.

    Args:
      series: title -> number -> its line; an empty title has no legend.
      label: of the number.
      base: a level across, with a band of one deviation.
    """
    figure = new_figure(10.4, 4.2)
    panels = figure.subplots(1, len(_DRAWN))
    for axes, key in zip(panels, _DRAWN, strict=True):
        if base is not None:
            ((mean, deviation, _, _),) = summary_of([base], key).itertuples(index=False)
            axes.axhline(mean, color=TEXT, linewidth=1.2, linestyle=(0, (4, 3)), label=base.title)
            if not np.isnan(deviation):
                axes.axhspan(
                    mean - deviation, mean + deviation, color=FAINT, alpha=0.18, linewidth=0
                )
        for place, (title, points) in enumerate(series.items()):
            _draw_curve(axes, points, key, title, place, len(series))
        numbers = sorted({number for points in series.values() for number in points})
        axes.set_xscale('log')
        axes.xaxis.set_major_locator(NullLocator())
        axes.xaxis.set_minor_locator(NullLocator())
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.set_xticks(numbers, [f'{number:g}' for number in numbers])
        axes.set(xlabel=label, ylabel=SCORES[key])
        axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=None))
        plain_axes(axes)
    if panels[0].get_legend_handles_labels()[0]:
        panels[0].legend(loc='best', fontsize=9, frameon=False)
    save_figure(figure, path)


def _draw_curve(
    axes: Axes, points: Mapping[float, Line], key: str, title: str, place: int, count: int
) -> None:
    """A curve of means with deviations, and every run beside it."""
    numbers = sorted(points)
    summary = summary_of([points[number] for number in numbers], key)
    shift = beside(place, count)
    colour = COLOURS[place % len(COLOURS)]
    axes.errorbar(
        [number * shift for number in numbers],
        summary['mean'],
        summary['std'].fillna(0.0),
        color=colour, marker=MARKERS[place % len(MARKERS)], markersize=6, linewidth=1.8,
        capsize=3, elinewidth=1.2, label=title, zorder=3,
    )  # fmt: skip
    for number in numbers:
        runs = runs_of_lines([points[number]], key)
        axes.plot(np.full(len(runs), number * shift), runs, '_', color=colour, alpha=0.6)
