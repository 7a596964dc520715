"""The replay buffer of persistent chains, on the devices and in the training state.

Each chain goes on from where an earlier one ended; a share of them starts anew (Du and Mordatch,
2019; Grathwohl et al., 2020). A buffer of several parts lets every device draw from its own, so
that a chain needs no communication; a class-conditional buffer keeps each image's class with it.

Alone: `fill` once, then in each step `draw` starts, run chains from them, and `store` their ends
(`docs/examples/replay_buffer.py`). All three are pure functions, to be compiled with the step.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, random
from jax.tree_util import GetAttrKey

from eojax.devices.rows import rows_of_an_image


@dataclasses.dataclass(frozen=True)
class ReplayBuffer:
    """Ends of chains.

    Attributes:
      rows: `[parts, capacity / parts * rows of an image, length]`, mostly an image a row: a TPU
        takes rows as they lie, and would lay out all images anew to take some, or all rows that
        are too long. In checkpoints they are called `images`.
      labels: int32 `[parts, capacity / parts]`: the class that a chain was run for.
      shape: of an image, `(H, W, C)`.
    """

    rows: Any
    labels: Any
    shape: tuple[int, ...]

    @classmethod
    def of(cls, images: Any, labels: Any) -> ReplayBuffer:
        """A buffer of images `[parts, capacity / parts, H, W, C]` and their labels."""
        parts, each, *shape = images.shape
        fold = rows_of_an_image(shape)
        rows = images.reshape(parts, each * fold, math.prod(shape) // fold)
        return cls(rows, labels, tuple(shape))

    @property
    def images(self) -> Array:
        """All of them, `[parts, capacity / parts, H, W, C]`."""
        images: Array = self.rows.reshape(self.rows.shape[0], -1, *self.shape)
        return images

    def images_at(self, parts: Array, slots: Array) -> Array:
        """Those in some slots, `[..., H, W, C]` for integers of shape `[...]`."""
        rows = self.rows[parts[..., None], self.numbers(slots)]
        return rows.reshape(*slots.shape, *self.shape)

    def numbers(self, slots: Array) -> Array:
        """The rows of the images in slots, `[..., rows of an image]` for integers `[...]`."""
        fold = math.prod(self.shape) // self.rows.shape[-1]
        return slots[..., None] * fold + jnp.arange(fold, dtype=slots.dtype)


def _children(buffer: ReplayBuffer) -> tuple[Any, tuple[int, ...]]:
    children = ((GetAttrKey('images'), buffer.rows), (GetAttrKey('labels'), buffer.labels))
    return children, buffer.shape


def _buffer_of(shape: tuple[int, ...], children: Any) -> ReplayBuffer:
    rows, labels = children
    return ReplayBuffer(rows, labels, shape)


jax.tree_util.register_pytree_with_keys(ReplayBuffer, _children, _buffer_of)


class Draw(NamedTuple):
    """Where the chains of one step start.

    Attributes:
      images: float32 `[N, H, W, C]`.
      labels: int32 `[N]`.
      slots: int32 `[parts, N / parts]`: where in each part the ends of the chains belong.
    """

    images: Array
    labels: Array
    slots: Array


Starts = Callable[[Array, Array], Array]


def fill(
    key: Array,
    starts: Starts,
    capacity: int,
    num_classes: int,
    parts: int = 1,
    dtype: Any = jnp.float32,
) -> ReplayBuffer:
    """A buffer of fresh starts, its classes as evenly spread as they go.

    Args:
      starts: `(key, labels [N]) -> images [N, H, W, C]`.
      capacity: images in all, a multiple of `parts`.
      num_classes: of the labels, at least 1; chains that are of no class may take 1.
      dtype: of the stored images; bfloat16 halves the memory, chains still compute in float32.

    Raises:
      ValueError: a capacity that the parts do not divide.
    """
    if capacity < 1 or parts < 1 or capacity % parts:
        raise ValueError(f'{capacity} images cannot be kept in {parts} equal parts')
    labels = jnp.arange(capacity, dtype=jnp.int32) % num_classes
    images = starts(key, labels).astype(dtype)
    shape = (parts, capacity // parts)
    return ReplayBuffer.of(images.reshape(shape + images.shape[1:]), labels.reshape(shape))


def draw(buffer: ReplayBuffer, key: Array, num: int, reinitialise: float, starts: Starts) -> Draw:
    """Draws `num` starts, `num / parts` from each part, without replacement within a step.

    Args:
      num: a multiple of the parts, at most the capacity.
      reinitialise: probability that a chain begins anew at `starts` instead of at the stored end,
        from 0 to 1.
      starts: `(key, labels [N]) -> images [N, H, W, C]`.

    Raises:
      ValueError: more than there are, or a number that the parts do not divide.
    """
    parts, size = buffer.labels.shape
    if num < 1 or num % parts or num // parts > size:
        raise ValueError(f'{num} chains cannot be drawn from {parts} parts of {size} images each')
    key_slots, key_anew, key_starts = random.split(key, 3)
    slots = _distinct(key_slots, parts, num // parts, size)
    # Part by part, so that each device finds in its own part what it draws.
    rows = buffer.numbers(slots).reshape(parts, -1)
    stored = jax.vmap(lambda part, row: part[row])(buffer.rows, rows).astype(jnp.float32)
    labels = jax.vmap(lambda part, slot: part[slot])(buffer.labels, slots).reshape(-1)
    stored = stored.reshape(num, *buffer.shape)
    anew = random.bernoulli(key_anew, reinitialise, (num, *(1,) * (stored.ndim - 1)))
    return Draw(jnp.where(anew, starts(key_starts, labels), stored), labels, slots)


def store(buffer: ReplayBuffer, drawn: Draw, images: Array) -> ReplayBuffer:
    """Puts the ends of the drawn chains back where they came from.

    Args:
      drawn: by `draw`, of this buffer.
      images: float `[N, H, W, C]`, the ends in the order of the draw.
    """
    rows = buffer.numbers(drawn.slots).reshape(len(drawn.slots), -1)
    ends = images.reshape(*rows.shape, buffer.rows.shape[-1]).astype(buffer.rows.dtype)
    put = jax.vmap(lambda part, row, end: part.at[row].set(end, unique_indices=True))
    return dataclasses.replace(buffer, rows=put(buffer.rows, rows, ends))


def _distinct(key: Array, parts: int, num: int, size: int) -> Array:
    """`[parts, num]` slots, in each row distinct, each slot equally likely.

    A random start and a random stride that is coprime with the size visit distinct slots without
    a permutation of the whole buffer.
    """
    key_start, key_stride = random.split(key)
    strides = jnp.asarray(_coprime_strides(size), jnp.int32)
    start = random.randint(key_start, (parts, 1), 0, size)
    stride = strides[random.randint(key_stride, (parts, 1), 0, len(strides))]
    return (start + stride * jnp.arange(num, dtype=jnp.int32)) % size


def _coprime_strides(size: int) -> list[int]:
    return [s for s in range(1, min(size, 4096)) if math.gcd(s, size) == 1] or [1]
