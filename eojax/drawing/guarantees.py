"""Figures of what a classifier guarantees: sets of classes, corrected areas, answers left open.

As in `eojax.drawing.figures`, every function writes one PNG, complete or not at all.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib import colormaps
from matplotlib.ticker import PercentFormatter

from eojax.drawing.class_colours import Colour
from eojax.drawing.style import COLOURS, FAINT, new_figure, plain_axes, save_figure
from eojax.metrics.areas import Areas
from eojax.metrics.conformal import BlockShares
from eojax.metrics.selective import area_under

# Of a curve of many thousand places.
_DRAWN_POINTS = 2000
_TITLES = {
    'confidence': 'max p(y|x)',
    'log_density': 'log p(x)',
    'set_size': 'size of the set of classes',
}


def size_colours(num: int) -> tuple[Colour, ...]:
    """Colours of sets of 0, 1, ..., `num` - 1 classes: red where empty, then light to dark."""
    steps = np.linspace(0.08, 1.0, max(num - 1, 1))
    scale = [tuple(round(255 * part) for part in colormaps['YlGnBu'](x)[:3]) for x in steps]
    return ((204, 51, 17), *[(red, green, blue) for red, green, blue in scale])[:num]


def set_coverage(
    shares: BlockShares, level: float, sizes: np.ndarray, unit: str, path: str | Path
) -> None:
    """Writes the coverage of each block of ground, and how many classes the sets have.

    Args:
      shares: how often a set holds the true class.
      level: that was asked for.
      sizes: int `[K + 1]`, how many sets have 0, 1, ..., K classes.
      unit: what has a set, `images` or `pixels`.
      path: of the PNG.
    """
    figure = new_figure(8.6, 3.4)
    left, right = figure.subplots(1, 2, width_ratios=(1.5, 1.0))
    num = len(shares.blocks)
    if num == sizes.sum():
        left.axis('off')
        text = (
            f'each of {num:,} {unit} is a block of its own\n\n'
            f'coverage {shares.mean:.1%} (95 % interval {shares.low:.1%} to {shares.high:.1%})\n'
            f'asked for {level:.0%}'
        )
        left.text(0.0, 0.6, text, transform=left.transAxes, size=10, va='center')
    else:
        left.axhspan(shares.low, shares.high, color=COLOURS[0], alpha=0.15, linewidth=0)
        left.axhline(shares.mean, color=COLOURS[0], linewidth=1.5, label=f'mean {shares.mean:.1%}')
        left.axhline(
            level, color=COLOURS[1], linestyle='--', linewidth=1.2, label=f'asked for {level:.0%}'
        )
        left.plot(np.arange(num) + 1, np.sort(shares.blocks), 'o', color=COLOURS[0], markersize=3.5)
        left.set(
            xlabel='blocks of ground, from the worst to the best', ylabel='sets with the true class'
        )
        left.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
        left.set_ylim(top=1.02)
        left.legend(loc='lower right', fontsize=9)
        plain_axes(left)
    right.bar(np.arange(len(sizes)), sizes / max(sizes.sum(), 1), color=COLOURS[0], width=0.75)
    right.set(xlabel='classes in a set', ylabel=f'share of the {unit}')
    most = 12  # that stand side by side
    right.set_xticks(np.arange(0, len(sizes), -(-len(sizes) // most)))
    right.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    plain_axes(right)
    save_figure(figure, path)


def area_intervals(
    areas: Areas, names: Sequence[str], path: str | Path, truth: np.ndarray | None = None
) -> None:
    """Writes the share of each class: as the map counts it, and corrected with its interval.

    Args:
      names: of the classes.
      path: of the PNG.
      truth: float `[K]`, the true shares, where they are known.
    """
    shown = [
        number for number in range(len(names))
        if areas.shares.high[number] > 0.0 or areas.mapped[number] > 0.0
    ]  # fmt: skip
    figure = new_figure(7.2, 1.1 + 0.36 * len(shown))
    axes = figure.subplots()
    places = np.arange(len(shown))[::-1]
    value = areas.shares.value[shown]
    lengths = np.maximum([value - areas.shares.low[shown], areas.shares.high[shown] - value], 0.0)
    axes.errorbar(
        value, places, xerr=lengths, fmt='o', color=COLOURS[0], markersize=5, capsize=3,
        label='corrected, 95 % interval',
    )  # fmt: skip
    # The corrected shares are of all ground; what the map leaves open is in none of its own.
    left_open = 1.0 - float(areas.mapped[: len(names)].sum())
    counted = 'as the map counts it' + (f' ({left_open:.0%} left open)' if left_open > 5e-3 else '')
    axes.plot(
        areas.mapped[shown], places, 's', markerfacecolor='none', color=COLOURS[1], markersize=6,
        linestyle='none', label=counted,
    )  # fmt: skip
    if truth is not None:
        axes.plot(
            truth[shown], places, 'x', color='black', markersize=6, linestyle='none', label='true'
        )
    axes.set_yticks(places, [names[number] for number in shown])
    axes.set(xlabel='share of the mapped ground', ylim=(-0.6, len(shown) - 0.4))
    axes.set_xlim(left=0.0)
    axes.xaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    axes.legend(fontsize=9, loc='best')
    plain_axes(axes)
    save_figure(figure, path)


def risk_coverage(curves: Mapping[str, np.ndarray], path: str | Path) -> None:
    """Writes the error rate of what is answered over the share that is.

    Args:
      curves: `eojax.metrics.selective.risks` of each score.
      path: of the PNG.
    """
    figure = new_figure(5.4, 3.8)
    axes = figure.subplots()
    for (name, curve), colour in zip(curves.items(), COLOURS, strict=False):
        coverage = np.arange(1, len(curve) + 1) / len(curve)
        drawn = np.unique(np.linspace(0, len(curve) - 1, _DRAWN_POINTS).astype(int))
        # The first few places alone say little, and jump.
        drawn = drawn[coverage[drawn] >= 0.02]
        label = f'{_TITLES.get(name, name)}: area {area_under(curve):.3f}'
        axes.plot(coverage[drawn], curve[drawn], color=colour, linewidth=1.8, label=label)
    whole = next(iter(curves.values()))[-1]
    axes.axhline(whole, color=FAINT, linestyle='--', linewidth=1.0)
    axes.set(xlabel='share that is answered', ylabel='error rate of the answers', xlim=(0.0, 1.0))
    axes.set_ylim(bottom=0.0)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    axes.legend(fontsize=9, loc='best')
    plain_axes(axes)
    save_figure(figure, path)
