"""An evaluator that draws some of the tested places beside their truth and what was predicted.

Which places, and which part of large ones, is drawn from a seed and spread over cities; no score
enters the choice. Only these parts are kept while all windows pass by.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import NamedTuple

import numpy as np

from eojax.data.columns import name_at
from eojax.data.dataset import Dataset, Window
from eojax.data.facts import IMAGES, PIXEL_LABELS, UNKNOWN
from eojax.data.valid_pixels import valid_pixels
from eojax.drawing.class_colours import class_colours
from eojax.drawing.pictures import displayed
from eojax.drawing.segmentation import Example, segmentation_examples
from eojax.evaluation.evaluation_set import EvaluationBatch, EvaluationSet
from eojax.evaluation.evaluators import Evaluator, Measured, Outputs

EXAMPLES = 6
_SIDE = 320  # at most so many pixels of a place are shown, or a window
_TRIES = 8  # parts of a place that are looked at, for one with labels in it
_LABELLED = 0.5  # share of known pixels that will do


class Shown(NamedTuple):
    """A part of a place.

    Attributes:
      place: its number.
      window: the part, in pixels of the place.
      truth: int32 `[height, width]`, the labels that count.
      scores: by name `[height, width, ...]`, filled as windows pass by (`paste`).
    """

    place: int
    window: Window
    truth: np.ndarray
    scores: dict[str, np.ndarray]


def pixel_examples(tested: EvaluationSet, with_density: bool, seed: int = 0) -> Evaluator:
    """Image, truth, prediction, confidence and log p of some places, in `segmentation.png`.

    Args:
      with_density: whether the method has `pixel_log_density`.
      seed: of the choice.
    """
    needs = ('classes', 'confidence', *(('pixel_log_density',) if with_density else ()))

    def start() -> list[Shown]:
        return [_empty(place, window, needs) for place, window in choose(tested, EXAMPLES, seed)]

    def update(shown: list[Shown], outputs: Outputs, batch: EvaluationBatch) -> list[Shown]:
        for part in shown:
            for row in np.flatnonzero(batch.place == part.place):
                paste(part, outputs, batch, int(row))
        return shown

    def finish(shown: list[Shown]) -> Measured:
        facts = tested.dataset.facts

        def draw(out: Path) -> None:
            colours = class_colours(facts.class_names, facts.class_colours)
            examples = [_example(tested, part) for part in shown]
            path = out / 'segmentation.png'
            segmentation_examples(examples, facts.class_names, colours, path)

        return Measured({}, draw)

    return Evaluator(needs, start, update, finish)


def choose(tested: EvaluationSet, num: int, seed: int) -> list[tuple[int, Window]]:
    """At most `num` places, of as many cities as there are, and a part of each.

    A part whose labels are mostly unknown is passed over where the place has others.
    """
    places = tested.dataset.places
    random = np.random.default_rng(seed)
    groups = np.zeros(places.num, np.int64) if places.groups is None else places.groups
    order = random.permutation(places.num)
    # The first of each city, then the second of each, ...
    turn = np.zeros(places.num, np.int64)
    for group in np.unique(groups):
        members = order[groups[order] == group]
        turn[members] = np.arange(len(members))
    chosen = order[np.argsort(turn[order], kind='stable')][:num]
    return [(int(place), _part(tested, int(place), random)) for place in np.sort(chosen)]


def _part(tested: EvaluationSet, place: int, random: np.random.Generator) -> Window:
    places, facts = tested.dataset.places, tested.dataset.facts
    height, width = int(places.heights[place]), int(places.widths[place])
    grid = math.lcm(*(raster.scale for raster in facts.rasters.values()))
    side = max(tested.window or 0, _SIDE) // grid * grid
    tall, wide = min(side, height), min(side, width)
    best, most = Window(0, 0, tall, wide), -1.0
    if (tall, wide) == (height, width):
        return best
    for _ in range(_TRIES):
        row = int(random.integers((height - tall) // grid + 1)) * grid
        column = int(random.integers((width - wide) // grid + 1)) * grid
        window = Window(row, column, tall, wide)
        known = float((_labels(tested, place, window) >= 0).mean())
        if known > most:
            best, most = window, known
        if known >= _LABELLED:
            break
    return best


def _labels(tested: EvaluationSet, place: int, window: Window) -> np.ndarray:
    stored = tested.dataset.source.read(place, window, (PIXEL_LABELS,))[PIXEL_LABELS]
    return np.where(stored == UNKNOWN, -1, stored.astype(np.int32))


def _empty(place: int, window: Window, names: tuple[str, ...]) -> Shown:
    shape = (window.height, window.width)
    truth = np.full(shape, -1, np.int32)
    return Shown(place, window, truth, {name: np.zeros(shape, np.float32) for name in names})


def paste(part: Shown, outputs: Outputs, batch: EvaluationBatch, row: int) -> None:
    """Puts the pixels that count in a window where they lie in the part."""
    assert batch.counted is not None
    first, end, left, right = batch.counted[row].tolist()
    down, across = int(batch.rows[row]), int(batch.columns[row])
    window = part.window
    top = max(down + first, window.row)
    bottom = min(down + end, window.row + window.height)
    west = max(across + left, window.column)
    east = min(across + right, window.column + window.width)
    if top >= bottom or west >= east:
        return
    here = (slice(top - window.row, bottom - window.row),
            slice(west - window.column, east - window.column))  # fmt: skip
    there = (row, slice(top - down, bottom - down), slice(west - across, east - across))
    part.truth[here] = batch.labels[there]
    for name, values in part.scores.items():
        values[here] = outputs[name][there]


def _example(tested: EvaluationSet, part: Shown) -> Example:
    dataset = tested.dataset
    facts, window = dataset.facts, part.window
    entries = (*tested.rasters, *facts.masks(tested.rasters))
    read = dataset.source.read(part.place, window, (IMAGES, *(e for e in entries if e != IMAGES)))
    valid = valid_pixels(read, facts, (window.height, window.width))
    # The network says something of pixels without data too, which means nothing.
    scores = {name: np.where(valid, values, np.nan) for name, values in part.scores.items()}
    return Example(
        title_of(dataset, part.place),
        displayed(read[IMAGES], facts.images.bands, facts.images.limits),
        part.truth,
        np.where(valid, part.scores['classes'], -1).astype(np.int32),
        scores['confidence'],
        scores.get('pixel_log_density'),
    )


def title_of(dataset: Dataset, place: int) -> str:
    """The name of a place without its folders, below its city's, at most 40 characters."""
    title = name_at(dataset.places.names, place).rpartition('/')[2]
    groups, names = dataset.places.groups, dataset.facts.group_names
    if groups is not None and groups[place] < len(names):
        city = names[groups[place]]
        title = title if title.startswith(city) else f'{city}\n{title}'
    return title if len(title) <= 40 else f'...{title[-37:]}'
