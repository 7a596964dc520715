"""A study of any options: every combination of their values, over seeds, in one table and figure.

    python -m eojax.studies.sweep --config=configs/jem_eurosat_small.py \\
        --vary optimizer.learning_rate=1e-3,3e-3 --vary seed=0,1,2

Each combination is an ordinary run in a process and a folder of its own,
`WORKDIR/KEY=VALUE/.../seed=SEED`; the same command goes on where it was stopped, and one with more
values trains these alone. Keys are those of the config, and `method`, `model`, `data` and `source`,
which put other parts in it. With `--one_at_a_time` the config is trained as it is and with each
value alone: what does each part of a recipe contribute? All `--config.KEY=VALUE` hold for every
run; a text that has commas in it is written between semicolons,
`--vary 'data.classes=a=b+c,d;a,d'`. In `--workdir`:

`table.md`: mean and standard deviation over the seeds of `--metric`, of the test images and of the
  validation images, by which the best point is chosen: to choose by test images would flatter it.
`table.json`, `table.csv`: a row for each run, with all its numbers.
`METRIC.png`: the metric against what varies.
`study.json`: which keys vary.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from eojax.command_parser import CommandParser
from eojax.config.command_line import Typed, read_arguments
from eojax.errors import UserError, one_line_errors
from eojax.home import expand_paths
from eojax.messages import say_some
from eojax.program_name import program_name
from eojax.studies.grid.cells import Cell, Row, rows_of
from eojax.studies.grid.results import Results, start_alone, train_and_write
from eojax.studies.grid.runner import Start, start_beside_others, start_process
from eojax.studies.grid.tables import by_folder
from eojax.studies.sweep import figures
from eojax.studies.sweep.plan import (
    Axis,
    Make,
    Study,
    cells_of,
    check_study,
    make_from,
    other_cells,
    parse_vary,
    read_study,
    study_of,
    write_study,
)
from eojax.studies.sweep.points import metric_of, sorted_rows, with_validation
from eojax.studies.sweep.table import as_csv, markdown


def main(
    arguments: Sequence[str] | None = None,
    start: Start = start_process,
) -> None:
    """The command line.

    Args:
      start: how a run is started.
    """
    prog = program_name('eojax.studies.sweep')
    parser = CommandParser(
        prog=prog,
        usage=f'{prog} --config=NAME --vary KEY=VALUE,VALUE [--vary ...] [--config.KEY=VALUE ...]',
        description='Trains every combination of values of options: a table and a figure.',
        epilog=f'example: {prog} --config=configs/quickstart.py --vary seed=0,1,2'
        ' --vary optimizer.learning_rate=1e-3,3e-3',
    )
    parser.add_argument(
        '--vary', action='append', default=[], metavar='KEY=VALUE,VALUE', help='repeat for more'
    )
    parser.add_argument(
        '--one_at_a_time', action='store_true', help='the config as it is, and each value alone'
    )
    parser.add_argument(
        '--metric', default='', help='of evaluation.json; else accuracy or its like'
    )
    parser.add_argument('--workdir', type=Path, help='else runs/study_NAME_KEYS')
    parser.add_argument('--jobs', type=int, default=1, help='how many runs at once (default: 1)')
    parser.add_argument('--table_only', action='store_true', help='train nothing')
    options, others = parser.parse_known_args(arguments)
    with one_line_errors():
        expand_paths(options)
        start_alone()
        _work(options, others, start)


def _work(options: argparse.Namespace, others: Sequence[str], start: Start) -> None:
    if options.jobs < 1:
        raise UserError(f'--jobs must be at least 1, not {options.jobs}')
    if options.table_only and options.workdir is not None:
        study = read_study(options.workdir)
        if study is None:
            raise UserError(f'--workdir={options.workdir} holds no study')
        found = other_cells(options.workdir, study, [])
        return _write(options, options.workdir, study, [], found, start)
    axes, make, typed = _asked(options.vary, others)
    study = study_of(typed, axes, options.one_at_a_time)
    workdir = options.workdir or Path('runs', f'study_{typed.name}_{"_".join(study.keys)}')
    check_study(workdir, study)
    cells = cells_of(make, axes, study, workdir)
    say_some(typed.notes)
    if options.table_only:  # all that are there must have the config that is typed
        return _write(options, workdir, study, [], other_cells(workdir, study, [], make), start)
    found = other_cells(workdir, study, cells, make)
    write_study(workdir, study)
    return _write(options, workdir, study, cells, found, start)


def _asked(vary: Sequence[str], others: Sequence[str]) -> tuple[tuple[Axis, ...], Make, Typed]:
    """The keys that vary, and the config in which they do."""
    typed = read_arguments(others)
    if typed.rest:
        raise UserError(f'unknown argument {typed.rest[0]!r}')
    if typed.config is None:
        raise UserError('say what to train: --config=configs/NAME.py')
    if not vary:
        raise UserError('say what varies: --vary KEY=VALUE,VALUE, such as --vary seed=0,1,2')
    axes = parse_vary(vary)
    for axis in axes:
        for text in others:
            if text.lstrip('-').partition('=')[0] in (f'config.{axis.key}', axis.key):
                raise UserError(f'{text}: {axis.key} varies; leave one of the two out')
    return axes, make_from(others), typed


def _write(
    options: argparse.Namespace,
    workdir: Path,
    study: Study,
    cells: Sequence[Cell],
    others: Sequence[Cell],
    start: Start,
) -> None:
    """Trains the cells, and writes table and figure of them and of the others."""
    if not (cells or rows_of(others)):
        raise UserError(f'--workdir={workdir} holds no trained runs of this study')

    def rows_with(own: list[Row]) -> list[Row]:
        rows = sorted_rows(by_folder([*own, *rows_of(others)]), study)
        return with_validation(rows, metric_of(rows, options.metric))

    def draw(rows: Sequence[Row]) -> None:
        metric = metric_of(rows, options.metric)
        figures.draw(rows, study, metric, workdir / f'{metric}.png')

    results = Results(
        rows_with,
        lambda rows: markdown(rows, study, metric_of(rows, options.metric)),
        lambda rows: 0,
        draw,
        lambda rows: {'table.csv': as_csv(rows, study)},
    )
    if options.jobs > 1 and start is start_process:
        start = start_beside_others
    train_and_write(cells, workdir, results, start, options.table_only, options.jobs, found=others)
