"""Peers: training steps of eojax in PyTorch, for comparison alone.

Each package has the peers of a method (`benchmarks.rivals`): `reference_style` works as the
published implementation does, `best_effort` is what a good PyTorch engineer would make of it. A
peer takes eojax's config, parameters and images and computes the same network, loss and update as
the last phase of the method, which tests/benchmarks/peers holds it to. A config that asks for more
than that is refused, never computed in part.

Each module has `build(config, parameters, sets, device) -> Peer`:

  config: eojax's.
  parameters: eojax's, nested mappings of numpy arrays; of two networks that are trained against
    each other, by their names, with the vectors of spectral normalisation.
  sets: the training images in memory, `data` and, for methods that learn from two, `source`.
  device: PyTorch's name of it: `cpu`, `cuda`, `cuda:1`.

It raises `UserError` where the config has what the peer does not, or there is no such device.
Nothing in this file imports torch, which the package does not need (benchmarks/requirements.txt).
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Protocol

import jax
import numpy as np
from ml_collections import ConfigDict

from eojax.config.base import base_config, flatten
from eojax.errors import UserError
from eojax.methods.update.optimizers import learning_rate

# Of these groups a peer understands some keys; any other must have its default.
_GROUPS = ('method', 'sampler', 'model', 'optimizer', 'discriminator')
AUGMENTATIONS = ('none', 'flips', 'dihedral', 'flips_shift', 'dihedral_shift')


class Peer(Protocol):
    """The interface that the benchmark needs of a peer.

    Attributes:
      name: `reference style` or `best effort`.
      notes: precision, whether compiled, threads: one line.
    """

    name: str

    @property
    def notes(self) -> str: ...

    def step(self) -> None:
        """One training step: batches drawn and augmented, loss, gradient, update."""

    def synchronize(self) -> None:
        """Returns when all that was asked for is done, and nothing is computed ahead any more."""

    def close(self) -> None:
        """Ends processes that it began."""


def check(
    config: ConfigDict,
    method: str,
    model: str,
    understood: Collection[str],
    augmentations: Collection[str] = ('augment',),
) -> None:
    """Refuses what the peers of a method do not compute.

    Args:
      method, model: names that the config must have.
      understood: dotted keys whose values a peer follows.
      augmentations: keys of the group `method` that name an augmentation.

    Raises:
      UserError: one line that names the key.
    """
    for group, expected in (('method', method), ('model', model)):
        if config[group].name != expected:
            raise UserError(
                f'these PyTorch peers have {group}.name {expected!r} alone,'
                f' not {config[group].name!r}'
            )
    names = [config[group].name for group in ('data', 'source') if group in config]
    defaults = dict(flatten(base_config(method, model, *names)))
    for key, value in flatten(config):
        if key.split('.')[0] not in _GROUPS or key in understood:
            continue
        if key not in defaults or value != defaults[key]:
            raise UserError(
                f'the PyTorch peers do not have {key}={value!r};'
                f' leave it at {defaults.get(key)!r} or time without peers'
            )
    for key in augmentations:
        if config.method[key] not in AUGMENTATIONS:
            raise UserError(
                f'the PyTorch peers do not have method.{key}={config.method[key]!r};'
                f' they have {", ".join(AUGMENTATIONS)}'
            )


def learning_rates(options: ConfigDict, steps: int, first: int = 0) -> list[float]:
    """The learning rate of each step from `first` on, by eojax's own schedule.

    Args:
      options: the config group `optimizer`.
      steps: the schedule's length.
    """
    schedule = learning_rate(options, steps)
    rates = jax.vmap(schedule)(np.arange(first, steps))
    return np.asarray(rates, np.float64).tolist()


def rate_of(rates: list[float], step: int) -> float:
    """The learning rate of a step; behind the last one, which a timing may reach, it stays."""
    return rates[min(step, len(rates) - 1)]
