"""The study of the amount of labelled data: everything, a share of each city, one city, few tiles.

"Semi-supervised learning for large-scale Earth observation data understanding" (Castillo-Navarro,
2022), sections 2.2.1 and 2.2.2: a supervised network on Vaihingen with 12 tiles down to one, and on
MiniFrance, whose training cities are all labelled in this study, with all of them, 10 % of each,
and one alone, which is as much.

Notes:
  The one city of the thesis is Caen. `one_city` is another one with each seed, drawn among the
  training cities: so the result is not that of an easy or a hard city. `city:NAME` is one by name.
  Of MiniFrance all eight training cities have labels with `data.labels='all'` alone, as in the
  thesis; without it its numbers are not beside ours.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from ml_collections import ConfigDict

from eojax.config.base import set_keys
from eojax.data import splits
from eojax.data.columns import hash_order
from eojax.data.dataset import Dataset
from eojax.data.options import errors_name_group
from eojax.data.parts.labelled import GROUPS_KEY, LABELS_KEY, SHARE_KEY, TOTAL_KEY
from eojax.errors import UserError
from eojax.evaluation.published_segmentation import PublishedScores, amount_scores, city_scores
from eojax.runs.domains import TARGET
from eojax.studies.grid.cells import Cell, Row, load_dataset
from eojax.studies.grid.configs import parse_list
from eojax.studies.segmentation import figures
from eojax.studies.segmentation.rows import MEASURES, labels_of
from eojax.studies.segmentation.study import Line, Study

EVERYTHING, ONE_CITY = 'all', 'one_city'
# No keys of labels but these differ between amounts.
_NO_LIMIT = {LABELS_KEY: 'all', TOTAL_KEY: 0, GROUPS_KEY: '', SHARE_KEY: 1.0}


class Amount(NamedTuple):
    """An amount of labelled data.

    Attributes:
      name: of its folder.
      title: for people.
      values: of the config's keys, where they differ from those of everything.
    """

    name: str
    title: str
    values: dict[str, Any]


def parse_amounts(text: str) -> list[Amount]:
    """The amounts of `--amounts=all,10%,one_city,city:Caen,12`.

    Raises:
      UserError: one is none of these, or given twice.
    """
    amounts = [_parse_amount(text, entry) for entry in parse_list('amounts', text)]
    names = [amount.name for amount in amounts]
    for amount in amounts:
        if names.count(amount.name) > 1:
            raise UserError(f'--amounts={text}: {amount.title} is given twice')
    return amounts


def _parse_amount(text: str, entry: str) -> Amount:
    if entry in (EVERYTHING, ONE_CITY):
        return Amount(entry, _title(entry, '', 1.0, 0), {})
    kind, _, city = entry.partition(':')
    if kind == 'city' and city:
        name = re.sub(r'\W+', '_', city)
        return Amount(f'city_{name}', _title('', city, 1.0, 0), {GROUPS_KEY: city})
    number = entry.removesuffix('%')
    if re.fullmatch(r'\d+(\.\d+)?', number, re.ASCII):
        share = float(number) / 100
        if entry.endswith('%') and 0.0 < share < 1.0:
            name = f'{float(number):g}'.replace('.', '_') + '_percent'
            return Amount(name, _title('', '', share, 0), {SHARE_KEY: share})
        if number.isdigit() and entry == number and int(number) > 0:
            count = int(number)
            return Amount(f'{count}_places', _title('', '', 1.0, count), {TOTAL_KEY: count})
    raise UserError(
        f'--amounts={text}: {entry!r} is no amount: write all, a share such as 10%, one_city,'
        ' city:NAME, or a number of labelled places'
    )


def _title(name: str, city: str, share: float, places: int) -> str:
    if name == ONE_CITY:
        return 'one city'
    if places:
        return f'{places} place' + 's' * (places > 1)
    if share < 1.0:
        return f'{100 * share:g} % of each city'
    return f'{city} alone' if city else 'everything'


def cells_of(
    workdir: Path, config: ConfigDict, amounts: Sequence[Amount], seeds: Sequence[int]
) -> list[Cell]:
    """The runs to train: all amounts with one seed, then with the next.

    Raises:
      UserError: data that cannot be read; or one city of data that have none.
    """
    drawn: dict[int, str] = {}
    if any(amount.name == ONE_CITY for amount in amounts):
        drawn = drawn_cities(load_dataset(config.data, TARGET), config, seeds)
    cells = []
    for seed in seeds:
        for amount in amounts:
            own = config.copy_and_resolve_references()
            city = {GROUPS_KEY: drawn[seed]} if amount.name == ONE_CITY else {}
            set_keys(own, {**_NO_LIMIT, **amount.values, **city, 'seed': seed})
            labels = labels_of(own.to_dict(), amount.name)
            title = f'{amount.title}, seed {seed}'
            folder = workdir / amount.name / f'seed_{seed}'
            cells.append(Cell(folder, own, labels, title, MEASURES))
    return cells


def drawn_cities(dataset: Dataset, config: ConfigDict, seeds: Sequence[int]) -> dict[int, str]:
    """For each seed the training city that is labelled alone: the first in the order of the seed.

    Raises:
      UserError: the data have no cities.
    """
    groups = dataset.places.groups
    if groups is None:
        raise UserError(
            '--amounts: the places of this data set belong to no cities; leave out one_city'
        )
    drawn = {}
    for seed in seeds:
        own = config.data.copy_and_resolve_references()
        own.update({key.partition('.')[2]: value for key, value in _NO_LIMIT.items()})
        with errors_name_group(TARGET, own):
            able = splits.split_dataset(dataset, splits.rule_of(own, seed)).labelled
        numbers = np.unique(np.asarray(groups)[able])
        named = dataset.facts.group_names
        names = [named[number] if named else str(number) for number in numbers]
        drawn[seed] = names[hash_order(names, seed)[0]]
    return drawn


def title_of(row: Row) -> str:
    """The amount of a row."""
    return _title(
        row['config'], row['labelled_groups'], row['labelled_share'], row['labelled_in_all']
    )


def _rank(row: Row) -> tuple[float, ...]:
    """Everything first, then shares, single cities, and numbers from many to few."""
    alone = row['config'] == ONE_CITY or bool(row['labelled_groups'])
    return bool(row['labelled_in_all']), alone, -row['labelled_share'], -row['labelled_in_all']


def _published(row: Row) -> PublishedScores | None:
    if row['published_labels'] == 'published':
        return None  # two labelled cities of MiniFrance, where the thesis has all eight here
    amount = EVERYTHING
    if row['labelled_in_all']:
        amount = str(row['labelled_in_all'])
    elif row['labelled_share'] < 1.0:
        amount = f'{100 * row["labelled_share"]:g}%'
    elif row['labelled_groups']:
        amount = ONE_CITY
    return amount_scores(row['data'], amount)


def _draw(lines: Sequence[Line], folder: Path) -> None:
    """Scores against the number of places, as Fig. 2.1, where there are several numbers."""
    counted = {line.rows[0]['labelled_in_all']: line for line in lines}
    counted.pop(0, None)
    if len(counted) > 1:
        figures.curves({'': counted}, 'labelled places', folder / 'places.png')


def _city_notes(rows: Sequence[Row]) -> list[str]:
    cities = {r['seed']: r['labelled_groups'] for r in rows if r['config'] == ONE_CITY}
    if not cities:
        return []
    listed = ', '.join(f'{city} (seed {seed})' for seed, city in sorted(cities.items()))
    return [f'one city: {listed}.']


STUDY = Study(
    'labelled_data',
    'Amount of labelled data',
    _rank,
    title_of,
    lambda row: row['config'] == EVERYTHING,
    _published,
    _draw,
    _city_notes,
    city_scores,
)
