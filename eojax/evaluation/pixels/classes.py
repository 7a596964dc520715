"""Evaluators of classes of pixels: of all together, of each city, of how sure, of borders.

All of them add up counts; none keeps a map.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from eojax.atomic_file import write_atomically
from eojax.data.columns import name_at
from eojax.data.dataset import Places
from eojax.data.facts import Facts
from eojax.drawing import figures
from eojax.drawing.class_colours import class_colours
from eojax.drawing.segmentation import class_bars, group_table
from eojax.errors import UserError
from eojax.evaluation.evaluation_set import EvaluationBatch
from eojax.evaluation.evaluators import Evaluator, Measured, Outputs
from eojax.metrics import segmentation
from eojax.metrics.calibration import bins_of, curve_of, error_of
from eojax.metrics.classification import Sums
from eojax.metrics.segmentation import ClassCounts, no_counts, numbers_of_counts, window_counts

_NOTHING_KNOWN = 'none of the pixels has a known class: there is nothing to compare with'
# Of more places there is no table of each one.
_LISTED_PLACES = 100_000
_DRAWN_GROUPS = 60


def pixel_classes(facts: Facts) -> Evaluator:
    """Accuracy, kappa, intersection over union and F1 of each class, of pixels of known class."""
    names = facts.class_names
    num = len(names)

    def update(matrix: np.ndarray, outputs: Outputs, batch: EvaluationBatch) -> np.ndarray:
        return matrix + _confusion(outputs['classes'], batch.labels, num)

    def finish(matrix: np.ndarray) -> Measured:
        if not matrix.sum():
            raise UserError(_NOTHING_KNOWN)

        def draw(out: Path) -> None:
            path = out / 'confusion_matrix.png'
            figures.confusion_matrix(matrix, names, path, unit='pixels')
            true = matrix.sum(1)
            scores = np.where(true > 0, segmentation.intersection_over_union(matrix), np.nan)
            colours = class_colours(names, facts.class_colours)
            class_bars(scores, true / true.sum(), names, colours, out / 'iou.png')

        return Measured(segmentation.segmentation_numbers(matrix, names), draw)

    return Evaluator(('classes',), lambda: np.zeros((num, num), np.int64), update, finish)


def _confusion(predicted: np.ndarray, labels: np.ndarray, num: int) -> np.ndarray:
    """Pixels by true and predicted class, int64 `[K, K]`."""
    known = labels >= 0
    cells = labels[known].astype(np.int64) * num + predicted[known]
    return np.bincount(cells, minlength=num * num).reshape(num, num)


def pixel_calibration(num_classes: int, num_bins: int = 15) -> Evaluator:
    """Likelihood, Brier score and calibration of pixels whose class is known.

    Args:
      num_bins: of confidence.
    """

    def update(sums: Sums | None, outputs: Outputs, batch: EvaluationBatch) -> Sums | None:
        known = batch.labels >= 0
        if not known.any():
            return sums
        confidence = outputs['confidence'][known].astype(np.float64)
        right = outputs['classes'][known] == batch.labels[known]
        new = Sums(
            _confusion(outputs['classes'], batch.labels, num_classes),
            float(outputs['pixel_nll'].sum(dtype=np.float64)),
            float(outputs['pixel_brier'].sum(dtype=np.float64)),
            bins_of(confidence, right, num_bins),
        )
        return new if sums is None else sums.plus(new)

    def finish(sums: Sums | None) -> Measured:
        if sums is None:
            raise UserError(_NOTHING_KNOWN)
        curve = curve_of(sums.bins)
        numbers = {
            'nll': sums.nll / sums.num,
            'brier': sums.brier / sums.num,
            'ece': error_of(curve),
            'mean_confidence': float(sums.bins.confidence.sum() / sums.num),
        }

        def draw(out: Path) -> None:
            figures.reliability_diagram({'test': curve}, out / 'reliability.png', unit='pixels')

        return Measured(numbers, draw)

    needs = ('classes', 'confidence', 'pixel_nll', 'pixel_brier')
    return Evaluator(needs, lambda: None, update, finish)


class _BorderSums(NamedTuple):
    """Pixels of known class, near a border and elsewhere, and how many of them are right."""

    near: int = 0
    near_right: int = 0
    inner: int = 0
    inner_right: int = 0


def pixel_borders() -> Evaluator:
    """Accuracy near borders between classes and away from them, and the share of pixels near one.

    Near is what `EvaluationBatch.near_border` says.
    """

    def update(sums: _BorderSums, outputs: Outputs, batch: EvaluationBatch) -> _BorderSums:
        assert batch.near_border is not None
        known = batch.labels >= 0
        right = outputs['classes'] == batch.labels
        near, inner = known & batch.near_border, known & ~batch.near_border
        new = (near, near & right, inner, inner & right)
        return _BorderSums(*(s + int(n.sum()) for s, n in zip(sums, new, strict=True)))

    def finish(sums: _BorderSums) -> Measured:
        numbers = {'boundary_share': sums.near / max(sums.near + sums.inner, 1)}
        if sums.near:
            numbers['boundary_accuracy'] = sums.near_right / sums.near
        if sums.inner:
            numbers['interior_accuracy'] = sums.inner_right / sums.inner
        return Measured(numbers)

    return Evaluator(('classes',), _BorderSums, update, finish)


class _PlaceSums(NamedTuple):
    """Counts of each group, and of each place where they are not too many."""

    groups: ClassCounts
    places: ClassCounts | None


def pixel_groups(facts: Facts, places: Places) -> Evaluator:
    """A table of the scores of each city, and one of each place.

    `groups.csv` and `places.csv` have a row each and the columns of
    `eojax.metrics.segmentation.numbers_of_counts`, empty where a city has no pixel of a class. The
    numbers are `pixel_accuracy_<group>` and `mean_iou_<group>`; a group called `all` is `group_all`
    there.
    """
    names, num = facts.class_names, facts.num_classes
    groups = np.zeros(places.num, np.int64) if places.groups is None else places.groups
    numbers_of_groups, position = np.unique(groups, return_inverse=True)
    titles = [
        facts.group_names[i] if i < len(facts.group_names) else str(i)
        for i in numbers_of_groups.tolist()
    ]

    def start() -> _PlaceSums:
        listed = places.num <= _LISTED_PLACES
        return _PlaceSums(
            no_counts(len(titles), num), no_counts(places.num, num) if listed else None
        )

    def update(sums: _PlaceSums, outputs: Outputs, batch: EvaluationBatch) -> _PlaceSums:
        new = window_counts(outputs['classes'], batch.labels, num)
        for kept, where in ((sums.groups, position[batch.place]), (sums.places, batch.place)):
            if kept is not None:
                for total, counts in zip(kept, new, strict=True):
                    np.add.at(total, where, counts)
        return sums

    def finish(sums: _PlaceSums) -> Measured:
        rows = _scores(sums.groups, names) if places.groups is not None else []
        known = [(title, row) for title, row in zip(titles, rows, strict=False) if row]
        numbers = {
            f'{key}_{"group_all" if title == "all" else title}': row[key]
            for key in ('pixel_accuracy', 'mean_iou')
            for title, row in known
        }

        def draw(out: Path) -> None:
            if known:
                _write_table(out / 'groups.csv', [({'group': t}, r) for t, r in known], names)
            if 1 < len(known) <= _DRAWN_GROUPS:
                _draw_groups(known, names, out / 'groups.png')
            if sums.places is not None:
                scored = zip(_scores(sums.places, names), position.tolist(), strict=True)
                listed = [
                    (_title(places, i, titles[group]), row)
                    for i, (row, group) in enumerate(scored)
                    if row
                ]
                _write_table(out / 'places.csv', listed, names)

        return Measured(numbers, draw)

    return Evaluator(('classes',), start, update, finish)


def _title(places: Places, place: int, group: str) -> dict[str, str]:
    title = {'place': name_at(places.names, place)}
    return title if places.groups is None else {**title, 'group': group}


def _scores(counts: ClassCounts, names: Sequence[str]) -> list[dict[str, float]]:
    """The numbers of each; nothing for one without a pixel of known class."""
    return [
        numbers_of_counts(counts.at(i), names) if counts.true[i].any() else {}
        for i in range(len(counts.true))
    ]


def _draw_groups(
    known: Sequence[tuple[str, Mapping[str, float]]], names: Sequence[str], path: Path
) -> None:
    present = [name for name in names if any(f'iou_{name}' in row for _, row in known)]
    keys = ['pixel_accuracy', 'mean_iou', *(f'iou_{name}' for name in present)]
    values = np.array([[row.get(key, np.nan) for key in keys] for _, row in known])
    columns = ['accuracy', 'mean IoU', *(f'IoU {name}' for name in present)]
    group_table(values, [title for title, _ in known], columns, path)


def _write_table(
    path: Path,
    rows: Sequence[tuple[Mapping[str, str], Mapping[str, float]]],
    names: Sequence[str],
) -> None:
    """Writes a CSV file, whole or not at all."""
    kinds = ('iou', 'precision', 'recall', 'f1')
    keys = ['pixels', 'pixel_accuracy', 'kappa', 'mean_iou', 'mean_iou_all', 'mean_f1']
    keys += [f'{kind}_{name}' for kind in kinds for name in names]
    text = io.StringIO()
    writer = csv.DictWriter(text, [*rows[0][0], *keys], restval='', lineterminator='\n')
    writer.writeheader()
    for title, scores in rows:
        writer.writerow({**title, **scores, 'pixels': int(scores['pixels'])})
    write_atomically(path, lambda file: file.write(text.getvalue().encode()))
