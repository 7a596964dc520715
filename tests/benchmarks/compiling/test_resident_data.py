"""Resident data and the replay buffer on a TPU that is not here: nothing lays them out anew."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import pytest
from jax import Array, lax, random

from benchmarks.compiling import targets
from benchmarks.compiling.hlo import Program
from eojax.devices import sharding, target
from eojax.feed import rows
from eojax.feed.rows import Rows
from eojax.samplers import replay_buffer
from eojax.samplers.replay_buffer import ReplayBuffer
from tests.benchmarks.compiling.elsewhere import target_or_skip

NUM, BATCH, STEPS = 512, 8, 3
# Of the arguments that matter here; copies of a batch are smaller.
LARGE = 2**22
# Sides of which 32 is a divisor, as those of most data sets: XLA tiles their bytes by 32.
SHAPE = (128, 128, 3)


def relaid(draw: Callable[[Any, Array], Array], held: Any) -> int:
    """Bytes of copies of all that is held, in a program of some steps that draw from it."""
    chip = target_or_skip('v5e:1')
    mesh = targets.mesh_for(chip)

    def program(held: Any, key: Array) -> Array:
        def step(total: Array, number: Array) -> tuple[Array, None]:
            drawn = draw(held, random.fold_in(key, number))
            return total + drawn.astype(jnp.float32).sum(), None

        return lax.scan(step, jnp.float32(0.0), jnp.arange(STEPS))[0]

    everywhere = sharding.replicated(mesh)

    def placed(leaf: Any) -> Any:
        return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=everywhere)

    with target.compiling_for(mesh):
        key = jax.eval_shape(lambda: random.key(0))
        arguments = jax.tree.map(placed, (held, key))
        compiled = jax.jit(program).lower(*arguments).compile()
    read = Program(compiled.as_text())
    assert any(
        one.opcode == 'parameter' and one.nbytes >= LARGE
        for one in read.computations[read.entry]
    )  # fmt: skip
    return read.relaid('^held', LARGE)


def places(key: Array) -> Array:
    return random.randint(key, (BATCH,), 0, NUM)


def corners(key: Array) -> tuple[Array, Array]:
    top, left = random.randint(key, (2, BATCH), 0, SHAPE[0] // 2)
    return top, left


@pytest.mark.parametrize('dtype', ['uint8', 'float32'])
def test_whole_places_are_gathered_as_they_lie(dtype: str) -> None:
    held = rows.described(NUM, SHAPE, dtype, windows=False)
    assert relaid(lambda held, key: rows.gather(held, places(key)), held) == 0


@pytest.mark.parametrize('dtype', ['uint8', 'bool'])
def test_windows_are_cut_from_places_as_they_lie(dtype: str) -> None:
    held = rows.described(NUM, SHAPE, dtype, windows=True)

    def draw(held: Rows, key: Array) -> Array:
        return rows.cut(held, places(key), *corners(key), SHAPE[0] // 2)

    assert relaid(draw, held) == 0


@pytest.mark.parametrize('bands', [3, 13])
def test_a_replay_buffer_is_drawn_from_as_it_lies(bands: int) -> None:
    shape = (64, 64, bands)
    labels = jnp.zeros((8, NUM // 8), jnp.int32)
    held = jax.eval_shape(lambda: ReplayBuffer.of(jnp.zeros((*labels.shape, *shape)), labels))

    def starts(key: Array, labels: Array) -> Array:
        return random.uniform(key, (len(labels), *shape))

    def draw(held: ReplayBuffer, key: Array) -> Array:
        return replay_buffer.draw(held, key, BATCH, 0.05, starts).images

    assert relaid(draw, held) == 0
