"""Studies of segmentation with few labels: one table each, over several seeds.

    python -m eojax.studies.segmentation labelled_data \\
        --config=configs/segmentation_landscapes.py --amounts=all,10%,one_city --seeds=3
    python -m eojax.studies.segmentation auxiliary_losses --config=configs/BERUNDANET.py \\
        --losses=l1,relaxed_k_means --weights=0.1,1,10 --seeds=3
    python -m eojax.studies.segmentation methods \\
        --config=configs/A.py --config=configs/B.py --seeds=3

`labelled_data`: how much is labelled: everything, a share of each city, one city, or a number of
  places (`eojax.studies.segmentation.labelled_data`);
`auxiliary_losses`: losses of unlabelled images beside the supervised one, and their weight
  (`eojax.studies.segmentation.auxiliary_losses`);
`methods`: any configs of methods that segment, side by side (`eojax.studies.segmentation.methods`).

Each setting is trained with each seed, in an ordinary run folder `WORKDIR/SETTING/seed_SEED`; the
same command goes on where it was stopped, and a run that failed is a row that says why. The seed is
the config's: it draws the labelled places, the initial parameters and, unless the config names its
test places, the hold-out. All `--config.KEY=VALUE` hold for every run. What is written to
`--workdir` is of all finished runs in it, the thesis' numbers
(`eojax.evaluation.published_segmentation`) beside them:

`table.json`: a list of rows, one for each run: `config` (its setting), `method`, `variant`,
  `auxiliary`, `auxiliary_weight`, `data`, `published_labels`, `labelled_groups`,
  `labelled_share`, `labelled_in_all`, `seed`, `network`, `width`, `window`, `steps`,
  `labelled_places` (null where it is not known), `pixel_accuracy`, `mean_iou`, `mean_iou_all` and
  all else that rows have in `eojax.studies.label_efficiency.command`.
`table.csv`: a row for each setting (`eojax.studies.segmentation.table.csv`).
`table.md`: mean and standard deviation over the seeds, and gains over the base of runs of the same
  seed; also of each test city and class.
`scores.png`: overall accuracy and mean IoU of each setting; `cities.png`, `classes.png`: of each
  test city and class; `places.png`, `weights.png`: against the number of labelled places, and
  against the weight of the auxiliary loss.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import NamedTuple

from ml_collections import ConfigDict

from eojax.command_parser import CommandParser
from eojax.data.parts.labelled import GROUPS_KEY
from eojax.errors import UserError, one_line_errors, unknown_name
from eojax.evaluation.published_segmentation import AUXILIARY_TITLES
from eojax.program_name import program_name
from eojax.studies.grid.cells import Cell, Row, rows_of
from eojax.studies.grid.configs import (
    changed_config,
    load_configs,
    parse_arguments,
    parse_seeds_or_number,
)
from eojax.studies.grid.results import Results, start_alone, train_and_write
from eojax.studies.grid.runner import Start, start_process
from eojax.studies.grid.series import check_series
from eojax.studies.segmentation import auxiliary_losses, figures, labelled_data, methods
from eojax.studies.segmentation.rows import (
    LABELLED_KEYS,
    check_data,
    differences,
    found_cells,
    sort_rows,
)
from eojax.studies.segmentation.study import Study, lines_of
from eojax.studies.segmentation.table import csv, markdown


class Command(NamedTuple):
    """One of the studies as a command.

    Attributes:
      about: for `--help`.
      taken: keys of the config that the study sets itself.
      free: keys in which the runs of one setting may differ.
      free_data: keys in which the data of settings may differ.
      add_options: its options beside those of all studies.
      cells: the runs to train, of the options and of the changes to the config.
      study: of all cells of its table.
    """

    about: str
    taken: Collection[str]
    free: Collection[str]
    free_data: Collection[str]
    add_options: Callable[[argparse.ArgumentParser], object]
    cells: Callable[[argparse.Namespace, Sequence[str]], list[Cell]]
    study: Callable[[Sequence[Cell]], Study]


def main(arguments: Sequence[str] | None = None, start: Start = start_process) -> None:
    """The command line.

    Args:
      start: how a run is started.
    """
    typed = sys.argv[1:] if arguments is None else [*arguments]
    with one_line_errors():
        if not typed or typed[0] in ('-h', '--help'):
            print(__doc__)
            return
        if typed[0] not in COMMANDS:
            raise unknown_name('study', typed[0], COMMANDS)
        command = COMMANDS[typed[0]]
        options, changes = parse_arguments(_parser(typed[0], command), typed[1:], command.taken)
        start_alone()
        _work(command, options, changes, start)


def _parser(name: str, command: Command) -> argparse.ArgumentParser:
    parser = CommandParser(
        prog=f'{program_name("eojax.studies.segmentation")} {name}',
        description=command.about,
        epilog='Any --config.KEY=VALUE holds for all runs.',
    )
    parser.add_argument('--config', action='append', default=[], help='a config')
    parser.add_argument('--seeds', default='3', help='how many, or which with commas between')
    parser.add_argument('--workdir', type=Path, default=Path(f'runs/segmentation_{name}'))
    parser.add_argument('--table_only', action='store_true', help='train nothing')
    command.add_options(parser)
    return parser


def _work(
    command: Command, options: argparse.Namespace, changes: Sequence[str], start: Start
) -> None:
    cells = [] if options.table_only else command.cells(options, changes)
    found = found_cells(options.workdir)
    check_series(cells, found, command.free)
    check_data([*cells, *found], command.free_data)
    if not (cells or rows_of(found)):
        raise UserError(f'--workdir={options.workdir} holds no trained runs')
    study = command.study([*cells, *found])
    results = Results(
        lambda own: sort_rows(study, [*own, *rows_of(found)]),
        lambda rows: markdown(study, rows),
        lambda rows: 0,
        lambda rows: _draw(study, rows, options.workdir),
        lambda rows: {'table.csv': csv(study, rows)},
    )
    train_and_write(cells, options.workdir, results, start, options.table_only, found=found)


def _draw(study: Study, rows: Sequence[Row], workdir: Path) -> None:
    lines = lines_of(study, rows)
    figures.draw(lines, workdir)
    study.draw(lines, workdir)


def _one_config(options: argparse.Namespace, changes: Sequence[str]) -> ConfigDict:
    """The config that all runs of a study follow from."""
    if len(options.config) != 1:
        raise UserError('say what to train: --config=configs/NAME.py, once')
    config = changed_config(options.config[0], changes)
    methods.check_segments({options.config[0]: config})
    return config


def _labelled_data(options: argparse.Namespace, changes: Sequence[str]) -> list[Cell]:
    amounts = labelled_data.parse_amounts(options.amounts)
    seeds = parse_seeds_or_number(options.seeds)
    return labelled_data.cells_of(options.workdir, _one_config(options, changes), amounts, seeds)


def _auxiliary_losses(options: argparse.Namespace, changes: Sequence[str]) -> list[Cell]:
    losses = auxiliary_losses.parse_losses(options.losses)
    weights = auxiliary_losses.parse_weights(options.weights)
    seeds = parse_seeds_or_number(options.seeds)
    config = _one_config(options, changes)
    auxiliary_losses.check_base(config)
    return auxiliary_losses.cells_of(options.workdir, config, losses, weights, seeds)


def _methods(options: argparse.Namespace, changes: Sequence[str]) -> list[Cell]:
    if not options.config:
        raise UserError('say what to train: --config=configs/A.py --config=configs/B.py')
    seeds = parse_seeds_or_number(options.seeds)
    configs = load_configs(','.join(options.config), changes)
    methods.check_segments(configs)
    return methods.cells_of(options.workdir, configs, seeds)


def _methods_study(cells: Sequence[Cell]) -> Study:
    order = list(dict.fromkeys(str(cell.labels['config']) for cell in cells))
    differing = differences(cells)
    notes = [f'The configs differ in {"; ".join(differing)}.'] if differing else []
    return methods.study(order, notes)


def _amounts_option(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        '--amounts',
        default='all,10%,one_city',
        help='all, a share such as 10%%, one_city, city:NAME, or numbers of labelled places',
    )


def _losses_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument('--losses', default=','.join(AUXILIARY_TITLES), help='(default: all)')
    parser.add_argument(
        '--weights',
        default=auxiliary_losses.PUBLISHED,
        help="of each loss, or published (the default): the thesis' best",
    )


COMMANDS = {
    'labelled_data': Command(
        'How much is labelled: all training cities, a share of each, one city, a few places.',
        ('seed', *LABELLED_KEYS),
        ('seed', GROUPS_KEY),
        LABELLED_KEYS,
        _amounts_option,
        _labelled_data,
        lambda cells: labelled_data.STUDY,
    ),
    'auxiliary_losses': Command(
        'Losses of unlabelled images beside the supervised one, and their weight.',
        ('seed', auxiliary_losses.AUXILIARY_KEY, auxiliary_losses.WEIGHT_KEY),
        ('seed',),
        (),
        _losses_options,
        _auxiliary_losses,
        lambda cells: auxiliary_losses.STUDY,
    ),
    'methods': Command(
        'Several configs side by side: write --config once for each.',
        ('seed',),
        ('seed',),
        LABELLED_KEYS,
        lambda parser: None,
        _methods,
        _methods_study,
    ),
}
