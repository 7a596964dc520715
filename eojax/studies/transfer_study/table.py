"""The table of a transfer study for people, and the comparisons that its figures show too."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from eojax.studies.grid.cells import Row
from eojax.studies.grid.tables import (
    by_folder,
    failures,
    labels_rank,
    over_seeds,
    percent_cells,
    runs_of,
    runs_table,
)
from eojax.studies.transfer_study.variants import ALIGNED, CLASS_SETS, METHODS_COMPARED, OWN_CLASSES
from eojax.tables import markdown_table

if TYPE_CHECKING:
    import pandas as pd

TITLES = {'swd_transfer': 'SWD-transfer', 'fine_tune': 'fine-tuning', 'sar_only': 'SAR only'}
_CLASS_TITLES = {'lowrise': 'four low-rise zones', 'urban': 'ten urban zones', 'all': 'all zones'}
_MEASURES = {'accuracy': 'accuracy in %', 'ece': 'expected calibration error in %'}
# Keys of a row that tell the series of a comparison apart.
_KEYS = ('method', 'norm', 'contrastive')
_TOLD = {'config': 'variant', 'data': 'data', 'source': 'source', 'network': 'network',
         'image_size': 'px'}  # fmt: skip


class Series(NamedTuple):
    """Runs that are a line of a figure.

    Attributes:
      title: for the legend.
      key: method, norm and contrastive weight of its runs.
    """

    title: str
    key: tuple[str, str, float | None]


class Comparison(NamedTuple):
    """An experiment of the paper.

    Attributes:
      name: of its figure.
      title: what is compared, and what is the same in all series.
      series: in their order.
      pairs: places in `series` whose difference is told, the first minus the second.
    """

    name: str
    title: str
    series: Sequence[Series]
    pairs: Sequence[tuple[int, int]]


def sort_rows(rows: Sequence[Row]) -> list[Row]:
    """Each run once: by data set, classes, method, norm, weight, labelled images and seed."""
    sets = (*CLASS_SETS, OWN_CLASSES)
    return sorted(
        by_folder(rows),
        key=lambda row: (
            row['data'],
            sets.index(row['classes']),
            METHODS_COMPARED.index(row['method']),
            _norm_rank(row['norm']),
            row['contrastive'] or 0.0,
            -labels_rank(row['labelled']),
            row['seed'],
        ),
    )


def _norm_rank(norm: str) -> tuple[bool, str]:
    return norm != 'instance', norm


def parts_of(rows: Sequence[Row]) -> dict[str, list[Row]]:
    """The rows by what they are of, data and classes, with its title."""
    found: dict[str, list[Row]] = {}
    for row in rows:
        classes = _CLASS_TITLES.get(row['classes'], f'{row["num_classes"] or "its"} classes')
        found.setdefault(f'{row["data"]}, {classes}', []).append(row)
    return found


def labels_of_rows(rows: Sequence[Row]) -> list[Any]:
    """Numbers of labelled images, from few to `all`."""
    return sorted({row['labelled'] for row in rows}, key=labels_rank, reverse=True)


def reference(rows: Sequence[Row]) -> tuple[str, float]:
    """The norm and contrastive weight that most methods have runs of: those of the study's config.

    Where several have as many, the one with more runs; then instance normalisation and the lowest
    weight.
    """
    options = {(row['norm'], row['contrastive'] or 0.0) for row in rows}

    def rank(option: tuple[str, float]) -> Any:
        norm, weight = option
        own = [r for r in rows if r['norm'] == norm and r['contrastive'] in (None, weight)]
        return -len({r['method'] for r in own}), -len(own), _norm_rank(norm), weight

    return min(options, key=rank)


def comparisons(rows: Sequence[Row]) -> Iterator[Comparison]:
    """The experiments that there are at least two series of."""
    if not rows:
        return
    norm, weight = reference(rows)
    keys = list(dict.fromkeys(tuple(row[key] for key in _KEYS) for row in rows))
    same = weight_title(weight)
    found = [Series(TITLES[k[0]], k) for k in keys if k[1] == norm and k[2] in (None, weight)]
    first = next((i for i, series in enumerate(found) if series.key[0] == ALIGNED), None)
    others = [] if first is None else [(first, i) for i in range(len(found)) if i != first]
    yield Comparison('methods', f'methods ({norm} normalisation, {same})', found, others)
    found = [Series(f'{TITLES[k[0]]}, {k[1]}', k) for k in keys if k[2] == weight]
    pairs = [
        (i, j) for i, a in enumerate(found) for j, b in enumerate(found)
        if i < j and a.key[0] == b.key[0]
    ]  # fmt: skip
    if pairs:
        yield Comparison('normalisation', f'normalisation ({same})', found, pairs)
    found = [Series(weight_title(k[2]), k) for k in keys if k[0] == ALIGNED and k[1] == norm]
    pairs = [(j, 0) for j in range(1, len(found))]
    if pairs:
        title = f'contrastive pre-training ({TITLES[ALIGNED]}, {norm} normalisation)'
        yield Comparison('contrastive', title, found, pairs)


def weight_title(weight: float | None) -> str:
    """The contrastive loss in words."""
    return f'SupCon {weight:g}' if weight else 'no SupCon'


def belongs(row: Row, series: Series) -> bool:
    """Whether a run is of a series."""
    return tuple(row[key] for key in _KEYS) == series.key


def runs_of_series(rows: Sequence[Row], measure: str, series: Series) -> pd.Series:
    """A measure of the runs of a series, one a seed; see `runs_of`."""
    runs = runs_of([row for row in rows if belongs(row, series)], measure, 'labelled')
    return runs[~runs.index.duplicated(keep='last')]


def markdown(rows: Sequence[Row]) -> str:
    """All of the table: by data set and classes the comparisons, then the runs and what failed.

    Args:
      rows: sorted (`sort_rows`).
    """
    parts = ['# Transfer study']
    for title, own in parts_of(rows).items():
        parts.append(f'## {title}')
        for comparison in comparisons(rows):
            chosen = [row for row in own if any(belongs(row, s) for s in comparison.series)]
            for measure, unit in _MEASURES.items():
                if any(row.get(measure) is not None for row in chosen):
                    parts.append(f'### {comparison.title}: {unit}')
                    parts.append(_measure_table(chosen, measure, comparison))
    parts += ['## Runs', runs_table(rows, _TOLD)]
    notes = [
        'Mean ± standard error of the mean over the seeds, which draw the hold-out, the labelled'
        ' images and the initial parameters; (n) where a cell has fewer runs than others of its'
        ' column.',
        'Differences are in percentage points, of runs of the same seed: their mean ± its standard'
        ' error.',
        'All methods take the same number of optimisation steps in all; SAR only takes all of them'
        ' on the target.',
        *failures(rows),
    ]
    parts.append('\n'.join(f'- {note}' for note in notes))
    return '\n\n'.join(parts) + '\n'


def _measure_table(rows: Sequence[Row], measure: str, comparison: Comparison) -> str:
    labels, series = labels_of_rows(rows), comparison.series
    columns = [['labelled', *map(str, labels)]]
    runs = [runs_of_series(rows, measure, one) for one in series]
    for one, own in zip(series, runs, strict=True):
        columns.append([one.title, *percent_cells(over_seeds(own, labels), 'sem')])
    for i, j in comparison.pairs if measure == 'accuracy' else ():
        differences = over_seeds(runs[i] - runs[j], labels)  # of equal seeds
        cells = percent_cells(differences, 'sem', sign='+')
        columns.append([f'{series[i].title} − {series[j].title}', *cells])
    return markdown_table([*zip(*columns, strict=True)], left=())
