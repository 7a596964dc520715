"""Pixels without data are in no percentile of log p, no area under a curve and no figure."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from eojax.data.dataset import ArraySource, Dataset, Places
from eojax.data.facts import PIXEL_LABELS, Facts, Files, Raster, valid_of
from eojax.errors import UserError
from eojax.evaluation.evaluation_set import EvaluationSet
from eojax.evaluation.pixels import densities, examples, outlier_windows, unseen
from tests.data.rasters import write_raster

SIDE, NUM = 16, 4
FACTS = Facts(
    name='tiles',
    class_names=('land', 'water'),
    rasters={'images': Raster(('value',), missing=True)},
    label='pixel',
    size=(SIDE, SIDE),
)


def _dataset(content: int, facts: Facts = FACTS) -> Dataset:
    """Places of values from 50 to 99, and one of them is without data in its left half, which
    holds `content`; another one in all of it."""
    images = np.random.default_rng(0).integers(50, 100, (NUM, SIDE, SIDE, 1), np.uint8)
    valid = np.ones((NUM, SIDE, SIDE), bool)
    valid[0, :, : SIDE // 2] = valid[1] = False
    images[~valid] = content
    labels = np.where(valid, images[..., 0] % 2, 255).astype(np.uint8)
    sides = np.full(NUM, SIDE, np.int32)
    places = Places(tuple('abcd'), sides, sides, np.full(NUM, -1, np.int32))
    arrays = {'images': images, PIXEL_LABELS: labels, valid_of('images'): valid}
    return Dataset(facts, places, ArraySource(arrays))


def _run(window: int | None = None) -> Any:
    evaluate = SimpleNamespace(batch_size=3, outlier_images=6)
    method = SimpleNamespace(rasters=('images',), window=window)
    config = SimpleNamespace(evaluate=evaluate)
    return SimpleNamespace(method=method, config=config, images=FACTS.images, folder='run')


def _value_as_score(run: Any, names: Any, state: Any, batches: Any) -> Iterator[Any]:
    """A score of each pixel that is its value."""
    for batch in batches:
        images = batch[0] if isinstance(batch, tuple) else batch
        yield {name: images[..., 0].astype(np.float32) for name in names}


@pytest.mark.parametrize('window', [None, 8])
def test_densities_are_of_pixels_that_hold_data(
    window: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(densities, 'score_batches', _value_as_score)
    run = _run(window)
    values = densities.pixel_densities(run, None, _dataset(0), 40, 25)
    assert values.shape == (1000,)
    assert values.min() >= 50
    np.testing.assert_array_equal(
        values, densities.pixel_densities(run, None, _dataset(255), 40, 25)
    )
    # As many of each value as there are in the whole of the data.
    pixels = _dataset(0).source.arrays['images']  # type: ignore[attr-defined]
    assert values.mean() == pytest.approx(pixels[pixels >= 50].mean(), abs=2.0)
    with pytest.raises(UserError, match='holds data'):
        densities.pixel_densities(run, None, _dataset(0).subset(np.array([1])), 4, 25)
    # Without a mask the draws are those that they always were.
    whole = FACTS._replace(rasters={'images': Raster(('value',))})
    every = densities.pixel_densities(run, None, _dataset(0, whole), 40, 25)
    kept = every[every >= 50]
    np.testing.assert_array_equal(values[: len(kept)], kept)


def test_beyond_a_small_place_the_network_sees_the_lowest_values(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As in a map: 0 would be the brightest of these decibels."""
    limits = ((-25.0, 0.0), (-30.0, -5.0))
    raster = Raster(('vv_db', 'vh_db'), 'float32', limits, missing=True)
    facts = FACTS._replace(rasters={'images': raster}, size=None)
    sides = np.array([6, 8], np.int32)
    places = Places(tuple('ab'), sides, sides, np.full(2, -1, np.int32))
    arrays = {
        name: [np.full((side, side, *bands), value, dtype) for side in (6, 8)]
        for name, bands, value, dtype in (
            ('images', (2,), -10, np.float32),
            (PIXEL_LABELS, (), 0, np.uint8),
            (valid_of('images'), (), 1, bool),
        )
    }

    def read(place: int, window: Any, entries: Any) -> dict[str, np.ndarray]:
        rows, columns = (
            slice(at, at + size) for at, size in zip(window[:2], window[2:], strict=True)
        )
        return {name: arrays[name][place][rows, columns] for name in entries}

    dataset = Dataset(facts, places, SimpleNamespace(read=read))
    entries = ('images', PIXEL_LABELS, valid_of('images'))
    (batch,) = EvaluationSet(dataset, entries, 8, 5).batches(np.ones(5, bool))
    images, mask = batch.rasters['images'], batch.rasters[valid_of('images')]
    assert (images[mask] == -10).all()
    assert (images[~mask] == (-25.0, -30.0)).all()
    assert mask.sum() == 36 + 64
    assert (batch.rasters[PIXEL_LABELS] == np.where(mask, 0, 255)).all()

    def kept(run: Any, names: Any, state: Any, batches: Any) -> Iterator[Any]:
        for outputs in _value_as_score(run, names, state, batches):
            yield outputs
            (density,) = outputs.values()
            seen.update(np.unique(density).tolist())

    seen = set[float]()
    monkeypatch.setattr(densities, 'score_batches', kept)
    densities.pixel_densities(_run(8), None, dataset, 20, 5)
    assert seen == {-10.0, -25.0}


def test_what_lies_under_clouds_or_beside_them_holds_data(monkeypatch: pytest.MonkeyPatch) -> None:
    scored = []

    def kept(run: Any, names: Any, state: Any, batches: Any) -> Iterator[Any]:
        for outputs in _value_as_score(run, names, state, batches):
            scored.append(outputs['density'])
            yield outputs

    monkeypatch.setattr(unseen, 'score_batches', kept)
    totals = []
    for content in (0, 255):
        tested = EvaluationSet(_dataset(content), ('images',), None, 3)
        clear, hidden = unseen._clouds(_run(), None, tested, ('density',))
        totals.append((clear['density'].total, hidden['density'].total))
        # No cloud is painted on what shows nothing.
        images = np.concatenate(scored)
        assert (images[1] == content).all()
        assert (images[0, :, : SIDE // 2] == content).all()
        scored.clear()
    assert totals[0] == totals[1]
    # Six windows, of which the first two places have two each: the half and nothing of them count.
    assert 0 < sum(totals[0]) <= 3 * SIDE**2


@pytest.mark.parametrize('name', ['clouds', 'unseen'])
def test_a_set_of_images_takes_no_name_that_pixels_are_ranked_by(name: str) -> None:
    """Painted clouds and unseen classes would stand in its place, or it in theirs."""
    run = _run()
    run.config.evaluate.outliers = f'{name}=/'
    run.facts = FACTS._replace(files=Files())
    with pytest.raises(UserError, match=f"the name '{name}' is taken"):
        outlier_windows.outlier_windows(run, SIDE)


def test_other_images_are_judged_where_they_hold_data(tmp_path: Path) -> None:
    """A large TIFF whose upper half and left edge hold none, and a small one, resampled."""
    facts = FACTS._replace(rasters={'images': Raster()}, files=Files())
    read = []
    for nodata in (0, 255):
        folder = tmp_path / str(nodata)
        folder.mkdir()
        pixels = np.random.default_rng(0).integers(1, 200, (40, 32, 3), np.uint8)
        pixels[:20] = pixels[:, :3] = nodata
        write_raster(folder / 'large.tif', pixels, nodata=nodata)
        small = np.full((8, 8, 3), 90, np.uint8)
        small[:, 4:] = nodata
        write_raster(folder / 'small.tif', small, nodata=nodata)
        run = _run()
        run.config.evaluate.outliers = f'other={folder}'
        run.facts, run.images = facts, facts.images
        read.append(outlier_windows.outlier_windows(run, SIDE)['other'])
    images, valid = read[0]
    np.testing.assert_array_equal(valid, read[1].valid)
    assert len(images) == 3  # two of the large one, whose first two windows hold nothing
    assert [int(one.sum()) for one in valid] == [12 * 13, 12 * 16, 16 * 8]
    assert (images[:2][~valid[:2]] == 0).all()
    np.testing.assert_array_equal(images[:2], read[1].images[:2])
    nothing = tmp_path / 'nothing'
    nothing.mkdir()
    write_raster(nothing / 'a.tif', np.zeros((16, 16, 3), np.uint8), nodata=0)
    run.config.evaluate.outliers = f'other={nothing}'
    with pytest.raises(UserError, match='no window of its images holds data'):
        outlier_windows.outlier_windows(run, SIDE)


@pytest.mark.parametrize(('window', 'border'), [(None, 3), (8, 0), (8, 3)])
def test_pixels_count_where_all_rasters_that_are_seen_hold_data(
    window: int | None, border: int
) -> None:
    surface = Raster(('z',), 'int16', ((0.0, 9.0),), 2, missing=True)
    facts = FACTS._replace(rasters={'images': Raster(('value',)), 'elevation': surface})
    dataset = _dataset(70, facts)
    hole = np.ones((NUM, SIDE // 2, SIDE // 2), bool)
    hole[2, 3:6, 1:5] = False
    labels = np.full((NUM, SIDE, SIDE), 1, np.uint8)
    labels[:, :, 9:] = 0
    arrays = {**dataset.source.arrays, PIXEL_LABELS: labels}  # type: ignore[attr-defined]
    arrays |= {'elevation': np.zeros((*hole.shape, 1), np.int16), valid_of('elevation'): hole}
    dataset = dataset._replace(source=ArraySource(arrays))
    known, near = {}, {}
    for rasters in (('images',), ('images', 'elevation')):
        tested = EvaluationSet(dataset, rasters, window, 3, border=border)
        maps = np.full((NUM, SIDE, SIDE), -1)
        beside = np.zeros((NUM, SIDE, SIDE), bool)
        for batch in tested.batches(np.ones(3, bool)):
            for row, place in enumerate(batch.place):
                at = (place, slice(batch.rows[row], None), slice(batch.columns[row], None))
                size = batch.labels.shape[1:]
                maps[at][: size[0], : size[1]] = batch.labels[row]
                if batch.near_border is not None:
                    beside[at][: size[0], : size[1]] = batch.near_border[row]
        known[rasters], near[rasters] = maps >= 0, beside
    assert known['images',].all()
    np.testing.assert_array_equal(known['images', 'elevation'], hole.repeat(2, 1).repeat(2, 2))
    # A border lies where it lies, whatever is seen beside it.
    np.testing.assert_array_equal(*near.values())
    assert near['images',].any() == bool(border)


def test_figures_leave_out_what_is_said_of_pixels_without_data() -> None:
    tested = EvaluationSet(_dataset(0), ('images',), None, 3)
    part = examples._empty(0, examples.Window(0, 0, SIDE, SIDE), ('classes', 'confidence'))
    shown = examples._example(tested, part)
    assert (shown.predicted[:, : SIDE // 2] == -1).all()
    assert np.isnan(shown.confidence[:, : SIDE // 2]).all()
    assert (shown.predicted[:, SIDE // 2 :] == 0).all()
    assert (shown.confidence[:, SIDE // 2 :] == 0.0).all()
