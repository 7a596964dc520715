"""Augmentations: what moves where, how often, and that values stay as they are."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import Array, random

from eojax.augment import AUGMENTATIONS
from eojax.augment.geometric import Move, draw_dihedral, draw_flips, draw_shift

NUM = 2000


def augmented(name: str, images: Any, key: Array) -> Array:
    """Images by themselves, as a sample without anything else."""
    return AUGMENTATIONS[name]({'images': images}, key)[0]['images']


def moved(draw: Callable[..., Move], images: Any, key: Array) -> Array:
    return draw(key, *images.shape[:3]).apply({'images': images})['images']


def distinct_pixels(num: int, height: int, width: int, bands: int = 2) -> np.ndarray:
    """uint8, the same in every image; no two pixels of a band are equal."""
    image = np.arange(height * width * bands, dtype=np.uint8).reshape(height, width, bands)
    return np.broadcast_to(image, (num, height, width, bands))


def counts_of(images: Array, candidates: list[np.ndarray]) -> np.ndarray:
    """How many images equal each candidate; each image must equal exactly one."""
    equal = np.stack([(np.asarray(images) == c).all((1, 2, 3)) for c in candidates])
    assert (equal.sum(0) == 1).all()
    return equal.sum(1)


def assert_equally_likely(counts: np.ndarray) -> None:
    share = 1.0 / len(counts)
    deviation = np.sqrt(NUM * share * (1.0 - share))
    assert np.abs(counts - NUM * share).max() < 4.5 * deviation


def test_flips_are_the_four_mirrorings_equally_likely():
    images = distinct_pixels(NUM, 3, 5)
    flipped = jax.jit(moved, static_argnums=0)(draw_flips, images, random.key(0))
    image = images[0]
    candidates = [image, image[::-1], image[:, ::-1], image[::-1, ::-1]]
    assert_equally_likely(counts_of(flipped, candidates))


def test_dihedral_is_the_eight_symmetries_equally_likely():
    images = distinct_pixels(NUM, 4, 4)
    turned = jax.jit(moved, static_argnums=0)(draw_dihedral, images, random.key(1))
    turns = [np.rot90(images[0], quarter) for quarter in range(4)]
    candidates = turns + [turn[:, ::-1] for turn in turns]
    assert_equally_likely(counts_of(turned, candidates))


def test_shift_is_a_crop_of_the_reflected_image_at_any_offset():
    images = distinct_pixels(NUM, 8, 16, bands=1)
    shifted = jax.jit(moved, static_argnums=0)(draw_shift, images, random.key(2))
    padded = np.pad(images[0], ((1, 1), (2, 2), (0, 0)), mode='reflect')  # 1/8 of each side
    candidates = [padded[i : i + 8, j : j + 16] for i in range(3) for j in range(5)]
    assert_equally_likely(counts_of(shifted, candidates))


@pytest.mark.parametrize('name', ['flips', 'dihedral'])
def test_pixels_keep_their_values(name: str):
    images = random.normal(random.key(3), (6, 5, 5, 3))
    out = augmented(name, images, random.key(4))
    for before, after in zip(np.asarray(images), np.asarray(out), strict=True):
        # Bands move together: the multiset of whole pixels is the same.
        first, second = before.reshape(-1, 3), after.reshape(-1, 3)
        np.testing.assert_array_equal(first[np.lexsort(first.T)], second[np.lexsort(second.T)])


@pytest.mark.parametrize('name', sorted(AUGMENTATIONS))
def test_dtype_and_shape_are_kept_when_compiled(name: str):
    augment = jax.jit(functools.partial(augmented, name))
    for dtype in (jnp.uint8, jnp.float32):
        images = jnp.asarray(distinct_pixels(4, 8, 8)).astype(dtype)
        out = augment(images, random.key(5))
        assert out.dtype == dtype
        assert out.shape == images.shape
        # Nothing is made up: each value stood in the same band of the image before.
        for band in range(2):
            assert set(np.unique(out[..., band])) <= set(np.unique(images[..., band]))
        np.testing.assert_array_equal(out, augment(images, random.key(5)))


@pytest.mark.parametrize('name', sorted(set(AUGMENTATIONS) - {'none'}))
def test_images_are_drawn_independently_and_by_the_key(name: str):
    images = distinct_pixels(60, 8, 8)
    augment = jax.jit(functools.partial(augmented, name))
    out, other = augment(images, random.key(6)), augment(images, random.key(7))
    assert len(np.unique(np.asarray(out).reshape(60, -1), axis=0)) >= 4
    assert (np.asarray(out) != np.asarray(other)).any((1, 2, 3)).mean() > 0.5


def test_none_changes_nothing():
    images = jnp.asarray(distinct_pixels(3, 4, 4))
    np.testing.assert_array_equal(augmented('none', images, random.key(0)), images)


@pytest.mark.parametrize('name', sorted(AUGMENTATIONS))
def test_draws_come_of_the_key_in_this_order(name: str):
    """Whoever resumes or compares a run relies on it: the key is parted the same way for ever."""
    num, size, reach = 40, 24, 3
    images = np.asarray(random.normal(random.key(8), (num, size, size, 2)))
    key = random.key(9)
    key_turns, key_shift = random.split(key) if name.endswith('_shift') else (key, key)
    key_flips, key_transpose = random.split(key_turns) if 'dihedral' in name else (key_turns, None)
    key_columns, key_rows = random.split(key_flips)
    expected = images.copy()
    for i in range(num if name != 'none' else 0):
        image = images[i]
        image = image[:, ::-1] if random.bernoulli(key_columns, 0.5, (num,))[i] else image
        turned = name != 'mirror_shift' and random.bernoulli(key_rows, 0.5, (num,))[i]
        image = image[::-1] if turned else image
        if key_transpose is not None and random.bernoulli(key_transpose, 0.5, (num,))[i]:
            image = image.swapaxes(0, 1)
        if name.endswith('_shift'):
            padded = np.pad(image, ((reach, reach), (reach, reach), (0, 0)), mode='reflect')
            top, left = (
                int(random.randint(part, (num,), 0, 2 * reach + 1)[i])
                for part in random.split(key_shift)
            )
            image = padded[top : top + size, left : left + size]
        expected[i] = image
    np.testing.assert_array_equal(augmented(name, images, key), expected)
