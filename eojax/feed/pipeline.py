"""From data sets to batches, augmented and normalised inside the compiled step.

A program's argument is, for each data set, either its training places, which lie on the devices and
are drawn from there (`eojax.feed.resident`), or what was read of them for one step
(`eojax.feed.streamed`). Both ways give the same batches: a batch is a function of the run's key and
the step.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, random

from eojax.augment import AUGMENTATIONS
from eojax.augment.sample import VALID
from eojax.data.facts import UNKNOWN, UNSEEN, Facts, Raster, valid_of
from eojax.data.value_range import scale_to_unit
from eojax.feed.resident import Resident, StoredBatch, gather
from eojax.feed.streams import Batch, Stream, stored_shapes, stream_keys, streams_of

# Config group of a data set (`Stream.data`) to what there is of it, or of its streams.
Feed = Mapping[str, Resident | StoredBatch]


def draw_batch(
    feed: Feed,
    streams: Mapping[str, Stream],
    key: Array,
    step: Array,
    facts: Mapping[str, Facts],
    everywhere: Callable[[Array], Array] = lambda indices: indices,
) -> Batch:
    """The batch of a step, as `eojax.feed.streams.Batch` says.

    Args:
      feed: of each data set all, or what was read of it for this step.
      key: of the run; order and augmentation derive from it.
      step: int32, counted over the whole run.
      facts: of each data set.
      everywhere: as in `gather`.
    """
    stored: dict[str, Mapping[str, Array]] = {}
    for data, held in feed.items():
        drawn = streams_of(data, streams)
        if isinstance(held, Resident):
            held = gather(held, drawn, key, step, facts[data], everywhere)
        stored |= held
    batch = {}
    for name, stream in sorted(streams.items()):
        _, key_augment = stream_keys(key, name)
        key_step = random.fold_in(key_augment, step)
        batch[name] = _finished(stored[name], stream, key_step, facts[stream.data])
    return batch


def batch_shapes(streams: Mapping[str, Stream], facts: Mapping[str, Facts]) -> Any:
    """Shapes and types of a batch, known without data and without drawing one.

    Args:
      facts: of each data set, by the group of the config.
    """
    key = random.key(0)
    return {
        name: jax.eval_shape(
            lambda stored, stream=stream: _finished(stored, stream, key, facts[stream.data]),
            stored_shapes(stream, facts[stream.data]),
        )
        for name, stream in streams.items()
    }


def _finished(
    stored: Mapping[str, Array], stream: Stream, key: Array, facts: Facts
) -> dict[str, Array]:
    """The drawn batch of a stream, with rasters of one size, augmented, in the network's range."""
    batch, masks = dict(stored), []
    for raster in stream.rasters:
        kind, mask = facts.rasters[raster], batch.pop(valid_of(raster), None)
        if mask is not None:
            batch[raster] = _emptied(batch[raster], mask, kind)
            masks.append(_repeated(mask, kind.scale))
        batch[raster] = _repeated(batch[raster], kind.scale)
    if masks:
        batch[VALID] = functools.reduce(jnp.logical_and, masks)
        if batch['truth'].ndim > 1:
            batch['truth'] = jnp.where(batch[VALID], batch['truth'], np.uint8(UNKNOWN))
    batch |= _labels(batch.pop('labelled'), batch['truth'])
    batch, _ = AUGMENTATIONS[stream.augment](batch, key)
    for raster in stream.rasters:
        batch[raster] = scale_to_unit(batch[raster], facts.rasters[raster].limits)
    return batch


def _emptied(raster: Array, valid: Array, kind: Raster) -> Array:
    """The raster with the lowest of its limits where it has no data, whatever is stored there."""
    return jnp.where(valid[..., None], raster, kind.empty.astype(raster.dtype))


def _repeated(raster: Array, scale: int) -> Array:
    """A raster or mask `[N, h, w, ...]` at the resolution of the place, each pixel repeated."""
    return raster if scale == 1 else raster.repeat(scale, 1).repeat(scale, 2)


def _labels(labelled: Array, truth: Array) -> dict[str, Array]:
    """Classes of images `[N]` or of pixels `[N, h, w]`, int32, and what a method may know of them.

    Args:
      labelled: bool `[N]`.
      truth: int32 `[N]`, or uint8 `[N, h, w]` with `UNKNOWN` and `UNSEEN`.
    """
    if truth.ndim > 1:
        truth = jnp.where(truth >= UNSEEN, -1, truth.astype(jnp.int32))
        labelled = labelled[:, None, None]
    return {'truth': truth, 'labels': jnp.where(labelled, truth, -1)}


def to_uint8(images: Array | np.ndarray) -> np.ndarray:
    """Float [-1, 1] (clipped) to uint8 0..255 on the host."""
    scaled = (np.clip(np.asarray(jax.device_get(images)), -1.0, 1.0) + 1.0) * 127.5
    return np.round(scaled).astype(np.uint8)
