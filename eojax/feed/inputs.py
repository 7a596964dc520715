"""The feed of the compiled step: data on the devices, or batches that are read for it.

The choice follows from size (`data.resident_gigabytes`), for each data set by itself; the batches
are the same either way.
"""

from __future__ import annotations

import collections
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Protocol

import jax
import numpy as np
from jax import Array, random
from jax.sharding import Mesh

from eojax.data.facts import PIXEL_LABELS
from eojax.devices import sharding
from eojax.feed.pipeline import Feed
from eojax.feed.reading import Pixels, held_in_memory
from eojax.feed.resident import Resident, StoredBatch, arrange, place_training
from eojax.feed.streamed import StepReader, read_steps, rows_of
from eojax.feed.streams import SplitData, Stream, rasters_read, streams_of

# Batches on their way to the devices while a step computes.
_PLACED_AHEAD = 2


class Input(Protocol):
    """One of the two ways in, for one data set and the streams that draw from it.

    Attributes:
      streamed: whether each step has a feed of its own.
    """

    streamed: bool

    def feed(self, streams: Mapping[str, Stream], key: Array, step: int) -> Resident | StoredBatch:
        """The input of `draw_batch` at a step; `key` is the one that it gets."""

    def shapes(self, streams: Mapping[str, Stream]) -> Any:
        """Shapes, types and shardings of a feed."""

    def close(self) -> None:
        """Ends reading; a later `feed` begins anew."""


class Inputs:
    """The ways in of all data sets as one.

    Attributes:
      streamed: whether each step has a feed of its own.
    """

    def __init__(self, inputs: Mapping[str, Input]) -> None:
        """Takes the input of each data set by its config group."""
        self._inputs = dict(inputs)
        self.streamed = any(one.streamed for one in inputs.values())

    def feed(self, streams: Mapping[str, Stream], key: Array, step: int) -> Feed:
        """The input of `draw_batch` at a step; `key` is the one that it gets."""
        return {data: one.feed(own, key, step) for data, one, own in self._used(streams)}

    def shapes(self, streams: Mapping[str, Stream]) -> Any:
        """Shapes, types and shardings of a feed."""
        return {data: one.shapes(own) for data, one, own in self._used(streams)}

    def close(self) -> None:
        """Ends reading; a later `feed` begins anew."""
        for one in self._inputs.values():
            one.close()

    def _used(
        self, streams: Mapping[str, Stream]
    ) -> Iterator[tuple[str, Input, dict[str, Stream]]]:
        """The data sets that streams draw from, their inputs, and these streams."""
        for data, one in self._inputs.items():
            own = streams_of(data, streams)
            if own:
                yield data, one, own


def choose_input(
    data: SplitData,
    streams: Sequence[Stream],
    mesh: Mesh,
    steps: int,
    resident_gigabytes: float,
    workers: int,
    place: bool = True,
) -> Input:
    """Resident where all that streams read of the training places is small enough, else streamed.

    Args:
      data: the data set and its splits.
      streams: all that draw from it, of all phases.
      steps: of the run.
      resident_gigabytes: the limit, in units of 2**30 bytes.
      workers: processes that read streamed input, in each process of the run.
      place: whether resident places are read; without that, only shapes are known.
    """
    if training_bytes(data, streams) <= resident_gigabytes * 2**30:
        return ResidentInput(data, streams, mesh) if place else ResidentShapes(data, streams, mesh)
    # What is in memory would be copied to every worker: threads read it just as well.
    workers = 0 if held_in_memory(data.dataset.source) else workers
    return StreamedInput(data, mesh, steps, workers)


def training_bytes(data: SplitData, streams: Iterable[Stream]) -> int:
    """Of all the rasters of the training places that streams read."""
    facts, places, train = data.dataset.facts, data.dataset.places, data.splits.train
    if facts.size is not None:
        area = len(train) * facts.size[0] * facts.size[1]
    else:
        area = int((places.heights[train].astype(np.int64) * places.widths[train]).sum())
    return Pixels(data.dataset.source, facts, rasters_read(streams, facts)).nbytes(area)


class ResidentInput:
    """The training places on every device."""

    streamed = False

    def __init__(self, data: SplitData, streams: Iterable[Stream], mesh: Mesh) -> None:
        self._resident = place_training(data, streams, mesh)

    def feed(self, streams: Mapping[str, Stream], key: Array, step: int) -> Resident:
        return self._resident

    def shapes(self, streams: Mapping[str, Stream]) -> Any:
        return jax.tree.map(_shape_of, self._resident)

    def close(self) -> None:
        """Nothing is being read."""


class ResidentShapes:
    """The training places as they would lie on devices that are not here: nothing can be fed."""

    streamed = False

    def __init__(self, data: SplitData, streams: Iterable[Stream], mesh: Mesh) -> None:
        self._shapes = arrange(data, streams).shapes(mesh)

    def feed(self, streams: Mapping[str, Stream], key: Array, step: int) -> Resident:
        raise ValueError('nothing was placed: this run is there to be compiled')

    def shapes(self, streams: Mapping[str, Stream]) -> Any:
        return self._shapes

    def close(self) -> None:
        """Nothing is being read."""


class StreamedInput:
    """Batches that are read ahead of the step and split over the devices."""

    streamed = True

    def __init__(self, data: SplitData, mesh: Mesh, steps: int, workers: int) -> None:
        self._placement = sharding.split(mesh)
        self._data, self._steps, self._workers = data, steps, workers
        self._reading: Iterator[Any] | None = None
        self._ready: collections.deque[StoredBatch] = collections.deque()
        self._streams: Mapping[str, Stream] = {}
        self._words = b''
        self._mine: dict[str, np.ndarray] = {}
        self._next = -1

    def feed(self, streams: Mapping[str, Stream], key: Array, step: int) -> StoredBatch:
        words = np.asarray(random.key_data(sharding.local(key))).tobytes()
        if self._reading is None or (self._streams, self._words, self._next) != (
            streams, words, step,
        ):  # fmt: skip
            self.close()
            self._mine = {name: self._rows(stream) for name, stream in streams.items()}
            reader = StepReader(self._data, streams, sharding.local(key), self._steps, self._mine)
            places = self._data.dataset.places
            self._reading = read_steps(reader, places, step, self._workers)
            self._streams, self._words, self._next = dict(streams), words, step
        while len(self._ready) < _PLACED_AHEAD:
            batch = next(self._reading, None)
            if batch is None:
                break
            self._ready.append(self._place(batch))
        self._next += 1
        return self._ready.popleft()

    def shapes(self, streams: Mapping[str, Stream]) -> Any:
        facts, source = self._data.dataset.facts, self._data.dataset.source

        def shape(stream: Stream, rest: tuple[int, ...], dtype: Any) -> jax.ShapeDtypeStruct:
            return jax.ShapeDtypeStruct((stream.batch_size, *rest), dtype, sharding=self._placement)

        def shapes_of(stream: Stream) -> dict[str, jax.ShapeDtypeStruct]:
            pixels = Pixels(source, facts, rasters_read([stream], facts))
            size = facts.size if stream.window is None else (stream.window, stream.window)
            assert size is not None
            stored = {n: shape(stream, pixels.shape(n, *size), pixels.dtype(n))
                      for n in pixels.rasters}  # fmt: skip
            number = shape(stream, (), np.int32)
            corners = {} if stream.window is None else {'row': number, 'column': number}
            truth = stored.pop(PIXEL_LABELS, number)
            labelled = shape(stream, (), np.bool_)
            return {**stored, 'truth': truth, 'labelled': labelled, 'index': number, **corners}

        return {name: shapes_of(stream) for name, stream in streams.items()}

    def close(self) -> None:
        if self._reading is not None:
            self._reading.close()  # type: ignore[attr-defined]
        self._reading = None
        self._ready.clear()

    def _rows(self, stream: Stream) -> np.ndarray:
        shape = (stream.batch_size,)
        held = self._placement.addressable_devices_indices_map(shape)
        return rows_of([index[0] for index in held.values() if index], stream.batch_size)

    def _place(self, batch: Mapping[str, Mapping[str, np.ndarray]]) -> StoredBatch:
        """The batch on the devices, of which this process has read its own rows."""

        def put(values: np.ndarray, rows: np.ndarray, size: int) -> Array:
            def part(index: Any) -> np.ndarray:
                return values[np.searchsorted(rows, np.arange(size)[index[0]])]

            return jax.make_array_from_callback((size, *values.shape[1:]), self._placement, part)

        return {
            name: {
                key: put(values, self._mine[name], self._streams[name].batch_size)
                for key, values in arrays.items()
            }
            for name, arrays in batch.items()
        }


def _shape_of(array: Array) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(array.shape, array.dtype, sharding=array.sharding)
