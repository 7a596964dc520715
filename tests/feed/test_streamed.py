"""Streamed batches: those of resident input, from any step on, by threads and by processes."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import random

from eojax.errors import UserError
from eojax.feed.pipeline import Resident, gather
from eojax.feed.streamed import StepBatches, read_batches, rows_of
from eojax.feed.streams import Stream
from tests.data.files_on_access import OnAccess

KEY = random.key(7)
NUM, STEPS = 300, 40
STREAMS = {'labelled': Stream('labelled', 6), 'unlabelled': Stream('train', 64, 'flips')}
LABELS = np.where(np.arange(NUM) < 10, np.arange(NUM) % 3, -1).astype(np.int32)
TRUTH = np.arange(NUM, dtype=np.int32) % 3
PARTS = {'labelled': np.arange(10, dtype=np.int32), 'train': np.arange(NUM, dtype=np.int32)}


def batches_of(images: Any = None, rows: Any = None, impl: str = 'threefry2x32') -> StepBatches:
    key = random.key(7, impl=impl)
    images = OnAccess(NUM) if images is None else images
    return StepBatches(images, LABELS, TRUTH, PARTS, STREAMS, key, STEPS, rows)


def assert_same(first: Any, second: Any) -> None:
    jax.tree.map(np.testing.assert_array_equal, first, second)


@pytest.mark.parametrize('impl', ['threefry2x32', 'rbg'])
def test_batches_are_those_of_resident_input(impl):
    resident = Resident(
        jnp.asarray(OnAccess(NUM)[np.arange(NUM)]),
        jnp.asarray(LABELS),
        jnp.asarray(TRUTH),
        {name: jnp.asarray(part) for name, part in PARTS.items()},
    )
    key = random.key(7, impl=impl)
    drawn = jax.jit(lambda r, s: gather(r, STREAMS, key, s))
    batches = batches_of(impl=impl)
    for step in (0, 1, 4, 5, 39):  # 64 of 300: epochs end within batches; 6 of 10 begin many
        ours = batches[step]
        assert_same(ours, jax.device_get(drawn(resident, jnp.int32(step))))
        np.testing.assert_array_equal(
            ours['unlabelled']['images'][:, 0, 0, 0], ours['unlabelled']['index'] % 251
        )


@pytest.mark.parametrize('workers', [0, 2])
def test_reading_ahead_keeps_the_order_and_begins_anywhere(workers):
    batches = batches_of()
    read = list(read_batches(batches, 33, workers))
    assert len(read) == STEPS - 33
    for step, batch in enumerate(read, 33):
        assert_same(batch, batches[step])


def test_an_image_that_cannot_be_read_is_named_by_threads_and_by_processes():
    index = int(batches_of()[2]['unlabelled']['index'][5])
    broken = batches_of(OnAccess(NUM, broken=index))
    for workers in (0, 1):
        with pytest.raises(UserError, match=f'image_{index}.tif: broken image'):
            list(read_batches(broken, 0, workers))


def test_processes_read_their_own_rows():
    whole = batches_of()[3]
    halves = [
        batches_of(rows={'labelled': np.arange(3) + 3 * i, 'unlabelled': np.arange(32) + 32 * i})[3]
        for i in range(2)
    ]
    assert_same(whole, jax.tree.map(lambda a, b: np.concatenate([a, b]), *halves))


def test_rows_of_slices():
    assert rows_of([slice(4, 6), slice(0, 2)], 8).tolist() == [0, 1, 4, 5]
    assert rows_of([slice(None)], 3).tolist() == [0, 1, 2]
