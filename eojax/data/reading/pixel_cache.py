"""Decoded data sets on disk: one array and one JSON file each, checked before use."""

from __future__ import annotations

import hashlib
import json
import re
import sys
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np

from eojax.atomic_file import write_atomically
from eojax.data.dataset import Dataset, image_dataset
from eojax.data.reading.lazy_images import LazyImages

# Part of every key: raise it when the decoding or the files' layout changes.
FORMAT = 3
_TYPES = (np.uint8, np.uint16, np.int16, np.float16, np.float32)


def cached_dataset(
    folder: Path | None,
    title: str,
    key: Mapping[str, object],
    fingerprint: str,
    build: Callable[[], Dataset],
    resident_bytes: int | None = None,
) -> Dataset:
    """The data set kept under `key`, or `build()`, which is then kept.

    A data set of another `fingerprint` is built again in its place. One that is damaged is built
    again after a line on stderr; where it cannot be kept (read-only or full disk), one line says
    so and the work goes on without.

    Args:
      folder: where the files lie; created if need be. None keeps nothing.
      title: for messages and file names.
      key: what was read and how, as JSON values.
      fingerprint: changes when the content of the source changes.
      build: reads and decodes the source; what it leaves on disk is not kept here either.
      resident_bytes: kept images that take more than that are not read, but built again.
    """
    if folder is None:
        return build()
    text = json.dumps({'format': FORMAT, **key}, sort_keys=True)
    slug = re.sub(r'[^A-Za-z0-9_-]+', '_', title)[:40]
    stem = folder / f'{slug}-{hashlib.blake2b(text.encode(), digest_size=8).hexdigest()}'
    try:
        kept = _load(stem, fingerprint, resident_bytes)
    # Whatever is wrong with the files, the source is still there.
    except (OSError, ValueError, KeyError, TypeError, EOFError, AttributeError) as error:
        _warn(f'the cached pixels {stem}.npy are damaged ({_reason(error)}); decoding again')
        kept = None
    if kept is not None:
        return kept
    dataset = build()
    if isinstance(dataset.images, LazyImages):
        return dataset
    try:
        folder.mkdir(parents=True, exist_ok=True)
        _store(stem, fingerprint, dataset)
    except OSError as error:
        _warn(f'no pixels are cached in {folder} ({_reason(error)}); the next run decodes again')
    return dataset


def _load(stem: Path, fingerprint: str, resident_bytes: int | None) -> Dataset | None:
    """The data set at `stem`; None where there is none, of another fingerprint or too large."""
    description, array = stem.with_name(f'{stem.name}.json'), stem.with_name(f'{stem.name}.npy')
    if not description.exists():
        return None
    kept = json.loads(description.read_bytes())
    if kept['fingerprint'] != fingerprint:
        return None
    # Mapped first: that compares the header with the file's size before anything is allocated.
    mapped = np.load(array, mmap_mode='r', allow_pickle=False)
    if mapped.dtype not in _TYPES or mapped.ndim != 4:
        raise ValueError('not an array of images')
    if resident_bytes is not None and mapped.nbytes > resident_bytes:
        return None
    dataset = image_dataset(
        images=np.array(mapped),
        labels=np.asarray(kept['labels'], np.int32),
        names=tuple(kept['names']),
        class_names=tuple(kept['class_names']),
        bands=tuple(kept['bands']),
    )
    if not len(dataset.images) == len(dataset.labels) == len(dataset.names):
        raise ValueError('images, labels and names differ in number')
    if _checksum(dataset) != kept['checksum']:
        raise ValueError('checksum does not match')
    return dataset


def _store(stem: Path, fingerprint: str, dataset: Dataset) -> None:
    description = {
        'fingerprint': fingerprint,
        'checksum': _checksum(dataset),
        'class_names': dataset.class_names,
        'bands': dataset.bands,
        'labels': dataset.labels.tolist(),
        'names': dataset.names,
    }
    # The array comes first; the checksum in the description refuses any other array.
    write_atomically(
        stem.with_name(f'{stem.name}.npy'),
        lambda file: np.save(file, _in_memory(dataset), allow_pickle=False),
    )
    write_atomically(
        stem.with_name(f'{stem.name}.json'),
        lambda file: file.write(json.dumps(description).encode()),
    )


def _in_memory(dataset: Dataset) -> np.ndarray:
    if isinstance(dataset.images, LazyImages):
        raise TypeError('only images in memory can be kept')
    return dataset.images


def _checksum(dataset: Dataset) -> int:
    """CRC-32 of everything: against damage, not against an adversary."""
    words = [dataset.class_names, dataset.bands, dataset.names, dataset.labels.tolist()]
    start = zlib.crc32(json.dumps(words).encode())
    return zlib.crc32(np.ascontiguousarray(_in_memory(dataset)).data, start)


def _reason(error: Exception) -> str:
    strerror = error.strerror if isinstance(error, OSError) else None
    return ' '.join((strerror or f'{type(error).__name__}: {error}').split())


def _warn(line: str) -> None:
    print(f'eojax: {line}', file=sys.stderr)
