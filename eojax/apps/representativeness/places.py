"""Places whose images are compared: what they are, and how a sample of their images is drawn."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

from eojax.data.facts import Raster
from eojax.drawing.pictures import displayed, visible_indices

# What a place is for. Those of the first two are trained on; those of the last are only shown.
LABELLED, UNLABELLED, TEST, BESIDE = PARTS = ('labelled', 'unlabelled', 'test', 'beside')


class Piece(NamedTuple):
    """An image, or a window of one.

    Attributes:
      name: of the file or tile, and where in it the window lies.
      rasters: `[h, w, bands]` each, as stored, in the order in which the network sees them.
      shares: float64 `[classes]`, how much of the pixels whose class is known each class has; None
        where no class is known.
    """

    name: str
    rasters: tuple[np.ndarray, ...]
    shares: np.ndarray | None = None


class Place(NamedTuple):
    """Images of one origin, such as a city, not read yet.

    Attributes:
      name: for people.
      part: one of `PARTS`.
      total: images or windows that there are.
      read: `(ascending numbers below total) -> pieces`; fewer where pixels hold no data.
    """

    name: str
    part: str
    total: int
    read: Callable[[np.ndarray], Iterator[Piece]]


class Form(NamedTuple):
    """The form in which a network sees images.

    Attributes:
      rasters: by name, in order, `images` first.
      side: pixels of the square that each image is resampled to; None: as it is.
      window: side of the windows that images are cut into; None for whole images.
      colours: whether it sees 8-bit colours, so that images of any bands are shown to it as such.
    """

    rasters: dict[str, Raster]
    side: int | None
    window: int | None
    colours: bool = False


def as_colours(pixels: np.ndarray, raster: Raster) -> np.ndarray:
    """Stored values `[..., bands]` as colours, uint8 `[..., 3]`.

    Red, green and blue; else the first three bands (infrared, red, green); else the first as grey.
    """
    bands, limits = raster.bands, raster.limits
    if not visible_indices(bands) and len(bands) >= 3:
        pixels, bands = pixels[..., :3], ('red', 'green', 'blue')
        limits = None if limits is None else limits[:3]
    shown = displayed(pixels, bands, limits)
    return shown.repeat(3 // shown.shape[-1], -1)


def even_sample(total: int, num: int, seed: int, name: str) -> np.ndarray:
    """`min(total, num)` different numbers below `total`, ascending: one of each equal stretch.

    Args:
      seed, name: decide which of a stretch; the same for the same.
    """
    num = min(total, num)
    generator = np.random.default_rng((seed, zlib.crc32(name.encode())))
    ends = np.arange(num + 1) * total // max(num, 1)
    within = generator.random(num) * np.diff(ends)
    return ends[:-1] + within.astype(np.int64)
