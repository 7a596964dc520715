"""Augmentations: what moves where, how often, and that values stay as they are."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import Array, random

from eojax.augment import AUGMENTATIONS
from eojax.augment.geometric import random_dihedral, random_flips, random_shift

NUM = 2000


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
    flipped = jax.jit(random_flips)(images, random.key(0))
    image = images[0]
    candidates = [image, image[::-1], image[:, ::-1], image[::-1, ::-1]]
    assert_equally_likely(counts_of(flipped, candidates))


def test_dihedral_is_the_eight_symmetries_equally_likely():
    images = distinct_pixels(NUM, 4, 4)
    turned = jax.jit(random_dihedral)(images, random.key(1))
    turns = [np.rot90(images[0], quarter) for quarter in range(4)]
    candidates = turns + [turn[:, ::-1] for turn in turns]
    assert_equally_likely(counts_of(turned, candidates))


def test_shift_is_a_crop_of_the_reflected_image_at_any_offset():
    images = distinct_pixels(NUM, 8, 16, bands=1)
    shifted = jax.jit(random_shift)(images, random.key(2))
    padded = np.pad(images[0], ((1, 1), (2, 2), (0, 0)), mode='reflect')  # 1/8 of each side
    candidates = [padded[i : i + 8, j : j + 16] for i in range(3) for j in range(5)]
    assert_equally_likely(counts_of(shifted, candidates))


@pytest.mark.parametrize('name', ['flips', 'dihedral'])
def test_pixels_keep_their_values(name: str):
    images = random.normal(random.key(3), (6, 5, 5, 3))
    out = AUGMENTATIONS[name](images, random.key(4))
    for before, after in zip(np.asarray(images), np.asarray(out), strict=True):
        # Bands move together: the multiset of whole pixels is the same.
        first, second = before.reshape(-1, 3), after.reshape(-1, 3)
        np.testing.assert_array_equal(first[np.lexsort(first.T)], second[np.lexsort(second.T)])


@pytest.mark.parametrize('name', sorted(AUGMENTATIONS))
def test_dtype_and_shape_are_kept_when_compiled(name: str):
    augment = jax.jit(AUGMENTATIONS[name])
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
    augment = jax.jit(AUGMENTATIONS[name])
    out, other = augment(images, random.key(6)), augment(images, random.key(7))
    assert len(np.unique(np.asarray(out).reshape(60, -1), axis=0)) >= 4
    assert (np.asarray(out) != np.asarray(other)).any((1, 2, 3)).mean() > 0.5


def test_none_changes_nothing():
    images = jnp.asarray(distinct_pixels(3, 4, 4))
    np.testing.assert_array_equal(AUGMENTATIONS['none'](images, random.key(0)), images)
