"""The options of a joint energy-based model, and the check of those that cannot train."""

from __future__ import annotations

from ml_collections import ConfigDict

from eojax import models
from eojax.errors import UserError
from eojax.methods.options import AUGMENT, AVERAGE_DECAY
from eojax.option import NOT_NEGATIVE, SHARE, Option, Range, at_least, one_of
from eojax.samplers import langevin, starts

# What to change where training diverges.
ADVICE = (
    'lower optimizer.learning_rate or sampler.step_size, or raise method.energy_l2 or'
    ' method.score_matching_weight'
)
_LOW_HIGH = Range(
    'low, high with 0 < low <= high',
    'must be (low, high)',
    lambda noise: len(noise) == 2 and 0.0 < noise[0] <= noise[1],
)
LIKELIHOOD_WEIGHT = Option(1.0, 'weight of log p(x), which the chains train', NOT_NEGATIVE)
CLASSIFICATION_WEIGHT = Option(1.0, 'weight of log p(y|x), the cross-entropy', NOT_NEGATIVE)
ENERGY_L2 = Option(0.0, 'weight of the L2 on the energy, which bounds it', NOT_NEGATIVE)
INPUT_NOISE = Option(
    0.03,
    'deviation of the noise on images of the likelihood',
    NOT_NEGATIVE,
    'of images in [-1, 1]',
)
LIKELIHOOD_AUGMENT = AUGMENT._replace(meaning='the weak augmentation of the images of log p(x)')
SUPERVISED_STEPS = Option(
    0, 'steps at first without chains, by cross-entropy and score matching', NOT_NEGATIVE, 'steps',
    phase='own',
)  # fmt: skip
SCORE_MATCHING_WEIGHT = Option(0.0, 'weight of score matching; 0: none', NOT_NEGATIVE)
SCORE_MATCHING_NOISE = Option(
    (0.02, 0.6),
    'lowest and highest deviation of the noise of denoising score matching',
    _LOW_HIGH,
    'of images in [-1, 1]',
)
SCORE_MATCHING_KIND = Option(
    'denoising',
    'what its gradient is fitted to: the way back from noise, or from where chains begin',
    one_of('denoising', 'flow'),
)
# Of the replay buffer, in the group `sampler`.
BUFFER: dict[str, Option] = {
    'buffer_size': Option(10_000, 'images in the replay buffer', at_least(1), 'images'),
    'buffer_dtype': Option(
        'float32', 'type in which the buffer keeps them', one_of('float32', 'bfloat16')
    ),
    'buffer_parts': Option(
        1, 'parts of the buffer, each for the chains of some devices alone', at_least(1)
    ),
    'reinitialise': Option(0.05, 'share of chains that begin anew in a step', SHARE),
}
OPTIONS: dict[str, dict[str, Option]] = {
    'method': {
        'likelihood_batch_size': Option(
            64, 'chains, and images of log p(x), in a step', at_least(1), 'images'
        ),
        'likelihood_weight': LIKELIHOOD_WEIGHT,
        'classification_weight': CLASSIFICATION_WEIGHT,
        'energy_l2': ENERGY_L2,
        'input_noise': INPUT_NOISE,
        'augment': AUGMENT,
        'likelihood_augment': LIKELIHOOD_AUGMENT,
        'likelihood_statistics': Option(
            'running', 'statistics of batch normalisation in E(x)', one_of('running', 'batch')
        ),
        'class_conditional': Option(False, 'whether each chain is of a class, p(x|y), not of p(x)'),
        'average_decay': AVERAGE_DECAY,
        'supervised_steps': SUPERVISED_STEPS,
        'score_matching_weight': SCORE_MATCHING_WEIGHT,
        'score_matching_batch_size': Option(
            32, 'images of score matching in a step', at_least(1), 'images'
        ),
        'score_matching_noise': SCORE_MATCHING_NOISE,
        'score_matching_kind': SCORE_MATCHING_KIND,
    },
    'sampler': {**langevin.OPTIONS, **BUFFER, **starts.OPTIONS},
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
    check_buffer(method.likelihood_batch_size, 'method.likelihood_batch_size', sampler)
    # Cheap: a network is built of pure functions, without parameters.
    if sampler.inner_steps > 1 and models.build(config.model, 2).stem is None:
        raise UserError(
            f'sampler.inner_steps {sampler.inner_steps} needs a network that can be cut after its'
            f' first layer, which {config.model.name} cannot: set it to 1'
        )


def check_buffer(num: int, title: str, sampler: ConfigDict) -> None:
    """Refuses a replay buffer that cannot serve so many chains a step.

    Args:
      num: of chains.
      title: what the config calls that number.

    Raises:
      UserError: one line that names the key.
    """
    parts, size = sampler.buffer_parts, sampler.buffer_size
    if num % parts or size % parts:
        raise UserError(
            f'sampler.buffer_parts {parts} must divide {title} {num} and sampler.buffer_size {size}'
        )
    if size < num:
        raise UserError(f'sampler.buffer_size {size} is less than a batch of chains ({num})')
