"""The figures of a transfer study: accuracy against the number of labelled images."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.ticker import PercentFormatter

from eojax.drawing.style import COLOURS, FAINT, new_figure, plain_axes, save_figure
from eojax.studies.grid.cells import Row
from eojax.studies.grid.figures import MARKERS, beside, label_axis, places_of
from eojax.studies.grid.tables import over_seeds
from eojax.studies.transfer_study.table import (
    Comparison,
    Series,
    belongs,
    comparisons,
    labels_of_rows,
    parts_of,
    runs_of_series,
)
from eojax.studies.transfer_study.variants import METHODS_COMPARED


def draw(rows: Sequence[Row], folder: Path) -> None:
    """Writes the figure of each comparison that there are numbers for.

    Args:
      rows: sorted (`sort_rows`).
      folder: to write to.
    """
    measured = [row for row in rows if row['accuracy'] is not None]
    for comparison in comparisons(measured):
        comparison_figure(measured, comparison, folder / f'{comparison.name}.png')


def comparison_figure(rows: Sequence[Row], comparison: Comparison, path: Path) -> None:
    """Writes mean accuracies with standard errors, a panel for each data set and its classes."""
    chosen = [row for row in rows if any(belongs(row, one) for one in comparison.series)]
    parts = parts_of(chosen)
    figure = new_figure(1.0 + 4.6 * len(parts), 4.7)
    figure.suptitle(comparison.title, x=0.01, ha='left', size=12)
    panels = figure.subplots(1, len(parts), squeeze=False)[0]
    for axes, (title, own) in zip(panels, parts.items(), strict=True):
        _draw_panel(axes, own, comparison)
        axes.set_title(title, loc='left', size=10.5)
    several = len({row['seed'] for row in chosen}) > 1
    panels[0].set_ylabel('test accuracy' + several * ', mean ± standard error')
    # Below, where no curve runs through it; long enough to tell dashes from lines.
    figure.legend(
        *panels[0].get_legend_handles_labels(),
        loc='outside lower left', ncols=2, fontsize=9, frameon=False, handlelength=3,
    )  # fmt: skip
    for axes in panels:
        plain_axes(axes)
    save_figure(figure, path)


def _draw_panel(axes: Axes, rows: Sequence[Row], comparison: Comparison) -> None:
    labels, series = labels_of_rows(rows), comparison.series
    places = places_of(labels)
    for number, (one, style) in enumerate(zip(series, _styles(series), strict=True)):
        summary = over_seeds(runs_of_series(rows, 'accuracy', one), labels)
        summary.index = [places[n] * beside(number, len(series)) for n in labels]
        points = summary[summary['count'] > 0]
        axes.errorbar(
            points.index, points['mean'], points['sem'].fillna(0.0),
            markersize=6, linewidth=1.8, capsize=3, elinewidth=1.2, label=one.title, zorder=3,
            **style,
        )  # fmt: skip
    num_classes = rows[0]['num_classes']
    if num_classes:
        axes.axhline(1 / num_classes, color=FAINT, linewidth=1, linestyle=(0, (4, 3)),
                     label='chance, 1 / classes', zorder=1)  # fmt: skip
    label_axis(axes, places)
    axes.set_xlabel('labelled images of the target')
    axes.yaxis.set_major_formatter(PercentFormatter(1.0))


def _styles(series: Sequence[Series]) -> list[dict[str, Any]]:
    """A colour for each method, the same in all figures, and dashes for its further series.

    Where all are of one method, a colour for each.
    """
    methods = [one.key.method for one in series]
    styles = []
    for number, method in enumerate(methods):
        again = methods[:number].count(method) if len(set(methods)) > 1 else 0
        place = number if len(set(methods)) == 1 else METHODS_COMPARED.index(method)
        styles.append({
            'color': COLOURS[place % len(COLOURS)],
            'marker': MARKERS[place % len(MARKERS)],
            'markerfacecolor': 'white' if again else None,
            'linestyle': (0, (4, 1.5 * again)) if again else '-',
        })  # fmt: skip
    return styles
