"""A source of windows in array_record files, by their numbers."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from eojax.data.dataset import Window, check_window
from eojax.data.facts import Facts
from eojax.data.shards.records import decode
from eojax.data.sources.open_files import Kept
from eojax.errors import UserError

# Of each thread.
_KEPT_SHARDS = 256
# Random access: nothing is read ahead, and where records lie stays in the file.
_OPTIONS = (
    'readahead_buffer_size:0,max_parallelism:0,index_storage_option:offloaded,'
    'footer_prefetch_bytes:0'
)
_BUFFER_BYTES = 2**16


class ShardSource:
    """Reads windows of prepared places; see `eojax.data.dataset.Source`. It pickles as paths."""

    def __init__(
        self,
        folder: Path,
        num: int,
        per_shard: int,
        rasters: Sequence[str],
        facts: Facts,
        sizes: tuple[np.ndarray, np.ndarray],
        numbers: np.ndarray | None = None,
    ) -> None:
        """Opens nothing yet.

        Args:
          folder: of the shards.
          num: of windows in them.
          per_shard: in each but the last.
          rasters: the order of the records.
          facts: of the data set.
          sizes: heights and widths of all windows.
          numbers: of the windows that are the source's places; all in order where None.
        """
        self._folder, self._num, self._per_shard = folder, num, per_shard
        self._rasters, self._facts, self._sizes = tuple(rasters), facts, sizes
        self._numbers = numbers
        self._readers: Kept[Any] = Kept(_KEPT_SHARDS, _close)

    def read(
        self, place: int, window: Window | None, rasters: Sequence[str]
    ) -> dict[str, np.ndarray]:
        """See `Source.read`."""
        number = int(place if self._numbers is None else self._numbers[place])
        size = (int(self._sizes[0][number]), int(self._sizes[1][number]))
        shard, record = divmod(number, self._per_shard)
        reader = self._readers.get(shard, lambda: self._open(shard))
        try:
            (data,) = reader.read([record])
            read = decode(data, self._rasters, rasters, self._facts, size)
        # Damaged files and records.
        except (ValueError, RuntimeError, IndexError, OSError, struct.error) as error:
            reason = ' '.join(str(error).split())[:200]
            raise UserError(
                f'{self._folder}: record {record} of shard {shard} cannot be read ({reason});'
                ' prepare the data set anew'
            ) from None
        if window is None:
            return read
        check_window(window, size, f'{self._folder}: window {number}')
        return {name: self._cut(name, pixels, window) for name, pixels in read.items()}

    def subset(self, indices: np.ndarray) -> ShardSource:
        """See `Source.subset`."""
        numbers = np.arange(self._num) if self._numbers is None else self._numbers
        return ShardSource(
            self._folder,
            self._num,
            self._per_shard,
            self._rasters,
            self._facts,
            self._sizes,
            numbers[indices],
        )

    def _cut(self, name: str, pixels: np.ndarray, window: Window) -> np.ndarray:
        scale = self._facts.stored(name).scale
        top, left, height, width = (length // scale for length in window)
        return pixels[top : top + height, left : left + width]

    def _open(self, shard: int) -> Any:
        try:
            from array_record.python.array_record_module import ArrayRecordReader
        except ImportError:
            raise UserError('prepared data sets need pip install array_record') from None
        num = -(-self._num // self._per_shard)
        path = self._folder / f'{shard:05d}-of-{num:05d}.array_record'
        if not path.is_file():
            raise UserError(f'no such file: {path}; prepare the data set anew')
        try:
            reader = ArrayRecordReader(
                str(path), options=_OPTIONS, file_reader_buffer_size=_BUFFER_BYTES
            )
            expected = min(self._per_shard, self._num - shard * self._per_shard)
            if reader.num_records() != expected:
                raise ValueError(f'{reader.num_records()} records; expected {expected}')
        except (ValueError, RuntimeError) as error:
            reason = ' '.join(str(error).split())[:200]
            raise UserError(f'{path} is damaged ({reason}); prepare the data set anew') from None
        return reader


def _close(reader: Any) -> None:
    reader.close()
