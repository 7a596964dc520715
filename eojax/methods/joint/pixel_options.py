"""The options of a joint energy-based model of pixels, and the check of those that cannot train."""

from __future__ import annotations

from ml_collections import ConfigDict

from eojax import models
from eojax.errors import UserError
from eojax.methods.joint import options as joint
from eojax.methods.joint.options import check_buffer, check_phases
from eojax.methods.joint.pixel_energy import DENSITIES, SCALES
from eojax.methods.options import UNLABELLED_RATIO
from eojax.methods.pixels import supervised_loss, windows
from eojax.option import NOT_NEGATIVE, Option, Range, at_least, name_in, one_of
from eojax.samplers import langevin, starts

_ODD = Range(
    'odd, 1 or more',
    'must be an odd number of pixels',
    lambda side: side >= 1 and side % 2 == 1,
)
OPTIONS: dict[str, dict[str, Option]] = {
    'method': {
        **windows.OPTIONS,
        **supervised_loss.OPTIONS,
        'chain_window': Option(
            0, 'side of the windows of chains; 0: as of training', NOT_NEGATIVE, 'pixels'
        ),
        'unlabelled_ratio': UNLABELLED_RATIO,
        'likelihood_augment': joint.LIKELIHOOD_AUGMENT.but('dihedral'),
        'likelihood_weight': joint.LIKELIHOOD_WEIGHT,
        'classification_weight': joint.CLASSIFICATION_WEIGHT,
        'energy_scale': Option(
            'sum', "a window's energy: of Eq. 4.19, or the mean over its pixels", name_in(SCALES)
        ),
        'energy_l2': joint.ENERGY_L2,
        'density': Option(
            'logits',
            'where the density of a pixel is read: the logits, a head beside them, or a local'
            ' network of its own',
            name_in(DENSITIES),
        ),
        'density_width': Option(32, 'features of the local network', at_least(1), 'features'),
        'density_depth': Option(4, 'convolutions of the local network', at_least(1)),
        'density_average': Option(
            1, 'side of the mean that smooths maps of log p(x); 1: none', _ODD, 'pixels'
        ),
        'input_noise': joint.INPUT_NOISE.but(0.0),
        'supervised_steps': joint.SUPERVISED_STEPS,
        'score_matching_weight': joint.SCORE_MATCHING_WEIGHT,
        'score_matching_noise': joint.SCORE_MATCHING_NOISE,
    },
    'sampler': {
        **langevin.OPTIONS,
        **joint.BUFFER,
        'buffer_size': joint.BUFFER['buffer_size'].but(2_000),
        'start': starts.OPTIONS['start'],
        'start_textures': Option(
            8, 'textures that are fitted, each to some windows, for start gaussian', at_least(1)
        ),
        'start_uniform_share': starts.OPTIONS['start_uniform_share'],
        'start_noise': Option(
            'pixels',
            'noise that chains begin at: of single pixels, or of every scale up to one colour',
            one_of('pixels', 'scales'),
        ),
    },
}


def check(config: ConfigDict) -> None:
    """Refuses combinations that cannot train.

    Raises:
      UserError: one line that names the key.
    """
    method, sampler = config.method, config.sampler
    supervised_loss.check(method)
    check_phases(config)
    if method.chain_window > method.window:
        raise UserError(
            f'method.chain_window must lie between 0 and method.window {method.window}, not'
            f' {method.chain_window}; 0 stands for windows as large as those of training'
        )
    num = method.unlabelled_ratio * config.batch_size
    check_buffer(num, 'method.unlabelled_ratio times batch_size', sampler)
    if sampler.inner_steps > 1:
        raise UserError(
            f'sampler.inner_steps {sampler.inner_steps} needs a network that can be cut after its'
            ' first layer, which no network of pixels can: set it to 1'
        )
    # Cheap: a network is built of pure functions, without parameters.
    if method.density != 'local' and not models.build(config.model, 2).per_image:
        raise UserError(
            'method seg_jem needs an energy for each window by itself, and batch normalisation'
            f' mixes those of a batch: set model.normalization of model.name={config.model.name} to'
            " 'none' or 'group', or method.density to 'local', which does without that network"
        )
