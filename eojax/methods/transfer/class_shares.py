"""The class shares of a target domain: a source weighed to them, and classifiers that expect them.

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

Labels that were chosen by class, as many of each, teach a classifier that all classes are as
frequent, whatever the images are like that it will see. Training it with

    softmax(f(x) + log pi_L - log pi_E)

for labels of shares pi_L makes softmax(f(x)) its posterior where the shares are pi_E (Menon et al.,
"Long-tail Learning via Logit Adjustment", 2021, whose pi_E is even).

Notes:
  pi_0 is the prior that the classifier was trained with. Here it learns from both domains, one mean
  cross-entropy each, so pi_0 is the mean of the shares of source images and labelled target images:
  of all of them. Those of one batch would be far off where classes are many, and a class that a
  batch lacks would lose its share.
  A share never falls below `SMALLEST`, from where EM would not bring it back.
"""

from __future__ import annotations

from collections.abc import Sequence

import jax.numpy as jnp
import numpy as np
from jax import Array, lax

from eojax.errors import UserError

SMALLEST = 1e-3
# What `method.target_shares` may say besides shares.
EQUAL, ESTIMATED = 'as_source', 'estimated'
# What `method.expected_shares` may say: nothing is changed, or those of the source's labels.
AS_LABELLED, AS_SOURCE = 'as_labelled', 'as_source'
TARGET_KEY, EXPECTED_KEY = 'method.target_shares', 'method.expected_shares'
_WORDS = {TARGET_KEY: (EQUAL, ESTIMATED), EXPECTED_KEY: (AS_LABELLED, AS_SOURCE)}


def parse(text: str, names: tuple[str, ...], key: str = TARGET_KEY) -> tuple[float, ...] | None:
    """Shares that a config gives, `water=0.6,urban=0.4`, in the order of the classes.

    Args:
      text: of `key`.
      names: of the classes; none where they are not known yet: only the form is looked at.
      key: `TARGET_KEY` or `EXPECTED_KEY`.

    Returns:
      None where the text gives no shares but says where they come from.

    Raises:
      UserError: one line that says what is wrong with it.
    """
    if text in _WORDS[key]:
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
                f'{key}={text}: expected {", ".join(_WORDS[key])}, or the share of each'
                ' class once, above 0, as water=0.6,urban=0.4'
            )
        shares[name] = share
    if names and set(shares) != set(names):
        raise UserError(
            f'{key}={text}: expected a share for each of the classes {", ".join(names)}'
        )
    if abs(sum(shares.values()) - 1.0) > 0.01:
        raise UserError(f'{key}={text}: the shares add up to {sum(shares.values()):g}, not to 1')
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
    kept = jnp.maximum(moved, SMALLEST)
    return kept / kept.sum()


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
    return jnp.asarray(bounded(label_counts if given is None else given))


def expected(
    text: str, names: tuple[str, ...], source_label_counts: tuple[int, ...]
) -> np.ndarray | None:
    """pi_E of `method.expected_shares`, float32 `[K]`; None where the labels' own are expected.

    Args:
      names: of the classes.
      source_label_counts: the source's labelled images of each class, for `AS_SOURCE`.

    Raises:
      UserError: one line that says what is wrong with the text.
    """
    if text == AS_LABELLED:
        return None
    given = parse(text, names, EXPECTED_KEY)
    return bounded(source_label_counts if given is None else given)


def offsets(label_counts: tuple[int, ...], expected_shares: np.ndarray) -> np.ndarray:
    """log pi_L - log pi_E, which training adds to the logits; float32 `[K]`.

    Args:
      label_counts: labelled images of each class, of which pi_L are the shares.
      expected_shares: pi_E, `[K]`.
    """
    return np.log(bounded(label_counts)) - np.log(expected_shares)


def bounded(counts: Sequence[float]) -> np.ndarray:
    """The shares of counts, or of shares, none below `SMALLEST`; float32 `[K]`."""
    known = np.asarray(counts, np.float64)
    shares = np.maximum(known / max(known.sum(), 1e-12), SMALLEST)
    return (shares / shares.sum()).astype(np.float32)
