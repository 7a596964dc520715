"""Options of XLA beyond its defaults, each for a measured reason."""

from __future__ import annotations

import functools
import os

import jax

from eojax.devices import target

# jaxlib 0.10's CPU backend gives convolutions to a library that runs those of fewer than 128
# channels on one core; without it they run on all.
_CPU: dict[str, str | bool] = {'xla_cpu_experimental_ynn_fusion_type': ''}


def compiler_options() -> dict[str, str | bool]:
    """Options for `jax.jit` on what is compiled for; those that this jaxlib does not know are left.

    What the environment says in `XLA_FLAGS` wins.
    """
    return _on_cpu() if target.platform() == 'cpu' else {}


@functools.cache
def _on_cpu() -> dict[str, str | bool]:
    flags = os.environ.get('XLA_FLAGS', '')
    return {name: value for name, value in _CPU.items() if name not in flags and _known(name)}


def _known(name: str) -> bool:
    try:
        jax.jit(lambda: 0).lower().compile(compiler_options={name: _CPU[name]})
    except jax.errors.JaxRuntimeError:
        return False
    return True
