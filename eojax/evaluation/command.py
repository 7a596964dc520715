"""The command `python -m eojax.evaluate`; see `eojax.evaluation.evaluate`."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from eojax.command_parser import CommandParser
from eojax.config.base import from_json, set_key
from eojax.data import class_folders, class_groups
from eojax.data.dataset import Dataset
from eojax.data.reading.file_formats import format_of
from eojax.data.reading.image_folder import read_image_folder
from eojax.data.reading.lazy_images import memory_limit
from eojax.devices import compilation_cache, processes, sharding
from eojax.errors import UserError, one_line_errors
from eojax.evaluation.evaluate import check, evaluate_run
from eojax.home import expand_paths
from eojax.messages import counted, say
from eojax.program_name import program_name
from eojax.runs import contents
from eojax.runs.domains import TARGET
from eojax.runs.opening import load_state, open_untrained
from eojax.runs.run import Run
from eojax.weights.unpacked import WORKDIR_HELP, is_file, run_folder


def read_labelled(path: Path, run: Run, with_learnt: bool = False) -> Dataset:
    """Labelled images of some or all of a run's classes, as the run's own data set is read.

    Images that the run has learnt from, known by their pixels whatever they are called, are left
    out, and a line says so: they would not test it.

    Where the run's classes are groups (`data.classes`), the folders are those of the data set's own
    classes, and grouped likewise.

    Args:
      with_learnt: keep them, and only say how many there are.

    Raises:
      UserError: an unknown class, a file of another size than the data set's, or a broken one, by
        name; or images of none of the groups, or only of those that the run has learnt from.
    """
    if run.facts.label != 'image':
        raise UserError(
            f'--data={path}: folders of images have one class each, and {run.folder} classifies'
            ' pixels; it is evaluated on its own test split'
        )
    size = run.config.data.size
    # Of a data set that is read from no files: any size, resampled.
    known = run.facts.files
    wanted = None if known is None else known.size
    folders = class_folders.parse(run.config.data.class_folders)
    try:
        dataset = read_image_folder(
            path,
            class_folders.folders_of(run.known[TARGET].own_classes, folders),
            wanted,
            sharding.is_main_process(),
            resize=None if wanted == size else size,
            bands=run.images.bands,
            allow_missing_classes=True,
            file_format=format_of(run.facts.files),
            resident_bytes=memory_limit(run.config.data),
        )
    except UserError as error:
        if 'unknown class folder' not in str(error):
            raise
        hint = '--class_folders=FOLDER=CLASS says which class a folder of another name holds'
        raise UserError(f'{error}; {hint}') from error
    dataset = class_folders.as_classes(dataset, folders)
    dataset = class_groups.regroup(dataset, class_groups.parse(run.config.data.classes))
    if not len(dataset.labels):
        raise UserError(f'{path}: no images of {", ".join(run.facts.class_names)}')
    return _to_test(dataset.with_limits(run.images.limits), path, run, with_learnt)


def _to_test(dataset: Dataset, path: Path, run: Run, with_learnt: bool) -> Dataset:
    """The images that the run has not learnt from, or all of them where these are wanted too."""
    learnt = contents.learnt_from(run.folder, dataset)
    known, num = contents.known_by_pixels(run.folder, run.known[TARGET])
    if known < num and sharding.is_main_process():
        say(
            f'{run.folder} knows only {known} of the {num} images that it has learnt from by their'
            f' pixels: of the others, those in {path} are counted as if they were new'
        )
    if not learnt.any():
        return dataset
    many = f'{path}: {run.folder} has learnt from {learnt.sum()} of {counted(len(learnt), "image")}'
    if with_learnt:
        text = f'{many}: they are counted, as --with_learnt says'
    elif learnt.all():
        raise UserError(f'{many}: none is left to test it; --with_learnt counts them all the same')
    else:
        text, dataset = f'{many}: they are left out', dataset.subset(np.flatnonzero(~learnt))
    if sharding.is_main_process():
        say(text)
    return dataset


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    called = program_name('eojax.evaluate')
    parser = CommandParser(
        prog=called,
        description='Evaluates a trained run: evaluation.json and figures.',
        epilog=f'example: {called} --workdir=runs/jem_eurosat --data=held_out.zip',
    )
    parser.add_argument('--workdir', type=Path, required=True, help=WORKDIR_HELP)
    parser.add_argument('--data', type=Path, help='labelled folder or zip; else the test split')
    parser.add_argument(
        '--with_learnt', action='store_true',
        help='count images of --data that the run has learnt from; else they are left out',
    )  # fmt: skip
    parser.add_argument('--out', type=Path, help='folder to write to; else one in the run folder')
    parser.add_argument('--checkpoint', choices=('last', 'best'), help="else as the run's config")
    parser.add_argument('--data_root', default='', help="where the run's own data set lies now")
    parser.add_argument(
        '--class_folders', default='', metavar='FOLDER=CLASS,...',
        help="class folders that have other names than the run's classes",
    )  # fmt: skip
    parser.add_argument('--inception', help='npz of Inception weights, for FID and KID')
    parser.add_argument('--inception_images', type=int, help='how many images these compare')
    parser.add_argument('--outliers', help='name=path,... of images that are no such data')
    parser.add_argument(
        '--window_overlap', type=float,
        help='of the windows of methods for pixels, as a share of their side',
    )  # fmt: skip
    parser.add_argument(
        '--coverage', type=float, metavar='LEVEL',
        help='sets of classes that hold the true one for this share of places, such as 0.9',
    )  # fmt: skip
    parser.add_argument('--set_score', help='of these sets: lac (the default) or aps')
    parser.add_argument(
        '--not_known', type=float, metavar='SHARE',
        help='leave this share open, as the least to be trusted, and say what that gains',
    )  # fmt: skip
    parser.add_argument('--not_known_by', help='confidence (the default), log_density or set_size')
    parser.add_argument(
        '--areas', action='store_true', default=None,
        help='correct the areas of classes by the errors in the validation part',
    )  # fmt: skip
    options = parser.parse_args(arguments)
    with one_line_errors():
        expand_paths(options)
        compilation_cache.enable()
        processes.start()
        with processes.together():
            _evaluate(options)


def _evaluate(options: argparse.Namespace) -> None:
    changes = {
        'data.root': options.data_root,
        'data.class_folders': options.class_folders,
        'evaluate.checkpoint': options.checkpoint,
        'evaluate.inception': options.inception,
        'evaluate.inception_images': options.inception_images,
        'evaluate.outliers': options.outliers,
        'evaluate.window_overlap': options.window_overlap,
        'evaluate.coverage': options.coverage,
        'evaluate.set_score': options.set_score,
        'evaluate.not_known': options.not_known,
        'evaluate.not_known_by': options.not_known_by,
        'evaluate.areas': options.areas,
    }
    folder = run_folder(options.workdir)
    if options.out is None and is_file(options.workdir):
        raise UserError(f'--workdir={options.workdir} is a file: say where to write, --out=DIR')
    config = from_json(folder / 'config.json')
    for key, value in changes.items():
        if value not in (None, ''):
            set_key(config, key, value)
    check(config)
    run = open_untrained(config, folder)
    labelled, known = None, None
    if options.data is not None:
        labelled = read_labelled(options.data, run, options.with_learnt)
        known = contents.known_by_pixels(run.folder, run.known[TARGET])
    run, state = load_state(run, options.checkpoint or '')
    name = 'evaluation' if labelled is None else f'evaluation_{options.data.stem}'
    evaluate_run(run, state, options.out or folder / name, labelled, known)
