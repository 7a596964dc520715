"""Peers of `eojax.methods.fixmatch`, without its options beyond the published method.

Nothing in this file imports torch.
"""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
from ml_collections import ConfigDict

from benchmarks import peers
from benchmarks.pillow_augmentation import Strong
from eojax.augment.randaugment import operations_of
from eojax.data.dataset import Dataset
from eojax.errors import UserError

_UNDERSTOOD = frozenset(
    {
        'method.augment',
        'method.unlabelled_ratio',
        'method.threshold',
        'method.consistency_weight',
        'method.strong_operations',
        'method.strong_set',
        'method.cutout_share',
        'method.interpolation',
        'method.average_decay',
        'model.depth',
        'model.width',
        'model.norm',
        'model.norm_momentum',
        'model.activation',
        'model.density_head',
        'model.dtype',  # a peer's precision is its own
    }
)


def check(config: ConfigDict, training: Dataset, optimizer: Collection[str]) -> None:
    """Refuses what the peers do not compute.

    Args:
      optimizer: keys of the group `optimizer` that a peer follows.

    Raises:
      UserError: one line that names the key.
    """
    peers.check(config, 'fixmatch', 'wide_resnet', _UNDERSTOOD | set(optimizer))
    images = np.asarray(training.images[:1])
    if images.dtype != np.uint8 or images.shape[-1] != 3:
        raise UserError(
            'the PyTorch peers of fixmatch have uint8 images of three bands alone, not'
            f' {images.dtype} of {images.shape[-1]}'
        )


def strong_options(config: ConfigDict) -> Strong:
    """The strong augmentation of a config."""
    method = config.method
    return Strong(
        method.augment,
        operations_of(method.strong_set),
        method.strong_operations,
        method.cutout_share,
        method.interpolation,
    )


def unlabelled_size(config: ConfigDict) -> int:
    """Unlabelled images of a step."""
    return int(config.method.unlabelled_ratio * config.batch_size)
