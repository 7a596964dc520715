"""Damage done to images on purpose, so that a repair can be compared with what was there.

`centre` (a square hole in the middle) and `salt_pepper` (single pixels, black or white) are those
of "Classification and Generation of Earth Observation Images Using a Joint Energy-Based Model"
(Castillo-Navarro et al., 2021), Fig. 4. `stripes` are the lines that dead detectors of a scanner
leave, `random_boxes` what lies under small clouds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np

from eojax.errors import UserError

_SALT = 0xDA3A6E
_STRIPE_AT_MOST = 2  # lines side by side


class Damage(NamedTuple):
    """A kind of damage.

    Attributes:
      masks: `(rng, num, height, width, share) -> bool [num, height, width]`, true where missing.
      share: of the pixels that it takes, where nothing else is said.
      text: what it is, for titles.
    """

    masks: Callable[[np.random.Generator, int, int, int, float], np.ndarray]
    share: float
    text: str


def damage_masks(
    name: str, num: int, height: int, width: int, share: float | None = None, seed: int = 0
) -> np.ndarray:
    """Which pixels of images are missing, bool `[num, height, width]`.

    Args:
      name: of `DAMAGES`.
      share: of the pixels, in (0, 1); the kind's own where None. Lines, boxes and the square are
        whole, so that small images meet it as nearly as their pixels allow.
      seed: the same seed gives the first images the same masks, however many there are.

    Raises:
      UserError: a share that leaves nothing to repair, or nothing to repair it from.
    """
    kind = DAMAGES[name]
    share = kind.share if share is None else share
    if not 0.0 < share < 1.0:
        raise UserError(f'--share={share:g}: expected a share of the pixels between 0 and 1')
    masks = np.concatenate(
        [
            kind.masks(np.random.default_rng((_SALT, seed, number)), 1, height, width, share)
            for number in range(num)
        ]
    )
    for mask in masks:
        if mask.all() or not mask.any():
            raise UserError(
                f'--share={share:g}: {"everything" if mask.all() else "nothing"} of an image of'
                f' {height} x {width} pixels would be missing; choose another share'
            )
    return masks


def damaged(images: np.ndarray, masks: np.ndarray, name: str = '', seed: int = 0) -> np.ndarray:
    """Images as they look with pixels missing: black, or for salt and pepper black and white.

    Args:
      images: uint8 `[num, height, width, bands]`.
      masks: bool `[num, height, width]`, true where missing.
      name: of the damage; empty for any other.
      seed: as in `damage_masks`.
    """
    values = np.zeros(masks.shape, images.dtype)
    if name == 'salt_pepper':
        for number, value in enumerate(values):
            rng = np.random.default_rng((_SALT, seed, number, 1))
            value[:] = 255 * rng.integers(0, 2, masks.shape[1:])
    return np.where(masks[..., None], values[..., None], images)


def _centre(
    rng: np.random.Generator, num: int, height: int, width: int, share: float
) -> np.ndarray:
    """A rectangle of the image's shape in its middle."""
    high, wide = (max(1, round(side * share**0.5)) for side in (height, width))
    row, column = (height - high) // 2, (width - wide) // 2
    masks = np.zeros((num, height, width), bool)
    masks[:, row : row + high, column : column + wide] = True
    return masks


def _salt_pepper(
    rng: np.random.Generator, num: int, height: int, width: int, share: float
) -> np.ndarray:
    """Single pixels, exactly so many of each image."""
    order = rng.random((num, height * width)).argsort(1)
    return (order < max(1, round(share * height * width))).reshape(num, height, width)


def _stripes(
    rng: np.random.Generator, num: int, height: int, width: int, share: float
) -> np.ndarray:
    """Whole lines, one or two side by side, until the share is met."""
    masks = np.zeros((num, height, width), bool)
    wanted = max(1, round(share * height))
    for mask in masks:
        while (left := wanted - mask[:, 0].sum()) > 0:
            high = min(int(rng.integers(1, _STRIPE_AT_MOST + 1)), left)
            row = rng.integers(0, height - high + 1)
            mask[row : row + high] = True
    return masks


def _random_boxes(
    rng: np.random.Generator, num: int, height: int, width: int, share: float
) -> np.ndarray:
    """Rectangles of an eighth to a quarter of the sides, anywhere, until the share is met."""
    masks = np.zeros((num, height, width), bool)
    for mask in masks:
        while mask.mean() < share:
            high, wide = (int(rng.integers(max(1, s // 8), s // 4 + 2)) for s in (height, width))
            row = int(rng.integers(0, max(height - high, 0) + 1))
            column = int(rng.integers(0, max(width - wide, 0) + 1))
            mask[row : row + high, column : column + wide] = True
    return masks


DAMAGES: Mapping[str, Damage] = {
    'centre': Damage(_centre, 0.125, 'a hole at the centre'),
    'salt_pepper': Damage(_salt_pepper, 0.1, 'salt and pepper'),
    'stripes': Damage(_stripes, 0.1, 'dead lines'),
    'random_boxes': Damage(_random_boxes, 0.125, 'random boxes'),
}
