"""Random order without a list: where the k-th draw of an epoch falls, as a function.

A keyed Feistel network permutes the numbers below a power of four; those that land outside the
data set walk on until they fall inside (Black and Rogaway, 2002). The order of an epoch is thus a
function of key and epoch, costs a batch's worth of arithmetic on the device, and needs no state:
resuming at step s means asking for the draws of step s.
"""

from __future__ import annotations

import math
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, lax, random

from eojax.devices import target

_ROUNDS = 6
# Turns of a walk that become one kernel.
_UNROLLED = 16


def draw_indices(key: Array, start: Array, num: int, size: int) -> Array:
    """Indices of draws `start` to `start + num - 1` of an endless shuffled repetition.

    Every epoch of `size` draws holds each index once, in an order of its own.

    Args:
      key: of the whole order.
      start: int32, the number of draws before; may pass `size` many times over.
      num: how many.
      size: of the data set, at least 1 and at most 2**30.

    Returns:
      int32 `[num]`, in `[0, size)`.
    """
    positions = start + jnp.arange(num, dtype=jnp.int32)
    epochs, within = positions // size, positions % size
    # A batch touches one epoch or two, and more where the data set is smaller than the batch.
    first = start // size
    touched = first + jnp.arange((num + size - 2) // size + 1, dtype=jnp.int32)
    seeds = jax.vmap(lambda epoch: _seeds(key, epoch))(touched)
    return _walk(within.astype(jnp.uint32), seeds[epochs - first], size).astype(jnp.int32)


def epoch_seeds(key: Array, first: int, num: int) -> np.ndarray:
    """Seeds of the orders of the epochs `first` to `first + num - 1`: uint32 `[num, 6]`."""
    epochs = first + jnp.arange(num, dtype=jnp.int32)
    return np.asarray(jax.jit(jax.vmap(lambda epoch: _seeds(key, epoch)))(epochs))


def stored_indices(positions: np.ndarray, seeds: np.ndarray, size: int) -> np.ndarray:
    """The indices that `draw_indices` gives, computed on the host.

    Args:
      positions: int64 `[num]`, numbers of draws.
      seeds: `epoch_seeds` from epoch 0 on.
      size: of the data set.
    """
    rounds, half_bits = seeds[positions // size], _half_bits(size)
    values: Any = (positions % size).astype(np.uint32)
    outside = np.ones(len(values), bool)
    while outside.any():
        values = np.where(outside, _feistel(values, rounds, half_bits), values)
        outside = values >= size
    return values.astype(np.int32)


def word_seeds(key: Array, num: int) -> Array:
    """Seeds from which `random_words` makes `num` independent words of each position.

    They are uint32 `[num, 6]`, independent of the order that the same key gives.
    """
    # The last number of 32 bits, which no epoch has.
    return random.bits(random.fold_in(_threefry(key), np.uint32(0xFFFFFFFF)), (num, _ROUNDS))


def random_words(positions: Any, seeds: Any) -> Any:
    """32 bits for each position that look drawn, the same of jax and of NumPy.

    Args:
      positions: integers `[num]`, 0 to 2**31 - 1.
      seeds: one row of `word_seeds`.

    Returns:
      uint32 `[num]`. Two positions never have the same word, which nobody sees: of 2**32 words
      draws with and without replacement look alike.
    """
    return _feistel(positions.astype(np.uint32), seeds, 16)


def _seeds(key: Array, epoch: Array) -> Array:
    return random.bits(random.fold_in(_threefry(key), epoch), (_ROUNDS,))


def _threefry(key: Array) -> Array:
    # Always threefry: what other generators give under vmap depends on the batch around it.
    return random.wrap_key_data(random.key_data(key)[:2], impl='threefry2x32')


def _half_bits(size: int) -> int:
    return max(1, (max(size - 1, 1).bit_length() + 1) // 2)


def _walk(values: Array, seeds: Array, size: int) -> Array:
    half_bits = _half_bits(size)

    def outside(values: Array) -> Array:
        return (values >= size).any()

    def again(values: Array) -> Array:
        return jnp.where(values >= size, _feistel(values, seeds, half_bits), values)

    first = _feistel(values, seeds, half_bits)
    if target.platform() != 'gpu':
        return lax.while_loop(outside, again, first)
    # The host of a GPU waits at each turn of a loop whose end depends on data: a fixed number of
    # turns, many in one kernel.
    turns = _turns(size)
    walked = lax.fori_loop(0, turns, lambda _, x: again(x), first, unroll=min(_UNROLLED, turns))
    return jnp.minimum(walked, np.uint32(size - 1))


def _turns(size: int) -> int:
    """So many turns that none of 2**31 draws is still outside, but for a chance of 10**-9."""
    share = 1.0 - size / 4.0 ** _half_bits(size)
    return 1 if share <= 0.0 else max(1, math.ceil(math.log(1e-9 / 2**31) / math.log(share)))


def _feistel(values: Any, seeds: Any, half_bits: int) -> Any:
    """A permutation of the numbers of twice `half_bits` bits, of arrays of jax and of NumPy."""
    mask = np.uint32((1 << half_bits) - 1)
    left, right = values >> half_bits, values & mask
    for i in range(_ROUNDS):
        left, right = right, left ^ (_mixed(right ^ seeds[..., i]) & mask)
    return (left << half_bits) | right


def _mixed(values: Any) -> Any:
    """A mixing of 32 bits, of arrays of jax and of NumPy alike."""
    mixed = values * np.uint32(0x9E3779B1)
    mixed = (mixed ^ (mixed >> 15)) * np.uint32(0x85EBCA77)
    return mixed ^ (mixed >> 13)
