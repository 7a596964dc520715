"""Your own images: any folder or zip archive with one folder per class, `.../<Class>/<file>`.

8-bit RGB files of any size and shape (JPEG, PNG, TIFF), resampled to the size that the config says;
the classes are the folders' names in alphabetical order.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ml_collections import ConfigDict

from eojax.data.dataset import Dataset
from eojax.data.facts import Files
from eojax.data.reading.image_folder import read_image_folder
from eojax.data.reading.lazy_images import memory_limit
from eojax.data.reading.pixel_cache import cache_folder
from eojax.data.splits import parse_labels_per_class
from eojax.errors import UserError

DEFAULTS: dict[str, Any] = {}
PUBLISHED = None


def check(options: ConfigDict) -> None:
    """Refuses options of the config group `data` that name no folder.

    Raises:
      UserError: one line that names the key.
    """
    parse_labels_per_class(options.labels_per_class)
    if options.source != 'files':
        raise UserError(f"data.source of the data set 'folder' is 'files', not {options.source!r}")
    if not options.root:
        raise UserError("the data set 'folder' needs --config.data.root=FOLDER_OR_ZIP")


def from_config(options: ConfigDict, progress: bool) -> Dataset:
    """The data set of the config group `data`.

    Raises:
      UserError: see `image_folder.read_image_folder`.
    """
    dataset = read_image_folder(
        Path(options.root).expanduser(),
        None,
        None,
        progress,
        cache_folder(),
        resize=options.size,
        resident_bytes=memory_limit(options),
    )
    path = Path(options.root).expanduser()
    return dataset.with_facts(name='folder', title=path.stem, files=Files())
