"""The scores of each pixel of methods with `pixel_logits`, some of them compared with its label."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from eojax.methods.method import Method

_COMPARED = ('pixel_nll', 'pixel_brier')


def pixel_scores(method: Method) -> Mapping[str, Callable[..., Array]]:
    """Functions of a state, rasters and a key, by name; none for methods that classify images.

    `classes`: the most probable class, uint8 `[N, h, w]`;
    `confidence`: its probability, float32 `[N, h, w]`;
    `probabilities`: of all classes, float32 `[N, h, w, K]`;
    `pixel_logits`: the outputs, float32 `[N, h, w, K]`;
    `pixel_log_sum_exp`: of the outputs, float32 `[N, h, w]`;
    `pixel_log_density`: log p, float32 `[N, h, w]`, of methods that learn it.
    """
    if 'pixel_logits' not in method.abilities:
        return {}
    pixels = method.abilities['pixel_logits']
    scores: dict[str, Callable[..., Array]] = {
        # As small as a map of classes: all logits of a tile would not fit.
        'classes': lambda *a: pixels(*a).argmax(-1).astype(jnp.uint8),
        'confidence': lambda *a: jax.nn.softmax(pixels(*a), axis=-1).max(-1),
        'probabilities': lambda *a: jax.nn.softmax(pixels(*a), axis=-1),
        'pixel_logits': pixels,
        'pixel_log_sum_exp': lambda *a: jax.nn.logsumexp(pixels(*a), axis=-1),
    }
    if 'pixel_log_density' in method.abilities:
        scores['pixel_log_density'] = method.abilities['pixel_log_density']
    return scores


def compared_scores(method: Method) -> Mapping[str, Callable[..., Array]]:
    """The scores of pixels that their labels enter, as functions of a state, rasters, the labels
    and a key: float32 `[N, h, w]`, 0 where the label is unknown.

    `pixel_nll`: -log p(label), in nats;
    `pixel_brier`: the sum over classes of (p(y|x) - [y is the label])^2, from 0 to 2.
    """
    if 'pixel_logits' not in method.abilities:
        return {}
    pixels = method.abilities['pixel_logits']

    def nll(state: Any, *inputs: Array) -> Array:
        *rasters, labels, key = inputs
        log_p = jax.nn.log_softmax(pixels(state, *rasters, key), axis=-1)
        of_label = jnp.take_along_axis(log_p, jnp.maximum(labels, 0)[..., None], axis=-1)[..., 0]
        return jnp.where(labels >= 0, -of_label, 0.0)

    def brier(state: Any, *inputs: Array) -> Array:
        *rasters, labels, key = inputs
        logits = pixels(state, *rasters, key)
        difference = jax.nn.softmax(logits, axis=-1) - jax.nn.one_hot(labels, logits.shape[-1])
        return jnp.where(labels >= 0, jnp.square(difference).sum(-1), 0.0)

    return dict(zip(_COMPARED, (nll, brier), strict=True))


def compares(names: Iterable[str]) -> bool:
    """Whether labels enter one of the scores (`compared_scores`)."""
    return not set(_COMPARED).isdisjoint(names)
