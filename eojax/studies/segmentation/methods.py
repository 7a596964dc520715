"""The study of methods side by side: each config as it is, on the same data, with the same seeds.

"Semi-supervised learning for large-scale Earth observation data understanding" (Castillo-Navarro,
2022), section 3.2: Tables 3.1 and 3.2, with any methods that segment. The gain is over the first
config of supervised `segmentation`, or over the first config where there is none.

Notes:
  Nothing is made equal but the data and their splits: the table says in which other keys the
  configs differ, those of method and optimiser aside. Which training places are labelled may
  differ too: the supervised method with all labels is the most that the others could reach.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from ml_collections import ConfigDict

from eojax.errors import UserError
from eojax.evaluation.published_segmentation import DATA_SETS, PublishedScores, network_scores
from eojax.methods import METHODS
from eojax.methods.method import having_ability
from eojax.studies.grid.cells import Cell, Row
from eojax.studies.segmentation.rows import MEASURES, labels_of
from eojax.studies.segmentation.study import Study

BASE = 'segmentation'


def cells_of(workdir: Path, configs: Mapping[str, ConfigDict], seeds: Sequence[int]) -> list[Cell]:
    """The runs to train: all configs with one seed, then with the next."""
    cells = []
    for seed in seeds:
        for name, config in configs.items():
            own = config.copy_and_resolve_references()
            own.seed = seed
            labels = labels_of(own.to_dict(), name)
            folder = workdir / name / f'seed_{seed}'
            cells.append(Cell(folder, own, labels, f'{name}, seed {seed}', MEASURES))
    return cells


def study(order: Sequence[str], notes: Sequence[str] = ()) -> Study:
    """The study.

    Args:
      order: names of configs, as they are to stand in the table; others follow by their names.
      notes: for the foot of the table.
    """
    return Study(
        'methods',
        'Methods of segmentation',
        lambda row: order.index(row['config']) if row['config'] in order else len(order),
        lambda row: row['config'],
        lambda row: row['method'] == BASE,
        _published,
        notes=lambda rows: notes,
    )


def _published(row: Row) -> PublishedScores | None:
    method, variant = row['method'], row['variant']
    if method == BASE:
        return network_scores(row['data'], row['network'], _supervision(row), None)
    if method == 'w_net':
        variant = 'w_net'
    elif method != 'berundanet_segmentation':
        return None
    return network_scores(row['data'], row['network'], str(variant), row['auxiliary'])


def _supervision(row: Row) -> str:
    """The thesis' oracle has labels of all training cities.

    Those of MiniFrance have not, unless `data.labels='all'` makes them known.
    """
    limited = row['labelled_groups'] or row['labelled_in_all'] or row['labelled_share'] < 1.0
    hidden = row['data'] in DATA_SETS and row['published_labels'] != 'all'
    return 'supervised' if limited or hidden else 'oracle'


def check_segments(configs: Mapping[str, ConfigDict]) -> None:
    """Refuses configs of methods that give no class for each pixel.

    Raises:
      UserError: names the config and the methods that do.
    """
    for name, config in configs.items():
        method = METHODS.get(config.method.name)
        if method is not None and 'pixel_logits' not in method.abilities:
            having = ', '.join(having_ability(METHODS, 'pixel_logits'))
            raise UserError(
                f'{name}: method {config.method.name!r} does not segment; these do: {having}'
            )
