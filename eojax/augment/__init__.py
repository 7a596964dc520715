"""Augmentations that a stream can name: `(images, key) -> images`, compiled into the step."""

from __future__ import annotations

from collections.abc import Callable

from jax import Array, random

from eojax.augment.geometric import random_dihedral, random_flips, random_shift


def _none(images: Array, key: Array) -> Array:
    return images


def _dihedral_shift(images: Array, key: Array) -> Array:
    key_dihedral, key_shift = random.split(key)
    return random_shift(random_dihedral(images, key_dihedral), key_shift)


def _flips_shift(images: Array, key: Array) -> Array:
    key_flips, key_shift = random.split(key)
    return random_shift(random_flips(images, key_flips), key_shift)


AUGMENTATIONS: dict[str, Callable[[Array, Array], Array]] = {
    'none': _none,
    'flips': random_flips,
    'dihedral': random_dihedral,
    'flips_shift': _flips_shift,
    'dihedral_shift': _dihedral_shift,
}
