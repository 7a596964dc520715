"""Your own images: any folder or zip archive with one folder per class, `.../<Class>/<file>`.

The classes are the folders' names in alphabetical order; images are resampled to the size that the
config says. 8-bit pictures of three colours (JPEG, PNG, TIFF, ...) may have any size and shape. All
others, such as GeoTIFFs of four bands of 16 bits, are read as they are stored: any number of bands
of uint8, uint16, int16 or float32, all files alike (`eojax.data.reading.own`).

`bands`: `all`, or names or numbers from 1 of those that are wanted, in that order. Names are those
  of the files, else colours, else `band 1`.
`limits`: of each band the values that become -1 and +1: `auto` takes percentiles of the training
  images, which the run keeps; `0:3000` for all bands, or a pair for each, `0:3000,0:3000,0:6000`.
`nodata`: the value that stands for no data where the files do not say so, such as `-9999`.
"""

from __future__ import annotations

import numpy as np
from ml_collections import ConfigDict

from eojax.data import class_folders
from eojax.data.dataset import Dataset
from eojax.data.facts import Facts, Files
from eojax.data.kinds import DatasetKind, check_read_from_files
from eojax.data.reading.image_folder import read_image_folder
from eojax.data.reading.lazy_images import memory_limit
from eojax.data.reading.own import folder as own
from eojax.data.reading.own import limits as band_limits
from eojax.errors import UserError
from eojax.home import cache_folder, expanded
from eojax.messages import say
from eojax.option import Option

NAME = 'folder'
OPTIONS: dict[str, Option] = {
    'bands': Option('all', 'bands, in the order wanted: all, or names or numbers with commas'),
    'limits': Option(
        band_limits.AUTO,
        'values that become -1 and +1: auto (percentiles of training), or low:high for each band',
    ),
    'nodata': Option('', 'the value for no data, where the files do not say it'),
}


def _check(options: ConfigDict) -> None:
    check_read_from_files(NAME, options)
    if not options.root:
        raise UserError(f'the data set {NAME!r} needs --config.data.root=FOLDER_OR_ZIP')
    _nodata(options)


def _nodata(options: ConfigDict) -> float | None:
    if not options.nodata:
        return None
    try:
        return float(options.nodata)
    except ValueError:
        raise UserError(f'data.nodata must be a number, not {options.nodata!r}') from None


def _from_config(options: ConfigDict, progress: bool) -> Dataset:
    path = expanded(options.root)
    folders = class_folders.parse(options.class_folders)
    plain = all(options[key] == option.default for key, option in OPTIONS.items())
    # A list of numbers, of which one is the fourth, says that it is no opacity.
    kind = own.look(path, alpha=not plain and '4' in options.bands.split(','))
    if kind is None and plain:
        dataset = read_image_folder(
            path,
            None,
            None,
            progress,
            cache_folder(),
            resize=options.size,
            resident_bytes=memory_limit(options),
        )
        dataset = class_folders.as_classes(dataset, folders)
        return dataset.with_facts(name=NAME, title=path.stem, files=Files())
    if kind is None:
        keys = ', '.join(
            f'data.{key}' for key, one in OPTIONS.items() if options[key] != one.default
        )
        raise UserError(
            f'{path}: 8-bit pictures of three colours, all of which are read, from 0 to 255: leave'
            f' {keys} alone'
        )
    if progress and kind.size != (options.size, options.size):
        say(
            f'{path}: images of {kind.size[1]}x{kind.size[0]} pixels are resampled to data.size,'
            f' {options.size}'
        )
    dataset = own.read_own(path, kind, options.bands, options.size, _nodata(options))
    return class_folders.as_classes(dataset, folders).with_facts(name=NAME)


def _finish(
    dataset: Dataset, train: np.ndarray, options: ConfigDict, kept: Facts | None, progress: bool
) -> Dataset:
    files = dataset.facts.files
    if files is None or files.format != own.FORMAT:
        return dataset
    limit = memory_limit(options)
    return own.fitted(dataset, train, options.limits, kept, cache_folder(), limit, progress)


KIND = DatasetKind(NAME, _check, _from_config, OPTIONS, class_folders=True, finish=_finish)
