"""The type in which a network computes: `model.dtype`.

bfloat16 halves the bytes that a step moves, and accelerators multiply it at twice the rate of what
they make of float32 and more; CPUs gain nothing. So `auto`, the default, is bfloat16 on GPUs and
TPUs and float32 on CPUs. It is settled when a run begins, and the run keeps it: its numbers are
those of one arithmetic, wherever it is used later. Parameters, moments, losses, the position of a
chain and its energy are float32 always.
"""

from __future__ import annotations

from typing import Any

import jax.numpy as jnp
from ml_collections import ConfigDict

from eojax.devices import target
from eojax.option import Option, name_in

AUTO = 'auto'
DTYPES = {'float32': jnp.float32, 'bfloat16': jnp.bfloat16}
DTYPE = Option(
    AUTO,
    'type of the arithmetic; parameters are float32. auto: bfloat16 on GPUs and TPUs, float32 on'
    ' CPUs',
    name_in((AUTO, *DTYPES)),
)


def dtype_of(name: str) -> Any:
    """The type that an option names; of `auto` that of the devices which are computed on."""
    return DTYPES[_settled(name)]


def settle(config: ConfigDict, begun: ConfigDict | None = None) -> ConfigDict:
    """A config whose `model.dtype` is settled; the config itself where it is already.

    Args:
      begun: the config that a run began with, whose type stands for `auto`, so that no device is
        asked for; None of a new run.
    """
    if config.model.get('dtype') != AUTO:
        return config
    kept = None if begun is None else begun.model.get('dtype')
    settled = config.copy_and_resolve_references()
    settled.model.dtype = _settled(AUTO) if kept is None else kept
    return settled


def _settled(name: str) -> str:
    if name != AUTO:
        return name
    return 'float32' if target.platform() == 'cpu' else 'bfloat16'
