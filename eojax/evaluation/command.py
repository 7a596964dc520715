"""The command `python -m eojax.evaluate`; see `eojax.evaluation.evaluate`."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from eojax.config.base import from_json, set_key
from eojax.data import class_groups
from eojax.data.dataset import Dataset
from eojax.data.reading.file_formats import format_of
from eojax.data.reading.image_folder import read_image_folder
from eojax.data.reading.lazy_images import memory_limit
from eojax.devices import compilation_cache, processes, sharding
from eojax.errors import UserError, one_line_errors
from eojax.evaluation.evaluate import check, evaluate_run
from eojax.runs.domains import TARGET
from eojax.runs.opening import load_state, open_untrained
from eojax.runs.run import Run


def read_labelled(path: Path, run: Run) -> Dataset:
    """Labelled images of some or all of a run's classes, as the run's own data set is read.

    Where the run's classes are groups (`data.classes`), the folders are those of the data set's own
    classes, and grouped likewise.

    Raises:
      UserError: an unknown class, a file of another size than the data set's, or a broken one, by
        name; or images of none of the groups.
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
    dataset = read_image_folder(
        path,
        run.known[TARGET].own_classes,
        wanted,
        sharding.is_main_process(),
        resize=None if wanted == size else size,
        bands=run.images.bands,
        allow_missing_classes=True,
        file_format=format_of(run.facts.files),
        resident_bytes=memory_limit(run.config.data),
    )
    dataset = class_groups.regroup(dataset, class_groups.parse(run.config.data.classes))
    if not len(dataset.labels):
        raise UserError(f'{path}: no images of {", ".join(run.facts.class_names)}')
    return dataset.with_limits(run.images.limits)


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        prog='python -m eojax.evaluate',
        description='Evaluates a trained run: evaluation.json and figures.',
        epilog='example: python -m eojax.evaluate --workdir=runs/jem_eurosat --data=held_out.zip',
    )
    parser.add_argument('--workdir', type=Path, required=True, help='folder of the run')
    parser.add_argument('--data', type=Path, help='labelled folder or zip; else the test split')
    parser.add_argument('--out', type=Path, help='folder to write to; else one in the run folder')
    parser.add_argument('--checkpoint', choices=('last', 'best'), help="else as the run's config")
    parser.add_argument('--data_root', default='', help="where the run's own data set lies now")
    parser.add_argument('--inception', help='npz of Inception weights, for FID and KID')
    parser.add_argument('--inception_images', type=int, help='how many images these compare')
    parser.add_argument('--outliers', help='name=path,... of images that are no such data')
    parser.add_argument(
        '--window_overlap', type=float,
        help='of the windows of methods that classify pixels, as a share of their side',
    )  # fmt: skip
    options = parser.parse_args(arguments)
    with one_line_errors():
        compilation_cache.enable()
        processes.start()
        with processes.together():
            _evaluate(options)


def _evaluate(options: argparse.Namespace) -> None:
    changes = {
        'data.root': options.data_root,
        'evaluate.inception': options.inception,
        'evaluate.inception_images': options.inception_images,
        'evaluate.outliers': options.outliers,
        'evaluate.window_overlap': options.window_overlap,
    }
    config = from_json(options.workdir / 'config.json')
    for key, value in changes.items():
        if value not in (None, ''):
            set_key(config, key, value)
    check(config)
    run = open_untrained(config, options.workdir)
    labelled = None if options.data is None else read_labelled(options.data, run)
    run, state = load_state(run, options.checkpoint or '')
    folder = 'evaluation' if labelled is None else f'evaluation_{options.data.stem}'
    evaluate_run(run, state, options.out or options.workdir / folder, labelled)
