"""The evaluator of generated images: FID and KID, class shares, and a grid beside real images."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from ml_collections import ConfigDict

from eojax.data.dataset import Dataset
from eojax.devices import sharding
from eojax.drawing import figures
from eojax.drawing.pictures import (
    REAL_COLUMNS,
    SAMPLE_COLUMNS,
    ClassImages,
    arrange,
    displayed,
    grid_by_class,
    visible_bands,
    visible_indices,
)
from eojax.errors import UserError
from eojax.evaluation.evaluators import Evaluator, Measured
from eojax.evaluation.reference import examples
from eojax.evaluation.sampling import Starts, draw_samples, run_on_starts
from eojax.evaluation.scoring import score
from eojax.home import expanded
from eojax.messages import say
from eojax.metrics import generation
from eojax.models import inception
from eojax.runs.run import Run

# Samples from which the grid is filled, where FID does not ask for more.
GRID_SAMPLES = 256


class Samples(NamedTuple):
    """Generated images.

    Attributes:
      images: uint8 `[N, H, W, C]`.
      starts: of the chains that made them.
    """

    images: np.ndarray
    starts: Starts


def samples_of(run: Run, state: Any, num_tested: int) -> Callable[[], Samples | None]:
    """Makes the samples when they are first asked for; None for a method that makes none."""

    @functools.cache
    def draw() -> Samples | None:
        if 'sample' not in run.method.abilities:
            return None
        options = run.config.evaluate
        num = min(options.inception_images, num_tested) if options.inception else 0
        return make_samples(run, state, max(num, GRID_SAMPLES))

    return draw


def make_samples(run: Run, state: Any, num: int) -> Samples:
    """Samples of a run as its evaluation makes them: the ends of its own chains, run on.

    Raises:
      UserError: the method cannot sample; the message says which can.
    """
    starts = run_on_starts(run, state, num, run.config.seed)
    images = draw_samples(run, state, starts, run.config.seed, title='sampling')
    return Samples(images, starts)


def generated(
    run: Run, state: Any, tested: Dataset, draw_all: Callable[[], Samples | None]
) -> Evaluator:
    """FID, KID and a grid; it reads as many of the tested images as `evaluate.inception_images`."""

    def finish(_: None) -> Measured:
        samples = draw_all()
        if samples is None:
            return Measured({})
        classes = classes_of(run, state, samples)
        numbers = (
            distances(run.config.evaluate, tested, samples) if sharding.is_main_process() else {}
        )
        shares = {} if classes is None else class_shares(classes, run.facts.class_names)
        numbers |= {'samples': len(samples.images), **shares}
        return Measured(numbers, lambda out: _draw_grid(run, samples.images, classes, out))

    return Evaluator((), lambda: None, lambda held, outputs, batch: held, finish)


def class_shares(classes: np.ndarray, names: Sequence[str]) -> dict[str, float]:
    """The share of samples that each class has, by `sample_share_<Class>`.

    Args:
      classes: int `[N]`, of the samples.
      names: of all classes.
    """
    counts = np.bincount(classes, minlength=len(names))
    return {
        f'sample_share_{name}': float(count / len(classes))
        for name, count in zip(names, counts, strict=True)
    }


def classes_of(run: Run, state: Any, samples: Samples) -> np.ndarray | None:
    """The class a sample was made for; where it was made for none, the one it is taken for.

    None for a method that knows no classes.
    """
    if samples.starts.conditional:
        return samples.starts.labels
    if 'logits' not in run.method.abilities:
        return None
    return score(run, 'logits', state, samples.images).argmax(-1)


def distances(options: ConfigDict, tested: Dataset, samples: Samples) -> dict[str, float]:
    """FID and KID of equally many tested images and samples; nothing where there are no weights."""
    if not options.inception:
        say('FID and KID are left out: --config.evaluate.inception names no Inception weights')
        return {}
    if not visible_indices(tested.bands):
        say(f'FID and KID are left out: the bands are {", ".join(tested.bands)}')
        return {}
    params = inception.load_inception(expanded(options.inception))
    num = min(options.inception_images, len(tested.labels), len(samples.images))
    chosen = np.random.default_rng(0).permutation(len(tested.labels))[:num]
    real, generated = (
        inception.features(params, displayed(images, tested.bands, tested.limits), progress=True)
        for images in (tested.images[chosen], samples.images[:num])
    )
    return {
        'fid': generation.fid(real, generated),
        'kid': generation.kid(real, generated),
        'inception_images': num,
    }


def _draw_grid(run: Run, samples: np.ndarray, classes: np.ndarray | None, out: Path) -> None:
    """A row for each class; without classes, as many samples beside as many real images."""
    bands, num_classes = run.images.bands, run.facts.num_classes
    try:
        images, labels = real_examples(run)
    except UserError as error:
        say(f'no samples.png, as there are no real images to set beside: {error}')
        return
    seen = displayed(images, bands, run.images.limits)
    made = visible_bands(samples, bands)
    if classes is None:
        parts = [arrange(part, REAL_COLUMNS) for part in (seen, made[: len(seen)])]
        columns = ['real'] * REAL_COLUMNS + ['sample'] * REAL_COLUMNS
        beside = np.concatenate(parts, 1)
        figures.image_grid(beside, out / 'samples.png', column_labels=columns, title='Samples')
        return
    sets = [
        ClassImages(seen, labels, REAL_COLUMNS),
        ClassImages(made, classes, SAMPLE_COLUMNS),
    ]
    grid = grid_by_class(sets, num_classes)
    shares = class_shares(classes, run.facts.class_names).values()
    rows = [f'{n}  {s:.0%}' for n, s in zip(run.facts.class_names, shares, strict=True)]
    columns = ['real'] * REAL_COLUMNS + ['sample'] * SAMPLE_COLUMNS
    title = f'Samples by class, and the share of {len(samples)} that each class has'
    figures.image_grid(grid, out / 'samples.png', rows, columns, title)


def real_examples(run: Run, each: int = REAL_COLUMNS) -> tuple[np.ndarray, np.ndarray]:
    """A few training images of each class and their labels, as stored.

    Raises:
      UserError: the run's folder keeps none, and the data are not there.
    """
    if run.domains is None:
        kept = examples(run)
        chosen = _first_of_each(kept.labels, run.facts.num_classes, each)
        return kept.images[chosen], kept.labels[chosen]
    train = run.splits.train
    chosen = train[_first_of_each(run.dataset.labels[train], run.facts.num_classes, each)]
    return run.dataset.images[chosen], run.dataset.labels[chosen]


def _first_of_each(labels: np.ndarray, num_classes: int, each: int) -> np.ndarray:
    if not num_classes:  # of a data set without classes, a row of any
        return np.arange(min(len(labels), each))
    rows = [np.flatnonzero(labels == label)[:each] for label in range(num_classes)]
    return np.concatenate(rows)
