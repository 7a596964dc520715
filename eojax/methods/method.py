"""The contract between the training loop and a learning method.

A method is a value: pure functions built from the config, as optax builds an optimiser from
`(init, update)`. The loop never asks which method it runs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
from jax import Array

from eojax.data.dataset import Dataset
from eojax.errors import UserError
from eojax.feed.streams import Batch, Stream

State = Any
Metrics = Mapping[str, Array]


class Task(NamedTuple):
    """What a method may know of its data before the first batch.

    Attributes:
      class_names: one for each logit.
      image_shape: height, width, bands of what the network sees.
      training: the training images on the host; labels outside the labelled subset are -1.
      num_devices: over which each batch is split.
      true_labels: int32, one for each training image, also for those whose label is kept from the
        method: to report how often its own guesses are right, and for nothing else. None where
        they are not known.
      source: the training images of the source domain, likewise with labels -1 outside its labelled
        subset, for methods that learn from two data sets; None for the others. Its classes are
        `class_names`; its image size and bands are its own.
    """

    class_names: tuple[str, ...]
    image_shape: tuple[int, int, int]
    training: Dataset
    num_devices: int = 1
    true_labels: np.ndarray | None = None
    source: Dataset | None = None

    @property
    def num_classes(self) -> int:
        return len(self.class_names)


class Phase(NamedTuple):
    """A stretch of training with one compiled step.

    Attributes:
      name: for logs.
      steps: how many.
      streams: what each batch holds.
      step: `(state, batch, key) -> (state, metrics)`, traced once and compiled with donated state.
        Metrics are scalars; `loss` is among them.
      begin: what happens to the state once, before the first step of the phase.
    """

    name: str
    steps: int
    streams: Mapping[str, Stream]
    step: Callable[[State, Batch, Array], tuple[State, Metrics]]
    begin: Callable[[State], State] | None = None


class Method(NamedTuple):
    """A learning method.

    Attributes:
      init: `(key, example_batch) -> state`, a NamedTuple with all that the next step needs, `step`
        (int32, steps done) among it. What is in the state is in the checkpoint; what is not in the
        state does not exist.
      phases: in order; most methods have one.
      abilities: what it can do after training, by name, each `(state, ...) -> arrays`:
        `logits(state, images, key)` float32 `[N, classes]`, for images in [-1, 1];
        `pixel_logits(state, images, key)` float32 `[N, h, w, classes]`;
        `log_density(state, images, key)` float32 `[N]`, unnormalised;
        `sample(state, key, labels, ...)` and the like, as their methods document them.
      split: names of the state's fields whose first axis is split over the devices; the others are
        replicated.
      score: the metric of the validation split that says which state is the best one, higher is
        better; each phase of training has a best state of its own.
      rasters: what abilities take in place of images, in this order:
        `logits(state, *rasters, key)`.
      window: the side of the windows that it is evaluated in; None for whole images.
    """

    init: Callable[[Array, Batch], State]
    phases: tuple[Phase, ...]
    abilities: Mapping[str, Callable[..., Any]]
    split: tuple[str, ...] = ()
    score: str = 'accuracy'
    rasters: tuple[str, ...] = ('images',)
    window: int | None = None


def ability(method: Method, name: str, method_name: str, known: Mapping[str, Any]) -> Callable:
    """The ability `name` of a method.

    Args:
      known: the methods by name (each with `ABILITIES`), for the error.

    Raises:
      UserError: the method does not have it; the message says which methods do.
    """
    if name in method.abilities:
        return method.abilities[name]
    having = sorted(k for k, module in known.items() if name in module.ABILITIES)
    raise UserError(
        f'method {method_name!r} cannot {name.replace("_", " ")};'
        f' these can: {", ".join(having) or "none"}'
    )
