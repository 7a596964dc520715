"""The supervised contrastive loss: features of one class together, those of others apart.

Khosla et al., "Supervised Contrastive Learning", 2020, Eq. 2 (L_out); "EO-to-SAR transfer", Eq. 3.
With z_i the features on the unit sphere, A(i) all samples but i, P(i) those of them with the label
of i, and tau the temperature,

    L_i = -1 / |P(i)| sum_{p in P(i)} log( exp(z_i.z_p / tau) / sum_{a in A(i)} exp(z_i.z_a / tau) )

Notes:
  The papers sum L_i over the batch. This is the mean over the samples that have a positive, so that
  neither the batch size nor the share of labelled samples changes its scale.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import Array, lax

# In place of minus infinity, whose gradient is not a number where nothing else is in the sum.
_EXCLUDED = -1e30


def supervised_contrastive(features: Array, labels: Array, temperature: float) -> Array:
    """The mean of L_i over samples with a positive, float32 `[]`; 0 where no sample has one.

    Args:
      features: `[N, D]`, of all views of a batch one after the other, of any length: they are
        brought to unit length here. Computed with in float32.
      labels: int32 `[N]`, those of the batch repeated for each view. A sample with a negative one,
        as -1, is left out of everything; one that is to be nothing but a negative of all others
        has a label of its own.
      temperature: tau, above 0; 0.07 to 0.1 is usual.

    Raises:
      ValueError: shapes that do not go together.
    """
    if features.ndim != 2 or labels.shape != features.shape[:1]:
        raise ValueError(
            f'features must be [N, D] and labels [N], not {features.shape} and {labels.shape}'
        )
    z = _normalised(features.astype(jnp.float32))
    # Not in TF32: a rounding of 1e-3 would be divided by the temperature.
    similarity = jnp.matmul(z, z.T, precision=lax.Precision.HIGHEST) / temperature
    known = labels >= 0
    others = known[:, None] & known & ~jnp.eye(len(labels), dtype=bool)
    positives = others & (labels[:, None] == labels)
    normaliser = jax.nn.logsumexp(jnp.where(others, similarity, _EXCLUDED), 1, keepdims=True)
    counts = positives.sum(1)
    log_shares = jnp.where(positives, similarity - normaliser, 0.0)
    losses = -log_shares.sum(1) / jnp.maximum(counts, 1)
    return losses.sum() / jnp.maximum((counts > 0).sum(), 1)


def _normalised(features: Array) -> Array:
    """At unit length; zeros stay zeros, with a gradient of zero."""
    squared = jnp.square(features).sum(1, keepdims=True)
    return features * jnp.where(
        squared > 0.0, lax.rsqrt(jnp.where(squared > 0.0, squared, 1.0)), 0.0
    )
