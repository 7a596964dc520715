"""Pseudo-labels and the consistency loss of FixMatch, with the refinements that later work adds.

Sohn et al., "FixMatch: Simplifying Semi-Supervised Learning with Consistency and Confidence", 2020;
thesis of J. Castillo-Navarro, Eq. 3.25. Distribution alignment: Berthelot et al., "ReMixMatch",
2020, Sec. 3.1. The self-adaptive threshold: Wang et al., "FreeMatch", 2023, Eq. 5 to 8.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax import Array, lax


class Beliefs(NamedTuple):
    """The memory of the refinements: running means of the predictions for unlabelled images.

    Attributes:
      confidence: running mean of max q, float32 `[]`; FreeMatch's tau.
      classes: running mean of q, float32 `[K]`, sums to 1.
    """

    confidence: Array
    classes: Array


class PseudoLabels(NamedTuple):
    """The guesses from the weak view of each unlabelled image, without a gradient.

    Attributes:
      labels: int32 `[N]`, the most probable class.
      chosen: bool `[N]`, whether the prediction is above its threshold.
      probabilities: float32 `[N, K]`, q, aligned where that is asked for.
    """

    labels: Array
    chosen: Array
    probabilities: Array


def initial_beliefs(num_classes: int) -> Beliefs:
    """As before the first prediction: every class alike, as confident as that."""
    share = jnp.full((num_classes,), 1.0 / num_classes, jnp.float32)
    return Beliefs(share[0], share)


def update_beliefs(
    beliefs: Beliefs, probabilities: Array, decay: Array | float, valid: Array | None = None
) -> Beliefs:
    """The running means after another batch of predictions `[N, K]` (FreeMatch, Eq. 5 and 6).

    Args:
      valid: bool `[N]`, the predictions that count; without any the means stay. None: all.
    """
    q = lax.stop_gradient(probabilities)
    if valid is None:
        new = Beliefs(q.max(-1).mean(), q.mean(0))
    else:
        share = valid / jnp.maximum(valid.sum(), 1)
        new = Beliefs((share * q.max(-1)).sum(), (share[:, None] * q).sum(0))
        decay = jnp.where(valid.any(), decay, 1.0)
    return jax.tree.map(lambda old, now: decay * old + (1.0 - decay) * now, beliefs, new)


def align(probabilities: Array, beliefs: Beliefs, target: Array) -> Array:
    """Predictions `[N, K]` whose running mean becomes `target` `[K]` (ReMixMatch, Sec. 3.1)."""
    scaled = probabilities * target / jnp.maximum(beliefs.classes, 1e-6)
    return scaled / scaled.sum(-1, keepdims=True)


def class_thresholds(beliefs: Beliefs) -> Array:
    """Each class's own threshold, float32 `[K]`: tau times its share of the most frequent one's
    (FreeMatch, Eq. 7 and 8)."""
    return beliefs.confidence * beliefs.classes / beliefs.classes.max()


def pseudo_labels(probabilities: Array, threshold: Array | float) -> PseudoLabels:
    """The most probable classes, and which of them are probable enough.

    Args:
      probabilities: q `[N, K]`, of the weak views.
      threshold: omega, from 0 to 1; one for all, or `[K]`, one for each class. 1 chooses nothing.
    """
    q = lax.stop_gradient(probabilities)
    labels = q.argmax(-1)
    limits = jnp.broadcast_to(jnp.asarray(threshold, q.dtype), (q.shape[-1],))[labels]
    # A softmax in float32 rounds to 1; a threshold of 1 is to mean none all the same.
    return PseudoLabels(labels, (q.max(-1) >= limits) & (limits < 1.0), q)


def consistency_loss(logits: Array, pseudo: PseudoLabels) -> Array:
    """Eq. 3.25: cross-entropy of the strong views `[N, K]` with the pseudo-labels, those not chosen
    counting 0, averaged over all N."""
    losses = optax.softmax_cross_entropy_with_integer_labels(logits, pseudo.labels)
    return (losses * pseudo.chosen).mean()
