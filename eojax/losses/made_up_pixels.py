"""The losses of a discriminator that says the class of each pixel, or that it was made up.

Schönfeld et al., "You Only Need Adversarial Supervision for Semantic Image Synthesis" (OASIS,
2021). With D the log-probabilities of N + 1 classes, of which the last is `made up`, t the classes
of real pixels and a_c the inverse share of class c,

    L_D = -E[a_t log D_t(y)] - E[log D_(N+1)(G)],    L_G = -E[a_t log D_t(G)]       (Eq. 1, 2)
    L_mix = E[(D(M y + (1 - M) G) - (M D(y) + (1 - M) D(G)))^2]                     (Eq. 3)

M is 1 on the ground of some classes, drawn for each image, and 0 on that of the others (LabelMix).
Pixels whose class is unknown have no part in L_D and L_G.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import Array, random

from eojax.losses.pixel_cross_entropy import pixel_cross_entropy


def class_weights(labels: Array, num_classes: int) -> Array:
    """a_c, float32 `[num_classes]`: 1 over a class's share of the known pixels of a batch, over how
    many classes there are in it; 0 for those that are not.

    Args:
      labels: int `[N, h, w]`, below 0 where the class is unknown.
    """
    counts = jax.nn.one_hot(labels, num_classes).sum((0, 1, 2))
    present = counts > 0
    share = counts / jnp.maximum(counts.sum(), 1.0)
    return jnp.where(present, 1.0 / jnp.maximum(present.sum() * share, 1e-12), 0.0)


def loss_of_classes(logits: Array, labels: Array) -> Array:
    """-E[a_t log D_t] over the known pixels: of real images for D, of made-up ones for G.

    Args:
      logits: float32 `[N, h, w, classes + 1]`.
      labels: int `[N, h, w]`, below 0 where the class is unknown.
    """
    # The weights' mean over known pixels is 1, so a weighted mean is the mean of what is weighted.
    weights = class_weights(labels, logits.shape[-1] - 1)
    return pixel_cross_entropy(logits, labels, jnp.append(weights, 0.0))


def loss_of_made_up(logits: Array, labels: Array) -> Array:
    """-E[log D_(N+1)] over the pixels whose class is known; arguments as of `loss_of_classes`."""
    made_up = jnp.where(labels >= 0, logits.shape[-1] - 1, -1)
    return pixel_cross_entropy(logits, made_up)


def draw_mask(key: Array, labels: Array, num_classes: int) -> Array:
    """M, float32 `[N, h, w, 1]`: 0 or 1 for each class of each image; unknown ground is one too."""
    sides = random.bernoulli(key, 0.5, (labels.shape[0], num_classes + 1)).astype(jnp.float32)
    classes = jax.nn.one_hot(jnp.where(labels < 0, num_classes, labels), num_classes + 1)
    return jnp.einsum('nhwk,nk->nhw', classes, sides)[..., None]


def label_mix(mixed: Array, real: Array, fake: Array, mask: Array) -> Array:
    """L_mix of the logits of the mixed, the real and the made-up images, `[N, h, w, classes]`."""
    return jnp.square(mixed - (mask * real + (1.0 - mask) * fake)).mean()
