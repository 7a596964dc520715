"""Peers of `eojax.methods.jem`: the joint phase of a plain JEM.

Nothing in this file imports torch.
"""

from __future__ import annotations

import math

from ml_collections import ConfigDict

from benchmarks import peers

_UNDERSTOOD = frozenset(
    {
        'method.likelihood_batch_size',
        'method.likelihood_weight',
        'method.classification_weight',
        'method.energy_l2',
        'method.input_noise',
        'method.augment',
        'method.likelihood_augment',
        # Of score matching, which must have no weight: then they mean nothing.
        'method.score_matching_batch_size',
        'method.score_matching_kind',
        'method.score_matching_noise',
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


def check(config: ConfigDict) -> None:
    """Refuses what the peers do not compute.

    Raises:
      UserError: one line that names the key.
    """
    peers.check(config, 'jem', 'wide_resnet', _UNDERSTOOD, ('augment', 'likelihood_augment'))


def langevin_coefficients(options: ConfigDict, index: int) -> tuple[float, float]:
    """Factor of the gradient of log p(x), and the noise's deviation, at update `index` of a chain.

    As `eojax.samplers.langevin`: Eq. 8 where `coupled`, else the two apart.
    """
    size = options.step_size * (1.0 - index / options.steps) ** options.decay
    return (size / 2.0, math.sqrt(size)) if options.coupled else (size, options.noise)


def learning_rates(config: ConfigDict) -> list[float]:
    """The learning rate of each step of the joint phase."""
    return peers.learning_rates(config.optimizer, config.steps, config.method.supervised_steps)
