"""Classes of places and of the plane, where they are known (thesis, section 2.4.2)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from matplotlib.ticker import PercentFormatter

from eojax.apps.representativeness.figures import (
    panel_height,
    place_titles,
    plane_axes,
    small_multiples,
)
from eojax.apps.representativeness.gathered import Gathered
from eojax.apps.representativeness.places import LABELLED, TEST, UNLABELLED
from eojax.apps.representativeness.regions import Grid
from eojax.drawing.style import COLOURS, TEXT, new_figure, plain_axes, save_figure


def class_shares(gathered: Gathered) -> dict[str, np.ndarray]:
    """The mean share of each class, of each place and then of each part; without unknown ones.

    Images count alike, however many of their pixels are known.
    """
    known = ~np.isnan(gathered.shares).any(1)
    part_of = np.array([part for _, part in gathered.places])[gathered.place]
    groups = {
        title: gathered.place == number for number, title in enumerate(place_titles(gathered))
    }
    parts = (LABELLED, UNLABELLED, TEST)
    groups |= {f'all {part}': part_of == part for part in parts if (part_of == part).any()}
    return {
        title: gathered.shares[own & known].mean(0)
        for title, own in groups.items()
        if (own & known).any()
    }


def colours_of(gathered: Gathered) -> list[str]:
    """Of the classes: those of the data set, else of the house."""
    if gathered.class_colours:
        return list(gathered.class_colours)
    return [COLOURS[n % len(COLOURS)] for n in range(len(gathered.class_names))]


def histograms(gathered: Gathered, shares: Mapping[str, np.ndarray], path: Path) -> None:
    """A panel for each place and part, a bar for each class (Fig. 2.14 and 2.16)."""
    rows, columns = small_multiples(len(shares), 5)
    names, colours = gathered.class_names, colours_of(gathered)
    figure = new_figure(2.4 * columns, 1.6 * rows + 0.5 + 0.25 * -(-len(names) // 5))
    panels = figure.subplots(rows, columns, squeeze=False, sharey=True).ravel()
    for axes, (title, values) in zip(panels, shares.items(), strict=False):
        axes.bar(range(len(names)), values, color=colours, edgecolor='#606060', linewidth=0.4)
        axes.set_title(title, size=9, color=TEXT, loc='left')
        axes.set_xticks([])
        axes.set_ylim(0, max(0.05, *(float(v.max()) for v in shares.values())) * 1.05)
        axes.yaxis.set_major_formatter(PercentFormatter(1.0))
        axes.tick_params(labelsize=8)
        plain_axes(axes)
        for place, value in enumerate(values):
            if value == 0.0:  # an absent class, told from a small one
                axes.text(place, 0.0, '×', ha='center', va='bottom', size=8, color='#606060')
    for axes in panels[len(shares) :]:
        axes.set_visible(False)
    bars = panels[0].patches
    figure.legend(bars, names, loc='outside lower center', ncols=min(len(names), 5), fontsize=8.5,
                  frameon=False, handlelength=1)  # fmt: skip
    save_figure(figure, path)


def shares_in_plane(gathered: Gathered, points: np.ndarray, grid: Grid, path: Path) -> None:
    """A panel for each class: each image in the plane, the darker the more of it is of that class
    (Fig. 2.15). Images without a known class are left out."""
    known = ~np.isnan(gathered.shares).any(1)
    names = gathered.class_names
    rows, columns = small_multiples(len(names))
    figure = new_figure(2.1 * columns + 0.6, panel_height(grid) * rows)
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    for number, (axes, name) in enumerate(zip(panels, names, strict=False)):
        share = gathered.shares[known, number]
        order = np.argsort(share, kind='stable')  # the high ones on top
        plane_axes(axes, grid)
        x, y = points[known][order].T
        drawn = axes.scatter(x, y, c=share[order], cmap='magma_r', vmin=0.0,
                             vmax=1.0, s=6, linewidths=0)  # fmt: skip
        axes.set_title(f'{name} ({share.mean():.0%})', size=9, color=TEXT, loc='left')
    for axes in panels[len(names) :]:
        axes.set_visible(False)
    bar = figure.colorbar(drawn, ax=list(panels), shrink=0.7, aspect=30, pad=0.02)
    bar.ax.yaxis.set_major_formatter(PercentFormatter(1.0))
    bar.outline.set_visible(False)
    bar.ax.tick_params(length=0, labelsize=8)
    save_figure(figure, path)
