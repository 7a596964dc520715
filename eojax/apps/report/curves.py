"""The course of a training as panels of SVG, computed from the rows of `metrics.jsonl`.

The page draws them, not matplotlib, so that the lines take the page's colours, light or dark, and
stay sharp. A long series is the median of equal parts, in a band from the
lowest to the highest value.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.ticker import EngFormatter, MaxNLocator

from eojax.apps.report.wording import number, words

_PARTS = 150  # of a long series
_FIRST = ('loss', 'accuracy', 'validation_accuracy', 'validation_nll')
_LAST = '_per_second'


class Marks(NamedTuple):
    """Steps that all panels mark.

    Attributes:
      phases: where a phase of the training begins, after the first.
      events: where something happened, such as a divergence.
    """

    phases: tuple[float, ...] = ()
    events: tuple[float, ...] = ()


class Frame(NamedTuple):
    """A panel with its labels, and the edges of the area where lines are drawn."""

    width: float = 320.0
    height: float = 170.0
    left: float = 44.0
    right: float = 312.0
    top: float = 8.0
    bottom: float = 148.0


class Tick(NamedTuple):
    """A label of an axis: its place along the axis, its text, and which end of it lies there."""

    place: str
    text: str
    anchor: str = 'end'


class Mark(NamedTuple):
    """A vertical line: its kind, `phase` or `event`, and its place."""

    kind: str
    place: str


class Panel(NamedTuple):
    """One metric against the step.

    Attributes:
      title: the metric.
      note: its last value, or how many lie beyond the axis.
      told: what is drawn, in words.
      levels, steps: labels of the two axes.
      marks: see `Marks`.
      line: the points of the curve.
      band: the outline of the range of a long series; empty for a short one.
      dots: the values of a very short series.
      frame: of the panel.
    """

    title: str
    note: str
    told: str
    levels: list[Tick]
    steps: list[Tick]
    marks: list[Mark]
    line: str
    band: str
    dots: list[tuple[str, str]]
    frame: Frame


def metric_names(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """The keys that have a number in some row: the main ones first, speeds at the end."""
    found: dict[str, None] = {}
    for row in rows:
        if 'event' not in row:
            found |= {key: None for key, value in row.items() if _is_number(value)}
    found.pop('step', None)
    first = [name for name in _FIRST if name in found]
    last = [name for name in found if name.endswith(_LAST)]
    return [*first, *(name for name in found if name not in (*first, *last)), *last]


def curves(rows: Sequence[Mapping[str, Any]], marks: Marks) -> list[Panel]:
    """A panel for each metric of the rows, against the step."""
    end = max((row['step'] for row in rows), default=0)
    panels = []
    for name in metric_names(rows):
        points = [(row['step'], row[name]) for row in rows if _is_number(row.get(name))]
        values = np.array(sorted(points), np.float64)
        panels.append(_panel(name, values[:, 0], values[:, 1], end, marks))
    return panels


def _is_number(value: Any) -> bool:
    kind = isinstance(value, (int, float)) and not isinstance(value, bool)
    return kind and bool(np.isfinite(value))


def _panel(name: str, steps: np.ndarray, values: np.ndarray, end: int, marks: Marks) -> Panel:
    low, high = _range(values)
    ticks = np.asarray(MaxNLocator(4).tick_values(low, high))
    low, high = min(low, ticks[0]), max(high, ticks[-1])
    frame = Frame()

    def across(step: Any) -> Any:
        return frame.left + (frame.right - frame.left) * step / max(end, 1)

    def up(value: Any) -> Any:
        inside = np.clip(value, low, high)
        return frame.bottom - (frame.bottom - frame.top) * (inside - low) / (high - low)

    last = number(float(values[-1]), name)
    told = (
        f'{words(name)} against the step: {len(values):,} values from'
        f' {number(float(values.min()), name)} to {number(float(values.max()), name)},'
        f' the last {last}'
    )
    outside = int(np.sum((values < low) | (values > high)))
    line, band, dots = _series(across(steps), up(values))
    return Panel(
        title=words(name),
        note=f'{outside:,} beyond the axis' if outside else f'last {last}',
        told=told,
        levels=_levels(ticks, up),
        steps=_steps(end, across, frame),
        marks=[
            Mark(kind, f'{across(min(place, end)):.1f}')
            for kind, places in (('phase', marks.phases), ('event', marks.events))
            for place in places
        ],
        line=line,
        band=band,
        dots=dots,
        frame=frame,
    )


def _range(values: np.ndarray) -> tuple[float, float]:
    """Of the axis: of all values, unless a few of them lie far from the others."""
    low, high = float(values.min()), float(values.max())
    inner = np.percentile(values, [2, 98])
    width = float(inner[1] - inner[0])
    low, high = max(low, inner[0] - 1.5 * width), min(high, inner[1] + 1.5 * width)
    if high - low <= 1e-9 * max(abs(low), abs(high)):
        slack = 0.1 * abs(low) or 1.0
        return low - slack, high + slack
    return low, high


def _levels(ticks: np.ndarray, up: Any) -> list[Tick]:
    write = EngFormatter(sep='') if np.abs(ticks).max() >= 1e4 else _short(ticks)
    return [Tick(f'{up(value):.1f}', write(value)) for value in ticks]


def _steps(end: int, across: Any, frame: Frame) -> list[Tick]:
    thousands = EngFormatter(sep='')
    return [
        Tick(
            f'{across(step):.1f}',
            thousands(step),
            'end' if across(step) > frame.width - 20 else 'middle',
        )
        for step in MaxNLocator(4, integer=True).tick_values(0, max(end, 1))
        if step <= end
    ]


def _short(ticks: np.ndarray) -> Any:
    """Writes ticks with as many decimals as tell them apart."""
    step = float(np.diff(ticks).min())
    decimals = max(0, -int(np.floor(np.log10(step) + 1e-9)))
    if decimals > 5:
        return lambda value: f'{value:.0e}'
    # A quarter or so needs one more digit than its size says.
    decimals += not np.isclose(step * 10**decimals, round(step * 10**decimals))
    return lambda value: f'{value:.{decimals}f}'


def _series(x: np.ndarray, y: np.ndarray) -> tuple[str, str, list[tuple[str, str]]]:
    """The line, the band and the dots of a series; see `Panel`."""
    if len(x) <= 2 * _PARTS:
        dots = [(f'{a:.1f}', f'{b:.1f}') for a, b in zip(x, y, strict=True)]
        return _points(x, y), '', dots if len(x) <= 12 else []
    parts = [(np.mean(a), np.median(b), b.min(), b.max())
             for a, b in zip(np.array_split(x, _PARTS), np.array_split(y, _PARTS), strict=True)
             ]  # fmt: skip
    middle, median, lowest, highest = np.array(parts).T
    outline = np.concatenate([middle, middle[::-1]]), np.concatenate([lowest, highest[::-1]])
    return _points(middle, median), _points(*outline), []


def _points(x: np.ndarray, y: np.ndarray) -> str:
    return ' '.join(f'{a:.1f},{b:.1f}' for a, b in zip(x, y, strict=True))


def phase_starts(rows: Sequence[Mapping[str, Any]]) -> list[tuple[str, int]]:
    """Name and first logged step of each phase of the training, in order."""
    starts: list[tuple[str, int]] = []
    previous = 0
    for row in rows:
        name = row.get('phase')
        if isinstance(name, str) and (not starts or starts[-1][0] != name):
            starts.append((name, previous))
        if 'event' not in row:
            previous = row['step']
    return starts


class Event(NamedTuple):
    """An event of the training, its step, and what was done about it."""

    what: str
    step: str
    done: str


def events(rows: Sequence[Mapping[str, Any]]) -> list[Event]:
    """Those of the rows with an `event`."""
    listed = []
    for row in rows:
        if 'event' not in row:
            continue
        at = number(row.get('at', row['step']))
        if row['event'] == 'diverged':
            rate = row.get('rate')
            times = f'{rate:g}' if _is_number(rate) else number(rate)
            done = f'back to step {row["step"]:,}, learning rate times {times}'
            listed.append(Event('diverged', at, done))
        else:
            rest = {k: v for k, v in row.items() if k not in ('event', 'step', 'at')}
            done = ', '.join(f'{words(key)} {number(value, key)}' for key, value in rest.items())
            listed.append(Event(words(str(row['event'])), at, done))
    return listed
