"""What is timed: the configs that training uses, at which sizes, on which kind of device.

Every entry is a config of `configs/`, on drawn landscapes of its own image size in place of its
data set, so that a suite runs anywhere and downloads nothing. The `gpu` suite has the published
sizes in bfloat16; the `cpu` suite has the same methods, small enough for two cores and a few
minutes.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
from ml_collections import ConfigDict

from eojax.command_line import load_config
from eojax.config import base_config, flatten, set_key
from eojax.errors import UserError, unknown_name

CONFIGS = Path(__file__).parent.parent / 'configs'
# Entry to config. One whose file is not there is not in the suites.
_METHODS = {
    'jem': 'jem_eurosat.py',
    'supervised': 'supervised_eurosat.py',
    'jempp': 'jempp_eurosat.py',
    'sada': 'sada_jem_eurosat.py',
}
_GPU = {'model.dtype': 'bfloat16'}
_CPU = {
    'model.depth': 16,
    'model.width': 2,
    'model.dtype': 'float32',
    'batch_size': 16,
    'method.likelihood_batch_size': 16,
    'sampler.buffer_size': 1_000,
}
_TINY = {
    'model.depth': 10,
    'model.width': 1,
    'data.size': 16,
    'data.num_images': 400,
    'batch_size': 8,
    'method.likelihood_batch_size': 8,
    'sampler.steps': 2,
    'sampler.buffer_size': 40,
}


class Entry(NamedTuple):
    """One training step to time.

    Attributes:
      name: in the table and in a record.
      config: what training would be given.
    """

    name: str
    config: ConfigDict


class Suite(NamedTuple):
    """Entries, and how long to time them.

    Attributes:
      entries: makes the configs, by name.
      cpu: whether it is for the CPU; None for every device.
      seconds: what a workload lasts at least in a round.
      ceiling: size of the matrices and megabytes of the copy; 0 takes what is usual.
    """

    entries: Mapping[str, Callable[[], ConfigDict]]
    cpu: bool | None
    seconds: float
    ceiling: tuple[int, int] = (0, 0)


def suites() -> dict[str, Suite]:
    """All suites by name; `tiny` is for the tests, and too small to say anything."""
    there = {name: file for name, file in _METHODS.items() if (CONFIGS / file).exists()}

    def entries(changes: Mapping[str, Any]) -> dict[str, Callable[[], ConfigDict]]:
        return {n: functools.partial(adapted, file, changes) for n, file in there.items()}

    # A quarter of the chain's length.
    cpu = {name: functools.partial(shortened, make, 4) for name, make in entries(_CPU).items()}
    return {
        'gpu': Suite(entries(_GPU), False, 1.0),
        'cpu': Suite(
            {**cpu, 'quickstart': functools.partial(adapted, 'quickstart.py', {})}, True, 1.0
        ),
        'tiny': Suite(entries(_TINY), None, 0.0, (64, 1)),
    }


def choose(name: str, only: Sequence[str] = ()) -> tuple[Suite, list[Entry]]:
    """A suite and its entries, or those in `only`.

    Args:
      name: of the suite; where empty, the one for the device that jax computes on.

    Raises:
      UserError: an unknown suite or entry, or a suite for another kind of device.
    """
    known, on_cpu = suites(), jax.default_backend() == 'cpu'
    name = name or ('cpu' if on_cpu else 'gpu')
    if name not in known:
        raise unknown_name('suite', name, known.keys() - {'tiny'})
    suite = known[name]
    for entry in only:
        if entry not in suite.entries:
            raise unknown_name(f'entry of the {name} suite', entry, suite.entries)
    if suite.cpu is not None and suite.cpu != on_cpu:
        other = 'set JAX_PLATFORMS=cpu' if suite.cpu else 'install the build of jax for yours'
        raise UserError(
            f'the {name} suite is for {"the CPU" if suite.cpu else "accelerators"} and jax computes'
            f' on {jax.devices()[0].device_kind}: {other}, or leave out --suite'
        )
    chosen = [entry for entry in suite.entries if entry in only or not only]
    return suite, [Entry(entry, suite.entries[entry]()) for entry in chosen]


def adapted(file: str, changes: Mapping[str, Any]) -> ConfigDict:
    """The config of a file, on drawn landscapes, with those changes that it has keys for."""
    original = load_config(str(CONFIGS / file))
    config = base_config(original.method.name, original.model.name, 'landscapes')
    known = dict(flatten(config))
    for key, value in flatten(original):
        # The data set's name is that of the landscapes, and some options were its own.
        if key != 'data.name' and key in known:
            set_key(config, key, value)
    # The peers have one buffer, and one device needs one.
    parts = {'sampler.buffer_parts': 1} if jax.device_count() == 1 else {}
    for key, value in {**parts, **changes}.items():
        if key in known:
            set_key(config, key, value)
    return config


def shortened(make: Callable[[], ConfigDict], factor: int) -> ConfigDict:
    """The config with chains of a `factor`-th of the length, rounded up."""
    config = make()
    if 'sampler' in config:
        config.sampler.steps = -(-config.sampler.steps // factor)
    return config


def described(config: ConfigDict) -> str:
    """A config's sizes in a few words: `WRN-28-10, 64 px, batch 64, 20 steps, bfloat16`."""
    model, size = config.model, config.data.size
    words = [f'WRN-{model.depth}-{model.width}', f'{size} px', f'batch {config.batch_size}']
    if 'sampler' in config:
        chains, inner = config.method.likelihood_batch_size, config.sampler.get('inner_steps', 1)
        if chains != config.batch_size:
            words.append(f'{chains} chains')
        steps = f'{config.sampler.steps} x {inner}' if inner > 1 else f'{config.sampler.steps}'
        words.append(f'{steps} step{"s" if config.sampler.steps * inner > 1 else ""}')
    return ', '.join([*words, model.dtype])
