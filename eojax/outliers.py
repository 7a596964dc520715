"""Images that a model should find unlikely: noise, constant colours, other places.

`evaluate.outliers` names folders or zip archives of images, `name=path,name2=path2`; what lies in
which folder of them does not matter, and they are resampled to the run's size.
"""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
from ml_collections import ConfigDict

from eojax.data.decode import decode_images
from eojax.data.image_files import open_image_files
from eojax.errors import UserError
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
        paths[name] = Path(path).expanduser()
        if not paths[name].exists():
            raise UserError(f'evaluate.outliers: {name}: no such file or folder: {path}')
    return paths


def outlier_sets(
    options: ConfigDict, size: int, bands: int, progress: bool
) -> dict[str, np.ndarray]:
    """All sets by name, uint8 `[num, size, size, bands]` each.

    Args:
      options: the config group `evaluate`.
      progress: whether to show bars.

    Raises:
      UserError: see `parse_outliers`; or an image that cannot be read, by name.
    """
    num = options.outlier_images
    paths = parse_outliers(options.outliers)
    sets = {
        'uniform_noise': uniform_noise(num, size, bands),
        'constant': constant_images(num, size, bands),
    }
    for name, path in paths.items():
        sets[name] = read_images(path, num, size, bands, progress)
    return sets


def read_images(path: Path, num: int, size: int, bands: int, progress: bool) -> np.ndarray:
    """At most `num` of the images at any depth of a folder or archive, evenly spread by name."""
    with open_image_files(path) as listing:
        if not listing.files:
            raise UserError(f'{path}: no images (.jpg, .png, .tif) in it')
        files = spread(len(listing.files), num)
        return decode_images(
            [f'{path}: {listing.files[i]}' for i in files],
            lambda i: listing.read(listing.files[files[i]]),
            num_bands=bands,
            resize=size,
            progress=progress,
            title=path.name,
        )


def spread(total: int, num: int) -> np.ndarray:
    """`min(total, num)` distinct indices below `total`, evenly spaced and ascending."""
    num = min(total, num)
    return np.arange(num) * total // max(num, 1)
