"""Where a run says how it is going: a progress bar, JSON lines, TensorBoard files."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from tqdm import tqdm

from eojax.atomic_file import write_atomically


def say(message: str) -> None:
    """One line to stderr, above any progress bar."""
    tqdm.write(f'eojax: {message}', file=sys.stderr)


class Progress:
    """Metrics of a run, in `metrics.jsonl` and TensorBoard files under its folder.

    A resumed run goes on in the same file: rows of steps that will be done again are dropped first.
    """

    def __init__(
        self, folder: Path, steps: int, start: int, *, tensorboard: bool, silent: bool = False
    ) -> None:
        """Opens the files.

        Args:
          folder: the run's.
          steps: of the whole run.
          start: steps already done.
          tensorboard: whether to write TensorBoard files too.
          silent: write and show nothing (all processes but the first).
        """
        self._file = folder / 'metrics.jsonl'
        self._silent = silent
        self._board: Any = None
        self._bar = tqdm(
            total=steps, initial=start, unit='step', disable=silent, dynamic_ncols=True,
            mininterval=1.0,
        )  # fmt: skip
        if silent:
            return
        self.rewind(start)
        if tensorboard:
            from tensorboardX import SummaryWriter

            self._board = SummaryWriter(str(folder / 'tensorboard'), purge_step=start + 1)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bar.close()
        if self._board is not None:
            self._board.close()

    def rewind(self, step: int) -> None:
        """Drops the rows of steps after `step`, and a last row that was cut off."""
        self._bar.n = step
        self._bar.refresh()
        if self._silent or not self._file.exists():
            return
        rows = [row for row in read_metrics(self._file) if row['step'] <= step]
        text = ''.join(json.dumps(row) + '\n' for row in rows)
        write_atomically(self._file, lambda file: file.write(text.encode()))

    def at(self, step: int) -> None:
        """Moves the bar."""
        self._bar.update(step - self._bar.n)

    def write(self, step: int, metrics: Mapping[str, Any]) -> None:
        """Appends one row."""
        if self._silent:
            return
        row = {'step': step, **metrics}
        with open(self._file, 'a', encoding='utf-8') as file:
            file.write(json.dumps(row) + '\n')
        shown = ('loss', 'accuracy', 'validation_accuracy')
        self._bar.set_postfix({k: f'{row[k]:.3g}' for k in shown if k in row}, refresh=False)
        if self._board is not None:
            for name, value in metrics.items():
                if isinstance(value, (int, float)):
                    self._board.add_scalar(name, value, step)

    def picture(self, step: int, name: str, image: np.ndarray) -> None:
        """Adds a uint8 `[H, W, 3]` picture to TensorBoard."""
        if self._board is not None:
            self._board.add_image(name, image, step, dataformats='HWC')


def read_metrics(file: Path) -> list[dict[str, Any]]:
    """The rows of a `metrics.jsonl`; a last row that was cut off is left out."""
    rows = []
    for line in file.read_text(encoding='utf-8').splitlines():
        try:
            rows.append(json.loads(line))
        except ValueError:
            break
    return rows
