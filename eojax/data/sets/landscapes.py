"""Landscapes that are drawn and not downloaded: a small EuroSAT look-alike that is always there.

Ten classes with EuroSAT's names and order (Helber et al., EuroSAT: A Novel Dataset and Deep
Learning Benchmark for Land Use and Land Cover Classification, 2019), as 8-bit true-colour patches
at 10 m in Sentinel-2's usual scaling. Nothing in it is real imagery: results on it say whether a
method works, not how well it would do on Earth.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from ml_collections import ConfigDict

from eojax.data.dataset import Dataset, image_dataset
from eojax.data.facts import Files
from eojax.data.kinds import DatasetKind, check_drawn
from eojax.data.sets.eurosat import CLASS_COLOURS
from eojax.errors import UserError
from eojax.memory import FEWER, check_fits
from eojax.option import NOT_NEGATIVE, Option, at_least
from eojax.synthetic.canvas import Canvas
from eojax.synthetic.chance import Chance
from eojax.synthetic.layouts import LAYOUTS
from eojax.synthetic.scene import PIXEL_SIZE, Conditions, Scene
from eojax.synthetic.views.render_rgb import render_rgb

__all__ = ['CLASS_NAMES', 'generate', 'make_scenes', 'render_rgb']

CLASS_NAMES = tuple(LAYOUTS)
MIN_SIZE = 16
NAME = 'landscapes'
OPTIONS: dict[str, Option] = {
    'num_images': Option(4000, 'images that are drawn', at_least(10 * len(CLASS_NAMES)), 'images'),
    'seed': Option(0, 'seed of the drawing', NOT_NEGATIVE),
    'ground_size': Option(
        0, 'side of the ground in an image; 0: as size', NOT_NEGATIVE, 'pixels of 10 m'
    ),
}

# Pixels in one batch: its layers then fit in a core's cache.
_BATCH_PIXELS = 2**17


def generate(num: int, size: int = 64, seed: int = 0, labels: np.ndarray | None = None) -> Dataset:
    """Draws `num` landscapes.

    Image i depends on `seed`, i, its label and `size` alone, and is called `<class>/<class>_<i>`:
    without `labels`, a smaller data set is a part of a larger one of the same seed.

    Args:
      num: how many images, at least 1.
      size: their height and width in pixels of 10 m, at least 16.
      seed: at least 0.
      labels: the class of image i, integers `[num]`; by default the classes take turns.

    Returns:
      A `Dataset` in the order of names, so class after class.

    Raises:
      UserError: for arguments outside these ranges.
    """
    if num < 1:
        raise UserError(f'landscapes: num is {num}; ask for at least 1 image')
    chosen = np.arange(num) % len(CLASS_NAMES) if labels is None else np.asarray(labels)
    if chosen.shape != (num,):
        raise UserError(f'landscapes: labels have shape {chosen.shape}; give {num} of them')
    _check(chosen, size, seed)
    # Ties keep their order, so this is the order of the zero-padded names too.
    order = np.argsort(chosen, kind='stable')
    check_fits(num * size**2 * 3, f'{num:,} landscapes of {size} x {size} pixels', FEWER)
    images = np.empty((num, size, size, 3), np.uint8)
    step = max(1, _BATCH_PIXELS // size**2)
    for part in np.split(np.arange(num), np.flatnonzero(np.diff(chosen[order])) + 1):
        for start in range(0, len(part), step):
            rows = part[start : start + step]
            scenes = make_scenes(chosen[order[rows]], size, seed, indices=order[rows])
            images[rows] = render_rgb(scenes)
    digits = max(6, len(str(num - 1)))
    classes = [CLASS_NAMES[c] for c in chosen[order]]
    return image_dataset(
        images=images,
        labels=chosen[order].astype(np.int32),
        names=tuple(f'{c}/{c}_{i:0{digits}d}' for c, i in zip(classes, order, strict=True)),
        class_names=CLASS_NAMES,
    )


def make_scenes(
    labels: Sequence[int] | np.ndarray,
    size: int = 64,
    seed: int = 0,
    indices: Sequence[int] | np.ndarray | None = None,
) -> Scene:
    """Builds the scenes behind the images of `generate`.

    Args:
      labels: classes, integers `[N]`, indices into `CLASS_NAMES`.
      size: height and width in pixels of 10 m, at least 16.
      seed: at least 0.
      indices: the scenes' numbers, `[N]`; 0 to N - 1 if not given. A scene depends on `seed`, its
        number, its label and `size` alone.

    Raises:
      UserError: for unknown labels, a size below 16 or a negative seed or index.
    """
    labels = np.asarray(labels)
    _check(labels, size, seed)
    numbers = np.arange(len(labels)) if indices is None else np.asarray(indices)
    if numbers.shape != labels.shape or (numbers < 0).any():
        raise UserError('landscapes: give one index, at least 0, for each label')
    parts, places = [], []
    for label in np.unique(labels):
        place = np.flatnonzero(labels == label)
        chance = Chance([seed, int(i)] for i in numbers[place])
        canvas = Canvas(chance, size)
        LAYOUTS[CLASS_NAMES[label]](canvas)
        parts.append(canvas.scene())
        places.append(place)
    return _gather(parts, np.argsort(np.concatenate(places)))


def _gather(parts: list[Scene], order: np.ndarray) -> Scene:
    """Joins batches of scenes and puts them in the given order."""
    if len(parts) == 1:
        return parts[0]

    def join(arrays: tuple[np.ndarray, ...]) -> np.ndarray:
        return np.concatenate(arrays)[order]

    conditions = Conditions(*map(join, zip(*(p.conditions for p in parts), strict=True)))
    layers = {
        name: join(tuple(getattr(p, name) for p in parts))
        for name in Scene._fields
        if name != 'conditions'
    }
    return Scene(conditions=conditions, **layers)


def _check(labels: np.ndarray, size: int, seed: int) -> None:
    """Raises `UserError` unless the labels are known, and size and seed are in range."""
    if size < MIN_SIZE:
        raise UserError(f'landscapes: size is {size}; the smallest is {MIN_SIZE} pixels')
    if seed < 0:
        raise UserError(f'landscapes: seed is {seed}; use 0 or more')
    if labels.ndim != 1 or not len(labels) or not np.issubdtype(labels.dtype, np.integer):
        raise UserError('landscapes: labels must be a list of integers, one for each image')
    unknown = labels[(labels < 0) | (labels >= len(CLASS_NAMES))]
    if len(unknown):
        known = ', '.join(f'{i} {name}' for i, name in enumerate(CLASS_NAMES))
        raise UserError(f'landscapes: unknown label {unknown[0]} (known: {known})')


def _check_options(options: ConfigDict) -> None:
    check_drawn(NAME, options)
    ground = options.ground_size or options.size
    if ground % options.size:
        raise UserError(f'data.ground_size {ground} must be a multiple of data.size {options.size}')


def _from_config(options: ConfigDict, progress: bool) -> Dataset:
    """The data set of the config group `data`.

    `ground_size` is the side of the scenes in pixels of 10 m, 0 for `size`; larger ones are
    averaged down to `size`, so that small images still show the ground of an EuroSAT patch.
    """
    ground = options.ground_size or options.size
    dataset = generate(options.num_images, ground, options.seed)
    known = {
        'name': NAME,
        'title': 'drawn landscapes',
        'class_colours': CLASS_COLOURS,
        'metres': PIXEL_SIZE * ground / options.size,
        'files': Files(size=options.size),
    }
    if ground == options.size:
        return dataset.with_facts(**known)
    factor = ground // options.size
    shape = (options.num_images, options.size, factor, options.size, factor, 3)
    means = np.asarray(dataset.images).reshape(shape).mean((2, 4), dtype=np.float32)
    small = np.round(means).astype(np.uint8)
    small_set = image_dataset(small, dataset.labels, dataset.names, dataset.class_names)
    return small_set.with_facts(**known)


KIND = DatasetKind(
    NAME,
    _check_options,
    _from_config,
    OPTIONS,
    CLASS_NAMES,
)
