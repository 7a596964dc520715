"""The parts that methods with a joint energy-based model share: chains, losses, abilities.

"Energy-based Models in Earth Observation: from Generation to Semi-supervised Learning"
(Castillo-Navarro et al., 2022), after Grathwohl et al. (2020); the equations are those of
`eojax.methods.jem`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol

import jax
import jax.numpy as jnp
from jax import Array, lax, random
from ml_collections import ConfigDict

from eojax.data.dataset import Dataset
from eojax.devices import sharding
from eojax.losses.denoising_score_matching import denoising_score_matching
from eojax.losses.flow_matching import flow_matching
from eojax.losses.valid_pixels import mean_over
from eojax.methods.features import features_of
from eojax.methods.joint.energy import cut_of, energy_of, log_density
from eojax.methods.method import Method, Phase, Sampling, Task
from eojax.methods.update.descent import Trained
from eojax.models.model import Network
from eojax.samplers import inpainting, langevin, replay_buffer, starts
from eojax.samplers.inpainting import Inpainting
from eojax.samplers.keys import fold_in, normal
from eojax.samplers.langevin import Chain, Langevin
from eojax.samplers.replay_buffer import Draw, ReplayBuffer
from eojax.samplers.shortcut import Cut
from eojax.samplers.starts import StationaryGaussian

ABILITIES = ('logits', 'log_density', 'features', 'sample', 'restore', 'replay')


class JointState(Protocol):
    """The joint model in a method's state; see `eojax.methods.jem.JemState`."""

    @property
    def trained(self) -> Trained: ...
    @property
    def replay_buffer(self) -> ReplayBuffer: ...
    @property
    def gaussian(self) -> StationaryGaussian | None: ...


class JointModel(NamedTuple):
    """A network as p(x, y); nothing in here changes.

    Attributes:
      network: f.
      options: the config group `method`.
      sampler: the config group `sampler`.
      task: what is known of the data.
    """

    network: Network
    options: ConfigDict
    sampler: ConfigDict
    task: Task

    def start_chains(
        self, key: Array, fitted: StationaryGaussian | None
    ) -> tuple[ReplayBuffer, StationaryGaussian | None]:
        """A replay buffer of fresh starts, and what they are drawn from, on the devices."""
        gaussian = jax.tree.map(jnp.asarray, fitted)
        buffer = replay_buffer.fill(
            key,
            functools.partial(self._starts, gaussian),
            self.sampler.buffer_size,
            self.task.num_classes,
            self.sampler.buffer_parts,
            jnp.dtype(self.sampler.buffer_dtype),
        )
        return buffer, gaussian

    def fit(self, training: Dataset) -> StationaryGaussian | None:
        """`Method.fit`: the textures that chains begin at; None for uniform noise."""
        if self.sampler.start == 'uniform':
            return None
        return starts.fit_stationary_gaussian(
            training.images,
            training.labels,
            self.task.num_classes,
            self.sampler.start_by_class,
            training.limits,
        )

    def method(self, init: Callable[..., Any], phases: Sequence[Phase]) -> Method:
        """A method of these phases with all that the joint model can do."""
        textures = self.sampler.start != 'uniform'
        shapes = starts.gaussian_shapes(self.task.num_classes, self.task.image_shape)
        return Method(
            init,
            tuple(phases),
            self.abilities(),
            split=('replay_buffer',),
            fit=self.fit if textures else None,
            fitted=shapes if textures else None,
            sampling=Sampling(langevin.from_config(self.sampler), self.options.class_conditional),
            notes=self._notes(),
        )

    def _notes(self) -> tuple[str, ...]:
        parts, devices = self.sampler.buffer_parts, self.task.num_devices
        if parts % devices == 0:
            return ()
        return (
            f'sampler.buffer_parts={parts} does not divide over {devices} devices: each keeps all'
            f' of the replay buffer, and exchanges its chains; {devices} parts avoid both',
        )

    def _starts(self, gaussian: StationaryGaussian | None, key: Array, labels: Array) -> Array:
        return starts.sample_starts(
            gaussian, key, labels, self.task.image_shape, self.sampler.start_uniform_share
        )

    def run_chains(self, state: JointState, key: Array) -> tuple[Draw, Chain]:
        key_draw, key_noise = random.split(key)
        drawn = replay_buffer.draw(
            state.replay_buffer,
            key_draw,
            self.options.likelihood_batch_size,
            self.sampler.reinitialise,
            functools.partial(self._starts, state.gaussian),
        )
        labels = drawn.labels if self.options.class_conditional else None
        energy, cut = self._energy(state.trained.parameters, state.trained.statistics, labels, key)
        chain = langevin.run_chain(
            energy, drawn.images, key_noise, langevin.from_config(self.sampler), cut=cut
        )
        return drawn, chain

    def _energy(
        self, parameters: Any, statistics: Any, labels: Array | None, key: Array
    ) -> tuple[Callable[[Array], Array], Cut | None]:
        """The energy that the chains descend on; `key` is that of all their randomness."""
        key_network = random.fold_in(key, 2) if self._batch_statistics() else None
        function = (self.network, parameters, statistics, labels, key_network)
        return energy_of(*function), cut_of(*function)

    def _batch_statistics(self) -> bool:
        return not self.network.per_image and self.options.likelihood_statistics == 'batch'

    def likelihood(self, real: Array, sampled: Array) -> tuple[Array, dict[str, Array]]:
        """The loss whose descent is Eq. 3, weighted, with the L2 on the energy.

        Args:
          real, sampled: logits of images of the data and of the ends of chains.
        """
        real, sampled = log_density(real), log_density(sampled)
        weight, l2 = self.options.likelihood_weight, self.options.energy_l2
        return contrastive_loss(real, sampled, weight, l2)

    def score_matching(
        self,
        parameters: Any,
        statistics: Any,
        images: Array,
        key: Array,
        gaussian: StationaryGaussian | None,
    ) -> tuple[Array, dict[str, Array]]:
        """The weighted loss that shapes the gradient of log p(x) on images of the data.

        Args:
          statistics: those that the chains see, from before the step.
          gaussian: where chains begin, for flow matching; None for uniform noise.
        """
        options, key_network = self.options, random.fold_in(key, 3)

        def density(x: Array) -> Array:
            if self._batch_statistics():
                outputs, _ = self.network.train(parameters, statistics, x, key=key_network)
                return log_density(outputs)
            return log_density(self.network.apply(parameters, statistics, x))

        if options.score_matching_kind == 'flow':
            key_labels, key_starts, key = random.split(key, 3)
            labels = random.randint(key_labels, (len(images),), 0, self.task.num_classes)
            score = flow_matching(density, self._starts(gaussian, key_starts, labels), images, key)
        else:
            noise = tuple(options.score_matching_noise)
            score = denoising_score_matching(density, images, key, noise)
        return options.score_matching_weight * score, {'score_matching': score}

    def forward(
        self, parameters: Any, statistics: Any, groups: list[Array], key: Array
    ) -> tuple[list[Array], Any]:
        """Logits of each group of images, the labelled ones first, in as few passes as may be.

        Under batch normalisation each group has its own statistics, or the running ones; those of
        the labelled pass are kept.
        """
        train, apply = self.network.train, self.network.apply
        if self.network.per_image:
            outputs, kept = train(parameters, statistics, self._joined(groups), key=key)
            return self._parted(outputs, groups), kept
        first, kept = train(parameters, statistics, groups[0], key=key)
        others = groups[1:]
        if self._batch_statistics():
            return [first, *(train(parameters, statistics, g, key=key)[0] for g in others)], kept
        if not others:
            return [first], kept
        outputs = apply(parameters, statistics, self._joined(others))
        return [first, *self._parted(outputs, others)], kept

    def _joined(self, groups: list[Array]) -> Array:
        return sharding.join(groups, self.task.num_devices)

    def _parted(self, outputs: Array, groups: list[Array]) -> list[Array]:
        return sharding.parted(outputs, [len(g) for g in groups], self.task.num_devices)

    def noisy(self, images: Array, key: Array) -> Array:
        """The images under the input noise, of one key or of one for each."""
        if not self.options.input_noise:
            return images
        return images + self.options.input_noise * normal(key, images.shape)

    def abilities(self) -> dict[str, Callable[..., Any]]:
        """All that the joint model can do, by name (`ABILITIES`)."""
        return {
            'logits': self.logits,
            'log_density': lambda state, x, key: log_density(self.logits(state, x, key)),
            **features_of(self.network, self.noisy),
            'sample': self.sample,
            'restore': self.restore,
            'replay': lambda state: state.replay_buffer,
        }

    def logits(self, state: JointState, images: Array, key: Array) -> Array:
        """f(x) `[N, K]` of images in [-1, 1] by the averaged parameters, under the input noise."""
        noisy = self.noisy(images, key)
        outputs: Array = self.network.apply(state.trained.average, state.trained.statistics, noisy)
        return outputs

    def sample(
        self,
        state: JointState,
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
            state.trained.average, state.trained.statistics, labels if conditional else None, key
        )
        if every:
            return langevin.film_chain(energy, images, key_chain, chain, every, cut)
        ends = langevin.run_chain(energy, images, key_chain, chain, cut=cut).images
        return lax.stop_gradient(ends)

    def restore(
        self,
        state: JointState,
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
        own, _ = self._energy(state.trained.average, state.trained.statistics, labels, network_key)

        def energy(x: Array) -> Array:
            if x.shape[1:3] != size:
                x = jax.image.resize(x, (len(x), *size, x.shape[-1]), 'cubic')
            return own(x)

        given = inpainting.condition(texture, texture_labels, images, masks, options)
        if chain is None:
            return inpainting.inpaint(energy, given, keys, signs, options)
        begin = inpainting.inpaint(energy, given, keys, signs, options._replace(steps=0))
        chain = chain._replace(inner_steps=1)
        # Chains of a pair share a key: their signs tell them apart.
        apart = jax.vmap(fold_in)(keys, (signs < 0).astype(jnp.int32))
        ends = langevin.run_chain(energy, begin, apart, chain, masks)
        return lax.stop_gradient(ends.images)


def contrastive_loss(
    real: Array, sampled: Array, weight: float, l2: float, valid: Array | None = None
) -> tuple[Array, dict[str, Array]]:
    """The loss whose descent is Eq. 3, and the metrics of it.

    Args:
      real, sampled: log p(x) up to log Z of images of the data and of the ends of chains, or the
        shares of their pixels in it.
      weight: of Eq. 3.
      l2: of the mean square of both.
      valid: bool, of the shape of `real`: what counts of it. None: all.
    """
    mean = mean_over(real, valid)
    difference = sampled.mean() - mean  # the negative of Eq. 3's ascent direction
    magnitude = mean_over(jnp.square(real), valid) + jnp.square(sampled).mean()
    loss = weight * difference + l2 * magnitude
    return loss, {'log_density_real': mean, 'log_density_sampled': sampled.mean()}
