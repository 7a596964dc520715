"""Peers: the JEM training step of `eojax.methods.jem` in PyTorch, for comparison alone.

`reference_style` works as the published implementation does; `best_effort` is what a good PyTorch
engineer would make of it. Both take eojax's config and parameters and compute the same network,
chain, loss and update, which tests/benchmarks/test_peers.py holds them to. They have the joint
phase of a plain JEM; a config with more than that is refused, never computed in part.

Nothing here imports torch, which the package does not need (benchmarks/requirements.txt).
"""

from __future__ import annotations

import math
from typing import Protocol

import jax
import numpy as np
from ml_collections import ConfigDict

from eojax import optimizers
from eojax.config import base_config, flatten
from eojax.errors import UserError

# Of these groups a peer understands these keys; any other must have its default.
_GROUPS = ('method', 'sampler', 'model', 'optimizer')
_UNDERSTOOD = frozenset(
    {
        'method.likelihood_batch_size',
        'method.likelihood_weight',
        'method.classification_weight',
        'method.energy_l2',
        'method.input_noise',
        'method.augment',
        'method.likelihood_augment',
        'method.supervised_steps',  # the joint phase is what a peer has; rates start behind these
        'sampler.steps',
        'sampler.step_size',
        'sampler.noise',
        'sampler.coupled',
        'sampler.decay',
        'sampler.clamp',
        'sampler.clamp_gradient',
        'sampler.buffer_size',
        'sampler.reinitialise',
        'model.depth',
        'model.width',
        'model.activation',
        'model.density_head',
        'model.dtype',  # a peer's precision is its own
        'optimizer.learning_rate',
        'optimizer.b1',
        'optimizer.b2',
        'optimizer.warmup_steps',
        'optimizer.schedule',
        'optimizer.milestones',
        'optimizer.milestone_factor',
        'optimizer.cosine_cycles',
    }
)
AUGMENTATIONS = ('none', 'flips', 'dihedral', 'flips_shift', 'dihedral_shift')


class Peer(Protocol):
    """What the benchmark asks of a peer.

    Attributes:
      name: `reference style` or `best effort`.
      notes: precision, whether compiled, threads: one line.
    """

    name: str

    @property
    def notes(self) -> str: ...

    def step(self) -> None:
        """One training step: batches drawn and augmented, chains, loss, gradient, update."""

    def sampler(self) -> None:
        """One chain of `sampler.steps` from the same starts each time, without the buffer."""

    def synchronize(self) -> None:
        """Returns when the device has done all that was asked of it."""


def check(config: ConfigDict) -> None:
    """Refuses what the peers do not compute.

    Raises:
      UserError: one line that names the key.
    """
    for key, expected in (('method.name', 'jem'), ('model.name', 'wide_resnet')):
        group, leaf = key.split('.')
        if config[group][leaf] != expected:
            raise UserError(
                f'the PyTorch peers have {key} {expected!r} alone, not {config[group][leaf]!r}'
            )
    defaults = dict(flatten(base_config('jem', 'wide_resnet', config.data.name)))
    for key, value in flatten(config):
        if key.split('.')[0] not in _GROUPS or key in _UNDERSTOOD:
            continue
        if key not in defaults or value != defaults[key]:
            raise UserError(
                f'the PyTorch peers do not have {key}={value!r};'
                f' leave it at {defaults.get(key)!r} or time without peers'
            )
    for key in ('augment', 'likelihood_augment'):
        if config.method[key] not in AUGMENTATIONS:
            raise UserError(
                f'the PyTorch peers do not have method.{key}={config.method[key]!r};'
                f' they have {", ".join(AUGMENTATIONS)}'
            )


def langevin_coefficients(options: ConfigDict, index: int) -> tuple[float, float]:
    """Factor of the gradient of log p(x), and the noise's deviation, at update `index` of a chain.

    As `eojax.samplers.langevin`: Eq. 8 where `coupled`, else the two apart.
    """
    size = options.step_size * (1.0 - index / options.steps) ** options.decay
    return (size / 2.0, math.sqrt(size)) if options.coupled else (size, options.noise)


def learning_rates(config: ConfigDict) -> list[float]:
    """The learning rate of each step of the joint phase, by eojax's own schedule."""
    schedule = optimizers.learning_rate(config.optimizer, config.steps)
    steps = np.arange(config.method.supervised_steps, config.steps)
    return np.asarray(jax.vmap(schedule)(steps), np.float64).tolist()
