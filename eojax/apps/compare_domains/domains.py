"""Sets of images that a trained network is asked about: its test split, other archives, scenes.

What a path holds is told by what lies there:

- a `.tif` or `.tiff` file: a scene, cut into patches without overlap;
- a `.SAFE` product, folders of bands in files of their own (`..._B02.tif`), or the layout of OSCD,
  DFC2017, BigEarthNet or Potsdam (`eojax.data.sets.scene_layouts`): scenes, likewise;
- a folder that holds nothing but GeoTIFFs with a coordinate system, all of them higher and wider
  than the images of the run's data set (64 px for EuroSAT): scenes, likewise. EuroSAT's own
  GeoTIFFs are no scenes then, and neither are TIFFs without georeference, such as UC Merced's;
- any other folder, or a zip archive: images of the format and the bands of the run's data set, at
  any depth, resampled to the run's size whatever their own is
  (`eojax.evaluation.outliers.read_images`).
"""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from eojax.data.reading.file_formats import format_of
from eojax.data.reading.image_files import no_images, open_image_files
from eojax.data.reading.raster import DEFAULT_READING, Reading
from eojax.devices import sharding
from eojax.errors import UserError
from eojax.evaluation.outliers import TAKEN, exists, images_below, read_images
from eojax.evaluation.scene_sets import find_scene_set, read_patches
from eojax.home import expanded
from eojax.messages import counted
from eojax.metrics.out_of_distribution import constant_images, uniform_noise
from eojax.runs.run import Run

# Of all domains that are read ahead.
KEPT_BYTES = 2**30


class Domain(NamedTuple):
    """A set of images, not read yet.

    Attributes:
      name: of the set.
      text: what it is and how it is read, for people.
      read: `() -> [num, size, size, bands]` at the run's size: uint8, or in the units of the run's
        data set.
    """

    name: str
    text: str
    read: Callable[[], np.ndarray]


def parse_domains(texts: Sequence[str]) -> dict[str, Path]:
    """The paths of `--domain=NAME=PATH`, by name.

    Raises:
      UserError: not `NAME=PATH`, a name twice or already taken, or no such path.
    """
    paths: dict[str, Path] = {}
    for text in texts:
        name, equals, path = text.partition('=')
        if not equals or not path or not re.fullmatch(r'[A-Za-z0-9_-]+', name):
            raise UserError(
                f'--domain={text}: expected NAME=PATH, the name of letters, digits, - and _'
            )
        if name in paths or name in TAKEN:
            reason = 'given twice' if name in paths else 'taken'
            raise UserError(f'--domain={text}: the name {name!r} is {reason}; choose another')
        paths[name] = expanded(path)
        if not exists(paths[name]):
            raise UserError(f'--domain={text}: no such file or folder: {path}')
    return paths


def own_domains(run: Run, num: int) -> list[Domain]:
    """Uniform noise and constant images, `num` of each."""
    size, bands = run.task.image_shape[0], len(run.images.bands)
    return [
        Domain(
            'uniform_noise',
            'independent uniform values in every pixel and band',
            lambda: uniform_noise(num, size, bands),
        ),
        Domain(
            'constant',
            'images of one colour each, drawn uniformly',
            lambda: constant_images(num, size, bands),
        ),
    ]


def read_ahead(domains: Sequence[Domain], limit: int = KEPT_BYTES) -> list[Domain]:
    """The domains, each read once, so that a broken one shows before the first is scored.

    Args:
      limit: bytes of images that are kept; those of the others are read again.

    Raises:
      UserError: see `find_domain`.
    """
    ready = []
    for domain in domains:
        images = domain.read()
        if images.nbytes > limit:
            ready.append(domain)
            continue
        limit -= images.nbytes
        ready.append(domain._replace(read=functools.partial(_given, images)))
    return ready


def _given(images: np.ndarray) -> np.ndarray:
    return images


def find_domain(
    name: str,
    path: Path,
    run: Run,
    num: int,
    patch: int | None = None,
    reading: Reading = DEFAULT_READING,
) -> Domain:
    """The images at a path: a set of at most `num`, evenly spread.

    Args:
      path: see the module.
      patch: side of a patch in a scene's pixels; None for as much ground as a training image shows.
      reading: how scenes are read.

    Raises:
      UserError: nothing to read there, a scene that is smaller than a patch, or one whose bands or
        values cannot be told. `read` raises it for broken files, and where nodata leaves no patch.
    """
    size = run.task.image_shape[0]
    scenes = find_scene_set(path, run.facts, size, num, patch, reading)
    if scenes is not None:
        found = scenes.scenes
        return Domain(name, scenes.text, lambda: read_patches(found, run.facts, size, num, name))
    path = images_below(path)
    with open_image_files(path) as listing:
        total = len(listing.files)
    if not total:
        raise no_images(listing)
    file_format = format_of(run.facts.files)

    def read() -> np.ndarray:
        progress = sharding.is_main_process()
        return read_images(path, num, size, run.images.bands, progress, file_format)

    return Domain(
        name, f'{min(num, total):,} of {counted(total, "image")}, resampled to {size} px', read
    )
