"""The list of all figures and tables: what each shows, needs and takes."""

from __future__ import annotations

from collections.abc import Iterable

from eojax.studies.grid.runner import duration
from eojax.studies.papers import transfer
from eojax.studies.papers.item import Item
from eojax.studies.papers.items import ITEMS
from eojax.studies.papers.papers import PAPERS
from eojax.studies.papers.runs import Trained
from eojax.studies.papers.sources import SOURCES


def listing() -> str:
    """All items by paper, for people."""
    lines = []
    for number, paper in PAPERS.items():
        lines += [f'{number}: {paper.citation}']
        for item in ITEMS:
            if item.paper == number:
                lines += ['', *_lines(item)]
        lines.append('')
    lines.append('Times are of small runs on one CPU core, one seed, nothing trained before.')
    lines.append('Data: ' + '; '.join(f'{n}: {s.title}, {s.where}' for n, s in SOURCES.items()))
    return '\n'.join(lines)


def _lines(item: Item) -> list[str]:
    lines = [f'  --{item.kind}={item.key}  {item.title}']
    if item.repeats:
        return [*lines, f'      as --{item.kind}={item.repeats}']
    names = needed(item)
    if names:
        lines.append('      needs ' + ' '.join(f'--data={name}=PATH' for name in names))
    if item.experiment:
        lines.append(f'      runs: transfer_study --experiments={item.experiment}, drawn places')
    else:
        lines.append(f'      runs: {_runs_text(item.runs)}')
    lines.append(f'      small: about {duration(60 * small_minutes(item))}')
    return lines


def needed(item: Item) -> list[str]:
    """The names of all data of an item, of `SOURCES`."""
    if item.experiment:
        return [transfer.DATA]
    names = [*(run.data for run in item.runs), *item.domains]
    return [*dict.fromkeys([*names, *(place.data for place in item.places), *item.optional])]


def small_minutes(item: Item) -> float:
    """About how long the small runs of an item take."""
    if item.experiment:
        return transfer.MINUTES * transfer.num_small_runs(item.experiment)
    return sum(run.small_minutes for run in item.runs)


def _runs_text(runs: Iterable[Trained]) -> str:
    by_series: dict[str, list[str]] = {}
    for run in runs:
        by_series.setdefault(run.series(small=False), []).append(run.labels)
    return ', '.join(f'{name} ({" ".join(labels)})' for name, labels in by_series.items())
