"""The feed of a method: streams by name, and the batches that come of them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple, Protocol

import jax
import numpy as np
from jax import Array, random

from eojax.data.columns import name_at
from eojax.data.dataset import Dataset
from eojax.data.facts import IMAGES, PIXEL_LABELS, Facts
from eojax.data.splits import Splits
from eojax.errors import UserError

# Stream to what is drawn of it, N images or windows:
#   each raster by its name, float32 [N, h, w, C] in [-1, 1], -1 where it has no data;
#   valid: bool [N, h, w], the pixels that hold data in all rasters of the stream; not there where
#     all do, as the data set's facts say;
#   labels: int32 [N], or [N, h, w] where labels are per pixel; -1 where a method may not know it,
#     and of pixels that are not valid;
#   truth: the same with all that is known, for reports alone;
#   index: int32 [N], positions among the training places;
#   row, column: int32 [N], of windows, in pixels of the place.
Batch = Mapping[str, Mapping[str, Array]]

# What a stream may draw from.
PARTS = ('labelled', 'unlabelled', 'train')


class Stream(NamedTuple):
    """A part of each batch, as a method asks for it under one name.

    Attributes:
      part: of the training data: `labelled`, `unlabelled` (all the rest) or `train` (both).
      batch_size: images or windows a step, over all devices. A part smaller than that is drawn
        repeatedly.
      augment: a key of `eojax.augment.AUGMENTATIONS`.
      data: the group of the config whose data set it draws from: `data`, the target that is
        evaluated, or `source`, another one to learn from.
      rasters: the names of those that the batch holds.
      window: the side of the random windows in pixels of the place; None for whole images, which
        must be equally large then.
    """

    part: str
    batch_size: int
    augment: str = 'none'
    data: str = 'data'
    rasters: tuple[str, ...] = (IMAGES,)
    window: int | None = None


class SplitData(Protocol):
    """A data set with its splits, as `eojax.runs.domains.Domain` is."""

    @property
    def dataset(self) -> Dataset:
        """All places."""

    @property
    def splits(self) -> Splits:
        """Numbers of places in each part."""


def streams_of(data: str, streams: Mapping[str, Stream]) -> dict[str, Stream]:
    """The streams that draw from one data set."""
    return {name: stream for name, stream in streams.items() if stream.data == data}


def stored_shapes(stream: Stream, facts: Facts) -> dict[str, jax.ShapeDtypeStruct]:
    """Shapes and types of what is drawn of a stream, before it is augmented and scaled.

    Args:
      facts: of the data set that it draws from.
    """
    num, window = stream.batch_size, stream.window
    size = (window, window) if window is not None else (facts.size or (0, 0))

    def shape(*rest: int, dtype: Any = np.int32) -> jax.ShapeDtypeStruct:
        return jax.ShapeDtypeStruct((num, *rest), dtype)

    shapes = {'labelled': shape(dtype=bool), 'index': shape()}
    for name in (*stream.rasters, *facts.masks(stream.rasters)):
        shapes[name] = shape(*facts.shape(name, *size), dtype=facts.stored(name).dtype)
    shapes['truth'] = shape(*size, dtype=np.uint8) if facts.label == 'pixel' else shape()
    return shapes if window is None else {**shapes, 'row': shape(), 'column': shape()}


def rasters_read(streams: Iterable[Stream], facts: Facts) -> tuple[str, ...]:
    """The rasters of a data set that some streams read, sorted; labels of pixels and the masks of
    these rasters among them."""
    names = {raster for stream in streams for raster in stream.rasters}
    # One that there is not is named by `check_streams`.
    names |= set(facts.masks(names & facts.rasters.keys()))
    if names and facts.label == 'pixel':
        names.add(PIXEL_LABELS)
    return tuple(sorted(names))


def grid_of(facts: Facts) -> int:
    """The step of the corners of windows, in pixels: a corner of a pixel in every raster."""
    return math.lcm(*(raster.scale for raster in facts.rasters.values()))


def part_of(splits: Splits, part: str) -> np.ndarray:
    """The numbers of the places in a part of the training data, ascending."""
    parts = {
        'labelled': splits.labelled,
        'unlabelled': splits.unlabelled,
        'train': splits.train,
    }
    return parts[part]


def stream_keys(key: Array, name: str) -> tuple[Array, Array]:
    """Keys of a stream's order and of its augmentation, the same in whichever phase it stands."""
    key_order, key_augment = random.split(random.fold_in(key, _stream_number(name)))
    return key_order, key_augment


def _stream_number(name: str) -> int:
    return sum(ord(c) * 31**i for i, c in enumerate(name)) % 2**31


def check_streams(
    streams: Mapping[str, Stream], data: Mapping[str, SplitData], devices: int
) -> None:
    """Refuses streams that cannot be drawn.

    Args:
      data: by the group of the config.

    Raises:
      UserError: an empty part, a batch that the devices cannot share, a raster that there is not,
        places that are smaller than the window.
    """
    for name, stream in streams.items():
        one = data[stream.data]
        if not len(part_of(one.splits, stream.part)):
            raise UserError(
                f'the {name} stream has no images: {stream.data}.labels_per_class leaves none in'
                f' the {stream.part} part'
            )
        if stream.batch_size % devices:
            raise UserError(
                f'the {name} batch of {stream.batch_size} images does not divide over'
                f' {devices} devices'
            )
        for raster in stream.rasters:
            _check_raster(name, stream, raster, one.dataset.facts)
        _check_sizes(name, stream, one)


def _check_raster(name: str, stream: Stream, raster: str, facts: Facts) -> None:
    if raster not in facts.rasters:
        raise UserError(
            f'the {name} stream asks for the raster {raster!r}; {stream.data} has'
            f' {", ".join(sorted(facts.rasters))}'
        )
    stored = facts.rasters[raster]
    dtype = np.dtype(stored.dtype)
    if dtype.kind not in 'uif' or (dtype.kind in 'ui' and dtype.itemsize > 4):
        raise UserError(
            f'the raster {raster!r} of {stream.data} is of type {dtype}: store integers of at most'
            ' 32 bits, or floats'
        )
    if dtype != np.uint8 and stored.limits is None:
        raise UserError(
            f'the raster {raster!r} of {stream.data} is of type {dtype} and needs limits, the'
            ' values that become -1 and +1'
        )


def _check_sizes(name: str, stream: Stream, data: SplitData) -> None:
    facts, places, grid = data.dataset.facts, data.dataset.places, grid_of(data.dataset.facts)
    if stream.window is None:
        if facts.size is None:
            raise UserError(
                f'the {name} stream wants whole images, and the places of {stream.data} differ in'
                ' size: set a window'
            )
        if facts.size[0] % grid or facts.size[1] % grid:
            raise UserError(
                f'the images of {stream.data}, {facts.size[0]} by {facts.size[1]} pixels, are no'
                f' multiple of {grid}, the scale of its rasters: set a window that is'
            )
        return
    if stream.window <= 0 or stream.window % grid:
        raise UserError(
            f'the window of the {name} stream, {stream.window} pixels, must be a positive multiple'
            f' of {grid}, the scale of the rasters of {stream.data}'
        )
    chosen = part_of(data.splits, stream.part)
    if facts.size is not None:
        chosen = chosen[:1]  # as large as all the others
    heights, widths = places.heights[chosen], places.widths[chosen]
    small = np.flatnonzero(np.minimum(heights, widths) < stream.window)
    if len(small):
        first = int(small[0])
        place = name_at(places.names, int(chosen[first]))
        others = f' ({len(small)} places are too small)' if len(small) > 1 else ''
        raise UserError(
            f'{stream.data}: {place} has {heights[first]} by {widths[first]} pixels, less than the'
            f' window of the {name} stream, {stream.window}: choose a smaller one{others}'
        )
