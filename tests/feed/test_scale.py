"""Millions of places in mapped columns: beginning to read does nothing for each of them."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
from jax import random

from eojax.data.columns import MappedColumn, open_column
from eojax.data.dataset import Dataset, Places
from eojax.data.facts import Facts
from eojax.data.splits import Splits
from eojax.feed.inputs import training_bytes
from eojax.feed.streamed import StepReader, read_steps
from eojax.feed.streams import Stream, check_streams
from tests.data.places_on_access import ConstantPlaces
from tests.data.shards.test_scale import resident_pages
from tests.feed.split_places import SplitPlaces

NUM, LABELLED = 4_000_000, 1_000_000
STREAMS = {'labelled': Stream('labelled', 8, window=4), 'whole': Stream('train', 16)}


def column(path: Path, values: np.ndarray) -> MappedColumn:
    np.save(path, values)
    return open_column(path)


@pytest.mark.skipif(not Path('/proc/self/smaps').is_file(), reason='only Linux tells')
def test_beginning_to_read_touches_no_place(tmp_path: Path) -> None:
    every = np.arange(NUM, dtype=np.int32)
    train = column(tmp_path / 'train.npy', every[1::2])
    labelled = column(tmp_path / 'labelled.npy', every[1 : 2 * LABELLED : 2])
    unlabelled = column(tmp_path / 'unlabelled.npy', every[2 * LABELLED + 1 :: 2])
    sides = column(tmp_path / 'sides.npy', np.full(NUM, 8, np.int32))
    labels = column(tmp_path / 'labels.npy', every % 7)
    names = column(tmp_path / 'names.npy', np.full(NUM, b'name'))
    facts = Facts(class_names=tuple('abcdefg'), size=(8, 8))
    places = Places(names, sides, sides, labels)
    splits = Splits(train, every[:0], every[:0], labelled, unlabelled)
    data = SplitPlaces(Dataset(facts, places, ConstantPlaces(8)), splits)
    del every

    check_streams(STREAMS, {'data': data}, 1)
    assert training_bytes(data, STREAMS.values()) == len(train) * 8 * 8 * 3
    reader = StepReader(data, STREAMS, random.key(0), 1000)
    assert resident_pages(tmp_path) < 2**20  # of 76 MB
    assert len(pickle.dumps(reader)) < 20_000  # what a worker gets

    (first, *_) = read_steps(reader, places, 998, 0)
    for name, rows in first.items():
        place = 2 * rows['index'] + 1
        np.testing.assert_array_equal(rows['images'][:, 0, 0, 0], place % 251)
        np.testing.assert_array_equal(rows['truth'], place % 7)
        np.testing.assert_array_equal(rows['labelled'], place < 2 * LABELLED)
        assert len(np.unique(place)) > len(place) // 2, name
    assert first['labelled']['labelled'].all()
    assert 0 < first['whole']['labelled'].sum() < 16
