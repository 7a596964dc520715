"""Whether the places of training represent those of the test: do their images look alike?

    python -m eojax.apps.representativeness --train=cities/train --test=cities/test \\
        --features=inception_v3_fid.npz --out=representativeness

"Semi-supervised Learning for Large-scale Earth Observation Data Understanding" (Castillo-Navarro,
2022), section 2.4: features of every image, t-SNE of all of them into the plane, a one-class SVM
for each place, and the areas of their regions (`eojax.apps.representativeness.regions`). A high IoU
says that two places look alike; a high IoT that training has seen what the test shows.

Places: `--train=[NAME=]PATH`, `--unlabelled=` (training without labels) and `--test=` name folders,
archives or scenes (`eojax.apps.representativeness.paths`), and may be repeated;
`--config=configs/NAME.py` names a data set, whose groups (cities) are the places, in the parts of
its split; a run by itself stands for its own. `--beside=` shows another data set in the same plane.

Features: of a trained run (`--workdir`), of the weights of the Inception network, or features that
were computed before (`--features=FILE`): this command writes `features.npz`, which it also reads,
so that other settings of plane and regions need no second pass over the images.

What is written to `--out`:

`summary.json`: places, settings and all numbers. `iou.csv`, `iot.csv`: the tables; the last rows
  and the last column are of unions of regions. `tables.md`: both, as they are printed.
`overlaps.png`: the tables as heat maps. `places.png`: each place in the plane, with its region.
`split.png`: the union of each part's regions, and what of the test no training region covers.
`appearance.png`: images where they lie in the plane. `beside.png`: with `--beside`, that set.
`classes.png`, `class_shares.png`: where labels are known, the classes of each place and part, and
  the share of each class over the plane.
`features.npz`: features, places, thumbnails and class shares of all images.

Notes:
  The thesis states neither perplexity, kernel, nu, gamma nor how areas are measured. Here:
  perplexity 30, t-SNE's usual one, on 50 principal components; the plane is scaled to variance 1,
  and one Gaussian kernel serves all places, exp(-gamma d^2) with gamma 2, half the plane's
  standard deviation wide: a width that followed each place's own spread would compare smooth
  regions with rough ones. Of gamma 1 to 40 on aerial tiles of Dubai (150 windows of each, Inception
  features), 1 and 2 told places apart best: two halves of a place had an IoU of 0.67 and 0.58, two
  places 0.42 and 0.33; at 12 it was 0.29 and 0.10, and a fifth of the images lay outside. nu 0.1
  leaves a tenth of a place's images outside, as t-SNE throws some far from their like. Areas are
  counted on a grid of 300 cells.
  t-SNE gives area to images, not to differences: a place with more images takes more of the plane.
  So of each place the same number is drawn, `--most_images`, as far as it has so many.
  `halves_iou` of a place is the IoU of two random halves of its images. No pair of places should be
  expected to score higher, and few images make it low.
  The features are those that the last layer reads; they are not standardised.
  For regions of whole parts (Fig. 2.17) in place of unions of places, say `--by=part`.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.colors import to_hex

from eojax.apps.representativeness import datasets, encoders
from eojax.apps.representativeness.encoders import Encoder
from eojax.apps.representativeness.gathered import (
    Gathered,
    by_part,
    gather,
    holds_features,
    load,
    save,
)
from eojax.apps.representativeness.paths import parse, places_at
from eojax.apps.representativeness.places import BESIDE, LABELLED, TEST, UNLABELLED, Place
from eojax.apps.representativeness.results import LEAST_IMAGES, Settings, judge, tables_text, write
from eojax.command_parser import CommandParser
from eojax.config.command_line import changed_config
from eojax.data.facts import Facts
from eojax.data.reading.raster import Reading
from eojax.devices import sharding
from eojax.drawing.class_colours import class_colours
from eojax.errors import UserError
from eojax.messages import counted
from eojax.program_name import program_name
from eojax.runs.command import open_folder_for_writing, open_trained, run_command
from eojax.runs.domains import TARGET, Domain, load_domain
from eojax.runs.run import Run, with_data

_OPTIONS = {'train': LABELLED, 'unlabelled': UNLABELLED, 'test': TEST, 'beside': BESIDE}


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line."""
    given = sys.argv[1:] if arguments is None else arguments
    changes = [text for text in given if text.startswith(('--config.', '--noconfig.'))]
    others = [text for text in given if text not in changes]
    run_command(
        _parser(),
        others,
        lambda options: _check(options, changes),
        lambda options: _work(options, changes),
    )


def _parser() -> argparse.ArgumentParser:
    parser = CommandParser(
        prog=program_name('eojax.apps.representativeness'),
        description='Says whether the places of training represent those of the test: tables,'
        ' figures and summary.json.',
        epilog='Any --config.KEY=VALUE changes the config. Example: python -m'
        ' eojax.apps.representativeness --train=cities/train --test=cities/test --window=256'
        ' --features=inception_v3_fid.npz --out=representativeness',
    )
    for name, text in (
        ('train', 'places of training: a folder or zip of folders of images, or a scene; repeat'),
        ('unlabelled', 'places of training without labels, likewise'),
        ('test', 'places of the test, likewise'),
        ('beside', 'another data set to show in the same plane, likewise'),
    ):
        parser.add_argument(
            f'--{name}', action='append', default=[], metavar='[NAME=]PATH', help=text
        )
    parser.add_argument('--config', default='', help='a data set whose groups are the places')
    parser.add_argument('--workdir', type=Path, help='folder of a run that gives the features')
    parser.add_argument(
        '--features',
        type=Path,
        metavar='FILE',
        help='npz of the Inception weights, or of features made before',
    )
    parser.add_argument('--out', type=Path, required=True, help='folder to write to')
    parser.add_argument('--checkpoint', choices=('last', 'best'), help="else as the run's config")
    parser.add_argument('--data_root', default='', help="where the run's own data set lies now")
    parser.add_argument(
        '--class_folders', default='', metavar='FOLDER=CLASS,...',
        help="class folders that have other names than the run's classes",
    )  # fmt: skip
    parser.add_argument(
        '--window',
        type=int,
        help='side in pixels of the windows that images are cut into; 0 for whole'
        " images (default: a pixel run's own, else whole)",
    )
    parser.add_argument(
        '--most_images', type=int, default=300, help='of each place, evenly spread (default: 300)'
    )
    parser.add_argument(
        '--by',
        choices=('place', 'part'),
        default='place',
        help='part: all places of a part are one (default: place)',
    )
    parser.add_argument('--seed', type=int, default=0, help='of sample and plane (default: 0)')
    plane = parser.add_argument_group('plane and regions')
    plane.add_argument('--perplexity', type=float, default=30.0, help='of t-SNE (default: 30)')
    plane.add_argument(
        '--components',
        type=int,
        default=50,
        help='principal components that t-SNE sees (default: 50)',
    )
    plane.add_argument(
        '--nu',
        type=float,
        default=0.1,
        help="share of a place's images outside its region (default: 0.1)",
    )
    plane.add_argument(
        '--gamma',
        type=float,
        default=2.0,
        help='of the kernel, in a plane of variance 1 (default: 2)',
    )
    plane.add_argument(
        '--grid', type=int, default=300, help='cells along the longer side (default: 300)'
    )
    scenes = parser.add_argument_group('scenes')
    scenes.add_argument('--bands', default='', help="numbers or names, in the order of the run's")
    scenes.add_argument('--scale', default='auto', help='auto, l1c, l2a or LOW:HIGH')
    scenes.add_argument('--offset', type=float, help='that was added to all values')
    scenes.add_argument('--nodata', type=float, help="of empty pixels (default: the file's)")
    return parser


def _check(options: argparse.Namespace, changes: Sequence[str]) -> None:
    """Refuses options that make no sense, and a folder that cannot be written to."""
    for name, least in (('most_images', LEAST_IMAGES), ('components', 2), ('grid', 20)):
        if getattr(options, name) < least:
            raise UserError(f'--{name} must be at least {least}, not {getattr(options, name)}')
    if options.window is not None and options.window < 0:
        raise UserError(f'--window must not be negative, not {options.window}')
    if not 0 <= options.seed < 2**32:
        raise UserError(f'--seed must lie in [0, 2**32), not {options.seed}')
    if not 1.0 <= options.perplexity < math.inf:
        raise UserError(f'--perplexity must be at least 1, not {options.perplexity}')
    if not 0.0 < options.nu < 1.0:
        raise UserError(f'--nu must lie in (0, 1), not {options.nu}')
    if not 0.0 < options.gamma < math.inf:
        raise UserError(f'--gamma must be positive, not {options.gamma}')
    if (options.workdir is None) == (options.features is None):
        raise UserError('say where features come from: either --workdir=RUN or --features=FILE')
    if changes and not options.config:
        raise UserError(f'{changes[0]} changes no config: say --config=configs/NAME.py')
    for name in _OPTIONS:
        for text in getattr(options, name):
            parse(name, text)
    open_folder_for_writing(options.out)


def _work(options: argparse.Namespace, changes: Sequence[str]) -> None:
    if options.features is not None and holds_features(options.features):
        for name in (*_OPTIONS, 'config'):
            if getattr(options, name):
                raise UserError(
                    f'{options.features} holds features and their places: leave --{name} out'
                )
        gathered, about = load(options.features), {'encoder': str(options.features)}
    else:
        gathered, about = _gather(options, changes)
        if sharding.is_main_process():
            save(gathered, options.out / 'features.npz')
    if not sharding.is_main_process():
        return
    settings = Settings(options.perplexity, options.components, options.nu, options.gamma,
                        options.grid, options.seed)  # fmt: skip
    judged = judge(by_part(gathered) if options.by == 'part' else gathered, settings)
    write(judged, settings, {**about, 'by': options.by}, options.out)
    print(tables_text(judged.table))
    print(f'figures, tables and summary.json are in {options.out}', flush=True)


def _gather(options: argparse.Namespace, changes: Sequence[str]) -> tuple[Gathered, dict[str, Any]]:
    """The features of all places, and what is to be said of how they were made."""
    encoder, run = _encoder(options)
    domain, places = _domain(options, changes, run), []
    if domain is not None:
        option = f'--config={options.config}' if options.config else f'--workdir={options.workdir}'
        places += datasets.places_of(domain, encoder.form, option)
    reading = Reading(options.bands, options.scale, options.offset, options.nodata)
    for name, part in _OPTIONS.items():
        for text in getattr(options, name):
            named = parse(name, text)
            places += places_at(named, part, encoder.form, encoder.facts, reading, name)
    _check_names(places)
    facts = Facts() if domain is None else domain.dataset.facts
    colours = [
        to_hex((red / 255, green / 255, blue / 255))
        for red, green, blue in class_colours(facts.class_names, facts.class_colours)
    ]
    gathered = gather(
        places, encoder, options.most_images, options.seed, facts.class_names, colours
    )
    form = encoder.form
    about = {
        'encoder': encoder.title,
        'most_images': options.most_images,
        'image_side': form.side,
        'window': form.window,
        'images_there': {f'{place.part}: {place.name}': place.total for place in places},
    }
    if sharding.is_main_process():
        drawn = np.bincount(gathered.place, minlength=len(places))
        for place, num in zip(places, drawn, strict=True):
            print(
                f'{place.part} {place.name}: {num:,} of {counted(place.total, "image")}', flush=True
            )
    return gathered, about


def _encoder(options: argparse.Namespace) -> tuple[Encoder, Run | None]:
    if options.workdir is None:
        return encoders.of_inception(options.features, options.window), None
    run, state = open_trained(
        options.workdir,
        options.checkpoint,
        options.data_root,
        encoders.check_run,
        options.class_folders,
    )
    return encoders.of_run(run, state, options.window), run


def _domain(options: argparse.Namespace, changes: Sequence[str], run: Run | None) -> Domain | None:
    """The data set whose places are asked for; a run that is given none stands for its own."""
    if options.config:
        return load_domain(changed_config(options.config, changes))
    if options.train or options.unlabelled or options.test:
        return None
    if run is None:
        raise UserError('say which places: --train=PATH and --test=PATH, or --config=configs/X.py')
    domains = with_data(run).domains
    assert domains is not None
    return domains[TARGET]


def _check_names(places: Sequence[Place]) -> None:
    keys = [(place.part, place.name) for place in places]
    for part, name in keys:
        if keys.count((part, name)) > 1:
            raise UserError(f'two {part} places have the name {name!r}: say --OPTION=NAME=PATH')
