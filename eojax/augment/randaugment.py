"""RandAugment and cutout: the strong augmentation of FixMatch, for whole batches at once.

Cubuk et al., "RandAugment: Practical Automated Data Augmentation with a Reduced Search Space"
(2020), with the fourteen operations and random magnitudes of FixMatch (Sohn et al., 2020, appendix
D), then DeVries and Taylor's cutout (2017).

Each image draws its own operations. Choosing among fourteen branches would compute all of them for
every image. Here a pass over the batch is one warp, one table, one mix of bands and one 3 x 3
filter, each with parameters of its own for each image that do nothing unless its operation is the
one drawn. What an operation does to a uint8 image is what Pillow does: exactly for tables and for
the nearest pixel of warps, within a level for blends.

Bands: tables, warps and the filter act on each band by itself, on all of them. Colour blends with
the luminance of red, green and blue where there are three bands, and with the mean of all bands
otherwise, one band stays as it is; contrast takes its grey from the same. Every value stays
within the limits that the data set gives its bands, so none becomes a physically impossible one.

Rasters: tables, mixes and the filter stand for other light and other sensors, so they touch the
raster `images` alone. Other rasters are measurements in their own units (height above ground,
backscatter), which no light changes; they follow the geometry. Where `images` itself is no picture,
as for SAR, draw from the set `geometric`.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, random

from eojax.augment import lookup
from eojax.augment.boxes import Boxes, draw_squares
from eojax.augment.sample import Sample, size_of
from eojax.augment.warp import Warped, rotation, shear, translation, warp
from eojax.data.facts import IMAGES
from eojax.errors import UserError, unknown_name

OPERATIONS = (
    'identity', 'autocontrast', 'brightness', 'colour', 'contrast', 'equalise', 'posterise',
    'rotate', 'sharpness', 'shear_x', 'shear_y', 'solarise', 'translate_x', 'translate_y',
)  # fmt: skip
# Names for parts of them. Those that move pixels leave each pixel's spectrum as it was measured;
# what `mild` leaves out makes a forest as bright as a meadow, and a lake as green.
SETS: dict[str, tuple[str, ...]] = {
    'all': OPERATIONS,
    'mild': (
        'identity',
        'autocontrast',
        'colour',
        'contrast',
        'rotate',
        'sharpness',
        'shear_x',
        'shear_y',
        'translate_x',
        'translate_y',
    ),
    'geometric': ('identity', 'rotate', 'shear_x', 'shear_y', 'translate_x', 'translate_y'),
}
# Smallest and largest amount; signed ones are drawn with either sign.
_RANGES = {
    'brightness': (0.05, 0.95),
    'colour': (0.05, 0.95),
    'contrast': (0.05, 0.95),
    'sharpness': (0.05, 0.95),
    'posterise': (4.0, 8.0),
    'solarise': (0.0, 256.0),
    'rotate': (0.0, 30.0),
    'shear_x': (0.0, 0.3),
    'shear_y': (0.0, 0.3),
    'translate_x': (0.0, 0.3),
    'translate_y': (0.0, 0.3),
}
_SIGNED = ('rotate', 'shear_x', 'shear_y', 'translate_x', 'translate_y')
# Pillow's luminance, ITU-R 601-2, in parts of 65,536.
_LUMINANCE = (19595, 38470, 7471)


class Drawn(NamedTuple):
    """The effect of one pass on each image.

    Attributes:
      operation: int32 `[N]`, indices into `OPERATIONS`.
      amount: float32 `[N]`: the factor of brightness, colour, contrast and sharpness (1 leaves the
        image as it is); bits for posterise; a level for solarise; degrees, counter-clockwise; a
        slope for shear; a share of the side for translate.
    """

    operation: Array
    amount: Array


def strong(
    sample: Sample,
    key: Array,
    passes: int = 2,
    cutout_share: float = 0.5,
    interpolation: str = 'nearest',
    operations: tuple[str, ...] = OPERATIONS,
    cutout_drawn: bool = False,
) -> tuple[dict[str, Array], Warped]:
    """RandAugment with `passes` operations for each image, then a square cut out.

    Args:
      sample: as `eojax.augment.sample` says, with the raster `images`: uint8, or float in [-1, 1].
      key: of all draws.
      passes: N of RandAugment.
      cutout_share: side of the square, in shorter sides of the image; its centre is uniform in the
        image.
      interpolation: of warps of `images`, `nearest` or `bilinear`; all else takes nearest pixels.
      operations: that are drawn from, a part of `OPERATIONS`.
      cutout_drawn: the square's side is uniform from 0 to that share.

    Returns:
      The sample: `images` of their type, black where a warp leaves nothing and grey in the square,
      all else as `Warped.apply` says, with a mask `valid`. And the geometry, so that pseudo-labels
      can follow.

    Raises:
      UserError: a sample without `images`, or with such of another type or, outside of compiled
        code, range; rasters of different sizes; options that cannot be.
    """
    if IMAGES not in sample:
        raise UserError(f'strong augmentation needs the raster {IMAGES}')
    if passes < 0:
        raise UserError(f'the passes of RandAugment must not be negative, not {passes}')
    num, height, width = size_of(sample)
    images, matrices = sample[IMAGES], []
    _check_range(images)
    keys = random.split(key, passes + 1)
    squares = draw_squares(keys[-1], num, height, width, cutout_share, cutout_drawn)
    for number in range(passes):
        drawn = draw(keys[number], num, operations)
        matrices.append(_matrices(drawn, height, width))
        images = apply(images, drawn, interpolation)
    stacked = jnp.stack(matrices) if matrices else jnp.zeros((0, num, 2, 3))
    warped = Warped((height, width), stacked, squares)
    rest = warped.apply({name: array for name, array in sample.items() if name != IMAGES})
    return {**rest, IMAGES: cut_out(images, squares)}, warped


def operations_of(text: str) -> tuple[str, ...]:
    """The operations that a config names: one of `SETS`, or names with commas between.

    Raises:
      UserError: an unknown name, or one twice.
    """
    if text in SETS:
        return SETS[text]
    names = tuple(name.strip() for name in text.split(','))
    for name in names:
        if name not in OPERATIONS:
            raise unknown_name('operation or set of RandAugment', name, (*SETS, *OPERATIONS))
        if names.count(name) > 1:
            raise UserError(f'operations of RandAugment: {name!r} is named twice')
    return names


def draw(key: Array, num: int, operations: tuple[str, ...] = OPERATIONS) -> Drawn:
    """Operations and amounts for `num` images, those of `operations` equally likely.

    Raises:
      UserError: no operation, or an unknown one.
    """
    if not operations:
        raise UserError('RandAugment needs at least one operation to draw from')
    for name in operations:
        if name not in OPERATIONS:
            raise unknown_name('operation of RandAugment', name, OPERATIONS)
    key_operation, key_amount, key_sign = random.split(key, 3)
    choices = jnp.asarray([OPERATIONS.index(name) for name in operations])
    operation = choices[random.randint(key_operation, (num,), 0, len(operations))]
    ranges = jnp.asarray([_RANGES.get(name, (0.0, 0.0)) for name in OPERATIONS], jnp.float32)
    signed = jnp.asarray([name in _SIGNED for name in OPERATIONS])
    low, high = ranges[operation].T
    amount = low + (high - low) * random.uniform(key_amount, (num,))
    negative = signed[operation] & random.bernoulli(key_sign, 0.5, (num,))
    return Drawn(operation, jnp.where(negative, -amount, amount))


def apply(images: Array, drawn: Drawn, interpolation: str = 'nearest') -> Array:
    """One pass: to each image its operation.

    Args:
      images: `[N, H, W, C]`: uint8, or float in [-1, 1].
      drawn: one for each image.
      interpolation: of warps, `nearest` or `bilinear`.

    Returns:
      As the images, of their type.

    Raises:
      UserError: images of another type, rank or number; an unknown interpolation.
    """
    _check_images(images)
    if drawn.operation.shape != images.shape[:1] or drawn.amount.shape != images.shape[:1]:
        raise UserError(f'{len(images)} images need as many operations and amounts')
    whole = images.dtype == jnp.uint8
    levels = images.astype(jnp.float32) if whole else (images + 1.0) * 127.5

    warped = warp(levels, _matrices(drawn, *images.shape[1:3]), interpolation)
    if whole and interpolation != 'nearest':
        warped = jnp.floor(warped + 0.5)
    looked = _look_up(warped, drawn)
    blended = _blend(looked, drawn, whole)
    return blended.astype(jnp.uint8) if whole else (blended / 127.5 - 1.0).astype(images.dtype)


def cutout(images: Array, key: Array, share: float = 0.5) -> Array:
    """A grey square in each image (DeVries and Taylor, 2017), at a place of its own.

    Args:
      images: `[N, H, W, C]`: uint8, or float in [-1, 1].
      key: of the places.
      share: side of the square, in shorter sides of the image, from 0 to 1; its centre is uniform
        in the image, and what lies outside is lost.

    Raises:
      UserError: images of another type or rank, or a share that cannot be.
    """
    _check_images(images)
    num, height, width, _ = images.shape
    return cut_out(images, draw_squares(key, num, height, width, share))


def cut_out(images: Array, boxes: Boxes) -> Array:
    """Covers a box of each image with middle grey: level 127, or 0 of [-1, 1].

    Raises:
      UserError: images that are neither uint8 nor float, or not `[N, H, W, C]`.
    """
    _check_images(images)
    grey = jnp.asarray(127 if images.dtype == jnp.uint8 else 0.0, images.dtype)
    return jnp.where(boxes.mask(*images.shape[1:3])[..., None], grey, images)


def _check_images(images: Array) -> None:
    if images.ndim != 4 or 0 in images.shape[1:]:
        raise UserError(f'strong augmentation takes images [N, h, w, bands], not {images.shape}')
    if images.dtype != jnp.uint8 and not jnp.issubdtype(images.dtype, jnp.floating):
        raise UserError(
            f'strong augmentation takes images of uint8, or floats in [-1, 1], not {images.dtype}:'
            ' scale them by the limits of their bands first'
        )


def _check_range(images: Array) -> None:
    """Refuses floats beyond [-1, 1], where values are known: compiled code has none to look at."""
    _check_images(images)
    if images.dtype == jnp.uint8 or isinstance(images, jax.core.Tracer) or not images.size:
        return
    low, high = float(images.min()), float(images.max())
    if not (low >= -1.001 and high <= 1.001):
        raise UserError(
            f'strong augmentation takes floats in [-1, 1], and these lie in [{low:g}, {high:g}]:'
            ' scale them by the limits of their bands first'
        )


def _is(drawn: Drawn, name: str, dimensions: int) -> Array:
    """Which images have drawn an operation, bool `[N, 1, ...]` of so many dimensions."""
    chosen = drawn.operation == OPERATIONS.index(name)
    return chosen.reshape(-1, *(1,) * (dimensions - 1))


def _matrices(drawn: Drawn, height: int, width: int) -> Array:
    """The warp of each image; the identity unless its operation is one."""

    def amount(name: str) -> Array:
        return jnp.where(_is(drawn, name, 1), drawn.amount, 0.0)

    matrices = shear(amount('shear_x'), amount('shear_y'))
    moved = translation(width * amount('translate_x'), height * amount('translate_y'))
    matrices = matrices.at[..., 2].set(moved[..., 2])
    return jnp.where(_is(drawn, 'rotate', 3), rotation(amount('rotate'), height, width), matrices)


def _look_up(levels: Array, drawn: Drawn) -> Array:
    """Levels by their image's table; they stay as they are where none is drawn."""
    whole = jnp.round(jnp.clip(levels, 0.0, 255.0)).astype(jnp.int32)
    counts = lookup.histograms(whole)
    mean = jnp.floor(_luminance(levels, True).mean((1, 2, 3)) + 0.5)
    amount, shape = drawn.amount, counts.shape
    tables = {
        'autocontrast': lookup.autocontrast(counts),
        'equalise': lookup.equalise(counts),
        'brightness': lookup.brightness(amount)[:, None],
        'contrast': lookup.contrast(amount, mean)[:, None],
        'posterise': lookup.posterise(jnp.clip(amount.astype(jnp.int32), 1, 8))[:, None],
        'solarise': lookup.solarise(amount)[:, None],
    }
    chosen = jnp.stack([_is(drawn, name, 1) for name in tables], -1)
    candidates = jnp.stack([jnp.broadcast_to(table, shape) for table in tables.values()], 1)
    # A product chooses, exactly so for whole numbers up to 255 in any precision: of a `where`, the
    # compiler makes the tables anew for every pixel.
    table = jnp.einsum('no,nocl->ncl', chosen.astype(jnp.float32), jnp.clip(candidates, 0.0, 255.0))
    looked = lookup.look_up(whole, table)
    return jnp.where(chosen.any(-1)[:, None, None, None], looked, levels)


def _blend(levels: Array, drawn: Drawn, whole: bool) -> Array:
    """Colour and sharpness: between the image and its grey or its smoothed self."""
    factor = drawn.amount[:, None, None, None]
    colour, sharpness = _is(drawn, 'colour', 4), _is(drawn, 'sharpness', 4)
    other = jnp.where(colour, _luminance(levels, whole), _smoothed(levels, whole))
    blended = other + factor * (levels - other)
    if whole:
        blended = jnp.floor(blended)
    return jnp.where(colour | sharpness, jnp.clip(blended, 0.0, 255.0), levels)


def _luminance(levels: Array, whole: bool) -> Array:
    """Grey `[N, H, W, 1]`."""
    if levels.shape[-1] == 1:
        return levels
    if levels.shape[-1] != 3:
        return levels.mean(-1, keepdims=True)
    weights = jnp.asarray(_LUMINANCE, jnp.float32)
    if not whole:
        return (levels * (weights / 65536.0)).sum(-1, keepdims=True)
    # As Pillow, in whole numbers, rounded.
    parts = jnp.round(levels).astype(jnp.int32) * weights.astype(jnp.int32)
    return ((parts.sum(-1, keepdims=True) + 32768) >> 16).astype(jnp.float32)


def _smoothed(levels: Array, whole: bool) -> Array:
    """Each band by a 3 x 3 mean with weight 5 in the middle; the border stays as it is."""
    rows = levels[:, :-2] + levels[:, 1:-1] + levels[:, 2:]
    box = rows[:, :, :-2] + rows[:, :, 1:-1] + rows[:, :, 2:]
    smooth = (box + 4.0 * levels[:, 1:-1, 1:-1]) / 13.0
    smooth = jnp.floor(smooth + 0.5) if whole else smooth
    return levels.at[:, 1:-1, 1:-1].set(smooth)
