"""FixMatch, then a joint energy-based model on its pseudo-labels.

"Semi-supervised Learning for Large-scale Earth Observation Data Understanding" (Castillo-Navarro,
2022), section 4.3.5, Table 4.5:

    (i) train FixMatch with the few labels (`eojax.methods.fixmatch`);
    (ii) label the rest of the training set by its averaged parameters;
    (iii) train the joint model on that training set (`eojax.methods.jem`).

Each is a phase or two of one run, which resumes between and within them. The networks and their
optimisers are their own: the groups `model`, `optimizer`, `method` and `sampler` are those of the
joint model, the group `fixmatch` has those of the first stage.

Notes:
  Labelling is a phase too: its steps draw the training images as they are until each was met at
  least once, which takes at most twice as many draws as there are images.
  Images whose labels are given keep them. All others get one, however unsure: the thesis names no
  threshold.
  `steps` counts all three stages. The Gaussians that chains start at are fitted to the given labels
  alone.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array, random
from ml_collections import ConfigDict

from eojax.data.dataset import Dataset
from eojax.errors import UserError
from eojax.feed.streams import Batch, Stream
from eojax.methods import fixmatch, jem
from eojax.methods.joint import options as jem_options
from eojax.methods.joint.joint_model import ABILITIES
from eojax.methods.method import Method, Metrics, Phase, Recipe, Task, share_of
from eojax.methods.update import optimizers
from eojax.models import MODELS, wide_resnet
from eojax.option import Option, Options, at_least, one_of, with_defaults

OPTIONS: dict[str, Options] = {
    **jem_options.OPTIONS,
    'fixmatch': {
        'steps': Option(500, 'steps of FixMatch, at first', at_least(1), 'steps', phase='own'),
        'batch_size': Option(64, 'labelled images in a step of FixMatch', at_least(1), 'images'),
        'labelling_batch_size': Option(
            256, 'images in a step that labels them', at_least(1), 'images'
        ),
        'method': fixmatch.OPTIONS['method'],
        'model': {
            'name': Option('wide_resnet', 'the network of FixMatch', one_of('wide_resnet')),
            **with_defaults(wide_resnet.OPTIONS, norm='batch'),
        },
        'optimizer': optimizers.OPTIONS,
    },
}


class TwoStageState(NamedTuple):
    """All that the next step needs.

    Attributes:
      first: the state of FixMatch; `()` once the joint model trains.
      labels: int32 `[training images]`, given or guessed; -1 where neither is there yet.
      seed: uint32, data of the key that the joint model begins with.
      fitted: what the joint model begins with besides (`Method.fitted`); `()` once it trains.
      second: the state of the joint model; `()` before it trains.
    """

    first: Any
    labels: Array
    seed: Array
    fitted: Any
    second: Any


def check(config: ConfigDict) -> None:
    """Refuses combinations that cannot train.

    Raises:
      UserError: one line that names the key.
    """
    group = config.fixmatch
    first = _first_config(config)
    try:
        fixmatch.check(first)
        optimizers.check(first.optimizer)
        MODELS[group.model.name].check(group.model, {'data.size': config.data.size})
    except UserError as error:
        raise UserError(f'in the group fixmatch: {error}') from error
    if config.steps <= group.steps:
        raise UserError(
            f'fixmatch.steps {group.steps} leaves nothing of steps {config.steps} for the joint'
            ' model: set it lower, or steps higher'
        )
    jem.check(_second_config(config, 0))


def build(config: ConfigDict, task: Task) -> Method:
    """The method of a config.

    Raises:
      UserError: labelling takes more steps than FixMatch leaves.
    """
    labelling = _labelling_steps(config, task)
    left = config.steps - config.fixmatch.steps - labelling
    if left <= config.method.supervised_steps:
        raise UserError(
            f'steps {config.steps} are too few: FixMatch takes {config.fixmatch.steps},'
            f' labelling {task.num_training:,} images {labelling} and'
            f' method.supervised_steps {config.method.supervised_steps}'
        )
    first = fixmatch.build(_first_config(config), task)
    second = jem.build(_second_config(config, labelling), task)
    example = jnp.zeros((1, *task.image_shape), jnp.float32)

    def fit(training: Dataset) -> _Fitted:
        fitted = None if second.fit is None else second.fit(training)
        return _Fitted(np.asarray(training.labels, np.int32), fitted)

    def init(key: Array, batch: Batch, fitted: _Fitted) -> TwoStageState:
        key_first, key_second = random.split(key)
        return TwoStageState(
            first.init(key_first, batch, None),
            jnp.asarray(fitted.labels),
            random.key_data(key_second),
            jax.tree.map(jnp.asarray, fitted.second),
            (),
        )

    def begin_second(state: TwoStageState) -> TwoStageState:
        key = random.wrap_key_data(state.seed, impl=config.random)
        made = second.init(key, {'labelled': {'images': example}}, state.fitted)
        begin = second.phases[0].begin
        made = begin(made) if begin is not None else made
        return state._replace(first=(), fitted=(), second=made)

    def label(state: TwoStageState, batch: Batch, key: Array) -> tuple[TwoStageState, Metrics]:
        images = batch['unlabelled']
        logits = first.abilities['logits'](state.first, images['images'], key)
        q = jax.nn.softmax(logits)
        guessed = q.argmax(-1).astype(jnp.int32)
        given = images['labels'] >= 0
        counted = ~given & (images['truth'] >= 0)
        right = counted & (guessed == images['truth'])
        metrics = {
            'loss': -jnp.log(q.max(-1)).mean(),
            **share_of('pseudo_label_accuracy', right, counted),
        }
        new = jnp.where(given, images['labels'], guessed)
        return state._replace(labels=state.labels.at[images['index']].set(new)), metrics

    everything = Stream('train', config.fixmatch.labelling_batch_size)
    phases = [_of_first(phase) for phase in first.phases]
    phases.append(Phase('labelling', labelling, {'unlabelled': everything}, label))
    phases += [_of_second(phase) for phase in second.phases]
    begins = len(first.phases) + 1
    phases[begins] = phases[begins]._replace(begin=begin_second)
    abilities = {name: _ability(name, first, second) for name in second.abilities}
    split = tuple(f'second.{field}' for field in second.split)
    shapes = _Fitted(jax.ShapeDtypeStruct((task.num_training,), jnp.int32), second.fitted)
    return second._replace(
        init=init, phases=tuple(phases), abilities=abilities, split=split, fit=fit, fitted=shapes
    )


class _Fitted(NamedTuple):
    """Host work before training: the given labels, and the fit of the joint model."""

    labels: Any
    second: Any


def _first_config(config: ConfigDict) -> ConfigDict:
    """FixMatch's own config."""
    group, changed = config.fixmatch, config.copy_and_resolve_references()
    with changed.unlocked(), changed.ignore_type():
        changed.steps, changed.batch_size = group.steps, group.batch_size
        changed.method, changed.model, changed.optimizer = (
            group.method,
            group.model,
            group.optimizer,
        )
    return changed


def _second_config(config: ConfigDict, labelling: int) -> ConfigDict:
    """The joint model's own config."""
    changed = config.copy_and_resolve_references()
    changed.steps = config.steps - config.fixmatch.steps - labelling
    return changed


def _labelling_steps(config: ConfigDict, task: Task) -> int:
    """Until each image was met: wherever in an epoch they begin, the next one is whole."""
    draws = 2 * task.num_training - 1
    return -(-draws // config.fixmatch.labelling_batch_size)


def _of_first(phase: Phase) -> Phase:
    def step(state: TwoStageState, batch: Batch, key: Array) -> tuple[TwoStageState, Metrics]:
        inner, metrics = phase.step(state.first, batch, key)
        return state._replace(first=inner), metrics

    return phase._replace(step=step)


def _of_second(phase: Phase) -> Phase:
    """A phase of the joint model, whose labelled images are all, by the labels in the state."""

    def step(state: TwoStageState, batch: Batch, key: Array) -> tuple[TwoStageState, Metrics]:
        labels = state.labels[batch['labelled']['index']]
        labelled = {**batch['labelled'], 'labels': labels}
        inner, metrics = phase.step(state.second, {**batch, 'labelled': labelled}, key)
        return state._replace(second=inner), metrics

    def begin(state: TwoStageState) -> TwoStageState:
        assert phase.begin is not None
        return state._replace(second=phase.begin(state.second))

    streams = {**phase.streams, 'labelled': phase.streams['labelled']._replace(part='train')}
    has_begin = phase.begin is not None
    return phase._replace(step=step, streams=streams, begin=begin if has_begin else None)


def _ability(name: str, first: Method, second: Method) -> Callable[..., Any]:
    """Of the stage that the state is in; before the joint model begins, what FixMatch can do."""

    def function(state: TwoStageState, *args: Any, **options: Any) -> Any:
        if state.second != ():
            return second.abilities[name](state.second, *args, **options)
        if name in first.abilities:
            return first.abilities[name](state.first, *args, **options)
        if name == 'replay':
            return None
        raise UserError(
            f'fixmatch_then_jem cannot {name.replace("_", " ")} yet: at this step its joint model'
            ' has not begun; train the run to its end first'
        )

    return function


RECIPE = Recipe(
    OPTIONS,
    ABILITIES,
    build,
    check,
    advice=f'{jem.RECIPE.advice}; in its first stage lower fixmatch.optimizer.learning_rate',
)
