"""Runs of a grid that belong together: they differ in their seed and number of labels alone."""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from eojax.config.base import differing_keys, from_json
from eojax.errors import UserError
from eojax.studies.grid import evaluated
from eojax.studies.grid.cells import OF_IMAGES, Cell, evaluation


def found_cells(
    files: Iterable[Path],
    labels_of: Callable[[Path, ConfigDict], Mapping[str, Any]],
    measures: Sequence[str] = OF_IMAGES,
) -> list[Cell]:
    """The runs that a grid has begun.

    Args:
      files: their `config.json`.
      labels_of: what the row of a run says of it besides what is measured.
      measures: as in `Cell`.

    Raises:
      UserError: one is no config.
    """
    configs = {file: from_json(file) for file in sorted(files)}
    return [
        Cell(file.parent, own, labels_of(file, own), measures=measures)
        for file, own in configs.items()
    ]


def check_series(cells: Sequence[Cell], found: Sequence[Cell], free: Collection[str]) -> None:
    """Refuses to train under a name (`config` of a cell's labels) what differs from runs of it.

    The runs that are there must agree among themselves too: a mean is of one config, of as many
    steps and of one kind of evaluation.

    Args:
      found: the runs that are there.
      free: keys of the config in which the runs of a series may differ.

    Raises:
      UserError: they differ in others, with these; runs that are not trained here were evaluated
        otherwise; or one is there twice.
    """
    check_once([*cells, *found])
    here = {cell.folder for cell in cells}
    first = {str(cell.labels['config']): cell for cell in reversed([*cells, *found])}
    for run in found:
        cell = first.get(str(run.labels['config']))
        differing = [] if cell is None else differing_in(cell.config, run.config, free)
        if differing:
            raise UserError(
                f'{run.folder} holds a run of another {run.labels["config"]}'
                f' ({"; ".join(differing)}); choose another --workdir, or delete it'
            )
        if cell is not None and run.folder not in here:
            check_evaluated(run, cell.config, free)


def check_once(cells: Iterable[Cell]) -> None:
    """Refuses two folders with the same run, such as a copy: a mean would count it twice.

    Raises:
      UserError: names both.
    """
    known: dict[str, Path] = {}
    for cell in {cell.folder: cell for cell in cells}.values():
        labels = json.dumps(dict(cell.labels), sort_keys=True, default=str)
        first = known.setdefault(labels, cell.folder)
        if first != cell.folder:
            raise UserError(
                f'{first} and {cell.folder} are the same run twice; move one of them elsewhere'
            )


def check_evaluated(run: Cell, ours: ConfigDict, free: Collection[str] = ()) -> None:
    """Refuses numbers of a run that others in one table are not measured like.

    Args:
      ours: the config of the others.
      free: as of `check_series`.

    Raises:
      UserError: the run was evaluated otherwise.
    """
    pair = evaluated.asked_of(ours), evaluated.asked_of(run.config)
    lines = evaluated.differing(*pair, free) if evaluation(run.folder) else []
    if lines:
        raise UserError(
            f'{run.folder} was evaluated otherwise ({"; ".join(lines)}): let the command make this'
            ' run too, which evaluates it anew, or choose another --workdir'
        )


def differing_in(
    ours: Mapping[str, Any], theirs: Mapping[str, Any], free: Collection[str]
) -> list[str]:
    """`key: theirs -> ours` of what must agree, but for the keys that are `free`."""
    lines = differing_keys(ours, theirs)
    return [line for line in lines if line.partition(':')[0] not in free]
