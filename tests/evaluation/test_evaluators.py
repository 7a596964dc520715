"""Evaluators sum per batch; windows of an evaluation show each pixel once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.special import log_softmax
from sklearn.metrics import jaccard_score, log_loss

from eojax.data.dataset import Dataset, Places, Window
from eojax.data.facts import Facts, Raster
from eojax.errors import UserError
from eojax.evaluation.classes import image_classes
from eojax.evaluation.evaluation_set import EvaluationBatch, EvaluationSet
from eojax.evaluation.pixels.classes import (
    pixel_borders,
    pixel_calibration,
    pixel_classes,
    pixel_groups,
)
from eojax.evaluation.pixels.examples import choose, pixel_examples
from eojax.evaluation.pixels.scores import compared_scores, compares, pixel_scores
from eojax.methods.method import Method
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
    evaluator = pixel_classes(tiles().facts)
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


@pytest.mark.parametrize('overlap', [0.25, 0.5, 0.9])
def test_a_pixel_counts_in_the_window_whose_middle_is_nearest(overlap: float) -> None:
    side = 4
    tested = EvaluationSet(tiles(), ('images',), side, 5, overlap)
    seen = [np.zeros(size, int) for size in SIZES]
    middles: list[list[Any]] = [[set(), set()] for _ in SIZES]
    nearest = [np.full((2, *size), -1.0) for size in SIZES]
    for batch in tested.batches(np.ones(5, bool)):
        assert batch.counted is not None
        for place, row, column, part in zip(
            batch.place, batch.rows, batch.columns, batch.counted, strict=True
        ):
            rows = slice(row + part[0], row + part[1])
            columns = slice(column + part[2], column + part[3])
            seen[place][rows, columns] += 1
            nearest[place][:, rows, columns] = np.array([row, column])[:, None, None] + side / 2
            middles[place][0].add(row + side / 2)
            middles[place][1].add(column + side / 2)
    for place, size in enumerate(SIZES):
        assert (seen[place] == 1).all()
        for axis, pixels in enumerate(np.indices(size) + 0.5):
            away = np.abs(pixels[..., None] - np.array(sorted(middles[place][axis])))
            np.testing.assert_array_equal(np.abs(pixels - nearest[place][axis]), away.min(-1))


def test_windows_that_overlap_begin_where_a_coarse_pixel_does() -> None:
    tested = EvaluationSet(tiles(), ('images', 'coarse'), 4, 5, 0.25)
    corners = [(batch.rows, batch.columns) for batch in tested.batches(np.ones(5, bool))]
    starts = np.concatenate([np.concatenate(pair) for pair in corners])
    assert set((starts % 2).tolist()) == {0}
    assert starts.max() == 8


def test_borders_are_those_of_the_place_and_not_of_windows() -> None:
    found = EvaluationSet(tiles(), ('images',), 4, 5, border=1)
    evaluator = pixel_borders()
    sums, share = evaluator.start(), []
    for batch in found.batches(np.ones(5, bool)):
        assert batch.near_border is not None
        # All labels of a tile differ from their neighbours'.
        assert batch.near_border[batch.labels >= 0].all()
        sums = evaluator.update(sums, {'classes': batch.labels}, batch)
        share.append((batch.labels >= 0).sum())
    numbers = evaluator.finish(sums).numbers
    assert numbers == {'boundary_share': 1.0, 'boundary_accuracy': 1.0}
    assert sums.near == sum(share)


def test_pixels_are_as_calibrated_as_the_numbers_of_images_say() -> None:
    rng = np.random.default_rng(0)
    labels = rng.integers(-1, 4, (6, 5, 7)).astype(np.int32)
    logits = rng.normal(0, 2, (*labels.shape, 4)).astype(np.float32)
    method = Method(lambda *a: None, (), {'pixel_logits': lambda state, images, key: images})
    outputs = {
        name: np.asarray(score(None, logits, *([labels] * compares([name])), None))
        for scores in (pixel_scores(method), compared_scores(method))
        for name, score in scores.items()
    }
    evaluator = pixel_calibration(4)
    sums = evaluator.start()
    for part in np.array_split(np.arange(6), 4):
        sums = evaluator.update(
            sums, {n: v[part] for n, v in outputs.items()}, _batch(labels[part])
        )
    numbers = evaluator.finish(sums).numbers
    known = labels >= 0
    log_p, truth = log_softmax(logits[known].astype(np.float64), 1), labels[known]
    assert numbers['nll'] == pytest.approx(log_loss(truth, np.exp(log_p)), rel=1e-5)
    assert numbers['brier'] == pytest.approx(classification.brier(np.exp(log_p), truth), rel=1e-5)
    expected = expected_calibration_error(np.exp(log_p), truth)
    assert numbers['ece'] == pytest.approx(expected, rel=1e-4)


def test_cities_have_a_row_each_and_places_too(tmp_path: Path) -> None:
    groups = np.array([4, 1, 4], np.int32)
    held = tiles()
    held = held._replace(places=held.places._replace(groups=groups))
    facts = held.facts._replace(group_names=('u', 'all', 'w', 'x', 'Vannes'))
    evaluator = pixel_groups(facts, held.places)
    sums, pixels = evaluator.start(), [[], [], []]
    random = np.random.default_rng(0)
    for batch in EvaluationSet(held, ('images',), 4, 5).batches(np.ones(5, bool)):
        guessed = random.integers(0, 4, batch.labels.shape).astype(np.uint8)
        sums = evaluator.update(sums, {'classes': guessed}, batch)
        for place, guess, truth in zip(batch.place, guessed, batch.labels, strict=True):
            pixels[place].append(np.stack([guess[truth >= 0], truth[truth >= 0]]))
    joined = [np.concatenate(part, 1) for part in pixels]
    vannes = np.concatenate([joined[0], joined[2]], 1)
    measured = evaluator.finish(sums)
    accuracy = (vannes[0] == vannes[1]).mean()
    assert measured.numbers['pixel_accuracy_Vannes'] == pytest.approx(accuracy)
    assert 'mean_iou_group_all' in measured.numbers  # mean_iou_all is of all classes
    assert measured.draw is not None
    measured.draw(tmp_path)
    table = pd.read_csv(tmp_path / 'groups.csv', index_col='group')
    assert table.loc['Vannes', 'pixels'] == vannes.shape[1]
    iou = jaccard_score(vannes[1], vannes[0], average=None)
    assert table.loc['Vannes', [f'iou_{n}' for n in 'abcd']].tolist() == pytest.approx(list(iou))
    places = pd.read_csv(tmp_path / 'places.csv', index_col='place')
    assert places['group'].tolist() == ['Vannes', 'all', 'Vannes']
    assert places.loc['z', 'mean_iou'] == pytest.approx(
        jaccard_score(joined[2][1], joined[2][0], average='macro')
    )


def test_a_figure_shows_each_pixel_where_it_lies(tmp_path: Path) -> None:
    tested = EvaluationSet(tiles(), ('images',), 4, 5, overlap=0.5)
    evaluator = pixel_examples(tested, with_density=True)
    shown = evaluator.start()
    assert [part.place for part in shown] == [0, 1, 2]
    for batch in tested.batches(np.ones(5, bool)):
        rows, columns = np.indices(batch.labels.shape[1:])
        rows = rows + batch.rows[:, None, None]
        columns = columns + batch.columns[:, None, None]
        outputs = {'classes': rows % 4, 'confidence': columns / 100, 'pixel_log_density': -rows}
        shown = evaluator.update(shown, outputs, batch)
    for part, (height, width) in zip(shown, SIZES, strict=True):
        rows, columns = np.indices((height, width))
        known = part.truth >= 0
        assert known.sum() == height * width - 1
        np.testing.assert_array_equal(part.truth[known], ((rows + columns) % 4)[known])
        np.testing.assert_array_equal(part.scores['classes'], rows % 4)
        np.testing.assert_allclose(part.scores['confidence'], columns / 100, atol=1e-6)
        np.testing.assert_array_equal(part.scores['pixel_log_density'], -rows)
    draw = evaluator.finish(shown).draw
    assert draw is not None
    draw(tmp_path)
    assert (tmp_path / 'segmentation.png').stat().st_size > 0


def test_examples_come_from_as_many_cities_as_there_are() -> None:
    held = tiles()
    held = held._replace(places=held.places._replace(groups=np.array([0, 0, 1], np.int32)))
    for seed in range(5):
        chosen = choose(EvaluationSet(held, ('images',), 4, 5), 2, seed)
        assert {place for place, _ in chosen} in ({0, 2}, {1, 2})


@pytest.mark.parametrize('evaluator', [image_classes('abcd'), pixel_classes(tiles().facts)])
def test_nothing_known_is_one_line(evaluator: Any) -> None:
    outputs = {'logits': np.zeros((2, 2), np.float32), 'classes': np.zeros((2, 1, 1), np.uint8)}
    unknown = np.full((2,) if 'logits' in evaluator.needs else (2, 1, 1), -1, np.int32)
    sums = evaluator.update(evaluator.start(), outputs, _batch(unknown))
    with pytest.raises(UserError, match='has a known class'):
        evaluator.finish(sums)
