"""FixMatch's two augmentations image by image with Pillow on the host, as PyTorch ports have them.

The same operations, ranges and draws as `eojax.augment`; what differs is that each image is one
Pillow picture and each operation one call. Nothing here imports jax or torch: worker processes that
only augment start quickly.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageEnhance, ImageOps

_FACTOR = (0.05, 0.95)
_SLOPE = (-0.3, 0.3)
# Smallest and largest amount of each operation.
RANGES: dict[str, tuple[float, float]] = {
    'identity': (0.0, 0.0),
    'autocontrast': (0.0, 0.0),
    'brightness': _FACTOR,
    'colour': _FACTOR,
    'contrast': _FACTOR,
    'equalise': (0.0, 0.0),
    'posterise': (4.0, 8.0),
    'rotate': (-30.0, 30.0),
    'sharpness': _FACTOR,
    'shear_x': _SLOPE,
    'shear_y': _SLOPE,
    'solarise': (0.0, 256.0),
    'translate_x': _SLOPE,
    'translate_y': _SLOPE,
}
GREY = 127
_RESAMPLING = {'nearest': Image.Resampling.NEAREST, 'bilinear': Image.Resampling.BILINEAR}
_POINTWISE: dict[str, Callable[[Image.Image, float], Image.Image]] = {
    'identity': lambda picture, _: picture,
    'autocontrast': lambda picture, _: ImageOps.autocontrast(picture),
    'brightness': lambda picture, amount: ImageEnhance.Brightness(picture).enhance(amount),
    'colour': lambda picture, amount: ImageEnhance.Color(picture).enhance(amount),
    'contrast': lambda picture, amount: ImageEnhance.Contrast(picture).enhance(amount),
    'equalise': lambda picture, _: ImageOps.equalize(picture),
    'posterise': lambda picture, amount: ImageOps.posterize(picture, int(amount)),
    'sharpness': lambda picture, amount: ImageEnhance.Sharpness(picture).enhance(amount),
    # For whole levels the same as the amount itself.
    'solarise': lambda picture, amount: ImageOps.solarize(picture, math.ceil(amount)),
}
# Those that move pixels; the others change what a pixel holds.
MOVING = tuple(name for name in RANGES if name not in _POINTWISE)


class Strong(NamedTuple):
    """The settings of the strong augmentation, as the config group `method` of FixMatch has them.

    Attributes:
      weak: name of the weak augmentation that comes first.
      operations: that are drawn from.
      passes: how many operations each image has.
      cutout_share: side of the covered square, in sides of the image.
      interpolation: of warps, `nearest` or `bilinear`.
    """

    weak: str
    operations: tuple[str, ...]
    passes: int = 2
    cutout_share: float = 0.5
    interpolation: str = 'nearest'


def perform(
    picture: Image.Image, name: str, amount: float, interpolation: str = 'nearest'
) -> Image.Image:
    """One operation; amounts are those of `eojax.augment.randaugment.Drawn`."""
    if name in _POINTWISE:
        return _POINTWISE[name](picture, amount)
    resampling = _RESAMPLING[interpolation]
    if name == 'rotate':
        return picture.rotate(amount, resampling)
    width, height = picture.size
    matrices = {
        'shear_x': (1.0, amount, 0.0, 0.0, 1.0, 0.0),
        'shear_y': (1.0, 0.0, 0.0, amount, 1.0, 0.0),
        'translate_x': (1.0, 0.0, amount * width, 0.0, 1.0, 0.0),
        'translate_y': (1.0, 0.0, 0.0, 0.0, 1.0, amount * height),
    }
    return picture.transform(picture.size, Image.Transform.AFFINE, matrices[name], resampling)


def weak(image: np.ndarray, name: str, chance: random.Random) -> np.ndarray:
    """An augmentation of `eojax.augment.AUGMENTATIONS` of one image `[H, W, bands]`."""
    if name == 'none':
        return image
    if chance.random() < 0.5:
        image = image[:, ::-1]
    if name != 'mirror_shift' and chance.random() < 0.5:
        image = image[::-1]
    if name.startswith('dihedral') and chance.random() < 0.5:
        image = image.swapaxes(0, 1)
    if name.endswith('shift'):
        height, width, _ = image.shape
        rows, columns = max(1, round(0.125 * height)), max(1, round(0.125 * width))
        padded = np.pad(image, ((rows, rows), (columns, columns), (0, 0)), mode='reflect')
        top, left = chance.randint(0, 2 * rows), chance.randint(0, 2 * columns)
        image = padded[top : top + height, left : left + width]
    return np.ascontiguousarray(image)


def strong(image: np.ndarray, options: Strong, chance: random.Random) -> np.ndarray:
    """The strong view of one image uint8 `[H, W, 3]`."""
    picture = Image.fromarray(weak(image, options.weak, chance))
    for _ in range(options.passes):
        name = chance.choice(options.operations)
        amount = chance.uniform(*RANGES[name])
        picture = perform(picture, name, amount, options.interpolation)
    result = np.array(picture)
    result[square(picture.height, picture.width, options.cutout_share, chance)] = GREY
    return result


def square(height: int, width: int, share: float, chance: random.Random) -> tuple[slice, slice]:
    """Rows and columns of a square around any pixel, its side a share of the shorter side."""
    side = round(share * min(height, width))
    top = chance.randrange(height) - side // 2
    left = chance.randrange(width) - side // 2
    return slice(max(top, 0), max(top + side, 0)), slice(max(left, 0), max(left + side, 0))


def strong_views(images: Sequence[np.ndarray], options: Strong, seed: int) -> np.ndarray:
    """The strong views of several images, uint8 `[N, H, W, 3]`."""
    chance = random.Random(seed)
    return np.stack([strong(image, options, chance) for image in images])


def weak_views(images: Sequence[np.ndarray], name: str, seed: int) -> np.ndarray:
    """The weak views of several images, `[N, H, W, bands]`."""
    chance = random.Random(seed)
    return np.stack([weak(image, name, chance) for image in images])
