"""FixMatch's step against its equations by hand, and what it is fed."""

from __future__ import annotations

import shutil
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import Array, random

from eojax.augment.boxes import draw_squares
from eojax.config.base import check_config
from eojax.devices import sharding
from eojax.errors import UserError
from eojax.feed.pipeline import draw_batch
from eojax.methods import fixmatch
from eojax.methods.fixmatch import Views
from eojax.runs import run as runs
from eojax.training.loop import train
from tests.methods import linear_model as small
from tests.methods.linear_model import build_linear, linear_model, plain_config, small_batch
from tests.trained_states import with_trained
from tests.training_runs import assert_same_bits, saved_state, small_config


def plain(**options: Any) -> Any:
    return plain_config('fixmatch', method__threshold=0.5, **options)


@pytest.fixture
def fixed_views(monkeypatch: pytest.MonkeyPatch) -> None:
    """The images themselves, and a darker copy of them, in place of random views."""
    monkeypatch.setattr(
        fixmatch, 'views', lambda images, key, options: Views(images, 0.5 * images - 0.1)
    )


def hand_loss(parameters: Any, batch: Any, threshold: float, weight: float) -> Array:
    """Eq. 3.24 to 3.26."""

    def log_p(images: Array) -> Array:
        logits = linear_model().apply(parameters, {}, images)
        return logits - jnp.log(jnp.exp(logits).sum(-1, keepdims=True))

    labelled, unlabelled = batch['labelled'], batch['unlabelled']['images']
    supervised = -jnp.take_along_axis(
        log_p(labelled['images']), labelled['labels'][:, None], 1
    ).mean()
    q = np.exp(np.asarray(jax.lax.stop_gradient(log_p(unlabelled))))
    strong = log_p(0.5 * unlabelled - 0.1)
    total = sum(
        -strong[i, q[i].argmax()] for i in range(len(unlabelled)) if q[i].max() >= threshold
    )
    return supervised + weight * total / len(unlabelled)


@pytest.mark.parametrize('weight', [0.0, 1.0, 2.5])
def test_one_step_by_hand(monkeypatch, fixed_views, weight):
    method = build_linear(monkeypatch, plain(method__consistency_weight=weight))
    batch = small_batch()
    state = method.init(random.key(0), batch, None)
    new, metrics = jax.jit(method.phases[0].step)(state, batch, random.key(1))
    assert 0.0 < float(metrics['mask_rate']) <= 1.0
    with jax.disable_jit():
        parameters = state.trained.parameters
        loss = hand_loss(parameters, batch, 0.5, weight)
        gradient = _numeric(lambda p: hand_loss(p, batch, 0.5, weight), parameters)
    assert float(metrics['loss']) == pytest.approx(float(loss), rel=1e-5)
    for name, value in parameters.items():
        np.testing.assert_allclose(new.trained.parameters[name], value - gradient[name], atol=5e-3)


def _numeric(function: Any, parameters: Any, step: float = 1e-2) -> Any:
    """Central differences: they see no gradient through pseudo-labels, which are steps of it."""
    gradient = {}
    for name, value in parameters.items():
        slopes = np.zeros(value.size)
        for i in range(value.size):
            ends = []
            for sign in (1, -1):
                moved = np.asarray(value).ravel().copy()
                moved[i] += sign * step
                ends.append(
                    float(function(parameters | {name: jnp.asarray(moved.reshape(value.shape))}))
                )
            slopes[i] = (ends[0] - ends[1]) / (2 * step)
        gradient[name] = slopes.reshape(value.shape)
    return gradient


def test_with_threshold_one_only_the_labels_count(monkeypatch, fixed_views):
    batch, states = small_batch(), []
    for options in ({'method__threshold': 1.0}, {'method__consistency_weight': 0.0}):
        config = plain_config('fixmatch', **options)
        method = build_linear(monkeypatch, config)
        state = method.init(random.key(0), batch, None)
        new, metrics = method.phases[0].step(state, batch, random.key(1))
        states.append(new.trained.parameters)
        if 'method__threshold' in options:
            assert float(metrics['consistency']) == 0.0
            assert float(metrics['mask_rate']) == 0.0
    for name, value in states[0].items():
        np.testing.assert_allclose(value, states[1][name], atol=1e-6)


def test_batch_normalisation_sees_labelled_and_both_views(monkeypatch, fixed_views):
    method = build_linear(monkeypatch, plain(), per_image=False)
    batch = small_batch()
    state = method.init(random.key(0), batch, None)
    new, _ = method.phases[0].step(state, batch, random.key(1))
    images = batch['unlabelled']['images']
    everything = jnp.concatenate([batch['labelled']['images'], images, 0.5 * images - 0.1])
    np.testing.assert_allclose(new.trained.statistics['mean'], everything.mean(0), atol=1e-6)


def test_the_average_as_teacher_gives_the_pseudo_labels(monkeypatch, fixed_views):
    """Its guesses, and statistics that do not see the weak views, against arithmetic by hand."""
    config = plain(method__teacher='average')
    method, batch = build_linear(monkeypatch, config, per_image=False), small_batch()
    state = method.init(random.key(0), batch, None)
    state = with_trained(state, average=jax.tree.map(lambda p: -p, state.trained.parameters))
    new, metrics = jax.jit(method.phases[0].step)(state, batch, random.key(1))
    apply, images = linear_model().apply, batch['unlabelled']['images']
    q = np.asarray(jax.nn.softmax(apply(state.trained.average, {}, images)))
    own = np.asarray(apply(state.trained.parameters, {}, images))
    assert (q.argmax(-1) != own.argmax(-1)).any()
    strong = np.asarray(jax.nn.log_softmax(apply(state.trained.parameters, {}, 0.5 * images - 0.1)))
    losses = -strong[np.arange(len(q)), q.argmax(-1)]
    expected = (losses * (q.max(-1) >= 0.5)).mean()
    assert float(metrics['consistency']) == pytest.approx(float(expected), rel=1e-5)
    seen = jnp.concatenate([batch['labelled']['images'], 0.5 * images - 0.1])
    np.testing.assert_allclose(new.trained.statistics['mean'], seen.mean(0), atol=1e-6)


def test_the_average_is_what_is_evaluated(monkeypatch, fixed_views):
    method = build_linear(monkeypatch, plain(method__average_decay=0.9))
    batch = small_batch()
    state = method.init(random.key(0), batch, None)
    for number in range(3):
        state, _ = method.phases[0].step(state, batch, random.key(number))
    images = batch['unlabelled']['images']
    found = method.abilities['logits'](state, images, random.key(0))
    np.testing.assert_allclose(
        found, linear_model().apply(state.trained.average, {}, images), atol=1e-6
    )
    assert np.abs(found - linear_model().apply(state.trained.parameters, {}, images)).max() > 1e-2


def test_reports_how_many_guesses_are_right(monkeypatch, fixed_views):
    truth = np.array([2, 0, 1, 1], np.int32)
    method = small.build_linear(monkeypatch, plain())
    batch = small_batch()
    batch['unlabelled']['truth'] = jnp.asarray(truth)
    state = method.init(random.key(0), batch, None)
    _, metrics = method.phases[0].step(state, batch, random.key(1))
    logits = linear_model().apply(state.trained.parameters, {}, batch['unlabelled']['images'])
    q = np.asarray(jax.nn.softmax(logits))
    chosen = q.max(-1) >= 0.5
    assert float(metrics['mask_rate']) == pytest.approx(chosen.mean())
    right = (q.argmax(-1) == truth)[chosen].mean()
    assert float(metrics['pseudo_label_accuracy']) == pytest.approx(right)
    # An image whose class nobody knows is not counted.
    first = np.flatnonzero(chosen)[0]
    batch['unlabelled']['truth'] = jnp.asarray(truth).at[first].set(-1)
    _, metrics = method.phases[0].step(state, batch, random.key(1))
    others = np.setdiff1d(np.flatnonzero(chosen), first)
    right = (q.argmax(-1) == truth)[others].mean()
    assert float(metrics['pseudo_label_accuracy']) == pytest.approx(right)
    assert float(metrics['mask_rate']) == pytest.approx(chosen.mean())


def test_adaptive_threshold_and_alignment_change_what_is_chosen(monkeypatch, fixed_views):
    batch = small_batch()
    beliefs = {}
    for name, options in {
        'fixed': {},
        'adaptive': {'method__threshold_kind': 'adaptive', 'method__beliefs_decay': 0.5},
        'aligned': {'method__distribution_alignment': True, 'method__beliefs_decay': 0.5},
    }.items():
        method = build_linear(monkeypatch, plain(**options))
        state = method.init(random.key(0), batch, None)
        for number in range(5):
            state, metrics = method.phases[0].step(state, batch, random.key(number))
            assert np.isfinite(float(metrics['loss']))
        beliefs[name] = state.trained.parameters['w']
    assert np.abs(beliefs['fixed'] - beliefs['adaptive']).max() > 1e-4
    assert np.abs(beliefs['fixed'] - beliefs['aligned']).max() > 1e-4


def test_strong_views_come_before_or_after_the_flips_and_crops():
    options = plain(method__augment='flips_shift', method__strong_set='identity').method
    # A square that is grey where it was cut, and moves with a crop that comes after it.
    images = jnp.full((64, 16, 16, 3), -1.0)
    images = images.at[:, 0].set(1.0)
    inside = {}
    for first in (False, True):
        options.strong_first = first
        view = np.asarray(fixmatch.views(images, random.key(0), options).strong)
        grey = (view == 0.0).all(-1)
        rows = grey.any(2)
        inside[first] = [np.flatnonzero(r)[[0, -1]] for r in rows if r.any()]
        assert grey.any((1, 2)).all()
    # Cut first, a square that the border had shortened may be moved off it, or be mirrored; cut
    # last, its rows are a draw from the key alone.
    squares = draw_squares(random.split(random.split(random.key(0), 3)[2], 3)[-1], 64, 16, 16, 0.5)
    tops = np.clip(np.asarray(squares.top), 0, None)
    np.testing.assert_array_equal([first for first, _ in inside[False]], tops)
    assert any(first != top for (first, _), top in zip(inside[True], tops, strict=True))


def test_labelled_images_are_among_the_unlabelled(tmp_path):
    config = small_config('fixmatch', data__labels_per_class='2', batch_size=4)
    run = runs.prepare(config, tmp_path)
    streams = run.method.phases[0].streams
    assert streams['unlabelled'].batch_size == 7 * 4
    key = random.key(0)
    feed = run.feed.feed(streams, sharding.place_key(key, run.mesh), 0)
    seen: set[int] = set()
    for step in range(12):
        batch = draw_batch(feed, streams, key, jnp.int32(step), run.facts_by_group)
        seen |= set(np.asarray(batch['unlabelled']['index']).tolist())
    labelled = set(np.flatnonzero(run.domains['data'].training.labels >= 0).tolist())
    assert labelled <= seen
    assert len(seen) == len(run.splits.train)


@pytest.mark.usefixtures('compiled_once')
def test_fewer_labels_than_the_batch_train_and_resume_exactly(tmp_path, monkeypatch):
    changes = {'data__labels_per_class': '1', 'batch_size': 12, 'model__norm': 'batch'}
    changes |= {'method__unlabelled_ratio': 2, 'method__threshold': 0.2, 'steps': 6}
    config = small_config('fixmatch', **changes, checkpoint_every=3, evaluate_every=6)
    train(config, tmp_path / 'whole')
    state = saved_state(tmp_path / 'whole', 6)
    assert all(np.isfinite(v).all() for v in state.values() if v.dtype.kind == 'f')
    # As a run that was killed after its checkpoint at step 3 leaves it.
    shutil.copytree(tmp_path / 'whole', tmp_path / 'parts')
    shutil.rmtree(tmp_path / 'parts' / 'checkpoints' / '6')
    train(config, tmp_path / 'parts')
    assert_same_bits(state, saved_state(tmp_path / 'parts', 6))


@pytest.mark.parametrize(
    ('key', 'value', 'message'),
    [
        ('threshold', 1.5, 'method.threshold must lie in'),
        ('unlabelled_ratio', 0, 'method.unlabelled_ratio must be at least 1'),
        ('threshold_kind', 'fixd', "unknown method.threshold_kind 'fixd'; did you mean 'fixed'"),
        ('augment', 'weak', 'unknown method.augment'),
        ('teacher', 'mean', "unknown method.teacher 'mean'"),
        ('interpolation', 'cubic', 'unknown method.interpolation'),
        ('average_decay', 1.0, 'method.average_decay must lie in'),
        ('consistency_weight', -1.0, 'must not be negative'),
    ],
)
def test_what_cannot_train_is_refused(key, value, message):
    config = plain()
    config.method[key] = value
    with pytest.raises(UserError, match=message):
        check_config(config)
