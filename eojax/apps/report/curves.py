"""The course of a training as panels of SVG, drawn from the rows of `metrics.jsonl`.

Drawn here and not by matplotlib, so that the lines take the page's colours, light or dark, and stay
sharp. A long series is the median of equal parts, in a band from the lowest to the highest value.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from matplotlib.ticker import EngFormatter, MaxNLocator

from eojax.apps.report.page import Html, number, tag, words

_WIDTH, _HEIGHT = 320.0, 170.0  # of a panel, with its labels
_LEFT, _RIGHT, _TOP, _BOTTOM = 44.0, 8.0, 8.0, 22.0
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


def curves(rows: Sequence[Mapping[str, Any]], marks: Marks) -> Html:
    """A panel for each metric of the rows, against the step."""
    end = max((row['step'] for row in rows), default=0)
    panels = []
    for name in metric_names(rows):
        points = [(row['step'], row[name]) for row in rows if _is_number(row.get(name))]
        values = np.array(sorted(points), np.float64)
        panels.append(_panel(name, values[:, 0], values[:, 1], end, marks))
    return tag('div', *panels, class_='curves')


def _is_number(value: Any) -> bool:
    kind = isinstance(value, (int, float)) and not isinstance(value, bool)
    return kind and bool(np.isfinite(value))


def _panel(name: str, steps: np.ndarray, values: np.ndarray, end: int, marks: Marks) -> Html:
    low, high = _range(values)
    ticks = np.asarray(MaxNLocator(4).tick_values(low, high))
    low, high = min(low, ticks[0]), max(high, ticks[-1])

    def across(step: Any) -> Any:
        return _LEFT + (_WIDTH - _LEFT - _RIGHT) * step / max(end, 1)

    def up(value: Any) -> Any:
        inside = np.clip(value, low, high)
        return _HEIGHT - _BOTTOM - (_HEIGHT - _TOP - _BOTTOM) * (inside - low) / (high - low)

    parts = [*_axes(ticks, end, across, up)]
    for kind, places in (('phase', marks.phases), ('event', marks.events)):
        for place in places:
            x = f'{across(min(place, end)):.1f}'
            parts.append(tag('line', class_=kind, x1=x, x2=x, y1=_TOP, y2=_HEIGHT - _BOTTOM))
    parts += _series(across(steps), up(values))
    title = words(name)
    last = number(float(values[-1]), name)
    told = (
        f'{title} against the step: {len(values):,} values from {number(float(values.min()), name)}'
        f' to {number(float(values.max()), name)}, the last {last}'
    )
    outside = int(np.sum((values < low) | (values > high)))
    note = f'{outside:,} beyond the axis' if outside else f'last {last}'
    svg = tag('svg', *parts, viewBox=f'0 0 {_WIDTH:g} {_HEIGHT:g}', role='img', aria_label=told)
    return tag('figure', tag('figcaption', tag('b', title), tag('span', note)), svg)


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


def _axes(ticks: np.ndarray, end: int, across: Any, up: Any) -> list[Html]:
    parts = []
    write = EngFormatter(sep='') if np.abs(ticks).max() >= 1e4 else _short(ticks)
    for value in ticks:
        y = f'{up(value):.1f}'
        parts.append(tag('line', class_='grid', x1=_LEFT, x2=_WIDTH - _RIGHT, y1=y, y2=y))
        text = write(value)
        parts.append(tag('text', text, x=_LEFT - 6, y=y, dy='.35em', text_anchor='end'))
    thousands = EngFormatter(sep='')
    for step in MaxNLocator(4, integer=True).tick_values(0, max(end, 1)):
        if step <= end:
            anchor = 'end' if across(step) > _WIDTH - 20 else 'middle'
            place = {'x': f'{across(step):.1f}', 'y': _HEIGHT - 5, 'text_anchor': anchor}
            parts.append(tag('text', thousands(step), **place))
    return parts


def _short(ticks: np.ndarray) -> Any:
    """Writes ticks with as many decimals as tell them apart."""
    step = float(np.diff(ticks).min())
    decimals = max(0, -int(np.floor(np.log10(step) + 1e-9)))
    if decimals > 5:
        return lambda value: f'{value:.0e}'
    # A quarter or so needs one more digit than its size says.
    decimals += not np.isclose(step * 10**decimals, round(step * 10**decimals))
    return lambda value: f'{value:.{decimals}f}'


def _series(x: np.ndarray, y: np.ndarray) -> list[Html]:
    if len(x) <= 2 * _PARTS:
        parts = [tag('polyline', class_='line', points=_points(x, y))]
        if len(x) <= 12:
            dots = (tag('circle', class_='dot', cx=f'{a:.1f}', cy=f'{b:.1f}', r=2.6)
                    for a, b in zip(x, y, strict=True))  # fmt: skip
            parts += dots
        return parts
    pieces = [(np.mean(a), np.median(b), b.min(), b.max())
              for a, b in zip(np.array_split(x, _PARTS), np.array_split(y, _PARTS), strict=True)
              ]  # fmt: skip
    middle, median, lowest, highest = np.array(pieces).T
    around = _points(
        np.concatenate([middle, middle[::-1]]), np.concatenate([lowest, highest[::-1]])
    )
    return [
        tag('polygon', class_='band', points=around),
        tag('polyline', class_='line', points=_points(middle, median)),
    ]


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


def events_table(rows: Sequence[Mapping[str, Any]]) -> list[tuple[str, str, str]]:
    """What happened, at which step, and what was done about it; from the rows with an `event`."""
    told = []
    for row in rows:
        if 'event' not in row:
            continue
        at = row.get('at', row['step'])
        if row['event'] == 'diverged':
            rate = row.get('rate')
            times = f'{rate:g}' if _is_number(rate) else number(rate)
            done = f'back to step {row["step"]:,}, learning rate times {times}'
            told.append(('diverged', number(at), done))
        else:
            rest = {k: v for k, v in row.items() if k not in ('event', 'step', 'at')}
            done = ', '.join(f'{words(key)} {number(value, key)}' for key, value in rest.items())
            told.append((words(str(row['event'])), number(at), done))
    return told
