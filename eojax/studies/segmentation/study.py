"""The common contract of the studies of segmentation: what is compared, and lines of their tables.

A study trains several settings, each with the same seeds. A setting is a line of its table; one of
them is the base, which the others are compared with, seed by seed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from eojax.evaluation.published_segmentation import PublishedScores
from eojax.studies.grid.cells import Row
from eojax.studies.grid.tables import over_seeds, runs_of

if TYPE_CHECKING:
    import pandas as pd

# The main scores, by their keys in `evaluation.json`, and their titles.
ACCURACY, MEAN_IOU, MEAN_IOU_ALL = 'pixel_accuracy', 'mean_iou', 'mean_iou_all'
SCORES = {
    ACCURACY: 'overall accuracy',
    MEAN_IOU: 'mean IoU',
    MEAN_IOU_ALL: 'mean IoU, all classes',
}
# How many labelled places a run has, in its row.
LABELLED_PLACES = 'labelled_places'


class Study(NamedTuple):
    """One of the studies.

    Attributes:
      name: of its command.
      title: of its table.
      rank: for sorting rows; those of a setting have the same rank.
      title_of: the setting of a row, for people.
      is_base: whether the setting of a row may be the base; the first one that may is it.
      published: the thesis' scores to stand beside those of a row's setting; None where there are
        none.
      draw: writes the figures that this study alone has, to a folder.
      notes: for the foot of the table, of the rows.
      published_city: the thesis' scores of a test city, with the labels of the base; None where
        there are none.
    """

    name: str
    title: str
    rank: Callable[[Row], Any]
    title_of: Callable[[Row], str]
    is_base: Callable[[Row], bool]
    published: Callable[[Row], PublishedScores | None]
    draw: Callable[[Sequence[Line], Path], None] = lambda lines, folder: None
    notes: Callable[[Sequence[Row]], Sequence[str]] = lambda rows: ()
    published_city: Callable[[str], PublishedScores | None] = lambda city: None


class Line(NamedTuple):
    """All runs of one setting.

    Attributes:
      config: the name of the setting, which is that of its folder.
      title: for people.
      rows: one for each seed, finished or failed.
      published: see `Study`.
      is_base: whether the other lines are compared with this one.
    """

    config: str
    title: str
    rows: Sequence[Row]
    published: PublishedScores | None
    is_base: bool = False


def lines_of(study: Study, rows: Sequence[Row]) -> list[Line]:
    """The lines of a study's table.

    Args:
      rows: sorted.
    """
    settings: dict[str, list[Row]] = {}
    for row in rows:
        settings.setdefault(row['config'], []).append(row)
    able = (name for name, members in settings.items() if study.is_base(members[0]))
    base = next(able, next(iter(settings), None))
    return [
        Line(name, study.title_of(members[0]), members, study.published(members[0]), name == base)
        for name, members in settings.items()
    ]


def base_of(lines: Sequence[Line]) -> Line:
    """The line that the others are compared with."""
    return next(line for line in lines if line.is_base)


def runs_of_lines(lines: Sequence[Line], key: str) -> pd.Series:
    """A number of each run that has it, by its setting and seed."""
    return runs_of([row for line in lines for row in line.rows], key, 'config')


def summary_of(lines: Sequence[Line], key: str) -> pd.DataFrame:
    """`mean`, `std`, `sem` and `count` of a number over the seeds: a row for each line."""
    return over_seeds(runs_of_lines(lines, key), [line.config for line in lines])


def gains_of(lines: Sequence[Line], key: str) -> pd.DataFrame:
    """As `summary_of`, of the differences to the base's run of the same seed."""
    runs = runs_of_lines(lines, key)
    name = base_of(lines).config
    base = {seed: value for (config, seed), value in runs.items() if config == name}
    others = runs.index.get_level_values('seed').map(base).to_numpy(float)
    return over_seeds((runs - others).dropna(), [line.config for line in lines])


def parts_of(lines: Sequence[Line], prefix: str) -> list[str]:
    """The keys of the rows' numbers that begin so, in the order in which runs have them."""
    rows = [row for line in lines for row in line.rows]
    return list(dict.fromkeys(key for row in rows for key in row if key.startswith(prefix)))


def cities_of(lines: Sequence[Line]) -> list[str]:
    """The test cities that runs have scores of."""
    prefix = f'{ACCURACY}_'
    return [key.removeprefix(prefix) for key in parts_of(lines, prefix)]
