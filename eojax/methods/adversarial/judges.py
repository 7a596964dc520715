"""Discriminators of images that were made of land cover and rasters, and what each one teaches.

`patch`: patches at several scales, the hinge loss and feature matching (Baier et al., 2021).
`segmentation`: a class for each pixel, or made up (Schönfeld et al., "OASIS", 2021).
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

import jax
import jax.numpy as jnp
from jax import Array, random
from ml_collections import ConfigDict

from eojax.augment.differentiable import draw_change, names_in
from eojax.losses import made_up_pixels
from eojax.losses.feature_matching import feature_matching
from eojax.losses.hinge import adversarial, hinge_of_fake, hinge_of_real
from eojax.methods.method import Metrics
from eojax.models import patch_discriminator, segmentation_discriminator
from eojax.models.arithmetic import dtype_of
from eojax.models.model import Network, Parameters

JUDGES = ('patch', 'segmentation')


class Given(NamedTuple):
    """The condition of an image.

    Attributes:
      labels: int32 `[N, h, w]`, below 0 where the class is unknown.
      raster: float32 `[N, h, w, any]`, all rasters that the generator sees.
    """

    labels: Array
    raster: Array


class Judge(Protocol):
    """A discriminator with its losses. `real` and `fake` are `[N, h, w, bands]` in [-1, 1]."""

    @property
    def network(self) -> Network:
        """Of images and a condition."""

    def condition(self, given: Given) -> Array:
        """What the network gets beside the image, `[N, h, w, any]`."""

    def generator_loss(
        self, parameters: Parameters, real: Array, fake: Array, given: Given, key: Array
    ) -> tuple[Array, Metrics]:
        """What the generator lowers."""

    def discriminator_loss(
        self, parameters: Parameters, real: Array, fake: Array, given: Given, key: Array
    ) -> tuple[Array, Metrics]:
        """What the discriminator lowers."""


def build(options: ConfigDict, model: ConfigDict, discriminator: ConfigDict, num_classes: int
          ) -> Judge:  # fmt: skip
    """The judge of a config.

    Args:
      options: the config group `method`.
      model, discriminator: the groups of these names.
    """
    dtype, changes = dtype_of(model.dtype), names_in(options.diff_augment)
    if options.discriminator == 'patch':
        return PatchJudge(
            patch_discriminator.build(discriminator.width, discriminator.scales, dtype),
            num_classes if options.generator != 'raster' else 0,
            options.feature_matching_weight,
            changes,
        )
    network = segmentation_discriminator.build(
        num_classes, discriminator.width, discriminator.levels, dtype
    )
    return SegmentationJudge(network, num_classes, options.label_mix_weight, changes)


def _changed(
    real: Array, fake: Array, given: Given, changes: tuple[str, ...], key: Array
) -> tuple[Array, Array, Given]:
    """All that a judge sees after one differentiable augmentation, the same for both images."""
    if not changes:
        return real, fake, given
    change = draw_change(key, changes, *real.shape[:3])
    moved = Given(change.labels(given.labels), change.maps(given.raster))
    return change.images(real), change.images(fake), moved


class PatchJudge(NamedTuple):
    """The discriminator of patches.

    Attributes:
      network: `eojax.models.patch_discriminator`.
      num_classes: of the land cover that it sees; 0 where it sees none.
      matching: the weight of feature matching.
      changes: the differentiable augmentation.
    """

    network: Network
    num_classes: int
    matching: float
    changes: tuple[str, ...]

    def condition(self, given: Given) -> Array:
        """Land cover, one-hot, and rasters."""
        if not self.num_classes:
            return given.raster
        return jnp.concatenate([jax.nn.one_hot(given.labels, self.num_classes), given.raster], -1)

    def generator_loss(
        self, parameters: Parameters, real: Array, fake: Array, given: Given, key: Array
    ) -> tuple[Array, Metrics]:
        """-E[D(G)] and feature matching."""
        real, fake, given = _changed(real, fake, given, self.changes, key)
        condition = self.condition(given)
        of_fake = self.network.apply(parameters, {}, fake, condition)
        realism = adversarial([one.scores for one in of_fake])
        if not self.matching:
            return realism, {'adversarial': realism}
        of_real = self.network.apply(parameters, {}, real, condition)
        match = feature_matching(
            [one.features for one in of_fake], [one.features for one in of_real]
        )
        metrics = {'adversarial': realism, 'feature_matching': match}
        return realism + self.matching * match, metrics

    def discriminator_loss(
        self, parameters: Parameters, real: Array, fake: Array, given: Given, key: Array
    ) -> tuple[Array, Metrics]:
        """The hinge loss."""
        real, fake, given = _changed(real, fake, given, self.changes, key)
        condition = self.condition(given)
        # Not joined into one batch: without augmentation, the generator's update has judged the
        # real images already, and the compiler sees that it is the same.
        scores = [
            [one.scores for one in self.network.apply(parameters, {}, images, condition)]
            for images in (real, fake)
        ]
        of_real, of_fake = hinge_of_real(scores[0]), hinge_of_fake(scores[1])
        return of_real + of_fake, {'hinge_real': of_real, 'hinge_fake': of_fake}


class SegmentationJudge(NamedTuple):
    """The discriminator of classes.

    Attributes:
      network: `eojax.models.segmentation_discriminator`.
      num_classes: of the land cover.
      mixing: the weight of LabelMix; 0: none.
      changes: the differentiable augmentation.
    """

    network: Network
    num_classes: int
    mixing: float
    changes: tuple[str, ...]

    def condition(self, given: Given) -> Array:
        """Rasters alone: classes are what it says itself."""
        return given.raster

    def generator_loss(
        self, parameters: Parameters, real: Array, fake: Array, given: Given, key: Array
    ) -> tuple[Array, Metrics]:
        """Eq. 2 of OASIS."""
        _, fake, given = _changed(real, fake, given, self.changes, key)
        logits = self.network.apply(parameters, {}, fake, self.condition(given))
        loss = made_up_pixels.loss_of_classes(logits, given.labels)
        return loss, {'adversarial': loss}

    def discriminator_loss(
        self, parameters: Parameters, real: Array, fake: Array, given: Given, key: Array
    ) -> tuple[Array, Metrics]:
        """Eq. 1, and Eq. 3 with its weight."""
        key_change, key_mask = random.split(key)
        real, fake, given = _changed(real, fake, given, self.changes, key_change)
        condition = self.condition(given)
        of_real, of_fake = (
            self.network.apply(parameters, {}, images, condition) for images in (real, fake)
        )
        parts = {
            'loss_real': made_up_pixels.loss_of_classes(of_real, given.labels),
            'loss_fake': made_up_pixels.loss_of_made_up(of_fake, given.labels),
        }
        loss = parts['loss_real'] + parts['loss_fake']
        if not self.mixing:
            return loss, parts
        mask = made_up_pixels.draw_mask(key_mask, given.labels, self.num_classes)
        mixed = self.network.apply(parameters, {}, mask * real + (1.0 - mask) * fake, condition)
        parts['label_mix'] = made_up_pixels.label_mix(mixed, of_real, of_fake, mask)
        return loss + self.mixing * parts['label_mix'], parts
