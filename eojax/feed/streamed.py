"""Streamed input: batches that grain reads in worker processes, for sets that do not fit.

Element s of the stream is the batch of step s, a function of key and step as in resident input
(`eojax.feed.pipeline.gather`): the same images in the same order. The position is therefore the
training step, which is in every checkpoint, and a run goes on exactly, on any number of processes.
Each process reads only the rows that its own devices hold.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import grain
import numpy as np
from absl import flags
from jax import Array

from eojax.errors import UserError
from eojax.feed.permutation import epoch_seeds, stored_indices
from eojax.feed.pipeline import stream_keys
from eojax.feed.streams import Stream

# Batches that a process holds ready beside those that its workers do.
_PREFETCHED = 4


class StepBatches:
    """A random-access source: element s holds what the streams take at step s.

    It travels to worker processes, and so holds plain values only.
    """

    def __init__(
        self,
        images: Any,
        labels: np.ndarray,
        truth: np.ndarray,
        parts: Mapping[str, np.ndarray],
        streams: Mapping[str, Stream],
        key: Array,
        steps: int,
        rows: Mapping[str, np.ndarray] | None = None,
    ) -> None:
        """Prepares the orders.

        Args:
          images: `[N, H, W, C]`, an array or what is read on access.
          labels: int32 `[N]`, -1 where the method may not see it.
          truth: int32 `[N]`, all that are known.
          parts: by part, int32 indices into the three.
          streams: what to feed.
          key: of the run.
          steps: of the run, as many elements.
          rows: of each stream's batch, those to read; all where None.
        """
        self._images, self._steps = images, steps
        self._labels, self._truth = labels, truth
        self._orders = {}
        for name, stream in sorted(streams.items()):
            part, size = parts[stream.part], stream.batch_size
            epochs = steps * size // len(part) + 1
            seeds = epoch_seeds(stream_keys(key, name)[0], 0, epochs)
            mine = np.arange(size) if rows is None else rows[name]
            self._orders[name] = (part, size, seeds, mine)

    def __len__(self) -> int:
        return self._steps

    def __getitem__(self, step: int) -> dict[str, dict[str, np.ndarray]]:
        """The stored images, labels and indices of a step."""
        batch = {}
        for name, (part, size, seeds, rows) in self._orders.items():
            positions = np.int64(step) * size + rows
            chosen = part[stored_indices(positions, seeds, len(part))]
            batch[name] = {
                'images': np.asarray(self._images[chosen]),
                'labels': self._labels[chosen],
                'truth': self._truth[chosen],
                'index': chosen,
            }
        return batch


def read_batches(
    batches: StepBatches, start: int, workers: int
) -> Iterator[dict[str, dict[str, np.ndarray]]]:
    """The batches from step `start` on, read ahead.

    Args:
      workers: processes that read; 0 reads in threads of this one.

    Raises:
      UserError: an image that cannot be read, by name.
    """
    source = grain.MapDataset.source(_Careful(batches))[start:]
    threads = 1 if workers else min(4, os.cpu_count() or 1)
    ahead = grain.ReadOptions(num_threads=threads, prefetch_buffer_size=_PREFETCHED)
    dataset = source.to_iter_dataset(ahead)
    if workers:
        if not flags.FLAGS.is_parsed():  # grain asks absl, which no argparse command has started
            flags.FLAGS.mark_as_parsed()
        dataset = dataset.mp_prefetch(
            grain.MultiprocessingOptions(num_workers=workers, per_worker_buffer_size=2)
        )
    iterator = iter(dataset)
    try:
        for element in iterator:
            if isinstance(element, str):
                raise UserError(element)
            yield element
    finally:
        close = getattr(iterator, 'close', None)
        if close is not None:
            close()


class _Careful:
    """Hands an error over as its text: what workers raise would reach the user as a traceback."""

    def __init__(self, batches: StepBatches) -> None:
        self._batches = batches

    def __len__(self) -> int:
        return len(self._batches)

    def __getitem__(self, step: int) -> Any:
        try:
            return self._batches[step]
        except UserError as error:
            return str(error)


def rows_of(indices: Sequence[slice], size: int) -> np.ndarray:
    """The rows of a batch of `size` that lie in any of the slices, ascending."""
    rows = [np.arange(size)[index] for index in indices]
    return np.unique(np.concatenate(rows))
