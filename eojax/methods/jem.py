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
  sharpness-aware gradient of SADA-JEM (`eojax.optimizers.sharpness_aware_gradient`), whose two
  passes see the same batch, the same samples and the same noise.
  Which statistics of batch normalisation E(x) has: `eojax.methods.jem_energy`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import Array, lax, random
from ml_collections import ConfigDict

from eojax import optimizers, sharding
from eojax.data.streams import Batch, Stream
from eojax.losses.denoising_score_matching import denoising_score_matching
from eojax.methods.jem_energy import cut_of, energy_of, log_density
from eojax.methods.jem_options import DEFAULTS as DEFAULTS
from eojax.methods.jem_options import check as check
from eojax.methods.method import Method, Metrics, Phase, Task
from eojax.models import MODELS
from eojax.models.model import Model, running_average
from eojax.samplers import inpainting, langevin, replay_buffer, starts
from eojax.samplers.inpainting import Inpainting
from eojax.samplers.langevin import Chain, Langevin
from eojax.samplers.replay_buffer import Draw, ReplayBuffer
from eojax.samplers.shortcut import Cut
from eojax.samplers.starts import StationaryGaussian

ABILITIES = ('logits', 'log_density', 'sample', 'restore', 'replay')


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
    model = MODELS[config.model.name].build(config.model, task.num_classes)
    optimizer = optimizers.build(config.optimizer, config.steps)
    options = config.method
    parts = _Parts(model, optimizer, config.optimizer, options, config.sampler, task)
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
                functools.partial(parts.step, joint=False),
            )
        )
    phases.append(
        Phase(
            'joint',
            config.steps - options.supervised_steps,
            {'labelled': labelled, 'unlabelled': images, **scored},
            functools.partial(parts.step, joint=True),
        )
    )
    abilities: dict[str, Callable[..., Any]] = {
        'logits': parts.logits,
        'log_density': lambda state, x, key: log_density(parts.logits(state, x, key)),
        'sample': parts.sample,
        'restore': parts.restore,
        'replay': lambda state: state.replay_buffer,
    }
    return Method(parts.init, tuple(phases), abilities, split=('replay_buffer',))


class _Parts(NamedTuple):
    """What the pure functions of the method share; nothing in here changes."""

    model: Model
    optimizer: optax.GradientTransformation
    optimizer_options: ConfigDict
    options: ConfigDict
    sampler: ConfigDict
    task: Task

    def init(self, key: Array, batch: Batch) -> JemState:
        key_model, key_buffer = random.split(key)
        example = batch['labelled']['images'][:1]
        parameters, statistics = self.model.init(key_model, example)
        gaussian = self._fit_gaussian()
        buffer = replay_buffer.fill(
            key_buffer,
            functools.partial(self._starts, gaussian),
            self.sampler.buffer_size,
            self.task.num_classes,
            self.sampler.buffer_parts,
            jnp.dtype(self.sampler.buffer_dtype),
        )
        return JemState(
            jnp.zeros((), jnp.int32),
            parameters,
            statistics,
            jax.tree.map(jnp.copy, parameters),
            self.optimizer.init(parameters),
            buffer,
            gaussian,
        )

    def _fit_gaussian(self) -> StationaryGaussian | None:
        if self.sampler.start == 'uniform':
            return None
        return starts.fit_stationary_gaussian(
            self.task.training.images,
            self.task.training.labels,
            self.task.num_classes,
            self.sampler.start_by_class,
            self.task.training.limits,
        )

    def _starts(self, gaussian: StationaryGaussian | None, key: Array, labels: Array) -> Array:
        return starts.sample_starts(
            gaussian, key, labels, self.task.image_shape, self.sampler.start_uniform_share
        )

    def step(self, state: JemState, batch: Batch, key: Array, joint: bool) -> tuple[Any, Metrics]:
        """One update of Eq. 7; without `joint`, of log p(y|x) (and score matching) alone."""
        key_chain, key_loss = random.split(key)
        drawn, chain = self._run_chains(state, key_chain) if joint else (None, None)
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
            running_average(state.average, parameters, state.step, self.options.average_decay),
            optimizer,
            buffer,
            state.gaussian,
        )
        return new, metrics

    def _run_chains(self, state: JemState, key: Array) -> tuple[Draw, Chain]:
        key_draw, key_noise = random.split(key)
        drawn = replay_buffer.draw(
            state.replay_buffer,
            key_draw,
            self.options.likelihood_batch_size,
            self.sampler.reinitialise,
            functools.partial(self._starts, state.gaussian),
        )
        labels = drawn.labels if self.options.class_conditional else None
        energy, cut = self._energy(state.parameters, state.statistics, labels, key)
        chain = langevin.run_chain(
            energy, drawn.images, key_noise, langevin.from_config(self.sampler), cut=cut
        )
        return drawn, chain

    def _energy(
        self, parameters: Any, statistics: Any, labels: Array | None, key: Array
    ) -> tuple[Callable[[Array], Array], Cut | None]:
        """What the chains descend on; `key` is that of all their randomness."""
        key_network = random.fold_in(key, 2) if self._batch_statistics() else None
        network = (self.model, parameters, statistics, labels, key_network)
        return energy_of(*network), cut_of(*network)

    def _batch_statistics(self) -> bool:
        return not self.model.per_image and self.options.likelihood_statistics == 'batch'

    def _loss(
        self, parameters: Any, statistics: Any, batch: Batch, chain: Chain | None, key: Array
    ) -> tuple[Array, tuple[dict[str, Array], Any]]:
        options = self.options
        key_labelled, key_real, key_model, key_score = random.split(key, 4)
        groups = [self._noisy(batch['labelled']['images'], key_labelled)]
        if chain is not None:
            groups += [self._noisy(batch['unlabelled']['images'], key_real), chain.images]
        logits, statistics = self._forward(parameters, statistics, groups, key_model)
        labels = batch['labelled']['labels']
        cross_entropy = optax.softmax_cross_entropy_with_integer_labels(logits[0], labels).mean()
        loss = options.classification_weight * cross_entropy
        metrics = {
            'cross_entropy': cross_entropy,
            'accuracy': (logits[0].argmax(-1) == labels).mean(),
        }
        if chain is not None:
            real, sampled = log_density(logits[1]), log_density(logits[2])
            likelihood = sampled.mean() - real.mean()  # the negative of Eq. 3's ascent direction
            magnitude = jnp.square(real).mean() + jnp.square(sampled).mean()
            loss += options.likelihood_weight * likelihood + options.energy_l2 * magnitude
            metrics |= {'log_density_real': real.mean(), 'log_density_sampled': sampled.mean()}
        if options.score_matching_weight:
            score = denoising_score_matching(
                lambda x: log_density(self.model.apply(parameters, statistics, x)),
                batch['clean']['images'],
                key_score,
                tuple(options.score_matching_noise),
                options.score_matching_scale,
            )
            loss += options.score_matching_weight * score
            metrics['score_matching'] = score
        return loss, ({'loss': loss, **metrics}, statistics)

    def _forward(
        self, parameters: Any, statistics: Any, groups: list[Array], key: Array
    ) -> tuple[list[Array], Any]:
        """Logits of each group of images, the labelled ones first, in as few passes as may be.

        Under batch normalisation each group has its own statistics, or the running ones; those of
        the labelled pass are kept.
        """
        train, apply = self.model.train, self.model.apply
        if self.model.per_image:
            outputs, kept = train(parameters, statistics, self._joined(groups), key)
            return self._parted(outputs, groups), kept
        first, kept = train(parameters, statistics, groups[0], key)
        others = groups[1:]
        if self._batch_statistics():
            return [first, *(train(parameters, statistics, g, key)[0] for g in others)], kept
        if not others:
            return [first], kept
        outputs = apply(parameters, statistics, self._joined(others))
        return [first, *self._parted(outputs, others)], kept

    def _joined(self, groups: list[Array]) -> Array:
        return sharding.join(groups, self.task.num_devices)

    def _parted(self, outputs: Array, groups: list[Array]) -> list[Array]:
        return sharding.parted(outputs, [len(g) for g in groups], self.task.num_devices)

    def _noisy(self, images: Array, key: Array) -> Array:
        if not self.options.input_noise:
            return images
        return images + self.options.input_noise * random.normal(key, images.shape)

    def logits(self, state: JemState, images: Array, key: Array) -> Array:
        """f(x) `[N, K]` of images in [-1, 1] by the averaged parameters, under the input noise."""
        noisy = self._noisy(images, key)
        return self.model.apply(state.average, state.statistics, noisy)

    def sample(
        self,
        state: JemState,
        key: Array,
        labels: Array,
        chain: Langevin,
        images: Array | None = None,
        conditional: bool = False,
        every: int = 0,
    ) -> Array:
        """Images `[N, H, W, C]` by chains of the trained model.

        Args:
          labels: int32 `[N]`: the class whose texture a chain begins at, and, where `conditional`,
            whose energy E(x, y) it follows.
          chain: the parameters of the chains.
          images: where the chains begin; fresh starts where None.
          every: if positive, the chains' course instead: `[frames, N, H, W, C]`.
        """
        key_start, key_chain = random.split(key)
        if images is None:
            images = self._starts(state.gaussian, key_start, labels)
        energy, cut = self._energy(
            state.average, state.statistics, labels if conditional else None, key
        )
        if every:
            return langevin.film_chain(energy, images, key_chain, chain, every, cut)
        ends = langevin.run_chain(energy, images, key_chain, chain, cut=cut).images
        return lax.stop_gradient(ends)

    def restore(
        self,
        state: JemState,
        keys: Array,
        signs: Array,
        images: Array,
        masks: Array,
        texture_labels: Array,
        labels: Array | None,
        texture: StationaryGaussian,
        options: Inpainting,
        chain: Langevin | None = None,
    ) -> Array:
        """Images `[N, H, W, C]` with their missing pixels drawn by the trained model's energy.

        They may be larger or smaller than those of training: the energy is then that of the images
        resampled to the size of training (bicubic, with a low-pass filter where it shrinks them).

        Args:
          keys, signs: `[N]`, of each chain's noise; see `eojax.samplers.inpainting.inpaint`.
          images: float32 `[N, H, W, C]` in [-1, 1]; what stands at missing pixels is not read.
          masks: `[N, H, W, 1]`, 1 where missing.
          texture_labels: int32 `[N]`, the texture's class.
          labels: int32 `[N]`: chains follow E(x, y) of these; E(x) where None.
          texture: of windows of the images' size.
          options: of the chains.
          chain: if given, plain Langevin dynamics on the missing pixels instead, from a sample of
            the texture.
        """
        size, network_key = self.task.image_shape[:2], random.key(0)
        own, _ = self._energy(state.average, state.statistics, labels, network_key)

        def energy(x: Array) -> Array:
            if x.shape[1:3] != size:
                x = jax.image.resize(x, (len(x), *size, x.shape[-1]), 'cubic')
            return own(x)

        given = inpainting.condition(texture, texture_labels, images, masks, options)
        if chain is None:
            return inpainting.inpaint(energy, given, keys, signs, options)
        begin = inpainting.inpaint(energy, given, keys, signs, options._replace(steps=0))
        chain = chain._replace(inner_steps=1)
        ends = langevin.run_chain(energy, begin, keys[0], chain, masks)
        return lax.stop_gradient(ends.images)
