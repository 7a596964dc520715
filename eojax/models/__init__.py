"""The networks that configs can name."""

from __future__ import annotations

from types import ModuleType

from eojax.models import convnet, convolutional_autoencoder, wide_resnet

# Each module has DEFAULTS (the config group), check(config) and build(config, num_outputs).
# An autoencoder's outputs are images: build(config, image_shape).
MODELS: dict[str, ModuleType] = {
    'convnet': convnet,
    'convolutional_autoencoder': convolutional_autoencoder,
    'wide_resnet': wide_resnet,
}
