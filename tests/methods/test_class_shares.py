"""Class shares of a target: their estimate, weights of a source, classifiers that expect them."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import random

from eojax.config.base import check_config
from eojax.errors import UserError
from eojax.losses.sliced_wasserstein import random_projections
from eojax.methods.transfer import class_shares, embedding_classifier
from tests.methods import test_swd_transfer as transfer
from tests.methods.linear_encoder import (
    assert_descended,
    build_linear,
    hand_logits,
    plain_config,
    small_batch,
    small_task,
)


def test_weights_give_a_batch_the_shares():
    labels = jnp.array([0, 0, 0, 0, 1, 1, 2, -1])
    shares = jnp.array([0.1, 0.2, 0.7])
    weights = np.asarray(class_shares.weights(shares, labels))
    assert weights.mean() == pytest.approx(1.0)
    assert weights[-1] == 0.0
    found = [weights[np.asarray(labels) == k].sum() / weights.sum() for k in range(3)]
    np.testing.assert_allclose(found, shares, rtol=1e-5)
    # What the batch lacks is spread over what it has.
    lacking = np.asarray(class_shares.weights(shares, jnp.array([0, 1, 1])))
    assert lacking[0] / lacking[1:].sum() == pytest.approx(0.1 / 0.2)


@pytest.mark.parametrize('truth', [(0.9, 0.1), (0.5, 0.5), (0.2, 0.8)])
def test_the_estimate_finds_the_shares_of_a_mixture(truth: tuple[float, float]):
    # Two unit Gaussians at -1 and 1, and the posteriors of a classifier that saw 3 to 1.
    rng, prior = np.random.default_rng(0), jnp.array([0.75, 0.25])
    shares = class_shares.initial(None, (5, 5))
    update = jax.jit(class_shares.updated, static_argnums=3)
    for _ in range(600):
        labels = rng.random(64) < truth[1]
        x = rng.normal(np.where(labels, 1.0, -1.0))
        logits = np.stack([-((x + 1) ** 2) / 2, -((x - 1) ** 2) / 2], 1) + np.log(prior)
        shares = update(shares, jax.nn.softmax(jnp.asarray(logits, jnp.float32)), prior, 0.99)
    np.testing.assert_allclose(shares, truth, atol=0.04)
    # Counting the classes that it takes images for would be far off.
    if truth == (0.2, 0.8):
        counted = (logits.argmax(1) == 1).mean()
        assert counted < 0.7


def test_no_share_is_lost_for_ever():
    sure = jnp.tile(jnp.array([[1.0, 0.0]]), (8, 1))
    shares, prior = jnp.array([0.5, 0.5]), jnp.array([0.5, 0.5])
    for _ in range(400):
        shares = class_shares.updated(shares, sure, prior, 0.9)
    assert shares[1] == pytest.approx(class_shares.SMALLEST, rel=0.01)
    other = sure[:, ::-1]
    for _ in range(100):
        shares = class_shares.updated(shares, other, prior, 0.9)
    assert shares[1] > 0.95


def test_the_prior_is_that_of_all_labels():
    np.testing.assert_allclose(class_shares.prior((6, 2, 0), (1, 1, 2)), [0.5, 0.25, 0.25])
    # A domain without labels says nothing, and a source that is not told of neither.
    np.testing.assert_allclose(class_shares.prior((6, 2), (0, 0)), [0.75, 0.25])
    np.testing.assert_allclose(class_shares.prior((), (1, 3)), [0.25, 0.75])
    with pytest.raises(ValueError, match='no domain has a labelled image'):
        class_shares.prior((0, 0), ())


def test_a_class_that_a_batch_lacks_keeps_its_share(monkeypatch):
    config = transfer.plain(method__target_shares='estimated', method__shares_decay=0.5)
    method = build_linear(monkeypatch, config)
    step, state = jax.jit(method.phases[1].step), transfer.aligned(method)
    whole = small_batch()
    lacking = {
        name: {**stream, 'labels': jnp.zeros_like(stream['labels'])} if name != 'unlabelled'
        else stream for name, stream in whole.items()
    }  # fmt: skip
    # The estimate is of the unlabelled images: which labels the step drew has no part in it.
    found = [step(state, batch, random.key(1))[0].target_shares for batch in (whole, lacking)]
    np.testing.assert_allclose(found[0], found[1], rtol=1e-5)


def test_a_step_with_given_shares_by_hand(monkeypatch):
    config = transfer.plain(
        method__target_shares='a=0.5,b=0.3,c=0.2',
        method__alignment_weight=1.5,
        method__class_alignment_weight=0.0,
    )
    method = build_linear(monkeypatch, config)
    batch, key = small_batch(), random.key(1)
    state = transfer.aligned(method)
    np.testing.assert_allclose(state.target_shares, [0.5, 0.3, 0.2])
    new, metrics = jax.jit(method.phases[1].step)(state, batch, key)
    np.testing.assert_array_equal(new.target_shares, state.target_shares)
    parameters = state.trained.parameters
    source = transfer.hand_embedding(parameters['source'], batch['source']['images'])
    every = transfer.hand_embedding(parameters['target'], batch['unlabelled']['images'])
    # The same source with each image repeated as often as it counts.
    labels = np.asarray(batch['source']['labels'])
    assert sorted(labels) == [0, 0, 1, 1, 2, 2]
    times = np.array([15, 9, 6])[labels]
    directions = random_projections(random.split(key, 3)[2], transfer.PROJECTIONS, transfer.SIZE)
    expected = transfer.hand_distance(
        directions,
        jnp.repeat(source, times, axis=0, total_repeat_length=60),
        jnp.repeat(every, 60 // len(every), axis=0),
    )
    assert float(metrics['alignment']) == pytest.approx(float(expected), rel=1e-4)
    shares = [float(metrics[f'target_share_{name}']) for name in 'abc']
    np.testing.assert_allclose(shares, [0.5, 0.3, 0.2], rtol=1e-5)


def test_estimated_shares_move_with_the_unlabelled_images(monkeypatch):
    config = transfer.plain(method__target_shares='estimated', method__shares_decay=0.5)
    method = build_linear(monkeypatch, config)
    state = transfer.aligned(method)
    np.testing.assert_allclose(state.target_shares, 1 / 3, rtol=1e-6)
    batch = small_batch()
    new, _ = jax.jit(method.phases[1].step)(state, batch, random.key(1))
    parameters = state.trained.parameters
    every = transfer.hand_embedding(parameters['target'], batch['unlabelled']['images'])
    posteriors = jax.nn.softmax(
        every @ parameters['classifier']['dense1']['kernel']
        + parameters['classifier']['dense1']['bias']
    )
    # The prior is even, as the labels are; so the first turn of EM is the mean posterior.
    expected = 0.5 / 3 + 0.5 * posteriors.mean(0)
    np.testing.assert_allclose(new.target_shares, expected, rtol=1e-4)
    assert float(new.target_shares.sum()) == pytest.approx(1.0)


def test_lambda_rises_over_the_first_steps(monkeypatch):
    losses = {}
    for warmup in (0, 4):
        config = transfer.plain(
            method__alignment_warmup=warmup,
            method__alignment_weight=2.0,
            method__class_alignment_weight=0.0,
        )
        method = build_linear(monkeypatch, config)
        state = transfer.aligned(method)
        step = jax.jit(method.phases[1].step)
        for updates in (0, 1, 4, 9):
            late = state._replace(target_updates=jnp.int32(updates))
            metrics = step(late, small_batch(), random.key(1))[1]
            classified = metrics['source_cross_entropy'] + metrics['cross_entropy']
            losses[warmup, updates] = float((metrics['loss'] - classified) / metrics['alignment'])
    found = [losses[4, updates] for updates in (0, 1, 4, 9)]
    np.testing.assert_allclose(found, [0.0, 0.5, 2.0, 2.0], atol=1e-4)
    assert losses[0, 0] == pytest.approx(2.0, rel=1e-4)


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        ('water', 'expected as_source, estimated, or the share'),
        ('a=0.5,a=0.5', 'of each class once'),
        ('a=0.5,b=zero', 'above 0'),
        ('a=1.0,b=0.0,c=0.0', 'above 0'),
        ('a=0.5,b=0.2', 'expected a share for each of the classes a, b, c'),
        ('a=0.5,b=0.2,c=0.1', 'add up to 0.8, not to 1'),
    ],
)
def test_shares_that_are_none_are_refused(text: str, message: str):
    with pytest.raises(UserError, match=message):
        class_shares.parse(text, ('a', 'b', 'c'))


def test_shares_that_are_given():
    assert class_shares.parse('estimated', ('a', 'b')) is None
    assert class_shares.parse(' b = 0.25, a=0.75', ('a', 'b')) == (0.75, 0.25)


def test_a_classifier_of_even_labels_has_the_posteriors_of_the_expected_shares():
    given_class = np.array([[0.7, 0.2, 0.1], [0.1, 0.6, 0.3]])  # p(x|y) of two classes, three x
    expected = class_shares.expected('a=0.8,b=0.2', ('a', 'b'), ())
    labelled = np.array([0.5, 0.5])
    of_labels = (labelled[:, None] * given_class / (labelled @ given_class)).T
    # What is added in training is what the cross-entropy has its least value with.
    logits = np.log(of_labels) - class_shares.offsets((10, 10), expected)
    wanted = (np.array([0.8, 0.2])[:, None] * given_class).T
    found = np.asarray(jax.nn.softmax(logits))
    np.testing.assert_allclose(found, wanted / wanted.sum(1, keepdims=True), rtol=1e-5)


def test_a_class_without_labels_is_no_infinity():
    expected = class_shares.expected('as_source', ('a', 'b'), (9, 0))
    assert expected.tolist() == pytest.approx([1.0, class_shares.SMALLEST], rel=0.01)
    assert np.isfinite(class_shares.offsets((0, 7), expected)).all()
    assert class_shares.expected('as_labelled', ('a', 'b'), (9, 1)) is None


@pytest.mark.parametrize('name', ['sar_only', 'fine_tune'])
def test_a_step_with_expected_shares_by_hand(monkeypatch, name: str):
    config = plain_config(name, method__expected_shares='a=0.5,b=0.3,c=0.2')
    method, batch = build_linear(monkeypatch, config), small_batch()
    state = method.init(random.key(0), batch, None)
    for phase in method.phases[1:]:
        state = phase.begin(state)
    old = state.trained.parameters

    def loss_of(parameters):
        added = jnp.log(1 / 3) - jnp.log(jnp.array([0.5, 0.3, 0.2]))
        logits = hand_logits(parameters, 'target', batch['labelled']['images']) + added
        log_p = jax.nn.log_softmax(logits)
        return -jnp.take_along_axis(log_p, batch['labelled']['labels'][:, None], 1).mean()

    new, metrics = jax.jit(method.phases[-1].step)(state, batch, random.key(1))
    loss, gradient = jax.value_and_grad(loss_of)(old)
    assert float(metrics['loss']) == pytest.approx(float(loss), rel=1e-5)
    assert_descended(new.trained.parameters, old, gradient)
    # The logits are those of the expected shares: nothing is added to them.
    found = method.abilities['logits'](new, batch['labelled']['images'], random.key(0))
    wanted = hand_logits(new.trained.parameters, 'target', batch['labelled']['images'])
    np.testing.assert_allclose(found, wanted, atol=1e-5)


def test_the_shares_of_the_source_change_what_the_target_teaches_alone():
    config = plain_config('swd_transfer', method__expected_shares='as_source')
    task = small_task()._replace(source_label_counts=(6, 3, 3))
    network = embedding_classifier.from_config(config, task)
    np.testing.assert_allclose(network.expected, [0.5, 0.25, 0.25])
    np.testing.assert_allclose(network.offsets['source'], 0.0, atol=1e-6)
    wanted = np.log([2 / 3, 4 / 3, 4 / 3])
    np.testing.assert_allclose(network.offsets['target'], wanted, rtol=1e-5)
    plain = embedding_classifier.from_config(plain_config('swd_transfer'), task)
    assert plain.expected is None
    assert not plain.offsets


def test_estimates_begin_with_the_shares_that_the_classifier_expects(monkeypatch):
    options = {'method__target_shares': 'estimated', 'method__shares_decay': 0.5}
    expecting = transfer.plain(**options, method__expected_shares='a=0.6,b=0.3,c=0.1')
    method, batch = build_linear(monkeypatch, expecting), small_batch()
    state = transfer.aligned(method)
    new, _ = jax.jit(method.phases[1].step)(state, batch, random.key(1))
    logits = hand_logits(state.trained.parameters, 'target', batch['unlabelled']['images'])
    prior = jnp.array([0.6, 0.3, 0.1])
    wanted = class_shares.updated(state.target_shares, jax.nn.softmax(logits), prior, 0.5)
    np.testing.assert_allclose(new.target_shares, wanted, rtol=1e-4)


@pytest.mark.parametrize(
    ('text', 'message'),
    [
        ('as_source', 'sar_only has no source; give the share of each class'),
        ('estimated', 'method.expected_shares=estimated: expected as_labelled, as_source, or'),
        ('a=0.5,b=0.2', 'the shares add up to 0.7'),
    ],
)
def test_expected_shares_that_are_none_are_refused(text: str, message: str):
    with pytest.raises(UserError, match=message):
        check_config(plain_config('sar_only', method__expected_shares=text))
