"""The pictures of a comparison of domains: scores of one set beside training's, and all sets.

As in `eojax.drawing.figures`, every function writes one PNG, complete or not at all.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.patheffects import withStroke
from matplotlib.ticker import MaxNLocator, PercentFormatter

from eojax.drawing.pictures import arrange, mosaic
from eojax.drawing.style import (
    COLOURS,
    FAINT,
    TEXT,
    bare_axes,
    new_figure,
    plain_axes,
    save_figure,
    score_bins,
)

SCORES = ('log_density', 'max_probability', 'gradient')
# How much detail an image has, which ranks nothing by itself (`eojax.evaluation.roughness`).
DETAIL = ('roughness', 'grain')
# Of all these and the training images' (`eojax.metrics.typicality`).
DERIVED = ('typicality', 'states', 'ratio')
_TRAINING = '#595959'
_MARKERS = 'osD^vP'
_EXAMPLE_ROWS = 2


class Row(NamedTuple):
    """The scores of a domain by one run, as its figure shows them.

    Attributes:
      title: the run's.
      names: of `SCORES`, for people, by these names.
      training, domain: scores `[num]` of both sets, by these names.
      numbers: `kl`, and by the name of a score `auroc` and `fpr95`.
      lowest, highest: images of the domain, uint8 `[num, H, W, 1 or 3]`, by log p(x).
    """

    title: str
    names: Mapping[str, str]
    training: Mapping[str, np.ndarray]
    domain: Mapping[str, np.ndarray]
    numbers: Mapping[str, Any]
    lowest: np.ndarray
    highest: np.ndarray


def kl_text(value: float | None) -> str:
    """A divergence in nats, for people; a single image has none."""
    return '-' if value is None else f'{value:.2f}'


def domain_figure(name: str, rows: Sequence[Row], path: str | Path) -> None:
    """Writes the histograms of a domain beside the training set's, in the same bins, a row a run.

    log p(x) is large, with the divergence above it; max p(y|x) and the gradient are small. Below,
    images of the domain with the lowest and the highest log p(x). An arrow at the end of an axis
    says how many images of the domain lie beyond it; they stand in the outermost bin.

    Args:
      name: of the domain.
      rows: of the runs.
      path: of the PNG.
    """
    figure = new_figure(10.5, 0.35 + 5.0 * len(rows))
    figure.suptitle(f'{name} beside the training images', x=0.01, ha='left', size=13)
    parts = figure.subfigures(len(rows), 1, squeeze=False, hspace=0.03).ravel()
    for part, row in zip(parts, rows, strict=True):
        grid = part.add_gridspec(3, 2, width_ratios=(1.75, 1), height_ratios=(1, 1, 1.15))
        large = part.add_subplot(grid[:2, 0])
        _score_panel(large, 'log_density', row, name)
        large.set_title(
            f'{row.title}:  KL {kl_text(row.numbers["kl"])} nats,  {_ranks(row, "log_density")}',
            loc='left', size=10.5,
        )  # fmt: skip
        # Not on top of the training set.
        middle = np.mean(large.get_xlim())
        free = 'right' if np.median(row.training['log_density']) < middle else 'left'
        large.legend(loc=f'upper {free}', fontsize=9)
        plain_axes(large)
        for number, score in enumerate(SCORES[1:]):
            small = part.add_subplot(grid[number, 1])
            _score_panel(small, score, row, name)
            small.set_title(_ranks(row, score), loc='left', size=9.5)
            plain_axes(small)
        strips = grid[2, :].subgridspec(1, 2)
        for number, (end, images) in enumerate((('lowest', row.lowest), ('highest', row.highest))):
            axes = part.add_subplot(strips[number])
            axes.imshow(mosaic(_two_rows(images)), interpolation='nearest')
            axes.set_title(f'{end} {row.names["log_density"]}', loc='left', size=9.5)
            axes.set_anchor('NW')
            bare_axes(axes)
    save_figure(figure, path)


def domains_overview(rows: Mapping[str, Mapping[str, Row]], path: str | Path) -> None:
    """Writes all domains in one figure, a block for each run.

    Left: histograms of log p(x), the training set's in grey behind each. Right: the AUROC of
    all scores, where 0.5 is chance and 1 tells the domain apart without error.

    Args:
      rows: title of the run -> name of the domain -> its row.
      path: of the PNG.
    """
    count = max(len(block) for block in rows.values())
    figure = new_figure(10.5, (1.25 + 0.62 * count) * len(rows))
    parts = figure.subfigures(len(rows), 1, squeeze=False).ravel()
    for part, (title, block) in zip(parts, rows.items(), strict=True):
        part.suptitle(title, x=0.01, ha='left', size=12)
        grid = part.add_gridspec(len(block), 2, width_ratios=(1.9, 1))
        training = next(iter(block.values())).training['log_density']
        samples = [training, *(row.domain['log_density'] for row in block.values())]
        low, high, edges = score_bins(samples, 24)
        for number, (name, row) in enumerate(block.items()):
            axes = part.add_subplot(grid[number, 0])
            colour = COLOURS[number % len(COLOURS)]
            tallest = max(
                _outline(axes, training, edges, _TRAINING, fill=True),
                _outline(axes, row.domain['log_density'], edges, colour),
            )
            _count_beyond(axes, row.domain['log_density'], edges, colour)
            axes.set(xlim=(low, high), ylim=(0, 1.12 * tallest), yticks=[])
            label = f'{name}\nKL {kl_text(row.numbers["kl"])}'
            axes.set_ylabel(label, rotation=0, ha='right', va='center', size=9.5, color=TEXT)
            axes.spines[['top', 'right', 'left']].set_visible(False)
            if number < len(block) - 1:
                axes.tick_params(labelbottom=False, length=0)
            else:
                axes.set_xlabel(f'{row.names["log_density"]}, unnormalised (grey: training images)')
        _auroc_panel(part.add_subplot(grid[:, 1]), block)
    save_figure(figure, path)


def _auroc_panel(axes: Axes, block: Mapping[str, Row]) -> None:
    """A line for each domain with the AUROC of each score on it, the first domain on top."""
    places = -np.arange(len(block))
    first = next(iter(block.values()))
    scores = [score for score in (*SCORES, *DERIVED) if score in first.numbers]
    for number, score in enumerate(scores):
        values = [row.numbers[score]['auroc'] for row in block.values()]
        # The gradient's formula would be too long for the legend.
        label = score if score in ('gradient', *DERIVED) else first.names[score]
        axes.plot(
            values, places + 0.13 * ((len(scores) - 1) / 2 - number), _MARKERS[number],
            color=COLOURS[number], markersize=6, label=label, clip_on=False,
        )  # fmt: skip
    axes.axvline(0.5, color=FAINT, linewidth=1, linestyle=(0, (4, 3)))
    axes.set(xlim=(0, 1), ylim=(0.5 - len(block), 0.5), yticks=places, yticklabels=[])
    axes.set_xlabel('AUROC')
    axes.tick_params(axis='y', length=0)
    plain_axes(axes)
    axes.legend(
        loc='lower left', bbox_to_anchor=(-0.03, 1.0), ncols=3, fontsize=9, frameon=False,
        handletextpad=0.1, columnspacing=0.8,
    )  # fmt: skip


def _score_panel(axes: Axes, score: str, row: Row, name: str) -> None:
    """Both sets' histograms of a score."""
    training, domain = row.training[score], row.domain[score]
    if score == 'max_probability':
        edges = np.linspace(0.0, 1.0, 26)
        axes.xaxis.set_major_formatter(PercentFormatter(1.0))
    else:
        edges = score_bins([training, domain], 24 if score == 'log_density' else 14)[2]
        axes.xaxis.set_major_locator(MaxNLocator(6))
    tallest = max(
        _outline(axes, training, edges, _TRAINING, 'training', fill=True),
        _outline(axes, domain, edges, COLOURS[1], name),
    )
    _count_beyond(axes, domain, edges, COLOURS[1])
    unit = ', unnormalised' if score == 'log_density' else ''
    axes.set(xlabel=row.names[score] + unit, xlim=(edges[0], edges[-1]), ylim=(0, 1.12 * tallest))
    axes.yaxis.set_major_formatter(PercentFormatter(1.0))
    axes.yaxis.set_major_locator(MaxNLocator(4))
    if score == 'log_density':
        axes.set_ylabel('share of images')


def _outline(
    axes: Axes, sample: np.ndarray, edges: np.ndarray, colour: str, label: str = '',
    fill: bool = False,
) -> float:  # fmt: skip
    """A histogram; what lies beyond its edges stands in the outermost bins.

    Returns:
      The height of the highest bin without what lies beyond, which may leave the axis.
    """
    counts = np.histogram(sample, edges)[0]
    tallest = float(counts.max() / len(sample))
    counts[0] += np.sum(sample < edges[0])
    counts[-1] += np.sum(sample > edges[-1])
    share = counts / len(sample)
    axes.stairs(share, edges, color=colour, alpha=0.35 if fill else 0.15, fill=True)
    axes.stairs(share, edges, color=colour, linewidth=1.0 if fill else 1.7, label=label)
    return tallest


def _count_beyond(axes: Axes, sample: np.ndarray, edges: np.ndarray, colour: str) -> None:
    """Arrows at the ends of the axis, and how many of the sample lie beyond it."""
    for place, align, beyond in (
        (0.015, 'left', int(np.sum(sample < edges[0]))),
        (0.985, 'right', int(np.sum(sample > edges[-1]))),
    ):
        if beyond:
            count = f'{beyond:,} of {len(sample):,}'
            text = f'\u25c0 {count}' if align == 'left' else f'{count} \u25b6'
            axes.text(
                place, 0.72, text, transform=axes.transAxes, ha=align, va='center', size=9,
                color=colour, weight='bold',
                path_effects=[withStroke(linewidth=3, foreground='white')],
            )  # fmt: skip


def _ranks(row: Row, score: str) -> str:
    numbers = row.numbers[score]
    return f'AUROC {numbers["auroc"]:.3f},  FPR at 95% TPR {numbers["fpr95"]:.1%}'


def _two_rows(images: np.ndarray) -> np.ndarray:
    return arrange(images, -(-len(images) // _EXAMPLE_ROWS))
