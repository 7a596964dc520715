"""Image synthesis: a step against optax by hand, what it holds, and an exact resume."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax import Array, random
from ml_collections import ConfigDict

from eojax.config.base import base_config, check_config, set_key
from eojax.data.facts import Facts, Raster
from eojax.errors import UserError
from eojax.losses.feature_matching import feature_matching
from eojax.methods import image_synthesis
from eojax.methods.method import Method, Task
from eojax.models import image_generator, patch_discriminator, spectral_norm
from eojax.models.image_generator import GENERATORS
from eojax.training.loop import Stopped, train
from tests.training_runs import assert_same_bits, rows, saved_state, stop_at

FACTS = Facts(
    name='tiles',
    class_names=('water', 'crops', 'trees'),
    rasters={
        'images': Raster(),
        'elevation': Raster(('surface',), 'int16', ((0.0, 100.0),), 2),
        'sar': Raster(('vv',), 'uint16', ((0.0, 100.0),)),
    },
    label='pixel',
    size=(8, 8),
)
TINY: dict[str, Any] = {
    'steps': 10, 'batch_size': 2, 'model.width': 2, 'model.levels': 1, 'model.blocks': 1,
    'model.spade_width': 2, 'discriminator.width': 2, 'discriminator.scales': 1,
    'discriminator.levels': 1, 'method.window': 8, 'optimizer.learning_rate': 0.01,
    'discriminator.optimizer.learning_rate': 0.02,
}  # fmt: skip


def _config(**changes: Any) -> ConfigDict:
    config = base_config('image_synthesis', 'image_generator', 'landscape_pairs')
    for key, value in {**TINY, **changes}.items():
        set_key(config, key.replace('__', '.'), value)
    return config


def _method(config: ConfigDict, facts: Facts = FACTS) -> Method:
    check_config(config)
    return image_synthesis.build(config, Task(facts, (8, 8, 3), 5, ()))


def _batch(*streams: str, seed: int = 0) -> dict[str, dict[str, Array]]:
    drawn = {}
    for number, name in enumerate(streams or ('labelled',)):
        keys = random.split(random.key(seed + number), 4)
        drawn[name] = {
            'images': random.uniform(keys[0], (2, 8, 8, 3), minval=-1.0),
            'elevation': random.uniform(keys[1], (2, 8, 8, 1), minval=-1.0),
            'sar': random.uniform(keys[2], (2, 8, 8, 1), minval=-1.0),
            'labels': random.randint(keys[3], (2, 8, 8), -1, 3),
        }
    return drawn


def _adam(rate: float, parameters: Any, gradient: Any) -> Any:
    adam = optax.adam(rate, 0.0, 0.9)
    updates, _ = adam.update(gradient, adam.init(parameters))
    return optax.apply_updates(parameters, updates)


def _assert_close(found: Any, expected: Any, tolerance: float = 1e-3) -> None:
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=tolerance), found, expected)


def test_a_step_is_two_updates_and_neither_gradient_reaches_the_other_network() -> None:
    """By hand: each network's gradient is taken with the other one as a constant."""
    config, batch = _config(method__spectral_norm='all'), _batch()
    method, sample = _method(config), batch['labelled']
    state = method.init(random.key(0), batch, None)
    step = jax.jit(method.phases[0].step)
    new, metrics = step(state, batch, random.key(1))

    made = image_generator.build(config.model, 'fusion', 3, 3)
    judge = patch_discriminator.build(2, 1)
    condition = jnp.concatenate([jax.nn.one_hot(sample['labels'], 3), sample['elevation']], -1)
    old = [
        (player.trained, spectral_norm.iterated(player.trained.parameters, player.spectra))
        for player in (state.generator, state.discriminator)
    ]
    (generator, of_generator), (discriminator, of_judge) = old

    def fake(parameters: Any) -> Any:
        parameters = spectral_norm.normalised(parameters, of_generator)
        return made.train(
            parameters, generator.statistics, sample['labels'], sample['elevation'],
            key=random.key(5),
        )  # fmt: skip

    def judged(parameters: Any, images: Array) -> Any:
        parameters = spectral_norm.normalised(parameters, of_judge)
        (judgement,) = judge.apply(parameters, {}, images, condition)
        return judgement

    def generator_loss(parameters: Any) -> Array:
        images, _ = fake(parameters)
        of_fake = judged(discriminator.parameters, images)
        of_real = judged(discriminator.parameters, sample['images'])
        match: Array = feature_matching([of_fake.features], [of_real.features])
        return -of_fake.scores.mean() + 10.0 * match

    def judge_loss(parameters: Any, images: Array) -> Array:
        real, false = (judged(parameters, x).scores for x in (sample['images'], images))
        loss: Array = jnp.maximum(1.0 - real, 0).mean() + jnp.maximum(1.0 + false, 0).mean()
        return loss

    loss, gradient = jax.jit(jax.value_and_grad(generator_loss))(generator.parameters)
    assert float(metrics['loss']) == pytest.approx(float(loss), rel=1e-4)
    # Adam without memory moves each number by the rate: signs of tiny gradients may differ.
    after = new.generator.trained
    moved = _adam(0.01, generator.parameters, gradient)
    clear = jax.tree.map(lambda g: jnp.abs(g) > 1e-4, gradient)
    _assert_close(
        *(
            jax.tree.map(lambda c, p: jnp.where(c, p, 0), clear, p)
            for p in (after.parameters, moved)
        )
    )
    images, _ = jax.jit(fake)(after.parameters)
    loss, gradient = jax.jit(jax.value_and_grad(judge_loss))(discriminator.parameters, images)
    assert float(metrics['discriminator_loss']) == pytest.approx(float(loss), rel=1e-4)
    moved = _adam(0.02, discriminator.parameters, gradient)
    clear = jax.tree.map(lambda g: jnp.abs(g) > 1e-4, gradient)
    found = new.discriminator.trained.parameters
    _assert_close(
        *(jax.tree.map(lambda c, p: jnp.where(c, p, 0), clear, p) for p in (found, moved))
    )
    _assert_close(after.statistics, jax.jit(fake)(generator.parameters)[1])
    _assert_close(new.generator.spectra, of_generator)
    _assert_close(new.discriminator.spectra, of_judge)

    # A second step needs no other program.
    again, _ = step(new, _batch(seed=3), random.key(2))
    assert step._cache_size() == 1
    assert int(again.generator.trained.updates) == int(again.discriminator.trained.updates) == 2


@pytest.mark.parametrize(
    ('changes', 'streams'),
    [
        *(({'method__generator': kind}, ['labelled']) for kind in GENERATORS if kind != 'fusion'),
        (
            {'method__rasters': 'elevation,images', 'method__target': 'sar',
             'method__discriminator_steps': 2, 'method__diff_augment': 'colour, translation,cutout',
             'method__average_decay': 0.9, 'method__feature_matching_weight': 0.0},
            ['labelled', 'labelled_1'],
        ),
        (
            {'method__discriminator': 'segmentation', 'method__spectral_norm': 'authors',
             'model__normalization': 'instance', 'model__dtype': 'bfloat16'},
            ['labelled'],
        ),
    ],
)  # fmt: skip
def test_every_kind_has_a_step_and_an_ability(changes: dict[str, Any], streams: list[str]) -> None:
    method, batch = _method(_config(**changes)), _batch(*streams)
    (phase,) = method.phases
    assert list(phase.streams) == streams
    needed = {*changes.get('method__rasters', 'elevation').split(','),
              changes.get('method__target', 'images')}  # fmt: skip
    if changes.get('method__generator') == 'label':
        needed = {'images'}
    assert {*phase.streams['labelled'].rasters} == {*method.rasters} == needed
    state = jax.eval_shape(method.init, random.key(0), batch, None)
    new, metrics = jax.eval_shape(phase.step, state, batch, random.key(1))
    assert jax.tree.structure(new) == jax.tree.structure(state)
    assert {'loss', 'adversarial', 'gradient_norm', 'discriminator_loss',
            'discriminator_gradient_norm'} <= metrics.keys()  # fmt: skip
    assert bool(jax.tree.leaves(state.average_statistics)) == ('method__average_decay' in changes)
    *inputs, target = (batch['labelled'][name] for name in method.rasters)
    labels = batch['labelled']['labels']
    images = jax.eval_shape(method.abilities['synthesise'], state, labels, inputs, random.key(0))
    assert (images.shape, images.dtype) == (target.shape, jnp.float32)


def test_the_average_has_batch_statistics_of_its_own() -> None:
    method, batch = _method(_config(method__average_decay=0.9)), _batch()
    state = method.init(random.key(0), batch, None)
    step = jax.jit(method.phases[0].step)
    once, _ = step(state, batch, random.key(1))
    twice, _ = step(once, batch, random.key(2))
    changed = jax.tree.map(
        lambda a, b: bool((a != b).any()), once.average_statistics, state.average_statistics
    )
    assert all(jax.tree.leaves(changed))
    # Every tenth step alone.
    _assert_close(twice.average_statistics, once.average_statistics, 0.0)
    sample = batch['labelled']
    images = method.abilities['synthesise'](
        once, sample['labels'], [sample['elevation'][:, ::2, ::2]], random.key(0)
    )
    assert images.shape == (2, 8, 8, 3)
    assert np.abs(images).max() <= 1.0


@pytest.mark.usefixtures('compiled_once')
def test_stopped_and_resumed_equals_uninterrupted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = _config(
        steps=6, log_every=2, evaluate_every=3, checkpoint_every=3, tensorboard=False,
        data__size=32, data__num_images=24, method__window=16, method__average_decay=0.9,
        evaluate__batch_size=4, evaluate__keep_reference=False,
    )  # fmt: skip
    whole, parted = tmp_path / 'whole', tmp_path / 'parted'
    out = train(config.copy_and_resolve_references(), whole)
    assert (out / 'synthesis.png').exists()
    stop_at(monkeypatch, 4, signal.SIGTERM)
    with pytest.raises(Stopped):
        train(config.copy_and_resolve_references(), parted)
    train(config.copy_and_resolve_references(), parted)
    state = saved_state(whole, 6)
    for needed in ('generator.spectra', 'discriminator.spectra', 'average_statistics',
                   'generator.trained.moments', 'discriminator.trained.moments'):  # fmt: skip
        assert any(name.startswith(f'state.{needed}') for name in state), needed
    assert_same_bits(saved_state(parted, 6), state)
    assert rows(parted)[-1] == rows(whole)[-1]
    # The best state is chosen by its textures.
    assert 0.0 < rows(whole)[-1]['validation_texture_match'] <= 1.0
    assert (whole / 'best').is_dir()


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        ({'method__generator': 'fuse'}, "did you mean 'fusion'"),
        ({'method__rasters': 'elevation,'}, 'method.rasters must be different names'),
        ({'method__rasters': 'images'}, "method.target 'images' is among method.rasters"),
        ({'method__discriminator_steps': 0}, 'method.discriminator_steps must be at least 1'),
        ({'method__spectral_norm': '('}, 'method.spectral_norm: .* no regular expression'),
        ({'method__diff_augment': 'color'}, 'of colour, translation, cutout'),
        ({'discriminator__optimizer__schedule': 'milestones'}, 'milestones is empty'),
        ({'discriminator__scales': 0}, 'discriminator.scales must be at least 1'),
    ],
)
def test_bad_options_name_their_key(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        check_config(_config(**changes))


def test_what_does_not_fit_the_data_is_one_line() -> None:
    with pytest.raises(UserError, match=r"method.target: 'lidar' is no raster of tiles"):
        _method(_config(method__target='lidar'))
    with pytest.raises(UserError, match=r"method.rasters: 'lidar' is no raster of tiles"):
        _method(_config(method__rasters='lidar'))
    method = _method(_config(method__spectral_norm='nowhere'))
    with pytest.raises(UserError, match="'nowhere' is in the name of no kernel"):
        jax.eval_shape(method.init, random.key(0), _batch(), None)
