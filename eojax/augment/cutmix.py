"""CutMix: a box of one image is filled with what another one shows there, classes and all.

Yun et al., "CutMix: Regularization Strategy to Train Strong Classifiers with Localizable Features"
(2019), section 3.2: the box has the shape of the image, its area is a share of it that is uniform
in [0, 1], and its centre is uniform in the image; what of it lies outside is lost. French et al.,
"Semi-supervised semantic segmentation needs strong, varied perturbations" (2020), fill maps of
pseudo-labels in the same way.
"""

from __future__ import annotations

import jax.numpy as jnp
from jax import Array, random

from eojax.augment.boxes import Boxes
from eojax.augment.sample import Sample, size_of
from eojax.errors import UserError


def draw_mixed_boxes(key: Array, num: int, height: int, width: int, share: float) -> Boxes:
    """The box of each image; empty in those that stay whole.

    Args:
      share: of the images that get one, 0 to 1.

    Raises:
      UserError: `share` does not lie in [0, 1].
    """
    if not 0.0 <= share <= 1.0:
        raise UserError(f'the share of mixed images must lie in [0, 1], not {share}')
    key_chosen, key_area, key_row, key_column = random.split(key, 4)
    chosen = random.bernoulli(key_chosen, share, (num,))
    side = jnp.sqrt(random.uniform(key_area, (num,))) * chosen
    rows = jnp.round(side * height).astype(jnp.int32)
    columns = jnp.round(side * width).astype(jnp.int32)
    top = random.randint(key_row, (num,), 0, height) - rows // 2
    left = random.randint(key_column, (num,), 0, width) - columns // 2
    return Boxes(top, left, rows, columns)


def mix(sample: Sample, boxes: Boxes, num_devices: int = 1) -> dict[str, Array]:
    """Fills each image's box with the same pixels of the next image of its device.

    Rasters, maps of classes and masks are filled alike. Numbers of each image, `[N]`, stay those
    of the image that was filled.

    Args:
      sample: as `eojax.augment.sample` says; all that has pixels is of one size.
      boxes: N of them.
      num_devices: over which the N images are split: none takes pixels from another one's share.

    Raises:
      UserError: a sample that has no pixels, or other sizes or numbers of images.
    """
    num, height, width = size_of(sample)
    if len(boxes.top) != num:
        raise UserError(f'{num} images need as many boxes, not {len(boxes.top)}')
    inside = boxes.mask(height, width)

    def filled(array: Array) -> Array:
        if array.ndim == 1:
            return array
        shares = array.reshape(num_devices, num // num_devices, *array.shape[1:])
        other = jnp.roll(shares, -1, 1).reshape(array.shape)
        return jnp.where(inside[..., None] if array.ndim == 4 else inside, other, array)

    return {name: filled(array) for name, array in sample.items()}
