"""ClassMix: half of the classes of one map are pasted into another image, with their pixels.

Olsson et al., "ClassMix: Segmentation-Based Data Augmentation for Semi-Supervised Learning" (2021),
section 3.1. Tranheden et al., "DACS: Domain Adaptation via Cross-domain Mixed Sampling" (2021),
paste labelled pixels into unlabelled images of another place.
"""

from __future__ import annotations

from typing import NamedTuple

import jax.numpy as jnp
from jax import Array, random

from eojax.augment.sample import VALID, Sample
from eojax.errors import UserError


def draw_mixed_classes(key: Array, labels: Array, num_classes: int, share: float) -> Array:
    """The pixels that are pasted: those of half of the classes, drawn for each map.

    Of a map that shows one class alone, that one is pasted; of three, two.

    Args:
      labels: int32 `[N, h, w]`, -1 where the class is unknown; such pixels are never pasted.
      share: of the maps of which anything is pasted, 0 to 1.

    Returns:
      bool `[N, h, w]`.

    Raises:
      UserError: `share` does not lie in [0, 1].
    """
    if not 0.0 <= share <= 1.0:
        raise UserError(f'the share of mixed images must lie in [0, 1], not {share}')
    key_chosen, key_order = random.split(key)
    num = labels.shape[0]
    chosen = random.bernoulli(key_chosen, share, (num,))
    classes = jnp.arange(num_classes)
    of_class = labels[..., None] == classes
    present = of_class.any((1, 2))
    # Classes in random order, those that are not there behind all others.
    order = jnp.where(present, random.uniform(key_order, (num, num_classes)), 2.0)
    rank = (order[:, None, :] < order[:, :, None]).sum(-1)
    half = (present.sum(-1, keepdims=True) + 1) // 2
    pasted = present & (rank < half) & chosen[:, None]
    return (of_class & pasted[:, None, None, :]).any(-1)


class Pasted(NamedTuple):
    """Pixels of labelled windows that are pasted into others.

    Attributes:
      where: bool `[N, h, w]`.
      sample: the labelled windows, as many: rasters and `labels`.
    """

    where: Array
    sample: Sample

    def apply(self, sample: Sample) -> dict[str, Array]:
        """The sample with these pixels in it.

        Rasters and `labels` of both are filled; pasted pixels hold data, and have the weight 1
        where there is a raster `weights`. All else stays.
        """
        ones = {VALID: jnp.ones((), bool), 'weights': jnp.ones(())}

        def filled(name: str, array: Array) -> Array:
            source = ones.get(name, self.sample.get(name))
            if source is None or array.ndim < 3:
                return array
            return jnp.where(
                self.where[..., None] if array.ndim == 4 else self.where, source, array
            )

        return {name: filled(name, array) for name, array in sample.items()}


def draw_pasted(
    key: Array,
    labelled: Sample,
    num: int,
    num_classes: int,
    share: float,
    num_devices: int = 1,
) -> Pasted:
    """What is pasted into `num` windows, each of which has a labelled window for partner.

    Args:
      labelled: N windows with `labels`; `num` is a multiple of N, and each is used as often. Pixels
        without data, where `valid` is among them, are never pasted.
      share: of the windows into which anything is pasted, 0 to 1.
      num_devices: over which both are split: none takes pixels from another one's share.

    Raises:
      UserError: `share` does not lie in [0, 1].
    """

    def partners(array: Array) -> Array:
        shares = array.reshape(num_devices, -1, *array.shape[1:])
        times = num // len(array)
        repeated = jnp.concatenate([shares] * times, axis=1)
        return repeated.reshape(num, *array.shape[1:])

    sample = {name: partners(array) for name, array in labelled.items() if array.ndim > 2}
    if VALID in sample:
        sample['labels'] = jnp.where(sample.pop(VALID), sample['labels'], -1)
    return Pasted(draw_mixed_classes(key, sample['labels'], num_classes, share), sample)
