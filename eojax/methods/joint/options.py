"""The options of a joint energy-based model, and the check of those that cannot train."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ml_collections import ConfigDict

from eojax import models
from eojax.errors import UserError, unknown_name
from eojax.methods.options import check_shared
from eojax.samplers import langevin, starts

# Of batch normalisation, in E(x): `eojax.methods.jem`.
STATISTICS = ('running', 'batch')
# What to change where training diverges.
ADVICE = (
    'lower optimizer.learning_rate or sampler.step_size, or raise method.energy_l2 or'
    ' method.score_matching_weight'
)
DEFAULTS: dict[str, dict[str, Any]] = {
    'method': {
        'likelihood_batch_size': 64,
        'likelihood_weight': 1.0,
        'classification_weight': 1.0,
        'energy_l2': 0.0,
        'input_noise': 0.03,
        'augment': 'flips',
        'likelihood_augment': 'flips',
        'likelihood_statistics': 'running',
        'class_conditional': False,
        'average_decay': 0.0,
        'supervised_steps': 0,
        'score_matching_weight': 0.0,
        'score_matching_batch_size': 32,
        'score_matching_noise': (0.02, 0.6),
    },
    'sampler': {
        **langevin.DEFAULTS,
        'buffer_size': 10_000,
        'buffer_dtype': 'float32',
        'buffer_parts': 1,
        'reinitialise': 0.05,
        **starts.DEFAULTS,
    },
}


def check(config: ConfigDict) -> None:
    """Refuses combinations that cannot train.

    Raises:
      UserError: one line that names the key.
    """
    check_likelihood(config)
    check_phases(config)


def check_phases(config: ConfigDict) -> None:
    """Refuses numbers of steps that leave one of the two phases without any.

    Raises:
      UserError: one line that names the key.
    """
    method = config.method
    if method.supervised_steps < 0:
        raise UserError(
            f'method.supervised_steps must not be negative, not {method.supervised_steps}'
        )
    if method.supervised_steps >= config.steps:
        raise UserError(
            f'method.supervised_steps {method.supervised_steps} leaves nothing of'
            f' steps {config.steps} for the joint model: set it lower'
            ' (--config.method.supervised_steps), or steps higher'
        )


def check_likelihood(config: ConfigDict) -> None:
    """Refuses what no joint model can train with, whatever else its method does.

    Raises:
      UserError: one line that names the key.
    """
    method, sampler = config.method, config.sampler
    check_shared(method)
    langevin.check(sampler)
    starts.check(sampler)
    if method.likelihood_statistics not in STATISTICS:
        raise unknown_name('method.likelihood_statistics', method.likelihood_statistics, STATISTICS)
    for key in ('likelihood_weight', 'classification_weight', 'energy_l2', 'input_noise',
                'score_matching_weight'):  # fmt: skip
        if method[key] < 0:
            raise UserError(f'method.{key} must not be negative, not {method[key]}')
    check_noise_range(method.score_matching_noise)
    if method.score_matching_batch_size < 1:
        raise UserError(
            'method.score_matching_batch_size must be at least 1,'
            f' not {method.score_matching_batch_size}'
        )
    check_buffer(method.likelihood_batch_size, 'method.likelihood_batch_size', sampler)
    # Cheap: a network is built of pure functions, without parameters.
    if sampler.inner_steps > 1 and models.build(config.model, 2).stem is None:
        raise UserError(
            f'sampler.inner_steps {sampler.inner_steps} needs a network that can be cut after its'
            f' first layer, which {config.model.name} cannot: set it to 1'
        )


def check_noise_range(noise: Sequence[float]) -> None:
    """Refuses what is no range of noise levels for score matching.

    Raises:
      UserError: one line that names the key.
    """
    if len(noise) != 2 or not 0.0 < noise[0] <= noise[1]:
        raise UserError(f'method.score_matching_noise must be (low, high), not {tuple(noise)}')


def check_buffer(num: int, title: str, sampler: ConfigDict) -> None:
    """Refuses a replay buffer that cannot serve so many chains a step.

    Args:
      num: of chains.
      title: what the config calls that number.

    Raises:
      UserError: one line that names the key.
    """
    parts, size = sampler.buffer_parts, sampler.buffer_size
    if num < 1 or parts < 1 or num % parts or size % parts:
        raise UserError(
            f'sampler.buffer_parts {parts} must divide {title} {num} and sampler.buffer_size {size}'
        )
    if size < num:
        raise UserError(f'sampler.buffer_size {size} is less than a batch of chains ({num})')
    if not 0.0 <= sampler.reinitialise <= 1.0:
        raise UserError(f'sampler.reinitialise must lie in [0, 1], not {sampler.reinitialise}')
    if sampler.buffer_dtype not in ('float32', 'bfloat16'):
        raise unknown_name('sampler.buffer_dtype', sampler.buffer_dtype, ('float32', 'bfloat16'))
