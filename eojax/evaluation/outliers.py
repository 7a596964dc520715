"""Images that a model should find unlikely: noise, constant colours, other places.

`evaluate.outliers` names folders or zip archives of images, `name=path,name2=path2`; what lies in
which folder of them does not matter, and they are resampled to the run's size. Their files are of
the format and the bands of the run's data set. Scenes (a GeoTIFF, a `.SAFE` product, folders of
bands, the layouts of OSCD, DFC2017, BigEarthNet and Potsdam) are cut into patches
(`eojax.evaluation.scene_sets`).
"""

from __future__ import annotations

import functools
import re
from collections.abc import Collection, Sequence
from pathlib import Path

import numpy as np
from ml_collections import ConfigDict

from eojax.data.columns import spread
from eojax.data.facts import Facts
from eojax.data.reading.bands.files import path_in_archive
from eojax.data.reading.file_formats import EIGHT_BIT, FileFormat, format_of
from eojax.data.reading.image_files import no_images, open_image_files
from eojax.data.reading.lazy_images import LazyImages
from eojax.errors import UserError
from eojax.evaluation.scene_sets import read_scene_set
from eojax.home import expanded
from eojax.metrics.out_of_distribution import constant_images, uniform_noise

TAKEN = ('uniform_noise', 'constant', 'train', 'test', 'samples')


def parse_outliers(text: str, taken: Collection[str] = TAKEN) -> dict[str, Path]:
    """The paths of `evaluate.outliers`, by name.

    Args:
      taken: names that other sets have.

    Raises:
      UserError: a part that is not `name=path`, a name twice or already taken, or no such path.
    """
    paths: dict[str, Path] = {}
    for part in filter(None, (part.strip() for part in text.split(','))):
        name, equals, path = part.partition('=')
        if not equals or not path or not re.fullmatch(r'[A-Za-z0-9_-]+', name):
            raise UserError(f'evaluate.outliers: expected name=path,name=path, not {part!r}')
        if name in paths or name in taken:
            raise UserError(f'evaluate.outliers: the name {name!r} is taken; choose another')
        paths[name] = expanded(path)
        if not exists(paths[name]):
            raise UserError(f'evaluate.outliers: {name}: no such file or folder: {path}')
    return paths


def exists(path: Path) -> bool:
    """Whether a path is a file or folder, or lies in a zip archive."""
    try:
        path_in_archive(path)
    except UserError:
        return False
    return True


def images_below(path: Path) -> Path:
    """Where the images of a folder lie, where the labels lie beside them (`mmsegmentation`)."""
    beside = (path / 'img_dir').is_dir() and (path / 'ann_dir').is_dir()
    return path / 'img_dir' if beside else path


def outlier_sets(
    options: ConfigDict,
    size: int,
    progress: bool,
    facts: Facts,
) -> dict[str, np.ndarray]:
    """All sets by name, `[num, size, size, len(bands)]` each.

    Noise and constants are uint8, images are as the format decodes them.

    Args:
      options: the config group `evaluate`.
      size: of the network's input in pixels.
      progress: whether to show bars.
      facts: of the run's data set, whose bands and kind of file these have.

    Raises:
      UserError: see `parse_outliers`; or an image that cannot be read, by name.
    """
    num, bands = options.outlier_images, facts.images.bands
    paths = parse_outliers(options.outliers)
    sets = {
        'uniform_noise': uniform_noise(num, size, len(bands)),
        'constant': constant_images(num, size, len(bands)),
    }
    for name, path in paths.items():
        patches = read_scene_set(path, facts, size, num, name)
        if patches is None:
            patches = read_images(path, num, size, bands, progress, format_of(facts.files))
        sets[name] = patches
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
    path = images_below(path)
    with open_image_files(path) as listing:
        if not listing.files:
            raise no_images(listing)
        files = [listing.files[i] for i in spread(len(listing.files), num)]
    decode = functools.partial(file_format.decode, bands=tuple(bands), size=None, resize=size)
    images = LazyImages(path, files, decode)
    return images.read_all(threads=file_format.threads, progress=progress, title=path.name)
