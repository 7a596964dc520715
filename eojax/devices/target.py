"""What a program is compiled for: the kind of device, and how many of them.

That is what jax computes on, unless a program is compiled for devices that are not here (ahead of
time, by `jax.experimental.topologies`): then `compiling_for` says for which. Code that chooses
between formulations by the kind of device asks here while it is traced, never jax itself.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextvars import ContextVar

import jax
from jax.sharding import Mesh

_ELSEWHERE: ContextVar[Mesh | None] = ContextVar('compiled for', default=None)


def platform() -> str:
    """The kind of device: `cpu`, `gpu` or `tpu`."""
    mesh = _ELSEWHERE.get()
    return jax.default_backend() if mesh is None else str(mesh.devices.flat[0].platform)


def num_devices() -> int:
    """How many devices a program of this target runs on, those of other processes included."""
    mesh = _ELSEWHERE.get()
    return jax.device_count() if mesh is None else mesh.size


@contextlib.contextmanager
def compiling_for(mesh: Mesh) -> Iterator[None]:
    """What is traced inside is for the devices of this mesh, which need not be here.

    jax keeps what it has traced for arguments of a shape; what was traced for other devices is
    forgotten on the way in and on the way out.
    """
    jax.clear_caches()
    token = _ELSEWHERE.set(mesh)
    try:
        yield
    finally:
        _ELSEWHERE.reset(token)
        jax.clear_caches()
