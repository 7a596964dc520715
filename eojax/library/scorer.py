"""Scores of arrays by a trained network, for one of the data sets that it has learnt from."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np
from jax import Array
from scipy.special import softmax

from eojax.data.facts import IMAGES, Facts, Limits, Raster
from eojax.errors import unknown_name
from eojax.evaluation.scoring import scores_of
from eojax.library.arrays import Given, check_rasters
from eojax.library.making import whole
from eojax.library.results import Predictions
from eojax.library.scores import score_images, score_pixels
from eojax.methods import METHODS
from eojax.methods.method import ability
from eojax.runs.domains import SOURCE, TARGET
from eojax.runs.run import Run, image_shape

# Of images as a whole, whatever the labels are of.
_WHOLE = ('features', 'embedding', 'reconstruct', 'gradient', 'roughness', 'grain')
# What the abilities are called, for images of the source, and for methods that classify pixels.
_OF_SOURCE = {'logits': 'source_logits', 'features': 'source_embedding'}
_OF_PIXELS = {
    'logits': 'pixel_logits',
    'log_density': 'pixel_log_density',
    'log_sum_exp': 'pixel_log_sum_exp',
    'max_probability': 'confidence',
}


class Scorer:
    """What a trained network says of images of one data set; see `eojax.OpenedRun` for how they
    are given.

    Attributes:
      run, state: what the modules of `eojax` work on.
    """

    def __init__(
        self, run: Run, state: Any, batch_size: int | None = None, group: str = TARGET
    ) -> None:
        """Wraps an opened run; `eojax.open` makes one.

        Args:
          run, state: of `eojax.runs.opening.open_run`.
          batch_size: images in one call of the network; None for the run's own, on CPUs at most 32.
          group: of the data set that the images are like: the target's or the source's.
        """
        self.run, self.state, self._group = run, state, group
        size = run.config.evaluate.batch_size
        if batch_size is None:
            batch_size = min(size, 32) if jax.default_backend() == 'cpu' else size
        batch_size = whole('batch_size', batch_size)
        config = run.config.copy_and_resolve_references()
        config.evaluate.batch_size = self.batch_size = batch_size
        self._scoring = run._replace(config=config)

    @property
    def facts(self) -> Facts:
        """All that is known of the data set that it was trained on."""
        return self.run.known[self._group].facts

    @property
    def class_names(self) -> tuple[str, ...]:
        """In the order of the classes' numbers."""
        return self.facts.class_names

    @property
    def bands(self) -> tuple[str, ...]:
        """Names of the bands of `images`, in their order; of the first of `rasters` where the
        network sees none of that name."""
        return self._images.bands

    @property
    def dtype(self) -> np.dtype:
        """Of `images` in the data set's units."""
        return np.dtype(self._images.dtype)

    @property
    def limits(self) -> Limits:
        """For each band the values that the network sees as -1 and +1."""
        return self._images.limits or ((0.0, 255.0),) * len(self.bands)

    @property
    def size(self) -> tuple[int, int] | None:
        """Height and width of the images in pixels; None where they may have any size."""
        return None if self._by_pixel else image_shape(self.facts)[:2]

    @property
    def rasters(self) -> tuple[str, ...]:
        """What the network sees, `images` among them."""
        return self.run.method.rasters

    @property
    def _first(self) -> str:
        """The name of the raster that is given as `images`."""
        return IMAGES if IMAGES in self.rasters else self.rasters[0]

    @property
    def _images(self) -> Raster:
        return self.facts.rasters[self._first]

    @property
    def _by_pixel(self) -> bool:
        return 'pixel_logits' in self.run.method.abilities

    def _name(self, name: str) -> str:
        """What the method calls a score.

        Raises:
          UserError: it has none of that name; the message says which methods do, or the nearest.
        """
        plain = name
        if self._group == SOURCE:
            name = _OF_SOURCE.get(name, name)
        elif self._by_pixel:
            name = _OF_PIXELS.get(name, name)
        known = scores_of(self.run.method)
        if name not in known:
            if any(name in recipe.abilities for recipe in METHODS.values()):
                ability(self.run.method, name, self.run.config.method.name, METHODS)  # raises
            raise unknown_name('score of this run', plain, known)
        return name

    def probabilities(
        self,
        images: Any,
        *,
        units: str = 'data',
        resize: bool = False,
        rasters: Mapping[str, Any] | None = None,
    ) -> np.ndarray:
        """p(y|x) of each class.

        Args:
          images: `[N, H, W, C]`, see the class.
          units: `data` or `network`: of the data set, or in [-1, 1].
          resize: whether images of another size than the training's are resampled.
          rasters: the other rasters that the run sees, by name.

        Returns:
          float32 `[N, K]`, or `[N, H, W, K]` of a run that classifies pixels; the last axis sums
          to 1.

        Raises:
          UserError: images that are not like the training's, or a run without classes.
        """
        if self._by_pixel:
            return self.score('probabilities', images, units=units, resize=resize, rasters=rasters)
        logits = self.score('logits', images, units=units, resize=resize, rasters=rasters)
        return softmax(logits.astype(np.float64), axis=-1).astype(np.float32)

    def predict(
        self,
        images: Any,
        *,
        units: str = 'data',
        resize: bool = False,
        rasters: Mapping[str, Any] | None = None,
    ) -> Predictions:
        """The most probable class of each image, or of each pixel.

        Args and errors as for `probabilities`.
        """
        shares = self.probabilities(images, units=units, resize=resize, rasters=rasters)
        indices = shares.argmax(-1).astype(np.int32)
        return Predictions(indices, shares.max(-1), self.class_names)

    def logits(
        self,
        images: Any,
        *,
        units: str = 'data',
        resize: bool = False,
        rasters: Mapping[str, Any] | None = None,
    ) -> np.ndarray:
        """The network's outputs for the classes, whose softmax is `probabilities`.

        Args and errors as for `probabilities`.

        Returns:
          float32 `[N, K]`; or `[N, H, W, K]` of a run that classifies pixels, the weighted mean of
          the windows that show a pixel.
        """
        return self.score('logits', images, units=units, resize=resize, rasters=rasters)

    def features(
        self,
        images: Any,
        *,
        units: str = 'data',
        resize: bool = False,
        rasters: Mapping[str, Any] | None = None,
    ) -> np.ndarray:
        """What the network makes of each image as a whole, before its outputs: float32 `[N, D]`.

        Args and errors as for `probabilities`.
        """
        return self.score('features', images, units=units, resize=resize, rasters=rasters)

    def score(
        self,
        name: str,
        images: Any,
        *,
        units: str = 'data',
        resize: bool = False,
        rasters: Mapping[str, Any] | None = None,
    ) -> np.ndarray:
        """Any score of `eojax.evaluation.scoring.scores_of`, by its name.

        Such as `log_sum_exp` (of the logits: a density that nothing has trained),
        `max_probability` and `gradient` (-||grad_x log p(x)||), all of which are higher for images
        that are more in distribution.

        Args and errors as for `probabilities`.

        Returns:
          float32 `[N, ...]`, or `[N, H, W, ...]` of scores of pixels; uint8 of `classes`.
        """
        name = self._name(name)
        if self._by_pixel and name in ('classes', 'confidence'):
            # Of windows that overlap, those of the mean, and not the mean of those.
            found = self.predict(images, units=units, resize=resize, rasters=rasters)
            return found.confidence if name == 'confidence' else found.indices.astype(np.uint8)
        given = self._checked(images, units, resize, rasters)
        if self._by_pixel and name not in _WHOLE:
            return score_pixels(self._scoring, self.state, (name,), given)[name]
        return score_images(self._scoring, self.state, (name,), given, self._group)[name]

    def function(self, name: str) -> Callable[..., Array]:
        """A score as a pure function of JAX, to be differentiated, compiled or mapped.

        Args:
          name: as in `score`.

        Returns:
          `(*rasters, key) -> [N, ...]`, of float32 rasters `[N, h, w, C]` in [-1, 1] and a key of
          `jax.random`, one or one for each image, for methods that see images under noise.
        """
        score, state = scores_of(self.run.method)[self._name(name)], self.state
        return lambda *inputs: score(state, *inputs)

    def _checked(
        self,
        images: Any,
        units: str,
        resize: bool,
        rasters: Mapping[str, Any] | None,
    ) -> Given:
        known, others = self.facts.rasters, rasters or {}
        return check_rasters(images, others, self.rasters, known, self.size, units, resize)
