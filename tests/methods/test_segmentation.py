"""Segmentation steps against arithmetic by hand, and what has no part in them."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax import random
from ml_collections import ConfigDict

from eojax.config.base import base_config, check_config, set_key
from eojax.data.facts import Facts, Raster
from eojax.errors import UserError
from eojax.methods import segmentation
from eojax.methods.method import Method, Task
from eojax.models import pixel_network

CLASSES = ('water', 'crops', 'trees')
FACTS = Facts(
    name='tiles',
    class_names=CLASSES,
    rasters={
        'images': Raster(),
        'elevation': Raster(('surface',), 'int16', ((0.0, 100.0),), 2),
    },
    label='pixel',
    size=(12, 12),
)


def _config(**changes: Any) -> ConfigDict:
    config = base_config('segmentation', 'pixel_network', 'landscape_cover')
    config.steps, config.batch_size = 10, 4
    config.model.update({'width': 6, 'kernel': 3})
    config.method.window = 8
    config.optimizer.update({'name': 'adam', 'learning_rate': 0.01, 'warmup_steps': 0})
    for key, value in changes.items():
        set_key(config, key.replace('__', '.'), value)
    return config


def _method(config: ConfigDict, facts: Facts = FACTS) -> Method:
    return segmentation.build(config, Task(facts, (12, 12, 3), 5, ()))


def _batch(seed: int = 0) -> dict[str, dict[str, Any]]:
    keys = random.split(random.key(seed), 3)
    labels = np.array(random.randint(keys[2], (4, 8, 8), -1, 3))
    labels[3] = -1  # a window without labels
    return {
        'labelled': {
            'images': random.uniform(keys[0], (4, 8, 8, 3), minval=-1.0),
            'elevation': random.uniform(keys[1], (4, 8, 8, 1), minval=-1.0),
            'labels': jnp.asarray(labels),
            'truth': jnp.maximum(jnp.asarray(labels), 0),
        }
    }


@pytest.mark.parametrize('rasters', ['images', 'images, elevation'])
def test_one_step_equals_optax_by_hand(rasters: str) -> None:
    method, batch = _method(_config(method__rasters=rasters)), _batch()
    state = method.init(random.key(0), batch, None)
    new, metrics = jax.jit(method.phases[0].step)(state, batch, random.key(1))

    sample = batch['labelled']
    inputs = [sample[name.strip()] for name in rasters.split(',')]
    network = pixel_network.build(_config().model, 3)

    def hand_loss(parameters: Any) -> jax.Array:
        logits = network.apply(parameters, {}, *inputs)
        logarithms = logits - jnp.log(jnp.exp(logits).sum(-1, keepdims=True))
        known = sample['labels'] >= 0
        right = (logarithms * jax.nn.one_hot(sample['labels'], 3)).sum(-1)
        return -right[known].mean()

    adam = optax.adam(0.01)
    loss, gradient = jax.value_and_grad(hand_loss)(state.trained.parameters)
    updates, _ = adam.update(gradient, adam.init(state.trained.parameters))
    expected = optax.apply_updates(state.trained.parameters, updates)
    assert float(metrics['loss']) == pytest.approx(float(loss), rel=1e-5)
    for value, wanted in zip(
        jax.tree.leaves(new.trained.parameters), jax.tree.leaves(expected), strict=True
    ):
        np.testing.assert_allclose(value, wanted, atol=1e-5)
    assert state.trained.parameters['stem']['kernel'].shape[2] == (3 if rasters == 'images' else 4)


def test_unlabelled_pixels_and_hidden_classes_change_nothing() -> None:
    method, batch = _method(_config()), _batch()
    state = method.init(random.key(0), batch, None)
    step = jax.jit(method.phases[0].step)
    once, _ = step(state, batch, random.key(1))
    # The window without labels shows something else, and the truth is another.
    images = batch['labelled']['images'].at[3].set(0.5)
    other = {
        'labelled': {**batch['labelled'], 'images': images, 'truth': batch['labelled']['labels']}
    }
    again, _ = step(state, other, random.key(1))
    jax.tree.map(np.testing.assert_array_equal, once, again)
    labels = jnp.full_like(batch['labelled']['labels'], -1)
    nothing, metrics = step(
        state, {'labelled': {**batch['labelled'], 'labels': labels}}, random.key(1)
    )
    assert float(metrics['loss']) == float(metrics['gradient_norm']) == 0.0
    assert float(metrics['pixel_accuracy_counted']) == 0.0  # no share of 0, but none
    jax.tree.map(
        np.testing.assert_array_equal, nothing.trained.parameters, state.trained.parameters
    )


def test_it_learns_classes_that_two_layers_can_tell() -> None:
    method = _method(_config(steps=60, model__kernel=1, optimizer__learning_rate=0.05))
    step = jax.jit(method.phases[0].step)
    state = None
    for number in range(60):
        batch = _batch(number)
        images = batch['labelled']['images']
        labels = jnp.where(batch['labelled']['labels'] < 0, -1, images.argmax(-1))
        batch = {'labelled': {**batch['labelled'], 'labels': labels}}
        state = method.init(random.key(0), batch, None) if state is None else state
        state, metrics = step(state, batch, random.key(number))
    assert float(metrics['pixel_accuracy']) > 0.85
    images = _batch(99)['labelled']['images']
    logits = method.abilities['pixel_logits'](state, images, random.key(0))
    assert logits.shape == (4, 8, 8, 3)
    assert (logits.argmax(-1) == images.argmax(-1)).mean() > 0.85


def test_evaluation_sees_whole_places_where_all_are_equally_large() -> None:
    assert _method(_config()).window is None
    assert _method(_config(), FACTS._replace(size=None)).window == 8
    assert _method(_config(method__evaluation_window=10)).window == 10


def test_large_places_are_evaluated_in_windows() -> None:
    large = FACTS._replace(size=(10_000, 10_000))
    assert _method(_config(), FACTS._replace(size=(1024, 1000))).window is None
    assert _method(_config(), large).window == 512
    assert _method(_config(method__window=600), large).window == 600
    assert _method(_config(method__evaluation_window=2000), large).window == 2000


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        ({'method__rasters': 'images,'}, 'method.rasters must be different names'),
        ({'method__rasters': 'images,images'}, 'method.rasters must be different names'),
        ({'method__window': 0}, 'method.window must be at least 1'),
        ({'method__evaluation_window': -1}, 'method.evaluation_window must not be negative'),
        ({'method__augment': 'dihedrall'}, "did you mean 'dihedral'"),
        ({'method__average_decay': 1.0}, 'method.average_decay'),
    ],
)
def test_bad_options_name_their_key(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        check_config(_config(**changes))


def test_data_that_do_not_fit_are_one_line() -> None:
    with pytest.raises(UserError, match="'sar' is no raster of tiles"):
        _method(_config(method__rasters='images,sar'))
    assert _method(_config(method__evaluation_window=9)).window == 9
    both = _config(method__rasters='images,elevation', method__evaluation_window=9)
    with pytest.raises(UserError, match='evaluation_window=9 must be a multiple of 2'):
        _method(both)


def test_networks_for_images_and_for_pixels_are_kept_apart() -> None:
    with pytest.raises(UserError, match='does not train a wide_resnet'):
        check_config(base_config('segmentation', 'wide_resnet', 'landscape_cover'))
    with pytest.raises(UserError, match='does not train a pixel_network'):
        check_config(base_config('supervised', 'pixel_network', 'landscapes'))
