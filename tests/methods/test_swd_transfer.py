"""Both phases of the transfer against their equations by hand, and what belongs to which domain."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import Array, random
from ml_collections import ConfigDict

from eojax.config.base import base_config, check_config, set_key
from eojax.config.phases import lengths
from eojax.errors import UserError
from eojax.evaluation import evaluate, reference
from eojax.losses.sliced_wasserstein import random_projections
from eojax.methods import swd_transfer
from eojax.methods.transfer.embedding_classifier import EmbeddingClassifier
from eojax.runs.opening import open_run
from eojax.training.loop import train
from tests.methods.linear_encoder import (
    SIZE,
    assert_descended,
    build_linear,
    hand_cross_entropy,
    hand_embedding,
    hand_logits,
    linear_encoder,
    plain_config,
    small_batch,
    small_task,
)
from tests.training_runs import assert_same_bits, rows, saved_state, steps_saved

PROJECTIONS = 5


def plain(**options: Any) -> ConfigDict:
    return plain_config('swd_transfer', method__num_projections=PROJECTIONS, **options)


def aligned(method: Any, key: int = 0) -> Any:
    """The state at the beginning of the second phase."""
    return method.phases[1].begin(method.init(random.key(key), small_batch(), None))


def run_step(method: Any, phase: int, state: Any, batch: Any, key: int = 1) -> tuple[Any, Any]:
    """One compiled step of a phase."""
    return jax.jit(method.phases[phase].step)(state, batch, random.key(key))


def hand_distance(directions: Array, source: Array, target: Array) -> Array:
    """Eq. 1 for equal numbers, one direction after the other."""
    distances = [jnp.mean((jnp.sort(source @ g) - jnp.sort(target @ g)) ** 2) for g in directions]
    return sum(distances) / len(directions)


def hand_loss(parameters: Any, batch: Any, key: Array, weight: float, class_weight: float) -> Array:
    """Eq. 2."""
    keys = random.split(key, 3)[2]
    source = hand_embedding(parameters['source'], batch['source']['images'])
    few, every = (
        hand_embedding(parameters['target'], batch[name]['images'])
        for name in ('labelled', 'unlabelled')
    )
    loss = hand_cross_entropy(parameters, 'source', batch['source'])
    loss += hand_cross_entropy(parameters, 'target', batch['labelled'])
    loss += weight * hand_distance(random_projections(keys, PROJECTIONS, SIZE), source, every)
    directions = random_projections(random.fold_in(keys, 1), PROJECTIONS, SIZE)
    for label in range(3):  # of each class images label and label + 3
        loss += class_weight * hand_distance(directions, source[label::3], few[label::3])
    return loss


@pytest.mark.parametrize('trains_source', [True, False])
@pytest.mark.parametrize(
    ('weight', 'class_weight'), [(0.0, 0.0), (1.5, 0.0), (0.0, 2.0), (1.5, 2.0)]
)
def test_one_step_of_the_alignment_by_hand(monkeypatch, weight, class_weight, trains_source):
    config = plain(
        method__alignment_weight=weight,
        method__class_alignment_weight=class_weight,
        method__train_source_encoder=trains_source,
    )
    method = build_linear(monkeypatch, config)
    batch, state, key = small_batch(), aligned(method), random.key(1)
    new, metrics = jax.jit(method.phases[1].step)(state, batch, key)
    loss, gradient = jax.value_and_grad(hand_loss)(
        state.trained.parameters, batch, key, weight, class_weight
    )
    if not trains_source:
        gradient = {**gradient, 'source': jax.tree.map(jnp.zeros_like, gradient['source'])}
    assert float(metrics['loss']) == pytest.approx(float(loss), rel=1e-5)
    assert_descended(new.trained.parameters, state.trained.parameters, gradient)
    assert_descended(new.trained.average, state.trained.parameters, gradient)
    assert int(new.target_updates) == int(new.trained.updates) == 1
    norm = np.sqrt(sum(np.square(g).sum() for g in jax.tree.leaves(gradient)))
    assert float(metrics['gradient_norm']) == pytest.approx(norm, rel=1e-4)
    assert ('alignment' in metrics, 'class_alignment' in metrics) == (weight > 0, class_weight > 0)


def test_sums_over_a_batch_are_means_times_its_images(monkeypatch):
    batch, key = small_batch(), random.key(1)
    images = len(batch['source']['labels'])
    of_class = len(batch['labelled']['labels']) / 3
    losses = []
    for summed, weight, class_weight in ((True, 0.5, 0.25), (False, images / 2, of_class / 4)):
        config = plain(
            method__sum_over_batch=summed,
            method__alignment_weight=weight,
            method__class_alignment_weight=class_weight,
        )
        method = build_linear(monkeypatch, config)
        _, metrics = jax.jit(method.phases[1].step)(aligned(method), batch, key)
        losses.append(float(metrics['loss']))
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)


def test_without_weights_the_loss_is_two_cross_entropies(monkeypatch):
    config = plain(method__alignment_weight=0.0, method__class_alignment_weight=0.0)
    method = build_linear(monkeypatch, config)
    batch, state = small_batch(), aligned(method)
    _, metrics = run_step(method, 1, state, batch)
    first = hand_cross_entropy(state.trained.parameters, 'source', batch['source'])
    second = hand_cross_entropy(state.trained.parameters, 'target', batch['labelled'])
    assert float(metrics['source_cross_entropy']) == pytest.approx(float(first), rel=1e-5)
    assert float(metrics['cross_entropy']) == pytest.approx(float(second), rel=1e-5)
    assert float(metrics['loss']) == pytest.approx(float(first + second), rel=1e-5)


@pytest.mark.parametrize('trains_source', [True, False])
@pytest.mark.parametrize('key', ['alignment_weight', 'class_alignment_weight'])
def test_the_distance_reaches_the_encoders_that_are_trained(monkeypatch, key, trains_source):
    weights = {'alignment_weight': 0.0, 'class_alignment_weight': 0.0}
    found = []
    for changes in ({}, {key: 1.0}):
        options = {f'method__{k}': v for k, v in (weights | changes).items()}
        config = plain(method__train_source_encoder=trains_source, **options)
        method = build_linear(monkeypatch, config)
        state = aligned(method)
        new, _ = run_step(method, 1, state, small_batch())
        found.append(new.trained.parameters)
    moved = {
        name: np.abs(found[0][name]['w'] - found[1][name]['w']).max()
        for name in ('source', 'target')
    }
    assert moved['target'] > 1e-3
    assert (moved['source'] > 1e-3) == trains_source
    if not trains_source:
        np.testing.assert_array_equal(
            found[1]['source']['w'], state.trained.parameters['source']['w']
        )


def test_labels_of_unlabelled_images_are_never_read(monkeypatch):
    method = build_linear(monkeypatch, plain())
    batch, losses = small_batch(), []
    for labels in (jnp.full((6,), -1), jnp.arange(6) % 3):
        batch['unlabelled'] = batch['unlabelled'] | {'labels': labels}
        losses.append(run_step(method, 1, aligned(method), batch)[1]['loss'])
    assert np.isfinite(losses[0])
    assert losses[0] == losses[1]


def test_confident_pseudo_labels_enter_the_class_conditional_term(monkeypatch):
    batch, found = small_batch(), {}
    for threshold in (0.0, 0.6, 1.0):
        config = plain(
            method__pseudo_labels=True, method__pseudo_label_threshold=threshold,
            method__alignment_weight=0.0,
        )  # fmt: skip
        method = build_linear(monkeypatch, config)
        state = aligned(method)
        found[threshold] = run_step(method, 1, state, batch)[1]
        logits = hand_logits(state.trained.parameters, 'target', batch['unlabelled']['images'])
        q = np.asarray(jax.nn.softmax(logits))
        share = (q.max(-1) >= threshold).mean() if threshold < 1.0 else 0.0
        assert float(found[threshold]['mask_rate']) == pytest.approx(share)
    method = build_linear(monkeypatch, plain(method__alignment_weight=0.0))
    without = run_step(method, 1, aligned(method), batch)[1]
    assert 'mask_rate' not in without
    assert float(found[1.0]['class_alignment']) == pytest.approx(
        float(without['class_alignment']), rel=1e-5
    )
    assert abs(found[0.0]['class_alignment'] - without['class_alignment']) > 1e-3


def hand_contrastive(vectors: np.ndarray, labels: np.ndarray, temperature: float) -> float:
    """Eq. 3, anchor by anchor, averaged over them."""
    z = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    terms = []
    for i in range(len(z)):
        others = [a for a in range(len(z)) if a != i]
        total = sum(np.exp(z[i] @ z[a] / temperature) for a in others)
        shares = [
            np.log(np.exp(z[i] @ z[p] / temperature) / total)
            for p in others
            if labels[p] == labels[i]
        ]
        terms.append(-np.mean(shares))
    return float(np.mean(terms))


@pytest.mark.parametrize('size', [3, 0])
def test_contrastive_source_phase_by_hand(monkeypatch, size):
    """Eq. 3 of projections, and of the encoder's output as printed."""
    monkeypatch.setattr(
        EmbeddingClassifier,
        'views',
        lambda self, x, y, key: (jnp.concatenate([x, 0.5 * x - 0.1]), jnp.concatenate([y, y])),
    )
    config = plain(
        method__contrastive_weight=0.7, method__contrastive_temperature=0.5,
        method__contrastive_size=size,
    )  # fmt: skip
    method = build_linear(monkeypatch, config)
    batch = small_batch()
    state = method.init(random.key(0), batch, None)
    new, metrics = jax.jit(method.phases[0].step)(state, batch, random.key(1))

    images = batch['source']['images']
    views = {'images': jnp.concatenate([images, 0.5 * images - 0.1]),
             'labels': jnp.tile(batch['source']['labels'], 2)}  # fmt: skip
    cross_entropy = hand_cross_entropy(state.trained.parameters, 'source', views)
    embedding = np.asarray(hand_embedding(state.trained.parameters['source'], views['images']))
    projected = embedding
    if size:
        first, second = (
            jax.tree.map(np.asarray, state.trained.parameters['projection'][f'dense{n}'])
            for n in (1, 2)
        )
        hidden = np.maximum(embedding @ first['kernel'] + first['bias'], 0.0)
        projected = hidden @ second['kernel'] + second['bias']
        moved = new.trained.parameters['projection']['dense1']['kernel']
        assert np.abs(moved - first['kernel']).max() > 1e-4
    assert ('projection' in state.trained.parameters) == bool(size)
    contrastive = hand_contrastive(projected, np.asarray(views['labels']), 0.5)
    assert float(metrics['contrastive']) == pytest.approx(contrastive, rel=1e-4)
    assert float(metrics['loss']) == pytest.approx(
        float(cross_entropy) + 0.7 * contrastive, rel=1e-4
    )
    # The target's encoder waits; afterwards nothing is left of the contrastive head.
    jax.tree.map(
        np.testing.assert_array_equal,
        new.trained.parameters['target'],
        state.trained.parameters['target'],
    )
    assert set(method.phases[1].begin(new).trained.parameters) == {'source', 'target', 'classifier'}


def test_views_are_two_of_each_image_with_its_label():
    config = plain(method__augment='dihedral_shift')
    network = EmbeddingClassifier(linear_encoder(SIZE), 3, config.method, num_devices=2)
    images = random.uniform(random.key(0), (4, 8, 8, 1)) + 10.0 * jnp.arange(4)[:, None, None, None]
    views, labels = network.views(images, jnp.arange(4), random.key(1))
    np.testing.assert_array_equal(np.asarray(views).min((1, 2, 3)) // 10, labels)
    assert sorted(np.asarray(labels).tolist()) == [0, 0, 1, 1, 2, 2, 3, 3]
    one, other = np.asarray(views)[np.asarray(labels) == 0]
    assert np.abs(one - other).max() > 1e-3


def test_each_domain_has_statistics_of_its_own(monkeypatch):
    for trains_source in (True, False):
        config = plain(method__train_source_encoder=trains_source)
        method = build_linear(monkeypatch, config, per_image=False)
        batch = small_batch()
        state = method.init(random.key(0), batch, None)
        state, _ = run_step(method, 0, state, batch)
        assert not state.trained.statistics['target']['mean'].any()
        state = method.phases[1].begin(state)
        new, _ = run_step(method, 1, state, batch)
        source = hand_embedding(state.trained.parameters['source'], batch['source']['images']).mean(
            0
        )
        both = jnp.concatenate([batch[name]['images'] for name in ('labelled', 'unlabelled')])
        target = hand_embedding(state.trained.parameters['target'], both).mean(0)
        expected = source if trains_source else state.trained.statistics['source']['mean']
        np.testing.assert_allclose(new.trained.statistics['source']['mean'], expected, atol=1e-5)
        np.testing.assert_allclose(new.trained.statistics['target']['mean'], target, atol=1e-5)


def test_the_second_phase_has_a_schedule_of_its_own(monkeypatch):
    config = plain(optimizer__warmup_steps=2, method__target_rate_factor=0.5)
    method = build_linear(monkeypatch, config)
    batch = small_batch()
    state = method.init(random.key(0), batch, None)
    moved = []
    for phase in method.phases:
        state = state if phase.begin is None else phase.begin(state)
        step = jax.jit(phase.step)
        for _ in range(4):
            new, metrics = step(state, batch, random.key(1))
            biases = [s.trained.parameters['classifier']['dense1']['bias'] for s in (new, state)]
            length = np.abs(biases[0] - biases[1]).max()
            moved.append(length / metrics['gradient_norm'])
            state = new
    # Rates 0, 1/2, 1, 1 of 0.1, and then of half of it: the first step of a phase stands still.
    assert moved[0] == moved[4] == 0.0
    assert all(length > 0.0 for length in (*moved[1:4], *moved[5:]))
    assert int(state.trained.updates) == int(state.target_updates) == 4


def test_fewer_steps_shorten_the_rise_of_lambda() -> None:
    config = plain(method__alignment_warmup=4)
    before, config.steps = config.steps, config.steps // 2
    assert lengths(config, before, {'steps'})['method.alignment_warmup'] == (4, 2)


def test_the_target_can_begin_as_the_source(monkeypatch):
    method = build_linear(monkeypatch, plain(method__start_from_source=True), per_image=False)
    batch = small_batch()
    state = method.init(random.key(0), batch, None)
    before, _ = run_step(method, 0, state, batch)
    state = method.phases[1].begin(before)
    np.testing.assert_array_equal(
        state.trained.parameters['target']['b'], before.trained.parameters['source']['b']
    )
    np.testing.assert_array_equal(
        state.trained.statistics['target']['mean'], before.trained.statistics['source']['mean']
    )
    # Three bands are not two.
    np.testing.assert_array_equal(
        state.trained.parameters['target']['w'], before.trained.parameters['target']['w']
    )
    np.testing.assert_array_equal(
        state.trained.statistics['target']['bands'], before.trained.statistics['target']['bands']
    )


def test_what_it_can_do_is_of_the_right_domain(monkeypatch):
    method = build_linear(monkeypatch, plain(method__average_decay=0.9))
    batch, key = small_batch(), random.key(0)
    source, target = batch['source']['images'], batch['labelled']['images']
    state = method.init(key, batch, None)
    # Of a target that nothing has been learnt of, every class is as likely.
    assert not method.abilities['logits'](state, target, key).any()
    state = aligned(method)
    for number in range(3):
        state, _ = run_step(method, 1, state, batch, number)
    able, average = method.abilities, state.trained.average
    assert set(able) == set(swd_transfer.RECIPE.abilities)
    for name, domain, images in (
        ('logits', 'target', target), ('source_logits', 'source', source)
    ):  # fmt: skip
        expected = hand_logits(average, domain, images)
        np.testing.assert_allclose(able[name](state, images, key), expected, atol=1e-5)
        assert np.abs(expected - hand_logits(state.trained.parameters, domain, images)).max() > 1e-3
    for name, domain, images in (
        ('embedding', 'target', target), ('source_embedding', 'source', source)
    ):  # fmt: skip
        expected = hand_embedding(average[domain], images)
        np.testing.assert_allclose(able[name](state, images, key), expected, atol=1e-5)


def test_normalised_embeddings_have_one_length(monkeypatch):
    method = build_linear(monkeypatch, plain(method__normalise_embedding=True))
    images = small_batch()['labelled']['images']
    found = np.asarray(method.abilities['embedding'](aligned(method), images, random.key(0)))
    np.testing.assert_allclose(np.square(found).sum(-1), SIZE, rtol=1e-5)
    plainly = hand_embedding(aligned(method).trained.parameters['target'], images)
    np.testing.assert_allclose(
        found / np.sqrt(SIZE), plainly / np.linalg.norm(plainly, axis=1, keepdims=True), atol=1e-5
    )


@pytest.mark.parametrize(
    ('key', 'value', 'message'),
    [
        ('alignment_weight', -1.0, 'alignment_weight must not be negative'),
        ('class_alignment_weight', -0.1, 'class_alignment_weight must not be negative'),
        ('num_projections', 0, 'num_projections must be at least 1'),
        ('pseudo_label_threshold', 1.5, 'pseudo_label_threshold must lie in'),
        ('source_steps', 10, 'source_steps 10 leaves nothing of steps 10'),
        ('source_steps', 0, 'source_steps must be at least 1'),
        ('source_batch_size', 0, 'source_batch_size must be at least 1'),
        ('contrastive_weight', -1.0, 'contrastive_weight must not be negative'),
        ('contrastive_temperature', 0.0, 'contrastive_temperature must be positive'),
        ('target_rate_factor', 0.0, 'target_rate_factor must be positive'),
        ('embedding_size', 0, 'embedding_size must be at least 1'),
        ('classifier_hidden', -1, 'classifier_hidden must not be negative'),
        ('average_decay', 1.0, 'average_decay must lie in'),
        ('augment', 'turns', 'unknown method.augment'),
    ],
)
def test_what_cannot_train_is_refused(key, value, message):
    config = plain()
    check_config(config)
    config.method[key] = value
    with pytest.raises(UserError, match=message):
        check_config(config)


def test_pseudo_labels_without_their_term_are_refused():
    config = plain(method__pseudo_labels=True, method__class_alignment_weight=0.0)
    with pytest.raises(UserError, match='pseudo_labels enter the class-conditional term alone'):
        check_config(config)


def test_one_data_set_is_not_enough():
    config = plain_config('swd_transfer')
    with pytest.raises(UserError, match='names no source'):
        swd_transfer.build(config, small_task()._replace(source=None, source_shape=None))


# The real loop with two data sets.


def two_sets() -> ConfigDict:
    config = base_config('swd_transfer', 'convnet', 'landscapes', 'landscapes')
    values = {
        'steps': 6, 'batch_size': 4, 'log_every': 2, 'evaluate_every': 0, 'checkpoint_every': 2,
        'keep_checkpoints': 10, 'tensorboard': False, 'evaluate.batch_size': 20,
        'data.size': 16, 'data.num_images': 100, 'source.size': 16, 'source.num_images': 110,
        'model.widths': (4,), 'model.strides': (2,), 'model.convolutions': 1, 'model.norm': 'batch',
        'method.source_steps': 3, 'method.source_batch_size': 8, 'method.embedding_size': 8,
        'method.num_projections': 4, 'method.contrastive_weight': 0.5,
        'method.average_decay': 0.9, 'optimizer.schedule': 'cosine',
    }  # fmt: skip
    for key, value in values.items():
        set_key(config, key, value)
    check_config(config)
    return config


@pytest.fixture(scope='module')
def whole(tmp_path_factory: pytest.TempPathFactory, compiled_once: None) -> Path:
    """A run of six steps, three in each phase, with the checkpoints of steps 0, 2, 3, 4 and 6."""
    folder = tmp_path_factory.mktemp('transfer') / 'whole'
    with pytest.MonkeyPatch.context() as patch:
        without_evaluation(patch)
        train(two_sets(), folder)
    return folder


def without_evaluation(patch: pytest.MonkeyPatch) -> None:
    """The evaluation has tests of its own."""
    patch.setattr(evaluate, 'evaluate_run', lambda run, state, out: out)
    patch.setattr(reference, 'keep', lambda run, state: None)
    patch.setattr(evaluate, 'validate', lambda run, state: {})


def test_a_run_of_two_data_sets_goes_through_both_phases(whole: Path):
    assert steps_saved(whole) == [0, 2, 3, 4, 6]
    assert [row['phase'] for row in rows(whole)] == ['source', 'source', 'alignment', 'alignment']
    assert all(np.isfinite(row['loss']) for row in rows(whole))
    states = {step: saved_state(whole, step) for step in (0, 2, 3, 6)}
    for step, moved in ((2, False), (6, True)):
        names = [n for n in states[0] if 'parameters' in n and 'target' in n]
        assert names
        for name in names:
            assert (not np.array_equal(states[0][name], states[step][name])) == moved, name
    assert all(np.isfinite(v).all() for v in states[6].values() if v.dtype.kind == 'f')


@pytest.mark.parametrize('step', [2, 3, 4], ids=['in the first', 'between', 'in the second'])
def test_resumed_is_uninterrupted(tmp_path: Path, monkeypatch, whole: Path, step: int):
    without_evaluation(monkeypatch)
    # As a run that was killed after that checkpoint leaves it.
    shutil.copytree(whole, tmp_path / 'run')
    for later in [s for s in steps_saved(whole) if s > step]:
        shutil.rmtree(tmp_path / 'run' / 'checkpoints' / str(later))
    train(two_sets(), tmp_path / 'run')
    assert_same_bits(saved_state(tmp_path / 'run', 6), saved_state(whole, 6))


def test_a_trained_run_scores_target_images(whole: Path):
    run, state = open_run(whole, 'last')
    images = jnp.zeros((2, *run.task.image_shape))
    logits = run.method.abilities['logits'](state, images, random.key(0))
    assert logits.shape == (2, run.task.num_classes)
    assert np.isfinite(logits).all()
