"""The parts that carry over from the source to the target, and the target's phase by hand."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import random

from eojax.config.base import base_config, check_config
from eojax.errors import UserError
from eojax.methods import fine_tune
from eojax.methods.transfer.transfer_phases import carried_over
from eojax.models import convnet
from tests.methods.linear_encoder import (
    assert_descended,
    build_linear,
    hand_cross_entropy,
    hand_logits,
    plain_config,
    small_batch,
    small_task,
)


def source_trained(method: Any) -> Any:
    """The state after four steps of the first phase."""
    batch = small_batch()
    state = method.init(random.key(0), batch, None)
    step = jax.jit(method.phases[0].step)
    for number in range(4):
        state, _ = step(state, batch, random.key(number))
    return state


def test_one_step_on_the_source_by_hand(monkeypatch):
    method = build_linear(monkeypatch, plain_config('fine_tune'))
    batch = small_batch()
    state = method.init(random.key(0), batch, None)
    new, metrics = jax.jit(method.phases[0].step)(state, batch, random.key(1))
    loss, gradient = jax.value_and_grad(hand_cross_entropy)(
        state.trained.parameters, 'source', batch['source']
    )
    assert float(metrics['loss']) == pytest.approx(float(loss), rel=1e-5)
    assert_descended(new.trained.parameters, state.trained.parameters, gradient)


def test_one_step_on_the_target_by_hand(monkeypatch):
    method = build_linear(monkeypatch, plain_config('fine_tune', method__target_rate_factor=0.5))
    batch, state = small_batch(), method.phases[1].begin(source_trained(method))
    new, metrics = jax.jit(method.phases[1].step)(state, batch, random.key(1))
    loss, gradient = jax.value_and_grad(hand_cross_entropy)(
        state.trained.parameters, 'target', batch['labelled']
    )
    assert float(metrics['loss']) == pytest.approx(float(loss), rel=1e-5)
    assert_descended(new.trained.parameters, state.trained.parameters, gradient, rate=0.05)


@pytest.mark.parametrize('norm', ['batch', 'instance', 'none'])
def test_everything_carries_over_but_the_first_convolution(norm):
    config = base_config('fine_tune', 'convnet', 'landscapes', 'landscapes')
    config.model.update({'widths': (4, 6), 'strides': (1, 2), 'norm': norm})
    config.method.update({'embedding_size': 5, 'contrastive_weight': 0.1})
    method = fine_tune.build(config, small_task())
    state = method.init(random.key(0), small_batch(), None)
    # As if the first phase had moved everything.
    moved = jax.tree.map(lambda x: x + 0.25, state)
    begun = jax.jit(method.phases[1].begin)(moved)
    assert set(begun.trained.parameters) == {'target', 'classifier'}
    assert set(begun.trained.statistics) == {'target'}
    source, target = moved.trained.parameters['source'], begun.trained.parameters['target']
    for path, found in jax.tree_util.tree_leaves_with_path(target):
        name = jax.tree_util.keystr(path)
        if name == "['block1_conv1']['kernel']":
            own = moved.trained.parameters['target']['block1_conv1']['kernel']
            assert found.shape == (3, 3, 2, 4)
            np.testing.assert_array_equal(found, own)
        else:
            expected = dict(jax.tree_util.tree_leaves_with_path(source))[path]
            np.testing.assert_array_equal(found, expected, err_msg=name)
    for found, expected in (
        (begun.trained.statistics['target'], moved.trained.statistics['source']),
        (begun.trained.parameters['classifier'], moved.trained.parameters['classifier']),
        (begun.trained.average, begun.trained.parameters),
    ):
        jax.tree.map(np.testing.assert_array_equal, found, expected)
    assert bool(jax.tree.leaves(begun.trained.statistics)) == (norm == 'batch')


def test_domains_of_the_same_bands_carry_over_whole():
    model = convnet.build(base_config('fine_tune', 'convnet', 'eurosat', 'eurosat').model, 5)
    ours, theirs = (model.init(random.key(n), jnp.zeros((1, 16, 16, 3)))[0] for n in (0, 1))
    jax.tree.map(np.testing.assert_array_equal, carried_over(theirs, ours, (3, 3)), theirs)


def test_a_network_of_another_image_size_cannot_carry_over():
    ours, theirs = {'kernel': jnp.zeros((32, 5))}, {'kernel': jnp.zeros((48, 5))}
    with pytest.raises(UserError, match='source and target images of one size'):
        carried_over(theirs, ours, (3, 2))


def test_the_target_is_what_is_evaluated(monkeypatch):
    method = build_linear(monkeypatch, plain_config('fine_tune'))
    images, key = small_batch()['labelled']['images'], random.key(0)
    state = source_trained(method)
    assert not method.abilities['logits'](state, images, key).any()  # the target is still unknown
    state = method.phases[1].begin(state)
    state, _ = method.phases[1].step(state, small_batch(), random.key(1))
    expected = hand_logits(state.trained.parameters, 'target', images)
    np.testing.assert_allclose(method.abilities['logits'](state, images, key), expected, atol=1e-5)
    assert set(method.abilities) == set(fine_tune.RECIPE.abilities)


def test_streams_are_the_labelled_images_of_each_domain(monkeypatch):
    method = build_linear(monkeypatch, plain_config('fine_tune', method__source_batch_size=20))
    first, second = (phase.streams for phase in method.phases)
    assert {n: (s.part, s.batch_size, s.data) for n, s in first.items()} == {
        'source': ('labelled', 20, 'source')
    }
    assert {n: (s.part, s.batch_size, s.data) for n, s in second.items()} == {
        'labelled': ('labelled', 6, 'data')
    }


def test_no_steps_for_the_target_are_refused():
    config = plain_config('fine_tune')
    check_config(config)
    config.steps = 4
    with pytest.raises(UserError, match='leaves nothing of steps 4 for the target'):
        check_config(config)
