"""The base of all figures: a canvas of their own, plain axes, a PNG that appears whole.

matplotlib is used through its objects, with the Agg canvas, and nothing keeps a state. The colours
are those of Okabe and Ito (2008), which stay apart for the colour blind.
"""

from __future__ import annotations

import math
import os
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text

from eojax.errors import UserError

COLOURS = ('#0072B2', '#D55E00', '#009E73', '#CC79A7', '#E69F00', '#56B4E9', '#000000')
DPI = 120
KINDS_VARIABLE = 'EOJAX_FIGURES'
_FURTHER_KINDS = ('svg', 'pdf')
TEXT = '#262626'
FAINT = '#8c8c8c'
# What matplotlib says of a character that no font has.
_NO_GLYPH = 'missing from font'


def new_figure(width: float, height: float, layout: str | None = 'constrained') -> Figure:
    """An empty figure of that size in inches, with a canvas of its own."""
    figure = Figure(figsize=(width, height), dpi=DPI, layout=layout)  # type: ignore[arg-type]
    FigureCanvasAgg(figure)
    return figure


def text_width(figure: Figure, texts: Sequence[str], size: float = 9) -> float:
    """Pixels that the widest of the texts takes."""
    canvas = FigureCanvasAgg(figure)
    widths = [0.0]
    for text in texts:
        drawn = figure.text(0, 0, text, size=size, parse_math=False)
        widths.append(drawn.get_window_extent(canvas.get_renderer()).width)
        drawn.remove()
    return max(widths)


def bare_axes(axes: Axes) -> None:
    """No frame and no ticks."""
    axes.spines[:].set_visible(False)
    axes.set_xticks([])
    axes.set_yticks([])


def plain_axes(axes: Axes) -> None:
    """Two spines, a faint grid behind the data, a legend without a frame."""
    axes.spines[['top', 'right']].set_visible(False)
    axes.grid(color='#e6e6e6', linewidth=0.8)
    axes.set_axisbelow(True)
    legend = axes.get_legend()
    if legend is not None:
        legend.set_frame_on(False)


def save_figure(figure: Figure, path: str | Path, crop: bool = False) -> None:
    """Writes the PNG beside its place and moves it there; `crop` drops the empty edges.

    The environment variable EOJAX_FIGURES names further kinds, `svg`, `pdf` or both with a comma
    between: the same figure for print, beside the PNG.

    Names are drawn as they are: a dollar sign starts no formula. Where the fonts lack characters,
    boxes stand for them, and a line on stderr says so.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    kinds = _further_kinds()
    for text in figure.findobj(Text):
        text.set_parse_math(False)
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter('always')
        for kind in (*kinds, 'png'):  # the PNG last: where it lies, all lie
            _write(figure, path if kind == 'png' else path.with_suffix(f'.{kind}'), kind, crop)
    lacking = {str(one.message) for one in said if _NO_GLYPH in str(one.message)}
    for one in said:
        if _NO_GLYPH not in str(one.message):
            warnings.warn_explicit(one.message, one.category, one.filename, one.lineno)
    if lacking:
        print(
            f'eojax: {path}: the fonts lack {len(lacking)} characters of its names: boxes stand for'
            ' them',
            file=sys.stderr,
        )


def _write(figure: Figure, path: Path, kind: str, crop: bool) -> None:
    partial = path.with_name(f'.{path.name}.{os.getpid()}')
    try:
        if kind == 'png' and not crop:
            # The same pixels in half of the time: `savefig` draws, and lays out, once for nothing.
            FigureCanvasAgg(figure).print_png(partial)
        else:
            figure.savefig(partial, format=kind, bbox_inches='tight' if crop else None)
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


def _further_kinds() -> tuple[str, ...]:
    """The kinds of EOJAX_FIGURES.

    Raises:
      UserError: one that is not known.
    """
    asked = [kind.strip().lower() for kind in os.environ.get(KINDS_VARIABLE, '').split(',')]
    for kind in asked:
        if kind not in ('', 'png', *_FURTHER_KINDS):
            raise UserError(
                f'{KINDS_VARIABLE}={kind}: figures can be {" or ".join(_FURTHER_KINDS)}'
            )
    return tuple(kind for kind in _FURTHER_KINDS if kind in asked)


def legend_label(name: str) -> str:
    """A name for a legend, which would leave out one that starts with an underscore."""
    return f' {name}' if name.startswith('_') else name


def score_bins(samples: Sequence[np.ndarray], num_bins: int) -> tuple[float, float, np.ndarray]:
    """An axis that the bulk of the first sample fills, and bins for it.

    Of the other samples' 1st to 99th percentiles it shows as much as lies up to the first sample's
    own width away on either side.
    """
    ends = np.array([np.percentile(sample, [1, 99]) for sample in samples])
    low, high = ends[0]
    width = max(high - low, 1e-6 * max(abs(low), abs(high), 1.0))
    left = max(ends[:, 0].min(), low - width) - 0.1 * width
    right = min(ends[:, 1].max(), high + width) + 0.1 * width
    num = math.ceil(num_bins * (right - left) / width)
    return float(left), float(right), np.linspace(left, right, num + 1)
