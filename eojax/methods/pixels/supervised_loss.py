"""The supervised loss of methods for pixels, as the config chooses it.

`method.loss` names it; all are over the labelled pixels of a batch and nothing else.
`method.class_weights` weights the classes in it: empty, all alike; numbers with a comma between,
one for each class; or `balanced`. Then with n_k the labelled pixels of class k among n, and K'
classes that have any,

    w_k = n / (K' n_k)

so that every class has the same weight in all. The pixels are counted once before training, over
all labelled training places, or over a fixed sample of 256 of them; of a place with a side above
1,024 px in one window of that side. A class of which no pixel was counted has the weight of the
rarest one that was: the sample may have missed it, and a weight of 0 would keep it from training.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from ml_collections import ConfigDict

from eojax.data.dataset import Dataset, Window
from eojax.data.facts import IMAGES, PIXEL_LABELS, Facts
from eojax.data.valid_pixels import valid_pixels
from eojax.errors import UserError
from eojax.losses.dice import dice
from eojax.losses.focal import focal
from eojax.losses.pixel_cross_entropy import pixel_cross_entropy
from eojax.option import NOT_NEGATIVE, Option, one_of

BALANCED = 'balanced'
# Of the config group `method`.
OPTIONS: dict[str, Option] = {
    'loss': Option(
        'cross_entropy',
        'the loss of labelled pixels',
        one_of('cross_entropy', 'focal', 'dice', 'cross_entropy_dice'),
    ),
    'focal_gamma': Option(2.0, 'exponent of the focal loss', NOT_NEGATIVE),
    'class_weights': Option(
        '', "weights of the classes: numbers with a comma between, 'balanced', or empty: all alike"
    ),
}
# Pixels are counted in so many places at most, and in a window of at most this side of each.
_PLACES, _SIDE = 256, 1024


class SupervisedLoss(NamedTuple):
    """The loss of a config.

    Attributes:
      loss: `(logits, labels, weights) -> loss`; the weights are those of `weights`.
      fit, fitted: of the method (`eojax.methods.method.Method`); None where nothing is counted.
    """

    loss: Callable[[Array, Array, Any], Array]
    fit: Callable[[Dataset], Any] | None = None
    fitted: Any = None

    def weights(self, fitted: Any) -> Any:
        """For the state: what the host counted, float32 `[K]`; empty where it counts nothing."""
        return () if self.fit is None else jnp.asarray(fitted, jnp.float32)


def check(method: ConfigDict) -> None:
    """Refuses weights of classes that are none.

    Args:
      method: the config group of that name, with the keys of `OPTIONS`.

    Raises:
      UserError: one line that names the key.
    """
    if method.class_weights not in ('', BALANCED):
        _numbers(method.class_weights)


def build(options: ConfigDict, facts: Facts, rasters: Sequence[str] = (IMAGES,)) -> SupervisedLoss:
    """The loss of a checked config group `method`.

    Args:
      rasters: that the network sees: of a pixel without data in one of them the class is not known.

    Raises:
      UserError: another number of weights than classes.
    """
    num = facts.num_classes
    given: np.ndarray | None = None
    if options.class_weights not in ('', BALANCED):
        given = _numbers(options.class_weights)
        if len(given) != num:
            raise UserError(
                f'method.class_weights: {len(given)} numbers for the {num} classes of'
                f' {facts.title or facts.name} ({", ".join(facts.class_names)})'
            )

    def loss(logits: Array, labels: Array, weights: Any) -> Array:
        chosen = weights
        if isinstance(weights, tuple):  # nothing was counted
            chosen = None if given is None else jnp.asarray(given)
        if options.loss == 'focal':
            return focal(logits, labels, options.focal_gamma, chosen)
        if options.loss == 'dice':
            return dice(logits, labels, chosen)
        value = pixel_cross_entropy(logits, labels, chosen)
        if options.loss == 'cross_entropy_dice':
            value = value + dice(logits, labels, chosen)
        return value

    if options.class_weights != BALANCED:
        return SupervisedLoss(loss)
    shape = jax.ShapeDtypeStruct((num,), np.float32)
    return SupervisedLoss(loss, lambda training: balanced_weights(_count(training, rasters)), shape)


def balanced_weights(counts: np.ndarray) -> np.ndarray:
    """w of the module's equation, float32 `[K]`; of classes without pixels the largest of all.

    Args:
      counts: `[K]`, labelled pixels of each class.
    """
    present = counts > 0
    share = counts.sum() / max(int(present.sum()), 1)
    weights = np.where(present, share / np.maximum(counts, 1), 0.0)
    return np.where(present, weights, weights.max()).astype(np.float32)


def _count(training: Dataset, rasters: Sequence[str]) -> np.ndarray:
    """Labelled pixels of each class, int64 `[K]`; of large data sets those of a fixed sample.

    Args:
      training: label -1 where a place's pixels are not to be known.
      rasters: in which a pixel must hold data.
    """
    draws, facts = np.random.default_rng(0), training.facts
    masks = facts.masks(rasters)
    grid = math.lcm(*(facts.rasters[name].scale for name in rasters)) if masks else 1
    places = np.flatnonzero(training.labels >= 0)
    if len(places) > _PLACES:
        places = np.sort(draws.choice(places, _PLACES, replace=False))
    counts = np.zeros(training.num_classes, np.int64)
    for place in places.tolist():
        sides = int(training.places.heights[place]), int(training.places.widths[place])
        window = None
        if max(sides) > _SIDE:
            height, width = (min(side, _SIDE) for side in sides)
            row, column = (int(draws.integers(side - _SIDE + 1)) if side > _SIDE else 0
                           for side in sides)  # fmt: skip
            # Masks of coarse rasters are read by whole pixels.
            window = Window(*(value // grid * grid for value in (row, column, height, width)))
        read = training.source.read(place, window, (PIXEL_LABELS, *masks))
        labels = read[PIXEL_LABELS]
        if masks:
            size = (labels.shape[0], labels.shape[1])
            labels = labels[valid_pixels(read, facts, size)]
        counts += np.bincount(labels.reshape(-1), minlength=256)[: training.num_classes]
    if not counts.any():
        raise UserError(
            "method.class_weights='balanced': no labelled pixel was found in the labelled training"
            ' places; give numbers, or leave it empty'
        )
    return counts


def _numbers(text: str) -> np.ndarray:
    try:
        weights = np.array([float(part) for part in text.split(',')], np.float32)
    except ValueError as error:
        raise UserError(
            "method.class_weights must be empty, 'balanced' or numbers with a comma between, not"
            f' {text!r}'
        ) from error
    if not (np.isfinite(weights).all() and (weights >= 0).all() and weights.any()):
        raise UserError(f'method.class_weights must be 0 or more and not all 0, not {text!r}')
    return weights
