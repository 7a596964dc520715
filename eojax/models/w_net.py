"""W-Net: a U-Net whose classes a second U-Net makes an image, or clusters, of.

Xia and Kulis, "W-Net: A Deep Model for Fully Unsupervised Image Segmentation" (2017), as in
"Semi-supervised Learning for Large-scale Earth Observation Data Understanding" (Castillo-Navarro,
2022), section 3.2.2: the first U-Net is the supervised one, softmax makes its outputs
probabilities, and the second one sees these and nothing else of the image.
"""

from __future__ import annotations

import jax
from flax import linen as nn
from jax import Array
from ml_collections import ConfigDict

from eojax.models.model import Network, from_linen
from eojax.models.pixel_blocks import style_of
from eojax.models.pixel_network import join_rasters
from eojax.models.unet import UNet


def build(options: ConfigDict, num_outputs: int, second_outputs: int) -> Network:
    """The network of the config group `model`, which is that of a U-Net, for both.

    Its outputs are those of the first, float32 `[N, h, w, num_outputs]`, and of the second,
    `[N, h, w, second_outputs]`.
    """
    style = style_of(options)
    first, second = (
        UNet(outputs, options.width, options.depth, options.pooling, style)
        for outputs in (num_outputs, second_outputs)
    )
    return from_linen(
        WNet(first, second), per_image=options.normalization != 'batch', features=True
    )


class WNet(nn.Module):
    """Images to the outputs of both U-Nets.

    Attributes:
      first: gives classes.
      second: sees their probabilities.
    """

    first: UNet
    second: UNet

    def __call__(
        self, *rasters: Array, train: bool = False, features_only: bool = False
    ) -> tuple[Array, Array] | Array:
        """Both outputs of rasters; with `features_only` the first bottleneck's spatial means."""
        images = join_rasters(rasters)
        if features_only:
            return self.first(images, train=train, features_only=True)
        logits = self.first(images, train=train)
        return logits, self.second(jax.nn.softmax(logits), train=train)
