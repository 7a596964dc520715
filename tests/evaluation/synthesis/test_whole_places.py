"""Images of places that are larger than a window: blended, and as one image wherever asked for."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
from jax import Array

from eojax.data.dataset import ArraySource, Dataset
from eojax.data.facts import valid_of
from eojax.evaluation.evaluation_set import EvaluationSet
from eojax.evaluation.synthesis.blending import Blend, grid_of
from eojax.evaluation.synthesis.likeness import likeness
from eojax.evaluation.synthesis.outputs import REAL, SYNTHESISED, stream_of, synthesis_set
from eojax.evaluation.synthesis.training_images import synthesised
from eojax.evaluation.synthesis.whole_places import (
    WholePlaces,
    needs_blending,
    overlapping,
    windows_of,
)
from eojax.runs import run as runs
from eojax.runs.beginning import write_beginning
from eojax.runs.opening import open_untrained
from eojax.studies.grid.cells import load_dataset
from tests.evaluation.synthesis.stand_in import State, painted_config

SIDES = ((32, 32), (20, 27), (12, 32), (9, 7), (16, 16))


@pytest.fixture
def places() -> Dataset:
    """Five places of different sizes, of drawn tiles."""
    dataset = load_dataset(painted_config('segmentation').data, 'data').subset(np.arange(5))
    return dataset._replace(
        places=dataset.places._replace(
            heights=np.array([high for high, _ in SIDES]), widths=np.array([w for _, w in SIDES])
        ),
        facts=dataset.facts._replace(size=None),
    )


def _made(tested: EvaluationSet) -> Any:
    """In each window a ramp of its own, beginning at its border."""
    ramp = np.add.outer(np.arange(16.0), np.arange(16.0)).astype(np.float32)[..., None]
    for batch in overlapping(tested).batches(np.ones(tested.batch_size, bool)):
        yield np.stack([ramp + place for place in batch.place.tolist()]), batch


def _expected(tested: EvaluationSet, place: int) -> np.ndarray:
    high, wide = SIDES[place]
    grid = grid_of(high, wide, 16, 4)
    ramp = np.add.outer(np.arange(16.0), np.arange(16.0)).astype(np.float32)[..., None] + place
    blend, rows = Blend(grid, 1), []
    for top, end in zip(grid.tops, [*grid.tops[1:], high], strict=True):
        for left in grid.lefts:
            blend.add(left, ramp[: grid.high, : grid.wide])
        rows.append(blend.rows(end - top))
    return np.concatenate(rows)


@pytest.mark.parametrize('batch_size', [1, 3, 50])
def test_windows_of_a_place_are_cut_from_one_blended_image(
    places: Dataset, batch_size: int
) -> None:
    tested = EvaluationSet(places, ('images', 'labels'), 16, batch_size)
    assert needs_blending(tested)
    whole = WholePlaces(_made(tested), overlapping(tested))
    seen = 0
    for batch in tested.batches(np.ones(batch_size, bool)):
        images = windows_of(whole, batch, places.places, 16)
        for row, image in enumerate(images):
            place, top, left = (int(x[row]) for x in (batch.place, batch.rows, batch.columns))
            expected = _expected(tested, place)[top : top + 16, left : left + 16]
            np.testing.assert_array_equal(image[: len(expected), : expected.shape[1]], expected)
            assert not image[len(expected) :].any()
            seen += 1
    assert seen == 4 + 4 + 2 + 1 + 1


def test_places_without_several_windows_are_not_blended(places: Dataset) -> None:
    for changes in ({'window': None}, {'window': 32}, {'window': 16, 'centre': True}):
        tested = EvaluationSet(places, ('images',), changes.pop('window'), 4, **changes)
        assert not needs_blending(tested)


def test_what_one_window_shows_is_as_it_is() -> None:
    image = np.random.default_rng(0).normal(size=(16, 16, 2)).astype(np.float32)
    grid = grid_of(16, 28, 16, 4)
    blend = Blend(grid, 2)
    blend.add(0, image)
    blend.add(12, image)
    rows = blend.rows(16)
    np.testing.assert_array_equal(rows[:, :12], image[:, :12])
    np.testing.assert_array_equal(rows[:, 16:], image[:, 4:])
    assert not np.array_equal(rows[:, 12:16], image[:, 12:])


@pytest.mark.parametrize('window', [0, 16])
def test_images_show_nothing_where_the_real_ones_have_no_data(
    painted: None, tmp_path: Path, window: int
) -> None:
    """Of a generator that is right everywhere else all scores are perfect."""

    def bright(state: Any, labels: Array, seen: Any, key: Array) -> Array:
        return jnp.full((*labels.shape, 3), 0.6)

    config = painted_config(method__evaluation_window=window)
    write_beginning(runs.prepare(config, tmp_path))
    run = open_untrained(config, tmp_path)
    run = run._replace(method=run.method._replace(abilities={'synthesise': bright}))
    dataset = load_dataset(config.data, 'data').subset(np.arange(3))
    arrays, facts = dict(dataset.source.arrays), dataset.facts  # type: ignore[attr-defined]
    valid = np.ones((3, 32, 32), bool)
    valid[:, 5:12, 7:] = False
    arrays |= {'images': np.where(valid[..., None], np.uint8([204] * 3), np.uint8(0))}
    images = facts.images._replace(missing=True)
    facts = facts._replace(rasters={**facts.rasters, 'images': images})
    source = ArraySource({**arrays, valid_of('images'): valid})
    dataset = dataset._replace(facts=facts, source=source)
    tested = synthesis_set(run, dataset)
    evaluator = likeness(facts)
    sums = evaluator.start()
    for outputs, batch in stream_of(None)(run, (REAL, SYNTHESISED), State(jnp.zeros(())), tested):
        np.testing.assert_allclose(outputs[SYNTHESISED], outputs[REAL], atol=1e-6)
        sums = evaluator.update(sums, outputs, batch)
    assert evaluator.finish(sums).numbers['ssim'] == pytest.approx(1.0, abs=1e-6)


def test_evaluation_and_training_images_show_no_seams(painted: None, tmp_path: Path) -> None:
    """A generator that makes a ramp in each window; side by side they would jump by 1.6."""

    def ramp(state: Any, labels: Array, seen: Any, key: Array) -> Array:
        along = jnp.linspace(-0.8, 0.8, labels.shape[1])
        return jnp.broadcast_to(along[None, :, None, None], (*labels.shape, 3))

    config = painted_config(method__evaluation_window=16)
    write_beginning(runs.prepare(config, tmp_path))
    run = open_untrained(config, tmp_path)
    run = run._replace(method=run.method._replace(abilities={'synthesise': ramp}))
    dataset = load_dataset(config.data, 'data').subset(np.arange(3))
    state = State(jnp.zeros(()))
    image = np.zeros((32, 32))
    for outputs, batch in stream_of(None)(run, (SYNTHESISED,), state, synthesis_set(run, dataset)):
        for row in np.flatnonzero(batch.place == 1):
            down, across = int(batch.rows[row]), int(batch.columns[row])
            image[down : down + 16, across : across + 16] = outputs[SYNTHESISED][row, ..., 0]
    steps = np.abs(np.diff(image, axis=0))
    assert steps.max() < 0.6
    for number, made in synthesised(run, state, dataset):
        np.testing.assert_array_equal(made[..., 0], image, f'{number}')
