"""A generator and a discriminator of one layer each: two descents in one state and one step.

Goodfellow et al., "Generative Adversarial Nets" (2014), given the class (Mirza and Osindero,
"Conditional Generative Adversarial Nets", 2014), with the hinge loss. It is here for what it asks
of the contract: networks of two inputs, and two of them trained against each other.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import linen as nn
from jax import Array, random
from ml_collections import ConfigDict

from eojax.feed.streams import Batch, Stream
from eojax.methods.method import Method, Metrics, Phase, Recipe, Task
from eojax.methods.update import descent
from eojax.methods.update.descent import Aside, Trained
from eojax.models.model import from_linen

LATENT = 4


class GanState(NamedTuple):
    """All that the next step needs: both networks, with moments of their own."""

    generator: Trained
    discriminator: Trained


class _Generator(nn.Module):
    """Latents `[N, LATENT]` and classes `[N, K]`, one-hot, to images `[N, H, W, C]`."""

    shape: tuple[int, int, int]

    @nn.compact
    def __call__(self, latents: Array, classes: Array, train: bool = False) -> Array:
        inputs = jnp.concatenate([latents, classes], -1)
        normal = nn.BatchNorm(use_running_average=not train, momentum=0.9)(inputs)
        flat = nn.Dense(int(np.prod(self.shape)))(normal)
        return jnp.tanh(flat).reshape(-1, *self.shape)


class _Discriminator(nn.Module):
    """Images and their classes to one score each, `[N]`."""

    @nn.compact
    def __call__(self, images: Array, classes: Array, train: bool = False) -> Array:
        features = nn.Dense(8)(images.reshape(len(images), -1))
        return (nn.leaky_relu(features) * nn.Dense(8)(classes)).sum(-1)


def _check(config: ConfigDict) -> None:
    """Nothing to refuse."""


def _build(config: ConfigDict, task: Task) -> Method:
    generator = from_linen(_Generator(task.image_shape), per_image=False)
    discriminator = from_linen(_Discriminator(), per_image=True)
    downs = descent.build(config.optimizer, config.steps, 0.9)
    downs_of_second = descent.build(config.optimizer, config.steps)

    def one_hot(labels: Array) -> Array:
        return jax.nn.one_hot(labels, task.num_classes)

    def init(key: Array, batch: Batch, fitted: Any) -> GanState:
        key_first, key_second = random.split(key)
        images, classes = batch['labelled']['images'][:1], one_hot(batch['labelled']['labels'][:1])
        latents = jnp.zeros((1, LATENT))
        return GanState(
            downs.begin(*generator.init(key_first, latents, classes)),
            downs_of_second.begin(*discriminator.init(key_second, images, classes)),
        )

    def step(state: GanState, batch: Batch, key: Array) -> tuple[GanState, Metrics]:
        key_first, key_second, key_model = random.split(key, 3)
        images, classes = batch['labelled']['images'], one_hot(batch['labelled']['labels'])

        def made(parameters: Any, key: Array) -> Any:
            latents = random.normal(key, (len(images), LATENT))
            statistics = state.generator.statistics
            return generator.train(parameters, statistics, latents, classes, key=key_model)

        def loss_of_second(parameters: Any) -> Any:
            fakes, _ = made(state.generator.parameters, key_second)
            real, false = (
                discriminator.train(parameters, {}, x, classes, key=key_model)[0]
                for x in (images, fakes)
            )
            return (nn.relu(1.0 - real) + nn.relu(1.0 + false)).mean(), Aside({}, {})

        second, aside = downs_of_second.step(state.discriminator, loss_of_second)

        def loss_of_first(parameters: Any) -> Any:
            fakes, statistics = made(parameters, key_first)
            scores = discriminator.apply(second.parameters, second.statistics, fakes, classes)
            return -scores.mean(), Aside({'discriminator_loss': aside.metrics['loss']}, statistics)

        first, aside = downs.step(state.generator, loss_of_first)
        return GanState(first, second), aside.metrics

    def sample(state: GanState, key: Array, labels: Array) -> Array:
        latents = random.normal(key, (len(labels), LATENT))
        trained = state.generator
        images: Array = generator.apply(
            trained.average, trained.statistics, latents, one_hot(labels)
        )
        return images

    streams = {'labelled': Stream('labelled', config.batch_size, 'flips')}
    return Method(init, (Phase('gan', config.steps, streams, step),), {'sample': sample})


TOY_GAN = Recipe({'method': {}}, ('sample',), _build, _check)
