"""The two-headed network: a Wide-ResNet with its own parameters, and a decoder of its features."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import random

from eojax.config.base import base_config
from eojax.models import berundanet, wide_resnet
from eojax.models.model import Network


def both_networks(bands: int, **options: Any) -> tuple[Network, Network]:
    """The two-headed network, and the Wide-ResNet of the same config."""
    config = base_config('berundanet', 'wide_resnet')
    config.model.update({'depth': 10, 'width': 1, **options})
    model = berundanet.build(config.model, 5, bands, 8)
    plain = wide_resnet.build(config.model, 5)
    return (
        model._replace(apply=jax.jit(model.apply), train=jax.jit(model.train)),
        plain._replace(apply=jax.jit(plain.apply), train=jax.jit(plain.train)),
    )


@pytest.mark.parametrize(
    ('bands', 'options'), [(3, {'norm': 'batch'}), (13, {'norm': 'none', 'dtype': 'bfloat16'})]
)
def test_logits_are_those_of_the_wide_resnet(bands: int, options: dict[str, Any]):
    model, plain = both_networks(bands, **options)
    images = random.uniform(random.key(1), (4, 8, 8, bands), minval=-1.0, maxval=1.0)
    parameters, statistics = model.init(random.key(0), images[:1])
    expected = jax.eval_shape(plain.init, random.key(0), images[:1])
    shapes = jax.tree.map(jnp.shape, parameters['encoder'])
    assert shapes == jax.tree.map(jnp.shape, expected[0])
    logits, painted = model.apply(parameters, statistics, images)
    own = statistics.get('encoder', {})
    np.testing.assert_allclose(
        logits, plain.apply(parameters['encoder'], own, images), rtol=1e-4, atol=1e-4
    )
    assert painted.shape == images.shape
    assert painted.dtype == logits.dtype == jnp.float32
    # In training, too, and the encoder's new statistics are those of the plain network.
    key = random.key(3)
    (logits, painted), updated = model.train(parameters, statistics, images, key=key)
    reference, kept = plain.train(parameters['encoder'], own, images, key=key)
    np.testing.assert_allclose(logits, reference, rtol=1e-4, atol=1e-4)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5), updated.get('encoder', {}), kept
    )
    assert bool(jax.tree.leaves(updated)) == (options['norm'] == 'batch')


def test_decoder_paints_from_the_features_alone():
    model, _ = both_networks(2, norm='group')
    images = random.uniform(random.key(1), (2, 8, 12, 2), minval=-1.0, maxval=1.0)
    parameters, statistics = model.init(random.key(0), images[:1])

    def paint(parameters: Any) -> Any:
        return model.apply(parameters, statistics, images)

    logits, painted = paint(parameters)
    assert painted.shape == (2, 8, 12, 2)
    assert np.std(painted - painted.mean(0)) > 1e-3  # it tells the images apart
    # Each head is its own: the other's parameters do not move it.
    halved = {**parameters, 'decoder': jax.tree.map(lambda p: 0.5 * p, parameters['decoder'])}
    np.testing.assert_array_equal(paint(halved)[0], logits)
    assert np.abs(paint(halved)[1] - painted).max() > 1e-3
    encoder = {**parameters['encoder']}
    encoder['head'] = jax.tree.map(lambda p: 0.5 * p, encoder['head'])
    np.testing.assert_array_equal(paint({**parameters, 'encoder': encoder})[1], painted)


def test_the_head_reads_the_mean_of_the_feature_map():
    config = base_config('supervised', 'wide_resnet')
    config.model.update({'depth': 10, 'width': 1})
    network = wide_resnet.module(config.model, 5)
    images = random.uniform(random.key(1), (2, 8, 8, 3))
    variables = jax.jit(network.init)(random.key(0), images)
    logits, features = jax.jit(
        lambda v, x: network.apply(v, x, method='logits_and_features')
    )(variables, images)  # fmt: skip
    assert features.shape == (2, 2, 2, 64)
    head = variables['params']['head']
    np.testing.assert_allclose(
        logits, features.mean((1, 2)) @ head['kernel'] + head['bias'], rtol=1e-4, atol=1e-5
    )
