"""The pictures of a run: sample grids, confusion, calibration, densities, chains and curves.

Every function writes one PNG, which appears complete or not at all, and keeps no state
(`eojax.drawing.style`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator, PercentFormatter

from eojax.drawing.pictures import GAP_PIXELS, mosaic
from eojax.drawing.style import (
    COLOURS,
    DPI,
    FAINT,
    TEXT,
    bare_axes,
    legend_label,
    new_figure,
    plain_axes,
    save_figure,
    score_bins,
    text_width,
)
from eojax.drawing.wording import count_in_words, whole_percent
from eojax.metrics.calibration import ReliabilityCurve, error_of, wilson_interval

_CELL_PIXELS = 96  # at least, of one image in a grid
_MARGIN_PIXELS = 12
_LINE_PIXELS = 16  # of a further line of a column's label
_TALLEST = 3.0  # bins of a histogram that are drawn whole, in heights of the first set's


def image_grid(
    images: np.ndarray,
    path: str | Path,
    row_labels: Sequence[str] | None = None,
    column_labels: Sequence[str] | None = None,
    title: str | None = None,
) -> None:
    """Writes a grid of images, each enlarged by a whole factor so that its pixels stay crisp.

    Args:
      images: uint8 `[rows, columns, height, width, 3]`, or 1 band for grey.
      path: of the PNG.
      row_labels: `[rows]`, to the left.
      column_labels: `[columns]`, above.
      title: above all.

    Raises:
      ValueError: the images have another shape or type, or the labels another number.
    """
    if images.ndim != 5 or images.shape[-1] not in (1, 3) or images.dtype != np.uint8:
        raise ValueError(
            f'images must be uint8 [rows, columns, height, width, 1 or 3], got {images.dtype} '
            f'{images.shape}'
        )
    num_rows, num_columns, height, width, _ = images.shape
    for labels, num in ((row_labels, num_rows), (column_labels, num_columns)):
        if labels is not None and len(labels) != num:
            raise ValueError(f'{len(labels)} labels for {num} rows or columns')
    factor = max(1, math.ceil(_CELL_PIXELS / max(height, width)))
    picture = mosaic(images, factor)
    figure = new_figure(1.0, 1.0, layout=None)
    label_width = text_width(figure, row_labels or [])
    slanted = text_width(figure, column_labels or []) > width * factor
    tallest = text_width(figure, column_labels or []) * 0.75 if slanted else 0
    beyond = text_width(figure, (column_labels or [])[-1:]) * 0.75 - width * factor / 2
    left = _MARGIN_PIXELS + (label_width + 8 if row_labels else 0)
    breaks = max((label.count('\n') for label in column_labels or ()), default=0)
    above = 20 + tallest + _LINE_PIXELS * breaks if column_labels else 0
    top = _MARGIN_PIXELS + above + (30 if title else 0)
    right = _MARGIN_PIXELS + (max(beyond, 0) if slanted else 0)
    rows, columns = picture.shape[:2]
    full_width = math.ceil(max(left + columns + right, text_width(figure, [title or ''], 12) + 24))
    full_height = math.ceil(top + rows + _MARGIN_PIXELS)
    figure.set_size_inches(full_width / DPI, full_height / DPI)
    box = (
        *(left / full_width, _MARGIN_PIXELS / full_height),
        *(columns / full_width, rows / full_height),
    )
    axes = figure.add_axes(box)
    axes.imshow(picture, interpolation='nearest', aspect='auto')
    bare_axes(axes)
    for labels, along, size in (
        (row_labels, axes.yaxis, height),
        (column_labels, axes.xaxis, width),
    ):
        if labels is not None:
            step = size * factor + GAP_PIXELS
            centres = np.arange(len(labels)) * step + (size * factor - 1) / 2
            along.set_ticks(centres.tolist(), list(labels))
    axes.tick_params(length=0, labelsize=9, labeltop=True, labelbottom=False)
    if slanted:
        for label in axes.get_xticklabels():
            label.set(rotation=45, ha='left', rotation_mode='anchor')
    if title:
        figure.text(_MARGIN_PIXELS / full_width, 1 - 10 / full_height, title, va='top', size=12)
    save_figure(figure, path)


def filmstrip(frames: np.ndarray, step_numbers: Sequence[int], path: str | Path) -> None:
    """Writes the course of some chains, one in each row, time from left to right.

    Args:
      frames: uint8 `[steps, chains, height, width, 3]`.
      step_numbers: `[steps]`, the step after which each frame was taken.
      path: of the PNG.
    """
    labels = [f'step {number:,}' for number in step_numbers]
    image_grid(np.swapaxes(frames, 0, 1), path, column_labels=labels)


def confusion_matrix(
    matrix: np.ndarray, class_names: Sequence[str], path: str | Path, unit: str = 'images'
) -> None:
    """Writes a confusion matrix as the share of each true class, in per cent.

    Args:
      matrix: counts `[classes, classes]`, row the true class, column the predicted one.
      class_names: `[classes]`.
      path: of the PNG.
      unit: what is counted.
    """
    num = len(class_names)
    if np.shape(matrix) != (num, num):
        raise ValueError(f'a matrix {np.shape(matrix)} for {num} classes')
    counts = np.sum(matrix, axis=1)
    shares = np.asarray(matrix) / np.maximum(counts, 1)[:, None]
    side = 2.6 + 0.52 * num
    figure = new_figure(side + 0.9, side, layout='compressed')
    axes = figure.add_subplot()
    image = axes.imshow(shares, cmap='Blues', vmin=0, vmax=1)
    axes.set_xticks(range(num), class_names, rotation=45, ha='right', rotation_mode='anchor')
    names = [f'{name}  ({count:,})' for name, count in zip(class_names, counts, strict=True)]
    axes.set_yticks(range(num), names)
    axes.set(xlabel='predicted', ylabel=f'true class ({unit})')
    axes.tick_params(length=0)
    axes.set_xticks(np.arange(num - 1) + 0.5, minor=True)
    axes.set_yticks(np.arange(num - 1) + 0.5, minor=True)
    axes.grid(which='minor', color='white', linewidth=1.5)
    axes.tick_params(which='minor', length=0)
    axes.spines[:].set_visible(False)
    for row, column in np.argwhere(shares > 0):
        share = shares[row, column]
        colour = 'white' if share > 0.55 else TEXT
        text = whole_percent(share)
        axes.text(column, row, text, ha='center', va='center', color=colour, size=8.5)
    bar = figure.colorbar(image, ax=axes, fraction=0.04, pad=0.03, format=PercentFormatter(1.0))
    bar.set_label('share of the true class')
    bar.outline.set_visible(False)
    accuracy = np.trace(matrix) / max(np.sum(matrix), 1)
    axes.set_title(f'Accuracy {accuracy:.2%}', loc='left')
    save_figure(figure, path, crop=True)


def reliability_diagram(
    curves: Mapping[str, ReliabilityCurve], path: str | Path, unit: str = 'images'
) -> None:
    """Writes accuracy against confidence, and below it how often each confidence occurs.

    Each bin's accuracy has its 95% interval (Wilson's, of independent images), and where there is
    one curve alone, each bin the number of its images.

    Args:
      curves: by name, all with as many bins.
      path: of the PNG.
      unit: what is counted.
    """
    figure = new_figure(5.2, 6.2)
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    upper.plot([0, 1], [0, 1], color=FAINT, linewidth=1, linestyle=(0, (4, 3)))
    for index, (name, curve) in enumerate(curves.items()):
        colour = COLOURS[index % len(COLOURS)]
        edges = np.linspace(0, 1, len(curve.counts) + 1)
        filled = curve.counts > 0
        accuracy, counts = curve.accuracy[filled], curve.counts[filled]
        low, high = wilson_interval(accuracy, counts)
        upper.errorbar(
            curve.confidence[filled], accuracy,
            np.maximum([accuracy - low, high - accuracy], 0.0),
            marker='o', markersize=5, linewidth=1.8, color=colour, elinewidth=1.1, capsize=2.5,
            label=f'{name}  (ECE {error_of(curve):.3f})',
        )  # fmt: skip
        share = curve.counts / curve.counts.sum()
        lower.stairs(share, edges, color=colour, linewidth=1.8)
        lower.stairs(share, edges, color=colour, alpha=0.15, fill=True)
        if len(curves) == 1:
            centres = (edges[:-1] + edges[1:]) / 2
            for place, high_up, count in zip(centres, share, curve.counts, strict=True):
                text = count_in_words(int(count)) if count else ''
                lower.text(place, high_up, f' {text}', rotation=90, ha='center', va='bottom',
                           size=7, color=TEXT)  # fmt: skip
            lower.set_ylim(0, 1.35 * share.max())
    upper.set(ylabel='accuracy', xlim=(0, 1), ylim=(0, 1.02))
    upper.legend(loc='upper left')
    lower.set(xlabel='confidence, max p(y|x)', ylabel=f'share of {unit}')
    lower.set_ylim(bottom=0)
    for axis in (upper.xaxis, upper.yaxis, lower.yaxis):
        axis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    for axes in (upper, lower):
        plain_axes(axes)
    save_figure(figure, path)


def calibration_curves(curves: Mapping[str, ReliabilityCurve], path: str | Path) -> None:
    """Writes the reliability curves of several models side by side with their confidences.

    Left: accuracy against confidence, where a calibrated model lies on the diagonal, with 95%
    intervals (Wilson's, of independent images). Right: the models' calibration errors, and how
    often each confidence occurs.

    Args:
      curves: by name, all with as many bins.
      path: of the PNG.
    """
    entries = [f'{name}: ECE {error_of(curve):.3f}' for name, curve in curves.items()]
    # In inches: the square of the curves, and beside it the legend above the confidences.
    key_width = 0.5 + text_width(new_figure(1, 1), entries) / DPI
    key_height = 0.1 + 0.21 * len(entries)
    width, height = max(2.9, key_width), max(4.2, key_height + 2.6)
    full = (6.7 + width, height + 0.85)
    figure = new_figure(*full, layout=None)

    def panel(left: float, wide: float, high: float) -> Axes:
        return figure.add_axes((left / full[0], 0.65 / full[1], wide / full[0], high / full[1]))

    axes, lower = panel(0.75, 4.6, height), panel(6.4, width, height - key_height - 0.2)
    axes.plot([0, 1], [0, 1], color=FAINT, linewidth=1, linestyle=(0, (4, 3)))
    for place, align, text in ((0.03, 'left', 'too cautious'), (0.97, 'right', 'too confident')):
        axes.text(place, 1 - place, text, ha=align, va='center', color=FAINT, size=9)
    lines = []
    for index, curve in enumerate(curves.values()):
        colour = COLOURS[index % len(COLOURS)]
        edges = np.linspace(0, 1, len(curve.counts) + 1)
        filled = curve.counts > 0
        confidence, accuracy = curve.confidence[filled], curve.accuracy[filled]
        low, high = wilson_interval(accuracy, curve.counts[filled])
        axes.vlines(confidence, low, high, color=colour, linewidth=1.1, alpha=0.55)
        lines += axes.plot(
            confidence, accuracy,
            color=colour, linewidth=1.8, marker='os^Dv'[index % 5], markersize=5,
        )  # fmt: skip
        lower.stairs(curve.counts / curve.counts.sum(), edges, color=colour, linewidth=1.6)
    axes.set(xlabel='confidence, max p(y|x)', ylabel='accuracy', xlim=(0, 1), ylim=(0, 1.02))
    lower.set(xlabel='confidence', ylabel='share of images', xlim=(0, 1), ylim=(0, None))
    for axis in (axes.xaxis, axes.yaxis, lower.xaxis, lower.yaxis):
        axis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    lower.yaxis.set_major_locator(MaxNLocator(5, steps=(1, 2, 5, 10)))  # whole per cents
    corner = (6.4 / full[0], (0.65 + height) / full[1])
    figure.legend(
        lines, entries, loc='upper left', bbox_to_anchor=corner, frameon=False, fontsize=9,
        borderaxespad=0, borderpad=0,
    )  # fmt: skip
    plain_axes(axes)
    plain_axes(lower)
    save_figure(figure, path)


def log_density_histogram(
    scores: Mapping[str, np.ndarray],
    path: str | Path,
    num_bins: int = 24,
    of: str = 'images',
    score: str = 'log p(x), unnormalised',
) -> None:
    """Writes histograms of unnormalised log p(x), one outline per set of images or pixels.

    The axis covers the bulk of the first set (1st to 99th percentile), and of the others what lies
    up to as far again on either side. What lies beyond stands in the outermost bins, which may
    leave the axis, and is counted in the legend. So may bins three times as high as the first
    set's highest: the legend says how high they are.

    Args:
      scores: name -> `[num]`; the first set is the reference, usually the training set.
      path: of the PNG.
      num_bins: over the width of the first set.
      of: what has the scores.
      score: what they are.
    """
    figure = new_figure(8.4, 3.8)
    axes = figure.add_subplot()
    _densities(axes, scores, score_bins(list(scores.values()), num_bins)[2])
    axes.set(xlabel=score, ylabel=f'share of {of}')
    axes.legend(loc='upper left', bbox_to_anchor=(1.0, 1.0), fontsize=9)
    plain_axes(axes)
    save_figure(figure, path)


def log_density_panels(
    panels: Mapping[str, Mapping[str, np.ndarray]],
    path: str | Path,
    edges: np.ndarray,
    score: str = 'log p(x), unnormalised',
    title: str = '',
) -> None:
    """Writes histograms of log p(x) side by side, in the same bins: of several models, or data.

    Each panel is as of `log_density_histogram`.

    Args:
      panels: title -> name -> `[num]`; the first set of a panel is its reference.
      path: of the PNG.
      edges: of the bins of all panels.
      score: what the values are.
      title: above all.
    """
    figure = new_figure(0.6 + 4.0 * len(panels), 3.9 + (0.3 if title else 0.0))
    if title:
        figure.suptitle(title, x=0.01, ha='left', size=12)
    row = figure.subplots(1, len(panels), sharex=True, sharey=True, squeeze=False)[0]
    tallest = 0.0
    for number, (axes, (name, scores)) in enumerate(zip(row, panels.items(), strict=True)):
        _densities(axes, scores, edges, apart=number)
        axes.set(xlabel=score)
        axes.set_title(name, loc='left', size=10.5)
        tallest = max(tallest, axes.get_ylim()[1])
        axes.legend(loc='upper left', fontsize=9)
        plain_axes(axes)
    # Room for the legends above the histograms.
    row[0].set(ylabel='share of images', ylim=(0, 1.45 * tallest))
    save_figure(figure, path)


def common_bins(samples: Sequence[np.ndarray], num_bins: int = 24) -> np.ndarray:
    """The edges of bins that the bulk of all samples fills, as of several models.

    Args:
      samples: `[num]` each.
      num_bins: over the width of the narrowest; at most ten times as many in all.
    """
    ends = np.array([np.percentile(sample, [1, 99]) for sample in samples])
    low, high = float(ends[:, 0].min()), float(ends[:, 1].max())
    width = max(high - low, 1e-6 * max(abs(low), abs(high), 1.0))
    narrowest = max(float((ends[:, 1] - ends[:, 0]).min()), width / 10)
    num = math.ceil(1.2 * num_bins * width / narrowest)
    return np.linspace(low - 0.1 * width, high + 0.1 * width, num + 1)


def _densities(
    axes: Axes, scores: Mapping[str, np.ndarray], edges: np.ndarray, apart: int = 0
) -> None:
    """Outlines of histograms, the first the reference, and in the labels what is not seen.

    Args:
      apart: the colour of the second set is so many after its own.
    """
    low, high = float(edges[0]), float(edges[-1])
    tallest = limit = 0.0
    for index, (name, sample) in enumerate(scores.items()):
        colour = COLOURS[(index + (apart if index else 0)) % len(COLOURS)]
        beyond = {'left': int((sample < low).sum()), 'right': int((sample > high).sum())}
        notes = [f'{count:,} of {len(sample):,} beyond {s}' for s, count in beyond.items() if count]
        share = np.histogram(np.clip(sample, low, high), edges)[0] / len(sample)
        inner = share[1:-1].max()
        limit = limit or _TALLEST * inner
        tallest = max(tallest, min(inner, limit or inner))
        notes += [f'up to {inner:.0%}'] if inner > limit > 0 else []
        label = '\n'.join([name, *notes])
        axes.stairs(share, edges, color=colour, linewidth=1.5, label=legend_label(label))
        axes.stairs(share, edges, color=colour, alpha=0.15, fill=True)
    axes.set_xlim(low, high)
    axes.set_ylim(0, 1.12 * tallest or None)
    axes.yaxis.set_major_formatter(PercentFormatter(1.0))


def training_curves(
    rows: Sequence[Mapping[str, float]], keys: Sequence[str], path: str | Path
) -> None:
    """Writes one panel for each key, against the step; long series get a running median.

    Args:
      rows: of `metrics.jsonl`: each has `step` and some of the keys; what is missing or not finite
        is left out.
      keys: what to draw; a key that no row has is refused.
      path: of the PNG.

    Raises:
      ValueError: a key is in no row.
    """
    num_columns = 2 if len(keys) == 4 else min(3, len(keys))
    num_rows = math.ceil(len(keys) / num_columns)
    figure = new_figure(3.6 * num_columns, 2.5 * num_rows)
    panels = figure.subplots(num_rows, num_columns, squeeze=False).ravel()
    for panel in panels[len(keys) :]:
        panel.remove()
    for index, (axes, key) in enumerate(zip(panels, keys, strict=False)):
        points = [(row['step'], row[key]) for row in rows if row.get(key) is not None]
        if not points:
            raise ValueError(f'no row has the key {key!r}')
        steps, values = np.array(sorted(points), np.float64).T
        finite = np.isfinite(values)
        steps, values = steps[finite], values[finite]
        window = len(values) // 50
        smooth = window >= 3
        marker = 'o' if len(values) <= 20 else None
        style = {'alpha': 0.35, 'linewidth': 0.8} if smooth else {'linewidth': 1.8}
        axes.plot(steps, values, color=COLOURS[0], marker=marker, markersize=4, **style)
        if smooth:
            axes.plot(steps, _running_median(values, window), color=COLOURS[0], linewidth=1.8)
        axes.set_title(key.replace('_', ' '), loc='left')
        axes.set_xlim(0, 1.02 * max(row['step'] for row in rows))
        axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
        if index >= len(keys) - num_columns:
            axes.set_xlabel('step')
        plain_axes(axes)
    save_figure(figure, path)


def _running_median(values: np.ndarray, window: int) -> np.ndarray:
    padded = np.pad(values, (window // 2, window - 1 - window // 2), mode='edge')
    return np.median(np.lib.stride_tricks.sliding_window_view(padded, window), axis=1)
