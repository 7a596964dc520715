"""The options of a config, all of them: those of the run itself, and those of its parts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from eojax.data import options as data_options
from eojax.errors import unknown_name
from eojax.methods import METHODS
from eojax.methods.update import optimizers
from eojax.metrics.out_of_distribution import DIVERGENCES
from eojax.models import MODELS, SHARED
from eojax.option import (
    BELOW_ONE,
    INSIDE,
    NOT_NEGATIVE,
    Option,
    Options,
    Range,
    at_least,
    between,
    name_in,
    one_of,
    such,
)

_EVEN_INFINITE = Range('above 0, or inf', 'must be positive', lambda value: value > 0.0)
_SEED = between(0, 2**32 - 1)
_SINKS = such(
    'wandb, mlflow, both with a comma, or empty',
    lambda value: {name.strip() for name in value.split(',')} <= {'', 'wandb', 'mlflow'},
)
# Of the run itself.
RUN: dict[str, Option] = {
    'seed': Option(0, 'seed of all that is random, the split of the data too', _SEED),
    'steps': Option(1000, 'optimisation steps in all', at_least(1), 'steps'),
    'batch_size': Option(
        64, 'labelled images of a step; methods may add others', at_least(1), 'images'
    ),
    'log_every': Option(50, 'steps from a line of the log to the next', at_least(1), 'steps'),
    'evaluate_every': Option(
        500, 'steps from an evaluation on the validation images to the next; 0: at the end alone',
        NOT_NEGATIVE, 'steps',
    ),
    'checkpoint_every': Option(500, 'steps from a checkpoint to the next', at_least(1), 'steps'),
    'keep_checkpoints': Option(3, 'how many of the newest checkpoints stay', at_least(1)),
    'steps_per_call': Option(
        0, 'steps that are compiled into one call; 0: 10 on accelerators, 1 on the CPU',
        NOT_NEGATIVE, 'steps',
    ),
    'tensorboard': Option(True, 'whether scalars and samples go to TensorBoard files too'),
    'sinks': Option(
        '', 'trackers that get the numbers too: wandb, mlflow, or both with a comma', _SINKS
    ),
    'profile': Option(False, 'whether a trace of some steps is written to profile/'),
    'random': Option(
        'threefry2x32',
        'generator of random numbers; threefry is the same everywhere, rbg faster on TPUs',
        one_of('threefry2x32', 'rbg'),
    ),
}  # fmt: skip
RECOVERY: dict[str, Option] = {
    'tries': Option(5, 'times that a run that diverges goes back to a checkpoint', NOT_NEGATIVE),
    'rate_factor': Option(0.5, 'factor of the learning rate after each time', INSIDE),
    'max_loss': Option(1e6, 'loss above which a run has diverged', _EVEN_INFINITE),
}
EVALUATE: dict[str, Option] = {
    'batch_size': Option(256, 'images that are scored at once', at_least(1), 'images'),
    'checkpoint': Option(
        'last', 'state that is evaluated: the last, or the best on validation images',
        one_of('last', 'best'),
    ),
    'inception': Option('', 'file of the Inception weights for FID and KID; empty: neither'),
    'inception_images': Option(2000, 'images, and samples, for FID and KID', at_least(2), 'images'),
    'outliers': Option('', 'sets that log p(x) is compared with: name=PATH,...'),
    'outlier_images': Option(1000, 'images of each such set', at_least(2), 'images'),
    'divergence': Option(
        'neighbours',
        'estimate of the KL divergence of log p(x) from that of training images',
        name_in(DIVERGENCES),
    ),
    'window_overlap': Option(
        0.0,
        'share of its side by which a window overlaps the next, of pixels; 0 in synthesis: 0.25',
        BELOW_ONE,
    ),
    'boundary_pixels': Option(
        3, 'distance from a border of classes within which pixels are scored apart; 0: none',
        between(0, 50), 'pixels',
    ),
    'centre': Option(
        0, 'side of the middle of each place that alone is evaluated, of pixels; 0: all of it',
        NOT_NEGATIVE, 'pixels',
    ),
    'segmenter': Option(
        '', 'run that segments real images, to judge synthesised ones: folder, file or name'
    ),
    'coverage': Option(
        0.0,
        'share of places whose set of classes must hold the true one; 0: no sets',
        BELOW_ONE,
    ),
    'set_score': Option(
        'lac', 'score of these sets: lac, the smallest ones, or aps, larger where a place is hard',
        one_of('lac', 'aps'),
    ),
    'not_known': Option(
        0.0,
        'share of the validation part that is left open, as the least to be trusted; 0: none',
        BELOW_ONE,
    ),
    'not_known_by': Option(
        'confidence', 'what says how far an answer is to be trusted',
        one_of('confidence', 'log_density', 'set_size'),
    ),
    'areas': Option(
        False, 'whether areas are corrected by the errors in the validation part, with intervals'
    ),
    'keep_reference': Option(
        True, "whether training ends with the scores of the run's images, for the apps"
    ),
}  # fmt: skip


def options_of(
    method: str = 'jem', model: str = 'wide_resnet', data: str = 'eurosat', source: str = ''
) -> dict[str, Options | Option]:
    """The options of the config of a method, a model and a data set, in the config's order.

    Args:
      source: another data set, for methods that learn from two; empty for the others.

    Raises:
      UserError: for an unknown name.
    """
    groups: dict[str, Any] = {
        'data': data_options.options_of(data),
        **({'source': data_options.options_of(source)} if source else {}),
        'model': {
            'name': Option(model, 'the network', name_in(MODELS)),
            **(SHARED if _entry('model', model, MODELS).build is not None else {}),
            **MODELS[model].options,
        },
        'optimizer': optimizers.OPTIONS,
        'recovery': RECOVERY,
        'evaluate': EVALUATE,
    }
    for group, options in _entry('method', method, METHODS).options.items():
        groups[group] = {**groups.get(group, {}), **options}
    named = Option(method, 'the learning method', name_in(METHODS))
    groups['method'] = {'name': named, **groups['method']}
    return {**RUN, **groups}


def _entry(kind: str, name: str, table: Mapping[str, Any]) -> Any:
    if name not in table:
        raise unknown_name(kind, name, table)
    return table[name]
