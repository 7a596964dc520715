"""What both networks of image synthesis see of a batch: the condition, and the real image."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax.numpy as jnp
from jax import Array

from eojax.augment.sample import VALID
from eojax.methods.adversarial.judges import Given
from eojax.methods.adversarial.standardisation import relief, standardised
from eojax.models.pixel_network import join_rasters


class Shown(NamedTuple):
    """The parts of a stream's batch.

    Attributes:
      given: what an image is made of.
      real: the image, `[N, h, w, bands]` in [-1, 1].
      valid: where it shows data; None where it does everywhere.
    """

    given: Given
    real: Array
    valid: Array | None

    def without_data(self, fake: Array) -> Array:
        """Made-up images that show as little as the real ones where these have no data."""
        return fake if self.valid is None else jnp.where(self.valid[..., None], fake, self.real)


class Seen(NamedTuple):
    """Which rasters both networks see, and how.

    Attributes:
      inputs: the names of the generator's rasters, in its order.
      target: the name of the one that it makes.
      around: the side of the squares of relief in pixels; 0 for rasters as they are.
    """

    inputs: tuple[str, ...]
    target: str
    around: int

    def of(self, sample: Mapping[str, Array], moments: Any) -> Shown:
        """The parts of a batch.

        Args:
          moments: of the generator's rasters, `eojax.methods.adversarial.standardisation`; `()`
            where they stay as they are.
        """
        given = self.given(sample['labels'], [sample[name] for name in self.inputs], moments)
        return Shown(given, sample[self.target], sample.get(VALID))

    def given(self, labels: Array, rasters: Sequence[Array], moments: Any) -> Given:
        """The condition of an image.

        Args:
          labels: int32 `[N, h, w]`, below 0 where the class is unknown.
          rasters: those of `inputs`, float32 in [-1, 1], `[N, h, w, bands]` or coarser.
          moments: see `of`.
        """
        raster = _joined(rasters, labels)
        around = self.around if raster.shape[-1] else 0
        return Given(labels, standardised(relief(raster, around) if around else raster, moments))


def _joined(rasters: Sequence[Array], labels: Array) -> Array:
    """`[N, h, w, all bands]`; of no rasters, no bands."""
    empty = jnp.zeros((*labels.shape, 0), jnp.float32)  # of the full size, which others come to
    return join_rasters([empty, *rasters]) if rasters else empty
