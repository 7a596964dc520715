"""The ability `features`: what enters the last layer, of every method that trains one network."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import random
from ml_collections import ConfigDict

from eojax import models, option
from eojax.methods import METHODS
from eojax.models import MODELS
from tests.methods.linear_model import build_linear, plain_config, small_batch, small_task


def _built(name: str, **options: object) -> models.Network:
    defaults = {**option.defaults(MODELS[name].options), **options}
    return models.build(ConfigDict({'name': name, **defaults}), 3)


@pytest.mark.parametrize(
    ('name', 'options'),
    [
        ('wide_resnet', {'depth': 10, 'width': 1, 'norm': 'batch'}),
        ('convnet', {'widths': (4, 6), 'strides': (1, 2), 'norm': 'batch'}),
    ],
)
def test_the_head_of_the_features_is_the_outputs(name: str, options: dict[str, object]):
    network = _built(name, **options)
    images = random.uniform(random.key(1), (3, 16, 16, 2), minval=-1.0)
    parameters, statistics = network.init(random.key(0), images)
    # Other statistics than those of training: what is read is the network as in evaluation.
    statistics = jax.tree.map(lambda leaf: leaf + 0.3, statistics)
    assert network.features is not None
    features = network.features(parameters, statistics, images)
    assert features.dtype == jnp.float32
    assert features.shape[0] == 3
    outputs = features @ parameters['head']['kernel'] + parameters['head']['bias']
    expected = network.apply(parameters, statistics, images)
    np.testing.assert_allclose(outputs, expected, atol=1e-5)


def test_features_of_a_pixel_network_are_the_means_of_its_hidden_map():
    network = _built('pixel_network', width=4, kernel=1)
    images = random.uniform(random.key(1), (2, 6, 5, 2), minval=-1.0)
    heights = random.uniform(random.key(2), (2, 3, 5, 1))[:, :, :5].repeat(2, 1)
    parameters, statistics = network.init(random.key(0), images, heights)
    assert network.features is not None
    features = network.features(parameters, statistics, images, heights)
    # With a kernel of one pixel the head is linear in each pixel, so that means pass through it.
    kernel, bias = parameters['head']['kernel'][0, 0], parameters['head']['bias']
    expected = network.apply(parameters, statistics, images, heights).mean((1, 2))
    np.testing.assert_allclose(features @ kernel + bias, expected, atol=1e-6)


@pytest.mark.parametrize('name', sorted({*models.buildable(), *models.buildable(per_pixel=True)}))
def test_every_network_that_a_config_can_name_has_features(name: str):
    assert _built(name).features is not None


def test_every_method_that_looks_at_images_says_that_it_has_them():
    looking = {k: r.abilities for k, r in METHODS.items() if 'synthesise' not in r.abilities}
    assert [name for name, abilities in looking.items() if 'features' not in abilities] == []


@pytest.mark.parametrize('name', ['supervised', 'fixmatch', 'jem'])
def test_features_are_of_the_averaged_parameters(name: str, monkeypatch: pytest.MonkeyPatch):
    method = build_linear(monkeypatch, plain_config(name))
    batch = small_batch()
    state = method.init(random.key(0), batch, None)
    images = batch['labelled']['images']
    features = method.abilities['features'](state, images, random.key(0))
    np.testing.assert_array_equal(features, images.reshape(len(images), -1))


def test_a_network_without_features_leaves_the_method_without():
    linear = MODELS['wide_resnet']
    network = models.build(
        ConfigDict({'name': 'convnet', **option.defaults(MODELS['convnet'].options)}), 3
    )
    bare = linear._replace(build=lambda options, outputs: network._replace(features=None))
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(MODELS, 'wide_resnet', bare)
        method = METHODS['supervised'].build(plain_config('supervised'), small_task())
    assert set(method.abilities) == {'logits'}


def test_a_joint_model_sees_images_through_the_noise_of_its_logits(
    monkeypatch: pytest.MonkeyPatch,
):
    method = build_linear(monkeypatch, plain_config('jem', method__input_noise=0.1))
    batch = small_batch()
    state = method.init(random.key(0), batch, None)
    images, key = batch['labelled']['images'], random.key(5)
    features = method.abilities['features'](state, images, key)
    weights = state.trained.average
    logits = method.abilities['logits'](state, images, key)
    np.testing.assert_allclose(features @ weights['w'] + weights['b'], logits, atol=1e-5)
    spread = float((features - images.reshape(features.shape)).std())
    assert 0.05 < spread < 0.15
