"""Joint energy-based models for segmentation: classes of pixels, and a density of images.

"Semi-supervised Learning for Large-scale Earth Observation Data Understanding" (Castillo-Navarro,
2022), section 4.5, for a network f that gives K outputs for each pixel i of an image X:

    p(Y|X) = prod_i exp(f_i(X)[Y_i]) / sum_k exp(f_i(X)[k])                 (Eq. 4.13, 4.14)
    p(X, Y) = exp(sum_i f_i(X)[Y_i]) / Z                                    (Eq. 4.15)
    E(X) = -sum_i log sum_k exp(f_i(X)[k]) = -sum_i LSE_i(X)                (Eq. 4.19)

Where the classes of a window are known for some pixels only, LSE_i stands in place of f_i[Y_i] for
all others, so that for every window

    log p(X, known Y) = log p(X) + sum_known log p(Y_i|X)

(the thesis prints it without logarithms): windows without labels enter by log p(X) alone. Its
gradient is that of a classifier's model (`eojax.methods.jem`, Eq. 3), from Langevin chains on
windows of the side `method.chain_window`, which may be smaller than those that classes are learned
from: a chain costs as much as its pixels.

Notes:
  The thesis has no experiment on it; all that follows is ours.
  In short trainings on aerial tiles: score matching alone gives a density that prefers whatever is
  smooth; chains with a likelihood weight of 1 beside a score matching weight of 0.05, most of them
  from noise of all scales (`sampler.start_noise`), rank other sensors and unseen classes below the
  data. What resembles the data still has a high density: white clouds do, above bright sand. The
  chains stay close to where they begin, so their ends are no samples to look at.
  Both terms of a step are means over pixels, which leaves their balance that of Eq. 4.15 (for the
  likelihood weight 1, where all pixels are labelled): log p(X) and log p(Y|X) are both sums.
  `method.energy_scale` says which model the chains and the score matching see: `sum` is Eq. 4.19,
  `mean` the tempered p(X)^(1/N) of N pixels. The chains' gradient in a pixel does not depend on the
  window's size in the first and falls with it in the second, for which steps are N times as long.
  Denoising score matching (`eojax.losses.denoising_score_matching`), before the chains and beside
  them, shapes the gradient that short chains follow, and keeps training from running away.
  `method.density_average` smooths the map of LSE_i alone: training and the chains do not see it.
  `method.density` says where the density is read (`eojax.methods.joint.pixel_energy`).
  Weights of the classes, and other losses in place of the cross-entropy, are options that leave
  Eq. 4.14 (`eojax.methods.pixels.supervised_loss`).
  `method.input_noise` is of training alone: a map does not depend on chance.
  The L2 on the energy is on each pixel's LSE_i.
  Pixels without data have no part in log p(X), nor in the score matching; the network sees them as
  the lowest value of every band. Chains have none.
  Several rasters (`method.rasters`) are one image X of all their bands.
  Batch normalisation would make the energy of a window depend on the others in its batch: it is
  refused where the density is read from the network of the classes. Beside a `local` density that
  network may have it: then log p(X) and log p(Y|X) have no parameter in common, the classes learn
  nothing from windows without labels, and the density does not harm them.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, random
from ml_collections import ConfigDict

from eojax import models
from eojax.augment.sample import VALID
from eojax.data.dataset import Dataset
from eojax.devices import sharding
from eojax.feed.streams import Batch, Stream
from eojax.losses.denoising_score_matching import denoising_score_matching
from eojax.losses.pixel_cross_entropy import pixels_right
from eojax.methods.features import features_of
from eojax.methods.joint.joint_model import contrastive_loss
from eojax.methods.joint.options import ADVICE
from eojax.methods.joint.pixel_energy import (
    PixelEnergy,
    averaged,
    local_density,
    pixel_energy,
    pixel_log_density,
    window_log_density,
)
from eojax.methods.joint.pixel_options import OPTIONS, check
from eojax.methods.joint.window_starts import fit_window_textures
from eojax.methods.method import Method, Metrics, Phase, Recipe, Task, share_of
from eojax.methods.pixels import supervised_loss, windows
from eojax.methods.pixels.supervised_loss import SupervisedLoss
from eojax.methods.update import descent
from eojax.methods.update.descent import Aside, Descent, Trained
from eojax.models.pixel_network import join_rasters
from eojax.samplers import langevin, replay_buffer, starts
from eojax.samplers.keys import normal
from eojax.samplers.langevin import Chain
from eojax.samplers.replay_buffer import Draw, ReplayBuffer
from eojax.samplers.starts import StationaryGaussian

ABILITIES = ('pixel_logits', 'pixel_log_density', 'log_density', 'features', 'replay')


class SegJemState(NamedTuple):
    """All that the next step needs.

    Attributes:
      trained: the network.
      replay_buffer: ends of the chains, windows of all bands.
      gaussian: the textures that chains begin at; None for uniform noise. Not trained.
      class_weights: of the cross-entropy, where they were counted before training.
    """

    trained: Trained
    replay_buffer: ReplayBuffer
    gaussian: StationaryGaussian | None
    class_weights: Any = ()


class Fitted(NamedTuple):
    """The host's work before training; None where there is none of a kind.

    Attributes:
      textures: of windows of the training places.
      class_weights: float32 `[K]`.
    """

    textures: Any = None
    class_weights: Any = None


def build(config: ConfigDict, task: Task) -> Method:
    """The method of a config.

    Raises:
      UserError: data without a raster that is asked for; windows that cut pixels of one.
    """
    options, sampler, facts = config.method, config.sampler, task.facts
    seen = windows.windows_of(options, facts)
    rasters = seen.rasters
    supervised = supervised_loss.build(options, facts, rasters)
    side = options.chain_window or options.window
    head = options.density == 'head'
    energy = pixel_energy(
        models.build(config.model, task.num_classes + head),
        options.density,
        local_density(options.density_width, options.density_depth),
    )
    shape = (side, side, seen.bands)
    training = _Training(
        energy,
        supervised,
        descent.build(config.optimizer, config.steps, options.average_decay),
        options,
        sampler,
        rasters,
        shape,
        options.unlabelled_ratio * config.batch_size,
        task.num_devices,
    )
    textures = sampler.start != 'uniform'

    def fit(dataset: Dataset) -> Fitted:
        return Fitted(
            fit_window_textures(dataset, rasters, side, sampler.start_textures)
            if textures
            else None,
            None if supervised.fit is None else supervised.fit(dataset),
        )

    works = textures or supervised.fit is not None
    shapes = starts.gaussian_shapes(sampler.start_textures, shape) if textures else None
    return Method(
        training.init,
        _phases(config, training, rasters, side),
        training.abilities(),
        split=('replay_buffer',),
        score='mean_iou',
        rasters=rasters,
        window=seen.evaluation,
        fit=fit if works else None,
        fitted=Fitted(shapes, supervised.fitted) if works else None,
    )


def _phases(
    config: ConfigDict, training: _Training, rasters: tuple[str, ...], side: int
) -> tuple[Phase, ...]:
    """Classes and score matching alone, where there are steps for it; then the chains too."""
    options = config.method
    labelled = Stream('labelled', config.batch_size, options.augment, rasters=rasters,
                      window=options.window)  # fmt: skip
    unlabelled = Stream('train', training.num_chains, options.likelihood_augment, rasters=rasters,
                        window=side)  # fmt: skip
    first = {'labelled': labelled}
    if options.score_matching_weight:
        first['unlabelled'] = unlabelled
    streams = {'labelled': labelled, 'unlabelled': unlabelled}
    before, after = options.supervised_steps, config.steps - options.supervised_steps
    joint = Phase('joint', after, streams, functools.partial(training.step, joint=True))
    if not before:
        return (joint,)
    alone = functools.partial(training.step, joint=False)
    return Phase('supervised', before, first, alone), joint


class _Training(NamedTuple):
    """The steps of the model and what it can do; nothing in here changes.

    Attributes:
      shape: height, width and bands of a chain's window.
      num_chains: a step.
    """

    energy: PixelEnergy
    supervised: SupervisedLoss
    descent: Descent
    options: ConfigDict
    sampler: ConfigDict
    rasters: tuple[str, ...]
    shape: tuple[int, int, int]
    num_chains: int
    num_devices: int

    def init(self, key: Array, batch: Batch, fitted: Any) -> SegJemState:
        key_model, key_buffer = random.split(key)
        fitted = Fitted() if fitted is None else fitted
        gaussian = jax.tree.map(jnp.asarray, fitted.textures)
        example = self._joined(batch['labelled'])[:1]
        buffer = replay_buffer.fill(
            key_buffer,
            functools.partial(self._starts, gaussian),
            self.sampler.buffer_size,
            1 if gaussian is None else self.sampler.start_textures,
            self.sampler.buffer_parts,
            jnp.dtype(self.sampler.buffer_dtype),
        )
        trained = self.descent.begin(*self.energy.network.init(key_model, example))
        weights = self.supervised.weights(fitted.class_weights)
        return SegJemState(trained, buffer, gaussian, weights)

    def step(
        self, state: SegJemState, batch: Batch, key: Array, joint: bool
    ) -> tuple[SegJemState, Metrics]:
        """One update of log p(X, known Y); without `joint`, of p(Y|X) and score matching alone."""
        key_chain, key_loss = random.split(key)
        drawn, chain = self._run_chains(state, key_chain) if joint else (None, None)
        trained, aside = self.descent.step(
            state.trained, lambda p: self._loss(p, state, batch, chain, key_loss)
        )
        if drawn is None or chain is None:
            return state._replace(trained=trained), aside.metrics
        buffer = replay_buffer.store(state.replay_buffer, drawn, chain.images)
        metrics = {**aside.metrics, 'sampler_gradient': chain.gradient_norm}
        return state._replace(trained=trained, replay_buffer=buffer), metrics

    def _loss(
        self, parameters: Any, state: SegJemState, batch: Batch, chain: Chain | None, key: Array
    ) -> tuple[Array, Aside]:
        options, statistics = self.options, state.trained.statistics
        key_labelled, key_real, key_model, key_score = random.split(key, 4)
        labels = batch['labelled']['labels']
        images = self._noisy(self._joined(batch['labelled']), key_labelled)
        logits, new = self.energy.network.train(parameters, statistics, images, key=key_model)
        # Eq. 4.14 by default; unlabelled pixels are left out.
        cross_entropy = self.supervised.loss(logits, labels, state.class_weights)
        loss = options.classification_weight * cross_entropy
        metrics = {
            'cross_entropy': cross_entropy,
            **share_of('pixel_accuracy', *pixels_right(logits, labels)),
        }
        if chain is not None:
            groups = [self._noisy(self._joined(batch['unlabelled']), key_real), chain.images]
            shares = self.energy.shares(
                parameters, statistics, sharding.join(groups, self.num_devices)
            )
            sizes = [len(group) for group in groups]
            real, sampled = sharding.parted(shares, sizes, self.num_devices)
            likelihood, more = contrastive_loss(
                real, sampled, options.likelihood_weight, options.energy_l2,
                batch['unlabelled'].get(VALID),
            )  # fmt: skip
            loss, metrics = loss + likelihood, metrics | more
        if options.score_matching_weight:
            valid = batch['unlabelled'].get(VALID)
            score = denoising_score_matching(
                self._log_density(parameters, statistics, valid),
                self._joined(batch['unlabelled']),
                key_score,
                tuple(options.score_matching_noise),
                valid=valid,
            )
            loss = loss + options.score_matching_weight * score
            metrics['score_matching'] = score
        return loss, Aside(metrics, new)

    def _run_chains(self, state: SegJemState, key: Array) -> tuple[Draw, Chain]:
        key_draw, key_noise = random.split(key)
        drawn = replay_buffer.draw(
            state.replay_buffer,
            key_draw,
            self.num_chains,
            self.sampler.reinitialise,
            functools.partial(self._starts, state.gaussian),
        )
        log_density = self._log_density(state.trained.parameters, state.trained.statistics)
        chain = langevin.run_chain(
            lambda x: -log_density(x), drawn.images, key_noise, langevin.from_config(self.sampler)
        )
        return drawn, chain

    def _starts(self, gaussian: StationaryGaussian | None, key: Array, labels: Array) -> Array:
        return starts.sample_starts(
            gaussian,
            key,
            labels,
            self.shape,
            self.sampler.start_uniform_share,
            self.sampler.start_noise == 'scales',
        )

    def _log_density(
        self, parameters: Any, statistics: Any, valid: Array | None = None
    ) -> Callable[[Array], Array]:
        """log p(X) up to log Z, of windows `[N, h, w, C]` to `[N]`, of their valid pixels."""

        def log_density(windows: Array) -> Array:
            shares = self.energy.shares(parameters, statistics, windows)
            return window_log_density(shares, self.options.energy_scale, valid)

        return log_density

    def _joined(self, sample: Any) -> Array:
        """The rasters of a stream as one image X, `[N, h, w, C]`."""
        return join_rasters([sample[name] for name in self.rasters])

    def _noisy(self, images: Array, key: Array) -> Array:
        if not self.options.input_noise:
            return images
        return images + self.options.input_noise * normal(key, images.shape)

    def abilities(self) -> dict[str, Callable[..., Any]]:
        """All that the model can do, by name (`ABILITIES`)."""
        return {
            'pixel_logits': self.pixel_logits,
            'pixel_log_density': self.pixel_log_density,
            'log_density': lambda *given: self.pixel_log_density(*given).mean((1, 2)),
            **features_of(self.energy.network),
            'replay': lambda state: state.replay_buffer,
        }

    def pixel_logits(self, state: SegJemState, *given: Array) -> Array:
        """f `[N, h, w, K]` of rasters in [-1, 1] and a key, by the averaged parameters."""
        *rasters, _ = given  # nothing here is random
        trained = state.trained
        outputs: Array = self.energy.network.apply(
            trained.average, trained.statistics, join_rasters(rasters)
        )
        return outputs

    def pixel_log_density(self, state: SegJemState, *given: Array) -> Array:
        """LSE_i `[N, h, w]`: the share of each pixel in log p(X) + log Z, unnormalised.

        It is no density of the pixel: each of them sees all of X that lies in its field of view.
        `method.density_average` hands shares on to neighbours.
        """
        shares = pixel_log_density(self.pixel_logits(state, *given))
        return averaged(shares, self.options.density_average)


RECIPE = Recipe(
    OPTIONS,
    ABILITIES,
    build,
    check,
    models=models.buildable(per_pixel=True),
    labels=('pixel',),
    advice=ADVICE,
    starts_from_weights=True,
)
