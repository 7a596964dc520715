"""The model that maps scenes: a run with what its own data say of its scores, and its layers."""

from __future__ import annotations

import zlib
from typing import Any, NamedTuple

import jax
import numpy as np

from eojax.apps.map_scene.files import Layer, check_classes
from eojax.apps.map_scene.guarantees import (
    AREAS_FILES,
    NOT_KNOWN_COLOUR,
    NOTHING,
    Guarantees,
    Wanted,
    calibrate,
    check_classes_for,
)
from eojax.apps.map_scene.scores import classifies_pixels, learned_density
from eojax.devices import sharding
from eojax.drawing.class_colours import Colour, class_colours
from eojax.errors import UserError
from eojax.evaluation.guarantees.rules import NOT_KNOWN
from eojax.evaluation.reference import reference_pixels, reference_scores
from eojax.evaluation.scoring import alone
from eojax.messages import say
from eojax.runs.run import Run

PICTURE = 'overview.png'
PERCENTILE = 1.0  # of the training set's log p(x): below it a place counts as unseen, by default


class Model(NamedTuple):
    """The parts that map scenes.

    Attributes:
      run, state: on the devices of this process.
      threshold: a percentile of log p(x) of the training set, or of its pixels for methods that
        classify these; None for a method without it, and where nothing says it.
      checksum: of the state: another training has another one.
      percentile: which one.
      guarantees: that maps give; none by default.
    """

    run: Run
    state: Any
    threshold: float | None
    checksum: str
    percentile: float = PERCENTILE
    guarantees: Guarantees = Guarantees()

    @property
    def threshold_text(self) -> str:
        """The threshold's meaning, in words."""
        ending = {1.0: 'st', 2.0: 'nd', 3.0: 'rd'}.get(self.percentile, 'th')
        pixels = "'s pixels" if classifies_pixels(self.run) else ''
        return f'the {self.percentile:g}{ending} percentile of the training set{pixels}'


def prepare_model(
    run: Run, state: Any, percentile: float = PERCENTILE, wanted: Wanted = NOTHING
) -> Model:
    """The run and its state with what its own data say; all processes call it together.

    Args:
      percentile: of log p(x) of the training set, below which a place counts as unseen.
      wanted: the guarantees that are asked of maps.

    Raises:
      UserError: guarantees that cannot be calibrated.
    """
    threshold = _threshold(run, state, percentile) if learned_density(run) else None
    guarantees = calibrate(run, state, wanted)
    if sharding.is_main_process():
        for note in guarantees.notes:
            say(note)
    run, state = alone(run, state)
    return Model(run, state, threshold, _checksum(run, state), percentile, guarantees)


def _threshold(run: Run, state: Any, percentile: float) -> float | None:
    """A percentile of log p(x) of the training set; None, and a line, where it is not to be had.

    A run that has not come to its end keeps none, and its data may lie elsewhere.
    """
    try:
        if classifies_pixels(run):
            training = reference_pixels(run, state)
        else:
            training = reference_scores(run, state, ('log_density',))['log_density']
    except UserError as error:
        if sharding.is_main_process():
            say(f'no unseen.tif, as nothing says which log p(x) is low: {error}')
        return None
    return float(np.percentile(training, percentile))


def _checksum(run: Run, state: Any) -> str:
    """Of all numbers that were trained, and so of the checkpoint."""
    kept = {name: value for name, value in state._asdict().items() if name not in run.method.split}
    total = 0
    for leaf in jax.tree.leaves(kept):
        if not jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key):
            total = zlib.crc32(np.ascontiguousarray(leaf).tobytes(), total)
    return f'{total:08x}'


def layers_of(model: Model) -> list[Layer]:
    """The layers of a map by a run."""
    names = model.run.facts.class_names
    check_classes(names)
    check_classes_for(model.guarantees.wanted, names)
    shown, colours = classes_shown(model)
    layers = [
        Layer('class_map', 'most probable class', shown, colours),
        Layer('confidence', 'max p(y|x)'),
    ]
    if learned_density(model.run):
        layers.append(Layer('log_density', 'log p(x), unnormalised'))
    if model.threshold is not None:
        # Grey and orange.
        text = f'log p(x) below {model.threshold:.4f}, {model.threshold_text}'
        colours = ((217, 217, 217), (213, 94, 0))
        layers.append(Layer('unseen', text, ('like training', 'unseen'), colours))
    return layers + model.guarantees.layers(names)


def classes_shown(model: Model) -> tuple[tuple[str, ...], tuple[Colour, ...]]:
    """The classes of a map and their colours; what is left open is one more."""
    facts = model.run.facts
    colours = class_colours(facts.class_names, facts.class_colours)
    if model.guarantees.open_rule is None:
        return facts.class_names, colours
    return (*facts.class_names, NOT_KNOWN), (*colours, NOT_KNOWN_COLOUR)


def files_of(model: Model) -> list[str]:
    """The names of the files of a map, but its summary."""
    tables = AREAS_FILES if model.guarantees.wanted.areas else ()
    return [*(name for layer in layers_of(model) for name in layer.files), PICTURE, *tables]
