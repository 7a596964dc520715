"""The table of a transfer study for people, and the comparisons that its figures show too."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from eojax.methods.transfer import class_shares
from eojax.studies.grid.cells import Row
from eojax.studies.grid.tables import (
    by_folder,
    failures,
    labels_rank,
    over_seeds,
    percent_cells,
    runs_of,
    runs_table,
    unlike_data,
)
from eojax.studies.transfer_study.variants import ALIGNED, CLASS_SETS, METHODS_COMPARED, OWN_CLASSES
from eojax.tables import markdown_table

if TYPE_CHECKING:
    import pandas as pd

TITLES = {'swd_transfer': 'SWD-transfer', 'fine_tune': 'fine-tuning', 'sar_only': 'SAR only'}
_CLASS_TITLES = {'lowrise': 'four low-rise zones', 'urban': 'ten urban zones', 'all': 'all zones'}
_MEASURES = {'accuracy': 'accuracy in %', 'ece': 'expected calibration error in %'}
# Keys of a row that tell the series of a comparison apart.
_KEYS = ('method', 'norm', 'contrastive', 'head', 'target_shares')
_TOLD = {'config': 'variant', 'data': 'data', 'source': 'source', 'network': 'network',
         'image_size': 'px'}  # fmt: skip


class Key(NamedTuple):
    """What tells the series of a comparison apart; None where a method has no such thing."""

    method: str
    norm: str
    weight: float | None
    head: int | None
    shares: str | None

    def like(self, other: Key, *free: str) -> bool:
        """Whether all is as of another key that both have, but for what is named."""
        return all(
            name in free or None in (ours, theirs) or ours == theirs
            for name, ours, theirs in zip(self._fields, self, other, strict=True)
        )


class Series(NamedTuple):
    """Runs that are a line of a figure.

    Attributes:
      title: for the legend.
      key: of its runs.
    """

    title: str
    key: Key


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
            row['head'] or 0,
            _shares_rank(row['target_shares']),
            -labels_rank(row['labelled']),
            row['seed'],
        ),
    )


def _norm_rank(norm: str) -> tuple[bool, str]:
    return norm != 'instance', norm


def _shares_rank(shares: str | None) -> tuple[bool, str]:
    return shares not in (None, class_shares.EQUAL), shares or ''


def key_of(row: Row) -> Key:
    """The series that a run is of."""
    return Key(*(row[key] for key in _KEYS))


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


def reference(rows: Sequence[Row]) -> Key:
    """The options that most methods have runs of: those of the study's config.

    Where several have as many, those with more runs; then instance normalisation, the lowest weight
    and head, and a source as it is.
    """
    keys = [key_of(row) for row in rows]
    options = {
        key._replace(
            method=ALIGNED,
            weight=key.weight or 0.0,
            head=key.head or 0,
            shares=key.shares or class_shares.EQUAL,
        )
        for key in keys
    }

    def rank(option: Key) -> Any:
        own = [key for key in keys if key.like(option, 'method')]
        last = _norm_rank(option.norm), option.weight, option.head, _shares_rank(option.shares)
        return -len({key.method for key in own}), -len(own), *last

    return min(options, key=rank)


def comparisons(rows: Sequence[Row]) -> Iterator[Comparison]:
    """The experiments that there are at least two series of."""
    if not rows:
        return
    usual = reference(rows)
    keys = list(dict.fromkeys(key_of(row) for row in rows))
    same = weight_title(usual)
    found = [Series(TITLES[k.method], k) for k in keys if k.like(usual, 'method')]
    first = next((i for i, series in enumerate(found) if series.key.method == ALIGNED), None)
    others = [] if first is None else [(first, i) for i in range(len(found)) if i != first]
    yield Comparison('methods', f'methods ({usual.norm} normalisation, {same})', found, others)
    found = [
        Series(f'{TITLES[k.method]}, {k.norm}', k) for k in keys
        if k.weight is not None and k.like(usual, 'method', 'norm')
    ]  # fmt: skip
    pairs = [
        (i, j) for i, a in enumerate(found) for j, b in enumerate(found)
        if i < j and a.key.method == b.key.method
    ]  # fmt: skip
    if pairs:
        yield Comparison('normalisation', f'normalisation ({same})', found, pairs)
    aligned = [k for k in keys if k.method == ALIGNED]
    of_aligned = f'{TITLES[ALIGNED]}, {usual.norm} normalisation'
    found = [Series(weight_title(k), k) for k in aligned if k.like(usual, 'weight', 'head')]
    if len(found) > 1:
        title = f'contrastive pre-training ({of_aligned})'
        yield Comparison('contrastive', title, found, [(j, 0) for j in range(1, len(found))])
    found = [Series(shares_title(k.shares), k) for k in aligned if k.like(usual, 'shares')]
    if len(found) > 1:
        title = f'class shares of the target ({of_aligned})'
        yield Comparison('shares', title, found, [(j, 0) for j in range(1, len(found))])


def weight_title(key: Key) -> str:
    """The contrastive loss in words."""
    if not key.weight:
        return 'no SupCon'
    return f'SupCon {key.weight:g}' + (f' of {key.head} projections' if key.head else '')


def shares_title(shares: str | None) -> str:
    """How the source is weighed, in words."""
    titles = {
        class_shares.EQUAL: 'source as it is',
        class_shares.ESTIMATED: 'source weighed to estimated shares',
    }
    return titles.get(shares or class_shares.EQUAL, 'source weighed to given shares')


def belongs(row: Row, series: Series) -> bool:
    """Whether a run is of a series."""
    return key_of(row) == series.key


def runs_of_series(rows: Sequence[Row], measure: str, series: Series) -> pd.Series:
    """A measure of the runs of a series, one a seed; see `runs_of`."""
    return runs_of([row for row in rows if belongs(row, series)], measure, 'labelled')


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
    told, expected = dict(_TOLD), {row.get('expected_shares') for row in rows}
    if expected - {None, class_shares.AS_LABELLED}:
        told['expected_shares'] = 'expected shares'
    parts += ['## Runs', runs_table(rows, told)]
    notes = [
        'Mean ± standard error of the mean over the seeds, which draw the hold-out, the labelled'
        ' images and the initial parameters; (n) where a cell has fewer runs than others of its'
        ' column.',
        'Differences are in percentage points, of runs of the same seed: their mean ± its standard'
        ' error.',
        'All methods take the same number of optimisation steps in all; SAR only takes all of them'
        ' on the target.',
        *unlike_data(rows),
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
