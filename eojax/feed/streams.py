"""What a method is fed: streams by name, and the batches that come of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from jax import Array

# Stream to what is drawn of it: `images` float32 [N, H, W, C] in [-1, 1]; `labels` int32 [N], -1
# where a method may not see the class; `truth` int32 [N], the class where it is known, for reports
# alone; `index` int32 [N], positions among the training images.
Batch = Mapping[str, Mapping[str, Array]]


class Stream(NamedTuple):
    """What a method wants to be fed, under one name.

    Attributes:
      part: of the training data: `labelled`, `unlabelled` (all the rest) or `train` (both).
      batch_size: images a step, over all devices. A part smaller than that is drawn repeatedly.
      augment: a key of `eojax.augment.AUGMENTATIONS`.
      data: the group of the config whose data set it draws from: `data`, the target that is
        evaluated, or `source`, another one to learn from.
    """

    part: str
    batch_size: int
    augment: str = 'none'
    data: str = 'data'
