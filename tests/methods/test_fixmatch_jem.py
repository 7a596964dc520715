"""The union of FixMatch and the joint model: its three terms by hand, and what it is fed."""

from __future__ import annotations

import shutil
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax import random
from jax.scipy.special import logsumexp

from eojax.config.base import check_config
from eojax.errors import UserError
from eojax.evaluation import evaluate
from eojax.methods import METHODS, fixmatch
from eojax.methods.fixmatch import Views
from eojax.runs import run as runs
from eojax.training.loop import train
from tests.methods.linear_model import (
    build_linear,
    linear_model,
    plain_config,
    small_batch,
    small_task,
)
from tests.trained_states import with_trained
from tests.training_runs import assert_same_bits, saved_state, small_config


def plain(**options: Any) -> Any:
    """Plain gradient descent, chains of three noiseless steps, two of the four views in L_ML."""
    config = plain_config('fixmatch_jem', method__threshold=0.5)
    config.method.update({'likelihood_batch_size': 2, 'input_noise': 0.0})
    config.sampler.update({'steps': 3, 'step_size': 0.1, 'noise': 0.0, 'reinitialise': 0.0,
                           'buffer_size': 4})  # fmt: skip
    config.fixmatch.optimizer = config.optimizer.copy_and_resolve_references()
    config.update_from_flattened_dict({k.replace('__', '.'): v for k, v in options.items()})
    return config


@pytest.fixture
def fixed_views(monkeypatch: pytest.MonkeyPatch) -> None:
    """The images themselves, and a darker copy of them, in place of random views."""
    monkeypatch.setattr(
        fixmatch, 'views', lambda images, key, options: Views(images, 0.5 * images - 0.1)
    )


def stepped(
    monkeypatch: pytest.MonkeyPatch, config: Any, per_image: bool = True, phase: int = -1
) -> tuple[Any, Any, Any, Any]:
    method, batch = build_linear(monkeypatch, config, per_image), small_batch()
    state = method.init(random.key(0), batch, None)
    new, metrics = jax.jit(method.phases[phase].step)(state, batch, random.key(1))
    return state, batch, new, metrics


def stored(state: Any, new: Any) -> np.ndarray:
    """The ends of the chains of a step, in no order: what changed in the buffer."""
    before, after = (np.asarray(s.replay_buffer.images) for s in (state, new))
    changed = (before != after).any((2, 3, 4))
    return after[changed]


@pytest.mark.parametrize('per_image', [True, False])
@pytest.mark.parametrize('weights', [(1.0, 1.0, 1.0, 0.0), (0.5, 2.0, 0.3, 0.1)])
def test_the_loss_is_the_sum_of_three_terms(monkeypatch, fixed_views, per_image, weights):
    keys = ('classification_weight', 'consistency_weight', 'likelihood_weight', 'energy_l2')
    options = {f'method__{k}': w for k, w in zip(keys, weights, strict=True)}
    config = plain(**options)
    state, batch, new, metrics = stepped(monkeypatch, config, per_image)
    apply = linear_model(per_image).apply
    images = batch['unlabelled']['images']
    logits, weak, strong, ends = (
        np.asarray(apply(state.trained.parameters, {}, x))
        for x in (batch['labelled']['images'], images, 0.5 * images - 0.1, stored(state, new))
    )
    supervised = optax.softmax_cross_entropy_with_integer_labels(
        logits, batch['labelled']['labels']
    ).mean()
    q = np.asarray(jax.nn.softmax(weak))
    losses = -np.asarray(jax.nn.log_softmax(strong))[np.arange(4), q.argmax(-1)]
    consistency = (losses * (q.max(-1) >= 0.5)).mean()
    real, sampled = logsumexp(weak[:2], axis=-1), logsumexp(ends, axis=-1)
    assert len(ends) == 2
    likelihood = sampled.mean() - real.mean()
    magnitude = (real**2).mean() + (sampled**2).mean()
    terms = np.array([supervised, consistency, likelihood, magnitude])
    assert float(metrics['loss']) == pytest.approx(float(terms @ np.array(weights)), rel=1e-5)
    assert float(metrics['log_density_real']) == pytest.approx(float(real.mean()), rel=1e-5)


def test_gradient_is_that_of_the_terms(monkeypatch, fixed_views):
    """Central differences of the three terms, the ends of the chains and guesses held fixed."""
    state, batch, new, _ = stepped(monkeypatch, plain())
    ends, images = jnp.asarray(stored(state, new)), batch['unlabelled']['images']
    weak = linear_model().apply(state.trained.parameters, {}, images)
    q = jax.nn.softmax(weak)

    def loss(parameters: Any) -> Any:
        apply = linear_model().apply
        labelled = apply(parameters, {}, batch['labelled']['images'])
        supervised = optax.softmax_cross_entropy_with_integer_labels(
            labelled, batch['labelled']['labels']
        ).mean()
        strong = apply(parameters, {}, 0.5 * images - 0.1)
        guessed = optax.softmax_cross_entropy_with_integer_labels(strong, q.argmax(-1))
        consistency = (guessed * (q.max(-1) >= 0.5)).mean()
        real = logsumexp(apply(parameters, {}, images[:2]), axis=-1)
        sampled = logsumexp(apply(parameters, {}, ends), axis=-1)
        return supervised + consistency + sampled.mean() - real.mean()

    for name, value in jax.grad(loss)(state.trained.parameters).items():
        np.testing.assert_allclose(
            new.trained.parameters[name], state.trained.parameters[name] - value, atol=1e-5
        )


def test_with_threshold_one_the_unlabelled_images_give_the_density_alone(monkeypatch, fixed_views):
    found = []
    for options in ({'method__threshold': 1.0}, {'method__consistency_weight': 0.0}):
        _, _, new, metrics = stepped(monkeypatch, plain(**options))
        found.append(new.trained.parameters)
    assert float(metrics['log_density_real']) != 0.0
    for name, value in found[0].items():
        np.testing.assert_allclose(value, found[1][name], atol=1e-6)


def test_the_first_phase_is_fixmatch(monkeypatch, fixed_views):
    config = plain(fixmatch__steps=4)
    state, _, new, metrics = stepped(monkeypatch, config, phase=0)
    assert 'log_density_sampled' not in metrics
    np.testing.assert_array_equal(new.replay_buffer.images, state.replay_buffer.images)
    method = build_linear(monkeypatch, plain_config('fixmatch', method__threshold=0.5))
    other = with_trained(
        method.init(random.key(0), small_batch(), None), parameters=state.trained.parameters
    )
    other, _ = method.phases[0].step(other, small_batch(), random.key(1))
    for name, value in other.trained.parameters.items():
        np.testing.assert_allclose(new.trained.parameters[name], value, atol=1e-6)


@pytest.mark.parametrize('key', ['likelihood_batch_size', 'score_matching_batch_size'])
def test_images_that_the_devices_cannot_share_are_refused(key):
    config = plain(method__score_matching_batch_size=2)
    task = small_task()._replace(num_devices=2)
    METHODS['fixmatch_jem'].build(config, task)
    config.method[key] = 3
    with pytest.raises(UserError, match=f'method.{key} 3 does not divide over 2 devices'):
        METHODS['fixmatch_jem'].build(config, task)


def test_score_matching_comes_after_fixmatch_and_before_the_chains(monkeypatch, fixed_views):
    config = plain(fixmatch__steps=4, method__score_matching_steps=3,
                   method__score_matching_weight=1.0,
                   method__score_matching_batch_size=2)  # fmt: skip
    method = build_linear(monkeypatch, config)
    assert [(p.name, p.steps) for p in method.phases] == [
        ('fixmatch', 4), ('score_matching', 3), ('joint', 3)
    ]  # fmt: skip
    # The optimiser begins anew once, after FixMatch.
    assert [p.begin is not None for p in method.phases] == [False, True, False]
    for phase, has in ((0, (False, False)), (1, (True, False)), (2, (True, True))):
        state, _, new, metrics = stepped(monkeypatch, config, phase=phase)
        assert ('score_matching' in metrics, 'log_density_sampled' in metrics) == has
        assert bool(len(stored(state, new))) == has[1]


def test_each_phase_has_an_optimiser_of_its_own(monkeypatch, fixed_views):
    config = plain(fixmatch__steps=4)
    _, _, whole, _ = stepped(monkeypatch, config, phase=0)
    config.fixmatch.optimizer.update({'learning_rate': 0.25, 'momentum': 0.5})
    before, _, quarter, _ = stepped(monkeypatch, config, phase=0)
    for name, value in before.trained.parameters.items():
        change = 0.25 * (whole.trained.parameters[name] - value)
        np.testing.assert_allclose(quarter.trained.parameters[name] - value, change, atol=1e-6)
    # The joint phase begins without FixMatch's momentum, and at a rate of its own.
    method = build_linear(monkeypatch, config)
    assert optax.tree.norm(quarter.trained.moments) > 0.0
    begun = method.phases[1].begin(quarter)
    assert not any(jnp.any(leaf != 0) for leaf in jax.tree.leaves(begun.trained.moments))
    after, metrics = method.phases[1].step(begun, small_batch(), random.key(1))
    moved = jax.tree.map(
        lambda new, old: new - old, after.trained.parameters, begun.trained.parameters
    )
    assert float(optax.tree.norm(moved)) == pytest.approx(float(metrics['gradient_norm']), rel=1e-4)


@pytest.mark.parametrize('per_image', [True, False])
@pytest.mark.parametrize('phase', [0, 1])
def test_the_average_as_teacher_leaves_the_density_its_views(
    monkeypatch, fixed_views, per_image, phase
):
    config = plain(method__teacher='average', fixmatch__steps=4)
    _, batch, new, metrics = stepped(monkeypatch, config, per_image, phase)
    # The first average is the parameters themselves, and the network does not read its statistics.
    config = plain(fixmatch__steps=4)
    _, _, other, expected = stepped(monkeypatch, config, per_image, phase)
    assert set(metrics) == set(expected)
    for name, value in expected.items():
        assert float(metrics[name]) == pytest.approx(float(value), rel=1e-5), name
    for name, value in other.trained.parameters.items():
        np.testing.assert_allclose(new.trained.parameters[name], value, atol=1e-6)
    if not per_image:
        images = batch['unlabelled']['images']
        shown = [batch['labelled']['images'], images[: 2 * phase], 0.5 * images - 0.1]
        np.testing.assert_allclose(
            new.trained.statistics['mean'], jnp.concatenate(shown).mean(0), atol=1e-6
        )


def test_batch_statistics_see_fixmatchs_images_and_no_samples(monkeypatch, fixed_views):
    _, batch, new, _ = stepped(monkeypatch, plain(), per_image=False)
    images = batch['unlabelled']['images']
    everything = jnp.concatenate([batch['labelled']['images'], images, 0.5 * images - 0.1])
    np.testing.assert_allclose(new.trained.statistics['mean'], everything.mean(0), atol=1e-6)


@pytest.mark.usefixtures('compiled_once')
def test_a_real_run_resumes_exactly_within_and_between_phases(tmp_path, monkeypatch):
    # Its evaluation is tested with the configs.
    monkeypatch.setattr(evaluate, 'evaluate_run', lambda run, state, out: out)
    monkeypatch.setattr(evaluate, 'sample_picture', lambda run, state: None)
    changes = {'data__labels_per_class': '1', 'batch_size': 4, 'model__norm': 'instance'}
    changes |= {'method__unlabelled_ratio': 2, 'steps': 8}
    changes |= {'fixmatch__steps': 3, 'method__likelihood_batch_size': 4}
    changes |= {'method__threshold': 0.2, 'method__score_matching_weight': 0.2}
    changes |= {'method__score_matching_steps': 1}
    changes |= {'method__score_matching_batch_size': 4, 'sampler__steps': 2}
    changes |= {'sampler__buffer_size': 20, 'checkpoint_every': 5}
    config = small_config('fixmatch_jem', 'convnet', **changes)
    train(config, tmp_path / 'whole')
    state = saved_state(tmp_path / 'whole', 8)
    assert all(np.isfinite(v).all() for v in state.values() if v.dtype.kind == 'f')
    for kept in (3, 5):  # the end of the first phase, and the middle of the second
        shutil.copytree(tmp_path / 'whole', tmp_path / f'from_{kept}')
        for step in (5, 8):
            if step > kept:
                shutil.rmtree(tmp_path / f'from_{kept}' / 'checkpoints' / str(step))
        train(config, tmp_path / f'from_{kept}')
        assert_same_bits(state, saved_state(tmp_path / f'from_{kept}', 8))


def test_has_all_that_a_joint_model_can_do(tmp_path):
    config = small_config('fixmatch_jem', method__likelihood_batch_size=8, sampler__buffer_size=40)
    run = runs.prepare(config, tmp_path)
    assert set(run.method.abilities) == set(METHODS['jem'].abilities)
    assert run.method.split == ('replay_buffer',)


@pytest.mark.parametrize(
    ('key', 'value', 'message'),
    [
        ('method.likelihood_batch_size', 64, 'more than the 42 unlabelled images of a step'),
        ('method.score_matching_batch_size', 64, 'more than the 42 unlabelled images of a step'),
        ('fixmatch.steps', 10, 'must leave some of steps 10'),
        ('method.score_matching_steps', 10, 'must leave some of steps 10'),
        ('method.score_matching_steps', 2, 'need a method.score_matching_weight above 0'),
        ('method.score_matching_steps', -1, 'method.score_matching_steps must not be negative'),
        ('fixmatch.steps', -1, 'fixmatch.steps must not be negative'),
        (
            'fixmatch.optimizer.learning_rate',
            0.0,
            'fixmatch.optimizer.learning_rate must be positive',
        ),
        ('method.threshold', 2.0, 'method.threshold must lie in'),
        ('method.likelihood_weight', -1.0, 'method.likelihood_weight must not be negative'),
        ('sampler.step_size', -1.0, 'sampler.step_size'),
    ],
)
def test_what_cannot_train_is_refused(key, value, message):
    config = plain()
    config.method.update({'score_matching_batch_size': 8})
    config.sampler.buffer_size = 64
    config.update_from_flattened_dict({key: value})
    with pytest.raises(UserError, match=message):
        check_config(config)
