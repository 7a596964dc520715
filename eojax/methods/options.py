"""The options that many methods have."""

from __future__ import annotations

from eojax.augment import AUGMENTATIONS
from eojax.option import BELOW_ONE, Option, at_least, name_in

AUGMENT = Option(
    'flips', 'the weak augmentation of the images that are learnt from', name_in(AUGMENTATIONS)
)
AVERAGE_DECAY = Option(
    0.0, 'decay of the running average of the parameters, which is evaluated; 0: none', BELOW_ONE
)
UNLABELLED_RATIO = Option(1, 'unlabelled images or windows of a step for each labelled one',
                          at_least(1))  # fmt: skip
