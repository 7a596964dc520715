"""The table of the study of generators: Table III for people, with the paper's numbers beside."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from eojax.evaluation.published_synthesis import (
    DATA_SETS,
    PAPER,
    PLACE,
    published,
    published_real,
)
from eojax.evaluation.synthesis.segmentation import AGREEMENT, IOU, REAL_IMAGES, TRUTH
from eojax.studies.grid.cells import Row
from eojax.studies.grid.runner import duration
from eojax.studies.grid.tables import (
    failures,
    over_seeds,
    percent_cells,
    runs_of,
    runs_table,
    unlike_data,
)
from eojax.studies.synthesis.generators import SEGMENTER
from eojax.tables import markdown_table

if TYPE_CHECKING:
    import pandas as pd

REAL = 'real image'
# Beside any other data stand the numbers of these: elevation and land cover to colours.
_STAND_IN = 'geonrw'
_SCORES = {'pixel_accuracy': 'accuracy', 'mean_iou': 'mean IoU', 'mean_iou_all': 'mean IoU, all'}
# Further numbers, by their keys: title and decimals.
_FURTHER = {
    'frechet_distance': ('Fréchet distance', 4), 'psnr': ('PSNR, dB', 2), 'ssim': ('SSIM', 3),
    'texture_distance': ('texture distance', 4), 'mae_db': ('error, dB', 2),
    'backscatter_distance': ('backscatter distance, dB', 2),
    'looks_synthesised': ('looks', 1),
}  # fmt: skip
_SETTING = {'config': 'run', 'network': 'network', 'width': 'width', 'window': 'window'}


def names_of(rows: Sequence[Row]) -> list[str]:
    """The generators of the rows, each once."""
    return [*dict.fromkeys(row['config'] for row in rows if row['config'] != SEGMENTER)]


def summary(rows: Sequence[Row], key: str) -> pd.DataFrame:
    """`mean`, `std`, `sem` and `count` of a number over the seeds: a row for each generator."""
    return over_seeds(runs_of(rows, key, 'config'), names_of(rows))


def real_summary(rows: Sequence[Row], key: str) -> pd.DataFrame:
    """The same of the segmenter on real images; every generator's run measures it anew."""
    first = {row['seed']: {**row, 'config': REAL} for row in reversed(rows) if key in row}
    return over_seeds(runs_of([*first.values()], key, 'config'), [REAL])


def markdown(rows: Sequence[Row]) -> str:
    """All of the table: scores, the paper's, those of each class, the runs, and what failed.

    Args:
      rows: sorted.
    """
    data, made = rows[0]['data'], [row for row in rows if row['config'] != SEGMENTER]
    parts = ['# Generators of images from land cover and rasters']
    if made:
        parts += [f'## {data}: a segmenter on synthesised images, in %', _scores(made)]
        further = _further(made)
        parts += ['## Distances and likeness', further] if further else []
        parts += [f'## The paper, {PLACE}: {DATA_SETS[_published_data(data)]}', _paper(made)]
        for prefix, title in (
            (TRUTH, 'against ground truth'), (AGREEMENT, 'against the map of the real image')
        ):  # fmt: skip
            table = _classes(made, prefix)
            parts += [f'## IoU of each class in %, {title}', table] if table else []
    parts += ['## Runs', runs_table(rows, _SETTING)]
    parts.append('\n'.join(f'- {note}' for note in _notes(rows)))
    return '\n\n'.join(parts) + '\n'


def _scores(rows: Sequence[Row]) -> str:
    columns = [['image', REAL, *names_of(rows)]]
    for prefix, reference in ((TRUTH, 'truth'), (AGREEMENT, 'real')):
        for key, title in _SCORES.items():
            real = ['']
            if prefix == TRUTH:
                real = percent_cells(real_summary(rows, f'{REAL_IMAGES}{key}'), 'std')
            cells = percent_cells(summary(rows, f'{prefix}{key}'), 'std')
            columns.append([f'{reference}: {title}', *real, *cells])
    return markdown_table([*zip(*columns, strict=True)])


def _further(rows: Sequence[Row]) -> str:
    columns = [['generator', *names_of(rows)]]
    for key, (title, decimals) in _FURTHER.items():
        if any(row.get(key) is not None for row in rows):
            columns.append([title, *_cells(summary(rows, key), decimals)])
    seconds = summary(rows, 'seconds')
    times = ['–' if not count else duration(mean) for mean, count in
             seconds[['mean', 'count']].itertuples(index=False)]  # fmt: skip
    columns.append(['time a run', *times])
    return markdown_table([*zip(*columns, strict=True)])


def _cells(numbers: pd.DataFrame, decimals: int) -> list[str]:
    """Means with their deviations, in the number's own unit."""
    return [
        '–' if not count
        else f'{mean:.{decimals}f}' + (f' ± {deviation:.{decimals}f}' if count > 1 else '')
        for mean, deviation, count in numbers[['mean', 'std', 'count']].itertuples(index=False)
    ]  # fmt: skip


def _published_data(data: str) -> str:
    return data if data in DATA_SETS else _STAND_IN


def _paper(rows: Sequence[Row]) -> str:
    data = _published_data(rows[0]['data'])
    header = ['image', 'truth: accuracy', 'truth: mean IoU, all', 'real: accuracy',
              'real: mean IoU, all', 'Fréchet distance']  # fmt: skip
    table: list[Sequence[str]] = [header]
    real = published_real(data)
    if real is not None:
        table.append([REAL, f'{100 * real[1]:.2f}', f'{100 * real[0]:.2f}', '', '', ''])
    for name in names_of(rows):
        one = published(data, name)
        if one is not None:
            pairs = (*reversed(one.truth), *reversed(one.agreement))
            cells = [f'{100 * value:.2f}' for value in pairs]
            table.append([name, *cells, f'{one.distance:.4f}'])
    return markdown_table(table)


def classes_of(rows: Sequence[Row], prefix: str) -> list[str]:
    """The classes that rows have an IoU of."""
    start = f'{prefix}{IOU}'
    return [*dict.fromkeys(k.removeprefix(start) for r in rows for k in r if k.startswith(start))]


def _classes(rows: Sequence[Row], prefix: str) -> str:
    names = classes_of(rows, prefix)
    if not names:
        return ''
    first = [REAL] if prefix == TRUTH else []
    columns = [['image', *first, *names_of(rows)]]
    for name in names:
        key = f'{IOU}{name}'
        real = percent_cells(real_summary(rows, f'{REAL_IMAGES}{key}'), 'std') if first else []
        columns.append([name, *real, *percent_cells(summary(rows, f'{prefix}{key}'), 'std')])
    return markdown_table([*zip(*columns, strict=True)])


def _notes(rows: Sequence[Row]) -> list[str]:
    data = rows[0]['data']
    inputs = dict.fromkeys(f'{r["rasters"]} to {r["target"]}' for r in rows if r['target'])
    notes = [
        'truth: maps that the segmenter makes of images, against the ground truth; real: its maps'
        ' of synthesised images, against its maps of the real ones.',
        'Mean IoU is over the classes that occur in the reference; "all" is over all classes, one'
        ' that does not occur counted as 0, as in the paper.',
        'Mean ± standard deviation (of the sample, n - 1) over the seeds, each with a segmenter and'
        ' a split of its own; the Fréchet distance is of the features of its encoder.',
        *([f'Generators: {", ".join(inputs)}.'] if inputs else []),
        f'{PLACE}: {PAPER}',
    ]
    if data not in DATA_SETS:
        notes.append(
            f'The paper is about other data ({DATA_SETS[_STAND_IN]}) and far larger networks:'
            ' compare the order and the differences, not the scores.'
        )
    return [*notes, *unlike_data(rows), *failures(rows)]
