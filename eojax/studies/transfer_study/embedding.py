"""The embedding plot of a transfer study: both domains in two dimensions, before and after.

The two dimensions are the first principal components (PCA) of both domains' test images together,
of each panel by itself. Linear on purpose: the distance that training minimises is one of linear
projections, and what t-SNE draws apart or together need not be so. The number of a panel is that
distance between all dimensions of both domains (`eojax.evaluation.embeddings.Embedded`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from eojax.drawing.style import COLOURS, FAINT, TEXT, new_figure, save_figure
from eojax.evaluation.embeddings import Embedded, Embeddings, read_embeddings
from eojax.evaluation.outliers import spread
from eojax.studies.grid.cells import Row
from eojax.studies.transfer_study.table import TITLES, key_of, parts_of, reference, weight_title
from eojax.studies.transfer_study.variants import ALIGNED

_SOURCE_MARKER, _TARGET_MARKER = 'o', '^'
# Of each domain in a panel, evenly spread.
_POINTS = 400


class Panel(NamedTuple):
    """A state of a run.

    Attributes:
      title: of the state.
      embedded: its embeddings.
      run: that they are of.
    """

    title: str
    embedded: Embedded
    run: Embeddings


def embedded_runs(rows: Sequence[Row]) -> dict[str, dict[Any, Path]]:
    """By data and classes and by number of labelled images the folder of the run that is drawn.

    It is the one of the lowest seed of `swd_transfer` with the options of the methods' comparison.
    """
    trained = [row for row in rows if row['error'] is None]
    if not trained:
        return {}
    of_methods = reference(trained)
    found: dict[str, dict[Any, Path]] = {}
    for title, own in parts_of(trained).items():
        for row in sorted(own, key=lambda row: row['seed']):
            if key_of(row) == of_methods:
                found.setdefault(title, {}).setdefault(row['labelled'], Path(row['folder']))
    return found


def embedded_folders(rows: Sequence[Row]) -> list[Path]:
    """The folders of `embedded_runs`."""
    return [folder for part in embedded_runs(rows).values() for folder in part.values()]


def embedding_figure(rows: Sequence[Row], path: Path) -> None:
    """Writes both domains before and after alignment, a row of panels for each set of classes.

    Nothing where no embeddings are measured (`measure_embeddings`).

    Args:
      rows: sorted (`sort_rows`).
    """
    lines = {title: _panels(part) for title, part in embedded_runs(rows).items()}
    lines = {title: panels for title, panels in lines.items() if panels}
    if not lines:
        return
    columns = max(map(len, lines.values()))
    figure = new_figure(2.2 + 3.0 * columns, 0.5 + 3.5 * len(lines))
    usual = reference([row for row in rows if row['error'] is None])
    figure.suptitle(
        f'embedding of {TITLES[ALIGNED]} in two principal components'
        f' ({usual.norm} norm, {weight_title(usual)})',
        x=0.01, ha='left', size=12,
    )  # fmt: skip
    parts = figure.subfigures(len(lines), 1, squeeze=False).ravel()
    for part, (title, panels) in zip(parts, lines.items(), strict=True):
        part.suptitle(title, x=0.01, ha='left', size=10.5)
        grid = part.subplots(1, columns, squeeze=False)[0]
        for axes, panel in zip(grid, panels, strict=False):
            _draw_panel(axes, panel)
        for axes in grid[len(panels) :]:
            axes.remove()
        _legend(part, panels[0].run.class_names)
    save_figure(figure, path)


def _panels(folders: Mapping[Any, Path]) -> list[Panel]:
    """The state before once, then the state after with each number of labelled images."""
    runs = {n: run for n, folder in folders.items() if (run := read_embeddings(folder))}
    before = [Panel('before alignment', run.states['before'], run)
              for run in runs.values() if 'before' in run.states]  # fmt: skip
    after = [Panel(f'after, {n} labelled', run.states['after'], run) for n, run in runs.items()]
    return before[:1] + after


def _draw_panel(axes: Axes, panel: Panel) -> None:
    from sklearn.decomposition import PCA  # slow to import: only where it is used

    embedded, run = panel.embedded, panel.run
    components = PCA(2, svd_solver='full')
    components.fit(np.concatenate([embedded.source, embedded.target]))
    colours = _colours(len(run.class_names))
    for values, labels, marker in (
        (embedded.source, run.source_labels, _SOURCE_MARKER),
        (embedded.target, run.target_labels, _TARGET_MARKER),
    ):
        chosen = spread(len(labels), _POINTS)
        points = components.transform(values[chosen])
        shades = [colours[label] for label in labels[chosen]]
        filled = marker == _TARGET_MARKER
        axes.scatter(
            points[:, 0], points[:, 1], s=16 if filled else 14, marker=marker,
            facecolors=shades if filled else 'none', edgecolors='none' if filled else shades,
            linewidths=0.7, alpha=0.75,
        )  # fmt: skip
    axes.set_title(f'{panel.title}\nSW²/σ² {embedded.distance:.3g}', loc='left', size=9.5)
    axes.set_xticks([])
    axes.set_yticks([])
    for name, share in zip('xy', components.explained_variance_ratio_, strict=True):
        getattr(axes, f'set_{name}label')(f'{share:.0%} of variance', size=8, color=FAINT)
    axes.spines[:].set_color(FAINT)


def _colours(num: int) -> Sequence[Any]:
    if num <= len(COLOURS):
        return COLOURS
    return [matplotlib.colormaps['tab20'](number % 20) for number in range(num)]


def _legend(part: Any, class_names: Sequence[str]) -> None:
    handles = [
        Line2D([], [], linestyle='', marker='s', color=colour, markersize=5, label=name)
        for colour, name in zip(_colours(len(class_names)), class_names, strict=False)
    ]
    for name, marker, face in (
        ('source', _SOURCE_MARKER, 'none'),
        ('target', _TARGET_MARKER, TEXT),
    ):
        handles.append(
            Line2D([], [], linestyle='', marker=marker, color=TEXT, markerfacecolor=face,
                   markersize=5, label=name)
        )  # fmt: skip
    part.legend(handles=handles, loc='outside right center', fontsize=7, frameon=False)
