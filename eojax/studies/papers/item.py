"""A figure or a table of a paper: what it needs, which runs it is made of, and who draws it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from eojax.studies.grid.cells import Cell, Row
from eojax.studies.papers.runs import Trained, folder_of

FIGURE, TABLE = 'figure', 'table'


class PlaceOf(NamedTuple):
    """A scene of a figure.

    Attributes:
      data: the data set that has it, of `SOURCES`.
      city: a part of its folder's name.
      title: for people.
      trained_on: the data set of the runs that map it.
    """

    data: str
    city: str
    title: str
    trained_on: str


class Item(NamedTuple):
    """A figure or a table.

    Attributes:
      paper: `000`, `001`, `002` or `004`.
      kind: `FIGURE` or `TABLE`.
      number: as printed.
      title: what it shows.
      runs: that it is made of; none of a figure of transfer.
      draw: makes it.
      domains: data sets beside the training's, of `SOURCES`.
      places: scenes.
      optional: further names of `SOURCES`, without which a part is left out.
      over_seeds: whether all seeds count; else it is of the first one.
      experiment: of the study of transfer.
      more: runs that are made where `--methods` names theirs.
      repeats: the item of an earlier paper that is the same, as in `key`.
    """

    paper: str
    kind: str
    number: str
    title: str
    runs: tuple[Trained, ...]
    draw: Callable[[Work], Outcome]
    domains: tuple[str, ...] = ()
    places: tuple[PlaceOf, ...] = ()
    optional: tuple[str, ...] = ()
    over_seeds: bool = False
    experiment: str = ''
    more: tuple[Trained, ...] = ()
    repeats: str = ''

    @property
    def key(self) -> str:
        """As it is asked for: `001/4`."""
        return f'{self.paper}/{self.number}'

    @property
    def folder(self) -> str:
        """Of its files."""
        return f'{self.paper}_{self.kind}_{self.number}'


class Place(NamedTuple):
    """A scene that is to be mapped.

    Attributes:
      title: for people.
      path: of the scene, as `map_scene --scene` takes it.
      trained_on: the data set of the runs that map it.
      truth: the map of its classes; None where there is none.
    """

    title: str
    path: Path
    trained_on: str
    truth: Path | None = None


class Plan(NamedTuple):
    """An item with the data that there are.

    Attributes:
      runs: that can be trained.
      domains: title -> name and path of other images.
      places: scenes.
      notes: lines on what is left out or stands in for what is missing.
      stand_in: whether something does.
    """

    item: Item
    runs: tuple[Trained, ...]
    domains: Mapping[str, tuple[str, Path]]
    places: tuple[Place, ...]
    notes: tuple[str, ...]
    stand_in: bool = False


class Work(NamedTuple):
    """All that an item is drawn from.

    Attributes:
      plan: of the item.
      cells, rows: its runs; a row for each that is finished or failed.
      out: folder of its files.
      workdir: folder of all runs.
      small: whether the runs are.
      seeds: of the runs.
      images: of each domain, at most.
      inception: weights for FID and KID; None without.
      changes: of all configs, as typed.
    """

    plan: Plan
    cells: Sequence[Cell]
    rows: Sequence[Row]
    out: Path
    workdir: Path
    small: bool
    seeds: Sequence[int]
    images: int = 2000
    inception: Path | None = None
    changes: Sequence[str] = ()

    def folder(self, run: Trained) -> Path:
        """Of a run of the first seed."""
        return folder_of(self.workdir, run, self.small, self.seeds[0])


class Compared(NamedTuple):
    """A number of ours and the paper's.

    Attributes:
      of: what has it.
      key: as in `evaluation.json`, or `kl_<domain>`.
      ours: None where it was not obtained.
      published: None where the paper has none; `printed` is as it writes it, `place` where.
    """

    of: str
    key: str
    ours: float | None
    published: float | None = None
    printed: str = ''
    place: str = ''


class Outcome(NamedTuple):
    """A finished item.

    Attributes:
      caption: what it shows, of which runs, and the paper's numbers.
      numbers: ours beside the paper's.
      files: names of its files in its folder.
      table: Markdown; empty for a figure, whose numbers make one.
      more: further values for its JSON.
    """

    caption: str
    numbers: Sequence[Compared]
    files: Sequence[str] = ()
    table: str = ''
    more: Mapping[str, Any] = {}
