"""Operations on the levels 0 to 255 of each band, as tables of 256 entries for each image and band.

Each gives what Pillow's function of that name gives for uint8 (ImageOps, ImageEnhance): a table is
made once for an image and band, and all pixels are looked up in it.
"""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from eojax.augment.pixels import pick_entries
from eojax.devices import target
from eojax.errors import UserError

LEVELS = 256


def look_up(levels: Array, tables: Array) -> Array:
    """The entries of tables float32 `[N, C, 256]` at levels int32 `[N, H, W, C]`, 0 to 255.

    Raises:
      UserError: levels of another type or rank, or tables of another shape.
    """
    num, height, width, bands = _shape_of(levels)
    if tables.shape != (num, bands, LEVELS):
        raise UserError(f'tables must be {[num, bands, LEVELS]}, not {list(tables.shape)}')
    flat = levels.reshape(num, height * width, bands).swapaxes(1, 2)
    looked = pick_entries(tables, flat)
    return looked.swapaxes(1, 2).reshape(levels.shape)


def histograms(levels: Array) -> Array:
    """How often each level occurs, int32 `[N, C, 256]`; levels are int32 `[N, H, W, C]`, 0..255.

    Raises:
      UserError: levels of another type or rank.
    """
    num, height, width, bands = _shape_of(levels)
    flat = levels.reshape(num, height * width, bands).swapaxes(1, 2)
    if target.platform() == 'cpu':
        return _counted(flat)
    return _multiplied(flat)


def autocontrast(counts: Array) -> Array:
    """Tables `[N, C, 256]` that stretch each band from 0 to 255 (`ImageOps.autocontrast`).

    Args:
      counts: `histograms` of the images.
    """
    level = jnp.arange(LEVELS)
    low = jnp.argmax(counts > 0, -1)[..., None]
    high = (LEVELS - 1 - jnp.argmax(counts[..., ::-1] > 0, -1))[..., None]
    span = jnp.maximum(high - low, 1)
    stretched = jnp.clip((level - low) * 255 // span, 0, 255)
    # Pillow computes in floating point, and cuts off where the result is just below a whole number.
    words = jnp.asarray(_cut_off())[low, high, level // 32]
    stretched -= ((words >> (level % 32).astype(jnp.uint32)) & 1).astype(jnp.int32)
    return jnp.where(high > low, stretched, level).astype(jnp.float32)


def equalise(counts: Array) -> Array:
    """Tables `[N, C, 256]` that make levels equally frequent (`ImageOps.equalize`)."""
    level = jnp.arange(LEVELS)
    last = LEVELS - 1 - jnp.argmax(counts[..., ::-1] > 0, -1)[..., None]
    total = counts.sum(-1, keepdims=True)
    step = (total - jnp.take_along_axis(counts, last, -1)) // 255
    below = jnp.cumsum(counts, -1) - counts
    several = (counts > 0).sum(-1, keepdims=True) > 1
    table = jnp.minimum((step // 2 + below) // jnp.maximum(step, 1), 255)
    return jnp.where(several & (step > 0), table, level).astype(jnp.float32)


def posterise(bits: Array) -> Array:
    """Tables `[N, 256]` that keep the highest `bits` of 8, int32 `[N]` (`ImageOps.posterize`)."""
    low = jnp.left_shift(1, 8 - bits)[:, None] - 1
    return (jnp.arange(LEVELS) & ~low).astype(jnp.float32)


def solarise(threshold: Array) -> Array:
    """Tables `[N, 256]` that invert levels from `threshold` `[N]` on (`ImageOps.solarize`)."""
    level = jnp.arange(LEVELS)
    return jnp.where(level < threshold[:, None], level, 255 - level).astype(jnp.float32)


def brightness(factor: Array) -> Array:
    """Tables `[N, 256]` between black (factor 0) and the image (1); `ImageEnhance.Brightness`."""
    return jnp.floor(factor[:, None] * jnp.arange(LEVELS, dtype=jnp.float32))


def contrast(factor: Array, mean: Array) -> Array:
    """Tables `[N, 256]` between grey (factor 0) and the image (1); `ImageEnhance.Contrast`.

    Args:
      mean: `[N]`, the grey: the image's mean luminance, a whole level.
    """
    level = jnp.arange(LEVELS, dtype=jnp.float32)
    return jnp.trunc(mean[:, None] + factor[:, None] * (level - mean[:, None]))


def _shape_of(levels: Array) -> tuple[int, int, int, int]:
    if levels.ndim != 4 or levels.dtype != jnp.int32:
        raise UserError(
            f'levels must be int32 [N, h, w, bands], not {levels.dtype} {list(levels.shape)}'
        )
    num, height, width, bands = levels.shape
    return num, height, width, bands


def _counted(flat: Array) -> Array:
    bands = flat.shape[1]

    def of_image(levels: Array) -> Array:
        places = (jnp.arange(bands)[:, None] * LEVELS + levels).reshape(-1)
        counts = jnp.zeros((bands * LEVELS,), jnp.int32)
        return counts.at[places].add(1, mode='promise_in_bounds').reshape(bands, LEVELS)

    return jax.vmap(of_image)(flat)  # as devices with a share of the images each can count


def _multiplied(flat: Array) -> Array:
    """By products of 16 x 16 indicators: accelerators multiply fast and scatter slowly."""
    coarse = jax.nn.one_hot(flat // 16, 16, dtype=jnp.bfloat16)
    fine = jax.nn.one_hot(flat % 16, 16, dtype=jnp.bfloat16)
    counts = jnp.einsum('ncpi,ncpj->ncij', coarse, fine, preferred_element_type=jnp.float32)
    return counts.reshape(*flat.shape[:2], LEVELS).astype(jnp.int32)


@functools.cache
def _cut_off() -> np.ndarray:
    """Bits `[low, high, 256 / 32]`: the levels whose stretched value Pillow has one lower.

    0.4% of all, where 255 (level - low) / (high - low) is whole and double precision falls below.
    """
    low, high, level = np.ogrid[:LEVELS, :LEVELS, :LEVELS]
    span = np.maximum(high - low, 1)
    scale = 255.0 / span
    pillow = (level * scale + -low * scale).astype(np.int64)
    lower = pillow < (level - low) * 255 // span
    lower &= (low < high) & (low <= level) & (level <= high)
    bits = lower.reshape(LEVELS, LEVELS, 8, 32).astype(np.uint32) << np.arange(32, dtype=np.uint32)
    return bits.sum(-1, dtype=np.uint32)
