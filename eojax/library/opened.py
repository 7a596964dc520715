"""The object that `eojax.open` returns: a trained run whose abilities are its methods."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax import Array
from ml_collections import ConfigDict
from scipy.special import softmax

from eojax.data.facts import Facts, Limits
from eojax.data.value_range import scale_from_unit, scale_to_unit
from eojax.errors import UserError, unknown_name
from eojax.evaluation.scoring import scores_of
from eojax.library import commands, making
from eojax.library.arrays import Given, check_rasters
from eojax.library.description import abilities_of, described
from eojax.library.results import Predictions, Restored, SceneMap
from eojax.library.scores import score_images, score_pixels
from eojax.methods import METHODS
from eojax.methods.method import ability
from eojax.runs.run import Run

# Of images as a whole, whatever the labels are of.
_WHOLE = ('features', 'embedding', 'reconstruct')


class OpenedRun:
    """A trained network and what it can do.

    What a network cannot do is refused by one line that names the methods that can; `abilities`
    lists what this one can.

    **Images** are arrays `[N, H, W, C]`, bands last, of NumPy or of whatever `numpy.asarray` takes:
    in the type and the units of the run's data set (`repr` shows them), or with `units='network'`
    floats in [-1, 1]. Images of another size are resampled only with `resize=True`; a run that
    classifies pixels takes any size. Of a run that sees more than images, `rasters` holds the
    others by name, `{'elevation': array}`. Whatever is not like the training images is refused by
    one line that says what was expected.

    **Numbers** of an image depend on its own pixels alone: not on its neighbours, its place or how
    many there are. All calls have the same number of images for the network, the last one filled
    up, so that it is compiled once.

    Attributes:
      run, state: what the modules of `eojax` work on.
    """

    def __init__(self, run: Run, state: Any, batch_size: int | None = None) -> None:
        """Wraps an opened run; `eojax.open` makes one.

        Args:
          run, state: of `eojax.runs.opening.open_run`.
          batch_size: images in one call of the network; None for the run's own, on CPUs at most 32.
        """
        self.run, self.state = run, state
        size = run.config.evaluate.batch_size
        if batch_size is None:
            batch_size = min(size, 32) if jax.default_backend() == 'cpu' else size
        if batch_size < 1:
            raise UserError(f'batch_size must be at least 1, not {batch_size}')
        config = run.config.copy_and_resolve_references()
        config.evaluate.batch_size = batch_size
        self._scoring = run._replace(config=config)

    @property
    def folder(self) -> Path:
        """Where the run keeps its files."""
        return self.run.folder

    @property
    def config(self) -> ConfigDict:
        """All options of its training; a copy."""
        return self.run.config.copy_and_resolve_references()

    @property
    def facts(self) -> Facts:
        """All that is known of the data set that it was trained on."""
        return self.run.facts

    @property
    def step(self) -> int:
        """Training steps that were done."""
        return self.run.step

    @property
    def class_names(self) -> tuple[str, ...]:
        """In the order of the classes' numbers."""
        return self.run.facts.class_names

    @property
    def bands(self) -> tuple[str, ...]:
        """Names of the bands of `images`, in their order."""
        return self.run.images.bands

    @property
    def dtype(self) -> np.dtype:
        """Of `images` in the data set's units."""
        return np.dtype(self.run.images.dtype)

    @property
    def limits(self) -> Limits:
        """For each band the values that the network sees as -1 and +1."""
        return self.run.images.limits or ((0.0, 255.0),) * len(self.bands)

    @property
    def size(self) -> tuple[int, int] | None:
        """Height and width of the images in pixels; None where they may have any size."""
        return None if self._by_pixel else self.run.task.image_shape[:2]

    @property
    def rasters(self) -> tuple[str, ...]:
        """What the network sees, `images` among them."""
        return self.run.method.rasters

    @property
    def abilities(self) -> tuple[str, ...]:
        """The names of the methods that work for this run."""
        return abilities_of(self.run)

    @property
    def _by_pixel(self) -> bool:
        return 'pixel_logits' in self.run.method.abilities

    def __repr__(self) -> str:
        return described(self.run)

    # Scores of images.

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

    def log_density(
        self,
        images: Any,
        *,
        units: str = 'data',
        resize: bool = False,
        rasters: Mapping[str, Any] | None = None,
    ) -> np.ndarray:
        """log p(x), unnormalised: higher for images that are more like the training images.

        A value means something only beside those of other images of the same run.

        Args and errors as for `probabilities`; only methods that train a density have one.

        Returns:
          float32 `[N]`; or `[N, H, W]` of a run that classifies pixels, each pixel's share.
        """
        return self.score('log_density', images, units=units, resize=resize, rasters=rasters)

    def percentile(
        self,
        images: Any,
        *,
        units: str = 'data',
        resize: bool = False,
        rasters: Mapping[str, Any] | None = None,
    ) -> np.ndarray:
        """The share of the training images that are less likely, or as likely, in percent.

        An image below the 1st percentile or so looks like none that the run has learnt from. Of a
        run that classifies pixels, the share of the training images' pixels.

        Args and errors as for `log_density`; the folder of the run keeps what it is compared with.

        Returns:
          float64 from 0 to 100, of the shape of `log_density`.
        """
        scores = self.log_density(images, units=units, resize=resize, rasters=rasters)
        return making.percentiles(self.run, self.state, scores)

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
          float32 `[N, ...]`, or `[N, H, W, ...]` of scores of pixels.
        """
        name = f'pixel_{name}' if self._by_pixel and name in ('logits', 'log_density') else name
        known = scores_of(self.run.method)
        if name not in known:
            recipes = {a for recipe in METHODS.values() for a in recipe.abilities}
            if name in recipes:
                ability(self.run.method, name, self.run.config.method.name, METHODS)  # raises
            raise unknown_name('score of this run', name, known)
        given = self._checked(images, units, resize, rasters)
        scorer = score_pixels if self._by_pixel and name not in _WHOLE else score_images
        return scorer(self._scoring, self.state, (name,), given)[name]

    def function(self, name: str) -> Callable[..., Array]:
        """A score as a pure function of JAX, to be differentiated, compiled or mapped.

        Args:
          name: as in `score`.

        Returns:
          `(*rasters, key) -> [N, ...]`, of float32 rasters `[N, h, w, C]` in [-1, 1] and a key of
          `jax.random`, one or one for each image, for methods that see images under noise.
        """
        name = f'pixel_{name}' if self._by_pixel and name in ('logits', 'log_density') else name
        known = scores_of(self.run.method)
        if name not in known:
            raise unknown_name('score of this run', name, known)
        score, state = known[name], self.state
        return lambda *inputs: score(state, *inputs)

    # Images that the network makes.

    def sample(
        self,
        num: int,
        label: str | int | None = None,
        *,
        start: str = '',
        steps: int | None = None,
        step_size: float | None = None,
        noise: float | None = None,
        seed: int = 0,
        units: str = 'data',
    ) -> np.ndarray:
        """Images that the network draws, as `eojax.apps.generate` makes them.

        Args:
          num: how many.
          label: a class, by name or number; None for any.
          start: where chains begin: `buffer` (the ends of training's own chains), `fresh` or
            `noise`; empty for the buffer where there is one.
          steps, step_size, noise: of the chains; None for the run's own.
          seed: another one draws other images.
          units: `data` or `network`, of what is returned.

        Returns:
          `[num, H, W, C]` in the run's type and units, or float32 in [-1, 1].

        Raises:
          UserError: the method draws no images, or none of a class; a buffer of fewer images.
        """
        chosen = None if label is None else self._class(label)
        ends = making.sample(
            self.run, self.state, num, chosen, start, steps, step_size, noise, seed
        )
        return self._in_units(ends, units)

    def restore(
        self,
        images: Any,
        masks: Any,
        *,
        label: str | int = 'auto',
        chains: int = 8,
        steps: int | None = None,
        sampler: str = 'texture',
        seed: int = 0,
        units: str = 'data',
        resize: bool = False,
    ) -> Restored:
        """Fills missing pixels, with their uncertainty, as `eojax.apps.restore` does.

        An image's repair depends on its pixels, its number among the images and the seed.

        Args:
          images: `[N, H, W, C]`, see the class; what stands at missing pixels is not looked at.
          masks: bool `[N, H, W]`, or `[H, W]` for all of them: True where missing.
          label: class that chains follow, by name or number; `auto` for the network's own guess,
            `any` for none.
          chains: for each image, in pairs of opposite noise.
          steps: of each chain; None for the sampler's own number.
          sampler: `texture` for texture and network, `langevin` for the network alone.
          seed: of classes and noise.
          units, resize: as for `probabilities`.

        Raises:
          UserError: see `probabilities`; masks that miss nothing or everything of an image.
        """
        name = label if label in ('auto', 'any') else self.class_names[self._class(label)]
        ability(self.run.method, 'restore', self.run.config.method.name, METHODS)
        images, masks = making.check_masks(images, masks, self.run.images)
        given = self._checked(images, units, resize, None).rasters[0]
        masks = making.resized_masks(masks, given.shape[1:3])
        unit = given if units == 'network' else scale_to_unit(given, self.run.images.limits)
        found = making.restore(
            self.run, self.state, unit, masks, chains, str(name), sampler, steps, seed
        )
        missing = masks[..., None]
        mean, one = (
            np.where(missing, self._in_units(values, units), given)
            for values in (found.mean, found.one)
        )
        return Restored(mean, self._spread(found.spread, units), one)

    def reconstruct(
        self,
        images: Any,
        *,
        units: str = 'data',
        resize: bool = False,
        rasters: Mapping[str, Any] | None = None,
    ) -> np.ndarray:
        """Each image as it comes back from what the network keeps of it, `[N, H, W, C]`.

        Args and errors as for `probabilities`.
        """
        made = self.score('reconstruct', images, units=units, resize=resize, rasters=rasters)
        if self._by_pixel:  # of all rasters side by side
            made = made[..., : len(self.bands)]
        return self._in_units(made, units)

    # Files.

    def read(
        self,
        path: str | Path,
        *,
        resize: bool = False,
        num: int | None = None,
        bands: str = '',
        scale: str = 'auto',
        offset: float | None = None,
        nodata: float | None = None,
    ) -> np.ndarray:
        """Image files as the network takes them: `[N, H, W, C]` in the run's units.

        Files of the kind that the run was trained on are decoded as those were; other GeoTIFFs by
        the names of their bands and the meaning of their values, as `map_scene` reads scenes.

        Args:
          path: a file, a folder or zip archive of images, in the order of their names, or a text
            file with a name in each line.
          resize: whether files of another size are resampled.
          num: at most so many, evenly spread; None for all.
          bands, scale, offset, nodata: of GeoTIFFs, as for `map_scene`.

        Raises:
          UserError: a file that cannot be read, or of another size or bands, by name.
        """
        reading = (bands, scale, offset, nodata)
        return commands.read_images(self.run, Path(path), resize, num, reading)

    def map_scene(
        self,
        scene: str | Path,
        out: str | Path,
        *,
        patch: int | None = None,
        stride: int | None = None,
        bands: str = '',
        scale: str = 'auto',
        offset: float | None = None,
        nodata: float | None = None,
        rasters: Mapping[str, str | Path] | None = None,
        percentile: float = 1.0,
    ) -> SceneMap:
        """Maps a GeoTIFF of any size, as `eojax.apps.map_scene` does.

        Args:
          scene: the GeoTIFF.
          out: folder for the map; one that is complete is not made again.
          patch, stride: of patches, in pixels of the scene; None for as much ground as a training
            image shows, side by side.
          bands: numbers or names, in the order of the run's; empty to find them.
          scale: of the values: `auto`, `l1c`, `l2a` or `LOW:HIGH`.
          offset, nodata: of the values; None for what the file says.
          rasters: files of further rasters that the run sees, by name.
          percentile: of log p(x) of the training set, below which a place is unseen.

        Raises:
          UserError: a scene that cannot be mapped; the message says why.
        """
        return commands.map_scene(
            self.run, self.state, Path(scene), Path(out), patch, stride,
            (bands, scale, offset, nodata), rasters or {}, percentile,
        )  # fmt: skip

    def evaluate(
        self, data: str | Path | None = None, out: str | Path | None = None
    ) -> dict[str, Any]:
        """Evaluates on held-out images, as `eojax.evaluate` does; writes numbers and figures.

        Args:
          data: a labelled folder or zip archive; None for the test split of the run's own data.
          out: folder for `evaluation.json` and the figures; None for one in the run's folder.

        Returns:
          The numbers of `evaluation.json`.

        Raises:
          UserError: data that are not there, or not of the run's classes.
        """
        return commands.evaluate(self.run, self.state, data, out)

    def _class(self, label: str | int) -> int:
        """The number of a class."""
        names = self.class_names
        if isinstance(label, str):
            if label not in names:
                raise unknown_name('class', label, names)
            return names.index(label)
        number = int(label)
        if not 0 <= number < len(names):
            raise UserError(f'label must be a class from 0 to {len(names) - 1}, not {label}')
        return number

    def _checked(
        self,
        images: Any,
        units: str,
        resize: bool,
        rasters: Mapping[str, Any] | None,
    ) -> Given:
        known, others = self.run.facts.rasters, rasters or {}
        return check_rasters(images, others, self.rasters, known, self.size, units, resize)

    def _in_units(self, values: np.ndarray, units: str) -> np.ndarray:
        """Images in [-1, 1] as they are returned."""
        values = np.clip(values, -1.0, 1.0)
        if units == 'network':
            return values.astype(np.float32)
        stored = scale_from_unit(values, self.limits)
        if self.dtype.kind in 'ui':
            stored = np.round(stored)
        return stored.astype(self.dtype)

    def _spread(self, values: np.ndarray, units: str) -> np.ndarray:
        """Standard deviations in [-1, 1] as they are returned."""
        if units == 'network':
            return values.astype(np.float32)
        low, high = np.asarray(self.limits, np.float64).T
        return (values * (high - low) / 2.0).astype(np.float32)


def open_run(place: str | Path, checkpoint: str = '', batch_size: int | None = None) -> OpenedRun:
    """Opens a trained network, to be used.

    Args:
      place: the folder of a run, an exported file, or the name of weights that come with eojax.
      checkpoint: `last` or `best`; empty for what the run's config says.
      batch_size: images in one call of the network; None for the run's own, on CPUs at most 32.
        Numbers may differ in their last digits from one batch size to another.

    Raises:
      UserError: there is no such run, or it is damaged.
    """
    from eojax.devices import compilation_cache
    from eojax.runs import opening

    if checkpoint not in ('', 'last', 'best'):
        raise unknown_name('checkpoint', checkpoint, ('last', 'best'))
    compilation_cache.enable()
    return OpenedRun(*opening.open_run(place, checkpoint), batch_size)
