"""The paper's comparison of transfers between two sensors: tables and figures, over several seeds.

    python -m eojax.apps.transfer_study --config=configs/swd_transfer_landscapes.py \\
        --classes=lowrise,urban,all --labelled=32,128,1024,all --seeds=5

"Land Use Prediction using Electro-Optical to SAR Few-Shot Transfer Learning" (Hussing et al.,
2022), Figures 1 to 3. From one config of `swd_transfer` follow those of all runs
(`eojax.studies.transfer_study.variants`, which says how compute is made equal), by `--experiments`:

`methods`: SWD-transfer, fine-tuning and SAR-only, with the config's norm and contrastive weight;
`normalisation`: SWD-transfer and fine-tuning with each of `--norms`;
`contrastive`: SWD-transfer with each weight of the contrastive loss in `--contrastive`, of the
  encoder's output or of each number of projections in `--heads`;
`shares`, not the paper's: SWD-transfer with the source as it is, and weighed to the class shares of
  the target, each of `--target_shares` (`eojax.methods.transfer.class_shares`).

A run that several experiments need is trained once, in an ordinary run folder
`WORKDIR/VARIANT/LABELLED/seed_SEED`; the same command goes on where it was stopped. The seed is the
config's: it draws the hold-out, the labelled images and the initial parameters. All
`--config.KEY=VALUE` hold for every run. What is written to `--workdir` is of all finished runs in
it:

`table.json`: a list of rows, one for each run: `config` (its variant), `method`, `norm`,
  `contrastive` (weight; null without a source), `head`, `target_shares`, `expected_shares` (of
  `method`), `classes`, `num_classes`, `labelled` (a number or `all`), `seed`, `data`, `source`,
  `network`, `image_size`, `steps`, `accuracy`, `ece` and all else that rows have in
  `eojax.studies.label_efficiency.command`.
`table.md`: mean and standard error over the seeds for each experiment, and of differences paired by
  seed.
`methods.png`, `normalisation.png`, `contrastive.png`, `shares.png`: accuracy against the number of
  labelled images, with standard errors.
`embedding.png`: the test images of both domains in the embedding of `swd_transfer`, before the
  alignment and after it with each number of labelled images, with the lowest seed
  (`eojax.studies.transfer_study.embedding`). Runs of that seed keep their checkpoints from the
  first step of the alignment on (`keep_checkpoints`), and nothing is trained for it once more.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from pathlib import Path

from eojax.command_parser import CommandParser
from eojax.config.command_line import changed_config
from eojax.data.parts.labelled import LABELS_KEY, TOTAL_KEY
from eojax.errors import UserError, one_line_errors, unknown_name
from eojax.evaluation.embeddings import embeddings_file
from eojax.methods.transfer import class_shares
from eojax.program_name import program_name
from eojax.studies.grid.cells import Cell, Row, rows_of
from eojax.studies.grid.configs import (
    parse_arguments,
    parse_list,
    parse_seeds_or_number,
)
from eojax.studies.grid.results import Results, start_alone, train_and_write
from eojax.studies.grid.runner import Start, measure, start_process
from eojax.studies.grid.series import check_series, found_cells
from eojax.studies.transfer_study import figures
from eojax.studies.transfer_study.embedding import embedded_folders, embedding_figure
from eojax.studies.transfer_study.table import markdown, sort_rows
from eojax.studies.transfer_study.variants import (
    EXPERIMENTS,
    OF_A_RUN,
    SHARES,
    Wanted,
    check_base,
    found_files,
    labels_of_found,
    study_cells,
)


def main(arguments: Sequence[str] | None = None, start: Start = start_process) -> None:
    """The command line.

    Args:
      start: how a run is started.
    """
    called = program_name('eojax.apps.transfer_study')
    parser = CommandParser(
        prog=called,
        description='Transfer between two sensors against its baselines: a table and figures.',
        epilog='Any --config.KEY=VALUE holds for all runs. Example:'
        f' {called} --config=configs/swd_transfer_landscapes.py --seeds=5',
    )
    parser.add_argument('--config', default='', help='a config of swd_transfer')
    parser.add_argument(
        '--experiments',
        default=','.join(EXPERIMENTS),
        help=f"which of them, or {SHARES} (default: all of the paper's)",
    )
    parser.add_argument(
        '--classes', default='', help="lowrise, urban, all; else the config's own classes"
    )
    parser.add_argument('--labelled', default='32,128,1024,all', help='in all: numbers, or all')
    parser.add_argument('--norms', default='instance,batch', help='for normalisation')
    parser.add_argument('--contrastive', default='0,1', help='weights, for contrastive')
    parser.add_argument('--heads', default='0', help='lengths of projections, for contrastive')
    parser.add_argument(
        '--target_shares', default=f'{class_shares.EQUAL},{class_shares.ESTIMATED}',
        help=f'for {SHARES}',
    )  # fmt: skip
    parser.add_argument('--seeds', default='5', help='how many, or which with commas between')
    parser.add_argument('--workdir', type=Path, default=Path('runs/transfer_study'))
    parser.add_argument('--table_only', action='store_true', help='train nothing, measure nothing')
    with one_line_errors():
        options, changes = parse_arguments(parser, arguments, ('seed', LABELS_KEY, TOTAL_KEY))
        start_alone()
        _work(options, changes, start)


def _work(options: argparse.Namespace, changes: Sequence[str], start: Start) -> None:
    workdir: Path = options.workdir
    cells = [] if options.table_only else _cells(options, changes)
    found = found_cells(found_files(workdir), labels_of_found)
    check_series(cells, found, OF_A_RUN)
    if not (cells or rows_of(found)):
        raise UserError(f'--workdir={workdir} holds no trained runs')
    results = Results(
        lambda own: sort_rows([*own, *rows_of(found)]),
        markdown,
        lambda rows: measure(
            embedded_folders(rows), 'embeddings', '--embed', embeddings_file, start
        ),
        lambda rows: _draw(rows, workdir),
    )
    train_and_write(cells, workdir, results, start, options.table_only, found=found)


def _draw(rows: Sequence[Row], workdir: Path) -> None:
    figures.draw(rows, workdir)
    embedding_figure(rows, workdir / 'embedding.png')


def _cells(options: argparse.Namespace, changes: Sequence[str]) -> list[Cell]:
    """The runs to train."""
    if not options.config:
        raise UserError('say what to train: --config=configs/NAME.py, a config of swd_transfer')
    experiments = parse_list('experiments', options.experiments)
    for name in experiments:
        if name not in (*EXPERIMENTS, SHARES):
            raise unknown_name('experiment', name, (*EXPERIMENTS, SHARES))
    wanted = Wanted(
        experiments,
        parse_list('classes', options.classes) if options.classes else [],
        parse_list('norms', options.norms),
        _parse_weights(options.contrastive),
        _parse_labelled(options.labelled),
        parse_seeds_or_number(options.seeds),
        _parse_heads(options.heads),
        _parse_shares(options.target_shares),
    )
    _check_changes(changes, wanted)
    config = changed_config(options.config, changes)
    check_base(config, wanted.classes)
    return study_cells(options.workdir, config, wanted)


def _check_changes(changes: Sequence[str], wanted: Wanted) -> None:
    for group in ('data', 'source'):
        key = f'--config.{group}.classes'
        if wanted.classes and any(change.partition('=')[0] == key for change in changes):
            raise UserError(f'{key}: --classes sets it, for each of the runs')


def _parse_labelled(text: str) -> list[str]:
    found = []
    for entry in parse_list('labelled', text):
        if entry != 'all' and not (entry.isascii() and entry.isdigit() and int(entry) > 0):
            raise UserError(f"--labelled={text}: expected positive whole numbers or 'all'")
        found.append(entry if entry == 'all' else str(int(entry)))
    if len(set(found)) < len(found):
        raise UserError(f'--labelled={text}: one is given twice')
    return found


def _parse_heads(text: str) -> list[int]:
    entries = parse_list('heads', text)
    if not all(entry.isascii() and entry.isdigit() for entry in entries):
        raise UserError(f'--heads={text}: expected whole numbers from 0 on')
    if len(set(map(int, entries))) < len(entries):
        raise UserError(f'--heads={text}: one is given twice')
    return [int(entry) for entry in entries]


def _parse_shares(text: str) -> list[str]:
    kinds = (class_shares.EQUAL, class_shares.ESTIMATED)
    entries = parse_list('target_shares', text)
    for entry in entries:
        if entry not in kinds:
            raise unknown_name('kind of --target_shares', entry, kinds)
    return list(dict.fromkeys(entries))


def _parse_weights(text: str) -> list[float]:
    try:
        weights = [float(entry) for entry in parse_list('contrastive', text)]
    except ValueError:
        weights = [-1.0]
    if not all(0.0 <= weight < math.inf for weight in weights):
        raise UserError(f'--contrastive={text}: expected numbers from 0 on')
    if len(set(weights)) < len(weights):
        raise UserError(f'--contrastive={text}: one is given twice')
    return weights
