"""The smallest networks that tests train: what the loop does does not depend on the network.

A step of the plain stack of two convolutions is traced and compiled in half the time of that of the
Wide-ResNet, which is there for tests of what it alone has.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

# The options of the config group `model`, by the name of the network.
TINY: Mapping[str, Mapping[str, Any]] = {
    'wide_resnet': {'depth': 10, 'width': 1, 'activation': 'swish'},
    'convnet': {
        'widths': (8, 16), 'strides': (1, 2), 'convolutions': 1, 'norm': 'none',
        'activation': 'swish',
    },
    'convolutional_autoencoder': {'width': 4, 'stages': 2, 'latent': 8},
}  # fmt: skip
