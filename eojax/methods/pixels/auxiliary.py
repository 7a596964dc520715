"""The unsupervised tasks beside segmentation, as the config chooses one.

"Semi-supervised Learning for Large-scale Earth Observation Data Understanding" (Castillo-Navarro,
2022), section 3.2.3. With phi_u the outputs of the second task,

    L_u = a_rec L_rec + a_reg L_reg                                         (Eq. 3.5)

  task             loss of a window x                               lambda that worked
  l1, l2           phi_u paints x (Eq. 3.6, 3.7)                    0.5, 5
  relaxed_k_means  softmax phi_u are memberships (Eq. 3.8 to 3.11)  1
  mumford_shah     the same memberships (Eq. 3.12)                  1
  inpainting       phi_u paints what a hole hid (Eq. 3.13)          5
  jigsaw           phi_u says how nine patches were permuted        0.5

The lambdas are those with which the authors' BerundaNet worked best on Christchurch; a
`method.auxiliary_weight` of -1 takes them (`weight_of`).

Notes:
  The thesis does not state K (`method.clusters`), a_rec, which is 1 here, or a_reg, which is
  `method.regularization_weight`; a_reg is that of Eq. 3.12 too.
  Jigsaw and inpainting need a window that is damaged. Those that are segmented are not: damaged
  ones are others (all training windows) in the same batch. The thesis leaves open whether the
  segmentation is scored on damaged images.
  A hole may be as large as the window, of which the thesis does not state the side.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, random
from ml_collections import ConfigDict

from eojax.errors import UserError, unknown_name
from eojax.losses import mumford_shah, reconstruction, relaxed_k_means
from eojax.losses.inpainting import dropped, inpainting, square_holes
from eojax.losses.jigsaw import GRID, jigsaw, permutations, permuted
from eojax.methods.method import share_of
from eojax.option import NOT_NEGATIVE, Option, Range, at_least, name_in

# Tasks to the lambda that worked.
WEIGHTS = {
    'l1': 0.5,
    'l2': 5.0,
    'relaxed_k_means': 1.0,
    'mumford_shah': 1.0,
    'inpainting': 5.0,
    'jigsaw': 0.5,
}
# The `method.auxiliary_weight` that stands for these.
PUBLISHED = -1.0
CLUSTERING = ('relaxed_k_means', 'mumford_shah')
# Of the config group `method`.
OPTIONS: dict[str, Option] = {
    'auxiliary': Option('l1', 'the unsupervised task', name_in(WEIGHTS)),
    'auxiliary_weight': Option(
        PUBLISHED,
        'lambda, the weight of the unsupervised task; -1: the published one',
        Range(
            '0 or more, or -1',
            'must be -1, the published one, or not negative',
            lambda weight: weight == PUBLISHED or 0.0 <= weight < math.inf,
        ),
    ),
    'regularization_weight': Option(
        0.1, 'weight of the regulariser of the clustering tasks', NOT_NEGATIVE
    ),
    'clusters': Option(8, 'clusters of the clustering tasks', at_least(2), 'clusters'),
    'hole': Option(80, 'side of the hole that inpainting fills', at_least(1), 'pixels'),
    'permutations': Option(
        100, 'permutations that the jigsaw tells apart, at most 1000', at_least(1)
    ),
}

Terms = Mapping[str, Array]


class Damage(NamedTuple):
    """Windows that the task shows to the network in place of others.

    Attributes:
      images: `[N, h, w, C]`.
      key: what the loss must know of it: holes, or numbers of permutations.
    """

    images: Array
    key: Array


class Auxiliary(NamedTuple):
    """A task of a config.

    Attributes:
      outputs: of the network's second part, for each pixel, or with `of_images` for each image.
      of_images: whether they are of an image as a whole.
      weight: lambda.
      damage: `(images, key) -> Damage`; None for tasks that need none.
      loss: `(outputs, images, damage, valid) -> (L_u, its terms by name)`: the images undamaged,
        what the damage was, and the pixels that show a measurement, None for all.
      paint: `(outputs, images) -> images` that the second part painted, in [-1, 1]; None for tasks
        that paint none.
    """

    outputs: int
    of_images: bool
    weight: float
    damage: Callable[[Array, Array], Damage] | None
    loss: Callable[[Array, Array, Array | None, Array | None], tuple[Array, Terms]]
    paint: Callable[[Array, Array], Array] | None


def check(method: ConfigDict, tasks: tuple[str, ...] = tuple(WEIGHTS)) -> None:
    """Refuses options that make no task.

    Args:
      method: the config group of that name, with the keys of `OPTIONS` that its tasks need.
      tasks: those that the method has.

    Raises:
      UserError: one line that names the key.
    """
    name = method.auxiliary
    if name not in tasks:
        raise unknown_name('method.auxiliary', name, tasks)
    if name == 'inpainting' and not 1 <= method.hole <= method.window:
        raise UserError(
            f'method.hole must be from 1 to {method.window}, the side of the window, not'
            f' {method.hole}'
        )
    if name == 'jigsaw' and not 2 <= method.permutations <= 1000:
        raise UserError(f'method.permutations must be from 2 to 1000, not {method.permutations}')
    if name == 'jigsaw' and method.window < GRID:
        raise UserError(f'method.window must be at least {GRID} for a jigsaw, not {method.window}')


def weight_of(task: str, weight: float) -> float:
    """Lambda of a task, where `method.auxiliary_weight` is `weight`."""
    return WEIGHTS[task] if weight == PUBLISHED else weight


def build(options: ConfigDict, bands: int) -> Auxiliary:
    """The task of a checked config group `method`.

    Args:
      bands: of the images.
    """
    name = options.auxiliary
    weight = weight_of(name, options.auxiliary_weight)
    if name in CLUSTERING:
        return _clustering(name, options.clusters, options.regularization_weight, weight)
    if name == 'inpainting':
        return _inpainting(options.hole, bands, weight)
    if name == 'jigsaw':
        return _jigsaw(options.permutations, weight)
    distance = {'l1': reconstruction.l1, 'l2': reconstruction.l2}[name]

    def loss(
        painted: Array, images: Array, damage: Array | None, valid: Array | None
    ) -> tuple[Array, Terms]:
        value = distance(images, painted, valid)
        return value, {'reconstruction': value}

    return Auxiliary(bands, False, weight, None, loss, _clipped)


def _clustering(name: str, clusters: int, regularization: float, weight: float) -> Auxiliary:
    if name == 'relaxed_k_means':
        distance, regular = relaxed_k_means.reconstruction, relaxed_k_means.peakedness
    else:
        distance, regular = mumford_shah.spread, mumford_shah.border_length

    def loss(
        outputs: Array, images: Array, damage: Array | None, valid: Array | None
    ) -> tuple[Array, Terms]:
        memberships = jax.nn.softmax(outputs)
        terms = {
            'reconstruction': distance(images, memberships, valid),
            'regularization': regular(memberships, valid),
        }
        return terms['reconstruction'] + regularization * terms['regularization'], terms

    def paint(outputs: Array, images: Array) -> Array:
        return relaxed_k_means.quantised(images, jax.nn.softmax(outputs))

    return Auxiliary(clusters, False, weight, None, loss, paint)


def _inpainting(side: int, bands: int, weight: float) -> Auxiliary:
    def damage(images: Array, key: Array) -> Damage:
        num, height, width, _ = images.shape
        holes = square_holes(key, num, (height, width), side)
        return Damage(dropped(images, holes), holes)

    def loss(
        painted: Array, images: Array, holes: Array | None, valid: Array | None
    ) -> tuple[Array, Terms]:
        assert holes is not None
        value = inpainting(images, painted, holes, valid)
        return value, {'reconstruction': value}

    return Auxiliary(bands, False, weight, damage, loss, _clipped)


def _jigsaw(num: int, weight: float) -> Auxiliary:
    orders = permutations(num)

    def damage(images: Array, key: Array) -> Damage:
        which = random.randint(key, (len(images),), 0, num)
        return Damage(permuted(images, jnp.asarray(orders)[which]), which)

    def loss(
        logits: Array, images: Array, which: Array | None, valid: Array | None
    ) -> tuple[Array, Terms]:
        assert which is not None
        counted = jnp.ones(len(logits), bool) if valid is None else valid.any((1, 2))
        right = counted & (logits.argmax(-1) == which)
        return jigsaw(logits, which, valid), share_of('jigsaw_accuracy', right, counted)

    return Auxiliary(num, True, weight, damage, loss, None)


def _clipped(painted: Array, images: Array) -> Array:
    return jnp.clip(painted, -1.0, 1.0)
