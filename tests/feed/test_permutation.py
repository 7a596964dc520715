"""The order of draws: a permutation each epoch, whatever the batches, and without structure."""

from __future__ import annotations

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import Array, random

from eojax.devices import target
from eojax.feed.permutation import draw_indices

KEY = random.key(3)


@functools.cache
def drawer(num: int, size: int) -> Callable[[Array, Array], Array]:
    return jax.jit(lambda key, start: draw_indices(key, start, num, size))


def draws(start: int, num: int, size: int, key: Array = KEY) -> np.ndarray:
    return np.asarray(drawer(num, size)(key, jnp.int32(start)))


@pytest.mark.parametrize('first', range(1, 71, 14))
def test_every_epoch_of_a_small_set_is_a_permutation(first: int):
    sizes = range(first, first + 14)
    # One program for fourteen sizes; three epochs of each.
    everything = jax.jit(lambda key: [draw_indices(key, jnp.int32(0), 3 * n, n) for n in sizes])
    for size, indices in zip(sizes, everything(KEY), strict=True):
        assert indices.dtype == jnp.int32
        epochs = np.sort(np.asarray(indices).reshape(3, size))
        np.testing.assert_array_equal(epochs, np.tile(np.arange(size), (3, 1)))


@pytest.mark.parametrize('size', [1000, 4096, 15501])
def test_every_epoch_of_a_large_set_is_a_permutation_of_its_own(size: int):
    first, second, late = (draws(epoch * size, size, size) for epoch in (0, 1, 70))
    for epoch in (first, second, late):
        np.testing.assert_array_equal(np.sort(epoch), np.arange(size))
    for one, other in ((first, second), (first, late), (second, late)):
        # Random permutations agree in one place on average, with variance one.
        assert (one == other).sum() < 8


def test_the_key_decides_the_order():
    first, second = draws(0, 1000, 1000), draws(0, 1000, 1000, random.key(4))
    assert (first == second).sum() < 8


@pytest.mark.parametrize('offset', [1, 37, 299, 300, 301, 950])
def test_resuming_at_an_offset_gives_the_tail(offset: int):
    whole = draws(0, 1200, 300)
    np.testing.assert_array_equal(draws(offset, 250, 300), whole[offset : offset + 250])


@pytest.mark.parametrize('num', [1, 7, 64, 100])
def test_the_order_does_not_depend_on_the_batch_size(num: int):
    size = 30
    whole = draws(0, 210, size)
    batches = [draws(step * num, num, size) for step in range(210 // num)]
    joined = np.concatenate(batches)
    np.testing.assert_array_equal(joined, whole[: len(joined)])


@pytest.mark.parametrize('size', [7, 50, 1000])
def test_every_index_is_about_equally_likely_at_every_position(size: int):
    keys, places = 3000, min(size, 20)
    indices = np.asarray(
        jax.jit(jax.vmap(lambda k: draw_indices(k, jnp.int32(0), places, size)))(
            random.split(random.key(5), keys)
        )
    )
    bins = min(size, 10)
    expected = keys * np.bincount(np.arange(size) * bins // size, minlength=bins) / size
    for place in range(places):
        counts = np.bincount(indices[:, place] * bins // size, minlength=bins)
        chi_square = (np.square(counts - expected) / expected).sum()
        assert chi_square < 40.0  # 9 degrees of freedom or fewer: mean 9, p = 1e-5


def test_positions_are_not_correlated():
    epochs = np.stack([draws(e * 1000, 1000, 1000) for e in range(20)]).astype(float)
    bound = 4.5 / np.sqrt(epochs.size)
    place = np.broadcast_to(np.arange(1000.0), epochs.shape)
    assert abs(np.corrcoef(epochs.ravel(), place.ravel())[0, 1]) < bound
    for lag in (1, 2, 16, 64):
        pairs = np.corrcoef(epochs[:, :-lag].ravel(), epochs[:, lag:].ravel())[0, 1]
        assert abs(pairs) < bound
    between = np.corrcoef(epochs[:-1].ravel(), epochs[1:].ravel())[0, 1]
    assert abs(between) < bound


def test_one_program_serves_all_steps():
    traced = []

    @jax.jit
    def batch(key: Array, step: Array) -> Array:
        traced.append(step)
        return draw_indices(key, step * 16, 16, 100)

    first = [np.asarray(batch(KEY, jnp.int32(step))) for step in range(30)]
    assert len(traced) == 1
    counts = np.bincount(np.concatenate(first), minlength=100)
    assert set(counts) == {4, 5}  # 480 draws: four epochs, and most of a fifth


@pytest.mark.parametrize('size', [1, 2, 5, 17, 64, 1000, 16_385])
def test_a_fixed_number_of_turns_gives_the_same_order(
    size: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = draw_indices(KEY, jnp.int32(3), 200, size)
    monkeypatch.setattr(target, 'platform', lambda: 'gpu')
    program = jax.jit(lambda start: draw_indices(KEY, start, 200, size)).lower(jnp.int32(3))
    np.testing.assert_array_equal(program.compile()(jnp.int32(3)), expected)
