"""Streamed batches: those of resident input, from any step on, by threads and by processes."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import random

from eojax.data.dataset import Places, image_dataset
from eojax.data.facts import Facts
from eojax.data.splits import Splits
from eojax.errors import UserError
from eojax.feed.resident import Resident, gather
from eojax.feed.streamed import StepReader, read_steps, rows_of
from eojax.feed.streams import Stream
from tests.data.files_on_access import OnAccess
from tests.feed.split_places import SplitPlaces
from tests.places_as_rows import as_rows

KEY = random.key(7)
NUM, STEPS = 300, 40
STREAMS = {'labelled': Stream('labelled', 6), 'unlabelled': Stream('train', 64, 'flips')}
TRUTH = np.arange(NUM, dtype=np.int32) % 3
PLACES = Places(tuple(f'{i:03}' for i in range(NUM)), *np.full((2, NUM), 4, np.int32), TRUTH)
PARTS = {'labelled': np.arange(10, dtype=np.int32), 'train': np.arange(NUM, dtype=np.int32)}


def reader_of(
    images: Any = None,
    rows: Any = None,
    impl: str = 'threefry2x32',
    rows_at_once: int = 64,
) -> StepReader:
    key = random.key(7, impl=impl)
    images = OnAccess(NUM) if images is None else images
    dataset = image_dataset(images, TRUTH, PLACES.names, ('a', 'b', 'c'))
    train, none = PARTS['train'], np.arange(0)
    splits = Splits(train, none, none, PARTS['labelled'], train[10:])
    domain = SplitPlaces(dataset, splits)
    return StepReader(domain, STREAMS, key, STEPS, rows, rows_at_once)


def read(reader: StepReader, start: int, workers: int) -> list[Any]:
    return list(read_steps(reader, PLACES, start, workers))


def assert_same(first: Any, second: Any) -> None:
    jax.tree.map(np.testing.assert_array_equal, first, second)


@pytest.mark.parametrize('impl', ['threefry2x32', 'rbg'])
def test_batches_are_those_of_resident_input(impl):
    resident = Resident(
        {'images': as_rows(jnp.asarray(OnAccess(NUM)[np.arange(NUM)]))},
        jnp.asarray(TRUTH),
        jnp.arange(NUM) < 10,
        {name: jnp.asarray(part) for name, part in PARTS.items()},
    )
    key = random.key(7, impl=impl)
    drawn = jax.jit(lambda r, s: gather(r, STREAMS, key, s, Facts()))
    reader = reader_of(impl=impl)
    for step in (0, 1, 4, 5, 39):  # 64 of 300: epochs end within batches; 6 of 10 begin many
        ours = reader.step(step)
        assert_same(ours, jax.device_get(drawn(resident, jnp.int32(step))))
        np.testing.assert_array_equal(
            ours['unlabelled']['images'][:, 0, 0, 0], ours['unlabelled']['index'] % 251
        )


@pytest.mark.parametrize('workers', [0, 2])
def test_reading_ahead_keeps_the_order_and_begins_anywhere(workers):
    whole = reader_of()
    for rows_at_once in (20,) if workers else (64, 20):
        reader = reader_of(rows_at_once=rows_at_once)
        assert reader.shares == -(-64 // rows_at_once)
        batches = read(reader, 33, workers)
        assert len(batches) == STEPS - 33
        for step, batch in enumerate(batches, 33):
            assert_same(batch, whole.step(step))


def test_an_image_that_cannot_be_read_is_named_by_threads_and_by_processes():
    index = int(reader_of().step(2)['unlabelled']['index'][5])
    broken = reader_of(OnAccess(NUM, broken=index))
    for workers in (0, 1):
        with pytest.raises(UserError, match=f'image_{index}.tif: broken image'):
            read(broken, 0, workers)


def test_processes_read_their_own_rows():
    whole = reader_of().step(3)
    halves = [
        reader_of(
            rows={'labelled': np.arange(3) + 3 * i, 'unlabelled': np.arange(32) + 32 * i}
        ).step(3)
        for i in range(2)
    ]
    assert_same(whole, jax.tree.map(lambda a, b: np.concatenate([a, b]), *halves))


def test_rows_of_slices():
    assert rows_of([slice(4, 6), slice(0, 2)], 8).tolist() == [0, 1, 4, 5]
    assert rows_of([slice(None)], 3).tolist() == [0, 1, 2]
