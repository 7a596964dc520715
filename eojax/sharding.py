"""The device mesh, and where state, replay buffer and batches live on it.

State is replicated; batches, and those fields of the state that a method names, are split over the
mesh's one axis, `data`, along their first axis. All computation is `jax.jit` over a global view.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

AXIS = 'data'


def data_mesh(devices: Sequence[jax.Device] | None = None) -> Mesh:
    """A mesh of all devices of all processes, on the axis `data`."""
    return Mesh(np.asarray(devices or jax.devices()), (AXIS,))


def replicated(mesh: Mesh) -> NamedSharding:
    """The same on every device."""
    return NamedSharding(mesh, PartitionSpec())


def split(mesh: Mesh) -> NamedSharding:
    """The first axis over the devices."""
    return NamedSharding(mesh, PartitionSpec(AXIS))


def state_shardings(mesh: Mesh, state: Any, split_fields: Sequence[str]) -> Any:
    """A sharding for each leaf of the state.

    Args:
      state: a NamedTuple, of arrays or of their shapes.
      split_fields: the fields to split. A leaf whose first axis the devices do not divide stays
        replicated.
    """

    def place(leaf: Any, wanted: bool) -> NamedSharding:
        divides = wanted and leaf.ndim > 0 and leaf.shape[0] % mesh.size == 0
        return split(mesh) if divides else replicated(mesh)

    return type(state)(
        **{
            name: jax.tree.map(lambda leaf, w=name in split_fields: place(leaf, w), value)
            for name, value in state._asdict().items()
        }
    )


def place(tree: Any, shardings: Any) -> Any:
    """Puts host values, the same in every process, where their shardings say."""

    def put(value: Any, sharding: NamedSharding) -> jax.Array:
        value = np.array(value)  # a copy: a placed array may be donated
        return jax.make_array_from_callback(value.shape, sharding, lambda index: value[index])

    if isinstance(shardings, NamedSharding):
        return jax.tree.map(lambda value: put(value, shardings), tree)
    return jax.tree.map(put, tree, shardings)


def local(tree: Any) -> Any:
    """Replicated arrays, keys among them, as arrays on this process's first device."""

    def one(leaf: jax.Array) -> jax.Array:
        if jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key):
            words = jax.random.key_data(leaf).addressable_data(0)
            return jax.random.wrap_key_data(words, impl=jax.random.key_impl(leaf))
        return leaf.addressable_data(0)

    return jax.tree.map(one, tree)


def place_key(key: jax.Array, mesh: Mesh) -> jax.Array:
    """A random key on every device."""
    data = place(jax.random.key_data(key), replicated(mesh))
    return jax.random.wrap_key_data(data, impl=jax.random.key_impl(key))


def is_main_process() -> bool:
    """Whether this process writes logs and figures."""
    return jax.process_index() == 0
