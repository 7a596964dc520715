"""Images that a model should find unlikely: noise, constant colours, other places.

`evaluate.outliers` names folders or zip archives of images, `name=path,name2=path2`; what lies in
which folder of them does not matter, and they are resampled to the run's size. Their files are of
the format and the bands of the run's data set.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from ml_collections import ConfigDict

from eojax.data.columns import spread
from eojax.data.reading.file_formats import EIGHT_BIT, FileFormat
from eojax.data.reading.image_files import no_images, open_image_files
from eojax.data.reading.lazy_images import LazyImages
from eojax.errors import UserError
from eojax.home import expanded
from eojax.metrics.out_of_distribution import constant_images, uniform_noise

TAKEN = ('uniform_noise', 'constant', 'train', 'test', 'samples')


def parse_outliers(text: str) -> dict[str, Path]:
    """The paths of `evaluate.outliers`, by name.

    Raises:
      UserError: a part that is not `name=path`, a name twice or already taken, or no such path.
    """
    paths: dict[str, Path] = {}
    for part in filter(None, (part.strip() for part in text.split(','))):
        name, equals, path = part.partition('=')
        if not equals or not path or not re.fullmatch(r'[A-Za-z0-9_-]+', name):
            raise UserError(f'evaluate.outliers: expected name=path,name=path, not {part!r}')
        if name in paths or name in TAKEN:
            raise UserError(f'evaluate.outliers: the name {name!r} is taken; choose another')
        paths[name] = expanded(path)
        if not paths[name].exists():
            raise UserError(f'evaluate.outliers: {name}: no such file or folder: {path}')
    return paths


def outlier_sets(
    options: ConfigDict,
    size: int,
    bands: Sequence[str],
    progress: bool,
    file_format: FileFormat = EIGHT_BIT,
) -> dict[str, np.ndarray]:
    """All sets by name, `[num, size, size, len(bands)]` each.

    Noise and constants are uint8, images are as the format decodes them.

    Args:
      options: the config group `evaluate`.
      bands: of the data set.
      progress: whether to show bars.
      file_format: of the data set's files, and so of these.

    Raises:
      UserError: see `parse_outliers`; or an image that cannot be read, by name.
    """
    num = options.outlier_images
    paths = parse_outliers(options.outliers)
    sets = {
        'uniform_noise': uniform_noise(num, size, len(bands)),
        'constant': constant_images(num, size, len(bands)),
    }
    for name, path in paths.items():
        sets[name] = read_images(path, num, size, bands, progress, file_format)
    return sets


def read_images(
    path: Path,
    num: int,
    size: int,
    bands: Sequence[str],
    progress: bool,
    file_format: FileFormat = EIGHT_BIT,
) -> np.ndarray:
    """At most `num` of the images at any depth of a folder or archive, evenly spread by name."""
    with open_image_files(path) as listing:
        if not listing.files:
            raise no_images(listing)
        files = [listing.files[i] for i in spread(len(listing.files), num)]
    decode = functools.partial(file_format.decode, bands=tuple(bands), size=None, resize=size)
    images = LazyImages(path, files, decode)
    return images.read_all(threads=file_format.threads, progress=progress, title=path.name)
