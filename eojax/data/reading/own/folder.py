"""Class folders of your own images that are no 8-bit colour pictures.

Reading has two steps. What the files are like, and which there are, is known at once; the limits of
the bands follow from the training images, and so from the splits (`fitted`). Images in memory are
read after that, once, with the lowest value of each band where a pixel holds no data.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from eojax.data.columns import name_at, spread
from eojax.data.dataset import ArraySource, Dataset, image_dataset
from eojax.data.facts import IMAGES, Facts, Files, Limits
from eojax.data.reading.decode import decode_image
from eojax.data.reading.image_files import ImageFiles, fingerprint, open_image_files
from eojax.data.reading.image_folder import find_classes
from eojax.data.reading.lazy_images import LazyImages
from eojax.data.reading.own import limits as band_limits
from eojax.data.reading.own.decode import THREADS, check_kind, decode_own
from eojax.data.reading.own.kind import Kind, chosen_bands, kind_of_image
from eojax.data.reading.pixel_cache import cached_dataset
from eojax.errors import UserError
from eojax.messages import counted, say

FORMAT = 'raster'
# Files that are looked at, evenly spread, to see what all of them are like.
_LOOKED_AT = 8
# Of the ground that a pixel shows: so much may files differ and still be of one size.
_SAME_GROUND = 0.02


def look(path: Path, alpha: bool = False) -> Kind | None:
    """What the images of a folder or archive are like; None for 8-bit pictures of three colours.

    Args:
      alpha: as in `eojax.data.reading.own.kind.kind_of_image`.

    Raises:
      UserError: files of two kinds, by their names.
    """
    with open_image_files(path) as listing:
        chosen = [listing.files[i] for i in spread(len(listing.files), _LOOKED_AT)]
        looked = [_look_at(listing, file, alpha) for file in chosen]
    kinds = [kind for kind, _ in looked if kind is not None]
    if all(picture for _, picture in looked) or not kinds:
        return None
    first = kinds[0]
    for other in kinds[1:]:
        check_kind(
            other.title, len(other.bands), other.dtype, first.bands, first.dtype, first.title
        )
    sides = [kind.metres for kind in kinds]
    if None in sides or max(sides) > (1.0 + _SAME_GROUND) * min(sides):  # type: ignore
        first = first._replace(metres=None)
    return first


def _look_at(listing: ImageFiles, file: str, alpha: bool) -> tuple[Kind | None, bool]:
    """The kind of a file, None of a broken one; and whether `decode_image` is to deal with it."""
    title = f'{listing.path}: {file}'
    try:
        data = listing.read(file)
        kind = kind_of_image(data, title, alpha)
    except UserError:  # it is read again, with all others
        return None, True
    if len(kind.bands) == 3 and kind.dtype == 'uint8' and not alpha:
        return kind, True
    try:
        decode_image(data, title)
    except UserError:
        return kind, False
    return kind, True


def read_own(path: Path, kind: Kind, bands: str, size: int, nodata: float | None) -> Dataset:
    """The data set of a folder or archive, of which no pixel but the first image's is read yet.

    Args:
      kind: of its files.
      bands: the option `data.bands`.
      size: height and width that images are resampled to.
      nodata: the value for no data; None for what the files say.

    Raises:
      UserError: as `eojax.data.reading.image_folder.find_classes`; or images that are not square.
    """
    height, width = kind.size
    if height != width:
        raise UserError(f'{kind.title}: {width}x{height} pixels; square images are expected')
    with open_image_files(path) as listing:
        labelled = find_classes(listing)
    chosen = chosen_bands(kind.bands, bands, kind.title)
    decode = functools.partial(
        decode_own, file_bands=kind.bands, dtype=kind.dtype, bands=chosen, size=height,
        resize=size, nodata=nodata, like=kind.title,
    )  # fmt: skip
    images = LazyImages(path, labelled.files, decode)
    labels = np.asarray(labelled.labels, np.int32)
    dataset = image_dataset(images, labels, labelled.names, labelled.class_names, chosen)
    files = Files(FORMAT, kind.bands, height, kind.dtype, nodata=nodata)
    metres = None if kind.metres is None else kind.metres * height / size
    return dataset.with_facts(title=path.stem, files=files, metres=metres)


def fitted(
    dataset: Dataset,
    train: np.ndarray,
    limits: str,
    kept: Facts | None,
    cache: Path | None,
    resident_bytes: int | None,
    progress: bool,
) -> Dataset:
    """The data set with its limits, read into memory where it is small enough.

    Args:
      dataset: of `read_own`, or some of its images.
      train: numbers of the training images.
      limits: the option `data.limits`.
      kept: the facts of the run that was trained on it, whose limits hold; None for a new one.
      cache: folder that keeps the decoded array; None keeps none.
      resident_bytes: a larger set stays on disk.
      progress: show a bar, and say what the limits are.

    Raises:
      UserError: limits that make no sense, or a file that is not like the others, by name.
    """
    images, raster, files = dataset.images, dataset.facts.images, dataset.facts.files
    assert isinstance(images, LazyImages)
    assert files is not None
    chosen = band_limits.parse(limits, raster.bands, raster.dtype)
    if chosen is None and raster.dtype != 'uint8':
        chosen = _kept_limits(dataset.facts, kept)
    if chosen is None and raster.dtype != 'uint8':
        marked = images.decoded_with(marked=True)
        chosen = band_limits.fit(marked, train, raster.bands, dataset.facts.title)
        if progress:
            say(_text(dataset, chosen, len(train)))
    raster = raster._replace(limits=chosen)
    lowest = tuple(float(value) for value in raster.empty)
    images = images.decoded_with(lowest=lowest)
    files = files._replace(lowest=lowest)
    read = _in_memory(dataset, images, files, cache, resident_bytes, progress)
    dataset = dataset._replace(source=ArraySource({IMAGES: read}))
    return dataset.with_facts(rasters={IMAGES: raster}, files=files)


def _kept_limits(facts: Facts, kept: Facts | None) -> Limits | None:
    """The limits that a run began with; None where it saw other bands."""
    if kept is None or kept.images._replace(limits=None) != facts.images:
        return None
    return kept.images.limits


def _text(dataset: Dataset, limits: Limits, num: int) -> str:
    pairs = zip(dataset.bands, limits, strict=True)
    listed = ', '.join(f'{band} {low:g}:{high:g}' for band, (low, high) in pairs)
    return (
        f'{dataset.facts.title}: {counted(dataset.places.num, "image")} of'
        f' {dataset.facts.images.dtype};'
        f' the values of {num:,} training images that become -1 and +1 are {listed}'
        f' (percentiles {band_limits.PERCENTILES[0]:g} and {band_limits.PERCENTILES[1]:g})'
    )


def _in_memory(
    dataset: Dataset,
    images: LazyImages,
    files: Files,
    cache: Path | None,
    resident_bytes: int | None,
    progress: bool,
) -> np.ndarray | LazyImages:
    if resident_bytes is not None and images.nbytes > resident_bytes:
        return images
    title = dataset.facts.title

    def build() -> Dataset:
        read = images.read_all(threads=THREADS, progress=progress, title=title)
        names = dataset.names
        return image_dataset(read, dataset.labels, names, dataset.class_names, dataset.bands)

    if cache is None:
        return build().images
    names = hashlib.blake2b(digest_size=16)
    for number in range(dataset.places.num):
        names.update(f'{name_at(dataset.names, number)}\n'.encode('utf-8', 'surrogateescape'))
    key = {
        'path': str(images.path.resolve()),
        'names': names.hexdigest(),
        'shape': list(images.shape),
        'bands': list(dataset.bands),
        'files': {k: _plain(v) for k, v in files._asdict().items()},
    }
    kept = cached_dataset(cache, title, key, fingerprint(images.path), build, resident_bytes)
    return kept.images


def _plain(value: object) -> object:
    return list(value) if isinstance(value, Sequence) and not isinstance(value, str) else value
