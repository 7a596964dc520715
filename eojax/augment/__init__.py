"""Augmentation of samples, compiled into the step.

`eojax.augment.sample` says what a sample is. `AUGMENTATIONS` holds the weak ones that a stream can
name: geometry alone (`eojax.augment.geometric`). The strong one is
`eojax.augment.randaugment.strong`, whose colour touches the raster `images` alone. Both return what
they did to each place, as a value that can be applied to other maps of the same places.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from jax import Array

from eojax.augment import geometric
from eojax.augment.geometric import Move
from eojax.augment.sample import Sample, size_of


@dataclasses.dataclass(frozen=True)  # so that jax.jit takes one like a function
class Augmentation:
    """A weak augmentation: `moved, move = augmentation(sample, key)`.

    Attributes:
      draw: `(key, num, height, width)` to a move for each of `num` places.
    """

    draw: Callable[[Array, int, int, int], Move]

    def __call__(self, sample: Sample, key: Array) -> tuple[dict[str, Array], Move]:
        """The sample moved, and how.

        Args:
          sample: as `eojax.augment.sample` says; rasters, class maps and masks move together.
          key: of the draw. Equal keys and numbers of places give equal moves, whatever the rasters.

        Raises:
          UserError: rasters of different sizes, or what else cannot be moved as one.
        """
        move = self.draw(key, *size_of(sample))
        return move.apply(sample), move


AUGMENTATIONS: dict[str, Augmentation] = {
    'none': Augmentation(geometric.no_move),
    'flips': Augmentation(geometric.draw_flips),
    'dihedral': Augmentation(geometric.draw_dihedral),
    'flips_shift': Augmentation(geometric.draw_flips_shift),
    'mirror_shift': Augmentation(geometric.draw_mirror_shift),
    'dihedral_shift': Augmentation(geometric.draw_dihedral_shift),
}
