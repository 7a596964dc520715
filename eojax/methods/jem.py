"""Joint energy-based models: one network f that classifies, generates and scores images.

"Energy-based Models in Earth Observation: from Generation to Semi-supervised Learning"
(Castillo-Navarro et al., 2022), after Grathwohl et al. (2020):

    p(x, y) = exp(f(x)[y]) / Z                                              (Eq. 4)
    E(x) = -log sum_y exp(f(x)[y])                                          (Eq. 6)
    log p(x, y) = log p(x) + log p(y|x)                                     (Eq. 7)
    grad log p(x) = E_{p(x~)}[grad E(x~)] - E_data[grad E(x)]               (Eq. 3)

with x~ from persistent Langevin chains (Eq. 8) and p(y|x) the softmax of f(x). Unlabelled images
enter by log p(x) alone (section III-C).

Notes:
  Options that depart from the paper, all off by default: L2 on the energy, chains from Gaussian
  textures, class-conditional chains, clamps, averaged parameters, a supervised start, and
  score matching, which shapes the gradient field that short chains follow and keeps training from
  running away: denoising (`eojax.losses.denoising_score_matching`), or from where chains begin, the
  start of Energy Matching (`eojax.losses.flow_matching`). The options that later work
  on the same model needs are here too: JEM++'s inner steps (`eojax.samplers.shortcut`) and the
  sharpness-aware gradient of SADA-JEM (`eojax.methods.update.optimizers`), whose two passes see the
  same batch, the same samples and the same noise.
  Which statistics of batch normalisation E(x) has: `eojax.methods.joint.energy`.
"""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import optax
from jax import Array, random
from ml_collections import ConfigDict

from eojax import models
from eojax.feed.streams import Batch, Stream
from eojax.methods.joint.energy import energy_of as energy_of
from eojax.methods.joint.energy import log_density as log_density
from eojax.methods.joint.joint_model import ABILITIES, JointModel
from eojax.methods.joint.options import ADVICE, OPTIONS
from eojax.methods.joint.options import check as check
from eojax.methods.method import Method, Metrics, Phase, Recipe, Task
from eojax.methods.update import descent
from eojax.methods.update.descent import Aside, Descent, Trained
from eojax.samplers import replay_buffer
from eojax.samplers.langevin import Chain
from eojax.samplers.replay_buffer import ReplayBuffer
from eojax.samplers.starts import StationaryGaussian


class JemState(NamedTuple):
    """All that the next step needs.

    Attributes:
      trained: the network.
      replay_buffer: ends of the chains.
      gaussian: where chains begin; None for uniform noise. Not trained.
    """

    trained: Trained
    replay_buffer: ReplayBuffer
    gaussian: StationaryGaussian | None


def build(config: ConfigDict, task: Task) -> Method:
    """The method of a config."""
    options = config.method
    network = models.build(config.model, task.num_classes)
    joint = JointModel(network, options, config.sampler, task)
    down = descent.build(config.optimizer, config.steps, options.average_decay)
    training = _Training(joint, down)
    labelled = Stream('labelled', config.batch_size, options.augment)
    images = Stream('train', options.likelihood_batch_size, options.likelihood_augment)
    clean = Stream('train', options.score_matching_batch_size, options.likelihood_augment)
    scored = {'clean': clean} if options.score_matching_weight else {}
    phases = []
    if options.supervised_steps:
        phases.append(
            Phase(
                'supervised',
                options.supervised_steps,
                {'labelled': labelled, **scored},
                functools.partial(training.step, joint=False),
            )
        )
    phases.append(
        Phase(
            'joint',
            config.steps - options.supervised_steps,
            {'labelled': labelled, 'unlabelled': images, **scored},
            functools.partial(training.step, joint=True),
        )
    )
    return joint.method(training.init, phases)


class _Training(NamedTuple):
    """The steps of a joint model; nothing in here changes."""

    model: JointModel
    descent: Descent

    def init(self, key: Array, batch: Batch, fitted: Any) -> JemState:
        key_model, key_buffer = random.split(key)
        images = batch['labelled']['images'][:1]
        trained = self.descent.begin(*self.model.network.init(key_model, images))
        return JemState(trained, *self.model.start_chains(key_buffer, fitted))

    def step(
        self, state: JemState, batch: Batch, key: Array, joint: bool
    ) -> tuple[JemState, Metrics]:
        """One update of Eq. 7; without `joint`, of log p(y|x) (and score matching) alone."""
        key_chain, key_loss = random.split(key)
        drawn, chain = self.model.run_chains(state, key_chain) if joint else (None, None)
        old = state.trained
        trained, aside = self.descent.step(
            old, lambda p: self._loss(p, state, batch, chain, key_loss)
        )
        if drawn is None or chain is None:
            return state._replace(trained=trained), aside.metrics
        buffer = replay_buffer.store(state.replay_buffer, drawn, chain.images)
        metrics = {**aside.metrics, 'sampler_gradient': chain.gradient_norm}
        return JemState(trained, buffer, state.gaussian), metrics

    def _loss(
        self, parameters: Any, state: JemState, batch: Batch, chain: Chain | None, key: Array
    ) -> tuple[Array, Aside]:
        model, statistics = self.model, state.trained.statistics
        key_labelled, key_real, key_model, key_score = random.split(key, 4)
        groups = [model.noisy(batch['labelled']['images'], key_labelled)]
        if chain is not None:
            groups += [model.noisy(batch['unlabelled']['images'], key_real), chain.images]
        logits, kept = model.forward(parameters, statistics, groups, key_model)
        labels = batch['labelled']['labels']
        cross_entropy = optax.softmax_cross_entropy_with_integer_labels(logits[0], labels).mean()
        loss = model.options.classification_weight * cross_entropy
        metrics = {
            'cross_entropy': cross_entropy,
            'accuracy': (logits[0].argmax(-1) == labels).mean(),
        }
        if chain is not None:
            likelihood, more = model.likelihood(logits[1], logits[2])
            loss, metrics = loss + likelihood, metrics | more
        if model.options.score_matching_weight:
            clean = batch['clean']['images']
            score, more = model.score_matching(
                parameters, statistics, clean, key_score, state.gaussian
            )
            loss, metrics = loss + score, metrics | more
        return loss, Aside(metrics, kept)


RECIPE = Recipe(OPTIONS, ABILITIES, build, check, starts_from_weights=True, advice=ADVICE)
