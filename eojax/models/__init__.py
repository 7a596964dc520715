"""The networks that configs can name."""

from __future__ import annotations

from ml_collections import ConfigDict

from eojax.errors import UserError, unknown_name
from eojax.models import convnet, convolutional_autoencoder, wide_resnet
from eojax.models.model import Architecture, Network

MODELS: dict[str, Architecture] = {
    'convnet': convnet.ARCHITECTURE,
    'convolutional_autoencoder': convolutional_autoencoder.ARCHITECTURE,
    'wide_resnet': wide_resnet.ARCHITECTURE,
}


def build(options: ConfigDict, num_outputs: int) -> Network:
    """The network that a config group `model` names.

    Args:
      num_outputs: numbers that it gives for each image.

    Raises:
      UserError: an unknown name, or a network that gives no such outputs.
    """
    if options.name not in MODELS:
        raise unknown_name('model.name', options.name, MODELS)
    made = MODELS[options.name].build
    if made is None:
        raise UserError(f'model.name must be {" or ".join(buildable())}, not {options.name!r}')
    return made(options, num_outputs)


def buildable() -> tuple[str, ...]:
    """The names of the networks that `build` can make."""
    return tuple(name for name, architecture in MODELS.items() if architecture.build is not None)
