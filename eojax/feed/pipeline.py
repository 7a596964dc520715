"""From data sets to batches, augmented and normalised inside the compiled step.

A program's argument is, for each data set, either the whole training set, which lies on the devices
and is drawn from there, or the images of one step as they were read (`eojax.feed.streamed`). Both
ways give the same batches: a batch is a function of the run's key and the step.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax
import numpy as np
from jax import Array, random

from eojax.augment import AUGMENTATIONS
from eojax.data.dataset import Dataset
from eojax.data.facts import Limits
from eojax.data.splits import Splits
from eojax.data.value_range import scale_to_unit
from eojax.errors import UserError
from eojax.feed.permutation import draw_indices
from eojax.feed.streams import Batch, Stream

# Stream to {'images': as stored, [N, H, W, C], 'labels', 'truth', 'index': int32 [N]}
StoredBatch = Mapping[str, Mapping[str, Array]]


class Resident(NamedTuple):
    """Training data on the devices.

    Attributes:
      images: `[N, H, W, C]` as stored, uint8 or uint16, all training images.
      labels: int32 `[N]`, -1 where not labelled.
      truth: int32 `[N]`, the classes that methods may not see among them; -1 where not known.
      parts: by part (`labelled`, `unlabelled`, `train`), int32 indices into the three above.
    """

    images: Array
    labels: Array
    truth: Array
    parts: Mapping[str, Array]


# Config group of a data set (`Stream.data`) to what there is of it, or of its streams.
Feed = Mapping[str, Resident | StoredBatch]


def training_set(dataset: Dataset, splits: Splits) -> tuple[Dataset, dict[str, np.ndarray]]:
    """The training images, unlabelled ones with label -1, and the parts as indices into them."""
    train = dataset.subset(splits.train)
    labelled = np.flatnonzero(np.isin(splits.train, splits.labelled)).astype(np.int32)
    unlabelled = np.flatnonzero(~np.isin(splits.train, splits.labelled)).astype(np.int32)
    labels = np.full(len(train.labels), -1, np.int32)
    labels[labelled] = train.labels[labelled]
    everything = np.arange(len(labels), dtype=np.int32)
    parts = {'labelled': labelled, 'unlabelled': unlabelled, 'train': everything}
    return train.with_labels(labels), parts


def check_streams(
    streams: Mapping[str, Stream], parts: Mapping[str, Mapping[str, Any]], devices: int
) -> None:
    """Refuses streams that cannot be drawn.

    Args:
      parts: of each data set, as of `training_set`.

    Raises:
      UserError: an empty part, or a batch that the devices cannot share.
    """
    for name, stream in streams.items():
        if not len(parts[stream.data][stream.part]):
            raise UserError(
                f'the {name} stream has no images: {stream.data}.labels_per_class leaves none in'
                f' the {stream.part} part'
            )
        if stream.batch_size % devices:
            raise UserError(
                f'the {name} batch of {stream.batch_size} images does not divide over'
                f' {devices} devices'
            )


def draw_batch(
    feed: Feed,
    streams: Mapping[str, Stream],
    key: Array,
    step: Array,
    limits: Mapping[str, Limits | None] | None = None,
    everywhere: Callable[[Array], Array] = lambda indices: indices,
) -> Batch:
    """The batch of a step: images float32 in [-1, 1], labels and indices, for each stream.

    Args:
      feed: of each data set all, or what was read of it for this step.
      key: of the run; order and augmentation derive from it.
      step: int32, counted over the whole run.
      limits: as in `scale_to_unit`, of each data set; None where all are uint8.
      everywhere: keeps an array of indices on every device: finding them takes a loop over all,
        which devices with a share each would have to agree on.
    """
    stored: dict[str, Mapping[str, Array]] = {}
    for data, held in feed.items():
        own = streams_of(data, streams)
        stored |= gather(held, own, key, step, everywhere) if isinstance(held, Resident) else held
    batch = {}
    for name, stream in sorted(streams.items()):
        _, key_augment = stream_keys(key, name)
        augment = AUGMENTATIONS[stream.augment]
        images = augment(stored[name]['images'], random.fold_in(key_augment, step))
        scale = None if limits is None else limits[stream.data]
        batch[name] = {**stored[name], 'images': scale_to_unit(images, scale)}
    return batch


def streams_of(data: str, streams: Mapping[str, Stream]) -> dict[str, Stream]:
    """The streams that draw from one data set."""
    return {name: stream for name, stream in streams.items() if stream.data == data}


def gather(
    resident: Resident,
    streams: Mapping[str, Stream],
    key: Array,
    step: Array,
    everywhere: Callable[[Array], Array] = lambda indices: indices,
) -> StoredBatch:
    """The stored images, labels and indices that `draw_batch` takes of a data set; see there."""
    read = {}
    for name, stream in sorted(streams.items()):
        key_order, _ = stream_keys(key, name)
        part, size = resident.parts[stream.part], stream.batch_size
        chosen = part[everywhere(draw_indices(key_order, step * size, size, len(part)))]
        read[name] = {
            'images': resident.images[chosen],
            'labels': resident.labels[chosen],
            'truth': resident.truth[chosen],
            'index': chosen,
        }
    return read


def stream_keys(key: Array, name: str) -> tuple[Array, Array]:
    """Keys of a stream's order and of its augmentation, the same in whichever phase it stands."""
    key_order, key_augment = random.split(random.fold_in(key, _stream_number(name)))
    return key_order, key_augment


def _stream_number(name: str) -> int:
    return sum(ord(c) * 31**i for i, c in enumerate(name)) % 2**31


def to_uint8(images: Array | np.ndarray) -> np.ndarray:
    """Float [-1, 1] (clipped) to uint8 0..255 on the host."""
    scaled = (np.clip(np.asarray(jax.device_get(images)), -1.0, 1.0) + 1.0) * 127.5
    return np.round(scaled).astype(np.uint8)
