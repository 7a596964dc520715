"""What a trained network says about any number of images: logits, log p(x), in equal batches.

A method may look at its input through noise (`eojax.methods.jem`), so a score has a key: that of
the run's seed and the batch's number. The same images in the same order give the same scores.
"""

from __future__ import annotations

from typing import Any

import jax
import numpy as np
from jax import random
from tqdm import tqdm

from eojax import sharding
from eojax.compiler_options import compiler_options
from eojax.data.lazy_images import Images
from eojax.data.pipeline import to_unit_range
from eojax.errors import UserError
from eojax.methods import METHODS
from eojax.methods.method import ability
from eojax.run import Run

_to_unit_range = jax.jit(to_unit_range, static_argnames='limits')


def score(
    run: Run,
    name: str,
    state: Any,
    images: Images,
    chosen: np.ndarray | None = None,
    title: str = '',
) -> np.ndarray:
    """The ability `name` (`logits`, `log_density`) of the run's method for each image.

    All calls have `evaluate.batch_size` images, the last one filled up, and share one compiled
    program, also between calls of this function. All processes of a run call it together.

    Args:
      name: of an ability `(state, images, key) -> array [N, ...]`.
      state: of the method.
      images: `[num, H, W, C]`: uint8, or of another type in the units of the run's data set, whose
        limits scale them. Those on disk are read batch by batch.
      chosen: indices of the images to score, in order; all where None.
      title: of a progress bar; no bar where empty.

    Returns:
      float32 `[num or len(chosen), ...]` on the host.

    Raises:
      UserError: the method has no such ability, or its outputs are not finite.
    """
    function = ability(run.method, name, run.config.method.name, METHODS)
    # jax keeps what it compiled for as long as the method lives, and no longer.
    everywhere = sharding.replicated(run.mesh)
    compiled = jax.jit(function, out_shardings=everywhere, compiler_options=compiler_options())
    chosen = np.arange(len(images)) if chosen is None else chosen
    size = run.config.evaluate.batch_size
    bar = tqdm(
        total=len(chosen), desc=title, unit='img', leave=False,
        disable=not (title and sharding.is_main_process()),
    )  # fmt: skip
    outputs: list[Any] = []
    with bar:
        for number, start in enumerate(range(0, len(chosen), size)):
            rows = chosen[start : start + size]
            batch = np.zeros((size, *images.shape[1:]), images.dtype)
            batch[: len(rows)] = images[rows]
            key = random.fold_in(random.key(run.config.seed), number)
            placed = _to_unit_range(place_batch(run, batch), limits=run.dataset.limits)
            outputs.append(compiled(state, placed, sharding.place_key(key, run.mesh)))
            if number:  # the host stays one batch ahead of the devices
                outputs[-2] = np.asarray(outputs[-2])
                bar.update(size)
    if not outputs:
        raise ValueError('no images to score')
    scores = np.concatenate([np.asarray(output, np.float32) for output in outputs])[: len(chosen)]
    if not np.isfinite(scores).all():
        raise UserError(
            f'{run.folder}: the {name.replace("_", " ")} of some images is not finite:'
            ' this checkpoint is of a training that diverged'
        )
    return scores


def place_batch(run: Run, batch: np.ndarray) -> jax.Array:
    """A host array on the devices, its first axis split over them where they divide it."""
    divides = len(batch) % run.mesh.size == 0
    place = sharding.split(run.mesh) if divides else sharding.replicated(run.mesh)
    return sharding.place(batch, place)
