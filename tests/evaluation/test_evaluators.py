"""Evaluators sum per batch; windows of an evaluation show each pixel once."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy.special import log_softmax

from eojax.data.dataset import Dataset, Places, Window
from eojax.data.facts import Facts, Raster
from eojax.errors import UserError
from eojax.evaluation.classes import image_classes, pixel_classes
from eojax.evaluation.evaluation_set import EvaluationBatch, EvaluationSet
from eojax.metrics import classification
from eojax.metrics.calibration import expected_calibration_error

SIZES = ((10, 13), (8, 8), (3, 9))


class Tiles:
    """Tiles whose pixels hold their own row and column, at full and at half resolution."""

    def read(self, place: int, window: Window | None, rasters: Any) -> dict[str, np.ndarray]:
        assert window is not None
        rows, columns = np.indices((window.height, window.width))
        rows, columns = rows + window.row, columns + window.column
        made = {
            'images': np.stack([rows, columns, np.full_like(rows, place)], -1).astype(np.uint8),
            'coarse': np.stack([rows // 2, columns // 2], -1)[::2, ::2].astype(np.uint8),
            'labels': ((rows + columns) % 4).astype(np.uint8),
        }
        made['labels'][(rows == 1) & (columns == 2)] = 255
        return {name: made[name] for name in rasters}

    def subset(self, indices: np.ndarray) -> Tiles:
        raise NotImplementedError


def tiles() -> Dataset:
    rasters = {'images': Raster(), 'coarse': Raster(('row', 'column'), scale=2)}
    facts = Facts(class_names=tuple('abcd'), rasters=rasters, label='pixel')
    heights, widths = (np.array(sizes, np.int32) for sizes in zip(*SIZES, strict=True))
    places = Places(tuple('xyz'), heights, widths, np.full(3, -1, np.int32))
    return Dataset(facts, places, Tiles())


def batches(rasters: tuple[str, ...] = ('images',), side: int = 4, size: int = 5) -> list[Any]:
    found = EvaluationSet(tiles(), rasters, side, size)
    return list(found.batches(np.ones(size, bool)))


def test_windows_cover_each_pixel_once_and_labels_lie_on_their_pixels() -> None:
    seen = [np.zeros(size, int) for size in SIZES]
    for batch in batches():
        for image, labels in zip(batch.rasters['images'], batch.labels, strict=True):
            rows, columns, places = np.moveaxis(image.astype(int), -1, 0)
            known = labels >= 0
            np.testing.assert_array_equal(labels[known], ((rows + columns) % 4)[known])
            np.add.at(seen[places[0, 0]], (rows[known], columns[known]), 1)
    for counts, (height, width) in zip(seen, SIZES, strict=True):
        expected = np.ones((height, width), int)
        expected[1, 2] = 0  # unknown
        np.testing.assert_array_equal(counts, expected)


def test_a_class_that_there_is_not_is_named() -> None:
    three = tiles().with_facts(class_names=tuple('abc'))
    with pytest.raises(UserError, match='x: a pixel has class 3; the data set has 3 classes'):
        list(EvaluationSet(three, ('images',), 4, 5).batches(np.ones(5, bool)))


def test_all_batches_but_the_last_are_full() -> None:
    sizes = [len(batch.labels) for batch in batches()]
    assert sizes == [5] * (sum(sizes) // 5) + [sum(sizes) % 5] * (sum(sizes) % 5 > 0)
    assert sum(sizes) == 3 * 4 + 2 * 2 + 1 * 3


def test_a_coarse_raster_is_of_the_same_ground() -> None:
    for batch in batches(('images', 'coarse')):
        fine = batch.rasters['images'][:, ::2, ::2, :2].astype(int) // 2
        whole = (batch.rows % 2 == 0) & (batch.columns % 2 == 0)
        assert whole.all()  # windows begin where a coarse pixel does
        held = batch.rasters['images'][:, ::2, ::2].any(-1)
        np.testing.assert_array_equal(batch.rasters['coarse'][held], fine[held])


def test_pixels_of_other_processes_are_not_read() -> None:
    wanted = np.array([False, True, False, True, True])
    first = next(EvaluationSet(tiles(), ('images',), 4, 5).batches(wanted))
    assert not first.rasters['images'][~wanted].any()
    np.testing.assert_array_equal(first.labels, batches()[0].labels)


def _batch(labels: np.ndarray) -> EvaluationBatch:
    nothing = np.zeros(len(labels), np.int64)
    return EvaluationBatch({}, labels, nothing, nothing, nothing)


def test_sums_of_batches_are_the_numbers_of_all_images_whose_class_is_known() -> None:
    rng = np.random.default_rng(0)
    logits = rng.normal(0, 2, (50, 4)).astype(np.float32)
    labels = rng.integers(-1, 4, 50).astype(np.int32)
    evaluator = image_classes('abcd')
    sums = evaluator.start()
    for part in np.array_split(np.arange(50), 7):
        sums = evaluator.update(sums, {'logits': logits[part]}, _batch(labels[part]))
    numbers = evaluator.finish(sums).numbers
    known = labels >= 0
    log_p, truth = log_softmax(logits[known].astype(np.float64), 1), labels[known]
    assert numbers['accuracy'] == classification.accuracy(log_p, truth)
    assert numbers['nll'] == pytest.approx(classification.nll(log_p, truth), rel=1e-12)
    assert numbers['brier'] == pytest.approx(classification.brier(np.exp(log_p), truth), rel=1e-12)
    expected = expected_calibration_error(np.exp(log_p), truth)
    assert numbers['ece'] == pytest.approx(expected, rel=1e-12)


def test_pixels_are_counted_once_where_their_class_is_known() -> None:
    evaluator = pixel_classes('abcd')
    sums = evaluator.start()
    for batch in batches():
        right = np.where(batch.labels < 0, 0, batch.labels)
        right[batch.labels == 3] = 0  # one class is never found
        sums = evaluator.update(sums, {'classes': right.astype(np.uint8)}, batch)
    numbers = evaluator.finish(sums).numbers
    rows, columns = zip(*(np.indices(size) for size in SIZES), strict=True)
    truth = np.concatenate([((r + c) % 4).ravel() for r, c in zip(rows, columns, strict=True)])
    assert numbers['pixels'] == len(truth) - 3  # one unknown pixel a tile
    lost = (truth == 3).sum() - 3  # all three unknown ones are of this class
    assert numbers['pixel_accuracy'] == pytest.approx(1 - lost / numbers['pixels'])
    assert numbers['iou_d'] == 0.0


@pytest.mark.parametrize('evaluator', [image_classes('ab'), pixel_classes('ab')])
def test_nothing_known_is_one_line(evaluator: Any) -> None:
    outputs = {'logits': np.zeros((2, 2), np.float32), 'classes': np.zeros((2, 1, 1), np.uint8)}
    unknown = np.full((2,) if 'logits' in evaluator.needs else (2, 1, 1), -1, np.int32)
    sums = evaluator.update(evaluator.start(), outputs, _batch(unknown))
    with pytest.raises(UserError, match='has a known class'):
        evaluator.finish(sums)
