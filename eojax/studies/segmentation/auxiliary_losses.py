"""The study of auxiliary losses and their weight lambda, with supervised training as the base.

"Semi-supervised learning for large-scale Earth observation data understanding" (Castillo-Navarro,
2022), section 3.2: Tables 3.1, 3.3, 3.4 and 3.5, and Fig. 3.10. From one config of
`berundanet_segmentation` follow those of all runs; the base is `segmentation` with the values of
all keys that it has too.

Notes:
  All runs take the same number of steps. A step with an auxiliary loss sees unlabelled windows
  besides the labelled ones, and takes longer.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from ml_collections import ConfigDict

from eojax.config.base import set_keys
from eojax.errors import UserError, unknown_name
from eojax.evaluation.published_segmentation import (
    AUXILIARY_TITLES,
    PublishedScores,
    auxiliary_scores,
)
from eojax.methods.pixels.auxiliary import WEIGHTS
from eojax.studies.grid.cells import Cell, Row
from eojax.studies.grid.configs import parse_list, with_method
from eojax.studies.segmentation import figures
from eojax.studies.segmentation.rows import MEASURES, labels_of
from eojax.studies.segmentation.study import Line, Study

METHOD, BASE = 'berundanet_segmentation', 'segmentation'
AUXILIARY_KEY, WEIGHT_KEY = 'method.auxiliary', 'method.auxiliary_weight'
# The weights of Table 3.5, one for each loss.
PUBLISHED = 'published'


def check_base(config: ConfigDict) -> None:
    """Refuses a config that the study cannot be made of.

    Raises:
      UserError: one line that says why.
    """
    if config.method.name != METHOD:
        raise UserError(
            f'--config names a config of {METHOD!r}, from which the others follow; this one is of'
            f' {config.method.name!r}'
        )


def parse_losses(text: str) -> list[str]:
    """The losses of `--losses=l1,jigsaw`.

    Raises:
      UserError: one is unknown, or given twice.
    """
    losses = parse_list('losses', text)
    for loss in losses:
        if loss not in AUXILIARY_TITLES:
            raise unknown_name('auxiliary loss', loss, AUXILIARY_TITLES)
    return losses


def parse_weights(text: str) -> list[float] | None:
    """The weights of `--weights=0.5,1,5`; None for `published`.

    Raises:
      UserError: one is no positive number, or given twice.
    """
    if text == PUBLISHED:
        return None
    try:
        weights = [float(entry) for entry in parse_list('weights', text)]
    except ValueError:
        weights = [0.0]
    if not all(0.0 < weight < math.inf for weight in weights):
        raise UserError(f'--weights={text}: expected positive numbers, or {PUBLISHED}')
    if len(set(weights)) < len(weights):
        raise UserError(f'--weights={text}: one is given twice')
    return weights


def cells_of(
    workdir: Path,
    config: ConfigDict,
    losses: Sequence[str],
    weights: Sequence[float] | None,
    seeds: Sequence[int],
) -> list[Cell]:
    """The runs to train: all settings with one seed, then with the next.

    Args:
      config: of `METHOD`.
      weights: of each loss; those of Table 3.5 where None.
    """
    settings = {'supervised': with_method(config, BASE)}
    for loss in losses:
        for weight in weights or (WEIGHTS[loss],):
            own = config.copy_and_resolve_references()
            set_keys(own, {AUXILIARY_KEY: loss, WEIGHT_KEY: weight})
            settings[f'{loss}_{weight:g}'.replace('.', '_')] = own
    cells = []
    for seed in seeds:
        for name, setting in settings.items():
            own = setting.copy_and_resolve_references()
            own.seed = seed
            labels = labels_of(own.to_dict(), name)
            title = f'{title_of(labels)}, seed {seed}'
            cells.append(Cell(workdir / name / f'seed_{seed}', own, labels, title, MEASURES))
    return cells


def title_of(row: Row) -> str:
    """The loss and the weight of a row."""
    if row['auxiliary'] is None:
        return 'supervised'
    return f'{_loss_title(row)}, λ = {row["auxiliary_weight"]:g}'


def _loss_title(row: Row) -> str:
    name = str(row['auxiliary'])
    return AUXILIARY_TITLES.get(name, name)


def _rank(row: Row) -> tuple[int, float]:
    losses = (None, *AUXILIARY_TITLES)
    place = losses.index(row['auxiliary']) if row['auxiliary'] in losses else len(losses)
    return place, row['auxiliary_weight'] or 0.0


def _published(row: Row) -> PublishedScores | None:
    return auxiliary_scores(row['auxiliary'], row['auxiliary_weight'])


def _draw(lines: Sequence[Line], folder: Path) -> None:
    """Scores against the weight, as Fig. 3.10, where a loss has several weights."""
    series: dict[str, dict[float, Line]] = {}
    for line in lines:
        row = line.rows[0]
        if row['auxiliary'] is not None:
            title = _loss_title(row)
            series.setdefault(title, {})[row['auxiliary_weight']] = line
    base = next((line for line in lines if line.is_base), None)
    if any(len(points) > 1 for points in series.values()):
        figures.curves(series, 'weight λ of the auxiliary loss', folder / 'weights.png', base)


STUDY = Study(
    'auxiliary_losses',
    'Auxiliary losses and their weight',
    _rank,
    title_of,
    lambda row: row['auxiliary'] is None,
    _published,
    _draw,
)
