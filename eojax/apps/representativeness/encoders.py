"""What makes features of images: a trained run, or the weights of a network that is known here."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from eojax.apps.representativeness.places import Form
from eojax.data.facts import IMAGES, Facts, Files, Raster
from eojax.errors import UserError
from eojax.evaluation.scoring import score_batches
from eojax.methods import METHODS
from eojax.methods.method import having_ability
from eojax.models import inception
from eojax.runs.run import Run

_INCEPTION_BATCH = 16


class Encoder(NamedTuple):
    """Images to features.

    Attributes:
      title: for people.
      form: in which it sees images.
      facts: of the images that it was trained on.
      batch_size: images a batch.
      encode: batches `[n, h, w, bands]` of each raster, n at most `batch_size`, to float32 `[n, D]`
        each.
    """

    title: str
    form: Form
    facts: Facts
    batch_size: int
    encode: Callable[[Iterable[tuple[np.ndarray, ...]]], Iterator[np.ndarray]]


def of_run(run: Run, state: Any, window: int | None) -> Encoder:
    """The features of a trained run.

    A run for whole images sees all of them at its own size. A run for pixels sees windows, those of
    its training unless the option says another side; 0 means whole tiles.

    Args:
      window: the option `--window`; None where it is not given.
    """
    rasters = {name: run.facts.rasters[name] for name in run.method.rasters}
    pixelwise = 'pixel_logits' in run.method.abilities
    side = None if pixelwise else run.task.image_shape[0]
    if window is None and pixelwise:
        window = int(run.config.method.get('window', 0)) or run.method.window
    form = Form(rasters, side, window or None)

    def encode(batches: Iterable[tuple[np.ndarray, ...]]) -> Iterator[np.ndarray]:
        for scores in score_batches(run, ('features',), state, batches):
            yield scores['features']

    title = f'{run.config.method.name} {run.config.model.name} of {run.folder}, step {run.step:,}'
    return Encoder(title, form, run.facts, run.config.evaluate.batch_size, encode)


def check_run(run: Run) -> None:
    """Refuses runs whose method gives no features.

    Raises:
      UserError: it says which do.
    """
    if 'features' not in run.method.abilities:
        having = ', '.join(having_ability(METHODS, 'features'))
        raise UserError(
            f'{run.folder}: method {run.config.method.name!r} gives no features; these do: {having}'
        )


def of_inception(path: Path, window: int | None) -> Encoder:
    """The 2,048 features of the Inception network (`eojax.models.inception`), for 8-bit colours.

    Raises:
      UserError: the file does not hold these weights.
    """
    weights = inception.load_inception(path)
    facts = Facts(title='ImageNet', rasters={IMAGES: Raster()}, files=Files())
    form = Form(dict(facts.rasters), inception.INPUT_SIZE, window or None, colours=True)
    return Encoder(
        f'Inception-v3 of ImageNet, {path}',
        form,
        facts,
        _INCEPTION_BATCH,
        functools.partial(_inception_features, weights),
    )


def _inception_features(
    weights: inception.Params, batches: Iterable[tuple[np.ndarray, ...]]
) -> Iterator[np.ndarray]:
    for (images,) in batches:
        # Filled up, so that one program does all.
        full = np.zeros((_INCEPTION_BATCH, *images.shape[1:]), np.uint8)
        full[: len(images)] = images
        yield inception.features(weights, full, batch_size=_INCEPTION_BATCH)[: len(images)]
