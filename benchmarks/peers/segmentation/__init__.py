"""Peers of `eojax.methods.segmentation` with a U-Net: cross-entropy over random windows of tiles.

Nothing in this file imports torch.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

import numpy as np
from ml_collections import ConfigDict

from benchmarks import peers
from eojax.data.dataset import Dataset
from eojax.data.facts import PIXEL_LABELS, UNKNOWN, UNSEEN
from eojax.errors import UserError

# Of every method for pixels that has peers.
UNDERSTOOD = frozenset(
    {
        'method.window',
        'method.evaluation_window',  # no part of a step
        'method.augment',
        'method.average_decay',
        'model.width',
        'model.depth',
        'model.normalization',
        'model.normalization_momentum',
        'model.activation',
        'model.pooling',
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
    peers.check(config, 'segmentation', 'unet', UNDERSTOOD | set(optimizer))
    check_tiles(training, config.method.window)


def check_tiles(training: Dataset, window: int) -> None:
    """Refuses tiles of other types, and those without room for a window.

    Raises:
      UserError: one line that says what they are.
    """
    images = np.asarray(training.images[:1])
    if images.dtype != np.uint8 or images.shape[-1] != 3:
        raise UserError(
            'the PyTorch peers of methods for pixels have uint8 images of three bands alone, not'
            f' {images.dtype} of {images.shape[-1]}'
        )
    if min(images.shape[1:3]) < window:
        raise UserError(
            f'method.window={window} is larger than the tiles of'
            f' {images.shape[1]} x {images.shape[2]} px'
        )


def classes_of(training: Dataset) -> np.ndarray:
    """The class of each pixel, uint8 `[N, H, W]`, `UNKNOWN` where a method may not know it."""
    numbers: Iterable[int] = range(len(training.labels))
    maps = np.stack([training.source.read(n, None, (PIXEL_LABELS,))[PIXEL_LABELS] for n in numbers])
    known = (training.labels >= 0)[:, None, None] & (maps < UNSEEN)
    return np.where(known, maps, np.uint8(UNKNOWN))
