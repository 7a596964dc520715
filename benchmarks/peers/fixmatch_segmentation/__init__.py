"""Peers of `eojax.methods.fixmatch_segmentation` with a U-Net, and a threshold for all classes.

A strong view comes with a map of numbers: which pixel of the weak views each of its pixels shows.
Pseudo-labels follow it by one gather, through flips, warps, cutout and CutMix alike. Nothing in
this file imports torch.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

from ml_collections import ConfigDict

from benchmarks import peers
from benchmarks.peers import segmentation
from benchmarks.pillow_augmentation import Strong
from eojax.augment.randaugment import operations_of
from eojax.data.dataset import Dataset
from eojax.errors import UserError

_UNDERSTOOD = segmentation.UNDERSTOOD | {
    'method.unlabelled_ratio',
    'method.threshold',
    'method.teacher',
    'method.consistency_weight',
    'method.strong_operations',
    'method.strong_set',
    'method.cutout_share',
    'method.cutmix_share',
    'method.interpolation',
}


class Options(NamedTuple):
    """The views of a config.

    Attributes:
      strong: the strong augmentation.
      cutmix_share: of the strong views that have a box of another one in them.
      side: of a window.
    """

    strong: Strong
    cutmix_share: float
    side: int


def check(config: ConfigDict, training: Dataset, optimizer: Collection[str]) -> None:
    """Refuses what the peers do not compute.

    Args:
      optimizer: keys of the group `optimizer` that a peer follows.

    Raises:
      UserError: one line that names the key.
    """
    peers.check(config, 'fixmatch_segmentation', 'unet', _UNDERSTOOD | set(optimizer))
    if config.method.augment.endswith('shift'):
        # Of what a shift pushes out of the window, nothing would be left to be guessed.
        raise UserError(
            f'the PyTorch peers do not have method.augment={config.method.augment!r} here;'
            " they have 'none', 'flips', 'dihedral'"
        )
    segmentation.check_tiles(training, config.method.window)


def options_of(config: ConfigDict) -> Options:
    """The views of a checked config."""
    method = config.method
    strong = Strong(
        method.augment,
        operations_of(method.strong_set),
        method.strong_operations,
        method.cutout_share,
        method.interpolation,
    )
    return Options(strong, method.cutmix_share, method.window)


def unlabelled_size(config: ConfigDict) -> int:
    """Unlabelled windows of a step."""
    return int(config.method.unlabelled_ratio * config.batch_size)
