"""Supervised segmentation: cross-entropy over the labelled pixels of random windows.

The baseline of the thesis of J. Castillo-Navarro, Ch. 2 and 3, for any network that gives outputs
for each pixel. With a window x, classes Y_i of its labelled pixels i and outputs f_i(x),

    L_s = -mean_i log softmax(f_i(x))[Y_i]

over all labelled pixels of a batch; pixels whose class is unknown are nowhere in the loss. The
network sees the rasters of `method.rasters`, side by side: the colours alone, or the elevation too
(`images,elevation`).

Windows of training have the side `method.window`. Evaluation sees windows of the side
`method.evaluation_window`, side by side; where it is 0, whole places if all are equally large, and
else windows as in training.

Notes:
  The thesis does not state optimiser, rate, batch or augmentation; those of a config are its own.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

from jax import Array
from ml_collections import ConfigDict

from eojax import models
from eojax.data.facts import IMAGES, Facts
from eojax.errors import UserError
from eojax.feed.streams import Batch, Stream
from eojax.losses.pixel_cross_entropy import pixel_accuracy, pixel_cross_entropy
from eojax.methods.features import features_of
from eojax.methods.method import Method, Metrics, Phase, Recipe, Task
from eojax.methods.options import check_shared
from eojax.methods.update import descent
from eojax.methods.update.descent import Aside, Trained

DEFAULTS: dict[str, dict[str, Any]] = {
    'method': {
        'rasters': IMAGES,
        'window': 64,
        'evaluation_window': 0,
        'augment': 'dihedral',
        'average_decay': 0.0,
    },
}


class SegmentationState(NamedTuple):
    """All that the next step needs."""

    trained: Trained


def check(config: ConfigDict) -> None:
    """Refuses combinations that cannot train.

    Raises:
      UserError: one line that names the key.
    """
    method = config.method
    check_shared(method)
    rasters = _names(method.rasters)
    if not all(rasters) or len(set(rasters)) < len(rasters):
        raise UserError(
            f'method.rasters must be different names with a comma between, not {method.rasters!r}'
        )
    if method.window < 1:
        raise UserError(f'method.window must be at least 1, not {method.window}')
    if method.evaluation_window < 0:
        raise UserError(
            f'method.evaluation_window must not be negative, not {method.evaluation_window}'
        )


def build(config: ConfigDict, task: Task) -> Method:
    """The method of a config.

    Raises:
      UserError: data without a raster that is asked for; windows that cut pixels of one.
    """
    options, facts = config.method, task.facts
    rasters = rasters_of(options, facts)
    network = models.build(config.model, task.num_classes)
    down = descent.build(config.optimizer, config.steps, options.average_decay)

    def init(key: Array, batch: Batch, fitted: Any) -> SegmentationState:
        inputs = (batch['labelled'][name][:1] for name in rasters)
        return SegmentationState(down.begin(*network.init(key, *inputs)))

    def loss_of(parameters: Any, statistics: Any, batch: Batch, key: Array) -> Any:
        inputs = (batch['labelled'][name] for name in rasters)
        labels = batch['labelled']['labels']
        logits, statistics = network.train(parameters, statistics, *inputs, key=key)
        loss = pixel_cross_entropy(logits, labels)
        return loss, Aside({'pixel_accuracy': pixel_accuracy(logits, labels)}, statistics)

    def step(state: SegmentationState, batch: Batch, key: Array) -> tuple[Any, Metrics]:
        old = state.trained
        new, aside = down.step(old, lambda p: loss_of(p, old.statistics, batch, key))
        return SegmentationState(new), aside.metrics

    def pixel_logits(state: SegmentationState, *inputs: Array) -> Array:
        *seen, _ = inputs  # the last one is a key, and nothing here is random
        outputs: Array = network.apply(state.trained.average, state.trained.statistics, *seen)
        return outputs

    stream = Stream('labelled', config.batch_size, options.augment, rasters=rasters,
                    window=options.window)  # fmt: skip
    phase = Phase('segmentation', config.steps, {'labelled': stream}, step)
    window = evaluation_window(options, facts)
    abilities = {'pixel_logits': pixel_logits, **features_of(network)}
    return Method(init, (phase,), abilities, score='mean_iou', rasters=rasters, window=window)


def rasters_of(options: ConfigDict, facts: Facts) -> tuple[str, ...]:
    """The rasters that a config asks for.

    Raises:
      UserError: data without one of them; windows that cut pixels of one.
    """
    rasters = _names(options.rasters)
    for name in rasters:
        if name not in facts.rasters:
            raise UserError(
                f'method.rasters: {name!r} is no raster of {facts.title or facts.name}'
                f' (it has {", ".join(facts.rasters)})'
            )
    grid = math.lcm(*(facts.rasters[name].scale for name in rasters))
    if options.evaluation_window % grid:
        raise UserError(
            f'method.evaluation_window={options.evaluation_window} must be a multiple of {grid}, as'
            f' a pixel of one of the rasters {", ".join(rasters)} covers so many'
        )
    return rasters


def evaluation_window(options: ConfigDict, facts: Facts) -> int | None:
    """The side of the windows that a method is evaluated in; None for whole places."""
    return options.evaluation_window or (None if facts.size else options.window)


def _names(rasters: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in rasters.split(','))


RECIPE = Recipe(
    DEFAULTS,
    ('pixel_logits', 'features'),
    check,
    build,
    models=models.buildable(per_pixel=True),
    labels=('pixel',),
)
