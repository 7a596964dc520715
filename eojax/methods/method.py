"""The contract between the training loop and a learning method.

A method is a value: pure functions built from the config, as optax builds an optimiser from
`(init, update)`. The loop never asks which method it runs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax.numpy as jnp
from jax import Array
from ml_collections import ConfigDict

from eojax.data.dataset import Dataset
from eojax.data.facts import Facts
from eojax.errors import UserError
from eojax.feed.streams import Batch, Stream
from eojax.option import Options
from eojax.samplers.langevin import Langevin

State = Any
Metrics = Mapping[str, Array]
Shape = tuple[int, int, int]
# Ends the name of the metric that says of how much another one is a share.
COUNTED = '_counted'


class Task(NamedTuple):
    """All that a method is built from besides the config: numbers and names, no images.

    A run's folder keeps these, so that a trained method is built again without its data.

    Attributes:
      facts: of the target: classes, rasters, ...
      image_shape: height, width and bands of the raster `images` as the network sees it.
      num_training: how many training places there are.
      label_counts: of each class, how many labelled training images it has.
      num_devices: over which each batch is split.
      source: the facts of the source, for methods that learn from two data sets; None for the
        others. Its classes are the target's; its image size and bands are its own.
      source_shape: as `image_shape`, of the source's images.
      source_label_counts: as `label_counts`, of the source's images; empty without one.
    """

    facts: Facts
    image_shape: Shape
    num_training: int
    label_counts: tuple[int, ...]
    num_devices: int = 1
    source: Facts | None = None
    source_shape: Shape | None = None
    source_label_counts: tuple[int, ...] = ()

    @property
    def num_classes(self) -> int:
        """How many classes the facts name."""
        return self.facts.num_classes


class Phase(NamedTuple):
    """A stretch of training with one compiled step.

    Attributes:
      name: for logs.
      steps: how many.
      streams: what each batch holds.
      step: `(state, batch, key) -> (state, metrics)`, traced once and compiled with donated state.
        Metrics are scalars; `loss` is among them. The log has their means over steps; of a share
        (`share_of`) that of all that the steps counted.
      begin: what happens to the state once, before the first step of the phase.
    """

    name: str
    steps: int
    streams: Mapping[str, Stream]
    step: Callable[[State, Batch, Array], tuple[State, Metrics]]
    begin: Callable[[State], State] | None = None


def share_of(name: str, right: Array, counted: Array) -> dict[str, Array]:
    """A metric that is a share of what a step counts, which may be nothing, and how much it counts.

    Args:
      right: bool, of any shape, the part of what is counted that the share is of.
      counted: bool, of the same shape.

    Returns:
      `name`, 0 where nothing is counted, and `name_counted`: without it, such a step would stand
      for a share of 0 in the mean over steps.
    """
    num = counted.sum()
    return {name: right.sum() / jnp.maximum(num, 1), f'{name}{COUNTED}': num.astype(jnp.float32)}


class Sampling(NamedTuple):
    """How a method that can `sample` does so.

    Attributes:
      chain: the Langevin chains that it is trained with; None for a method without chains, whose
        `sample` takes none.
      by_class: whether each sample is of a given class, p(x|y); otherwise they are of p(x).
    """

    chain: Langevin | None = None
    by_class: bool = False


class Method(NamedTuple):
    """A learning method.

    Attributes:
      init: `(key, example_batch, fitted) -> state`, a NamedTuple with all that the next step needs.
        What is in the state is in the checkpoint; what is not in the state does not exist. The
        number of steps done is the loop's and not the state's. It is traced as a step is; the
        example has the shapes and types of a batch of the first phase, and all its values are zero.
      phases: in order; most methods have one.
      abilities: what it can do after training, by name, each `(state, ...) -> arrays`:
        `logits(state, images, key)` float32 `[N, classes]`, for images in [-1, 1]; the key of this
        and of all that are asked about images is one, or `[N]`, one for each image;
        `pixel_logits(state, images, key)` float32 `[N, h, w, classes]`;
        `features(state, images, key)` float32 `[N, D]`, of each image as a whole;
        `encoder_features(state, images, key)` float32 `[N, D]`, of all levels of an encoder;
        `log_density(state, images, key)` float32 `[N]`, unnormalised, of a density that was
        trained;
        `sample(state, key, labels, ...)` and the like, as their methods document them.
      split: names of the state's fields whose first axis is split over the devices; the others are
        replicated.
      score: the metric of the validation split that says which state is the best one, higher is
        better; each phase of training has a best state of its own.
      rasters: what abilities take in place of images, in this order:
        `logits(state, *rasters, key)`.
      window: the side of the windows that it is evaluated in; None for whole images.
      fit: the method's work on the host, done once before training: the training set of the
        target, with label -1 outside the labelled subset, to a tree of NumPy arrays. None where
        there is none.
      fitted: shapes and types of what `fit` returns (`jax.ShapeDtypeStruct`), known without data.
      sampling: of methods that can `sample`.
      notes: what to tell the user before training, a line each.
    """

    init: Callable[[Array, Batch, Any], State]
    phases: tuple[Phase, ...]
    abilities: Mapping[str, Callable[..., Any]]
    split: tuple[str, ...] = ()
    score: str = 'accuracy'
    rasters: tuple[str, ...] = ('images',)
    window: int | None = None
    fit: Callable[[Dataset], Any] | None = None
    fitted: Any = None
    sampling: Sampling = Sampling()
    notes: tuple[str, ...] = ()


class Recipe(NamedTuple):
    """A learning method as configs know it, before there is a task.

    Attributes:
      options: the config groups that it adds to or changes, `method` among them.
      abilities: the names of what it can do after training.
      build: the method of a checked config.
      check: refuses, by a `UserError` that names the key, options that are right by themselves and
        cannot work together.
      models: the names of the networks that it trains; where empty, all that `eojax.models.build`
        can make for images.
      needs_source: whether it learns from a second data set.
      labels: the kinds of label that its data may have (`eojax.data.facts.LABELS`).
      starts_from_weights: whether its state has the network of `config.model` as `trained`, so that
        training may start from weights of another run (`model.weights`).
      advice: what to change where training diverges, as the second half of a sentence.
    """

    options: Mapping[str, Options]
    abilities: tuple[str, ...]
    build: Callable[[ConfigDict, Task], Method]
    check: Callable[[ConfigDict], None] = lambda config: None
    models: tuple[str, ...] = ()
    needs_source: bool = False
    labels: tuple[str, ...] = ('image',)
    starts_from_weights: bool = False
    advice: str = 'lower optimizer.learning_rate'


def ability(
    method: Method, name: str, method_name: str, known: Mapping[str, Recipe]
) -> Callable[..., Any]:
    """The ability `name` of a method.

    Args:
      known: the methods by name, for the error.

    Raises:
      UserError: the method does not have it; the message says which methods do.
    """
    if name in method.abilities:
        return method.abilities[name]
    having = ', '.join(having_ability(known, name)) or 'none'
    raise UserError(f'method {method_name!r} cannot {name.replace("_", " ")}; these can: {having}')


def having_ability(known: Mapping[str, Recipe], name: str) -> list[str]:
    """The names of the methods that have an ability, sorted."""
    return sorted(method for method, recipe in known.items() if name in recipe.abilities)
