"""The cells of a grid of runs: what they are, whether they can be run, and what came out of them.

Each cell is an ordinary run folder; `eojax.studies.grid.runner` runs them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from ml_collections import ConfigDict

from eojax.config.base import check_config, flatten
from eojax.config.written import get
from eojax.data import class_groups, splits
from eojax.data.dataset import Dataset
from eojax.data.options import errors_name_group
from eojax.data.sets import DATASETS
from eojax.errors import UserError
from eojax.evaluation import evaluate
from eojax.runs import domains
from eojax.runs import run as runs
from eojax.studies.grid import evaluated, run_record
from eojax.training.progress import read_metrics

Row = dict[str, Any]
# The numbers that every row of a classifier of images has.
OF_IMAGES = ('accuracy', 'ece', 'nll')
# Of each class, and as many as there are classes: they stay in `evaluation.json`.
_OF_CLASS = ('precision_', 'recall_', 'f1_')
# Of the config's groups of data: what each run may have its own of.
_LABELS = (
    'labels_per_class', 'labelled_in_all', 'labelled_groups', 'labelled_share', 'synthesised',
    'synthesised_use',
)  # fmt: skip


class Cell(NamedTuple):
    """A run of a grid.

    Attributes:
      folder: of the run; an ordinary one, on which everything works that works on a run.
      config: complete; its seed and all else that tells this cell from the others is set.
      labels: what its row says of it besides what is measured; JSON values. Runs with the same
        `config` among them are expected to take equally long.
      title: for people; the folder where empty.
      measures: keys of `evaluation.json` that its row always has, None where they are missing.
    """

    folder: Path
    config: ConfigDict
    labels: Mapping[str, Any]
    title: str = ''
    measures: Sequence[str] = OF_IMAGES

    def __str__(self) -> str:
        return self.title or str(self.folder)


def check(cells: Sequence[Cell]) -> None:
    """Refuses, before the first run, what would end a later one: configs, folders, data, labels.

    Raises:
      UserError: one line with all that is wrong, and of which runs.
    """
    twice = {cell.folder for cell in cells if [c.folder for c in cells].count(cell.folder) > 1}
    if twice:
        raise UserError(f'two runs of the grid have the same folder: {min(twice)}')
    _refuse(_config_problems(cells))
    _refuse(_data_problems([cell for cell in cells if not is_finished(cell)]))


def _refuse(problems: Iterable[tuple[Cell, str]]) -> None:
    by_message: dict[str, list[Cell]] = {}
    for cell, message in problems:
        by_message.setdefault(message, []).append(cell)
    lines = []
    for message, affected in by_message.items():
        others = f' and {len(affected) - 1} more' if len(affected) > 1 else ''
        lines.append(f'{affected[0]}{others}: {message}')
    if lines:
        raise UserError('; '.join(lines))


def _config_problems(cells: Sequence[Cell]) -> Iterator[tuple[Cell, str]]:
    for cell in cells:
        try:
            check_config(cell.config)
            evaluate.check(cell.config)
            if cell.folder.exists():
                runs.check_folder(cell.folder, cell.config)
                _check_evaluation(cell)
        except UserError as error:
            yield cell, str(error)


def _check_evaluation(cell: Cell) -> None:
    """Refuses to train once more a run that was to be evaluated otherwise and no more."""
    if evaluation(cell.folder) is None or evaluated.has_checkpoints(cell.folder):
        return
    lines = evaluated.written_otherwise(cell.folder, evaluated.asked_of(cell.config))
    if lines:
        raise UserError(
            f'the run was evaluated otherwise ({"; ".join(lines)}), and its checkpoints are gone:'
            ' leave that as it was, choose another --workdir, or delete the run'
        )


def _data_problems(cells: Sequence[Cell]) -> Iterator[tuple[Cell, str]]:
    """Loads each data set once, and not as a run does, which would start the devices."""
    groups: dict[str, list[tuple[Cell, str]]] = {}
    for cell in cells:
        for group in (domains.TARGET, domains.SOURCE):
            if group in cell.config:
                values = {k: v for k, v in flatten(cell.config[group]) if k not in _LABELS}
                key = json.dumps(values, default=str)
                groups.setdefault(key, []).append((cell, group))
    for users in groups.values():
        first, group = users[0]
        options = first.config[group]
        try:
            dataset = load_dataset(options, group)
        except UserError as error:
            yield from ((cell, str(error)) for cell, _ in users)
            continue
        for cell, group in users:
            try:
                _split(dataset, cell.config, group)
            except UserError as error:
                yield cell, str(error)


def load_dataset(options: ConfigDict, group: str) -> Dataset:
    """The data set of a config's group, with the classes that it asks for; starts no devices.

    Raises:
      UserError: data that cannot be read, or classes that there are not.
    """
    with errors_name_group(group, options):
        own = DATASETS[options.name].from_config(options, True)
        return class_groups.regroup(own, class_groups.parse(options.classes))


def _split(dataset: Dataset, config: ConfigDict, group: str) -> None:
    options = config[group]
    with errors_name_group(group, options):
        splits.split_dataset(dataset, splits.rule_of(options, config.seed))


def is_finished(cell: Cell) -> bool:
    """Whether the run was trained to its last step, and evaluated there as its config says."""
    numbers = evaluation(cell.folder)
    return numbers is not None and not _unfinished(
        cell.folder, evaluated.asked_of(cell.config), numbers
    )


def to_evaluate(cell: Cell) -> str:
    """Why a run that was trained to its end and evaluated is evaluated anew; empty if it is not."""
    numbers = evaluation(cell.folder)
    if numbers is None or steps_done(cell.folder, numbers) < cell.config.steps:
        return ''
    return _unfinished(cell.folder, evaluated.asked_of(cell.config), numbers)


def check_finished(folder: Path, config: Mapping[str, Any]) -> None:
    """Refuses the numbers of a run that are not those of its end.

    Args:
      config: as in its `config.json`.

    Raises:
      UserError: the run has no evaluation, or one of before its end.
    """
    numbers = evaluation(folder)
    if numbers is None:
        raise UserError(f'{folder} has no evaluation; train it, or evaluate it')
    reason = _unfinished(folder, config, numbers)
    if reason:
        raise UserError(f'{folder}: {reason}; train it to its end, or evaluate it')


def _unfinished(folder: Path, config: Mapping[str, Any], numbers: Mapping[str, Any]) -> str:
    """What a run with an evaluation lacks; empty where it lacks nothing."""
    done, end = steps_done(folder, numbers), int(get(config, 'steps') or 0)
    if done < end:
        return f'it was trained for {done:,} of {end:,} steps'
    lines = evaluated.written_otherwise(folder, config)
    if lines:
        return f'it was evaluated otherwise ({"; ".join(lines)})'
    return evaluated.of_another_step(folder, config, numbers)


def evaluation(folder: Path) -> Mapping[str, Any] | None:
    """The numbers of `evaluation/evaluation.json`; None where there is none.

    Raises:
      UserError: it is damaged.
    """
    file = folder / 'evaluation' / 'evaluation.json'
    try:
        numbers = json.loads(file.read_bytes())
    except (FileNotFoundError, NotADirectoryError):
        return None
    except ValueError as error:
        raise UserError(f'{file} is damaged: {error}; delete it') from error
    if not isinstance(numbers, dict):
        raise UserError(f'{file} is damaged: it holds no JSON object; delete it')
    return numbers


def how_far(cell: Cell) -> str:
    """What a run lacks, with the steps that it has done; empty where it is finished."""
    numbers = evaluation(cell.folder)
    if numbers is not None:
        return _unfinished(cell.folder, evaluated.asked_of(cell.config), numbers)
    done = steps_done(cell.folder)
    if not done:
        return 'not begun' if not cell.folder.exists() else 'begun, no step is logged'
    rest = '' if done < cell.config.steps else ', and not evaluated'
    return f'it was trained for {done:,} of {cell.config.steps:,} steps{rest}'


def unfinished_lines(cells: Sequence[Cell]) -> list[str]:
    """A line for each run that is not finished: how far it is, and why it failed where it did."""
    lines = []
    for cell in cells:
        lacks = how_far(cell)
        if lacks:
            error = run_record.read(cell.folder).error
            lines.append(f'{cell}: {lacks}' + (f'; failed: {error}' if error else ''))
    return lines


def steps_done(folder: Path, numbers: Mapping[str, Any] | None = None) -> int:
    """The newest step that the run's files tell of; `numbers` are those of its evaluation."""
    file = folder / 'metrics.jsonl'
    logged = [row['step'] for row in read_metrics(file)] if file.exists() else []
    return max([*logged, int((numbers or {}).get('step', 0))], default=0)


def rows_of(cells: Sequence[Cell]) -> list[Row]:
    """A row for each cell that is finished or failed, in order; see `row_of`."""
    rows = []
    for cell in cells:
        finished = is_finished(cell)
        if finished or run_record.read(cell.folder).error is not None:
            rows.append(row_of(cell.folder, cell.labels, finished, cell.measures))
    return rows


def row_of(
    folder: Path,
    labels: Mapping[str, Any],
    finished: bool = True,
    measures: Sequence[str] = OF_IMAGES,
) -> Row:
    """The row of a run: its labels, its numbers, and where they come from.

    Args:
      finished: whether its numbers count; else its row has an `error` instead.
      measures: as in `Cell`.

    Returns:
      The labels; `steps` done and the `step` that was evaluated; the numbers of `evaluation.json`
      but precision, recall and F1 of single classes, and those of `measures` in any case; `commit`,
      `hardware`, `date`, `versions` and `seconds` (`RunRecord.facts`); `error`, None where there is
      none; `folder`.
    """
    record, numbers = run_record.read(folder), evaluation(folder) if finished else None
    kept = {
        key: value
        for key, value in (numbers or {}).items()
        if key == 'f1_macro' or not key.startswith(_OF_CLASS)
    }
    return {
        **labels,
        'steps': steps_done(folder, numbers),
        **dict.fromkeys(('step', *measures)),
        **kept,
        **record.facts(),
        'error': None if finished else record.error,
        'folder': str(folder),
    }
