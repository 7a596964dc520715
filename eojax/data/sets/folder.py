"""Your own images: any folder or zip archive with one folder per class, `.../<Class>/<file>`.

8-bit RGB files of any size and shape (JPEG, PNG, TIFF), resampled to the size that the config says;
the classes are the folders' names in alphabetical order.
"""

from __future__ import annotations

from ml_collections import ConfigDict

from eojax.data import class_folders
from eojax.data.dataset import Dataset
from eojax.data.facts import Files
from eojax.data.kinds import DatasetKind, check_read_from_files
from eojax.data.reading.image_folder import read_image_folder
from eojax.data.reading.lazy_images import memory_limit
from eojax.errors import UserError
from eojax.home import cache_folder, expanded

NAME = 'folder'


def _check(options: ConfigDict) -> None:
    check_read_from_files(NAME, options)
    if not options.root:
        raise UserError(f'the data set {NAME!r} needs --config.data.root=FOLDER_OR_ZIP')


def _from_config(options: ConfigDict, progress: bool) -> Dataset:
    path = expanded(options.root)
    dataset = read_image_folder(
        path,
        None,
        None,
        progress,
        cache_folder(),
        resize=options.size,
        resident_bytes=memory_limit(options),
    )
    dataset = class_folders.as_classes(dataset, class_folders.parse(options.class_folders))
    return dataset.with_facts(name=NAME, title=path.stem, files=Files())


KIND = DatasetKind(NAME, _check, _from_config, class_folders=True)
