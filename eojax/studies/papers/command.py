"""Every figure and table of the papers on classification and transfer, one command each.

    python -m eojax.studies.papers --list
    python -m eojax.studies.papers --figure=001/4 --small --data=eurosat=EuroSAT_RGB.zip
    python -m eojax.studies.papers --table=001/III --data=eurosat=EuroSAT_RGB.zip --seeds=5

Papers are 000 (IGARSS 2021), 001 (TGRS 2022), 002 (thesis 2022) and 004 (transfer, 2022); `--list`
prints all items with the data they need and how long they take. `--figure` and `--table` may be
repeated. The runs of an item are trained, or go on where they were stopped, each in a process and a
folder of its own, `WORKDIR/SERIES/LABELS_labels/seed_SEED`; a run that another item has trained is
not trained again. With `--small` they are the small configs, for two CPU cores, else the published
ones; all `--config.KEY=VALUE` hold for every run.

`--data=NAME=PATH` says where a data set lies. What belongs to one that is missing is left out, and
a line says so; where nothing is left, the line is an error and says where to get it. With
`--domain=NAME=PATH`, another set of images or another scene stands in for what is missing, and the
caption says so. `--labels` and `--methods` choose some runs of a table.

What is written to a folder of each item, `OUT/PAPER_KIND_NUMBER`: `figure.png` (of tables, figures
of their numbers); `README.md`, the caption, our numbers beside the paper's, and the command;
`record.json`, the same with commit, hardware, date, versions, and a row for each run, as in
`benchmarks/results/README.md`.
"""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from eojax.command_parser import CommandParser
from eojax.data.parts.labelled import LABELS_KEY
from eojax.devices import compilation_cache
from eojax.errors import UserError, one_line_errors
from eojax.messages import say
from eojax.program_name import program_name
from eojax.runs.command import open_folder_for_writing
from eojax.studies.grid.cells import Cell, check, is_finished, rows_of, unfinished_lines
from eojax.studies.grid.configs import parse_arguments, parse_list, parse_seeds_or_number
from eojax.studies.grid.results import start_alone
from eojax.studies.grid.runner import (
    Start,
    finish,
    run_grid,
    start_beside_others,
    start_process,
)
from eojax.studies.papers import transfer
from eojax.studies.papers.item import FIGURE, TABLE, Item, Plan, Work
from eojax.studies.papers.items import find
from eojax.studies.papers.listing import listing
from eojax.studies.papers.plan import Given, check_chosen, plan_of
from eojax.studies.papers.runs import Configs, cells_of
from eojax.studies.papers.sources import INCEPTION, SOURCES, parse_paths
from eojax.studies.papers.writing import RECORD, TEXT, caption_of, write

_TAKEN = ('seed', LABELS_KEY, 'data.root', 'source.root')


class Planned(NamedTuple):
    """An item and the cells of its runs."""

    plan: Plan
    cells: list[Cell]


def main(arguments: Sequence[str] | None = None, start: Start = start_process) -> None:
    """The command line.

    Args:
      start: how a run is started.
    """
    typed = sys.argv[1:] if arguments is None else [*arguments]
    called = program_name('eojax.studies.papers')
    with one_line_errors():
        options, changes = parse_arguments(_parser(called), typed, _TAKEN)
        if options.list:
            print(listing())
            return
        items = [find(FIGURE, key) for key in options.figure]
        items += [find(TABLE, key) for key in options.table]
        if not items:
            raise UserError('say which: --figure=001/4 or --table=001/III; --list shows them all')
        start_alone()
        _work(options, items, changes, shlex.join([*called.split(), *typed]), start)


def _parser(called: str) -> argparse.ArgumentParser:
    parser = CommandParser(
        prog=called,
        description="Makes figures and tables of the papers: ours, with the papers' numbers.",
        epilog='Any --config.KEY=VALUE holds for all runs. Example:'
        f' {called} --figure=001/4 --small --data=eurosat=EuroSAT_RGB.zip',
        allow_abbrev=False,
    )
    parser.add_argument('--list', action='store_true', help='all of them, and what they need')
    parser.add_argument('--figure', action='append', default=[], metavar='KEY', help='repeat')
    parser.add_argument('--table', action='append', default=[], metavar='KEY', help='repeat')
    parser.add_argument(
        '--data', action='append', default=[], metavar='NAME=PATH',
        help=f'where data lie: {", ".join(SOURCES)}; repeat',
    )  # fmt: skip
    parser.add_argument(
        '--domain', action='append', default=[], metavar='NAME=PATH',
        help='other images, or a scene, in place of what is missing; repeat',
    )  # fmt: skip
    parser.add_argument('--small', action='store_true', help='small configs, for two CPU cores')
    parser.add_argument('--labels', default='', help='of the runs of tables: these alone')
    parser.add_argument('--methods', default='', help='of the runs of tables: these alone')
    parser.add_argument(
        '--seeds', default='1',
        help='how many, or which with commas between (default: 1); figures are of the first,'
        ' calibration and transfer of all',
    )  # fmt: skip
    parser.add_argument(
        '--images', type=int, default=2000, help='of each domain, at most (default: 2000)'
    )
    parser.add_argument('--jobs', type=int, default=1, help='how many runs at once (default: 1)')
    parser.add_argument(
        '--workdir', type=Path, help='of all runs; else runs/papers, or runs/papers_small'
    )
    parser.add_argument('--out', type=Path, help="of the items' folders (default: the workdir)")
    parser.add_argument('--table_only', action='store_true', help='train nothing, draw what is')
    return parser


def _work(
    options: argparse.Namespace,
    items: Sequence[Item],
    changes: Sequence[str],
    command: str,
    start: Start,
) -> None:
    given = _given(options)
    seeds = parse_seeds_or_number(options.seeds)
    workdir = options.workdir or Path('runs', 'papers_small' if options.small else 'papers')
    out = options.out or workdir
    plans = [plan_of(item, given) for item in items]
    check_chosen(items, given)
    for note in dict.fromkeys(f'{plan.item.key}: {n}' for plan in plans for n in plan.notes):
        say(note)
    configs = Configs(options.small, given.data, changes)
    planned = [
        Planned(plan, _cells(plan, configs, given, changes, seeds, workdir)) for plan in plans
    ]
    cells = [*{cell.folder: cell for one in planned for cell in one.cells}.values()]
    check(cells)
    open_folder_for_writing(workdir, '--workdir')
    open_folder_for_writing(out)
    if options.jobs > 1 and start is start_process:
        start = start_beside_others
    ended = run_grid([] if options.table_only else cells, start=start, jobs=options.jobs)
    failed: list[str] = []
    if not ended.stopped:
        compilation_cache.enable()
        for one in planned:
            work = Work(
                one.plan, one.cells, rows_of(one.cells), out / one.plan.item.folder, workdir,
                options.small, seeds, options.images, given.data.get(INCEPTION), changes,
            )  # fmt: skip
            failed += _draw(work, command)
    for line in failed:
        print(f'eojax: {line}', file=sys.stderr)
    finish(ended)
    if failed:
        raise SystemExit(1)


def _given(options: argparse.Namespace) -> Given:
    """The data and the choices of the command line, checked."""
    for name, least in (('jobs', 1), ('images', 2)):
        if getattr(options, name) < least:
            raise UserError(f'--{name} must be at least {least}, not {getattr(options, name)}')
    return Given(
        parse_paths('data', options.data, SOURCES),
        parse_paths('domain', options.domain),
        options.small,
        parse_list('labels', options.labels) if options.labels else (),
        parse_list('methods', options.methods) if options.methods else (),
    )


def _cells(
    plan: Plan,
    configs: Configs,
    given: Given,
    changes: Sequence[str],
    seeds: Sequence[int],
    workdir: Path,
) -> list[Cell]:
    """The runs of an item: of all seeds, or of the first."""
    item = plan.item
    wanted = seeds if item.over_seeds else seeds[:1]
    if item.experiment:
        return transfer.cells_of(
            workdir, item.experiment, given.small, given.data, changes, wanted
        )  # fmt: skip
    return cells_of(workdir, plan.runs, configs, wanted)


def _draw(work: Work, command: str) -> list[str]:
    """Draws and writes an item; returns lines on why it cannot be."""
    item = work.plan.item
    unfinished = [cell for cell in work.cells if not is_finished(cell)]
    if unfinished and not item.over_seeds:
        return [f'{item.key} is not drawn: {unfinished[0]} is not finished']
    work.out.mkdir(parents=True, exist_ok=True)
    try:
        outcome = item.draw(work)
    except UserError as error:
        return [f'{item.key} is not drawn: {error}']
    write(work, outcome, command)
    print(outcome.table or caption_of(work, outcome))
    for line in unfinished_lines(work.cells):
        say(f'{item.key} is without a run: {line}')
    print(f'{", ".join([*outcome.files, TEXT, RECORD])} are in {work.out}', flush=True)
    return []
