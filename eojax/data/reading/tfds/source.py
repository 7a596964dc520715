"""Prepared tfds data sets of labelled images, read by random access without TensorFlow."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from eojax.data.dataset import Dataset, image_dataset
from eojax.data.published import PublishedImages
from eojax.data.reading.decode import decode_images
from eojax.data.reading.image_files import fingerprint
from eojax.data.reading.pixel_cache import cached_dataset
from eojax.errors import UserError, unknown_name
from eojax.home import expanded


class Record(NamedTuple):
    """One image as it is stored: `<Class>/<file>`, class index, encoded bytes."""

    name: str
    label: int
    data: bytes


def prepared_folder(images: PublishedImages, data_dir: str | Path | None) -> Path:
    """The newest prepared version of a data set below `data_dir` (or that folder itself).

    Raises:
      UserError: there is none; the message holds the command that prepares it.
    """
    if not data_dir:
        raise UserError('the data source tfds needs --config.data.root=DATA_DIR of tfds')
    root = expanded(data_dir)
    if (root / 'dataset_info.json').is_file():
        return root
    for folder in images.tfds_folders:
        versions = [info.parent for info in (root / folder).glob('*/dataset_info.json')]
        if versions:
            return max(versions, key=_version)
    raise UserError(
        f'no prepared tfds data set of {images.name} in {root}: run python -m eojax.data.prepare'
        f' --dataset={images.name} --root=ZIP_OR_FOLDER --data_dir={root}'
    )


def read_tfds(
    folder: Path,
    images: PublishedImages,
    *,
    resize: int | None = None,
    progress: bool = True,
    cache: Path | None = None,
) -> Dataset:
    """Reads all splits of a prepared data set; equal to reading the archive it was made from.

    Args:
      folder: holds `dataset_info.json` (see `prepared_folder`).
      images: which data set it must be.
      resize, progress, cache: as in `image_folder.read_image_folder`.

    Raises:
      UserError: the data set is damaged, not in a format with random access, has other classes or
        lacks one.
    """

    def build() -> Dataset:
        records = _read_records(folder, images.class_names)
        labels = np.asarray([record.label for record in records], np.int32)
        missing = sorted(set(images.class_names) - {images.class_names[i] for i in set(labels)})
        if missing:
            raise UserError(f'{folder}: no images of class {", ".join(map(repr, missing))}')
        pixels = decode_images(
            [f'{folder}: {record.name}' for record in records],
            lambda i: records[i].data,
            num_bands=len(images.bands),
            size=images.size,
            resize=resize,
            progress=progress,
            title=images.title,
        )
        names = tuple(record.name for record in records)
        return image_dataset(pixels, labels, names, images.class_names, images.bands)

    if cache is None:
        return build()
    key = {'tfds': str(folder.resolve()), 'images': images.name, 'resize': resize}
    return cached_dataset(cache, f'{images.name}-tfds', key, fingerprint(folder), build)


def _version(folder: Path) -> tuple[int, ...]:
    return tuple(int(part) if part.isdigit() else -1 for part in folder.name.split('.'))


def _read_records(folder: Path, class_names: Sequence[str]) -> list[Record]:
    """All records, sorted by name, their images still encoded."""
    try:
        import tensorflow_datasets as tfds
    except ImportError:
        raise UserError(
            'the data source tfds needs pip install tensorflow-datasets array_record'
        ) from None
    try:
        builder = tfds.builder_from_directory(folder)
        stored_names = builder.info.features['label'].names
        # The images are decoded here and not by tfds, whose decoder depends on what is installed.
        sources = [
            builder.as_data_source(split, decoders={'image': tfds.decode.SkipDecoding()})
            for split in builder.info.splits
        ]
        stored = [example for source in sources for example in _examples(source)]
    except Exception as error:  # tfds, protobuf and array_record each have their own
        reason = ' '.join(str(error).split())[:200]
        raise UserError(
            f'{folder}: cannot be read as a tfds data set with random access ({reason});'
            ' prepare it again'
        ) from None
    for name in stored_names:
        if name not in class_names:
            raise UserError(f'{folder}: {unknown_name("class", name, class_names)}')
    records = sorted(_record(example, stored_names, class_names) for example in stored)
    for record, other in itertools.pairwise(records):
        if record.name == other.name:
            raise UserError(f'{folder}: {record.name} is in the data set twice')
    return records


def _examples(source: Any) -> list[dict]:
    return source.__getitems__(range(len(source))) if len(source) else []


def _record(example: dict, stored_names: Sequence[str], class_names: Sequence[str]) -> Record:
    class_name = stored_names[int(example['label'])]
    file = example['filename'].decode('utf-8', 'surrogateescape').rpartition('/')[2]
    return Record(f'{class_name}/{file}', list(class_names).index(class_name), example['image'])
