"""Image by image with Pillow: the same operations, ranges and squares as in eojax."""

from __future__ import annotations

import random

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from PIL import Image

from benchmarks import pillow_augmentation
from benchmarks.pillow_augmentation import RANGES, Strong, perform, strong_views, weak_views
from eojax import augment
from eojax.augment import randaugment
from eojax.augment.boxes import draw_squares

BLENDS = ('brightness', 'colour', 'contrast', 'sharpness')


def scenes(num: int, size: int = 32) -> np.ndarray:
    """uint8: waves of different contrast with noise, the first all noise."""
    rng = np.random.default_rng(num)
    y, x = np.mgrid[:size, :size]
    waves = np.sin(x[None] * rng.uniform(0.1, 0.4, (num, 1, 1)) + y[None] * 0.2)[..., None]
    levels = 128 + rng.uniform(20, 100, (num, 1, 1, 3)) * waves
    levels = levels + rng.normal(0, 6, (num, size, size, 3))
    levels[0] = rng.integers(0, 256, levels[0].shape)
    return np.clip(levels, 0, 255).astype(np.uint8)


def amounts(name: str, num: int) -> np.ndarray:
    """Over the operation's range, as float32 holds them."""
    return np.linspace(*RANGES[name], num, dtype=np.float32)


def test_operations_and_amounts_are_eojaxs():
    assert tuple(RANGES) == randaugment.OPERATIONS
    drawn = jax.jit(lambda key: randaugment.draw(key, 60_000))(jax.random.key(3))
    operation, amount = np.asarray(drawn.operation), np.asarray(drawn.amount)
    for number, (name, (low, high)) in enumerate(RANGES.items()):
        theirs = amount[operation == number]
        width = high - low
        assert theirs.min() == pytest.approx(low, abs=0.01 * width), name
        assert theirs.max() == pytest.approx(high, abs=0.01 * width), name
        assert theirs.mean() == pytest.approx((low + high) / 2, abs=0.03 * width), name


@pytest.mark.parametrize('name', RANGES)
def test_an_operation_makes_what_eojax_makes(name):
    images = scenes(9)
    chosen = amounts(name, len(images))
    number = np.full(len(images), randaugment.OPERATIONS.index(name), np.int32)
    theirs = jax.jit(randaugment.apply)(images, randaugment.Drawn(number, chosen))
    found = np.stack([
        np.asarray(perform(Image.fromarray(image), name, float(amount)))
        for image, amount in zip(images, chosen, strict=True)
    ])  # fmt: skip
    assert np.abs(found.astype(int) - np.asarray(theirs)).max() <= (name in BLENDS)


@pytest.mark.parametrize('name', sorted(augment.AUGMENTATIONS))
def test_weak_views_come_from_eojaxs_set_of_images(name):
    image = np.arange(64, dtype=np.uint8).reshape(1, 8, 8, 1)
    images = np.broadcast_to(image, (600, 8, 8, 1))
    drawn, _ = augment.AUGMENTATIONS[name]({'images': jnp.asarray(images)}, jax.random.key(1))
    theirs = {x.tobytes() for x in np.asarray(drawn['images'])}
    assert {x.tobytes() for x in weak_views(images, name, 0)} == theirs


def test_each_operation_is_as_frequent_and_the_number_of_passes_is_kept(monkeypatch):
    named = []
    monkeypatch.setattr(
        pillow_augmentation, 'perform', lambda picture, name, *_: named.append(name) or picture
    )
    strong_views(scenes(1).repeat(700, 0), Strong('none', tuple(RANGES), passes=3), 5)
    counts = np.asarray([named.count(name) for name in RANGES])
    assert counts.sum() == 2100
    assert abs(counts / 150 - 1).max() < 0.3


def test_the_square_has_its_side_and_its_centre_is_anywhere():
    white = np.full((4000, 16, 16, 3), 255, np.uint8)
    views = strong_views(white, Strong('none', ('identity',), 1, 0.5), 1)
    covered = (views == pillow_augmentation.GREY).all(-1)
    assert covered.any((1, 2)).all()
    assert covered.sum((1, 2)).max() == 64  # 8 x 8 inside, less over the border
    assert covered.sum((1, 2)).min() == 16
    # As eojax's: the mean over many is the same picture.
    theirs = np.asarray(draw_squares(jax.random.key(0), 4000, 16, 16, 0.5).mask(16, 16))
    assert np.abs(covered.mean(0) - theirs.mean(0)).max() < 0.05


def test_views_depend_on_the_seed_alone():
    options = Strong('flips_shift', tuple(RANGES))
    images = scenes(6)
    first, again, other = (strong_views(images, options, seed) for seed in (3, 3, 4))
    assert (first == again).all()
    assert (first != other).any()
    chance = random.Random(3)
    assert (pillow_augmentation.strong(images[0], options, chance) == first[0]).all()
