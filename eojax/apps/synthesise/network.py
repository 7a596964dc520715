"""A trained generator of images: its inputs, its output, and images of it in equal batches."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, random

from eojax.apps.map_scene.tiling import window_side
from eojax.data import facts
from eojax.data.value_range import scale_from_unit, scale_to_unit
from eojax.devices import sharding
from eojax.devices.compiler_options import compiler_options
from eojax.errors import UserError
from eojax.evaluation.scoring import filled_up, on_host, place_batch
from eojax.evaluation.synthesis.segmenter import inputs_of, target_of
from eojax.methods import METHODS
from eojax.methods.method import ability
from eojax.runs.run import Run
from eojax.samplers.keys import keys_of_images

ABILITY = 'synthesise'
_IMAGES = 'synthesis'  # what an error calls them
_ON_CPU = 4  # images in one call: wide maps of features need much memory
_LARGEST_WINDOW = 512  # unless the run or the user says another


class Model(NamedTuple):
    """A run that makes images.

    Attributes:
      run, state: on the devices of this process.
      rasters: the inputs besides land cover, in the order in which the generator takes them.
      target: the raster that it makes.
      sees_labels: whether it looks at land cover.
      batch_size: images in one call.
    """

    run: Run
    state: Any
    rasters: tuple[str, ...]
    target: str
    sees_labels: bool
    batch_size: int

    @property
    def output(self) -> facts.Raster:
        """Bands, type and limits of what it makes."""
        return self.run.facts.rasters[self.target]

    @property
    def window(self) -> int:
        """The side of what it is shown at once, in pixels."""
        return min(window_side(self.run), _LARGEST_WINDOW)


class Windows(NamedTuple):
    """Inputs of a batch of windows of one size.

    Attributes:
      labels: int32 `[N, h, w]`, -1 where the class is unknown.
      rasters: each float32 `[N, h, w, bands]` in [-1, 1].
    """

    labels: np.ndarray
    rasters: tuple[np.ndarray, ...]


def check_run(run: Run) -> None:
    """Refuses a run that was not trained for synthesis.

    Raises:
      UserError: one line that names the methods that are.
    """
    ability(run.method, ABILITY, run.config.method.name, METHODS)


def model_of(run: Run, state: Any, batch_size: int | None = None) -> Model:
    """The generator of a run.

    Args:
      batch_size: images in one call; None for the run's own, on CPUs at most 4.

    Raises:
      UserError: see `check_run`.
    """
    check_run(run)
    size = run.config.evaluate.batch_size
    if batch_size is None:
        batch_size = min(size, _ON_CPU) if jax.default_backend() == 'cpu' else size
    if batch_size < 1:
        raise UserError(f'batch_size must be at least 1, not {batch_size}')
    sees_labels = run.config.method.generator != 'raster'
    return Model(run, state, inputs_of(run), target_of(run), sees_labels, batch_size)


def rasters_of(run: Run) -> tuple[str, ...]:
    """The inputs besides land cover, in the order in which the generator takes them.

    Raises:
      UserError: see `check_run`.
    """
    check_run(run)
    return inputs_of(run)


def unit(stored: np.ndarray, raster: facts.Raster) -> np.ndarray:
    """Values of a raster as the generator sees them, float32 `[h, w, bands]` in [-1, 1].

    Of a raster that training had at a coarser resolution, all pixels that lie in one of its pixels
    have their mean.

    Args:
      stored: `[h, w, bands]`, of the raster's type and units, at the resolution of the land cover.
    """
    values = scale_to_unit(stored, raster.limits)
    scale, (height, width) = raster.scale, values.shape[:2]
    if scale == 1:
        return values
    beyond = ((0, -height % scale), (0, -width % scale), (0, 0))
    filled = np.pad(values, beyond, mode='edge')
    rows, columns = filled.shape[0] // scale, filled.shape[1] // scale
    coarse = filled.reshape(rows, scale, columns, scale, -1).mean((1, 3), dtype=np.float32)
    return coarse.repeat(scale, 0).repeat(scale, 1)[:height, :width]


def stored(values: np.ndarray, raster: facts.Raster) -> np.ndarray:
    """Images in [-1, 1] in the type and units of a raster."""
    images = scale_from_unit(np.clip(values, -1.0, 1.0), raster.limits)
    dtype = np.dtype(raster.dtype)
    if dtype.kind in 'ui':
        limits = np.iinfo(dtype)
        images = np.clip(np.rint(images), limits.min, limits.max)
    return images.astype(dtype)


def synthesise(model: Model, batches: Iterable[Windows]) -> Iterator[np.ndarray]:
    """Images of a stream of batches as it comes; the host prepares the next while devices compute.

    Randomness, where a generator has any, is that of the run's seed and of a window's own inputs.

    Args:
      batches: of at most `model.batch_size` windows, all of one size.

    Yields:
      For each batch float32 `[n, h, w, bands]` in [-1, 1].

    Raises:
      UserError: images that are not finite.
    """
    program = _program(model)
    key = sharding.place_key(random.key(model.run.config.seed), model.run.mesh)
    waiting: tuple[int, dict[str, Array]] | None = None
    for batch in batches:
        labels, *rasters = (
            place_batch(model.run, filled_up(array, model.batch_size))
            for array in (batch.labels, *batch.rasters)
        )
        images = program(model.state, labels, tuple(rasters), key)
        if waiting is not None:
            yield on_host(model.run, *waiting)[_IMAGES]
        waiting = (len(batch.labels), images)
    if waiting is not None:
        yield on_host(model.run, *waiting)[_IMAGES]


def _program(model: Model) -> Callable[..., dict[str, Array]]:
    """The generator as one program, compiled once for windows of one size."""
    run = model.run
    name = (ABILITY, run.mesh)
    if name not in run.programs:
        generate = run.method.abilities[ABILITY]

        def images(
            state: Any, labels: Array, rasters: tuple[Array, ...], key: Array
        ) -> dict[str, Array]:
            keys = keys_of_images(key, labels, *rasters)
            return {_IMAGES: generate(state, labels, rasters, keys).astype(jnp.float32)}

        run.programs[name] = jax.jit(
            images, out_shardings=sharding.replicated(run.mesh), compiler_options=compiler_options()
        )
    return run.programs[name]
