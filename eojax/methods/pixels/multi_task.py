"""Segmentation with an unsupervised task beside it: the step that BerundaNet and W-Net share.

"Semi-supervised Learning for Large-scale Earth Observation Data Understanding" (Castillo-Navarro,
2022), section 3.2:

    L(x) = L_s(phi_s(x), y) + lambda L_u(phi_u(x), x)                       (Eq. 3.3)

Labelled and unlabelled windows pass the network as one batch. L_s is over the labelled pixels, so a
window without labels sends its gradient through phi_u, and what that shares with phi_s, alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import jax.numpy as jnp
from jax import Array, random
from ml_collections import ConfigDict

from eojax.augment.sample import VALID
from eojax.devices import sharding
from eojax.feed.streams import Batch
from eojax.losses.pixel_cross_entropy import pixels_right
from eojax.methods.features import features_of
from eojax.methods.method import Method, Metrics, Phase, Task, share_of
from eojax.methods.options import UNLABELLED_RATIO
from eojax.methods.pixels import auxiliary, supervised_loss, windows
from eojax.methods.update import descent
from eojax.methods.update.descent import Aside, Trained
from eojax.models.model import Network
from eojax.models.pixel_network import join_rasters
from eojax.option import Option

# Of the config group `method`.
OPTIONS: dict[str, Option] = {
    **windows.OPTIONS,
    'unlabelled_ratio': UNLABELLED_RATIO,
    **supervised_loss.OPTIONS,
    **auxiliary.OPTIONS,
}


class MultiTaskState(NamedTuple):
    """All that the next step needs.

    Attributes:
      trained: the network's.
      class_weights: where they were counted before training.
    """

    trained: Trained
    class_weights: Any = ()


def check(config: ConfigDict, tasks: tuple[str, ...]) -> None:
    """Refuses combinations that cannot train.

    Args:
      tasks: those that the method has.

    Raises:
      UserError: one line that names the key.
    """
    supervised_loss.check(config.method)
    auxiliary.check(config.method, tasks)


def build(
    config: ConfigDict, task: Task, make_network: Callable[[auxiliary.Auxiliary], Network]
) -> Method:
    """The method of a config.

    Args:
      make_network: of the second task; its outputs are those of both tasks.

    Raises:
      UserError: data without a raster that is asked for; windows that cut pixels of one; another
        number of class weights than classes.
    """
    options = config.method
    seen = windows.windows_of(options, task.facts)
    supervised = supervised_loss.build(options, task.facts, seen.rasters)
    second = auxiliary.build(options, seen.bands)
    network = make_network(second)
    down = descent.build(config.optimizer, config.steps, options.average_decay)

    def init(key: Array, batch: Batch, fitted: Any) -> MultiTaskState:
        images = join_rasters(seen.inputs(batch['labelled']))[:1]
        return MultiTaskState(down.begin(*network.init(key, images)), supervised.weights(fitted))

    def loss_of(parameters: Any, state: MultiTaskState, batch: Batch, key: Array) -> Any:
        key_damage, key_model = random.split(key)
        drawn = [batch['labelled'], batch['unlabelled']]
        sizes = [len(one['labels']) for one in drawn]
        whole = [join_rasters(seen.inputs(one)) for one in drawn]
        shown, damage = list(whole), None
        if second.damage is not None:
            shown[1], damage = second.damage(whole[1], key_damage)
        (outputs, others), statistics = network.train(
            parameters,
            state.trained.statistics,
            sharding.join(shown, task.num_devices),
            key=key_model,
        )
        logits, _ = sharding.parted(outputs, sizes, task.num_devices)
        labels = drawn[0]['labels']
        main = supervised.loss(logits, labels, state.class_weights)
        if second.damage is None:  # all windows are whole, and all have the second task
            images, valid = sharding.join(whole, task.num_devices), _valid(drawn, task.num_devices)
        else:
            _, others = sharding.parted(others, sizes, task.num_devices)
            images, valid = whole[1], drawn[1].get(VALID)
        other, terms = second.loss(others, images, damage, valid)
        loss = main + second.weight * other  # Eq. 3.3, 3.4
        metrics = {
            'supervised': main,
            'unsupervised': other,
            **terms,
            **share_of('pixel_accuracy', *pixels_right(logits, labels)),
        }
        return loss, Aside(metrics, statistics)

    def step(state: MultiTaskState, batch: Batch, key: Array) -> tuple[MultiTaskState, Metrics]:
        new, aside = down.step(state.trained, lambda p: loss_of(p, state, batch, key))
        return state._replace(trained=new), aside.metrics

    def outputs_of(state: MultiTaskState, images: Array) -> tuple[Array, Array]:
        both: tuple[Array, Array]
        both = network.apply(state.trained.average, state.trained.statistics, images)
        return both

    def pixel_logits(state: MultiTaskState, *inputs: Array) -> Array:
        *rasters, _ = inputs
        # The second head is not part of the compiled program: nothing reads its output.
        return outputs_of(state, join_rasters(rasters))[0]

    abilities: dict[str, Callable[..., Any]] = {
        'pixel_logits': pixel_logits, **features_of(network)
    }  # fmt: skip
    paint = second.paint
    if paint is not None:

        def reconstruct(state: MultiTaskState, *inputs: Array) -> Array:
            """Images `[N, h, w, all bands]` as the second head paints them, in [-1, 1]."""
            *rasters, _ = inputs
            images = join_rasters(rasters)
            return paint(outputs_of(state, images)[1], images)

        abilities['reconstruct'] = reconstruct

    streams = seen.streams(config.batch_size, options.unlabelled_ratio)
    return Method(
        init,
        (Phase(options.name, config.steps, streams, step),),
        abilities,
        score='mean_iou',
        rasters=seen.rasters,
        window=seen.evaluation,
        fit=supervised.fit,
        fitted=supervised.fitted,
    )


def _valid(drawn: list[Mapping[str, Array]], num_devices: int) -> Array | None:
    """The pixels of all windows that show a measurement; None where all do."""
    if not any(VALID in one for one in drawn):
        return None
    masks = [one.get(VALID, jnp.ones(one['truth'].shape, bool)) for one in drawn]
    return sharding.join(masks, num_devices)
