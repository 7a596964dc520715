"""BerundaNet for pixels: a U-Net or SegNet with a second task.

"Semi-supervised Learning for Large-scale Earth Observation Data Understanding" (Castillo-Navarro,
2022), section 3.2.2 and Fig. 3.2. `early`: one encoder, and a decoder and head for each task;
`late`: one encoder and one decoder, and a convolution for each task at the end.

A second task about images as wholes (jigsaw) reads the bottleneck in both: it has no decoder.

Notes:
  The thesis does not say what the jigsaw's head was. Here the bottleneck is averaged over each of
  3 x 3 parts, which keeps where things are, and one dense layer reads all nine.
"""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jax import Array
from ml_collections import ConfigDict

from eojax.models import segnet, unet
from eojax.models.model import Network, from_linen
from eojax.models.pixel_blocks import Parts, cropped, padded_to_multiple, spatial_means
from eojax.models.pixel_network import join_rasters

VARIANTS = ('late', 'early')
PARTS = {'unet': unet.parts, 'segnet': segnet.parts}


def build(
    options: ConfigDict, variant: str, num_outputs: int, second_outputs: int, of_images: bool
) -> Network:
    """The network of the config group `model`, which is that of a U-Net or SegNet.

    Its outputs are those of the first task, float32 `[N, h, w, num_outputs]`, and of the second,
    `[N, h, w, second_outputs]`, or `[N, second_outputs]` with `of_images`.

    Args:
      variant: one of `VARIANTS`.
    """
    parts = PARTS[options.name](options)
    module = TwoHeads(parts, variant, num_outputs, second_outputs, of_images)
    return from_linen(module, per_image=options.normalization != 'batch', features=True)


class TwoHeads(nn.Module):
    """Images to the outputs of two tasks.

    Attributes:
      parts: of the network that it is made of.
      variant, num_outputs, second_outputs, of_images: as in `build`.
    """

    parts: Parts
    variant: str
    num_outputs: int
    second_outputs: int
    of_images: bool = False

    def setup(self) -> None:
        self.encoder = self.parts.encoder()
        self.decoder = self.parts.decoder()
        self.head = self.parts.head(self.num_outputs)
        if self.of_images:
            self.second_head: nn.Module = PartsHead(self.second_outputs)
        else:
            self.second_head = self.parts.head(self.second_outputs)
            if self.variant == 'early':
                self.second_decoder = self.parts.decoder()

    def __call__(
        self, *rasters: Array, train: bool = False, features_only: bool = False
    ) -> tuple[Array, Array] | Array:
        """Both outputs of rasters; with `features_only` the bottleneck's spatial means."""
        images = join_rasters(rasters)
        _, height, width, _ = images.shape
        encoded = self.encoder(padded_to_multiple(images, self.parts.multiple), train)
        if features_only:
            return spatial_means(encoded.bottleneck)
        decoded = self.decoder(encoded, train)
        first = cropped(self.head(decoded), (height, width))
        if self.of_images:
            return first, self.second_head(encoded.bottleneck)
        if self.variant == 'early':
            decoded = self.second_decoder(encoded, train)
        return first, cropped(self.second_head(decoded), (height, width))


class PartsHead(nn.Module):
    """The means of 3 x 3 parts of a map to outputs for each image, by one dense layer.

    Attributes:
      num_outputs: for each image.
    """

    num_outputs: int

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """`[N, h, w, C]` to float32 `[N, num_outputs]`."""
        rows, columns = (jnp.asarray(_thirds(length)) for length in x.shape[1:3])
        means = jnp.einsum('ih,jw,nhwc->nijc', rows, columns, x.astype(jnp.float32))
        outputs: Array = nn.Dense(self.num_outputs, name='dense')(means.reshape(len(x), -1))
        return outputs


def _thirds(length: int) -> np.ndarray:
    """Weights `[3, length]` of the means over three equally long parts of a line of pixels."""
    edges = np.arange(length + 1)
    starts = np.arange(3)[:, None] * length / 3
    overlap = np.minimum(edges[1:], starts + length / 3) - np.maximum(edges[:-1], starts)
    weights: np.ndarray = np.maximum(overlap, 0.0) / (length / 3)
    return weights.astype(np.float32)
