"""Both views of windows as a PyTorch data loader makes them: one by one, with Pillow, on the host.

The map between the views is a picture of pixel numbers, which goes through the same warps. Nothing
here imports torch.
"""

from __future__ import annotations

import random
from typing import NamedTuple

import numpy as np
from PIL import Image

from benchmarks import pillow_augmentation
from benchmarks.peers.fixmatch_segmentation import Options
from benchmarks.peers.segmentation import host_windows
from benchmarks.pillow_augmentation import GREY, MOVING, RANGES, Strong, perform, square


class Held(NamedTuple):
    """The data that a worker has from the beginning."""

    windows: host_windows.Held
    options: Options


class Chosen(NamedTuple):
    """A task for a worker: numbers of a step's tiles, and the seed of its draws."""

    labelled: np.ndarray
    unlabelled: np.ndarray
    seed: int


class HostViews(NamedTuple):
    """As `device_views.Views`: uint8 `[N, h, w, 3]` twice, and int32 `[N, h, w]`."""

    weak: np.ndarray
    strong: np.ndarray
    places: np.ndarray


class HostBatch(NamedTuple):
    """A step's windows."""

    labelled: host_windows.HostBatch
    views: HostViews


def make_batch(held: Held, chosen: Chosen) -> HostBatch:
    """One step's windows, each augmented by itself."""
    chance = random.Random(chosen.seed)
    images, side = held.windows.images, held.windows.side
    labelled = host_windows.labelled_windows(held.windows, chosen.labelled, chance)
    windows = []
    for tile in chosen.unlabelled:
        top, left = host_windows.corner(images.shape[1:3], side, chance)
        windows.append(images[tile, top : top + side, left : left + side])
    return HostBatch(labelled, views(np.stack(windows), held.options, chance))


def views(windows: np.ndarray, options: Options, chance: random.Random) -> HostViews:
    """Both views of windows uint8 `[N, side, side, 3]`."""
    made = [_views_of_one(window, options.strong, chance) for window in windows]
    weak, strong, places = (np.stack(parts) for parts in zip(*made, strict=True))
    pixels = windows.shape[1] * windows.shape[2]
    before = pixels * np.arange(len(windows), dtype=np.int32)[:, None, None]
    places = np.where(places >= 0, places + before, np.int32(-1))
    mixed, mixed_places = strong.copy(), places.copy()
    for number in range(len(windows)):
        if chance.random() < options.cutmix_share:
            box = _box(options.side, chance)
            other = (number + 1) % len(windows)
            mixed[number][box], mixed_places[number][box] = strong[other][box], places[other][box]
    return HostViews(weak, mixed, mixed_places)


def _views_of_one(
    window: np.ndarray, options: Strong, chance: random.Random
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    height, width, bands = window.shape
    numbers = np.arange(height * width, dtype=np.int32).reshape(height, width, 1)
    first, second = (
        pillow_augmentation.weak(numbers, options.weak, chance)[..., 0] for _ in range(2)
    )
    back = np.empty(height * width, np.int32)
    back[first.reshape(-1)] = numbers.reshape(-1)
    pixels = window.reshape(-1, bands)
    picture = Image.fromarray(pixels[second])
    followed = Image.fromarray(back[second] + 1)  # a warp leaves 0 where there is nothing
    for _ in range(options.passes):
        name = chance.choice(options.operations)
        amount = chance.uniform(*RANGES[name])
        picture = perform(picture, name, amount, options.interpolation)
        if name in MOVING:
            followed = perform(followed, name, amount)
    strong, places = np.array(picture), np.array(followed) - 1
    covered = square(height, width, options.cutout_share, chance)
    strong[covered], places[covered] = GREY, -1
    return pixels[first], strong, places


def _box(side: int, chance: random.Random) -> tuple[slice, slice]:
    """Rows and columns of a box of any area around any pixel."""
    length = round(chance.random() ** 0.5 * side)
    top, left = (chance.randrange(side) - length // 2 for _ in range(2))
    return slice(max(top, 0), max(top + length, 0)), slice(max(left, 0), max(left + length, 0))
