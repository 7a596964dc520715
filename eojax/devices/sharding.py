"""The device mesh, and where state, replay buffer and batches live on it.

State is replicated; batches, and those fields of the state that a method names, are split over the
mesh's one axis, `data`, along their first axis. All computation is `jax.jit` over a global view.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

AXIS = 'data'


def data_mesh(devices: Sequence[jax.Device] | None = None) -> Mesh:
    """A mesh of all devices of all processes, on the axis `data`.

    Slices of TPUs, which a slower network joins, are outermost: the devices of each are neighbours
    on the axis, so that a sum may be taken in each slice first, and then once between them.
    """
    chosen = sorted(devices or jax.devices(), key=_slice_of)
    return Mesh(np.asarray(chosen), (AXIS,))


def _slice_of(device: Any) -> int:
    """The number of its slice; 0 where there is but one. Other devices keep their order."""
    return getattr(device, 'slice_index', None) or 0


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
      split_fields: the fields to split, those of a state within the state by `outer.inner`. A leaf
        whose first axis the devices do not divide stays replicated.
    """

    def place(leaf: Any, wanted: bool) -> NamedSharding:
        divides = wanted and leaf.ndim > 0 and leaf.shape[0] % mesh.size == 0
        return split(mesh) if divides else replicated(mesh)

    def of_field(name: str, value: Any) -> Any:
        inner = [f.removeprefix(f'{name}.') for f in split_fields if f.startswith(f'{name}.')]
        if inner and hasattr(value, '_asdict'):
            return state_shardings(mesh, value, inner)
        return jax.tree.map(lambda leaf: place(leaf, name in split_fields), value)

    return type(state)(**{name: of_field(name, value) for name, value in state._asdict().items()})


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


def join(groups: Sequence[jax.Array], num_devices: int) -> jax.Array:
    """Several batches as one, of which each device holds its own share of every batch.

    Joined end to end, a device's share would lie on others, and all images would have to move.

    Args:
      groups: `[N_i, ...]`, split over the devices, which divide each N_i.

    Returns:
      `[sum N_i, ...]`; `parted` takes it, or what was computed of each element, apart again.
    """
    shares = [g.reshape((num_devices, g.shape[0] // num_devices, *g.shape[1:])) for g in groups]
    joined = jnp.concatenate(shares, 1)
    return joined.reshape((-1, *joined.shape[2:]))


def parted(joined: jax.Array, sizes: Sequence[int], num_devices: int) -> list[jax.Array]:
    """Arrays `[N_i, ...]` of the batches that `join` made one; `sizes` are the N_i."""
    shares = joined.reshape((num_devices, -1, *joined.shape[1:]))
    ends = np.cumsum([size // num_devices for size in sizes])[:-1]
    return [part.reshape((-1, *part.shape[2:])) for part in jnp.split(shares, ends, 1)]
