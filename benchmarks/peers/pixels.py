"""Windows of tiles on the device, and the losses over their pixels, for the peers."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from benchmarks.peers.batches import corners, moved
from benchmarks.peers.segmentation import classes_of
from eojax.data.dataset import Dataset
from eojax.data.facts import UNKNOWN


class Tiles:
    """A training set on the device.

    Attributes:
      images: uint8 `[N, H, W, 3]`, or the values that were given in their place.
      classes: uint8 `[N, H, W]`, `UNKNOWN` where a pixel's class is not known.
      labelled: numbers of the tiles whose classes may be known.
    """

    def __init__(
        self, training: Dataset, device: torch.device, values: np.ndarray | None = None
    ) -> None:
        shown = np.asarray(training.images) if values is None else values
        self.images = torch.from_numpy(shown).to(device)
        self.classes = torch.from_numpy(classes_of(training)).to(device)
        self.labelled = torch.from_numpy(np.flatnonzero(training.labels >= 0)).to(device)
        self.numbers = torch.arange(len(self.images), device=device)

    def windows(
        self, chosen: Tensor, side: int, augmentation: str, generator: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """A random window of each chosen tile, augmented, by one gather of each.

        Returns:
          `[N, side, side, bands]` as they are held, and classes int64 `[N, side, side]`.
        """
        num = len(chosen)
        top, left = corners(self.images.shape[1:3], side, num, generator)[..., None, None]
        rows, columns = moved(num, side, side, augmentation, generator)
        places = chosen[:, None, None], rows + top, columns + left
        return self.images[places], self.classes[places].long()


def scaled(levels: Tensor) -> Tensor:
    """Levels from 0 to 255 `[N, h, w, 3]` as images `[N, 3, h, w]` in [-1, 1], channels last."""
    return (levels.float() / 127.5 - 1.0).permute(0, 3, 1, 2)


def pixel_cross_entropy(logits: Tensor, classes: Tensor) -> Tensor:
    """The mean over the pixels of known class; 0 where there are none.

    Args:
      logits: float32 `[N, K, h, w]`.
      classes: int64 `[N, h, w]`, `UNKNOWN` where there is none.
    """
    total = F.cross_entropy(logits, classes, ignore_index=UNKNOWN, reduction='sum')
    return total / (classes != UNKNOWN).sum().clamp(min=1)


def pixel_consistency(logits: Tensor, guessed: Tensor, threshold: float, places: Tensor) -> Tensor:
    """Eq. 3.25 for pixels: the mean over those that a strong view shows, others counting 0.

    Args:
      logits: float32 `[N, K, h, w]`, of the strong views.
      guessed: float32 `[N, K, h, w]`, logits of the weak ones.
      threshold: a guess counts from this probability on; from 1 on, none does.
      places: int64 `[N, h, w]`: which of all pixels of the weak views each pixel of the strong ones
        shows, -1 where none.
    """
    confidence, classes = guessed.detach().softmax(1).max(1)
    sure = (confidence >= threshold) & (threshold < 1.0)
    pseudo = torch.where(sure, classes, UNKNOWN).reshape(-1)
    seen = places >= 0
    followed = torch.where(seen, pseudo[places.clamp(min=0)], UNKNOWN)
    total = F.cross_entropy(logits, followed, ignore_index=UNKNOWN, reduction='sum')
    return total / seen.sum().clamp(min=1)
