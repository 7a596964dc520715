"""FixMatch, its pseudo-labels, and a joint model on them: what each stage sees and leaves."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import random

from eojax.config.base import check_config
from eojax.devices import sharding
from eojax.errors import UserError
from eojax.feed.pipeline import draw_batch
from eojax.methods import METHODS, fixmatch_then_jem, jem
from eojax.methods.method import Method, Task
from eojax.methods.update.descent import Trained
from eojax.runs import run as runs
from eojax.runs.carry import initial_carry
from eojax.runs.checkpoint import Checkpoints
from eojax.runs.known import write_known
from eojax.runs.opening import checkpoint_folder, open_run
from eojax.training.loop import train
from tests.training_runs import assert_same_bits, saved_state, small_config, steps_saved

FIRST, LABELLING = 3, 5


def two_stages(**changes: Any) -> Any:
    """Three steps of FixMatch, five that label 140 images by 64, and the joint model."""
    values = {
        'steps': 13, 'checkpoint_every': 10, 'evaluate_every': 13, 'data__labels_per_class': '1',
        'fixmatch__steps': FIRST, 'fixmatch__batch_size': 4, 'fixmatch__labelling_batch_size': 64,
        'fixmatch__method__unlabelled_ratio': 2, 'fixmatch__model__depth': 10,
        'fixmatch__model__width': 1, 'method__likelihood_batch_size': 8, 'sampler__steps': 2,
        'sampler__buffer_size': 40,
    }  # fmt: skip
    return small_config('fixmatch_then_jem', **(values | changes))


@pytest.fixture(scope='module')
def trained(tmp_path_factory: pytest.TempPathFactory, compiled_once: None) -> Path:
    return train_in(tmp_path_factory.mktemp('two_stages') / 'run')


def train_in(folder: Path) -> Path:
    # Each stage is validated; that of FixMatch may well be the more accurate one.
    train(two_stages(evaluate_every=4, evaluate__checkpoint='best'), folder)
    return folder


def test_phases_are_those_of_both_with_labelling_between(tmp_path):
    run = runs.prepare(two_stages(method__supervised_steps=2), tmp_path)
    assert [(p.name, p.steps) for p in run.method.phases] == [
        ('fixmatch', FIRST), ('labelling', LABELLING), ('supervised', 2), ('joint', 3),
    ]  # fmt: skip
    assert set(run.method.abilities) == set(METHODS['jem'].abilities)


def test_labelling_meets_every_image_and_keeps_the_given_labels(tmp_path):
    run = runs.prepare(two_stages(), tmp_path)
    key = random.key(0)
    state = initial_carry(run, sharding.place_key(key, run.mesh)).state
    given = np.asarray(state.labels)
    assert (given >= 0).sum() == 10
    phase = run.method.phases[1]
    step = jax.jit(phase.step)
    feed = run.feed.feed(phase.streams, sharding.place_key(key, run.mesh), 0)
    for number in range(FIRST, FIRST + LABELLING):
        batch = draw_batch(feed, phase.streams, key, jnp.int32(number), run.facts_by_group)
        state, metrics = step(state, batch, key)
    labels = np.asarray(state.labels)
    assert (labels >= 0).all()
    np.testing.assert_array_equal(labels[given >= 0], given[given >= 0])
    first = runs.prepare(two_stages(), tmp_path).method
    images = np.asarray(run.domains['data'].training.images)
    guesses = np.asarray(
        first.abilities['logits'](state, jnp.asarray(images / 127.5 - 1.0, jnp.float32), key)
    ).argmax(-1)
    agreeing = (labels == guesses)[given < 0].mean()
    assert agreeing > 0.99  # float rounding apart, a guess is the network's
    assert 0.0 <= float(metrics['pseudo_label_accuracy']) <= 1.0


def test_the_joint_model_learns_from_the_labels_in_the_state(tmp_path, monkeypatch):
    """The step of the second stage is that of jem on a batch with those labels."""
    build = jem.build

    def with_compiled_steps(config: Any, task: Task) -> Method:
        # One program whoever calls it, so that the results are the same to the last bit.
        method = build(config, task)
        phases = tuple(phase._replace(step=jax.jit(phase.step)) for phase in method.phases)
        return method._replace(phases=phases)

    monkeypatch.setattr(jem, 'build', with_compiled_steps)
    run = runs.prepare(two_stages(), tmp_path)
    phase, key = run.method.phases[2], random.key(0)
    state = initial_carry(run, sharding.place_key(key, run.mesh)).state
    state = state._replace(labels=jnp.arange(len(state.labels), dtype=jnp.int32) % 10)
    assert phase.begin is not None
    state = phase.begin(state)
    assert state.first == ()
    feed = run.feed.feed(phase.streams, sharding.place_key(key, run.mesh), 0)
    batch = draw_batch(feed, phase.streams, key, jnp.int32(8), run.facts_by_group)
    assert phase.streams['labelled'].part == 'train'
    new, metrics = phase.step(state, batch, key)
    config = two_stages(steps=13 - FIRST - LABELLING)
    alone = jem.build(config, run.task)
    labelled = {**batch['labelled'], 'labels': batch['labelled']['index'] % 10}
    inner = {**batch, 'labelled': labelled}
    expected, found = alone.phases[0].step(state.second, inner, key)
    assert float(metrics['cross_entropy']) == float(found['cross_entropy'])
    for mine, its in zip(
        jax.tree.leaves(new.second.trained.parameters),
        jax.tree.leaves(expected.trained.parameters),
        strict=True,
    ):
        np.testing.assert_array_equal(mine, its)


@pytest.mark.parametrize('kept', [FIRST, FIRST + LABELLING, 10])
def test_resumes_exactly_between_and_within_the_stages(trained, tmp_path, kept):
    state = saved_state(trained, 13)
    assert all(np.isfinite(v).all() for v in state.values() if v.dtype.kind == 'f')
    shutil.copytree(trained, tmp_path / 'run')
    for place in (tmp_path / 'run' / 'checkpoints').iterdir():
        if place.name.isdigit() and int(place.name) > kept:
            shutil.rmtree(place)
    train(two_stages(), tmp_path / 'run')
    assert_same_bits(state, saved_state(tmp_path / 'run', 13))


def test_a_trained_run_is_evaluated_as_a_joint_model(trained):
    numbers = json.loads((trained / 'evaluation' / 'evaluation.json').read_text())
    assert {'accuracy', 'auroc_constant', 'kl_test'} <= numbers.keys()
    run, state = open_run(trained)
    assert run.method.abilities['replay'](state).images.shape[-3:] == (16, 16, 3)


def test_before_the_joint_model_only_fixmatch_answers(tmp_path):
    run = runs.prepare(two_stages(), tmp_path)
    state = initial_carry(run, sharding.place_key(random.key(0), run.mesh)).state
    images = jnp.zeros((2, 16, 16, 3))
    assert run.method.abilities['logits'](state, images, random.key(0)).shape == (2, 10)
    assert run.method.abilities['replay'](state) is None
    # One line, inside a compiled program too.
    for name in ('sample', 'log_density'):
        function = jax.jit(run.method.abilities[name])
        with pytest.raises(UserError, match=f'cannot {name.replace("_", " ")} yet'):
            function(state, images, random.key(0))


def test_the_best_of_a_stage_is_opened_though_the_next_has_begun(tmp_path):
    run = runs.prepare(two_stages(), tmp_path)
    runs.open_folder(tmp_path, run.config)
    write_known(tmp_path, run.known)
    carry = initial_carry(run, sharding.place_key(random.key(0), run.mesh))
    best = Checkpoints(checkpoint_folder(tmp_path, 'best'), 1)
    best.save(FIRST + LABELLING, carry, {})  # as before the joint model begins
    best.close()
    _, state = open_run(tmp_path, 'best')
    assert state.second == ()
    for ours, saved in zip(jax.tree.leaves(state), jax.tree.leaves(carry.state), strict=True):
        np.testing.assert_array_equal(ours, saved)


def test_the_replay_buffer_of_the_second_stage_is_split():
    mesh = sharding.data_mesh()
    buffer = jem.ReplayBuffer.of(jnp.zeros((mesh.size, 2, 4, 4, 3)), jnp.zeros((mesh.size, 2)))
    inner = jem.JemState(Trained(*[jnp.zeros(mesh.size)] * 5), buffer, None)
    state = fixmatch_then_jem.TwoStageState(*[jnp.zeros(mesh.size)] * 4, inner)
    places = sharding.state_shardings(mesh, state, ('second.replay_buffer',))
    assert places.second.replay_buffer.rows == sharding.split(mesh)
    assert places.second.trained.parameters == sharding.replicated(mesh)
    assert places.labels == sharding.replicated(mesh)


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        ({'fixmatch__steps': 0}, 'fixmatch.steps must be at least 1'),
        ({'fixmatch__steps': 13}, 'leaves nothing of steps 13'),
        ({'fixmatch__model__name': 'resnet'}, "unknown fixmatch.model.name 'resnet'"),
        ({'fixmatch__method__threshold': 2.0}, 'fixmatch.method.threshold must lie in'),
        ({'fixmatch__optimizer__learning_rate': -1.0}, 'fixmatch.optimizer.learning_rate must be'),
        ({'sampler__step_size': -1.0}, 'sampler.step_size'),
    ],
)
def test_what_cannot_train_is_refused(changes, message):
    with pytest.raises(UserError, match=message):
        check_config(two_stages(**changes))


def test_too_few_steps_for_labelling_are_refused(tmp_path):
    with pytest.raises(UserError, match='steps 8 are too few: FixMatch takes 3, labelling 140'):
        runs.prepare(two_stages(steps=8, evaluate_every=8), tmp_path)


def test_the_best_state_is_one_of_the_joint_model(trained: Path) -> None:
    (best,) = steps_saved(trained, 'best')
    assert best > FIRST + LABELLING
    numbers = json.loads((trained / 'evaluation' / 'evaluation.json').read_text())
    assert numbers['step'] == best
    assert np.isfinite(numbers['log_density_samples'])
    assert (trained / 'evaluation' / 'samples.png').is_file()
    run, state = open_run(trained, 'best')
    assert run.step == best
    assert state.first == ()
