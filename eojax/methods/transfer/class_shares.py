"""The class shares of a target domain, and the weights that give a source the same.

Aligning all images of two domains, as the third term of Eq. 2 of "EO-to-SAR transfer" does, is
right where their classes are equally frequent. Where they are not, it moves images of one class to
another until the shares agree: two thirds of water on one side and a fifth on the other put radar
water on optical fields. Weighing each source image by pi_T(y) / pi_S(y), the ratio of its class's
shares (label shift), leaves the same alignment to be made as with equal shares.

The target's shares pi_T are not known, and its few labels do not show them where they were chosen
by class. They are estimated from the classifier's posteriors p(y|x) of unlabelled images by the EM
algorithm of Saerens, Latinne and Decaestecker, "Adjusting the Outputs of a Classifier to New a
Priori Probabilities" (2002), with one batch for each of its turns (online EM, Cappe and Moulines,
2009):

    r(y|x) ~ p(y|x) pi_T(y) / pi_0(y)                                       (their Eq. 2.4)
    pi_T(y) <- d pi_T(y) + (1 - d) mean_x r(y|x)                            (their Eq. 2.9)

Notes:
  pi_0 is the prior that the classifier was trained with. Here it learns from both domains, one mean
  cross-entropy each, so pi_0 is the mean of the shares of source images and labelled target images:
  of all of them. Those of one batch would be far off where classes are many, and a class that a
  batch lacks would lose its share.
  A share never falls below `SMALLEST`, from where EM would not bring it back.
"""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from eojax.errors import UserError

SMALLEST = 1e-3
# What `method.target_shares` may say besides shares.
EQUAL, ESTIMATED = 'as_source', 'estimated'


def parse(text: str, names: tuple[str, ...]) -> tuple[float, ...] | None:
    """Shares that a config gives, `water=0.6,urban=0.4`, in the order of the classes.

    Args:
      text: of `method.target_shares`.
      names: of the classes; none where they are not known yet: only the form is looked at.

    Returns:
      None where the text gives no shares but says where they come from.

    Raises:
      UserError: one line that says what is wrong with it.
    """
    if text in (EQUAL, ESTIMATED):
        return None
    shares: dict[str, float] = {}
    for part in text.split(','):
        name, equals, value = (piece.strip() for piece in part.partition('='))
        try:
            share = float(value)
        except ValueError:
            share = -1.0
        if not equals or not name or not 0.0 < share <= 1.0 or name in shares:
            raise UserError(
                f'method.target_shares={text}: expected {EQUAL}, {ESTIMATED}, or the share of each'
                ' class once, above 0, as water=0.6,urban=0.4'
            )
        shares[name] = share
    if names and set(shares) != set(names):
        raise UserError(
            f'method.target_shares={text}: expected a share for each of the classes'
            f' {", ".join(names)}'
        )
    if abs(sum(shares.values()) - 1.0) > 0.01:
        raise UserError(
            f'method.target_shares={text}: the shares add up to {sum(shares.values()):g}, not to 1'
        )
    total = sum(shares.values())
    return tuple(shares[name] / total for name in names or shares)


def shares_of(labels: Array, num_classes: int) -> Array:
    """The share of each class among labels `[N]`, float32 `[K]`; negative ones count nothing."""
    known = (labels[:, None] == jnp.arange(num_classes)).astype(jnp.float32).sum(0)
    return known / jnp.maximum(known.sum(), 1.0)


def prior(*label_counts: tuple[int, ...]) -> Array:
    """pi_0, the mean of the shares of each domain's labelled images, float32 `[K]`.

    Args:
      label_counts: of each domain, the labelled images of each class; a domain without any has no
        part in the mean.

    Raises:
      ValueError: no domain has a labelled image.
    """
    known = [np.asarray(counts, np.float64) for counts in label_counts if sum(counts)]
    if not known:
        raise ValueError('no domain has a labelled image')
    return jnp.asarray(np.mean([counts / counts.sum() for counts in known], 0), jnp.float32)


def updated(shares: Array, posteriors: Array, prior: Array, decay: float) -> Array:
    """The estimate after one batch, float32 `[K]`; no gradient passes.

    Args:
      shares: pi_T before it, `[K]`.
      posteriors: p(y|x) of unlabelled target images, `[N, K]`.
      prior: pi_0, `[K]`; a class that it lacks was never learnt, and gets the smallest share.
      decay: d, in [0, 1).
    """
    ratios = jnp.where(prior > 0.0, shares / jnp.maximum(prior, 1e-12), 0.0)
    joint = lax.stop_gradient(posteriors) * ratios
    responsible = joint / jnp.maximum(joint.sum(1, keepdims=True), 1e-12)
    moved = decay * shares + (1.0 - decay) * responsible.mean(0)
    bounded = jnp.maximum(moved, SMALLEST)
    return bounded / bounded.sum()


def weights(shares: Array, labels: Array) -> Array:
    """A weight for each source image, with which the batch has the shares; float32 `[N]`.

    Args:
      shares: pi_T, `[K]`. The part of classes that the batch lacks is spread over the others.
      labels: int32 `[N]`, of the source images.

    Returns:
      pi_T(y) over the share of y in the batch, 1 on average.
    """
    there = shares_of(labels, len(shares))
    ratios = jnp.where(there > 0.0, shares / jnp.maximum(there, 1e-12), 0.0)
    chosen = ratios[jnp.maximum(labels, 0)] * (labels >= 0)
    return lax.stop_gradient(chosen / jnp.maximum(chosen.mean(), 1e-12))


def initial(given: tuple[float, ...] | None, label_counts: tuple[int, ...]) -> Array:
    """The shares before the first step: those given, else those of the labelled target images."""
    counts = np.asarray(label_counts if given is None else given, np.float32)
    bounded = np.maximum(counts / max(counts.sum(), 1e-12), SMALLEST)
    return jnp.asarray(bounded / bounded.sum(), jnp.float32)
