"""Augmentation of what a discriminator sees, with gradients to the images.

Zhao et al., "Differentiable Augmentation for Data-Efficient GAN Training" (2020): a discriminator
that sees moved and recoloured images, real and made-up alike, cannot learn the few real ones by
heart, and the generator's images are not changed by it.

- `colour`: brightness by up to 0.5 of [-1, 1], saturation by a factor of 0 to 2 and contrast by one
  of 0.5 to 1.5, each drawn for every image;
- `translation`: by up to an eighth of the sides, zeros move in;
- `cutout`: zeros in a square of half the sides.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, lax, random

from eojax.option import such

NAMES = ('colour', 'translation', 'cutout')
WITHIN = such(
    'of ' + ', '.join(NAMES) + ', with a comma between, or empty',
    lambda text: set(names_in(text)) <= set(NAMES),
)
_TRANSLATION, _CUTOUT = 8, 2


def names_in(text: str) -> tuple[str, ...]:
    """The names of an option such as `colour,cutout`; none of an empty one."""
    return tuple(name.strip() for name in text.split(',') if name.strip())


class Change(NamedTuple):
    """What is done to each of N images; None where it is not done.

    Attributes:
      colours: float32 `[3, N]`: what is added, and the factors of saturation and contrast.
      shifts: int32 `[2, N]`, down and to the right.
      corners: int32 `[2, N]`, of the square.
    """

    colours: Array | None
    shifts: Array | None
    corners: Array | None

    def images(self, images: Array) -> Array:
        """Images float32 `[N, h, w, C]` in [-1, 1] changed; the result may leave that range."""
        return self.maps(images if self.colours is None else _coloured(images, self.colours))

    def maps(self, maps: Array) -> Array:
        """Other maps of the same places `[N, h, w, any]`, moved alike; their values stay."""
        if self.shifts is not None:
            maps = _translated(maps, self.shifts)
        if self.corners is not None:
            maps = jnp.where(_square(self.corners, maps), jnp.zeros((), maps.dtype), maps)
        return maps

    def labels(self, labels: Array) -> Array:
        """Classes int `[N, h, w]` moved alike; -1 where there is nothing of them."""
        return self.maps(labels[..., None] + 1)[..., 0] - 1


def draw_change(key: Array, names: tuple[str, ...], num: int, height: int, width: int) -> Change:
    """A change for each of `num` images."""
    key_colour, key_shift, key_corner = random.split(key, 3)
    sides = jnp.array([[height], [width]])
    colours = shifts = corners = None
    if 'colour' in names:
        drawn = random.uniform(key_colour, (3, num))
        colours = drawn * jnp.array([[1.0], [2.0], [1.0]]) + jnp.array([[-0.5], [0.0], [0.5]])
    if 'translation' in names:
        reach = sides // _TRANSLATION
        shifts = random.randint(key_shift, (2, num), -reach, reach + 1)
    if 'cutout' in names:
        half = sides // _CUTOUT
        corners = random.randint(key_corner, (2, num), -(half // 2), sides - half // 2)
    return Change(colours, shifts, corners)


def _coloured(images: Array, colours: Array) -> Array:
    added, saturation, contrast = (colour[:, None, None, None] for colour in colours)
    images = images + added
    grey = images.mean(3, keepdims=True)
    images = grey + saturation * (images - grey)
    mean = images.mean((1, 2, 3), keepdims=True)
    return mean + contrast * (images - mean)


def _translated(maps: Array, shifts: Array) -> Array:
    height, width, bands = maps.shape[1:]
    down, right = height // _TRANSLATION, width // _TRANSLATION
    padded = jnp.pad(maps, ((0, 0), (down, down), (right, right), (0, 0)))

    def one(padded: Array, shift: Array) -> Array:
        corner = (down - shift[0], right - shift[1], jnp.zeros((), shift.dtype))
        return lax.dynamic_slice(padded, corner, (height, width, bands))

    return jax.vmap(one)(padded, shifts.T)


def _square(corners: Array, maps: Array) -> Array:
    """Where the square lies, bool `[N, h, w, 1]`; it may reach over the border."""
    inside = []
    for corner, side in zip(corners, maps.shape[1:3], strict=True):
        along = jnp.arange(side)[None] - corner[:, None]
        inside.append((along >= 0) & (along < side // _CUTOUT))
    return (inside[0][:, :, None] & inside[1][:, None])[..., None]
