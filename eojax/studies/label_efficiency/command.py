"""Accuracy and calibration by method and number of labels, over several seeds.

    python -m eojax.apps.label_efficiency \\
        --config=configs/jem_eurosat.py,configs/fixmatch_eurosat.py \\
        --labels=1,5,10,20,100 --seeds=0,1,2 --config.data.root=EuroSAT.zip

Every config is trained with each number of labels per class and each seed, in an ordinary run
folder `WORKDIR/CONFIG/LABELS_labels/seed_SEED`; the same command goes on where it was stopped. The
seed is the config's: it draws the hold-out, the labelled subset and the initial parameters. All
`--config.KEY=VALUE` hold for every run. What is written to `--workdir` is of all finished runs in
it and in `--runs`, the papers' numbers (`eojax.evaluation.published_results`) beside them:

`table.json`: a list of rows, one for each run: `config` (name of the config or folder), `method`,
  `data`, `labels_per_class` (a number or `all`), `seed`, `network`, `image_size`, `steps`,
  `accuracy`, `ece` and all else of `evaluation.json` but single classes' numbers; `commit`,
  `hardware`, `date`, `versions` as in `benchmarks/results/README.md` (null where the run was not
  trained by this command), `seconds` it took; `error`, null or why it failed; `folder`.
`table.md`: mean and standard deviation (of the sample, n - 1) over the seeds.
`accuracy.png`, `ece.png`: the same against the number of labels.
`reliability.png`: by number of labels, how often each config is right, by how sure it is; over all
  test images of all its seeds.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from ml_collections import ConfigDict

from eojax.command_parser import CommandParser
from eojax.config.base import set_key
from eojax.data.parts.labelled import LABELS_KEY, parse_labels_per_class
from eojax.errors import UserError, one_line_errors
from eojax.methods import METHODS
from eojax.methods.method import having_ability
from eojax.program_name import program_name
from eojax.studies.grid.cells import Cell, rows_of
from eojax.studies.grid.configs import load_configs, parse_arguments, parse_list, parse_seeds
from eojax.studies.grid.results import Results, start_alone, train_and_write
from eojax.studies.grid.runner import Start, measure_calibration, start_process
from eojax.studies.grid.series import check_series
from eojax.studies.grid.tables import trained_folders
from eojax.studies.label_efficiency import figures
from eojax.studies.label_efficiency.rows import (
    OF_A_RUN,
    found_cells,
    labels_of,
    other_rows,
    sort_rows,
)
from eojax.studies.label_efficiency.table import markdown


def main(arguments: Sequence[str] | None = None, start: Start = start_process) -> None:
    """The command line.

    Args:
      start: how a run is started.
    """
    called = program_name('eojax.apps.label_efficiency')
    parser = CommandParser(
        prog=called,
        description='Trains configs with few labels, over seeds: a table and figures.',
        epilog='Any --config.KEY=VALUE holds for all runs. Example:'
        f' {called} --config=configs/jem_eurosat.py,configs/fixmatch_eurosat.py'
        ' --config.data.root=EuroSAT.zip',
    )
    parser.add_argument('--config', default='', help='configs to train, with commas between')
    parser.add_argument('--labels', default='1,5,10,20,100', help='per class: numbers, or all')
    parser.add_argument('--seeds', default='0,1,2', help='with commas between (default: 0,1,2)')
    parser.add_argument('--workdir', type=Path, default=Path('runs/label_efficiency'))
    parser.add_argument('--runs', default='', help='run folders from elsewhere, for the table')
    parser.add_argument('--table_only', action='store_true', help='train nothing, measure nothing')
    with one_line_errors():
        options, changes = parse_arguments(parser, arguments, ('seed', LABELS_KEY))
        start_alone()
        _work(options, changes, start)


def _work(options: argparse.Namespace, changes: Sequence[str], start: Start) -> None:
    cells = _cells(options, changes)
    found = found_cells(options.workdir)
    check_series(cells, found, OF_A_RUN)
    series = {c.labels['config']: c.config for c in [*found, *cells]}
    others = other_rows(parse_list('runs', options.runs), series) if options.runs else []
    if not (cells or others or rows_of(found)):
        raise UserError(f'--workdir={options.workdir} holds no trained runs')
    order = list(dict.fromkeys(cell.labels['config'] for cell in cells))
    results = Results(
        lambda own: sort_rows([*own, *rows_of(found), *others], order),
        markdown,
        lambda rows: measure_calibration(trained_folders(rows), start),
        lambda rows: figures.draw(rows, options.workdir),
    )
    train_and_write(cells, options.workdir, results, start, options.table_only, found=found)


def _cells(options: argparse.Namespace, changes: Sequence[str]) -> list[Cell]:
    """The runs to train, all seeds of one number of labels after the other."""
    if options.table_only:
        return []
    if not options.config:
        if options.runs and not changes:
            return []
        raise UserError('say what to train: --config=configs/A.py,configs/B.py')
    configs = load_configs(options.config, changes)
    seeds, labels = parse_seeds(options.seeds), _parse_labels(options.labels)
    for name, config in configs.items():
        _check_classifies(name, config)
    return [
        _cell(options.workdir, name, config, number, seed)
        for name, config in configs.items()
        for number in labels
        for seed in seeds
    ]


def _parse_labels(text: str) -> list[str]:
    entries = parse_list('labels', text)
    try:
        numbers = [parse_labels_per_class(entry) for entry in entries]
    except UserError:
        raise UserError(f"--labels={text}: expected positive whole numbers or 'all'") from None
    if len(set(numbers)) < len(numbers):
        raise UserError(f'--labels={text}: one is given twice')
    return ['all' if number is None else str(number) for number in numbers]


def _cell(workdir: Path, name: str, config: ConfigDict, labels: str, seed: int) -> Cell:
    own = config.copy_and_resolve_references()
    set_key(own, LABELS_KEY, labels)
    set_key(own, 'seed', seed)
    folder = workdir / name / f'{labels}_labels' / f'seed_{seed}'
    title = f'{name}, {labels} label{"" if labels == "1" else "s"} per class, seed {seed}'
    return Cell(folder, own, labels_of(own.to_dict(), name), title)


def _check_classifies(name: str, config: ConfigDict) -> None:
    method = METHODS.get(config.method.name)
    if method is not None and 'logits' not in method.abilities:
        having = ', '.join(having_ability(METHODS, 'logits'))
        raise UserError(
            f'{name}: method {config.method.name!r} does not classify; these do: {having}'
        )
