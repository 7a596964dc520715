"""Studies of image synthesis: the generators of Table III, and whether synthesis pays.

    python -m eojax.studies.synthesis table --config=configs/image_synthesis_landscapes.py \\
        --segmenter_config=configs/segmentation_landscape_pairs_small.py --seeds=1
    python -m eojax.studies.synthesis pays --config=configs/image_synthesis_landscapes.py \\
        --segmenter_config=configs/segmentation_landscape_pairs_small.py --share=0.5 --seeds=3

These train. An image by a generator that is trained makes `eojax synthesise`.

`table`: for each seed a segmenter on real images, then the generators (`--generators`), which it
  judges (`eojax.studies.synthesis.generators`); `--segmenter=RUN` takes one that is there.
`pays`: a generator on a share of the training places; segmenters on real, on synthesised and on
  both kinds of images of the places (`eojax.studies.synthesis.pays`).

The segmenter is trained on the data of `--config`, whatever its own config says of them. All
`--config.KEY=VALUE` hold for the generators, and for the segmenters where the key is of the data;
all `--segmenter_config.KEY=VALUE` for the segmenters. Each run is an ordinary one, in
`WORKDIR/SETTING/seed_SEED`; the same command goes on where it was stopped, and a run that failed is
a row that says why. What is written to `--workdir` is of all finished runs in it:

`table.json`: a list of rows, one for each run: its labels, all numbers of its `evaluation.json` and
  all else that rows have in `eojax.studies.label_efficiency.command`.
`table.md`: mean and standard deviation over the seeds; of `table` with the paper's numbers, of
  `pays` with gains over real images alone, by class too.
Of `table`: `side_by_side.png`, all generators on the same places; `class_iou_truth.png` and
  `class_iou_real.png`, the IoU of each class.
Of `pays`: `scores.png`, `classes.png`, `table.csv`, as of the studies of segmentation.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from ml_collections import ConfigDict

from eojax.command_parser import CommandParser
from eojax.config.command_line import changed_config
from eojax.data.parts.labelled import GROUPS_KEY, LABELS_KEY, SHARE_KEY, TOTAL_KEY
from eojax.errors import UserError, one_line_errors, unknown_name
from eojax.evaluation.published_synthesis import GENERATORS
from eojax.evaluation.synthesis.segmenter import KEY as SEGMENTER_KEY
from eojax.evaluation.synthesis.training_images import images_file
from eojax.program_name import program_name
from eojax.runs.command import open_folder_for_writing
from eojax.studies.grid.cells import Cell, Row, check, is_finished, rows_of
from eojax.studies.grid.configs import parse_arguments, parse_seeds_or_number
from eojax.studies.grid.results import Results, start_alone, train_and_write
from eojax.studies.grid.runner import Ended, Start, finish, measure, run_grid, start_process
from eojax.studies.grid.series import check_series
from eojax.studies.grid.tables import by_folder
from eojax.studies.segmentation import figures as segmentation_figures
from eojax.studies.segmentation.rows import check_data, sort_rows
from eojax.studies.segmentation.study import lines_of
from eojax.studies.segmentation.table import csv
from eojax.studies.synthesis import figures, generators, pays, table
from eojax.studies.synthesis.generators import GENERATOR_KEY

_ABOUT = {
    'table': 'The generators of Table III, judged by one segmenter.',
    'pays': 'Segmenters trained on real, on synthesised and on both kinds of images.',
}
_TAKEN = {
    'table': ('seed', GENERATOR_KEY, SEGMENTER_KEY),
    'pays': ('seed', SHARE_KEY, TOTAL_KEY, GROUPS_KEY, LABELS_KEY, *pays.FREE_DATA),
}
_SEGMENTER_CHANGE = '--segmenter_config.'


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
        name = typed[0]
        if name.startswith('-'):
            raise UserError(
                f'{name}: say the study first, {" or ".join(_ABOUT)}; eojax synthesise makes images'
                ' by a trained run'
            )
        if name not in _ABOUT:
            raise unknown_name('study', name, _ABOUT)
        of_segmenter = [x for x in typed[1:] if x.startswith(_SEGMENTER_CHANGE)]
        others = [x for x in typed[1:] if not x.startswith(_SEGMENTER_CHANGE)]
        options, changes = parse_arguments(_parser(name), others, _TAKEN[name])
        start_alone()
        own = [f'--config.{x.removeprefix(_SEGMENTER_CHANGE)}' for x in of_segmenter]
        (_table if name == 'table' else _pays)(options, changes, own, start)


def _parser(name: str) -> argparse.ArgumentParser:
    parser = CommandParser(
        prog=f'{program_name("eojax.studies.synthesis")} {name}',
        description=f'{_ABOUT[name]} To make images by a trained run: eojax synthesise.',
        epilog='Any --config.KEY=VALUE holds for all generators, any'
        ' --segmenter_config.KEY=VALUE for all segmenters.',
        allow_abbrev=False,
    )
    parser.add_argument('--config', default='', help='of a method that synthesises')
    parser.add_argument('--segmenter_config', default='', help='of a method that segments')
    parser.add_argument('--seeds', default='1', help='how many, or which with commas between')
    parser.add_argument('--workdir', type=Path, default=Path(f'runs/synthesis_{name}'))
    parser.add_argument('--table_only', action='store_true', help='train nothing')
    if name == 'table':
        parser.add_argument('--segmenter', default='', help='a trained run in place of a config')
        parser.add_argument(
            '--generators', default=','.join(GENERATORS), help='which of them (default: all)'
        )
    else:
        parser.add_argument(
            '--share', default='0.5', help='of the training places that there are images of'
        )
    return parser


def _configs(
    options: argparse.Namespace, changes: Sequence[str], own: Sequence[str], trained: str = ''
) -> tuple[ConfigDict, ConfigDict | None]:
    """The generators' config and the segmenters'.

    Args:
      trained: a segmenter that is there, in place of a config.

    Raises:
      UserError: one is missing, or of a method that cannot do it.
    """
    if not options.config:
        raise UserError('say what to train: --config=configs/NAME.py')
    if bool(options.segmenter_config) == bool(trained):
        raise UserError(
            'say who segments: --segmenter_config=configs/NAME.py'
            + (', or --segmenter=RUN, not both' if hasattr(options, 'segmenter') else '')
        )
    if own and trained:
        raise UserError(f'{own[0]}: --segmenter={trained} is trained already')
    config = changed_config(options.config, changes)
    segmenter = None
    if not trained:
        segmenter = changed_config(options.segmenter_config, own)
    generators.check_configs(config, segmenter)
    return config, segmenter


def _table(
    options: argparse.Namespace, changes: Sequence[str], own: Sequence[str], start: Start
) -> None:
    workdir, cells = options.workdir, list[Cell]()
    if not options.table_only:
        names = generators.parse_generators(options.generators)
        seeds = parse_seeds_or_number(options.seeds)
        config, segmenter = _configs(options, changes, own, options.segmenter)
        cells = generators.cells_of(workdir, config, segmenter, options.segmenter, names, seeds)
    found = generators.found_cells(workdir)
    check_series(cells, found, ('seed', SEGMENTER_KEY))
    _check_any(cells, found, workdir)

    def rows(of_cells: list[Row]) -> list[Row]:
        return sorted(by_folder([*of_cells, *rows_of(found)]), key=generators.rank)

    results = Results(
        rows, table.markdown, lambda rows: 0, lambda rows: figures.draw(rows, workdir)
    )
    train_and_write(cells, workdir, results, start, options.table_only, found=found)


def _pays(
    options: argparse.Namespace, changes: Sequence[str], own: Sequence[str], start: Start
) -> None:
    workdir, cells = options.workdir, list[Cell]()
    if not options.table_only:
        share = pays.parse_share(options.share)
        seeds = parse_seeds_or_number(options.seeds)
        config, segmenter = _configs(options, changes, own)
        assert segmenter is not None
        cells = pays.segmenter_cells(workdir, config, segmenter, share, seeds)
        making = pays.generator_cells(workdir, config, share, seeds)
    found = pays.found_cells(workdir)
    check_series(cells, found, ('seed', pays.KEY))
    check_data([*cells, *found], pays.FREE_DATA)
    _check_any(cells, found, workdir)
    if cells:
        _make_images(making, cells, workdir, start)
    study = pays.STUDY
    results = Results(
        lambda of_cells: sort_rows(study, [*of_cells, *rows_of(found)]),
        pays.markdown,
        lambda rows: 0,
        lambda rows: segmentation_figures.draw(lines_of(study, rows), workdir),
        lambda rows: {'table.csv': csv(study, rows)},
    )
    train_and_write(cells, workdir, results, start, options.table_only, found=found)


def _make_images(
    making: Sequence[Cell], cells: Sequence[Cell], workdir: Path, start: Start
) -> None:
    """Trains the generators and lets them make the images that segmenters learn from.

    Raises:
      UserError: see `check`; or images that could not be made.
      SystemExit: a generator failed, or the study was stopped.
    """
    check([*making, *cells])
    open_folder_for_writing(workdir, '--workdir')
    ended = run_grid(making, start=start)
    finish(ended)
    folders = [cell.folder for cell in making if is_finished(cell)]
    stopped = measure(folders, 'images', '--synthesise', images_file, start)
    finish(Ended(ended.rows, stopped))
    missing = [folder for folder in folders if not images_file(folder).exists()]
    if missing:
        raise UserError(f'{missing[0]}: its generator made no images; see the lines above')


def _check_any(cells: Sequence[Cell], found: Sequence[Cell], workdir: Path) -> None:
    if not (cells or rows_of(found)):
        raise UserError(f'--workdir={workdir} holds no trained runs')
