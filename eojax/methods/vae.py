"""Variational autoencoder: the generative baseline without labels.

Kingma and Welling, "Auto-Encoding Variational Bayes" (2014), the standard VAE of Table II in
"Energy-based Models in Earth Observation: from Generation to Semi-supervised Learning"
(Castillo-Navarro et al., 2022). With an encoder q(z|x) = N(z; m(x), diag v(x)), a decoder p(x|z)
and the prior p(z) = N(0, I), of d latents:

    log p(x) >= E_q[log p(x|z)] - KL(q(z|x) || p(z)) = ELBO                 (there Eq. 3)
    KL(q(z|x) || p(z)) = 1/2 sum_j (m_j^2 + v_j - log v_j - 1)              (there Appendix B)
    z = m(x) + sqrt(v(x)) e,   e ~ N(0, I)                                  (there Eq. 10)

After training, log p(x) is estimated from below by K samples, tighter the more they are (Burda et
al., "Importance Weighted Autoencoders", 2016, Eq. 8):

    log p(x) >= E[log 1/K sum_k p(x|z_k) p(z_k) / q(z_k|x)],   z_k ~ q(z|x)

Notes:
  The paper states neither network nor likelihood of its VAE; these are `eojax.models.
  convolutional_autoencoder`'s and, by default, a discretised logistic distribution about the
  decoder's output, with one learned scale for each band (`eojax.losses.pixel_likelihood`): the
  noise that fits the reconstructions best, so that the weight of the KL is not another knob. With
  a fixed unit Gaussian, the KL would outweigh all detail (Rybkin et al., "Simple and Effective VAE
  Training with Calibrated Decoders", 2021).
  Samples and reconstructions are the decoder's output, without the noise of p(x|z).
  Options, off by default: `beta` weights the KL (Higgins et al., "beta-VAE", 2017); `free_bits`
  leaves as many nats of each latent's KL, averaged over the batch, without a price (Kingma et al.,
  "Improving Variational Inference with Inverse Autoregressive Flow", 2016), against latents that
  are never used.
  The loss is in nats for each pixel value.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array, lax, random
from ml_collections import ConfigDict

from eojax.feed.streams import Batch, Stream
from eojax.losses.pixel_likelihood import LIKELIHOODS
from eojax.methods.method import Method, Metrics, Phase, Recipe, Task
from eojax.methods.options import AUGMENT, AVERAGE_DECAY
from eojax.methods.update import descent
from eojax.methods.update.descent import Aside, Trained
from eojax.models import convolutional_autoencoder
from eojax.option import NOT_NEGATIVE, Option, at_least, name_in
from eojax.samplers import keys

OPTIONS = {
    'method': {
        'augment': AUGMENT,
        'likelihood': Option(
            'discretised_logistic', 'p(x|z), the distribution of a pixel', name_in(LIKELIHOODS)
        ),
        'beta': Option(1.0, 'weight of the KL divergence', NOT_NEGATIVE),
        'free_bits': Option(
            0.0, "part of each latent's KL that costs nothing", NOT_NEGATIVE, 'nats'
        ),
        'importance_samples': Option(
            16, 'K, the samples that log p(x) is estimated by', at_least(1)
        ),
        'average_decay': AVERAGE_DECAY,
    },
}
NETWORK = 'convolutional_autoencoder'
# Of the pixel noise before training, in units of [-1, 1]: about that of a blank reconstruction.
_FIRST_SCALE = 0.3


class VaeState(NamedTuple):
    """All that the next step needs.

    Attributes:
      trained: its parameters are those of the `network`, and `log_scale`, `[bands]`, of the pixel
        noise.
    """

    trained: Trained


def kl_of_latents(means: Array, log_variances: Array) -> Array:
    """KL(N(m, v) || N(0, 1)) of each latent, in nats (Appendix B); of the arguments' shape."""
    return 0.5 * (jnp.square(means) + jnp.exp(log_variances) - log_variances - 1.0)


def drawn_latents(means: Array, log_variances: Array, key: Array) -> Array:
    """z ~ q(z|x) with gradients to its moments (Eq. 10); of the arguments' shape."""
    noise = random.normal(key, means.shape)
    return means + jnp.exp(0.5 * log_variances) * noise


def importance_bound(
    log_likelihood: Callable[[Array], Array],
    means: Array,
    log_variances: Array,
    key: Array,
    num: int,
) -> Array:
    """The bound of Burda et al. on log p(x), by `num` samples: float32 `[N]`, in nats.

    Args:
      log_likelihood: latents `[N, d]` to log p(x|z) `[N]`.
      means, log_variances: of q(z|x), `[N, d]`.
      key: one, or one for each image `[N]`.
    """

    def log_weight(key: Array) -> Array:
        noise = keys.normal(key, means.shape)
        latents = means + jnp.exp(0.5 * log_variances) * noise
        # log p(z) - log q(z|x): the constants of the two Gaussians cancel.
        ratio = 0.5 * (jnp.square(noise) + log_variances - jnp.square(latents)).sum(-1)
        return log_likelihood(latents) + ratio

    # One after another: all at once would hold `num` decoded batches.
    weights = lax.map(log_weight, keys.split(key, num))
    return jax.nn.logsumexp(weights, axis=0) - math.log(num)


def build(config: ConfigDict, task: Task) -> Method:
    """The method of a config."""
    options = config.method
    network = convolutional_autoencoder.build(config.model, task.image_shape)
    down = descent.build(config.optimizer, config.steps, options.average_decay)
    likelihood = LIKELIHOODS[options.likelihood]
    values = math.prod(task.image_shape)

    def init(key: Array, batch: Batch, fitted: Any) -> VaeState:
        parameters = {
            'network': network.init(key, batch['unlabelled']['images'][:1]),
            'log_scale': jnp.full((task.image_shape[-1],), math.log(_FIRST_SCALE), jnp.float32),
        }
        return VaeState(down.begin(parameters))

    def log_likelihood(parameters: Any, images: Array, latents: Array) -> Array:
        means = network.decode(parameters['network'], latents)
        return likelihood(images, means, parameters['log_scale'])

    def loss_of(parameters: Any, images: Array, key: Array) -> Any:
        means, log_variances = network.encode(parameters['network'], images)
        latents = drawn_latents(means, log_variances, key)
        fit = log_likelihood(parameters, images, latents).mean()
        kl_each = kl_of_latents(means, log_variances).mean(0)
        kl = kl_each.sum()
        priced = jnp.maximum(kl_each, options.free_bits).sum() if options.free_bits else kl
        loss = (options.beta * priced - fit) / values
        metrics = {
            'bits_per_value': (kl - fit) / (values * math.log(2.0)),
            'kl': kl,
            'used_latents': (kl_each > 0.01).sum().astype(jnp.float32),
            'pixel_scale': jnp.exp(parameters['log_scale']).mean(),
        }
        return loss, Aside(metrics)

    def step(state: VaeState, batch: Batch, key: Array) -> tuple[VaeState, Metrics]:
        images = batch['unlabelled']['images']
        new, aside = down.step(state.trained, lambda p: loss_of(p, images, key))
        return VaeState(new), aside.metrics

    def log_density(state: VaeState, images: Array, key: Array) -> Array:
        """The importance-weighted bound on log p(x), in nats of 8-bit images."""
        average = state.trained.average
        means, log_variances = network.encode(average['network'], images)
        return importance_bound(
            lambda latents: log_likelihood(average, images, latents),
            means,
            log_variances,
            key,
            options.importance_samples,
        )

    def sample(state: VaeState, key: Array, labels: Array) -> Array:
        """Images `[N, H, W, C]` of latents from the prior; of the labels `[N]`, only N counts."""
        latents = random.normal(key, (labels.shape[0], network.latent))
        return jnp.clip(network.decode(state.trained.average['network'], latents), -1.0, 1.0)

    def reconstruct(state: VaeState, images: Array, key: Array) -> Array:
        """Images `[N, H, W, C]` decoded from the mean of q(z|x); nothing is drawn."""
        parameters = state.trained.average['network']
        means, _ = network.encode(parameters, images)
        return jnp.clip(network.decode(parameters, means), -1.0, 1.0)

    def features(state: VaeState, images: Array, key: Array) -> Array:
        """m(x), the mean of q(z|x), `[N, d]`."""
        return network.encode(state.trained.average['network'], images)[0]

    streams = {'unlabelled': Stream('train', config.batch_size, options.augment)}
    abilities = {
        'log_density': log_density,
        'features': features,
        'sample': sample,
        'reconstruct': reconstruct,
    }
    phases = (Phase('vae', config.steps, streams, step),)
    return Method(init, phases, abilities, score='log_density')


RECIPE = Recipe(
    OPTIONS,
    ('log_density', 'features', 'sample', 'reconstruct'),
    build,
    labels=('image', 'pixel', 'none'),
    models=(NETWORK,),
    advice='lower optimizer.learning_rate, or set optimizer.clip_norm',
)
