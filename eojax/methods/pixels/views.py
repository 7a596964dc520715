"""The two views of unlabelled windows that FixMatch for pixels compares.

With alpha a weak and A a strong augmentation, the map of pseudo-labels of alpha(u) goes through the
geometry of A(u): back from where the weak view had moved it, then as the strong view moves, pastes,
warps and covers.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import jax.numpy as jnp
from flax import struct
from jax import Array, random
from ml_collections import ConfigDict

from eojax.augment import AUGMENTATIONS
from eojax.augment.boxes import Boxes
from eojax.augment.class_mix import Pasted, draw_pasted
from eojax.augment.cutmix import draw_mixed_boxes, mix
from eojax.augment.geometric import Move
from eojax.augment.sample import VALID
from eojax.augment.warp import Warped
from eojax.errors import UserError
from eojax.methods.fixmatch import strong_view


class Followed(NamedTuple):
    """Pseudo-labels as the strong views show them.

    Attributes:
      labels: int32 `[mu N, h, w]`, -1 where there is none.
      seen: bool `[mu N, h, w]`: which pixels of the strong views show ground of which the weak view
        has shown anything, and which holds data.
      weights: float32 `[mu N, h, w]`, of the pixels; None: all alike.
    """

    labels: Array
    seen: Array
    weights: Array | None = None


@struct.dataclass
class Views:
    """The unlabelled windows of a step as the network sees them.

    Attributes:
      weak, strong: samples of the rasters `[mu N, h, w, bands]`; `truth` goes with the weak ones.
      moved: the geometry of the weak views.
      moved_again, pasted, warped, mixed: that of the strong ones, in this order.
      num_devices: over which the windows are split.
    """

    weak: Mapping[str, Array]
    strong: Mapping[str, Array]
    moved: Move
    moved_again: Move
    pasted: Pasted | None
    warped: Warped
    mixed: Boxes
    num_devices: int = struct.field(pytree_node=False)

    def follow(self, labels: Array, weights: Array | None = None) -> Followed:
        """Pseudo-labels of the weak views as the strong ones show them.

        Args:
          labels: int32 `[mu N, h, w]`, -1 where there is none.
          weights: float32 `[mu N]`, of the windows; None: all alike.
        """
        maps = {'labels': labels}
        if VALID in self.weak:
            maps[VALID] = self.weak[VALID]
        if weights is not None:
            maps['weights'] = jnp.broadcast_to(weights[:, None, None, None], (*labels.shape, 1))
        again = self.moved_again.apply(self.moved.undo(maps))
        if self.pasted is not None:
            again = self.pasted.apply(again)
        away = mix(self.warped.apply(again), self.mixed, self.num_devices)
        return Followed(
            away['labels'], away[VALID], None if weights is None else away['weights'][..., 0]
        )


def views(
    sample: Mapping[str, Array],
    labelled: Mapping[str, Array],
    key: Array,
    options: ConfigDict,
    num_classes: int,
    num_devices: int,
) -> Views:
    """alpha(u) and A(u) of windows.

    Args:
      sample: rasters of one size in [-1, 1], `truth`, and `valid` where pixels may be without data.
      labelled: the labelled windows of the step, `labels` with their rasters: ClassMix pastes of
        them.
      options: the config group `method`.

    Raises:
      UserError: CutMix of a window with itself, where a device has no other.
    """
    num, height, width = sample['truth'].shape
    if options.cutmix_share and num < 2 * num_devices:
        raise UserError(
            f'method.cutmix_share {options.cutmix_share} needs two unlabelled windows on each'
            f' device, and a step has {num} on {num_devices}: raise method.unlabelled_ratio or'
            ' batch_size, or set it to 0'
        )
    weakly = AUGMENTATIONS[options.augment]
    key_weak, key_other, key_strong, key_mix = random.split(key, 4)
    weak, moved = weakly(sample, key_weak)
    rasters = {name: array for name, array in sample.items() if name != 'truth'}
    other, moved_again = weakly(rasters, key_other)
    pasted = None
    if options.classmix_share:
        key_paste = random.fold_in(key, 4)  # The one after the four above.
        pasted = draw_pasted(
            key_paste, labelled, num, num_classes, options.classmix_share, num_devices
        )
        other = pasted.apply(other)
    strongly, warped = strong_view(other, key_strong, options)
    mixed = draw_mixed_boxes(key_mix, num, height, width, options.cutmix_share)
    filled = mix({name: strongly[name] for name in rasters}, mixed, num_devices)
    return Views(weak, filled, moved, moved_again, pasted, warped, mixed, num_devices)
