"""Where a run says how it is going: a progress bar, JSON lines, TensorBoard files."""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from tqdm import tqdm

from eojax.atomic_file import on_disks_without_sync, write_atomically
from eojax.errors import UserError
from eojax.training.sinks import Sinks

# In the bar, which adds steps per second and the time left by itself.
_SHOWN = ('loss', 'accuracy', 'validation_accuracy')


class Progress:
    """Metrics of a run, in `metrics.jsonl` and TensorBoard files under its folder.

    A resumed run goes on in the same file: rows of steps that will be done again are dropped first.
    """

    def __init__(
        self,
        folder: Path,
        steps: int,
        start: int,
        *,
        tensorboard: bool,
        silent: bool = False,
        sinks: Sinks | None = None,
    ) -> None:
        """Opens the files.

        Args:
          folder: the run's.
          steps: of the whole run.
          start: steps already done.
          tensorboard: whether to write TensorBoard files too.
          silent: write and show nothing (all processes but the first).
          sinks: trackers that get the numbers too; closed with this.
        """
        self._file = folder / 'metrics.jsonl'
        self._silent = silent
        self._sinks = sinks
        self._board: _Board | None = None
        self._bar = tqdm(
            total=steps, initial=start, unit='step', disable=silent, dynamic_ncols=True,
            mininterval=1.0,
        )  # fmt: skip
        if silent:
            return
        self.rewind(start)
        if tensorboard:
            self._board = _Board(folder / 'tensorboard', start)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bar.close()
        if self._sinks is not None:
            self._sinks.close(failed=error is not None)
        if self._board is not None:
            self._board.close(quietly=error is not None)

    def rewind(self, step: int) -> None:
        """Drops the rows of steps after `step`, and a last row that was cut off.

        What happened stays: rows with an `event` are kept.
        """
        # Not by its `n`: it would show nothing before it is beyond where it was.
        self._bar.update(step - self._bar.n)
        self._bar.refresh()
        if self._silent or not self._file.exists():
            return
        rows = read_metrics(self._file)
        rows = [row for row in rows if row['step'] <= step or 'event' in row]
        text = ''.join(json.dumps(row) + '\n' for row in rows)
        with _refused(self._file):
            write_atomically(self._file, lambda file: file.write(text.encode()))
        if self._board is not None:
            self._board.rewind(step)

    def at(self, step: int) -> None:
        """Moves the bar."""
        self._bar.update(step - self._bar.n)

    def write(self, step: int, metrics: Mapping[str, Any]) -> None:
        """Appends one row; a number that is not finite becomes null.

        Raises:
          UserError: the file cannot be written.
        """
        if self._silent:
            return
        row = {'step': step} | {name: _json_value(value) for name, value in metrics.items()}
        with _refused(self._file), open(self._file, 'a', encoding='utf-8') as file:
            file.write(json.dumps(row) + '\n')
        shown = {k: f'{row[k]:.3g}' for k in _SHOWN if isinstance(row.get(k), (int, float))}
        if isinstance(row.get('images_per_second'), (int, float)):
            shown['images/s'] = f'{row["images_per_second"]:.0f}'
        self._bar.set_postfix(shown, refresh=False)
        if self._board is not None:
            self._board.scalars(step, row)
        if self._sinks is not None:
            self._sinks.write(step, row)

    def write_event(self, step: int, event: Mapping[str, Any]) -> None:
        """Writes a row of what happened once, also where a start before this one wrote it."""
        known = read_metrics(self._file) if not self._silent and self._file.exists() else []
        if not any(event.items() <= row.items() for row in known):
            self.write(step, event)

    def picture(self, step: int, name: str, image: np.ndarray) -> None:
        """Adds a uint8 `[H, W, 3]` picture to TensorBoard."""
        if self._board is not None:
            self._board.picture(step, name, image)


class _Board:
    """TensorBoard files, written at once.

    The library's own writer hands everything to a thread; where that dies of a full disk, training
    would wait for it for ever.
    """

    def __init__(self, folder: Path, start: int) -> None:
        from tensorboardX.event_file_writer import EventsWriter

        self._folder = folder
        with _refused(folder):
            folder.mkdir(parents=True, exist_ok=True)
            # A name of its own: another file of the same second would be overwritten. TensorBoard
            # reads files by name, and the time in it is of the clock of whatever machine this is.
            before = len(list(folder.glob('events*')))
            prefix = folder / (f'events_{before:04}' if before else 'events')
            self._writer = EventsWriter(str(prefix), f'.{os.getpid()}.{start}')
        self.rewind(start)

    def rewind(self, step: int) -> None:
        """Hides what was written for steps after `step`."""
        from tensorboardX.proto.event_pb2 import SessionLog

        self._write(step + 1, session_log=SessionLog(status=SessionLog.START))

    def scalars(self, step: int, row: Mapping[str, Any]) -> None:
        from tensorboardX import summary

        for name, value in row.items():
            if isinstance(value, (int, float)) and name != 'step':
                self._write(step, summary=summary.scalar(name, value))

    def picture(self, step: int, name: str, image: np.ndarray) -> None:
        from tensorboardX import summary

        self._write(step, summary=summary.image(name, image, dataformats='HWC'))

    def _write(self, step: int, **content: Any) -> None:
        from tensorboardX.proto.event_pb2 import Event

        with _refused(self._folder):
            self._writer.write_event(Event(step=step, wall_time=time.time(), **content))
            with on_disks_without_sync():
                self._writer.flush()

    def close(self, quietly: bool) -> None:
        """Closes the file; `quietly` where another error is on its way."""
        try:
            with _refused(self._folder), on_disks_without_sync():
                self._writer.close()
        except UserError:
            if not quietly:
                raise


@contextmanager
def _refused(path: Path) -> Iterator[None]:
    """Names the file that the operating system refuses to write."""
    try:
        yield
    except OSError as error:
        raise UserError(f'{path} cannot be written: {error.strerror or error}') from error


def read_metrics(file: Path) -> list[dict[str, Any]]:
    """The rows of a `metrics.jsonl`; a last row that was cut off is left out."""
    rows = []
    for line in file.read_bytes().splitlines():
        try:
            row = json.loads(line)
            rows.append({'step': int(row['step']), **row})
        except (ValueError, KeyError, TypeError):
            break
    return rows


def _json_value(value: Any) -> Any:
    return None if isinstance(value, float) and not math.isfinite(value) else value
