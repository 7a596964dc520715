"""The class of each of your images, by a trained run, in a table.

    python -m eojax.apps.predict --workdir=runs/jem_eurosat --images=patches/ --out=classes.csv

`--images` takes a folder (at any depth, without class folders), a zip archive, a single image, or
a text file that lists images (`--list`); it may be repeated. The ending of `--out` says the format:
`.csv`, `.parquet` (with pyarrow), or `.geojson` with the outline of each georeferenced image in
longitude and latitude, which QGIS opens.

A row an image: `file`; the most probable classes and p(y|x) (`class`, `probability`, `class_2`,
...; `--top`); of methods that learn it log p(x), the percentile of that among training images, and
whether it is `unseen`, below the 1st of them (`--percentile`); of TIFF files the longitude and
latitude of the centre, and the share of pixels `missing`, without data. Runs that classify pixels
are refused: `eojax.apps.map_scene` makes a map of each GeoTIFF.

Images are read as the run's training images are; GeoTIFFs of another kind as scenes are, by the
names of their bands and the meaning of their values (`--bands`, `--scale`, `--offset`,
`--nodata`). Other sizes than that of training are resampled only with `--resize`. Images that
cannot be read are named, a line each; the others are written, and the command ends with exit code
1 unless it was told to skip them (`--skip_broken`).

Beside the table, `NAME.summary.json` says what made it: run, step, the data set that the run has
learnt from, images by class, how many are unseen where that is known, and how values were read.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import jax
from jax.experimental import multihost_utils
from tqdm import tqdm

from eojax.apps.predict.formats import Predicted, writer_of
from eojax.apps.predict.images import Course, Wanted, predict_images, read_ahead
from eojax.apps.predict.inputs import Inputs, any_placed, each, find_inputs
from eojax.atomic_file import write_atomically
from eojax.data.reading.any_image import ImageReader
from eojax.data.reading.raster import Reading
from eojax.devices import sharding
from eojax.errors import UserError
from eojax.evaluation.predictions.rows import PERCENTILE, Training, columns_of, training_of
from eojax.evaluation.reference import reference_scores
from eojax.evaluation.scoring import alone
from eojax.messages import counted, say
from eojax.methods import METHODS
from eojax.methods.method import ability
from eojax.runs.command import open_folder_for_writing, open_trained, run_command, run_parser
from eojax.runs.run import Run
from eojax.runs.trained_on import say_if_drawn

_BROKEN_LISTED = 1000


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    parser = run_parser(
        'predict',
        'Says of each image its most probable classes, log p(x) and whether it looks unseen: a row'
        ' an image, as CSV, Parquet or GeoJSON.',
        '--workdir=runs/jem_eurosat --images=patches/ --out=classes.csv',
        out=False,
    )
    parser.add_argument(
        '--images', type=Path, action='append', default=[],
        help='a folder, zip archive, image, or text file that lists images; repeat',
    )  # fmt: skip
    parser.add_argument(
        '--list', type=Path, action='append', default=[],
        help='a text file with the name of an image in each line; repeat',
    )  # fmt: skip
    parser.add_argument(
        '--out', type=Path, required=True, help='file to write: .csv, .parquet or .geojson'
    )
    parser.add_argument(
        '--top', type=int, default=3, help='how many classes of each image (default: 3)'
    )
    parser.add_argument(
        '--percentile', type=float, default=PERCENTILE,
        help='of log p(x) of the training images, below which an image is unseen (default: 1)',
    )  # fmt: skip
    parser.add_argument(
        '--resize', action='store_true', help='resample images of another size than training'
    )
    parser.add_argument(
        '--skip_broken', action='store_true',
        help='exit code 0 although some images cannot be read',
    )  # fmt: skip
    parser.add_argument(
        '--bands', default='', help="of GeoTIFFs: numbers or names, in the order of the run's"
    )
    parser.add_argument(
        '--scale', default='auto', help='of GeoTIFFs: auto, l1c, l2a or LOW:HIGH (default: auto)'
    )
    parser.add_argument(
        '--offset', type=float, help='of GeoTIFFs: added to all values (default: found)'
    )
    parser.add_argument(
        '--nodata', type=float, help="of GeoTIFFs: of empty pixels (default: the file's)"
    )
    run_command(parser, arguments, _check, _predict)


def _check(options: argparse.Namespace) -> None:
    """Refuses options that make no sense, and a file that cannot be written."""
    if not options.images and not options.list:
        raise UserError('--images=PATH or --list=FILE says which images; neither is given')
    if options.top < 1:
        raise UserError(f'--top must be at least 1, not {options.top}')
    if not 0.0 < options.percentile < 100.0:
        raise UserError(f'--percentile must lie between 0 and 100, not {options.percentile:g}')
    writer_of(options.out)
    if options.out.is_dir():
        raise UserError(f'--out={options.out} is a folder; name a file in it')
    find_inputs(options.images, options.list)
    open_folder_for_writing(options.out.parent)


def _can_predict(run: Run) -> None:
    if 'pixel_logits' in run.method.abilities:
        raise UserError(
            f'{run.folder} classifies pixels, not images: eojax map makes a map of each GeoTIFF;'
            ' of other images, run.predict(run.read(PATH)).indices in Python'
        )
    ability(run.method, 'logits', run.config.method.name, METHODS)


def _predict(options: argparse.Namespace) -> None:
    run, state = open_trained(
        options.workdir, options.checkpoint, options.data_root, _can_predict, options.class_folders
    )
    say_if_drawn(run)
    training = _training(run, state, options.percentile)
    if sharding.is_main_process():
        run, state = alone(run, state)
        _write(run, state, training, options)
    if jax.process_count() > 1:
        multihost_utils.sync_global_devices('predictions written')


def _training(run: Run, state: Any, percentile: float) -> Training | None:
    """The run's training images to compare with; None where log p(x) is not to be had of them."""
    if 'log_density' not in run.method.abilities:
        return None
    try:
        scores = reference_scores(run, state, ('log_density',))['log_density']
    except UserError as error:
        if sharding.is_main_process():
            say(f'no columns percentile and unseen: {error}')
        return None
    return training_of(scores, percentile)


def _write(run: Run, state: Any, training: Training | None, options: argparse.Namespace) -> None:
    inputs = find_inputs(options.images, options.list)
    top = min(options.top, run.task.num_classes)
    wanted = Wanted(top, training, any_placed(inputs))
    density = 'log_density' in run.method.abilities
    columns = ('file', *columns_of(top, density, training is not None))
    columns += ('longitude', 'latitude', 'missing') if wanted.placed else ()
    reading = Reading(options.bands, options.scale, options.offset, options.nodata)
    reader = ImageReader(run.facts, run.task.image_shape[0], reading, options.resize)
    course, write = Course(), writer_of(options.out)
    rows = _followed(predict_images(
        run, state, read_ahead(each(inputs), reader, course), wanted
    ), course, inputs)  # fmt: skip

    def fill(file: Any) -> None:
        write(file, columns, rows)
        if not course.done:  # so that no empty table stands for it
            raise UserError(f'none of the {len(course.broken):,} images could be read')

    write_atomically(options.out, fill)
    _tell(run, course, options, training is not None)


def _followed(
    rows: Iterator[Predicted], course: Course, inputs: Iterable[Inputs]
) -> Iterator[Predicted]:
    """The rows, counted and with a bar."""
    total = sum(len(one.names) for one in inputs)
    with tqdm(total=total, desc='predicting', unit='img', leave=False) as bar:
        for row in rows:
            course.scored(row)
            bar.update(course.done + len(course.broken) - bar.n)
            yield row


def _tell(run: Run, course: Course, options: argparse.Namespace, compared: bool) -> None:
    """The summary beside the table, and what there is to say of it.

    Args:
      compared: whether log p(x) was compared with that of training images.

    Raises:
      UserError: images could not be read, and nobody said that this is all right.
    """
    summary = {
        'run': str(run.folder),
        'step': run.step,
        'trained_on': run.facts.trained_on,
        'synthetic': run.facts.synthetic,
        'images': course.done,
        'classes': {name: course.classes[name] for name in run.facts.class_names},
        **({'unseen': course.unseen, 'percentile': options.percentile} if compared else {}),
        'values': dict(course.how),
        'notes': course.notes(),
        'broken': len(course.broken),
        'broken_images': course.broken[:_BROKEN_LISTED],
    }
    text = json.dumps(summary, indent=2, allow_nan=False) + '\n'
    path = options.out.with_name(f'{options.out.stem}.summary.json')
    write_atomically(path, lambda file: file.write(text.encode()))
    for note in course.notes():
        say(note)
    if len(course.how) > 1:
        ways = '; '.join(f'{how}: {num:,}' for how, num in course.how.most_common())
        say(f'values of images were read in {len(course.how)} ways, --scale says one ({ways})')
    if options.out.suffix.lower() == '.geojson' and not course.located:
        say(f'{options.out}: no image says where on Earth it lies, so that no outline is in it')
    common = ', '.join(f'{name} {num:,}' for name, num in course.classes.most_common(3))
    print(f'{counted(course.done, "image")}: {common}; the table is {options.out}', flush=True)
    if course.broken and not options.skip_broken:
        total = course.done + len(course.broken)
        raise UserError(
            f'{len(course.broken):,} of {counted(total, "image")} could not be read and are not in'
            f' {options.out}: mend or remove them; --skip_broken makes this no error'
        )


if __name__ == '__main__':
    main()
