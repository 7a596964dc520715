"""Options of image synthesis, and what follows from them alone."""

from __future__ import annotations

from collections.abc import Callable

from ml_collections import ConfigDict

from eojax.augment import differentiable
from eojax.data.facts import IMAGES
from eojax.errors import UserError
from eojax.methods.adversarial.judges import JUDGES
from eojax.methods.pixels import windows
from eojax.methods.update import optimizers
from eojax.models import spectral_norm
from eojax.models.image_generator import GENERATORS
from eojax.option import (
    NOT_NEGATIVE,
    Option,
    Options,
    Range,
    at_least,
    name_in,
    one_of,
    with_defaults,
)

SPECTRAL_NORMS = {
    'all': '',
    'authors': r'^generator/(?!.*/(hidden|modulation)/)'
    r'|^discriminator/(scale\d+/layer[234]|down\d+|up\d+|head)/',
    'none': r'(?!)',
}
RASTER_VALUES = ('standardised', 'relief', 'stored')
_ODD = Range('odd, 3 or more', 'must be odd, and 3 or more', lambda n: n >= 3 and n % 2 == 1)
_ADAM = with_defaults(optimizers.OPTIONS, b1=0.0, b2=0.9)
OPTIONS: dict[str, Options] = {
    'method': {
        'generator': Option('fusion', 'what the image is made of, and how', name_in(GENERATORS)),
        'rasters': windows.OPTIONS['rasters']._replace(
            default='elevation', meaning='rasters that the image is made of; not seen by label'
        ),
        'raster_values': Option(
            'standardised',
            'what is seen of them: brought to mean 0 and deviation 1, less the mean around or not',
            one_of(*RASTER_VALUES),
        ),
        'relief_window': Option(
            33, 'side of the square whose mean is subtracted, for relief', _ODD, 'pixels'
        ),
        'target': Option(IMAGES, 'raster that is made, such as images or sar'),
        'window': windows.OPTIONS['window'],
        'evaluation_window': windows.OPTIONS['evaluation_window'],
        'augment': windows.OPTIONS['augment'].but('flips'),
        'discriminator': Option('patch', 'what the discriminator says', name_in(JUDGES)),
        'discriminator_steps': Option(1, 'updates of the discriminator in a step', at_least(1)),
        'feature_matching_weight': Option(
            10.0, 'lambda of feature matching, with the patch discriminator', NOT_NEGATIVE
        ),
        'label_mix_weight': Option(
            10.0, 'weight of LabelMix, with the segmentation discriminator; 0: none', NOT_NEGATIVE
        ),
        'spectral_norm': Option(
            'all', 'kernels with normalised spectra: all, authors, none or a regular expression'
        ),
        'diff_augment': Option(
            '', 'augmentation of what the discriminator sees', differentiable.WITHIN
        ),
        'average_decay': windows.OPTIONS['average_decay'],
    },
    'optimizer': {'b1': _ADAM['b1'], 'b2': _ADAM['b2']},
    'discriminator': {
        'width': Option(64, 'features of its first layer', at_least(1), 'features'),
        'scales': Option(2, 'scales of the patch discriminator', at_least(1)),
        'levels': Option(
            6, 'how often the segmentation discriminator halves the sides', at_least(1)
        ),
        'optimizer': with_defaults(_ADAM, learning_rate=4e-4),
    },
}


def check(config: ConfigDict) -> None:
    """Refuses combinations that cannot train.

    Raises:
      UserError: one line that names the key.
    """
    optimizers.check(config.discriminator.optimizer)
    try:
        normalised_kernels(config.method.spectral_norm, '')
    except UserError as error:
        raise UserError(f'method.spectral_norm: {error}') from error
    if config.method.target in inputs_of(config.method):
        raise UserError(
            f'method.target {config.method.target!r} is among method.rasters, which it is made of'
        )


def inputs_of(options: ConfigDict) -> tuple[str, ...]:
    """The names of the rasters that the generator sees."""
    if options.generator == 'label':
        return ()
    return tuple(name.strip() for name in options.rasters.split(','))


def around_of(options: ConfigDict) -> int:
    """The side of the squares of relief; 0 for rasters as they are."""
    side: int = options.relief_window
    return side if options.raster_values == 'relief' else 0


def normalised_kernels(text: str, network: str) -> Callable[[str], bool]:
    """Whether a kernel's spectrum is normalised, by its name in a network's parameters.

    Args:
      text: `method.spectral_norm`.
      network: `generator` or `discriminator`.

    Raises:
      UserError: it is no regular expression.
    """
    chosen = spectral_norm.named(SPECTRAL_NORMS.get(text, text))
    return lambda name: chosen(f'{network}/{name}')
