"""Supervised segmentation: cross-entropy over the labelled pixels of random windows.

The baseline of the thesis of J. Castillo-Navarro, Ch. 2 and 3, for any network that gives outputs
for each pixel. With a window x, classes Y_i of its labelled pixels i and outputs f_i(x),

    L_s = -mean_i log softmax(f_i(x))[Y_i]

over all labelled pixels of a batch; pixels whose class is unknown are nowhere in the loss. Weights
of the classes, and focal or Dice loss in place of the cross-entropy, are options
(`eojax.methods.pixels.supervised_loss`). What the network sees: `eojax.methods.pixels.windows`.

Notes:
  The thesis does not state optimiser, rate, batch or augmentation; those of a config are its own.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from jax import Array
from ml_collections import ConfigDict

from eojax import models
from eojax.feed.streams import Batch
from eojax.losses.pixel_cross_entropy import pixels_right
from eojax.methods.features import encoder_features_of, features_of, pixel_logits_of
from eojax.methods.method import Method, Metrics, Phase, Recipe, Task, share_of
from eojax.methods.pixels import supervised_loss, windows
from eojax.methods.update import descent
from eojax.methods.update.descent import Aside, Trained

OPTIONS = {'method': {**windows.OPTIONS, **supervised_loss.OPTIONS}}


class SegmentationState(NamedTuple):
    """All that the next step needs.

    Attributes:
      trained: the network's.
      class_weights: where they were counted before training.
    """

    trained: Trained
    class_weights: Any = ()


def check(config: ConfigDict) -> None:
    """Refuses combinations that cannot train.

    Raises:
      UserError: one line that names the key.
    """
    supervised_loss.check(config.method)


def build(config: ConfigDict, task: Task) -> Method:
    """The method of a config.

    Raises:
      UserError: data without a raster that is asked for; windows that cut pixels of one; another
        number of weights than classes.
    """
    options = config.method
    seen = windows.windows_of(options, task.facts)
    supervised = supervised_loss.build(options, task.facts, seen.rasters)
    network = models.build(config.model, task.num_classes)
    down = descent.build(config.optimizer, config.steps, options.average_decay)

    def init(key: Array, batch: Batch, fitted: Any) -> SegmentationState:
        inputs = (raster[:1] for raster in seen.inputs(batch['labelled']))
        trained = down.begin(*network.init(key, *inputs))
        return SegmentationState(trained, supervised.weights(fitted))

    def loss_of(parameters: Any, state: SegmentationState, batch: Batch, key: Array) -> Any:
        labelled, statistics = batch['labelled'], state.trained.statistics
        labels, inputs = labelled['labels'], seen.inputs(labelled)
        logits, statistics = network.train(parameters, statistics, *inputs, key=key)
        loss = supervised.loss(logits, labels, state.class_weights)
        return loss, Aside(share_of('pixel_accuracy', *pixels_right(logits, labels)), statistics)

    def step(state: SegmentationState, batch: Batch, key: Array) -> tuple[Any, Metrics]:
        new, aside = down.step(state.trained, lambda p: loss_of(p, state, batch, key))
        return state._replace(trained=new), aside.metrics

    streams = {'labelled': seen.stream('labelled', config.batch_size)}
    phase = Phase('segmentation', config.steps, streams, step)
    return Method(
        init,
        (phase,),
        {**pixel_logits_of(network), **features_of(network), **encoder_features_of(network)},
        score='mean_iou',
        rasters=seen.rasters,
        window=seen.evaluation,
        fit=supervised.fit,
        fitted=supervised.fitted,
    )


RECIPE = Recipe(
    OPTIONS,
    ('pixel_logits', 'features', 'encoder_features'),
    build,
    check,
    models=models.buildable(per_pixel=True),
    labels=('pixel',),
    starts_from_weights=True,
)
