"""Prepares a data set in array_record files, for tfds or, at any scale, with an index of its own.

With --data_dir, a published set of images becomes a tfds data set, without TensorFlow. With --out,
any data set becomes shards of windows and an index, which open at once however many there are
(`eojax.data.shards`). A run that was stopped goes on: what is complete is kept, and the result is
the same to the last byte.
"""

from __future__ import annotations

import argparse
import os
import runpy
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from ml_collections import ConfigDict

from eojax.command_parser import CommandParser
from eojax.data import options as data_options
from eojax.data.dataset import Dataset
from eojax.data.published import PublishedImages
from eojax.data.reading.own import limits as band_limits
from eojax.data.reading.published_images import download_published
from eojax.data.sets import DATASETS
from eojax.data.shards.beam import write_all_with_beam
from eojax.data.shards.grid import Grid, Windows
from eojax.data.shards.index import check_files
from eojax.data.shards.records import COMPRESSIONS
from eojax.data.shards.write import Job, make_plan, write_all
from eojax.data.splits import Rule
from eojax.errors import UserError, one_line_errors, unknown_name
from eojax.home import expanded
from eojax.messages import counted
from eojax.program_name import program_name

PREPARED: dict[str, PublishedImages] = {
    kind.name: kind.published
    for kind in DATASETS.values()
    if kind.published is not None and kind.published.tfds_folders
}
EXAMPLE = """examples:
  python -m eojax.data.prepare --dataset=eurosat --root=EuroSAT.zip --data_dir=~/tensorflow_datasets
  python -m eojax.main --config=configs/jem_eurosat.py --config.data.source=tfds \\
      --config.data.root=~/tensorflow_datasets

  python -m eojax.data.prepare --dataset=landscape_cover --data.size=96 --window=64 --out=cover
  python -m eojax.main --config=CONFIG --config.data.name=prepared --config.data.root=cover
"""
_DATA = '--data.'
# What a run does with a data set, and its files do not depend on.
_OF_RUNS = (
    *('classes', 'unseen_classes', 'unseen_share', 'synthesised', 'synthesised_use'),
    *Rule._fields[1:],
)


def prepare(dataset: str, root: str | Path | None, data_dir: str | Path) -> Path:
    """Prepares `dataset` for tfds below `data_dir`, unless it is there; returns its folder.

    Args:
      dataset: one of `PREPARED`.
      root: folder or zip archive; empty downloads the published archive.
      data_dir: the `data_dir` of tfds; created if need be.

    Raises:
      UserError: what is missing, damaged or unexpected, by name.
    """
    try:
        from eojax.data.reading.tfds import builder as tfds_builder
    except ImportError:
        raise UserError('preparing needs pip install tensorflow-datasets array_record') from None
    if dataset not in PREPARED:
        raise unknown_name('data set for tfds', dataset, PREPARED)
    images = PREPARED[dataset]
    source = expanded(root) if root else download_published(images, option='--root')
    return tfds_builder.build(images, source, expanded(data_dir))


def open_dataset(config: str, name: str, root: str, changes: Sequence[str]) -> Dataset:
    """The data set of a config, or by its name.

    Args:
      config: a config's file, of which the group `data` counts; empty where there is none.
      name: of a data set, in place of the config's; empty where the config says it.
      root: `data.root`; empty leaves it as it is.
      changes: `--data.KEY=VALUE` of other options.

    Raises:
      UserError: an unknown name, key or value, or what the data set refuses.
    """
    options = _config_data(config) if config else ConfigDict(data_options.defaults(name))
    if config and name and name != options.name:
        raise UserError(f'--dataset={name}, but {config} has {options.name}: leave one of them out')
    with options.unlocked():
        # Images are read when they are written, and not before.
        options.resident_gigabytes = 0.0
        if root:
            options.root = root
        for change in changes:
            key, equals, text = change.removeprefix(_DATA).partition('=')
            if not equals or key not in options or key == 'name':
                raise unknown_name(f'option {_DATA}', key, sorted(set(options) - {'name'}))
            if key in _OF_RUNS:
                raise UserError(f'{change}: whole data sets are prepared; say it in training')
            options[key] = _value(change, text, options[key])
    data_options.check(options, 'data')
    return _finished(DATASETS[options.name].from_config(options, True), options)


def _finished(dataset: Dataset, options: ConfigDict) -> Dataset:
    """The data set with the limits that its options say, where a run would fit them to its training
    images: shards have no split, and must say them."""
    finish, images = DATASETS[options.name].finish, dataset.facts.images
    if finish is None:
        return dataset
    text = options[band_limits.KEY.removeprefix('data.')]
    if images.dtype != 'uint8' and band_limits.parse(text, images.bands, images.dtype) is None:
        raise UserError(
            f'{options.root}: images of {images.dtype}: say --{band_limits.KEY}=LOW:HIGH, the'
            ' values that become -1 and +1; those of training images follow from a split'
        )
    return finish(dataset, np.arange(dataset.places.num), options, None, True)


def _config_data(path: str) -> ConfigDict:
    if not Path(path).is_file():
        raise UserError(f'config file not found: {path}')
    return runpy.run_path(path)['get_config']().data.copy_and_resolve_references()


def _value(change: str, text: str, before: Any) -> Any:
    """A value of the same type as the one before."""
    try:
        if isinstance(before, bool):
            return {'true': True, 'false': False}[text.lower()]
        return type(before)(text)
    except (ValueError, KeyError):
        raise UserError(f'{change}: expected a value like {before!r}') from None


def write_shards(dataset: Dataset, options: argparse.Namespace) -> str:
    """Writes a data set as the command's options say; what was done, in words.

    Raises:
      UserError: see `eojax.data.shards.write.write_all`.
    """
    grid = Grid(options.window, options.stride or options.window)
    plan = make_plan(dataset, grid, options.per_shard, options.compression)
    job = Job(dataset, plan, expanded(options.out))
    left_out = Windows(dataset.places.heights, dataset.places.widths, grid).num_without
    if left_out:
        print(
            f'eojax: {counted(left_out, "place")} left out: smaller than a window', file=sys.stderr
        )
    if options.beam is None:
        write_all(job, options.workers)
    else:
        write_all_with_beam(job, shlex.split(options.beam))
    kind = f'windows of {grid.window} pixels' if grid.window else 'whole places'
    return f'{plan.num:,} {kind} in {plan.num_shards:,} shards'


def _parse(arguments: Sequence[str] | None) -> tuple[argparse.Namespace, list[str]]:
    parser = CommandParser(
        prog=program_name('eojax.data.prepare'),
        description=__doc__,
        epilog=EXAMPLE,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    add = parser.add_argument
    add('--dataset', default='', help=f'what to prepare; for tfds {", ".join(sorted(PREPARED))}')
    add('--config', default='', help='a config whose data set is prepared, in place of --dataset')
    add('--root', default='', help='folder or archive; left out: the published one, downloaded')
    add('--data_dir', default='', help="tfds's folder, where the result goes")
    add('--out', default='', help='the folder of shards and index, where the result goes')
    add('--window', type=int, default=0, help='side of the windows in pixels; 0: whole places')
    add('--stride', type=int, default=0, help='from window to window; as large as these if absent')
    add('--per_shard', type=int, default=4096, help='windows in a shard')
    add('--compression', default='zstd', help=f'one of {", ".join(COMPRESSIONS)}')
    add('--workers', type=int, default=os.cpu_count() or 1, help='processes of this machine')
    add('--beam', help="Apache Beam's options, to write on a cluster: --beam='--runner=...'")
    add('--check', action='store_true', help='only compare the files of --out with its index')
    options, rest = parser.parse_known_args(arguments)
    strange = [argument for argument in rest if not argument.startswith(_DATA)]
    if strange:
        parser.error(parser.unknown_option(strange[0]))
    if bool(options.data_dir) == bool(options.out):
        parser.error('say where the result goes: --data_dir for tfds, or --out')
    if not (options.dataset or options.config or options.check):
        parser.error('say what to prepare: --dataset or --config')
    return options, rest


def main(arguments: Sequence[str] | None = None) -> None:
    """The command line; ends the process with code 1 and one line where something is wrong."""
    options, changes = _parse(arguments)
    with one_line_errors():
        if options.data_dir:
            folder = prepare(options.dataset, options.root, options.data_dir)
            print(f'{options.dataset} is ready in {folder}', file=sys.stdout)
        elif options.check:
            num = check_files(expanded(options.out))
            print(f'{options.out}: {num} files are as the index says')
        else:
            dataset = open_dataset(options.config, options.dataset, options.root, changes)
            done = write_shards(dataset, options)
            print(f'{done} are ready in {options.out}')


if __name__ == '__main__':
    main()
