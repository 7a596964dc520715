"""From data sets to batches: resident input, drawn and augmented inside the compiled step.

The training images lie on the devices as uint8, an argument of the compiled program. A batch is a
function of the run's key and the step, so the order of the data needs no checkpoint of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, random

from eojax.augment import AUGMENTATIONS
from eojax.data.dataset import Dataset
from eojax.data.permutation import draw_indices
from eojax.data.splits import Splits
from eojax.data.streams import Batch, Stream
from eojax.errors import UserError


class Resident(NamedTuple):
    """Training data on the devices.

    Attributes:
      images: uint8 `[N, H, W, C]`, all training images.
      labels: int32 `[N]`, -1 where not labelled.
      parts: by part (`labelled`, `unlabelled`, `train`), int32 indices into the two above.
    """

    images: Array
    labels: Array
    parts: Mapping[str, Array]


def training_set(dataset: Dataset, splits: Splits) -> tuple[Dataset, dict[str, np.ndarray]]:
    """The training images, unlabelled ones with label -1, and the parts as indices into them."""
    train = dataset.subset(splits.train)
    labelled = np.flatnonzero(np.isin(splits.train, splits.labelled)).astype(np.int32)
    unlabelled = np.flatnonzero(~np.isin(splits.train, splits.labelled)).astype(np.int32)
    labels = np.full(len(train.labels), -1, np.int32)
    labels[labelled] = train.labels[labelled]
    everything = np.arange(len(labels), dtype=np.int32)
    parts = {'labelled': labelled, 'unlabelled': unlabelled, 'train': everything}
    return train._replace(labels=labels), parts


def check_streams(streams: Mapping[str, Stream], parts: Mapping[str, Any], devices: int) -> None:
    """Refuses streams that cannot be drawn.

    Raises:
      UserError: an empty part, or a batch that the devices cannot share.
    """
    for name, stream in streams.items():
        if not len(parts[stream.part]):
            raise UserError(
                f'the {name} stream has no images: data.labels_per_class leaves none in the'
                f' {stream.part} part'
            )
        if stream.batch_size % devices:
            raise UserError(
                f'the {name} batch of {stream.batch_size} images does not divide over'
                f' {devices} devices'
            )


def draw_batch(resident: Resident, streams: Mapping[str, Stream], key: Array, step: Array) -> Batch:
    """The batch of a step: images float32 in [-1, 1], labels and indices, for each stream.

    Args:
      key: of the run; order and augmentation derive from it.
      step: int32, counted over the whole run.
    """
    batch = {}
    for name, stream in sorted(streams.items()):
        # Streams draw in orders of their own, whichever phase they stand in.
        key_order, key_augment = random.split(random.fold_in(key, _stream_number(name)))
        part = resident.parts[stream.part]
        chosen = part[
            draw_indices(key_order, step * stream.batch_size, stream.batch_size, len(part))
        ]
        images = AUGMENTATIONS[stream.augment](
            resident.images[chosen], random.fold_in(key_augment, step)
        )
        batch[name] = {
            'images': to_unit_range(images),
            'labels': resident.labels[chosen],
            'index': chosen,
        }
    return batch


def _stream_number(name: str) -> int:
    return sum(ord(c) * 31**i for i, c in enumerate(name)) % 2**31


def to_unit_range(images: Array) -> Array:
    """uint8 0..255 to float32 [-1, 1], what every network sees."""
    return images.astype(jnp.float32) / 127.5 - 1.0


def to_uint8(images: Array | np.ndarray) -> np.ndarray:
    """Float [-1, 1] (clipped) to uint8 0..255 on the host."""
    scaled = (np.clip(np.asarray(jax.device_get(images)), -1.0, 1.0) + 1.0) * 127.5
    return np.round(scaled).astype(np.uint8)
