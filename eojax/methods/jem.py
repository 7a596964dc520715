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
  denoising score matching, which shapes the gradient field that short chains follow and keeps
  training from running away (`eojax.losses.denoising_score_matching`). The options that later work
  on the same model needs are here too: JEM++'s inner steps (`eojax.samplers.shortcut`) and the
  sharpness-aware gradient of SADA-JEM (`eojax.methods.optimizers.sharpness_aware_gradient`), whose
  two passes see the same batch, the same samples and the same noise. Which statistics of batch
  normalisation E(x) has: `eojax.methods.joint.energy`.
"""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import Array, random
from ml_collections import ConfigDict

from eojax.feed.streams import Batch, Stream
from eojax.methods import optimizers
from eojax.methods.joint.energy import energy_of as energy_of
from eojax.methods.joint.energy import log_density as log_density
from eojax.methods.joint.joint_model import ABILITIES as ABILITIES
from eojax.methods.joint.joint_model import JointModel
from eojax.methods.joint.options import DEFAULTS as DEFAULTS
from eojax.methods.joint.options import check as check
from eojax.methods.method import Method, Metrics, Phase, Task
from eojax.models import MODELS
from eojax.models.model import running_average
from eojax.samplers import replay_buffer
from eojax.samplers.langevin import Chain
from eojax.samplers.replay_buffer import ReplayBuffer
from eojax.samplers.starts import StationaryGaussian


class JemState(NamedTuple):
    """All that the next step needs.

    Attributes:
      step: int32, steps done.
      parameters, statistics: of the network.
      average: running average of the parameters, what evaluation uses.
      optimizer: optax's state.
      replay_buffer: ends of the chains.
      gaussian: where chains begin; None for uniform noise. Not trained.
    """

    step: Array
    parameters: Any
    statistics: Any
    average: Any
    optimizer: optax.OptState
    replay_buffer: ReplayBuffer
    gaussian: StationaryGaussian | None


def build(config: ConfigDict, task: Task) -> Method:
    """The method of a config."""
    options = config.method
    model = MODELS[config.model.name].build(config.model, task.num_classes)
    joint = JointModel(model, options, config.sampler, task)
    training = _Training(joint, optimizers.build(config.optimizer, config.steps), config.optimizer)
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
    return Method(training.init, tuple(phases), joint.abilities(), split=('replay_buffer',))


class _Training(NamedTuple):
    """The steps of a joint model and an optimiser; nothing in here changes."""

    model: JointModel
    optimizer: optax.GradientTransformation
    optimizer_options: ConfigDict

    def init(self, key: Array, batch: Batch) -> JemState:
        key_model, key_buffer = random.split(key)
        parameters, statistics = self.model.model.init(key_model, batch['labelled']['images'][:1])
        return JemState(
            jnp.zeros((), jnp.int32),
            parameters,
            statistics,
            jax.tree.map(jnp.copy, parameters),
            self.optimizer.init(parameters),
            *self.model.start_chains(key_buffer),
        )

    def step(self, state: JemState, batch: Batch, key: Array, joint: bool) -> tuple[Any, Metrics]:
        """One update of Eq. 7; without `joint`, of log p(y|x) (and score matching) alone."""
        key_chain, key_loss = random.split(key)
        drawn, chain = self.model.run_chains(state, key_chain) if joint else (None, None)
        gradient, (metrics, statistics) = optimizers.sharpness_aware_gradient(
            lambda p: jax.grad(self._loss, has_aux=True)(
                p, state.statistics, batch, chain, key_loss
            ),
            state.parameters,
            self.optimizer_options,
        )
        updates, optimizer = self.optimizer.update(gradient, state.optimizer, state.parameters)
        parameters = optax.apply_updates(state.parameters, updates)
        metrics = {**metrics, 'gradient_norm': optax.tree.norm(gradient)}
        buffer = state.replay_buffer
        if drawn is not None and chain is not None:
            buffer = replay_buffer.store(buffer, drawn, chain.images)
            metrics['sampler_gradient'] = chain.gradient_norm
        new = JemState(
            state.step + 1,
            parameters,
            statistics,
            running_average(
                state.average, parameters, state.step, self.model.options.average_decay
            ),
            optimizer,
            buffer,
            state.gaussian,
        )
        return new, metrics

    def _loss(
        self, parameters: Any, statistics: Any, batch: Batch, chain: Chain | None, key: Array
    ) -> tuple[Array, tuple[dict[str, Array], Any]]:
        model = self.model
        key_labelled, key_real, key_model, key_score = random.split(key, 4)
        groups = [model.noisy(batch['labelled']['images'], key_labelled)]
        if chain is not None:
            groups += [model.noisy(batch['unlabelled']['images'], key_real), chain.images]
        logits, statistics = model.forward(parameters, statistics, groups, key_model)
        labels = batch['labelled']['labels']
        cross_entropy = optax.softmax_cross_entropy_with_integer_labels(logits[0], labels).mean()
        loss = model.options.classification_weight * cross_entropy
        metrics = {
            'cross_entropy': cross_entropy,
            'accuracy': (logits[0].argmax(-1) == labels).mean(),
        }
        if chain is not None:
            likelihood, found = model.likelihood(logits[1], logits[2])
            loss, metrics = loss + likelihood, metrics | found
        if model.options.score_matching_weight:
            score, found = model.score_matching(
                parameters, statistics, batch['clean']['images'], key_score
            )
            loss, metrics = loss + score, metrics | found
        return loss, ({'loss': loss, **metrics}, statistics)
