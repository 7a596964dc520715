"""The object that `eojax.open` returns: a trained run whose abilities are its methods."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from ml_collections import ConfigDict

from eojax.apps.map_scene.guarantees import REFERENCE_BLOCK, Wanted
from eojax.apps.synthesise.network import model_of
from eojax.data.value_range import scale_from_unit, scale_to_unit
from eojax.devices import compilation_cache
from eojax.errors import UserError, unknown_name
from eojax.evaluation.guarantees.rules import Asked, asked_in
from eojax.home import expanded
from eojax.library import commands, making
from eojax.library.arrays import check_units
from eojax.library.description import abilities_of, described
from eojax.library.results import Restored, SceneMap
from eojax.library.scorer import Scorer
from eojax.library.synthesis import synthesise_arrays
from eojax.methods import METHODS
from eojax.methods.method import ability
from eojax.runs.command import open_trained
from eojax.runs.domains import SOURCE


class OpenedRun(Scorer):
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
    up, so that it is compiled once; who asks for one image at a time opens the run with
    `batch_size=1`.

    Attributes:
      run, state: what the modules of `eojax` work on.
    """

    @property
    def folder(self) -> Path:
        """Where the run keeps its files."""
        return self.run.folder

    @property
    def config(self) -> ConfigDict:
        """All options of its training; a copy."""
        return self.run.config.copy_and_resolve_references()

    @property
    def step(self) -> int:
        """Training steps that were done."""
        return self.run.step

    @property
    def abilities(self) -> tuple[str, ...]:
        """The names of the methods that work for this run."""
        return abilities_of(self.run)

    @property
    def source(self) -> Scorer:
        """The network on images of the data set that it learnt from besides, its source.

        Of methods that carry over what they learn from one sensor to another: its
        `probabilities`, `predict`, `logits` and `features` take images of the source.

        Raises:
          UserError: the run has learnt from one data set alone.
        """
        if 'source' not in self.abilities:
            raise UserError(f'{self.folder}: this run answers for one data set alone, its own')
        return Scorer(self.run, self.state, self.batch_size, SOURCE)

    def __repr__(self) -> str:
        return described(self.run)

    # Scores of images.

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

    @property
    def examples(self) -> tuple[np.ndarray, np.ndarray]:
        """Some of its training images, `[N, H, W, C]` as they are stored, and their classes `[N]`.

        Shipped weights keep a few, a run folder up to 1,000.

        Raises:
          UserError: none are kept, and the run's data are not where its config says.
        """
        from eojax.evaluation import reference

        with making.in_python():
            kept = reference.examples(self.run)
        return np.asarray(kept.images), np.asarray(kept.labels)

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
        check_units(units)
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
          chains: for each image, in pairs of opposite noise; a single one has no spread.
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
        masks = making.resized_masks(masks, given.shape[1:3], self.dtype)
        unit = given if units == 'network' else scale_to_unit(given, self.run.images.limits)
        found = making.restore(
            self.run, self.state, unit, masks, chains, str(name), sampler, steps, seed
        )
        missing = masks[..., None]
        mean, one = (
            np.where(missing, self._in_units(values, units), given)
            for values in (found.mean, found.one)
        )
        spread = self._spread(found.spread, units)
        if chains == 1:  # it says nothing of how sure it is; 0 would say that it is certain
            spread = np.where(missing, np.float32(np.nan), spread)
        return Restored(mean, spread, one)

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
        if self._by_pixel:  # of all rasters side by side, in the order in which the run sees them
            before = self.rasters[: self.rasters.index(self._first)]
            start = sum(len(self.facts.rasters[name].bands) for name in before)
            made = made[..., start : start + len(self.bands)]
        return self._in_units(made, units)

    def synthesise(self, labels: Any, *, overlap: int | None = None, **rasters: Any) -> np.ndarray:
        """Images of land cover and rasters, as `eojax.apps.synthesise` makes them.

        Images that are larger than the windows of training are made of windows that overlap,
        blended so that no seam shows.

        Args:
          labels: `[N, H, W]`, whole numbers of classes, -1 where the class is unknown; or their
            names. None for a generator that does not look at them.
          overlap: of windows, in pixels; None for a quarter of a window.
          rasters: those that the generator takes, by name, `elevation=dem`: `[N, H, W]` of one
            band, or `[N, H, W, bands]`, in the type and units of the run's data set.

        Returns:
          `[N, H, W, bands]` in the type and units of the raster that the run makes: uint8 of
          colours, decibels of radar.

        Raises:
          UserError: a run that was not trained for synthesis; a class that it does not know; a
            raster that is missing, of another size, or not like those of training.
        """
        model = model_of(self.run, self.state)
        model = model._replace(batch_size=min(model.batch_size, self.batch_size))
        overlap = None if overlap is None else making.whole('overlap', overlap, 0)
        with making.in_python():
            return synthesise_arrays(model, labels, rasters, overlap)

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
        coverage: float = 0.0,
        set_score: str = 'lac',
        not_known: float = 0.0,
        not_known_by: str = 'confidence',
        areas: bool = False,
        reference: str | Path | None = None,
        reference_block: int = REFERENCE_BLOCK,
    ) -> SceneMap:
        """Maps a scene of any size, as `eojax.apps.map_scene` does.

        Args:
          scene: a GeoTIFF, a `.SAFE` product or a folder of bands.
          out: folder for the map; one that is complete is not made again.
          patch, stride: of patches, in pixels of the scene; None for as much ground as a training
            image shows, side by side.
          bands: numbers or names, in the order of the run's; empty to find them.
          scale: of the values: `auto`, `l1c`, `l2a` or `LOW:HIGH`.
          offset, nodata: of the values; None for what the file says.
          rasters: files of further rasters that the run sees, by name.
          percentile: of log p(x) of the training set, below which a place is unseen.
          coverage: gives sets of classes that hold the true one for this share of places, such as
            0.9; 0 for none.
          set_score: of these sets: `lac`, the smallest ones, or `aps`.
          not_known: leaves open what is less to be trusted than this share of the validation part.
          not_known_by: what says so: `confidence`, `log_density` or `set_size`.
          areas: whether the areas of classes are corrected by the map's errors, with intervals.
          reference: labelled places of the scene for these, points or a label raster; None for the
            validation part.
          reference_block: side in pixels of the squares of a label raster that count as one block.

        Raises:
          UserError: a scene that cannot be mapped; the message says why.
        """
        return commands.map_scene(
            self.run, self.state, Path(scene), Path(out), patch, stride,
            (bands, scale, offset, nodata), rasters or {}, percentile,
            Wanted(
                Asked(coverage, set_score, not_known, not_known_by, areas),
                None if reference is None else expanded(Path(reference)), reference_block,
            ),
        )  # fmt: skip

    def evaluate(
        self,
        data: str | Path | None = None,
        out: str | Path | None = None,
        *,
        coverage: float | None = None,
        set_score: str | None = None,
        not_known: float | None = None,
        not_known_by: str | None = None,
        areas: bool | None = None,
    ) -> dict[str, Any]:
        """Evaluates on held-out images, as `eojax.evaluate` does; writes numbers and figures.

        Args:
          data: a labelled folder or zip archive; None for the test split of the run's own data.
          out: folder for `evaluation.json` and the figures; None for one in the run's folder, and
            for an exported file, which has none, nothing is written and a line says so.
          coverage, set_score, not_known, not_known_by, areas: guarantees that are calibrated on
            the validation part, as for `map_scene`; None for what the run's config says.

        Returns:
          The numbers of `evaluation.json`.

        Raises:
          UserError: data that are not there, or not of the run's classes.
        """
        given: dict[str, Any] = {
            'coverage': coverage, 'set_score': set_score, 'not_known': not_known,
            'not_known_by': not_known_by, 'areas': areas,
        }  # fmt: skip
        asked = asked_in(self.run.config.evaluate)._replace(
            **{name: value for name, value in given.items() if value is not None}
        )
        return commands.evaluate(self.run, self.state, data, out, asked)

    def _class(self, label: str | int) -> int:
        """The number of a class."""
        names = self.class_names
        if isinstance(label, str):
            if label not in names:
                raise unknown_name('class', label, names)
            return names.index(label)
        number = making.whole('label', label, None)
        if not 0 <= number < len(names):
            raise UserError(f'label must be a class from 0 to {len(names) - 1}, not {label}')
        return number

    def _in_units(self, values: np.ndarray, units: str) -> np.ndarray:
        """Images in [-1, 1] as they are returned."""
        values = np.clip(values, -1.0, 1.0)
        if units == 'network':
            return values.astype(np.float32)
        stored = scale_from_unit(values, self.limits)
        if self.dtype.kind in 'ui':  # limits may lie beyond what the type holds
            info = np.iinfo(self.dtype)
            stored = np.rint(stored).clip(info.min, info.max)
        return stored.astype(self.dtype)

    def _spread(self, values: np.ndarray, units: str) -> np.ndarray:
        """Standard deviations in [-1, 1] as they are returned."""
        if units == 'network':
            return values.astype(np.float32)
        low, high = np.asarray(self.limits, np.float64).T
        return (values * (high - low) / 2.0).astype(np.float32)


def open_run(
    place: str | Path,
    checkpoint: str = '',
    *,
    batch_size: int | None = None,
    data_root: str | Path = '',
) -> OpenedRun:
    """Opens a trained network, to be used.

    Args:
      place: the folder of a run, an exported file, or the name of weights that come with eojax.
      checkpoint: `last` or `best`; empty for what the run's config says.
      batch_size: images in one call of the network; None for the run's own, on CPUs at most 32.
        Numbers may differ in their last digits from one batch size to another.
      data_root: where the run's own data lie now, for what needs them; most does not.

    Raises:
      UserError: there is no such run, or it is damaged, or what is given is no place.
    """
    if not isinstance(place, (str, os.PathLike)):
        raise UserError(
            'eojax.open takes the folder of a run, an exported file or the name of weights, not'
            f' {type(place).__name__}'
        )
    if checkpoint not in ('', 'last', 'best'):
        raise unknown_name('checkpoint', checkpoint, ('last', 'best'))
    compilation_cache.enable()
    with making.in_python():
        run, state = open_trained(expanded(Path(place)), checkpoint or None, str(data_root))
    return OpenedRun(run, state, batch_size)
