"""Samples, repairs and comparisons as arrays, by what the commands are made of."""

from __future__ import annotations

import contextlib
import math
import operator
import re
from collections.abc import Iterator
from typing import Any

import numpy as np

from eojax.apps import generate
from eojax.apps.restore import repair
from eojax.data.facts import Raster
from eojax.data.reading.patches import resample_floats
from eojax.errors import UserError, unknown_name
from eojax.evaluation import reference
from eojax.evaluation.predictions.rows import training_of
from eojax.evaluation.sampling import draw_ends
from eojax.library.arrays import WrongArray, check_mask
from eojax.methods import METHODS
from eojax.methods.method import ability
from eojax.runs.command import check_seed
from eojax.runs.run import Run

_STARTS = ('', 'buffer', 'fresh', 'noise')
_SAMPLERS = ('texture', 'langevin')


@contextlib.contextmanager
def in_python() -> Iterator[None]:
    """Options of a command are arguments of a function here, and messages call them so."""
    try:
        yield
    except UserError as error:
        text = re.sub(r'--class\b', 'label', str(error))
        raise type(error)(re.sub(r'--(\w+)', r'\1', text)) from None


def whole(name: str, value: Any, least: int | None = 1) -> int:
    """A whole number that somebody gave.

    Raises:
      UserError: it is none, or less than `least`.
    """
    try:
        number = operator.index(value)
    except TypeError:
        raise UserError(f'{name} must be a whole number, not {value!r}') from None
    if least is not None and number < least:
        raise UserError(f'{name} must be at least {least}, not {number}')
    return number


def sample(
    run: Run,
    state: Any,
    num: int,
    label: int | None,
    start: str,
    steps: int | None,
    step_size: float | None,
    noise: float | None,
    seed: int,
) -> np.ndarray:
    """Images float32 `[num, H, W, C]` near [-1, 1]; args and errors as `OpenedRun.sample`."""
    ability(run.method, 'sample', run.config.method.name, METHODS)
    if start not in _STARTS:
        raise unknown_name('start', start, _STARTS[1:])
    num = whole('num', num)
    steps = None if steps is None else whole('steps', steps)
    if step_size is not None and not 0.0 < step_size < math.inf:
        raise UserError(f'step_size must be positive, not {step_size}')
    if noise is not None and not 0.0 <= noise < math.inf:
        raise UserError(f'noise must not be negative, not {noise}')
    check_seed(whole('seed', seed, 0), 'seed')
    request = generate.Request(num, label, start, steps, step_size, noise, seed)
    with in_python():
        chain = generate.choose_chain(run, request)
        starts = generate.choose_starts(run, state, request)
        return draw_ends(run, state, starts, seed, chain)


def check_masks(images: Any, masks: Any, raster: Raster) -> tuple[np.ndarray, np.ndarray]:
    """Images whose missing pixels hold nothing that would be refused, and a mask for each.

    Raises:
      WrongArray: masks of another size, type or number; or such that miss nothing or all of an
        image.
    """
    check_mask(masks, 'masks')
    hidden = np.ma.getmaskarray(images) if isinstance(images, np.ma.MaskedArray) else None
    if hidden is None:
        check_mask(images)
    images, masks = np.array(images), np.asarray(masks)
    if masks.dtype != np.bool_:
        raise WrongArray(
            f'masks must be bool, True where a pixel is missing, not {masks.dtype}: masks != 0'
        )
    if images.ndim != 4 or not images.size:
        return images, masks  # refused with the images
    if masks.shape == images.shape[1:3]:
        masks = np.broadcast_to(masks, images.shape[:3])
    if masks.shape != images.shape[:3]:
        raise WrongArray(
            f'masks must be [N, H, W] = {list(images.shape[:3])} or [H, W], not {list(masks.shape)}'
        )
    if hidden is not None and (hidden.any(-1) & ~masks).any():
        raise WrongArray(
            'images have masked pixels that masks does not call missing: add them to it,'
            ' numpy.ma.getmaskarray(images).any(-1), or fill them (images.filled(value))'
        )
    missing = masks.reshape(len(masks), -1)
    for number in np.flatnonzero(missing.all(1) | ~missing.any(1))[:1]:
        what = 'everything' if missing[number].all() else 'nothing'
        raise WrongArray(f'masks[{number}] says that {what} of the image is missing')
    if images.shape[3] == len(raster.bands):
        # Of the type that is there, so that what is said of the others is said of them.
        kept = images.dtype.kind in 'ui' or images.dtype == raster.dtype
        images[masks] = raster.empty.astype(images.dtype) if kept else 0.0
    return images, masks


def resized_masks(masks: np.ndarray, size: tuple[int, int], dtype: np.dtype) -> np.ndarray:
    """Masks of images that were resampled: what a missing pixel had a part in is missing.

    Args:
      masks: bool `[N, H, W]`.
      size: of the images now.
      dtype: of the run's images, which says by which filter they were resampled.

    Raises:
      WrongArray: nothing of an image is left.
    """
    if masks.shape[1:] == size:
        return masks
    # Bicubic weights may be negative: of their sum nobody knows which pixels had a part.
    rows, columns = (
        (resample_floats(np.eye(length)[:, None], size[0], dtype)[:, 0] != 0.0).astype(np.float32)
        for length in masks.shape[1:]
    )
    resized: np.ndarray = rows @ masks.astype(np.float32) @ columns.T > 0.0
    for number in np.flatnonzero(resized.all((1, 2)))[:1]:
        raise WrongArray(
            f'masks[{number}] leaves nothing of the image at {size[0]} x {size[1]} px: cut out'
            ' patches of this size, in place of resize=True'
        )
    return resized


def restore(
    run: Run,
    state: Any,
    images: np.ndarray,
    masks: np.ndarray,
    chains: int,
    name: str,
    sampler: str,
    steps: int | None,
    seed: int,
) -> repair.Repaired:
    """Repairs of images in [-1, 1]; args and errors as `OpenedRun.restore`."""
    if sampler not in _SAMPLERS:
        raise unknown_name('sampler', sampler, _SAMPLERS)
    chains = whole('chains', chains)
    steps = None if steps is None else whole('steps', steps)
    check_seed(whole('seed', seed, 0), 'seed')
    settings = repair.choose_settings(run, chains, name, sampler, steps, seed)
    with in_python():
        texture = repair.texture_of(run, state)
    return repair.repair(run, state, images, masks, texture, settings)


def percentiles(run: Run, state: Any, scores: np.ndarray) -> np.ndarray:
    """Where values of log p(x) stand among those of the training images, 0 to 100."""
    with in_python():
        if 'pixel_logits' in run.method.abilities:
            training = reference.reference_pixels(run, state)
        else:
            training = reference.reference_scores(run, state, ('log_density',))['log_density']
    below = np.searchsorted(training_of(training).scores, scores, 'right')
    return 100.0 * below / len(training)
