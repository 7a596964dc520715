"""The joint energy-based model against its equations, on networks small enough for them."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import Array, random
from scipy.special import logsumexp

from eojax.config.base import base_config, check_config
from eojax.data.facts import Facts
from eojax.errors import UserError
from eojax.feed.pipeline import draw_batch
from eojax.feed.resident import Resident
from eojax.losses.denoising_score_matching import denoising_score_matching
from eojax.methods import jem
from eojax.methods.joint import joint_model
from eojax.methods.method import Method
from eojax.models import MODELS, wide_resnet
from eojax.models.model import Network
from eojax.samplers.langevin import Langevin
from tests.methods.linear_model import (
    CLASSES,
    SHAPE,
    build_linear,
    linear_model,
    plain_config,
    small_batch,
    small_task,
    small_training,
)
from tests.places_as_rows import as_rows
from tests.trained_states import with_trained

Patch = pytest.MonkeyPatch


def wide_network(norm: str = 'none') -> Network:
    config = base_config('jem', 'wide_resnet')
    config.model.update({'depth': 10, 'width': 1, 'norm': norm, 'activation': 'swish'})
    return wide_resnet.build(config.model, CLASSES)


def started(monkeypatch: Patch, **options: Any) -> tuple[Method, Any, Any]:
    method = build_linear(monkeypatch, plain_config('jem', **options))
    batch = small_batch()
    fitted = None if method.fit is None else method.fit(small_training())
    return method, method.init(random.key(0), batch, fitted), batch


def joint(method: Method) -> Any:
    assert method.phases[-1].name == 'joint'
    return jax.jit(method.phases[-1].step)


def logits_of(parameters: Any, images: Array) -> Array:
    return linear_model().apply(parameters, {}, images)


def mean_log_density(parameters: Any, images: Array) -> Array:
    return jnp.log(jnp.exp(logits_of(parameters, images)).sum(-1)).mean()


def change(before: Any, after: Any) -> Any:
    """The gradient that a step of plain descent at rate 1 took."""
    return jax.tree.map(lambda a, b: a - b, before.trained.parameters, after.trained.parameters)


def assert_close(found: Any, expected: Any, tolerance: float = 1e-5) -> None:
    for one, other in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        np.testing.assert_allclose(one, other, atol=tolerance, rtol=1e-4)


def test_density_and_energy_identities():
    logits = 5.0 * random.normal(random.key(0), (6, 4))
    np.testing.assert_allclose(jem.log_density(logits), logsumexp(logits, axis=-1), rtol=1e-6)
    # log p(x, y) = log p(x) + log p(y|x): Eq. 4 is the sum of Eq. 6 and the softmax, for each y.
    joint_density = jem.log_density(logits)[:, None] + jax.nn.log_softmax(logits)
    np.testing.assert_allclose(joint_density, logits, atol=1e-5)
    # A constant on all logits is a density; it does not reach the classes.
    np.testing.assert_allclose(
        jem.log_density(logits + 3.0), jem.log_density(logits) + 3.0, rtol=1e-5
    )


def test_energy_is_that_of_equation_6_and_that_of_a_class_its_logit():
    model = linear_model()
    images = random.normal(random.key(1), (5, *SHAPE))
    parameters, statistics = model.init(random.key(0), images)
    logits = np.asarray(logits_of(parameters, images))
    energy = jem.energy_of(model, parameters, statistics, None)(images)
    np.testing.assert_allclose(energy, -logsumexp(logits, axis=-1), rtol=1e-5)
    labels = jnp.asarray([0, 1, 2, 0, 1])
    of_class = jem.energy_of(model, parameters, statistics, labels)(images)
    np.testing.assert_allclose(of_class, -logits[np.arange(5), labels], rtol=1e-6)


def test_energys_gradient_in_the_image_by_central_differences():
    model = wide_network()
    images = random.uniform(random.key(1), (2, 8, 8, 3), minval=-1.0, maxval=1.0)
    parameters, statistics = model.init(random.key(0), images[:1])
    parameters = jax.tree.map(lambda p: 1.7 * p, parameters)  # livelier than at the start
    energy = jax.jit(jem.energy_of(model, parameters, statistics, None))
    gradient = np.asarray(jax.jit(jax.grad(lambda x: energy(x).sum()))(images))
    directions = np.random.default_rng(0).normal(size=(6, *images.shape)).astype(np.float32)
    directions[0] = gradient / np.abs(gradient).max()
    step, scale = 0.003, np.sqrt(np.square(gradient).sum((1, 2, 3)))
    for direction in directions:
        slopes = (energy(images + step * direction) - energy(images - step * direction)) / 2 / step
        expected = (gradient * direction).sum((1, 2, 3))
        assert (np.abs(slopes - expected) < 0.01 * np.maximum(np.abs(expected), scale)).all()


def test_gradient_of_the_likelihood_is_equation_3(monkeypatch: Patch):
    method, state, batch = started(monkeypatch, method__classification_weight=0.0)
    new, metrics = joint(method)(state, batch, random.key(2))
    # All chains of the buffer were drawn: what it holds now is x~ of Eq. 3.
    sampled, real = new.replay_buffer.images[0], batch['unlabelled']['images']
    energy_gradient = jax.grad(lambda p, x: -mean_log_density(p, x))
    ascent = jax.tree.map(
        lambda of_samples, of_data: of_samples - of_data,
        energy_gradient(state.trained.parameters, sampled),
        energy_gradient(state.trained.parameters, real),
    )
    # The step climbs log p: parameters move by plus Eq. 3.
    assert_close(change(new, state), ascent)
    assert max(np.abs(leaf).max() for leaf in jax.tree.leaves(ascent)) > 0.01
    expected = mean_log_density(state.trained.parameters, sampled) - mean_log_density(
        state.trained.parameters, real
    )
    assert float(metrics['loss']) == pytest.approx(float(expected), rel=1e-4)
    # And so real images gain likelihood over the samples.
    gap = mean_log_density(new.trained.parameters, real) - mean_log_density(
        new.trained.parameters, sampled
    )
    assert float(gap) > -float(expected)


def test_every_term_of_the_loss_has_its_weight(monkeypatch: Patch):
    weights = {'classification_weight': 0.7, 'likelihood_weight': 0.4, 'energy_l2': 0.2}
    method, state, batch = started(monkeypatch, **{f'method__{k}': v for k, v in weights.items()})
    new, metrics = joint(method)(state, batch, random.key(2))
    sampled, real = new.replay_buffer.images[0], batch['unlabelled']['images']

    def hand_loss(parameters: Any) -> Array:
        logits = logits_of(parameters, batch['labelled']['images'])
        right = jnp.take_along_axis(logits, batch['labelled']['labels'][:, None], 1)[:, 0]
        cross_entropy = (jnp.log(jnp.exp(logits).sum(-1)) - right).mean()
        first, second = (
            jnp.log(jnp.exp(logits_of(parameters, x)).sum(-1)) for x in (real, sampled)
        )
        return (
            0.7 * cross_entropy
            + 0.4 * (second.mean() - first.mean())
            + 0.2 * ((first**2).mean() + (second**2).mean())
        )

    loss, gradient = jax.value_and_grad(hand_loss)(state.trained.parameters)
    assert float(metrics['loss']) == pytest.approx(float(loss), rel=1e-5)
    assert_close(change(state, new), gradient)


@pytest.mark.parametrize('kind', ['denoising', 'flow'])
def test_score_matching_has_its_stream_and_its_weight(kind: str, monkeypatch: Patch):
    options = {'method__score_matching_weight': 0.3, 'method__score_matching_batch_size': 4}
    options['method__score_matching_kind'] = kind
    method, state, batch = started(monkeypatch, **options)
    assert method.phases[-1].streams['clean'].batch_size == 4
    _, metrics = joint(method)(state, batch, random.key(2))
    without, state, batch = started(monkeypatch)
    assert 'clean' not in without.phases[-1].streams
    _, plain = joint(without)(state, batch, random.key(2))
    difference = float(metrics['loss'] - plain['loss'])
    assert difference == pytest.approx(0.3 * float(metrics['score_matching']), rel=1e-3)


@pytest.mark.parametrize('start', ['uniform', 'gaussian'])
def test_flow_matching_begins_where_chains_begin(start: str, monkeypatch: Patch):
    options = {'method__score_matching_weight': 1.0, 'method__score_matching_batch_size': 64}
    options |= {'method__score_matching_kind': 'flow', 'sampler__start': start}
    options['sampler__buffer_size'] = 400
    method, state, batch = started(monkeypatch, **options)
    seen = []

    def record(density: Any, starts: Array, images: Array, key: Array) -> Array:
        jax.debug.callback(lambda x: seen.append(np.asarray(x)), starts)
        return jnp.float32(0.0)

    monkeypatch.setattr(joint_model, 'flow_matching', record)
    batch = {**batch, 'clean': {'images': jnp.zeros((64, *SHAPE))}}
    joint(method)(state, batch, random.key(2))
    jax.effects_barrier()
    (starts,) = seen
    assert starts.shape == (64, *SHAPE)
    fresh = np.asarray(state.replay_buffer.images)
    assert starts.std() == pytest.approx(fresh.std(), rel=0.15)
    assert starts.mean() == pytest.approx(fresh.mean(), abs=0.1)


def test_one_joint_pass_equals_separate_passes(monkeypatch: Patch):
    results = []
    for per_image in (True, False):
        config = plain_config('jem', method__energy_l2=0.1)
        method = build_linear(monkeypatch, config, per_image)
        state = method.init(random.key(0), small_batch(), None)
        results.append(joint(method)(state, small_batch(), random.key(2)))
    (one, metrics), (other, others) = results
    assert_close(one.trained.parameters, other.trained.parameters)
    assert_close(one.replay_buffer, other.replay_buffer)
    assert_close(metrics, others)


@pytest.mark.parametrize('norm', ['none', 'group'])
def test_wide_resnets_joint_pass_equals_separate_passes(norm: str):
    model = wide_network(norm)
    images = random.normal(random.key(1), (9, 8, 8, 3))
    parameters, statistics = model.init(random.key(0), images[:1])
    train = jax.jit(lambda x: model.train(parameters, statistics, x, key=random.key(0))[0])
    apart = jnp.concatenate([train(images[:3]), train(images[3:6]), train(images[6:])])
    np.testing.assert_allclose(train(images), apart, atol=1e-5)


def test_samples_do_not_enter_the_running_statistics(monkeypatch: Patch):
    method = build_linear(monkeypatch, plain_config('jem'), per_image=False)
    batch = small_batch()
    state = method.init(random.key(0), batch, None)
    new, _ = joint(method)(state, batch, random.key(2))
    expected = batch['labelled']['images'].mean(0)
    np.testing.assert_allclose(new.trained.statistics['mean'], expected, atol=1e-6)


def centring_model() -> Network:
    """Outputs of the batch's mean taken away in training, of the running one in evaluation."""
    plain = linear_model(per_image=False)

    def train(parameters: Any, statistics: Any, images: Array, key: Array) -> tuple[Array, Any]:
        mean = images.mean(0)
        return plain.apply(parameters, {}, images - mean), {'mean': mean}

    def apply(parameters: Any, statistics: Any, images: Array) -> Array:
        return plain.apply(parameters, {}, images - statistics['mean'])

    return plain._replace(train=train, apply=apply)


@pytest.mark.parametrize('which', ['running', 'batch'])
def test_under_batch_norm_chains_and_likelihood_have_one_energy(monkeypatch: Patch, which: str):
    centring = MODELS['wide_resnet']._replace(build=lambda *_: centring_model())
    monkeypatch.setitem(MODELS, 'wide_resnet', centring)
    config = plain_config('jem', method__likelihood_statistics=which)
    method, batch = jem.build(config, small_task()), small_batch()
    running = random.normal(random.key(5), SHAPE)
    state = with_trained(method.init(random.key(0), batch, None), statistics={'mean': running})

    def centred(images: Array) -> Array:
        return images - (running if which == 'running' else images.mean(0))

    def hand_ends(images: Array) -> Array:
        for _ in range(3):
            density = jax.grad(
                lambda x: jax.nn.logsumexp(
                    logits_of(state.trained.parameters, centred(x)), -1
                ).sum()
            )
            images = images + 0.1 * density(images)
        return images

    new, metrics = joint(method)(state, batch, random.key(2))
    sampled, real = new.replay_buffer.images[0], batch['unlabelled']['images']
    starts = state.replay_buffer.images[0]
    np.testing.assert_allclose(sampled, hand_ends(starts), atol=1e-5)
    for name, images in (('real', real), ('sampled', sampled)):
        expected = mean_log_density(state.trained.parameters, centred(images))
        assert float(metrics[f'log_density_{name}']) == pytest.approx(float(expected), rel=1e-4)
    # Samples of the trained model follow the energy that was trained.
    chain, labels = Langevin(steps=3, step_size=0.1, noise=0.0), jnp.zeros(4, jnp.int32)
    ends = method.abilities['sample'](state, random.key(3), labels, chain, starts)
    np.testing.assert_allclose(ends, hand_ends(starts), atol=1e-5)
    # Only the labelled batch makes the running statistics.
    expected = batch['labelled']['images'].mean(0)
    np.testing.assert_allclose(new.trained.statistics['mean'], expected, atol=1e-6)


@pytest.mark.parametrize('which', ['running', 'batch'])
def test_under_batch_norm_score_matching_has_the_energy_of_the_chains(
    monkeypatch: Patch, which: str
):
    centring = MODELS['wide_resnet']._replace(build=lambda *_: centring_model())
    monkeypatch.setitem(MODELS, 'wide_resnet', centring)
    config = plain_config('jem', method__likelihood_statistics=which,
                          method__score_matching_weight=1.0)  # fmt: skip
    method, batch = jem.build(config, small_task()), small_batch()
    running, key = random.normal(random.key(5), SHAPE), random.key(2)
    state = with_trained(method.init(random.key(0), batch, None), statistics={'mean': running})

    def density(x: Array) -> Array:
        mean = running if which == 'running' else x.mean(0)
        return jax.nn.logsumexp(logits_of(state.trained.parameters, x - mean), -1)

    _, metrics = joint(method)(state, batch, key)
    key_score = random.split(random.split(key)[1], 4)[3]
    noise = tuple(config.method.score_matching_noise)
    expected = denoising_score_matching(density, batch['clean']['images'], key_score, noise)
    assert float(metrics['score_matching']) == pytest.approx(float(expected), rel=1e-4)


def test_sharpness_aware_step_takes_the_same_samples_twice(monkeypatch: Patch):
    options = {'optimizer__sharpness_radius': 0.5, 'method__energy_l2': 0.1}
    method, state, batch = started(monkeypatch, **options)
    new, metrics = joint(method)(state, batch, random.key(2))
    # The chains do not know of it.
    plain, state, batch = started(monkeypatch, method__energy_l2=0.1)
    without, plain_metrics = joint(plain)(state, batch, random.key(2))
    np.testing.assert_array_equal(new.replay_buffer.images, without.replay_buffer.images)
    for name in ('loss', 'cross_entropy', 'sampler_gradient'):
        assert float(metrics[name]) == pytest.approx(float(plain_metrics[name]), rel=1e-5)
    sampled, real = new.replay_buffer.images[0], batch['unlabelled']['images']

    def hand_loss(parameters: Any) -> Array:
        logits = logits_of(parameters, batch['labelled']['images'])
        cross_entropy = -jnp.take_along_axis(
            jax.nn.log_softmax(logits), batch['labelled']['labels'][:, None], 1
        ).mean()
        first, second = (jax.nn.logsumexp(logits_of(parameters, x), -1) for x in (real, sampled))
        magnitude = (first**2).mean() + (second**2).mean()
        return cross_entropy + second.mean() - first.mean() + 0.1 * magnitude

    gradient = jax.grad(hand_loss)(state.trained.parameters)
    norm = np.sqrt(sum(np.square(leaf).sum() for leaf in jax.tree.leaves(gradient)))
    ascended = jax.tree.map(lambda w, g: w + 0.5 * g / norm, state.trained.parameters, gradient)
    expected = jax.grad(hand_loss)(ascended)
    assert_close(change(state, new), expected)
    assert max(np.abs(a - b).max() for a, b in zip(jax.tree.leaves(expected),
               jax.tree.leaves(gradient), strict=True)) > 0.01  # fmt: skip


def test_inner_steps_of_a_convolutional_stem_are_one_larger_step():
    # Noiseless, with JEM++'s clamps: five inner steps of 0.2 are one of 1.
    ends = []
    for inner, size in ((5, 0.2), (1, 1.0)):
        config = plain_config('jem', sampler__inner_steps=inner, sampler__step_size=size,
                              sampler__clamp=1.0, sampler__clamp_gradient=size,
                              sampler__steps=2)  # fmt: skip
        config.model.update({'depth': 10, 'width': 1, 'activation': 'swish'})
        method = jem.build(config, small_task()._replace(image_shape=(8, 8, 2)))
        images = random.uniform(random.key(1), (6, 8, 8, 2), minval=-1.0, maxval=1.0)
        batch = {name: {'images': images[:num], 'labels': jnp.arange(num) % CLASSES}
                 for name, num in (('labelled', 6), ('unlabelled', 4))}  # fmt: skip
        state = method.init(random.key(0), batch, None)
        new, metrics = joint(method)(state, batch, random.key(2))
        ends.append(new.replay_buffer.images)
        assert float(jnp.abs(ends[-1] - state.replay_buffer.images).max()) > 0.01
        assert float(metrics['sampler_gradient']) > 0.0
    np.testing.assert_allclose(ends[0], ends[1], atol=1e-4)


def test_inner_steps_need_a_network_with_a_stem(monkeypatch: Patch):
    config = plain_config('jem', sampler__inner_steps=5)
    check_config(config)
    uncut = MODELS['wide_resnet']._replace(build=lambda *_: linear_model())
    monkeypatch.setitem(MODELS, 'wide_resnet', uncut)
    with pytest.raises(UserError, match=r'^sampler\.inner_steps 5 .* wide_resnet cannot') as caught:
        check_config(config)
    assert '\n' not in str(caught.value)


def test_supervised_phase_leaves_the_buffer_alone(monkeypatch: Patch):
    method, state, batch = started(monkeypatch, method__supervised_steps=4)
    assert [(phase.name, phase.steps) for phase in method.phases] == [
        ('supervised', 4), ('joint', 6)]  # fmt: skip
    assert set(method.phases[0].streams) == {'labelled'}
    new, metrics = jax.jit(method.phases[0].step)(state, batch, random.key(2))
    np.testing.assert_array_equal(new.replay_buffer.images, state.replay_buffer.images)
    np.testing.assert_array_equal(new.replay_buffer.labels, state.replay_buffer.labels)
    gradient = jax.grad(
        lambda p: (
            -jnp.take_along_axis(
                jax.nn.log_softmax(logits_of(p, batch['labelled']['images'])),
                batch['labelled']['labels'][:, None],
                1,
            ).mean()
        )
    )(state.trained.parameters)
    assert_close(change(state, new), gradient)
    assert float(metrics['loss']) == pytest.approx(float(metrics['cross_entropy']))
    after, _ = joint(method)(new, batch, random.key(3))
    assert not np.allclose(after.replay_buffer.images, new.replay_buffer.images)


def hand_chain(state: Any, images: Array, labels: Array | None) -> Array:
    """Three noiseless updates of size 0.1 for the linear network."""
    weights = state.trained.parameters['w']
    for _ in range(3):
        logits = logits_of(state.trained.parameters, images)
        share = jax.nn.softmax(logits) if labels is None else jax.nn.one_hot(labels, CLASSES)
        images = images + 0.1 * (share @ weights.T).reshape(images.shape)
    return images


@pytest.mark.parametrize('conditional', [True, False])
def test_chains_follow_the_energy_asked_for(monkeypatch: Patch, conditional: bool):
    method, state, batch = started(monkeypatch, method__class_conditional=conditional)
    new, metrics = joint(method)(state, batch, random.key(2))
    starts, labels = state.replay_buffer.images[0], state.replay_buffer.labels[0]
    expected = hand_chain(state, starts, labels if conditional else None)
    np.testing.assert_allclose(new.replay_buffer.images[0], expected, atol=1e-5)
    np.testing.assert_array_equal(new.replay_buffer.labels[0], labels)
    if conditional:
        norms = jnp.linalg.norm(state.trained.parameters['w'][:, labels], axis=0)
        assert float(metrics['sampler_gradient']) == pytest.approx(float(norms.mean()), rel=1e-4)


@pytest.mark.parametrize('decay', [0.0, 0.4])
def test_average_of_the_parameters(monkeypatch: Patch, decay: float):
    method, state, batch = started(monkeypatch, method__average_decay=decay)
    step, expected = joint(method), np.asarray(state.trained.parameters['w'])
    for number in range(8):
        state, _ = step(state, batch, random.key(number))
        effective = min(decay, (1.0 + number) / (10.0 + number))
        expected = effective * expected + (1.0 - effective) * np.asarray(
            state.trained.parameters['w']
        )
    np.testing.assert_allclose(state.trained.average['w'], expected, rtol=1e-4, atol=1e-5)
    assert int(state.trained.updates) == 8


def test_input_noise_and_the_averaged_parameters_in_evaluation(monkeypatch: Patch):
    method, state, _ = started(monkeypatch, method__input_noise=0.2)
    state = with_trained(state, average=jax.tree.map(lambda p: 0.5 * p, state.trained.parameters))
    images = jnp.broadcast_to(random.normal(random.key(1), SHAPE), (4000, *SHAPE))
    logits = np.asarray(method.abilities['logits'](state, images, random.key(2)))
    exact = np.asarray(logits_of(state.trained.average, images[:1]))[0]
    deviation = 0.2 * np.linalg.norm(state.trained.average['w'], axis=0)
    np.testing.assert_allclose(logits.std(0), deviation, rtol=0.06)
    assert (np.abs(logits.mean(0) - exact) < 4.5 * deviation / np.sqrt(4000)).all()
    density = method.abilities['log_density'](state, images, random.key(2))
    np.testing.assert_allclose(density, logsumexp(logits, axis=-1), rtol=1e-5)


def test_samples_of_a_trained_model(monkeypatch: Patch):
    method, state, _ = started(monkeypatch)
    sample, labels = method.abilities['sample'], jnp.asarray([2, 0, 1, 1])
    images = random.normal(random.key(1), (4, *SHAPE))
    chain = Langevin(steps=3, step_size=0.1, noise=0.0)
    for conditional in (True, False):
        ends = sample(state, random.key(0), labels, chain, images, conditional)
        expected = hand_chain(state, images, labels if conditional else None)
        np.testing.assert_allclose(ends, expected, atol=1e-5)
    frames = sample(state, random.key(0), labels, chain, images, every=1)
    assert frames.shape == (4, 4, *SHAPE)
    np.testing.assert_array_equal(frames[0], images)
    np.testing.assert_allclose(frames[-1], ends, atol=1e-5)
    fresh = sample(state, random.key(0), labels, chain, every=3)[0]
    assert np.abs(fresh).max() <= 1.0  # uniform starts
    assert method.abilities['replay'](state) is state.replay_buffer


def test_few_labels_are_drawn_repeatedly_and_the_step_takes_them(monkeypatch: Patch):
    method, state, _ = started(monkeypatch)
    images = np.random.default_rng(0).integers(0, 256, (20, *SHAPE), np.uint8)
    truth, labelled = jnp.arange(20) % CLASSES, jnp.arange(20) < CLASSES  # one label a class
    parts = {'labelled': jnp.arange(CLASSES), 'unlabelled': jnp.arange(CLASSES, 20),
             'train': jnp.arange(20)}  # fmt: skip
    feed = {'data': Resident({'images': as_rows(jnp.asarray(images))}, truth, labelled, parts)}
    phase = method.phases[-1]

    @jax.jit
    def step(state: Any, number: Array) -> Any:
        batch = draw_batch(feed, phase.streams, random.key(1), number, {'data': Facts()})
        new, metrics = phase.step(state, batch, random.fold_in(random.key(2), number))
        return new, metrics, batch

    for number in range(3):
        state, metrics, batch = step(state, jnp.int32(number))
        np.testing.assert_array_equal(np.bincount(batch['labelled']['labels']), [2, 2, 2])
        assert batch['unlabelled']['images'].shape == (4, *SHAPE)
        assert all(np.isfinite(value) for value in metrics.values())


def test_gaussian_starts_are_fitted_to_the_training_images(monkeypatch: Patch):
    options = {'sampler__start': 'gaussian', 'sampler__reinitialise': 1.0,
               'sampler__buffer_size': 400}  # fmt: skip
    method, state, _ = started(monkeypatch, **options)
    assert state.gaussian.mean.shape == (CLASSES, SHAPE[-1])
    shapes = jax.tree.map(lambda x: (x.shape, x.dtype), (state.gaussian, method.fitted))
    assert shapes[0] == shapes[1]
    mean = np.asarray(state.replay_buffer.images).mean((0, 1, 2, 3))
    np.testing.assert_allclose(mean, state.gaussian.mean[0], atol=0.15)
    _, uniform, _ = started(monkeypatch)
    assert uniform.gaussian is None


def test_buffer_lies_in_parts_of_its_dtype(monkeypatch: Patch):
    options = {'sampler__buffer_parts': 2, 'sampler__buffer_size': 12,
               'sampler__buffer_dtype': 'bfloat16'}  # fmt: skip
    method, state, batch = started(monkeypatch, **options)
    assert state.replay_buffer.images.shape == (2, 6, *SHAPE)
    new, _ = joint(method)(state, batch, random.key(2))
    assert new.replay_buffer.images.dtype == jnp.bfloat16
    moved = (new.replay_buffer.images != state.replay_buffer.images).any((2, 3, 4))
    np.testing.assert_array_equal(moved.sum(1), [2, 2])  # two of four chains from each part
    assert method.split == ('replay_buffer',)


@pytest.mark.parametrize(
    ('key', 'value', 'named'),
    [
        ('method.augment', 'rotate', 'method.augment'),
        ('method.likelihood_augment', 'rotate', 'method.likelihood_augment'),
        ('method.likelihood_statistics', 'all', 'method.likelihood_statistics'),
        ('method.energy_l2', -1.0, 'method.energy_l2'),
        ('method.average_decay', 1.0, 'method.average_decay'),
        ('method.score_matching_noise', (0.6, 0.02), 'method.score_matching_noise'),
        ('method.supervised_steps', 10, 'method.supervised_steps'),
        ('method.likelihood_batch_size', 5, 'sampler.buffer_size'),
        ('method.likelihood_batch_size', 0, 'likelihood_batch_size'),
        ('method.score_matching_batch_size', 0, 'method.score_matching_batch_size'),
        ('sampler.buffer_parts', 3, 'sampler.buffer_parts'),
        ('sampler.reinitialise', 1.1, 'sampler.reinitialise'),
        ('sampler.buffer_dtype', 'float16', 'sampler.buffer_dtype'),
        ('sampler.steps', 0, 'sampler.steps'),
        ('sampler.inner_steps', 0, 'sampler.inner_steps'),
        ('sampler.start', 'zeros', 'sampler.start'),
    ],
)
def test_combinations_that_cannot_train_are_refused(key: str, value: Any, named: str):
    config = plain_config('jem')
    check_config(config)
    config.update_from_flattened_dict({key: value})
    with pytest.raises(UserError, match=named) as caught:
        check_config(config)
    assert '\n' not in str(caught.value)
