"""Any data set that `python -m eojax.data.prepare --out=FOLDER` has written, by its index alone.

    --config.data.name=prepared --config.data.root=FOLDER

Classes, rasters and colours are those of the data set that it was made of.
"""

from __future__ import annotations

from ml_collections import ConfigDict

from eojax.data.dataset import Dataset
from eojax.data.kinds import DatasetKind, check_read_from_files
from eojax.data.shards.index import open_prepared
from eojax.errors import UserError
from eojax.home import expanded

NAME = 'prepared'


def _check(options: ConfigDict) -> None:
    check_read_from_files(NAME, options)
    if not options.root:
        raise UserError(f'the data set {NAME!r} needs --config.data.root=FOLDER')


def _from_config(options: ConfigDict, progress: bool) -> Dataset:
    dataset = open_prepared(expanded(options.root))
    size = dataset.facts.size
    if size is not None and size != (options.size, options.size):
        raise UserError(
            f'data.size={options.size}: what is prepared in {options.root} is'
            f' {size[1]}x{size[0]} pixels'
        )
    return dataset


KIND = DatasetKind(NAME, _check, _from_config)
