"""Peers of `eojax.methods.image_synthesis` with the generator `fusion` and the patch discriminator.

Nothing in this file imports torch.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import numpy as np
from ml_collections import ConfigDict

from benchmarks import peers
from benchmarks.peers.segmentation import check_tiles
from eojax.data.dataset import Dataset
from eojax.data.value_range import scale_to_unit
from eojax.errors import UserError
from eojax.methods.adversarial.options import SPECTRAL_NORMS

_UNDERSTOOD = frozenset(
    {
        'method.rasters',
        'method.window',
        'method.evaluation_window',  # no part of a step
        'method.augment',
        'method.feature_matching_weight',
        'method.spectral_norm',
        'method.average_decay',  # 0 alone, below
        'method.raster_values',  # stored alone
        'model.width',
        'model.levels',
        'model.blocks',
        'model.spade_width',
        'model.normalization_momentum',
        'model.dtype',  # a peer's precision is its own
        'discriminator.width',
        'discriminator.scales',
        'discriminator.optimizer.learning_rate',
    }
)


def check(config: ConfigDict, training: Dataset, optimizer: Collection[str]) -> None:
    """Refuses what the peers do not compute.

    Args:
      optimizer: keys of the group `optimizer` that a peer follows.

    Raises:
      UserError: one line that names the key.
    """
    followed = {*optimizer, *(f'discriminator.{key}' for key in optimizer)}
    peers.check(config, 'image_synthesis', 'image_generator', _UNDERSTOOD | followed)
    for key, only in (('average_decay', 0.0), ('raster_values', 'stored')):
        if config.method[key] != only:
            raise UserError(f'the PyTorch peers of image synthesis have method.{key}={only} alone')
    if config.method.spectral_norm not in SPECTRAL_NORMS:
        raise UserError(
            'the PyTorch peers do not have'
            f' method.spectral_norm={config.method.spectral_norm!r}; they have'
            f' {", ".join(SPECTRAL_NORMS)}'
        )
    missing = [name for name in _shown(config) if training.facts.rasters[name].missing]
    if missing:
        raise UserError(f'the PyTorch peers need data everywhere; {missing[0]} may lack some')
    check_tiles(training, config.method.window)


def values_of(config: ConfigDict, training: Dataset) -> np.ndarray:
    """The image and the generator's rasters side by side, in [-1, 1], float32 `[N, H, W, bands]`.

    The three bands of the image come first.
    """
    names = _shown(config)
    parts: list[Any] = []
    for number in range(training.places.num):
        place = training.source.read(number, None, names)
        bands = [
            np.asarray(scale_to_unit(place[name], training.facts.rasters[name].limits))
            for name in names
        ]
        parts.append(np.concatenate(bands, -1))
    return np.stack(parts).astype(np.float32)


def _shown(config: ConfigDict) -> tuple[str, ...]:
    """The target and the rasters that the generator sees."""
    rasters = config.method.rasters.split(',')
    return (config.method.target, *(name.strip() for name in rasters))
