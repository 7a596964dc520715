"""Streamed input: windows and images that grain reads ahead, for sets that do not fit.

What is read for a step is a function of key and step as in resident input (`eojax.feed.resident`):
the same pixels in the same order. The position is therefore the training step, which is in every
checkpoint, and a run goes on exactly, on any number of processes and workers. Each process reads
only the rows that its own devices hold.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import grain
import numpy as np
from absl import flags
from jax import Array

from eojax.data.columns import name_at
from eojax.data.dataset import Places, Window
from eojax.data.facts import PIXEL_LABELS
from eojax.errors import UserError
from eojax.feed import windows
from eojax.feed.permutation import epoch_seeds, stored_indices
from eojax.feed.reading import Pixels, StrangePixels
from eojax.feed.streams import (
    SplitData,
    Stream,
    grid_of,
    part_of,
    rasters_read,
    stream_keys,
)

# Rows of a stream that one element of grain holds: a window each would cost more in grain and in
# the arithmetic of the draws than in reading (2,000 windows of 64 pixels a second from arrays
# instead of 57,000 on two cores); whole images are indexed many at once.
_WINDOWS_AT_ONCE, _IMAGES_AT_ONCE = 32, 64
# Steps that a process reads ahead by threads, and those that its workers do together beside them.
_STEPS_AHEAD, _STEPS_OF_WORKERS = 4, 2

Rows = dict[str, dict[str, np.ndarray]]


class _Order(NamedTuple):
    """All that the draws of a stream depend on.

    Attributes:
      rows: of the batch, those to read.
      part: the numbers of its places in the data set, ascending.
      epochs: `epoch_seeds` from epoch 0 on; None where places are drawn by area.
      seeds: `windows.window_seeds`.
      thresholds: `windows.area_thresholds` where places are drawn by area.
    """

    stream: Stream
    pixels: Pixels
    rows: np.ndarray
    part: np.ndarray
    epochs: np.ndarray | None
    seeds: np.ndarray
    thresholds: np.ndarray | None


class StepReader:
    """A random-access source of all that is read: some rows of each stream, step after step.

    A step is `shares` elements, so that several workers or threads read one batch together. It
    travels to worker processes, and so holds plain values and mapped columns only.

    Attributes:
      shares: elements of a step.
    """

    def __init__(
        self,
        data: SplitData,
        streams: Mapping[str, Stream],
        key: Array,
        steps: int,
        rows: Mapping[str, np.ndarray] | None = None,
        rows_at_once: int | None = None,
    ) -> None:
        """Prepares the orders; nothing is done for each place.

        Args:
          data: the data set and its splits.
          streams: those that draw from it.
          key: of the run.
          steps: of the run.
          rows: of each stream's batch, those to read; all where None.
          rows_at_once: that one element holds of a stream at most; None: by what is read.
        """
        places, splits = data.dataset.places, data.splits
        self._facts, self._steps = data.dataset.facts, steps
        self._places = places._replace(names=(), groups=None, parts=None, annotated=None)
        self._train, self._labelled = splits.train, splits.labelled
        self._orders = {
            name: _order(data, stream, stream_keys(key, name)[0], steps,
                         np.arange(stream.batch_size) if rows is None else rows[name])
            for name, stream in sorted(streams.items())
        }  # fmt: skip
        self.shares = max(1, *(_shares(order, rows_at_once) for order in self._orders.values()))

    def __len__(self) -> int:
        return self._steps * self.shares

    def __getitem__(self, number: int) -> Rows:
        """Element `number % shares` of step `number // shares`: for each stream some rows."""
        step, share = divmod(number, self.shares)
        return {name: self._rows(order, step, share) for name, order in self._orders.items()}

    def step(self, step: int) -> Rows:
        """All rows of a step."""
        return joined([self[step * self.shares + share] for share in range(self.shares)])

    def _rows(self, order: _Order, step: int, share: int) -> dict[str, np.ndarray]:
        bounds = [len(order.rows) * end // self.shares for end in (share, share + 1)]
        stream = order.stream
        positions = np.int64(step) * stream.batch_size + order.rows[slice(*bounds)]
        if order.thresholds is None:
            assert order.epochs is not None
            drawn = stored_indices(positions, order.epochs, len(order.part))
        else:
            drawn = windows.draw_places(positions, order.seeds, order.thresholds)
        places = order.part[drawn]
        read, corners = self._read(order, positions, places)
        truth = read.pop(PIXEL_LABELS, None)
        known = np.searchsorted(self._labelled, places).clip(max=len(self._labelled) - 1)
        labelled = self._labelled[known] == places if len(self._labelled) else places < 0
        return {
            **read,
            'truth': self._places.labels[places].astype(np.int32) if truth is None else truth,
            'labelled': labelled,
            'index': np.searchsorted(self._train, places).astype(np.int32),
            **corners,
        }

    def _read(
        self, order: _Order, positions: np.ndarray, places: np.ndarray
    ) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
        """The rasters, and the corners of windows."""
        side = order.stream.window
        if side is None:
            assert self._facts.size is not None
            return order.pixels.read_whole(places, *self._facts.size), {}
        heights, widths = self._places.heights[places], self._places.widths[places]
        grid = grid_of(self._facts)
        row, column = windows.draw_corners(positions, order.seeds, heights, widths, side, grid)
        read = order.pixels.empty(len(places), side, side)
        for i, place in enumerate(places.tolist()):
            window = Window(int(row[i]), int(column[i]), side, side)
            order.pixels.read(place, window, {name: array[i] for name, array in read.items()})
        return read, {'row': row, 'column': column}


def _shares(order: _Order, rows_at_once: int | None) -> int:
    whole = order.stream.window is None
    at_once = rows_at_once or (_IMAGES_AT_ONCE if whole else _WINDOWS_AT_ONCE)
    return -(-len(order.rows) // at_once)


def _order(data: SplitData, stream: Stream, key: Array, steps: int, rows: np.ndarray) -> _Order:
    facts, places = data.dataset.facts, data.dataset.places
    part = part_of(data.splits, stream.part)
    pixels = Pixels(data.dataset.source, facts, rasters_read([stream], facts))
    seeds = np.asarray(windows.window_seeds(key))
    if facts.size is None:
        thresholds = windows.area_thresholds(places.heights[part], places.widths[part])
        return _Order(stream, pixels, rows, part, None, seeds, thresholds)
    epochs = epoch_seeds(key, 0, steps * stream.batch_size // len(part) + 1)
    return _Order(stream, pixels, rows, part, epochs, seeds, None)


def read_steps(reader: StepReader, places: Places, start: int, workers: int) -> Iterator[Rows]:
    """The rows for the steps from `start` on, in order, read ahead.

    Args:
      places: of the data set, for messages.
      workers: processes that read; 0 reads in threads of this one.

    Raises:
      UserError: pixels that cannot be read, by name.
    """
    source = grain.MapDataset.source(_Careful(reader))[start * reader.shares :]
    threads = 1 if workers else min(4, os.cpu_count() or 1)
    ahead = grain.ReadOptions(
        num_threads=threads, prefetch_buffer_size=_STEPS_AHEAD * reader.shares
    )
    dataset = source.to_iter_dataset(ahead)
    if workers:
        if not flags.FLAGS.is_parsed():  # grain asks absl, which no argparse command has started
            flags.FLAGS.mark_as_parsed()
        each = max(2, -(-_STEPS_OF_WORKERS * reader.shares // workers))
        dataset = dataset.mp_prefetch(
            grain.MultiprocessingOptions(num_workers=workers, per_worker_buffer_size=each)
        )
    iterator = iter(dataset)
    try:
        shares: list[Rows] = []
        for element in iterator:
            if isinstance(element, _Failure):
                where = '' if element.place < 0 else f'{name_at(places.names, element.place)}: '
                raise UserError(where + element.reason)
            shares.append(element)
            if len(shares) == reader.shares:
                yield joined(shares)
                shares = []
    finally:
        close = getattr(iterator, 'close', None)
        if close is not None:
            close()


def joined(shares: Sequence[Rows]) -> Rows:
    """The shares of a step as one."""
    if len(shares) == 1:
        return shares[0]
    return {
        name: {key: np.concatenate([share[name][key] for share in shares]) for key in arrays}
        for name, arrays in shares[0].items()
    }


class _Failure(NamedTuple):
    """An error as text; `place` is -1 where the text names it."""

    place: int
    reason: str


class _Careful:
    """Hands an error over as its text: what workers raise would reach the user as a traceback."""

    def __init__(self, reader: StepReader) -> None:
        self._reader = reader

    def __len__(self) -> int:
        return len(self._reader)

    def __getitem__(self, number: int) -> Any:
        try:
            return self._reader[number]
        except StrangePixels as error:
            return _Failure(error.place, error.reason)
        except UserError as error:
            return _Failure(-1, str(error))


def rows_of(indices: Sequence[slice], size: int) -> np.ndarray:
    """The rows of a batch of `size` that lie in any of the slices, ascending."""
    rows = [np.arange(size)[index] for index in indices]
    return np.unique(np.concatenate(rows))
