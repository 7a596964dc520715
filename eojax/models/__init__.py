"""The networks that configs can name."""

from __future__ import annotations

from ml_collections import ConfigDict

from eojax.errors import UserError, unknown_name
from eojax.models import (
    convnet,
    convolutional_autoencoder,
    image_generator,
    pixel_network,
    resnet,
    segnet,
    unet,
    wide_resnet,
)
from eojax.models.model import Architecture, Network
from eojax.option import Option

MODELS: dict[str, Architecture] = {
    'convnet': convnet.ARCHITECTURE,
    'convolutional_autoencoder': convolutional_autoencoder.ARCHITECTURE,
    'image_generator': image_generator.ARCHITECTURE,
    'pixel_network': pixel_network.ARCHITECTURE,
    'resnet': resnet.ARCHITECTURE,
    'segnet': segnet.ARCHITECTURE,
    'unet': unet.ARCHITECTURE,
    'wide_resnet': wide_resnet.ARCHITECTURE,
}
# Of every network that `build` can make.
SHARED: dict[str, Option] = {
    'weights': Option(
        '', 'weights to start from: an encoder, a run (file, folder, name); empty: random ones'
    ),
    'weights_bands': Option(
        '', 'which of their bands the images have: names or numbers from 1 with commas'
    ),
}  # fmt: skip


def build(options: ConfigDict, num_outputs: int) -> Network:
    """The network that a config group `model` names.

    Args:
      num_outputs: numbers that it gives for each image, or for each pixel.

    Raises:
      UserError: an unknown name, or a network that gives no such outputs.
    """
    if options.name not in MODELS:
        raise unknown_name('model.name', options.name, MODELS)
    made = MODELS[options.name].build
    if made is None:
        raise UserError(f'model.name must be {" or ".join(buildable())}, not {options.name!r}')
    return made(options, num_outputs)


def buildable(per_pixel: bool = False) -> tuple[str, ...]:
    """The names of the networks that `build` can make, for images or for each pixel."""
    return tuple(
        name
        for name, architecture in MODELS.items()
        if architecture.build is not None and architecture.per_pixel == per_pixel
    )
