"""The baseline without a source: its step by hand, and that its network is the transfers' own."""

from __future__ import annotations

import jax
import numpy as np
import pytest
from jax import random

from eojax.config.base import check_config
from eojax.errors import UserError
from eojax.methods import METHODS, sar_only
from tests.methods.linear_encoder import (
    assert_descended,
    build_linear,
    hand_cross_entropy,
    hand_logits,
    plain_config,
    small_batch,
    small_task,
)


def test_one_step_by_hand(monkeypatch):
    method = build_linear(monkeypatch, plain_config('sar_only'))
    batch = small_batch()
    state = method.init(random.key(0), batch, None)
    new, metrics = jax.jit(method.phases[0].step)(state, batch, random.key(1))
    loss, gradient = jax.value_and_grad(hand_cross_entropy)(
        state.trained.parameters, 'target', batch['labelled']
    )
    assert float(metrics['loss']) == pytest.approx(float(loss), rel=1e-5)
    assert_descended(new.trained.parameters, state.trained.parameters, gradient)
    found = method.abilities['logits'](new, batch['labelled']['images'], random.key(0))
    expected = hand_logits(new.trained.parameters, 'target', batch['labelled']['images'])
    np.testing.assert_allclose(found, expected, atol=1e-5)
    assert set(method.abilities) == set(sar_only.RECIPE.abilities)


@pytest.mark.parametrize('other', ['swd_transfer', 'fine_tune'])
def test_its_network_is_that_of_the_transfers(other):
    def target_network(name: str):
        config = plain_config(name, method__classifier_hidden=7)
        config.model.update({'widths': (4, 6), 'strides': (1, 2)})
        method = METHODS[name].build(config, small_task())
        parameters = method.init(random.key(0), small_batch(), None).trained.parameters
        return {key: parameters[key] for key in ('target', 'classifier')}

    ours, theirs = target_network('sar_only'), target_network(other)
    assert jax.tree.structure(ours) == jax.tree.structure(theirs)
    assert [x.shape for x in jax.tree.leaves(ours)] == [x.shape for x in jax.tree.leaves(theirs)]


def test_it_draws_labelled_target_images_alone(monkeypatch):
    method = build_linear(monkeypatch, plain_config('sar_only'))
    (phase,) = method.phases
    assert phase.steps == 10
    assert {name: (s.part, s.data) for name, s in phase.streams.items()} == {
        'labelled': ('labelled', 'data')
    }


def test_what_cannot_train_is_refused():
    config = plain_config('sar_only')
    check_config(config)
    config.method.embedding_size = 0
    with pytest.raises(UserError, match='embedding_size must be at least 1'):
        check_config(config)
