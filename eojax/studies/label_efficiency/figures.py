"""The figures of the label efficiency table: numbers against labels, and calibration by labels."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import PercentFormatter

from eojax.drawing.style import COLOURS, FAINT, new_figure, plain_axes, save_figure
from eojax.errors import UserError
from eojax.studies.grid.cells import Row
from eojax.studies.grid.figures import MARKERS, beside, label_axis, places_of
from eojax.studies.grid.process import reliability_file
from eojax.studies.label_efficiency.table import (
    labels_of_rows,
    methods_of_rows,
    published,
    summary_of,
)

_PANELS_A_ROW = 3


class Curve(NamedTuple):
    """A reliability curve over the test images of several runs.

    Attributes:
      confidence, accuracy: the mean of each bin's images; NaN where there are none.
      counts: of images.
    """

    confidence: np.ndarray
    accuracy: np.ndarray
    counts: np.ndarray


def draw(rows: Sequence[Row], folder: Path) -> None:
    """Writes those figures that there are numbers for.

    Args:
      rows: sorted (`sort_rows`).
      folder: to write to.
    """
    for key, title in (('accuracy', 'accuracy'), ('ece', 'expected calibration error')):
        if any(row.get(key) is not None for row in rows):
            against_labels(rows, key, title, folder / f'{key}.png')
    reliability(rows, folder / 'reliability.png')


def against_labels(rows: Sequence[Row], key: str, title: str, path: Path) -> None:
    """Writes a number of each config against the labels per class, a panel for each data set.

    Error bars are standard deviations over the seeds; hollow markers are the papers' numbers.
    """
    sets = list(dict.fromkeys(row['data'] for row in rows))
    figure = new_figure(1.2 + 5.6 * len(sets), 4.4)
    colours = _colours(rows)
    panels = figure.subplots(1, len(sets), sharey=True, squeeze=False)[0]
    for axes, data in zip(panels, sets, strict=True):
        own = [row for row in rows if row['data'] == data]
        _draw_panel(axes, own, key, colours)
        axes.set_xlabel('labelled images per class')
        if len(sets) > 1:
            axes.set_title(data, loc='left')
        axes.yaxis.set_major_formatter(PercentFormatter(1.0))
        plain_axes(axes)
    panels[0].set_ylabel(title)
    save_figure(figure, path)


def _colours(rows: Sequence[Row]) -> dict[str, tuple[str, str]]:
    """A colour and a marker for each config."""
    return {
        config: (COLOURS[number % len(COLOURS)], MARKERS[number % len(MARKERS)])
        for number, config in enumerate(methods_of_rows(rows))
    }


def _draw_panel(
    axes: Axes, rows: Sequence[Row], key: str, colours: dict[str, tuple[str, str]]
) -> None:
    labels = labels_of_rows(rows)[::-1]
    places = places_of(labels)
    methods = methods_of_rows(rows)
    told: set[str] = set()
    for number, (config, method) in enumerate(methods.items()):
        colour, marker = colours[config]
        shift = beside(number, len(methods))
        summary = summary_of(rows, key, config, labels)
        summary.index = [places[n] * shift for n in labels]
        points = summary[summary['count'] > 0]
        axes.errorbar(
            points.index, points['mean'], points['std'].fillna(0.0),
            color=colour, marker=marker, markersize=6, linewidth=1.8, capsize=3, elinewidth=1.2,
            label=config, zorder=3,
        )  # fmt: skip
        if method in told:
            continue
        told.add(method)
        papers = [(n, r) for n in labels if (r := published(key, rows[0]['data'], method, n))]
        axes.errorbar(
            [places[n] * shift for n, _ in papers],
            [r.value for _, r in papers],
            [r.deviation or 0.0 for _, r in papers],
            color=colour, marker=marker, markersize=7, markerfacecolor='white', markeredgewidth=1.2,
            linestyle=(0, (1, 2)), linewidth=1.0, capsize=2, elinewidth=0.8, zorder=2,
        )  # fmt: skip
        if papers and 'paper' not in told:
            told.add('paper')
    if 'paper' in told:
        axes.plot(
            [], [], color=FAINT, marker='o', markersize=7, markerfacecolor='white',
            linestyle=(0, (1, 2)), linewidth=1.0, label='the papers',
        )  # fmt: skip
    label_axis(axes, places)
    axes.legend(loc='best', fontsize=9)


def reliability(rows: Sequence[Row], path: Path) -> None:
    """Writes reliability curves, a panel for each data set and number of labels.

    Only of runs whose calibration is measured; nothing where there are none.
    """
    panels = []
    for data in dict.fromkeys(row['data'] for row in rows):
        own = [row for row in rows if row['data'] == data and row['error'] is None]
        for labels in labels_of_rows(own)[::-1]:
            chosen = [row for row in own if row['labels_per_class'] == labels]
            curves = {
                config: merged([f for row in chosen if row['config'] == config
                                if (f := reliability_file(Path(row['folder']))).exists()])
                for config in methods_of_rows(chosen)
            }  # fmt: skip
            curves = {config: curve for config, curve in curves.items() if curve.counts.sum()}
            if curves:
                panels.append((data, labels, chosen, curves))
    if not panels:
        return
    columns = min(_PANELS_A_ROW, len(panels))
    lines = -(-len(panels) // columns)
    figure = new_figure(0.6 + 4.1 * columns, 0.4 + 4.2 * lines)
    grid = figure.subplots(lines, columns, squeeze=False).ravel()
    colours, several = _colours(rows), len({panel[0] for panel in panels}) > 1
    for axes in grid[len(panels) :]:
        axes.remove()
    for axes, (data, labels, chosen, curves) in zip(grid, panels, strict=False):
        title = f'{labels} label{"" if labels == 1 else "s"} per class'
        axes.set_title(f'{data}, {title}' if several else title, loc='left')
        _draw_curves(axes, data, labels, chosen, curves, colours)
    save_figure(figure, path)


def _draw_curves(
    axes: Axes,
    data: str,
    labels: Any,
    rows: Sequence[Row],
    curves: dict[str, Curve],
    colours: dict[str, tuple[str, str]],
) -> None:
    axes.plot([0, 1], [0, 1], color=FAINT, linewidth=1, linestyle=(0, (4, 3)))
    for config, curve in curves.items():
        colour, marker = colours[config]
        filled = curve.counts > 0
        (error,) = summary_of(rows, 'ece', config, [labels])['mean']
        paper = published('ece', data, methods_of_rows(rows)[config], labels)
        text = config if np.isnan(error) else f'{config}: ECE {error:.1%}'
        axes.plot(
            curve.confidence[filled], curve.accuracy[filled],
            color=colour, marker=marker, markersize=5, linewidth=1.8,
            label=text if paper is None else f'{text} (paper {paper.value:.1%})',
        )  # fmt: skip
    axes.set(xlabel='confidence, max p(y|x)', ylabel='accuracy', xlim=(0, 1), ylim=(0, 1.02))
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    axes.legend(loc='upper left', fontsize=8)
    plain_axes(axes)


def merged(files: Sequence[Path]) -> Curve:
    """The reliability curve over the images of several `reliability.json`; empty of none.

    Raises:
      UserError: one is damaged.
    """
    total = np.zeros(1)
    sums = {'confidence': np.zeros(1), 'accuracy': np.zeros(1)}
    for file in files:
        try:
            bins = json.loads(file.read_bytes())['bins']
            counts = np.asarray(bins['counts'], np.float64)
            # An empty bin has no mean, null in the file.
            means = {
                key: np.asarray([value or 0.0 for value in bins[key]], np.float64) for key in sums
            }
            total = total + counts
            sums = {key: sums[key] + counts * means[key] for key in sums}
        except (ValueError, KeyError, TypeError) as error:
            raise UserError(f'{file} is damaged: {error!r}; delete it') from error
    with np.errstate(invalid='ignore'):
        return Curve(sums['confidence'] / total, sums['accuracy'] / total, total)
