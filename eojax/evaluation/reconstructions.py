"""Held-out images as a method that can `reconstruct` gives them back: an error and a figure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from eojax.data.dataset import Dataset
from eojax.data.reading.lazy_images import Images
from eojax.data.value_range import scale_to_unit
from eojax.devices import sharding
from eojax.devices.compiler_options import compiler_options
from eojax.drawing import figures
from eojax.drawing.pictures import arrange, visible_bands
from eojax.evaluation.evaluators import Evaluator, Measured
from eojax.evaluation.outliers import spread
from eojax.evaluation.scoring import filled_up, image_keys, place_batch
from eojax.feed.pipeline import to_uint8
from eojax.methods import METHODS
from eojax.methods.method import ability
from eojax.runs.run import Run

_COLUMNS, _ROWS = 8, 3  # of images in the figure; each has its reconstruction below it


def reconstruction(run: Run, state: Any, tested: Dataset) -> Evaluator:
    """The error over all images, and `reconstructions.png` of some.

    `reconstruction_rmse`: root of the mean square error over images, pixels and bands, in levels of
    8 bits.
    """

    def finish(_: None) -> Measured:
        shown = spread(len(tested.labels), _COLUMNS * _ROWS)
        total, values, first = 0.0, 0, 0
        pairs = []
        for images, again in reconstruct_batches(run, state, tested.images):
            squares = np.square(127.5 * (images.astype(np.float64) - again))
            total, values = total + squares.sum(), values + squares.size
            here = shown[(shown >= first) & (shown < first + len(images))] - first
            pairs.append(np.stack([to_uint8(images[here]), to_uint8(again[here])]))
            first += len(images)
        numbers = {'reconstruction_rmse': float(np.sqrt(total / values))}
        return Measured(numbers, lambda out: _draw(np.concatenate(pairs, 1), tested.bands, out))

    return Evaluator((), lambda: None, lambda held, outputs, batch: held, finish)


def _draw(pairs: np.ndarray, bands: Sequence[str], out: Path) -> None:
    """Writes the figure of images and, below each, its reconstruction, uint8 `[2, N, H, W, C]`."""
    seen = visible_bands(pairs, bands)
    columns = min(_COLUMNS, pairs.shape[1])
    rows = np.stack([arrange(part, columns) for part in seen], 1)
    names = ['image', 'reconstruction'] * rows.shape[0]
    grid = rows.reshape(-1, *rows.shape[2:])
    figures.image_grid(grid, out / 'reconstructions.png', row_labels=names)


def reconstruct_batches(
    run: Run, state: Any, images: Images
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Images and their reconstructions, float32 `[n, H, W, C]` in [-1, 1], batch by batch.

    Args:
      images: as in `eojax.evaluation.scoring.score_all`.

    Raises:
      UserError: the method cannot reconstruct; the message says which can.
    """
    function = ability(run.method, 'reconstruct', run.config.method.name, METHODS)
    size, limits = run.config.evaluate.batch_size, run.images.limits

    def both(state: Any, stored: jax.Array, key: jax.Array) -> tuple[jax.Array, jax.Array]:
        scaled = scale_to_unit(stored, limits)
        return scaled, function(state, scaled, key)

    everywhere = sharding.replicated(run.mesh)
    compiled = jax.jit(both, out_shardings=everywhere, compiler_options=compiler_options())
    for start in range(0, len(images), size):
        part = images[np.arange(start, min(start + size, len(images)))]
        placed = place_batch(run, filled_up(part, size))
        outputs = compiled(state, placed, image_keys(run, placed))
        scaled, again = (np.asarray(x)[: len(part)] for x in outputs)
        yield scaled, again
