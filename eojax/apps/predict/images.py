"""Predictions of whole images, read ahead of the network and scored in full batches."""

from __future__ import annotations

import collections
import os
from collections import Counter, deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np

from eojax.apps.predict.formats import Predicted
from eojax.apps.predict.inputs import Input
from eojax.data.reading.any_image import ImageReader, ReadImage
from eojax.data.reading.decode import MAX_THREADS
from eojax.errors import UserError
from eojax.evaluation.predictions.rows import Cell, Training, rounded, rows_of
from eojax.evaluation.scoring import score_batches
from eojax.messages import say
from eojax.runs.run import Run

# Images that are read ahead of the network, for each thread.
_AHEAD = 8
_NAMED = 3  # files that a note about many of them names


class Wanted(NamedTuple):
    """The columns of a row.

    Attributes:
      top: how many classes.
      training: that log p(x) is compared with; None where there is none.
      placed: whether there are columns for longitude, latitude and the share without data.
    """

    top: int
    training: Training | None
    placed: bool


class Course:
    """The images that were read, and what there is to say of them.

    Attributes:
      done: images with a row.
      broken: a line for each that could not be read.
      how: how many images had values of each meaning, but for those read as in training.
      classes: how many images are of each class.
      unseen: how many look unseen.
      located: how many say where they lie.
    """

    def __init__(self) -> None:
        self.done = self.unseen = self.located = 0
        self.broken: list[str] = []
        self.how: Counter[str] = Counter()
        self.classes: Counter[str] = Counter()
        self._notes: dict[str, list[str]] = {}
        self._noted: Counter[str] = Counter()

    def lost(self, error: UserError) -> None:
        """An image that cannot be read: its line is said at once."""
        line = ' '.join(str(error).split())
        self.broken.append(line)
        say(line)

    def read(self, title: str, image: ReadImage) -> None:
        """An image that was read."""
        if image.how:
            self.how[image.how] += 1
        for note in image.notes:
            self._noted[note] += 1
            named = self._notes.setdefault(note, [])
            if len(named) < _NAMED:
                named.append(title)

    def scored(self, row: Predicted) -> None:
        """A row that is written."""
        self.done += 1
        self.unseen += bool(row.row.get('unseen'))
        self.located += row.footprint is not None
        self.classes[str(row.row['class'])] += 1

    def notes(self) -> list[str]:
        """A line for each thing that was noted, with the first images that it is true of."""
        lines = []
        for note, named in self._notes.items():
            num = self._noted[note]
            others = f' and {num - len(named):,} more' if num > len(named) else ''
            lines.append(f'{", ".join(named)}{others}: {note}')
        return lines


def read_ahead(
    inputs: Iterable[Input], reader: ImageReader, course: Course, depth: int = _AHEAD
) -> Iterator[tuple[str, ReadImage]]:
    """The images in order, several being read at a time; those that cannot be read are left out.

    Args:
      course: is told of each.
      depth: how many each thread reads ahead.
    """

    def read(one: Input) -> ReadImage:
        return reader.read(one.read(), one.title)

    threads = min(MAX_THREADS, os.cpu_count() or 1)
    waiting: deque[tuple[str, Future[ReadImage]]] = collections.deque()
    executor = ThreadPoolExecutor(threads)

    def finished() -> Iterator[tuple[str, ReadImage]]:
        title, future = waiting.popleft()
        try:
            image = future.result()
        except UserError as error:
            course.lost(error)
            return
        course.read(title, image)
        yield title, image

    try:
        for one in inputs:
            waiting.append((one.title, executor.submit(read, one)))
            if len(waiting) >= threads * depth:
                yield from finished()
        while waiting:
            yield from finished()
    finally:
        executor.shutdown(wait=True, cancel_futures=True)


def predict_images(
    run: Run, state: Any, images: Iterable[tuple[str, ReadImage]], wanted: Wanted
) -> Iterator[Predicted]:
    """A row for each image, in order.

    Raises:
      UserError: scores that are not finite.
    """
    density = 'log_density' in run.method.abilities
    names = ('logits', 'log_density') if density else ('logits',)
    size = run.config.evaluate.batch_size
    waiting: deque[list[tuple[str, ReadImage]]] = collections.deque()

    def batches() -> Iterator[np.ndarray]:
        part: list[tuple[str, ReadImage]] = []
        for title, image in images:
            # A batch has one type: 8-bit scenes for a run of 16 bits stay 8-bit.
            if part and (len(part) == size or image.pixels.dtype != part[0][1].pixels.dtype):
                waiting.append(_light(part))
                yield np.stack([one.pixels for _, one in part])
                part = []
            part.append((title, image))
        if part:
            waiting.append(_light(part))
            yield np.stack([one.pixels for _, one in part])

    for scores in score_batches(run, names, state, batches()):
        part = waiting.popleft()
        rows = rows_of(
            scores['logits'], scores.get('log_density'), run.facts.class_names, wanted.top,
            wanted.training,
        )  # fmt: skip
        for (title, image), row in zip(part, rows, strict=True):
            yield Predicted({'file': title, **row, **placed_cells(image, wanted)}, image.footprint)


def _light(part: list[tuple[str, ReadImage]]) -> list[tuple[str, ReadImage]]:
    """The images of a batch without their pixels."""
    nothing = np.zeros(0)
    return [(title, image._replace(pixels=nothing)) for title, image in part]


def placed_cells(image: ReadImage, wanted: Wanted) -> dict[str, Cell]:
    """The cells that say where an image lies and what it lacks."""
    if not wanted.placed:
        return {}
    place = image.footprint
    return {
        'longitude': None if place is None else place.longitude,
        'latitude': None if place is None else place.latitude,
        'missing': rounded(image.missing, 4),
    }
