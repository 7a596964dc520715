"""FixMatch and the joint energy-based model as one, trained end to end.

"Semi-supervised Learning for Large-scale Earth Observation Data Understanding" (Castillo-Navarro,
2022), section 4.3.5, leaves it as future work:

    L = L_sup + L_consistency + L_ML

with L_sup the cross-entropy of the labelled images (Eq. 3.24), L_consistency FixMatch's loss
(Eq. 3.25) and L_ML that of log p(x) (Eq. 4.7; `eojax.methods.jem`, Eq. 3), whose images are the
weakly augmented ones of the unlabelled stream. One network gives p(y|x), its pseudo-labels and
p(x), and one compiled step has all three terms.

Notes:
  Of a step's weak views, the first `likelihood_batch_size` stand in L_ML; chains are as many. Where
  the running average of the parameters gives the pseudo-labels (`teacher`), only those views pass
  the network that is trained.
  Where the network has no batch normalisation, labelled images, both views and the ends of the
  chains pass it as one batch. Where it has, FixMatch's images share their statistics as there, and
  E(x) has those of `eojax.methods.joint.energy`.
  p(y|x) does not see the density head of `eojax.models.wide_resnet`. Where log p(x) is that head
  alone (`model.density_alone`), it does not see how sure FixMatch is either: the two share the
  features and nothing else.
  The input noise of the joint model is in all images but the ends of chains.
  FixMatch may go first, for `fixmatch.steps` of all `steps` and by an optimiser of its own: it
  takes many steps to spread few labels, the density few, with chains that make each of them dear,
  and a classifier that is still at its first guesses gives these little to follow. What suits the
  one (a high rate, weight decay) is not what suits the other. Then, for
  `method.score_matching_steps`, score matching beside FixMatch gives the density a shape before
  its chains begin, which diverge where it has none.
"""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import optax
from jax import Array, random
from ml_collections import ConfigDict

from eojax import models
from eojax.devices import sharding
from eojax.errors import UserError
from eojax.feed.streams import Batch
from eojax.losses.consistency import Beliefs, consistency_loss, initial_beliefs
from eojax.methods import fixmatch
from eojax.methods.joint import options as jem_options
from eojax.methods.joint.joint_model import ABILITIES, JointModel
from eojax.methods.method import Method, Metrics, Phase, Recipe, Task
from eojax.methods.update import descent, optimizers
from eojax.methods.update.descent import Aside, Descent, Trained
from eojax.option import NOT_NEGATIVE, Option, Options
from eojax.samplers import replay_buffer
from eojax.samplers.langevin import Chain
from eojax.samplers.replay_buffer import ReplayBuffer
from eojax.samplers.starts import StationaryGaussian

# The joint model's options that FixMatch's streams leave without a meaning.
_UNUSED = ('likelihood_augment', 'supervised_steps')
_JEM = {k: v for k, v in jem_options.OPTIONS['method'].items() if k not in _UNUSED}
OPTIONS: dict[str, Options] = {
    'method': {
        **_JEM,
        **fixmatch.OPTIONS['method'],
        'score_matching_steps': Option(
            0,
            'steps of score matching without chains, before the joint model',
            NOT_NEGATIVE,
            'steps',
            phase='own',
        ),
    },
    'sampler': jem_options.OPTIONS['sampler'],
    'fixmatch': {
        'steps': Option(0, 'steps of FixMatch alone, at first', NOT_NEGATIVE, 'steps', phase='own'),
        'optimizer': optimizers.OPTIONS,
    },
}


class FixMatchJemState(NamedTuple):
    """All that the next step needs.

    Attributes:
      trained: the network, with the moments of the phase's optimiser.
      replay_buffer: ends of the chains.
      gaussian: where chains begin; None for uniform noise. Not trained.
      beliefs: running means of the predictions, for FixMatch's options that need them.
    """

    trained: Trained
    replay_buffer: ReplayBuffer
    gaussian: StationaryGaussian | None
    beliefs: Beliefs


class Logits(NamedTuple):
    """Of a step's images: labelled, both views, and what stands in L_ML where there are chains."""

    labelled: Array
    weak: Array
    strong: Array
    real: Array | None
    sampled: Array | None


def check(config: ConfigDict) -> None:
    """Refuses combinations that cannot train.

    Raises:
      UserError: one line that names the key.
    """
    fixmatch.check(config)
    jem_options.check_likelihood(config)
    options = config.method
    seen = options.unlabelled_ratio * config.batch_size
    for key in ('likelihood_batch_size', 'score_matching_batch_size'):
        if options[key] > seen:
            raise UserError(
                f'method.{key} {options[key]} is more than the {seen} unlabelled images of a step'
                ' (method.unlabelled_ratio times batch_size)'
            )
    first, shaping = config.fixmatch.steps, options.score_matching_steps
    if first + shaping >= config.steps:
        raise UserError(
            f'fixmatch.steps {first} and method.score_matching_steps {shaping} must leave some of'
            f' steps {config.steps} to the joint model'
        )
    if shaping and not options.score_matching_weight:
        raise UserError(
            f'method.score_matching_steps {shaping} need a method.score_matching_weight above 0'
        )
    try:
        optimizers.check(config.fixmatch.optimizer)
    except UserError as error:
        raise UserError(f'in the group fixmatch: {error}') from error


def build(config: ConfigDict, task: Task) -> Method:
    """The method of a config.

    Raises:
      UserError: a number of images that the devices cannot share.
    """
    options = config.method
    for key in ('likelihood_batch_size', 'score_matching_batch_size'):
        # No stream of its own, whose batch would be checked.
        if options[key] % task.num_devices:
            raise UserError(
                f'method.{key} {options[key]} does not divide over {task.num_devices} devices'
            )
    network = models.build(config.model, task.num_classes)
    joint = JointModel(network, options, config.sampler, task)
    training = _Training(joint, fixmatch.class_shares(task))
    streams, first = fixmatch.streams(config), config.fixmatch.steps
    down = descent.build(config.optimizer, config.steps - first, options.average_decay)

    def begin(state: FixMatchJemState) -> FixMatchJemState:
        return state._replace(trained=down.take_over(state.trained))

    step = functools.partial(training.step, down=down)
    shaping = options.score_matching_steps
    phases = [Phase('joint', config.steps - first - shaping, streams, step)]
    if shaping:
        unchained = functools.partial(step, chains=False)
        phases.insert(0, Phase('score_matching', shaping, streams, unchained))
    start = down
    if first:
        phases[0] = phases[0]._replace(begin=begin)
        start = descent.build(config.fixmatch.optimizer, first, options.average_decay)
        alone = functools.partial(training.step, down=start, density=False, chains=False)
        phases.insert(0, Phase('fixmatch', first, streams, alone))
    return joint.method(functools.partial(training.init, down=start), phases)


class _Training(NamedTuple):
    """Values that the steps share; nothing in here changes."""

    model: JointModel
    target: Array

    def init(self, key: Array, batch: Batch, fitted: Any, down: Descent) -> FixMatchJemState:
        key_model, key_buffer = random.split(key)
        images = batch['labelled']['images'][:1]
        return FixMatchJemState(
            down.begin(*self.model.network.init(key_model, images)),
            *self.model.start_chains(key_buffer, fitted),
            initial_beliefs(self.model.task.num_classes),
        )

    def step(
        self,
        state: FixMatchJemState,
        batch: Batch,
        key: Array,
        down: Descent,
        density: bool = True,
        chains: bool = True,
    ) -> tuple[FixMatchJemState, Metrics]:
        """One update of all terms; without `chains` not of L_ML, without `density` of FixMatch's
        two alone."""
        key_chain, key_loss = random.split(key)
        drawn, chain = self.model.run_chains(state, key_chain) if chains else (None, None)
        trained, aside = down.step(
            state.trained, lambda p: self._loss(p, state, batch, chain, key_loss, density)
        )
        new = state._replace(trained=trained, beliefs=aside.kept)
        if drawn is None or chain is None:
            return new, aside.metrics
        buffer = replay_buffer.store(state.replay_buffer, drawn, chain.images)
        metrics = {**aside.metrics, 'sampler_gradient': chain.gradient_norm}
        return new._replace(replay_buffer=buffer), metrics

    def _loss(
        self,
        parameters: Any,
        state: FixMatchJemState,
        batch: Batch,
        chain: Chain | None,
        key: Array,
        density: bool,
    ) -> tuple[Array, Aside]:
        model, options, old = self.model, self.model.options, state.trained
        key_views, key_noise, key_model, key_score = random.split(key, 4)
        labelled, unlabelled = batch['labelled'], batch['unlabelled']
        views = fixmatch.views(unlabelled['images'], key_views, options)
        groups = [
            model.noisy(images, random.fold_in(key_noise, number))
            for number, images in enumerate((labelled['images'], *views))
        ]
        weak, averaged = groups[1], options.teacher == 'average'
        if averaged:
            needed = options.likelihood_batch_size if chain is not None else 0
            groups[1] = self._first(weak, needed)
        logits, statistics = self._forward(parameters, old.statistics, groups, chain, key_model)
        cross_entropy = optax.softmax_cross_entropy_with_integer_labels(
            logits.labelled, labelled['labels']
        ).mean()  # Eq. 3.24
        guesses = logits.weak
        if averaged:
            guesses = model.network.apply(old.average, old.statistics, weak)
        pseudo, beliefs = fixmatch.guess(guesses, state.beliefs, self.target, options)
        consistency = consistency_loss(logits.strong, pseudo)  # Eq. 3.25
        loss = options.classification_weight * cross_entropy
        loss += options.consistency_weight * consistency
        metrics = {
            'cross_entropy': cross_entropy,
            'consistency': consistency,
            'accuracy': (logits.labelled.argmax(-1) == labelled['labels']).mean(),
            **fixmatch.guess_metrics(pseudo, unlabelled['truth']),
        }
        if logits.real is not None and logits.sampled is not None:
            likelihood, more = model.likelihood(logits.real, logits.sampled)
            loss, metrics = loss + likelihood, metrics | more
        if options.score_matching_weight and density:
            clean = self._first(views.weak, options.score_matching_batch_size)
            score, more = model.score_matching(
                parameters, old.statistics, clean, key_score, state.gaussian
            )
            loss, metrics = loss + score, metrics | more
        return loss, Aside(metrics, statistics, beliefs)

    def _forward(
        self, parameters: Any, statistics: Any, groups: list[Array], chain: Chain | None, key: Array
    ) -> tuple[Logits, Any]:
        """Logits of labelled images, weak views, strong views and chains, and new statistics."""
        model, num = self.model, self.model.options.likelihood_batch_size
        if chain is None:
            parts, kept = self._together(parameters, statistics, groups, key)
            return Logits(parts[0], parts[1], parts[2], None, None), kept
        if model.network.per_image:
            parts, kept = self._together(parameters, statistics, [*groups, chain.images], key)
            real = self._first(parts[1], num)
            return Logits(parts[0], parts[1], parts[2], real, parts[3]), kept
        joined = sharding.join(groups, model.task.num_devices)
        apart = [joined, self._first(groups[1], num), chain.images]
        (outputs, real, sampled), kept = model.forward(parameters, statistics, apart, key)
        parts = sharding.parted(outputs, [len(g) for g in groups], model.task.num_devices)
        return Logits(parts[0], parts[1], parts[2], real, sampled), kept

    def _together(
        self, parameters: Any, statistics: Any, groups: list[Array], key: Array
    ) -> tuple[list[Array], Any]:
        """The groups as one batch, which shares its statistics."""
        num_devices = self.model.task.num_devices
        joined = sharding.join(groups, num_devices)
        outputs, kept = self.model.network.train(parameters, statistics, joined, key=key)
        return sharding.parted(outputs, [len(g) for g in groups], num_devices), kept

    def _first(self, array: Array, num: int) -> Array:
        """`num` elements, of each device's share the first ones."""
        if num == len(array):
            return array
        return sharding.parted(array, [num, len(array) - num], self.model.task.num_devices)[0]


RECIPE = Recipe(
    OPTIONS,
    ABILITIES,
    build,
    check,
    advice=f'{jem_options.ADVICE}; before the joint phases lower fixmatch.optimizer.learning_rate',
    starts_from_weights=True,
)
