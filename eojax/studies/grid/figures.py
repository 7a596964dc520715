"""The axis of the figures of grids: numbers of labels on a log scale, series side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.ticker import NullFormatter, NullLocator

MARKERS = 'os^Dvp*'
# How far the series' points stand apart at the same number of labels, as a factor.
_APART = 1.035
# `all` stands so many times as far right as the largest number.
_ALL_AFTER = 3.0


def places_of(labels: Sequence[Any]) -> dict[Any, float]:
    """Where numbers of labels, and `all`, stand on the axis."""
    numbers = [float(n) for n in labels if n != 'all']
    last = _ALL_AFTER * max(numbers, default=1.0)
    return {n: last if n == 'all' else float(n) for n in labels}


def beside(number: int, series: int) -> float:
    """The factor that keeps a series' points, of so many series, from covering the others'."""
    return _APART ** (number - (series - 1) / 2)


def label_axis(axes: Axes, places: Mapping[Any, float]) -> None:
    """A tick at each number of labels and no other."""
    axes.set_xscale('log')
    axes.xaxis.set_major_locator(NullLocator())
    axes.set_xticks(list(places.values()), [str(n) for n in places])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_minor_formatter(NullFormatter())
