"""Batches: what is in them, when, and that the data are an argument of the program."""

from __future__ import annotations

import functools
import hashlib
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import Array, random

from eojax.data.dataset import Dataset, image_dataset
from eojax.data.facts import Facts, Raster
from eojax.data.split_record import record_of
from eojax.data.splits import Rule, Splits
from eojax.data.value_range import scale_to_unit
from eojax.errors import UserError
from eojax.feed.pipeline import draw_batch, to_uint8
from eojax.feed.resident import Resident, gather
from eojax.feed.streams import Stream, check_streams
from eojax.runs.domains import Domain
from tests.feed.split_places import SplitPlaces
from tests.places_as_rows import as_rows

KEY = random.key(0)
FACTS = {'data': Facts()}


def numbered(num: int, size: int = 4) -> Dataset:
    """Image i is filled with i; the class is i modulo 3."""
    images = np.broadcast_to(np.arange(num, dtype=np.uint8)[:, None, None, None],
                             (num, size, size, 3))  # fmt: skip
    names = tuple(f'{i:03}.png' for i in range(num))
    return image_dataset(images, (np.arange(num) % 3).astype(np.int32), names, ('a', 'b', 'c'))


def resident_of(num: int, labelled: int) -> Resident:
    parts = {'labelled': np.arange(labelled), 'unlabelled': np.arange(labelled, num),
             'train': np.arange(num)}  # fmt: skip
    return Resident(
        {'images': as_rows(jnp.asarray(numbered(num).images))},
        jnp.arange(num, dtype=jnp.int32) % 3,
        jnp.arange(num) < labelled,
        {name: jnp.asarray(part, jnp.int32) for name, part in parts.items()},
    )


@functools.cache
def drawer(streams: tuple[tuple[str, Stream], ...]) -> Any:
    return jax.jit(lambda r, k, s: draw_batch({'data': r}, dict(streams), k, s, FACTS))


def draw(resident: Resident, streams: dict[str, Stream], step: int, key: Array = KEY) -> Any:
    return jax.device_get(drawer(tuple(streams.items()))(resident, key, jnp.int32(step)))


def test_training_set_hides_the_labels_outside_the_labelled_subset():
    splits = Splits(
        train=np.array([1, 3, 4, 6, 9], np.int32),
        validation=np.array([0, 2], np.int32),
        test=np.array([5, 7, 8], np.int32),
        labelled=np.array([3, 9], np.int32),
        unlabelled=np.array([1, 4, 6], np.int32),
    )
    dataset = numbered(10)
    training = Domain(dataset, splits, ('a',), record_of(splits, dataset, Rule(0))).training
    np.testing.assert_array_equal(training.images[:, 0, 0, 0], [1, 3, 4, 6, 9])
    np.testing.assert_array_equal(training.labels, [-1, 0, -1, -1, 0])  # 3 % 3 and 9 % 3
    assert training.labels.dtype == np.int32


def test_images_labels_and_indices_belong_together():
    streams = {'labelled': Stream('labelled', 6), 'unlabelled': Stream('unlabelled', 8),
               'mixed': Stream('train', 10)}  # fmt: skip
    resident = resident_of(30, 12)
    for step in (0, 5):
        batch = draw(resident, streams, step)
        assert set(batch) == set(streams)
        for name, stream in streams.items():
            images, labels, index = (batch[name][k] for k in ('images', 'labels', 'index'))
            assert images.shape == (stream.batch_size, 4, 4, 3)
            assert images.dtype == np.float32
            values = np.broadcast_to((index / 127.5 - 1.0)[:, None, None, None], images.shape)
            np.testing.assert_allclose(images, values, atol=1e-6)
            np.testing.assert_array_equal(labels, np.where(index < 12, index % 3, -1))
            np.testing.assert_array_equal(batch[name]['truth'], index % 3)
        assert (batch['labelled']['labels'] >= 0).all()
        assert (batch['unlabelled']['labels'] == -1).all()
        assert (batch['unlabelled']['index'] >= 12).all()


def test_a_batch_is_a_function_of_key_and_step_alone():
    streams = {'labelled': Stream('labelled', 8, 'flips_shift')}
    resident = resident_of(40, 40)
    forwards = [draw(resident, streams, step) for step in range(6)]
    for step in reversed(range(6)):
        again = draw(resident, streams, step)['labelled']
        for name, value in forwards[step]['labelled'].items():
            np.testing.assert_array_equal(again[name], value)
    other = draw(resident, streams, 0, random.key(1))['labelled']
    assert (other['index'] != forwards[0]['labelled']['index']).any()


def test_streams_draw_independently_and_do_not_disturb_each_other():
    resident = resident_of(200, 200)
    two = {'first': Stream('train', 100), 'second': Stream('train', 100)}
    both, alone = draw(resident, two, 0), draw(resident, {'second': two['second']}, 0)
    # Another stream beside it changes nothing.
    np.testing.assert_array_equal(both['second']['index'], alone['second']['index'])
    same = (both['first']['index'] == both['second']['index']).sum()
    assert same < 5  # 0.5 on average
    shared = np.intersect1d(both['first']['index'], both['second']['index']).size
    assert 30 < shared < 70  # 50 on average, with a deviation of 3.5


def test_augmentation_is_new_at_every_visit():
    images = np.random.default_rng(0).integers(0, 256, (1, 8, 8, 3), np.uint8)
    parts = {'train': jnp.zeros(1, jnp.int32)}
    known = (jnp.zeros(1, jnp.int32), jnp.ones(1, bool))
    resident = Resident({'images': as_rows(jnp.asarray(images))}, *known, parts)
    streams = {'train': Stream('train', 64, 'dihedral')}
    drawn = jax.jit(
        lambda s: draw_batch({'data': resident}, streams, KEY, s, FACTS)['train']['images']
    )
    first, second = np.asarray(drawn(jnp.int32(0))), np.asarray(drawn(jnp.int32(1)))
    assert len(np.unique(first.reshape(64, -1), axis=0)) == 8
    assert (first != second).any((1, 2, 3)).mean() > 0.5


def test_a_labelled_batch_larger_than_the_set_repeats_each_image_evenly():
    streams = {'labelled': Stream('labelled', 64)}
    resident = resident_of(30, 10)
    total = np.zeros(30, int)
    for step in range(5):
        counts = np.bincount(draw(resident, streams, step)['labelled']['index'], minlength=30)
        assert counts[10:].sum() == 0
        assert set(counts[:10]) <= {5, 6, 7, 8}  # 64 of ten: six whole epochs or five, and parts
        total += counts
    assert set(total[:10]) == {32}  # 320 draws in all


def test_unit_range_and_its_inverse():
    values = np.arange(256, dtype=np.uint8).reshape(1, 16, 16, 1)
    scaled = scale_to_unit(jnp.asarray(values))
    assert scaled.dtype == jnp.float32
    assert float(scaled.min()) == -1.0
    assert float(scaled.max()) == 1.0
    np.testing.assert_allclose(np.diff(np.asarray(scaled).ravel()), 1.0 / 127.5, rtol=1e-4)
    np.testing.assert_array_equal(to_uint8(scaled), values)
    np.testing.assert_array_equal(to_uint8(jnp.asarray([-7.0, 0.999, 7.0])), [0, 255, 255])


def test_images_are_an_argument_and_no_constant_of_the_program():
    streams = {'labelled': Stream('labelled', 8, 'dihedral_shift')}
    texts = []
    for num in (20, 200):
        drawn = jax.jit(lambda r, k, s: draw_batch({'data': r}, streams, k, s, FACTS))
        lowered = drawn.lower(resident_of(num, num), KEY, jnp.int32(0))
        texts.append(lowered.compile().as_text() or '')
    assert 'u8[20,4,4,3]' in texts[0]
    assert 'u8[200,4,4,3]' in texts[1]
    assert len(texts[1]) < 1.1 * len(texts[0])  # as constants, ten times the data would show
    trace = jax.make_jaxpr(lambda r, k, s: draw_batch({'data': r}, streams, k, s, FACTS))(
        resident_of(200, 200), KEY, jnp.int32(0)
    )
    assert all(np.size(constant) < 100 for constant in trace.consts)


def test_each_data_set_has_its_own_size_bands_type_and_limits():
    target = resident_of(30, 12)
    stored = np.arange(9 * 6 * 6 * 2, dtype=np.uint16).reshape(9, 6, 6, 2) * 50
    parts = {'train': jnp.arange(9, dtype=jnp.int32)}
    numbers = jnp.arange(9, dtype=jnp.int32)
    source = Resident({'images': as_rows(jnp.asarray(stored))}, numbers, numbers >= 0, parts)
    limits = ((0.0, 20_000.0), (10_000.0, 40_000.0))
    rasters = {'images': Raster(('a', 'b'), 'uint16', limits)}
    facts = {**FACTS, 'source': Facts(rasters=rasters)}
    streams = {'target': Stream('train', 8), 'other': Stream('train', 4, data='source')}

    def draw_both(feed: Any) -> Any:
        drawn = jax.jit(lambda f: draw_batch(f, streams, KEY, jnp.int32(3), facts))
        return jax.device_get(drawn(feed))

    batch = draw_both({'data': target, 'source': source})
    index = batch['other']['index']
    assert len(set(index.tolist())) > 1
    np.testing.assert_array_equal(batch['other']['labels'], index)
    # By hand: the first band from 0 to 20,000, the second from 10,000 to 40,000.
    first, second = np.moveaxis(stored[index].astype(np.float64), -1, 0)
    expected = np.stack([first / 10_000 - 1, (second - 10_000) / 15_000 - 1], -1).clip(-1, 1)
    assert batch['other']['images'].shape == (4, 6, 6, 2)
    np.testing.assert_allclose(batch['other']['images'], expected, atol=1e-5)
    # The target's stream is what it is alone, and so it is where a set is read and not resident.
    alone = draw(target, {'target': streams['target']}, 3)
    read = gather(source, {'other': streams['other']}, KEY, jnp.int32(3), facts['source'])
    for other in (alone, draw_both({'data': target, 'source': read})):
        for name, arrays in other.items():
            for key, value in arrays.items():
                np.testing.assert_array_equal(batch[name][key], value)


def test_batches_are_those_of_earlier_versions():
    """Digests of what was drawn when a run had one data set: its runs go on unchanged."""
    num = 23
    images = (np.arange(num * 8 * 8 * 3) ** 2 % 251).astype(np.uint8).reshape(num, 8, 8, 3)
    truth = np.arange(num, dtype=np.int32) % 3
    parts = {'labelled': np.arange(5), 'unlabelled': np.arange(5, num), 'train': np.arange(num)}
    placed = {name: jnp.asarray(part, jnp.int32) for name, part in parts.items()}
    stored = {'images': as_rows(jnp.asarray(images))}
    resident = Resident(stored, jnp.asarray(truth), jnp.arange(num) < 5, placed)
    streams = {
        'labelled': Stream('labelled', 6, 'flips_shift'),
        'unlabelled': Stream('unlabelled', 8, 'dihedral'),
        'mixed': Stream('train', 30),
    }
    digest = hashlib.sha256()
    for step in (0, 7):
        batch = draw(resident, streams, step, random.key(3))
        for name in sorted(batch):
            # As levels of 8 bits, which no rounding of the arithmetic moves.
            digest.update(to_uint8(batch[name]['images']).tobytes())
            digest.update(batch[name]['index'].tobytes())
            digest.update(batch[name]['labels'].tobytes())
    assert digest.hexdigest()[:16] == '4a7cdfce592488b2'


def test_streams_that_cannot_be_drawn_are_refused():
    every, none = np.arange(10), np.arange(0)
    full = SplitPlaces(numbered(10), Splits(every, none, none, every, none))
    parts = {
        'data': full,
        'source': full._replace(splits=full.splits._replace(labelled=none)),
    }
    check_streams({'labelled': Stream('labelled', 64)}, parts, 8)
    with pytest.raises(UserError, match=r'^the images stream .*: data\.labels.*unlabelled part$'):
        check_streams({'images': Stream('unlabelled', 8)}, parts, 1)
    with pytest.raises(UserError, match=r'^the other stream .*: source\.labels.*labelled part$'):
        check_streams({'other': Stream('labelled', 8, data='source')}, parts, 1)
    with pytest.raises(UserError, match=r'^the labelled batch of 6 images .* 4 devices$'):
        check_streams({'labelled': Stream('labelled', 6)}, parts, 4)
