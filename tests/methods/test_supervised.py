"""Supervised steps against optax and arithmetic by hand."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax import Array, random

from eojax.config.base import check_config
from eojax.errors import UserError
from eojax.feed.streams import Stream
from eojax.methods import supervised
from tests.methods.linear_model import (
    CLASSES,
    build_linear,
    linear_model,
    plain_config,
    small_batch,
)


def hand_loss(parameters: Any, batch: Any, smoothing: float = 0.0) -> Array:
    """-sum_y t_y log p(y|x), with t = (1 - smoothing) one-hot + smoothing / classes."""
    logits = linear_model().apply(parameters, {}, batch['labelled']['images'])
    logarithms = logits - jnp.log(jnp.exp(logits).sum(-1, keepdims=True))
    right = jnp.take_along_axis(logarithms, batch['labelled']['labels'][:, None], 1)[:, 0]
    return -((1.0 - smoothing) * right + smoothing * logarithms.mean(-1)).mean()


@pytest.mark.parametrize('smoothing', [0.0, 0.1])
def test_one_step_equals_optax_by_hand(monkeypatch: pytest.MonkeyPatch, smoothing: float):
    config = plain_config('supervised', method__label_smoothing=smoothing)
    config.optimizer.update({'name': 'adam', 'learning_rate': 0.01})
    method, batch = build_linear(monkeypatch, config), small_batch()
    state = method.init(random.key(0), batch, None)
    new, metrics = jax.jit(method.phases[0].step)(state, batch, random.key(1))

    adam = optax.adam(0.01)
    loss, gradient = jax.value_and_grad(hand_loss)(state.trained.parameters, batch, smoothing)
    updates, _ = adam.update(gradient, adam.init(state.trained.parameters))
    expected = optax.apply_updates(state.trained.parameters, updates)
    for name, value in expected.items():
        np.testing.assert_allclose(new.trained.parameters[name], value, atol=1e-6)
    assert float(metrics['loss']) == pytest.approx(float(loss), rel=1e-5)
    norm = np.sqrt(sum(np.square(g).sum() for g in jax.tree.leaves(gradient)))
    assert float(metrics['gradient_norm']) == pytest.approx(norm, rel=1e-5)
    assert int(new.trained.updates) == 1


@pytest.mark.parametrize('adaptive', [False, True])
def test_sharpness_aware_step_by_hand(monkeypatch: pytest.MonkeyPatch, adaptive: bool):
    config = plain_config('supervised', optimizer__sharpness_radius=0.5,
                          optimizer__sharpness_adaptive=adaptive)  # fmt: skip
    method, batch = build_linear(monkeypatch, config), small_batch()
    state = method.init(random.key(0), batch, None)
    new, metrics = jax.jit(method.phases[0].step)(state, batch, random.key(1))

    w, b = np.asarray(state.trained.parameters['w']), np.asarray(state.trained.parameters['b'])
    loss, g = jax.value_and_grad(hand_loss)(state.trained.parameters, batch)
    scaled = [g['w'], g['b']] if not adaptive else [w * g['w'], b * g['b']]
    norm = np.sqrt(sum(np.square(s).sum() for s in scaled))
    ascent = [
        0.5 * s / norm * (p if adaptive else 1.0) for s, p in zip(scaled, (w, b), strict=True)
    ]
    expected = jax.grad(hand_loss)({'w': w + ascent[0], 'b': b + ascent[1]}, batch)
    # Plain descent at rate 1, from the parameters and not from where the gradient was taken.
    for name, value in expected.items():
        np.testing.assert_allclose(
            state.trained.parameters[name] - new.trained.parameters[name], value, atol=1e-5
        )
        assert np.abs(value - g[name]).max() > 1e-3
    assert float(metrics['loss']) == pytest.approx(float(loss), rel=1e-5)


def test_accuracy_is_the_share_of_right_answers(monkeypatch: pytest.MonkeyPatch):
    method, batch = build_linear(monkeypatch, plain_config('supervised')), small_batch()
    state = method.init(random.key(0), batch, None)
    guesses = method.abilities['logits'](state, batch['labelled']['images'], None).argmax(-1)
    labels = guesses.at[:2].set((guesses[:2] + 1) % CLASSES)
    batch['labelled']['labels'] = labels
    _, metrics = method.phases[0].step(state, batch, random.key(1))
    assert float(metrics['accuracy']) == pytest.approx(4 / 6)


def test_evaluation_uses_the_average_and_the_newest_statistics(monkeypatch: pytest.MonkeyPatch):
    config = plain_config('supervised', method__average_decay=0.5)
    method, batch = build_linear(monkeypatch, config, per_image=False), small_batch()
    state = method.init(random.key(0), batch, None)
    expected, step = np.asarray(state.trained.parameters['w']), jax.jit(method.phases[0].step)
    for number in range(12):
        state, _ = step(state, batch, random.key(number))
        decay = min(0.5, (1.0 + number) / (10.0 + number))
        expected = decay * expected + (1.0 - decay) * np.asarray(state.trained.parameters['w'])
    np.testing.assert_allclose(state.trained.average['w'], expected, rtol=1e-4, atol=1e-5)
    images = batch['labelled']['images']
    np.testing.assert_allclose(state.trained.statistics['mean'], images.mean(0), atol=1e-6)
    logits = method.abilities['logits'](state, images, random.key(0))
    np.testing.assert_allclose(
        logits, linear_model().apply(state.trained.average, {}, images), atol=1e-6
    )
    assert set(method.abilities) == {'logits', 'features'}  # it learns no density


def test_one_phase_of_labelled_batches(monkeypatch: pytest.MonkeyPatch):
    config = plain_config('supervised', method__augment='dihedral')
    method = build_linear(monkeypatch, config)
    (phase,) = method.phases
    assert phase.steps == config.steps
    assert phase.streams == {'labelled': Stream('labelled', 6, 'dihedral')}
    assert set(method.abilities) == set(supervised.RECIPE.abilities)


@pytest.mark.parametrize(
    ('key', 'value'), [('augment', 'rotate'), ('label_smoothing', 1.0), ('average_decay', -0.1)]
)
def test_options_that_cannot_train_are_refused(key: str, value: Any):
    config = plain_config('supervised')
    check_config(config)
    config.method[key] = value
    with pytest.raises(UserError, match=rf'method\.{key}.*{value}'):
        check_config(config)
