"""Draws from the replay buffer: rates, slots and parts, with images that tell who they are."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import Array, random

from eojax.samplers import replay_buffer
from eojax.samplers.replay_buffer import Draw, ReplayBuffer

ANEW = -1.0


def numbered_buffer(parts: int, size: int, num_classes: int = 3) -> ReplayBuffer:
    """Each image is filled with its number; labels follow the number."""
    numbers = jnp.arange(parts * size)
    images = jnp.broadcast_to(numbers[:, None, None, None], (parts * size, 2, 2, 1))
    return ReplayBuffer.of(
        images.astype(jnp.float32).reshape(parts, size, 2, 2, 1),
        (numbers % num_classes).astype(jnp.int32).reshape(parts, size),
    )


def starts_anew(key: Array, labels: Array) -> Array:
    return jnp.full((labels.shape[0], 2, 2, 1), ANEW)


def draw_many(buffer: ReplayBuffer, num: int, rate: float, times: int) -> Draw:
    keys = random.split(random.key(0), times)
    return jax.jit(jax.vmap(lambda k: replay_buffer.draw(buffer, k, num, rate, starts_anew)))(keys)


@pytest.mark.parametrize('rate', [0.05, 0.5])
def test_draws_reinitialise_at_the_configured_rate(rate: float):
    drawn = draw_many(numbered_buffer(2, 50), 32, rate, 500)
    anew = np.asarray(drawn.images[..., 0, 0, 0] == ANEW)
    deviation = np.sqrt(rate * (1.0 - rate) / anew.size)
    assert abs(anew.mean() - rate) < 4.5 * deviation
    # Each chain decides for itself: the count in a draw is binomial, neither all nor none.
    assert anew.sum(1).var() == pytest.approx(32 * rate * (1.0 - rate), rel=0.25)


@pytest.mark.parametrize(('rate', 'expected'), [(0.0, False), (1.0, True)])
def test_extreme_rates(rate: float, expected: bool):
    drawn = draw_many(numbered_buffer(1, 20), 8, rate, 20)
    assert ((np.asarray(drawn.images) == ANEW) == expected).all()


@pytest.mark.parametrize(('parts', 'size', 'num'), [(1, 1, 1), (3, 7, 21), (2, 24, 20), (4, 2, 8),
                                                    (1, 30, 30), (2, 13, 10)])  # fmt: skip
def test_slots_are_distinct_within_a_part(parts: int, size: int, num: int):
    slots = np.asarray(draw_many(numbered_buffer(parts, size), num, 0.0, 50).slots)
    assert slots.shape == (50, parts, num // parts)
    assert slots.min() >= 0
    assert slots.max() < size
    ordered = np.sort(slots, -1)
    assert (np.diff(ordered, axis=-1) > 0).all()


@pytest.mark.parametrize('size', [24, 25, 31])
def test_every_slot_is_equally_likely(size: int):
    times, each = 4000, 10
    slots = np.asarray(draw_many(numbered_buffer(2, size), 2 * each, 0.0, times).slots)
    share = each / size
    deviation = np.sqrt(times * share * (1.0 - share))
    for part in range(2):
        counts = np.bincount(slots[:, part].ravel(), minlength=size)
        assert np.abs(counts - times * share).max() < 4.5 * deviation
    assert (slots[:, 0] != slots[:, 1]).any()  # the parts draw on their own


def test_labels_go_with_images_and_parts_never_mix():
    parts, size, each = 3, 20, 6
    drawn = draw_many(numbered_buffer(parts, size), parts * each, 0.0, 40)
    numbers = np.asarray(drawn.images[..., 0, 0, 0]).astype(int)
    np.testing.assert_array_equal(drawn.labels, numbers % 3)
    by_part = numbers.reshape(40, parts, each)
    np.testing.assert_array_equal(by_part, np.arange(parts)[:, None] * size + drawn.slots)


def test_fresh_starts_are_of_the_slots_class():
    def starts(key: Array, labels: Array) -> Array:
        return jnp.broadcast_to(100.0 + labels[:, None, None, None], (len(labels), 2, 2, 1))

    drawn = replay_buffer.draw(numbered_buffer(2, 20), random.key(1), 16, 1.0, starts)
    np.testing.assert_array_equal(drawn.images[:, 0, 0, 0], 100.0 + drawn.labels)


def test_ends_go_back_where_they_came_from_and_nowhere_else():
    buffer = numbered_buffer(3, 10)
    drawn = replay_buffer.draw(buffer, random.key(2), 12, 0.5, starts_anew)
    ends = 1000.0 + jnp.broadcast_to(jnp.arange(12.0)[:, None, None, None], (12, 2, 2, 1))
    after = replay_buffer.store(buffer, drawn, ends)
    expected = np.array(buffer.images)
    for chain in range(12):
        part = chain // 4
        expected[part, drawn.slots[part, chain % 4]] = 1000.0 + chain
    np.testing.assert_array_equal(after.images, expected)
    np.testing.assert_array_equal(after.labels, buffer.labels)


def test_chains_persist_over_steps():
    # One is added to each stored image at each step; what was added is what is in the buffer.
    buffer = ReplayBuffer.of(jnp.zeros((2, 9, 2, 2, 1)), jnp.zeros((2, 9), jnp.int32))
    visits = np.zeros((2, 9))
    for step in range(12):
        drawn = replay_buffer.draw(buffer, random.key(step), 6, 0.0, starts_anew)
        buffer = replay_buffer.store(buffer, drawn, drawn.images + 1.0)
        np.add.at(visits, (np.arange(2)[:, None], np.asarray(drawn.slots)), 1)
    np.testing.assert_array_equal(buffer.images[..., 0, 0, 0], visits)


def test_bfloat16_storage_and_float32_chains():
    def starts(key: Array, labels: Array) -> Array:
        return random.uniform(key, (labels.shape[0], 2, 2, 1), minval=-1.0, maxval=1.0)

    buffer = replay_buffer.fill(random.key(3), starts, 12, 3, parts=2, dtype=jnp.bfloat16)
    assert buffer.images.dtype == jnp.bfloat16
    drawn = replay_buffer.draw(buffer, random.key(4), 8, 0.5, starts)
    assert drawn.images.dtype == jnp.float32
    ends = jnp.full((8, 2, 2, 1), 1.0 / 3.0)
    after = replay_buffer.store(buffer, drawn, ends)
    assert after.images.dtype == jnp.bfloat16
    stored = np.asarray(after.images[np.arange(2)[:, None], drawn.slots], np.float32)
    np.testing.assert_array_equal(stored, np.float32(jnp.bfloat16(1.0 / 3.0)))


def test_fill_spreads_the_classes_evenly_over_every_part():
    def starts(key: Array, labels: Array) -> Array:
        return jnp.broadcast_to(labels[:, None, None, None].astype(jnp.float32), (40, 2, 3, 1))

    buffer = replay_buffer.fill(random.key(5), starts, 40, 4, parts=2)
    assert buffer.images.shape == (2, 20, 2, 3, 1)
    for part in range(2):
        np.testing.assert_array_equal(np.bincount(buffer.labels[part]), [5] * 4)
    np.testing.assert_array_equal(buffer.images[..., 0, 0, 0], buffer.labels)


def test_more_chains_than_there_are_images_are_refused() -> None:
    buffer, key = numbered_buffer(2, 5), random.key(0)
    for num in (0, 3, 12):
        with pytest.raises(ValueError, match=f'{num} chains cannot be drawn from 2 parts of 5'):
            replay_buffer.draw(buffer, key, num, 0.1, starts_anew)
    with pytest.raises(ValueError, match='7 images cannot be kept in 2 equal parts'):
        replay_buffer.fill(key, starts_anew, 7, 3, parts=2)
    with pytest.raises(ValueError, match='6 images cannot be kept in 0 equal parts'):
        replay_buffer.fill(key, starts_anew, 6, 3, parts=0)


def test_points_that_are_no_images_are_kept_as_well() -> None:
    def starts(key: Array, labels: Array) -> Array:
        return random.uniform(key, (len(labels), 4))

    buffer = replay_buffer.fill(random.key(0), starts, 6, 1)
    drawn = replay_buffer.draw(buffer, random.key(1), 6, 0.0, starts)
    stored = replay_buffer.store(buffer, drawn, drawn.images + 1.0)
    np.testing.assert_allclose(stored.images, buffer.images + 1.0)


def test_large_images_are_several_rows_and_all_else_is_the_same():
    shape = (8, 16, 200)  # 25,600 values

    def starts(key: Array, labels: Array) -> Array:
        return random.uniform(key, (len(labels), *shape))

    buffer = replay_buffer.fill(random.key(0), starts, 12, 3, parts=2)
    assert buffer.rows.shape == (2, 12, 4 * 16 * 200)
    assert buffer.images.shape == (2, 6, *shape)
    np.testing.assert_array_equal(ReplayBuffer.of(buffer.images, buffer.labels).rows, buffer.rows)
    parts, slots = jnp.array([[0, 1, 1]]), jnp.array([[5, 0, 3]])
    np.testing.assert_array_equal(buffer.images_at(parts, slots), buffer.images[parts, slots])
    drawn = replay_buffer.draw(buffer, random.key(1), 6, 0.0, starts)
    own = jnp.arange(2)[:, None]
    np.testing.assert_array_equal(drawn.images, buffer.images[own, drawn.slots].reshape(-1, *shape))
    after = replay_buffer.store(buffer, drawn, drawn.images + 1.0)
    expected = buffer.images.at[own, drawn.slots].add(1.0)
    np.testing.assert_array_equal(after.images, expected)
