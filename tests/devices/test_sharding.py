"""Placement over four devices, in a process of its own, since the number is fixed at start-up."""

from __future__ import annotations

from tests.forced_devices import run_on_devices

PROGRAM = """
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import PartitionSpec

from eojax.devices import sharding
from eojax.samplers import replay_buffer
from eojax.samplers.replay_buffer import ReplayBuffer


class State(NamedTuple):
    step: Any
    parameters: Any
    replay_buffer: Any


mesh = sharding.data_mesh()
assert mesh.size == 4 and mesh.axis_names == ('data',)
assert sharding.data_mesh(jax.devices()[:2]).size == 2
assert sharding.is_main_process()

rng = np.random.default_rng(0)
buffer = ReplayBuffer.of(rng.normal(size=(4, 6, 2, 2, 1)).astype(np.float32),
                         np.arange(24, dtype=np.int32).reshape(4, 6))
state = State(np.int32(7), {'kernel': np.ones((8, 3), np.float32)}, buffer)

# Only named fields are split, and of those only what the devices divide.
found = sharding.state_shardings(mesh, state, ['replay_buffer', 'step'])
whole, parts = sharding.replicated(mesh), sharding.split(mesh)
assert parts.spec == PartitionSpec('data')
assert found.step == whole  # a scalar
assert found.parameters == {'kernel': whole}  # 8 rows, but not named
assert jax.tree.leaves(found.replay_buffer) == [parts, parts]
odd = state._replace(replay_buffer={'rows': np.zeros((6, 4)), 'more': np.zeros(8)})
assert sharding.state_shardings(mesh, odd, ['replay_buffer']).replay_buffer == {
    'rows': whole, 'more': parts}
shapes = jax.eval_shape(lambda: jax.tree.map(jnp.asarray, state))
assert sharding.state_shardings(mesh, shapes, ['replay_buffer', 'step']) == found

# Placing keeps values and puts each part on its device.
placed = sharding.place(state, found)
for before, after in zip(jax.tree.leaves(state), jax.tree.leaves(placed)):
    np.testing.assert_array_equal(before, after)
    assert after.dtype == np.asarray(before).dtype
kernel, rows = placed.parameters['kernel'], placed.replay_buffer.rows
assert {s.data.shape for s in kernel.addressable_shards} == {(8, 3)}
assert len(kernel.addressable_shards) == 4
for number, shard in enumerate(rows.addressable_shards):
    assert shard.device == mesh.devices[number]
    np.testing.assert_array_equal(shard.data, buffer.rows[number : number + 1])

# One sharding for a whole tree: a batch over the devices.
batch = sharding.place({'images': np.arange(16.0), 'labels': np.arange(8)}, parts)
assert [s.data.tolist() for s in batch['labels'].addressable_shards] == [
    [0, 1], [2, 3], [4, 5], [6, 7]]
assert batch['images'].addressable_shards[1].data.tolist() == [4.0, 5.0, 6.0, 7.0]

# A placed array may be donated without touching the host's.
host = np.ones(8, np.float32)
on_devices = sharding.place(host, parts)
doubled = jax.jit(lambda x: 2 * x, donate_argnums=0)(on_devices)
assert host.tolist() == [1.0] * 8 and np.asarray(doubled).tolist() == [2.0] * 8

key = sharding.place_key(jax.random.key(5), mesh)
assert key.sharding.is_fully_replicated and key.dtype == jax.random.key(5).dtype
one, other = jax.random.normal(key, (3,)), jax.random.normal(jax.random.key(5), (3,))
np.testing.assert_array_equal(one, other)

# Drawing from and storing to a buffer in parts: the values of one device, placed as before.
def exchange(buffer, key):
    drawn = replay_buffer.draw(buffer, key, 8, 0.5, lambda k, y: jnp.full((8, 2, 2, 1), -1.0))
    return replay_buffer.store(buffer, drawn, 2.0 * drawn.images)

expected = jax.jit(exchange)(jax.tree.map(jnp.asarray, buffer), jax.random.key(5))
after = jax.jit(exchange, out_shardings=found.replay_buffer)(placed.replay_buffer, key)
assert after.rows.sharding == parts
np.testing.assert_array_equal(after.images, expected.images)
print('done')
"""


def test_placement_over_four_devices():
    run_on_devices(PROGRAM, 4)
