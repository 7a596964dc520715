"""The options of a joint energy-based model of pixels, and the check of those that cannot train."""

from __future__ import annotations

from typing import Any

from ml_collections import ConfigDict

from eojax import models
from eojax.errors import UserError, unknown_name
from eojax.methods.joint.options import check_buffer, check_noise_range, check_phases
from eojax.methods.joint.pixel_energy import DENSITIES, SCALES
from eojax.methods.pixels import supervised_loss, windows
from eojax.samplers import langevin, starts

# Noise that chains begin at: of single pixels, or of every scale up to one colour.
NOISES = ('pixels', 'scales')
DEFAULTS: dict[str, dict[str, Any]] = {
    'method': {
        **windows.DEFAULTS,
        **supervised_loss.DEFAULTS,
        'chain_window': 0,
        'unlabelled_ratio': 1,
        'likelihood_augment': 'dihedral',
        'likelihood_weight': 1.0,
        'classification_weight': 1.0,
        'energy_scale': 'sum',
        'energy_l2': 0.0,
        'density': 'logits',
        'density_width': 32,
        'density_depth': 4,
        'density_average': 1,
        'input_noise': 0.0,
        'supervised_steps': 0,
        'score_matching_weight': 0.0,
        'score_matching_noise': (0.02, 0.6),
    },
    'sampler': {
        **langevin.DEFAULTS,
        'buffer_size': 2_000,
        'buffer_dtype': 'float32',
        'buffer_parts': 1,
        'reinitialise': 0.05,
        'start': 'uniform',
        'start_textures': 8,
        'start_uniform_share': 0.0,
        'start_noise': 'pixels',
    },
}


def check(config: ConfigDict) -> None:
    """Refuses combinations that cannot train.

    Raises:
      UserError: one line that names the key.
    """
    method, sampler = config.method, config.sampler
    windows.check(method)
    supervised_loss.check(method)
    langevin.check(sampler)
    starts.check(sampler)
    check_phases(config)
    check_noise_range(method.score_matching_noise)
    for group, key, known in (
        ('method', 'energy_scale', SCALES),
        ('method', 'density', DENSITIES),
        ('sampler', 'start_noise', NOISES),
    ):
        if config[group][key] not in known:
            raise unknown_name(f'{group}.{key}', config[group][key], known)
    for key in ('likelihood_weight', 'classification_weight', 'energy_l2', 'input_noise',
                'score_matching_weight'):  # fmt: skip
        if method[key] < 0:
            raise UserError(f'method.{key} must not be negative, not {method[key]}')
    for group, key in (('method', 'unlabelled_ratio'), ('method', 'density_width'),
                       ('method', 'density_depth'), ('sampler', 'start_textures')):  # fmt: skip
        if config[group][key] < 1:
            raise UserError(f'{group}.{key} must be at least 1, not {config[group][key]}')
    if method.density_average < 1 or method.density_average % 2 == 0:
        raise UserError(
            f'method.density_average must be an odd number of pixels, not {method.density_average}'
        )
    if not 0 <= method.chain_window <= method.window:
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
