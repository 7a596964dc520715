"""A convolutional encoder to a Gaussian over latent vectors, and a decoder back to images.

The networks of a variational autoencoder (Kingma and Welling, "Auto-Encoding Variational Bayes",
2014) for images of any band count. Each stage of the encoder halves the image by residual blocks,
the first of which has stride 2, and doubles the features, up to eight times the first stage's. The
decoder goes the same way back, doubling by nearest neighbours before its blocks: transposed
convolutions leave checkerboards (Odena et al., "Deconvolution and Checkerboard Artifacts", 2016).

Notes:
  There is no batch normalisation: an image's density does not depend on its batch.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import linen as nn
from jax import Array
from ml_collections import ConfigDict

from eojax.errors import UserError
from eojax.models.arithmetic import DTYPE, dtype_of
from eojax.models.convolution import Convolution
from eojax.models.model import Architecture, Network, Sizes, from_linen
from eojax.models.wide_resnet import ACTIVATION, ACTIVATIONS, Block, Normalisation
from eojax.option import Option, at_least, name_in

NORMS = ('none', 'group', 'instance')
OPTIONS: dict[str, Option] = {
    'width': Option(32, 'features of the first stage', at_least(1), 'features'),
    'stages': Option(4, 'stages, each of which halves the image', at_least(1), 'stages'),
    'blocks': Option(1, 'residual blocks of a stage', at_least(1), 'blocks'),
    'latent': Option(128, 'd, the length of a latent vector', at_least(1)),
    'norm': Option('group', 'normalisation in the blocks', name_in(NORMS)),
    'activation': ACTIVATION.but('swish'),
    'dtype': DTYPE,
}
# Features of a stage, at most this many times those of the first.
_WIDEST = 8


class Autoencoder(NamedTuple):
    """Two networks, neither of which has statistics.

    Attributes:
      encoder: images to `(means, log_variances)`, float32 `[N, latent]` each.
      decoder: latents `[N, latent]` to images, float32 `[N, H, W, C]`, in [-1, 1] as far as it has
        been learned.
      latent: length of a latent vector.
    """

    encoder: Network
    decoder: Network
    latent: int

    def init(self, key: Array, images: Array) -> dict[str, Any]:
        """The parameters of both, by name, for images of one size."""
        key_encoder, key_decoder = jax.random.split(key)
        latents = jnp.zeros((1, self.latent))
        return {
            'encoder': self.encoder.init(key_encoder, images[:1])[0],
            'decoder': self.decoder.init(key_decoder, latents)[0],
        }

    def encode(self, parameters: Any, images: Array) -> tuple[Array, Array]:
        """Means and log-variances of the latents."""
        means, log_variances = self.encoder.apply(parameters['encoder'], {}, images)
        return means, log_variances

    def decode(self, parameters: Any, latents: Array) -> Array:
        """The images of latents."""
        images: Array = self.decoder.apply(parameters['decoder'], {}, latents)
        return images


def check(model: ConfigDict, sizes: Sizes) -> None:
    """Refuses images that the autoencoder cannot take.

    Args:
      model: the config group of that name.

    Raises:
      UserError: one line that names the key.
    """
    for key, size in sizes.items():
        if size % 2**model.stages:
            raise UserError(
                f'{key} must be divisible by {2**model.stages} for model.stages={model.stages},'
                f' not {size}'
            )


def build(options: ConfigDict, image_shape: tuple[int, int, int]) -> Autoencoder:
    """The networks of the config group `model` for images `[height, width, bands]`."""
    features = tuple(options.width * min(2**i, _WIDEST) for i in range(options.stages))
    shared = (options.blocks, options.norm, options.activation, dtype_of(options.dtype))
    encoder = Encoder(options.latent, features, *shared)
    decoder = Decoder(image_shape, features, *shared)
    return Autoencoder(
        from_linen(encoder, per_image=True), from_linen(decoder, per_image=True), options.latent
    )


ARCHITECTURE = Architecture(OPTIONS, None, check)


class Encoder(nn.Module):
    """Images `[N, H, W, C]` to means and log-variances of latents, float32 `[N, latent]` each.

    Attributes:
      latent: length of a latent vector.
      features: of each stage; the image is halved as often.
      blocks: residual blocks a stage.
      norm, activation: as in `eojax.models.wide_resnet`.
      dtype: of the arithmetic; parameters and outputs are float32.
    """

    latent: int
    features: tuple[int, ...]
    blocks: int
    norm: str
    activation: str
    dtype: Any

    @nn.compact
    def __call__(self, images: Array, train: bool = False) -> tuple[Array, Array]:
        act = ACTIVATIONS[self.activation]
        x = Convolution(self.features[0], 3, dtype=self.dtype, name='stem')(images)
        for stage, features in enumerate(self.features):
            for block in range(self.blocks):
                stride = 2 if block == 0 else 1
                name = f'stage{stage + 1}_block{block + 1}'
                x = _block(features, stride, self.norm, act, self.dtype, name)(x, False)
        x = act(Normalisation(self.norm, self.dtype, name='norm')(x, False))
        flat = x.astype(jnp.float32).reshape(x.shape[0], -1)
        # Small at first: q(z|x) begins near the prior, where the decoder sees unit noise.
        small = nn.initializers.variance_scaling(0.01, 'fan_in', 'normal')
        moments = nn.Dense(2 * self.latent, kernel_init=small, name='moments')(flat)
        means, log_variances = jnp.split(moments, 2, -1)
        return means, log_variances


class Decoder(nn.Module):
    """Latents `[N, latent]` to images, float32 `[N, H, W, C]`.

    Attributes:
      image_shape: height, width and bands.
      features, blocks, norm, activation, dtype: as of the encoder, stages in its order.
    """

    image_shape: tuple[int, int, int]
    features: tuple[int, ...]
    blocks: int
    norm: str
    activation: str
    dtype: Any

    @nn.compact
    def __call__(self, latents: Array, train: bool = False) -> Array:
        act = ACTIVATIONS[self.activation]
        height, width, bands = self.image_shape
        factor = 2 ** len(self.features)
        shape = (height // factor, width // factor, self.features[-1])
        flat = nn.Dense(shape[0] * shape[1] * shape[2], name='stem')(latents)
        x = flat.reshape(-1, *shape).astype(self.dtype)
        for stage in reversed(range(len(self.features))):
            x = doubled(x)
            for block in range(self.blocks):
                name = f'stage{stage + 1}_block{block + 1}'
                x = _block(self.features[stage], 1, self.norm, act, self.dtype, name)(x, False)
        x = act(Normalisation(self.norm, self.dtype, name='norm')(x, False))
        images = Convolution(bands, 3, dtype=self.dtype, name='image')(x)
        return images.astype(jnp.float32)


def _block(
    features: int, stride: int, norm: str, act: Callable[[Array], Array], dtype: Any, name: str
) -> Block:
    first = second = nn.initializers.he_normal()
    return Block(features, stride, norm, act, 0.9, 0.0, dtype, first, second, name=name)


def doubled(x: Array) -> Array:
    """`[N, H, W, C]` to `[N, 2 H, 2 W, C]` by nearest neighbours."""
    num, height, width, channels = x.shape
    wide = jnp.broadcast_to(x[:, :, None, :, None, :], (num, height, 2, width, 2, channels))
    return wide.reshape(num, 2 * height, 2 * width, channels)
