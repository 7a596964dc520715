"""Windows of tiles as a PyTorch data loader makes them: one by one, with NumPy, on the host.

The map of classes goes along as one more band. Nothing here imports torch.
"""

from __future__ import annotations

import random
from typing import NamedTuple

import numpy as np

from benchmarks import pillow_augmentation


class Held(NamedTuple):
    """The data that a worker has from the beginning.

    Attributes:
      images: `[N, H, W, bands]`, uint8 or float32.
      classes: uint8 `[N, H, W]`.
      side: of a window.
      augmentation: its name.
    """

    images: np.ndarray
    classes: np.ndarray
    side: int
    augmentation: str


class Chosen(NamedTuple):
    """A task for a worker: numbers of a step's tiles, and the seed of its draws."""

    tiles: np.ndarray
    seed: int


class HostBatch(NamedTuple):
    """A step's windows, `[N, h, w, bands]`, and their classes, int64 `[N, h, w]`."""

    images: np.ndarray
    classes: np.ndarray


def make_batch(held: Held, chosen: Chosen) -> HostBatch:
    """One step's windows, each augmented by itself."""
    return labelled_windows(held, chosen.tiles, random.Random(chosen.seed))


def labelled_windows(held: Held, tiles: np.ndarray, chance: random.Random) -> HostBatch:
    """A random window of each tile, images and classes moved alike."""
    made = []
    for tile in tiles:
        top, left = corner(held.images.shape[1:3], held.side, chance)
        rows, columns = slice(top, top + held.side), slice(left, left + held.side)
        stacked = np.dstack([held.images[tile, rows, columns], held.classes[tile, rows, columns]])
        made.append(pillow_augmentation.weak(stacked, held.augmentation, chance))
    windows = np.stack(made)
    return HostBatch(np.ascontiguousarray(windows[..., :-1]), windows[..., -1].astype(np.int64))


def corner(size: tuple[int, ...], side: int, chance: random.Random) -> tuple[int, int]:
    """The upper left corner of a window anywhere in an image of height and width `size`."""
    height, width = size
    return chance.randint(0, height - side), chance.randint(0, width - side)
