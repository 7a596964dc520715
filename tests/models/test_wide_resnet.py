"""Wide residual networks: their size, an independent forward pass, and what may not mix."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import Array, lax, random

from eojax.config.base import base_config, check_config
from eojax.errors import UserError
from eojax.models import wide_resnet
from eojax.models.model import Network

OUTPUTS = 10


def network(**options: Any) -> Network:
    config = base_config('supervised', 'wide_resnet')
    config.model.update({'depth': 10, 'width': 1, **options})
    model = wide_resnet.build(config.model, OUTPUTS)
    return model._replace(apply=jax.jit(model.apply), train=jax.jit(model.train))


def initialised(model: Network, bands: int = 3, size: int = 8) -> tuple[Any, Any, Array]:
    images = random.uniform(random.key(1), (4, size, size, bands), minval=-1.0, maxval=1.0)
    parameters, statistics = model.init(random.key(0), images[:1])
    return parameters, statistics, images


def spread(parameters: Any) -> Any:
    """Parameters away from their initial values, zeros included."""
    leaves, tree = jax.tree.flatten(parameters)
    keys = random.split(random.key(2), len(leaves))
    moved = [p + 0.1 * random.normal(k, p.shape) for p, k in zip(leaves, keys, strict=True)]
    return jax.tree.unflatten(tree, moved)


def count(model: Network, bands: int = 3) -> int:
    shapes, _ = jax.eval_shape(model.init, random.key(0), jnp.zeros((1, 32, 32, bands)))
    return sum(leaf.size for leaf in jax.tree.leaves(shapes))


def closed_form(depth: int, width: int, bands: int, biases: bool, norms: bool) -> int:
    """Kernels 9 a b, shortcuts a b, and b biases for each; norms take 2 for each channel."""
    total, inputs = 9 * bands * 16 + 16, 16  # the stem always has its biases
    for features in (16 * width, 32 * width, 64 * width):
        for block in range((depth - 4) // 6):
            shortcut = block == 0 and (inputs != features or features > 16 * width)
            total += 9 * inputs * features + 9 * features * features
            total += inputs * features if shortcut else 0
            total += (2 + shortcut) * features if biases else 0
            total += 2 * (inputs + features) if norms else 0
            inputs = features
    total += 2 * inputs if norms else 0
    return total + inputs * OUTPUTS + OUTPUTS


@pytest.mark.parametrize(
    ('depth', 'width', 'bands', 'norm'),
    [(28, 10, 3, 'none'), (28, 10, 13, 'batch'), (10, 1, 1, 'none'), (16, 2, 3, 'group'),
     (22, 4, 2, 'instance')],
)  # fmt: skip
def test_parameters_are_as_many_as_the_closed_form(depth: int, width: int, bands: int, norm: str):
    expected = closed_form(depth, width, bands, norm in ('none', 'group'), norm != 'none')
    assert count(network(depth=depth, width=width, norm=norm), bands) == expected


def test_parameters_are_as_many_as_published():
    # WRN-28-10 with batch norm has 36,479,194 for ten classes; here the stem has 16 biases more.
    assert count(network(depth=28, width=10, norm='batch')) == 36_479_194 + 16
    # Without norm: its 2 x 8,976 scales and offsets go, and 10,080 biases come.
    assert count(network(depth=28, width=10, norm='none')) == 36_479_194 + 16 - 17_952 + 10_080


def plain_forward(
    parameters: Any, images: Array, slope: float = 0.2, activated: bool = False
) -> Array:
    """WRN-10-1 without norm, leaky ReLU, written out with XLA's convolution."""

    def convolve(x: Array, layer: Any, stride: int = 1) -> Array:
        half = layer['kernel'].shape[0] // 2
        out = lax.conv_general_dilated(
            x, layer['kernel'], (stride, stride), [(half, half)] * 2,
            dimension_numbers=('NHWC', 'HWIO', 'NHWC'),
        )  # fmt: skip
        return out + layer['bias']

    def act(x: Array) -> Array:
        return jnp.where(x > 0.0, x, slope * x)

    x = convolve(images, parameters['stem'])
    for group in (1, 2, 3):
        block, stride = parameters[f'group{group}_block1'], 1 if group == 1 else 2
        y = convolve(act(x), block['conv1'], stride)
        y = convolve(act(y), block['conv2'])
        shortened = act(x) if activated else x
        x = y + (convolve(shortened, block['shortcut'], stride) if 'shortcut' in block else x)
    pooled = act(x).mean((1, 2))
    return pooled @ parameters['head']['kernel'] + parameters['head']['bias']


def test_logits_are_those_of_the_network_written_out():
    model = network()
    parameters, statistics, images = initialised(model, size=12)
    parameters = spread(parameters)
    found = model.apply(parameters, statistics, images)
    expected = jax.jit(plain_forward)(parameters, images)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_fixmatchs_slope_and_shortcut_are_those_of_the_network_written_out():
    plain = network()
    parameters, statistics, images = initialised(plain, size=12)
    parameters = spread(parameters)
    changed = network(activation='leaky_relu_0.1', shortcut='activated')
    found = changed.apply(parameters, statistics, images)
    expected = jax.jit(plain_forward, static_argnums=(2, 3))(parameters, images, 0.1, True)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    for option in ({'activation': 'leaky_relu_0.1'}, {'shortcut': 'activated'}, {}):
        other = network(**option).apply(parameters, statistics, images)
        assert np.abs(other - found).max() > 1e-2


@pytest.mark.parametrize('norm', wide_resnet.NORMS)
def test_only_batch_norm_mixes_the_images_of_a_batch(norm: str):
    model = network(norm=norm, activation='swish')
    parameters, statistics, images = initialised(model)
    together, updated = model.train(parameters, statistics, images, key=random.key(3))
    changed = images.at[1:].multiply(0.3)
    others, _ = model.train(parameters, statistics, changed, key=random.key(3))
    assert model.per_image == (norm != 'batch')
    assert np.allclose(together[0], others[0], atol=1e-5) == model.per_image
    assert not np.allclose(together[1], others[1], atol=1e-3)
    assert bool(jax.tree.leaves(statistics)) == (norm == 'batch')
    if norm == 'batch':  # momentum 0.9: a tenth of the batch's statistics of the stem
        # Statistics are read and not updated in evaluation: there, an image stands for itself.
        evaluated = model.apply(parameters, updated, images)
        np.testing.assert_allclose(
            model.apply(parameters, updated, changed)[0], evaluated[0], atol=1e-5
        )
        stem = parameters['stem']
        outputs = lax.conv_general_dilated(
            images, stem['kernel'], (1, 1), 'SAME', dimension_numbers=('NHWC', 'HWIO', 'NHWC')
        )
        first = updated['group1_block1']['norm1']['BatchNorm_0']
        np.testing.assert_allclose(first['mean'], 0.1 * outputs.mean((0, 1, 2)), atol=1e-5)
        expected = 0.9 + 0.1 * outputs.var((0, 1, 2))
        np.testing.assert_allclose(first['var'], expected, rtol=1e-4)


@pytest.mark.parametrize(
    ('bands', 'size', 'norm', 'activation'),
    [(1, 4, 'none', 'relu'), (13, 20, 'group', 'swish'), (2, 16, 'instance', 'leaky_relu')],
)
def test_any_band_count_and_any_size_divisible_by_four(
    bands: int, size: int, norm: str, activation: str
):
    model = network(norm=norm, activation=activation)
    parameters, statistics, images = initialised(model, bands, size)
    logits = np.asarray(model.apply(parameters, statistics, images))
    assert logits.shape == (4, OUTPUTS)
    assert np.isfinite(logits).all()
    assert logits.std(0).max() > 1e-4  # the images are told apart


def test_activations_are_the_named_functions():
    x = np.array([-3.0, -0.5, 0.0, 2.0])
    expected = {
        'relu': np.maximum(x, 0.0),
        'leaky_relu': np.where(x > 0.0, x, 0.2 * x),
        'leaky_relu_0.1': np.where(x > 0.0, x, 0.1 * x),
        'swish': x / (1.0 + np.exp(-x)),
    }
    assert set(wide_resnet.ACTIVATIONS) == set(expected)
    for name, values in expected.items():
        np.testing.assert_allclose(wide_resnet.ACTIVATIONS[name](jnp.asarray(x)), values, atol=1e-6)


@pytest.mark.parametrize('norm', ['none', 'batch'])
def test_bfloat16_arithmetic_keeps_float32_parameters_and_logits(norm: str):
    float32 = jnp.dtype(jnp.float32)
    narrow, wide = network(dtype='bfloat16', norm=norm), network(norm=norm)
    parameters, statistics, images = initialised(narrow)
    assert {leaf.dtype for leaf in jax.tree.leaves((parameters, statistics))} == {float32}
    found, updated = narrow.train(parameters, statistics, images, key=random.key(0))
    exact, _ = wide.train(parameters, statistics, images, key=random.key(0))
    assert found.dtype == jnp.float32
    assert {leaf.dtype for leaf in jax.tree.leaves(updated)} <= {float32}
    assert not np.array_equal(found, exact)  # it did compute in bfloat16
    np.testing.assert_allclose(found, exact, atol=0.05 * float(jnp.abs(exact).max()))


def test_density_head_moves_all_logits_alike_and_begins_at_zero():
    model, plain = network(density_head=True), network()
    parameters, statistics, images = initialised(model)
    heads = {name: value for name, value in parameters.items() if name.startswith('density')}
    body = {name: value for name, value in parameters.items() if name not in heads}
    assert heads
    without = plain.apply(body, statistics, images)
    np.testing.assert_allclose(model.apply(parameters, statistics, images), without, atol=1e-6)
    moved = {**parameters, **spread(heads)}
    shift = model.apply(moved, statistics, images) - without
    np.testing.assert_allclose(shift, np.broadcast_to(shift[:, :1], shift.shape), atol=1e-3)
    assert shift.std() > 0.1  # log p(x) gains, differently for each image
    np.testing.assert_allclose(jax.nn.softmax(without + shift), jax.nn.softmax(without), atol=1e-4)


def test_density_alone_is_the_head_and_leaves_the_classes_as_they_are():
    model, plain = network(density_head=True, density_alone=True), network(density_head=True)
    parameters, statistics, images = initialised(model)
    flat = jax.nn.logsumexp(model.apply(parameters, statistics, images), axis=-1)
    np.testing.assert_allclose(flat, 0.0, atol=1e-5)  # log p(x), whatever the classifier says
    heads = {name: value for name, value in parameters.items() if name.startswith('density')}
    moved = {**parameters, **spread(heads)}
    found, beside = (m.apply(moved, statistics, images) for m in (model, plain))
    classes = jax.nn.log_softmax(beside)
    np.testing.assert_allclose(jax.nn.log_softmax(found), classes, atol=1e-4)
    density = beside - plain.apply(parameters, statistics, images)
    np.testing.assert_allclose(jax.nn.logsumexp(found, axis=-1), density[:, 0], atol=1e-3)
    assert density.std() > 0.1


@pytest.mark.parametrize(
    'options',
    [{}, {'norm': 'batch'}, {'norm': 'group', 'density_head': True}, {'dtype': 'bfloat16'}],
    ids=lambda options: ', '.join(f'{k}={v}' for k, v in options.items()) or 'plain',
)
def test_trunk_of_the_stem_is_the_network(options: dict[str, Any]):
    model = network(**options)
    parameters, statistics, images = initialised(model)
    parameters = spread(parameters)
    assert model.stem is not None
    assert model.trunk is not None
    features = model.stem(parameters, images)
    assert features.shape == (4, 8, 8, 16)
    tolerance = 1e-5 if 'dtype' not in options else 0.02
    expected = model.apply(parameters, statistics, images)
    found = jax.jit(model.trunk)(parameters, statistics, features, None)
    np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance)
    key = random.key(3)
    expected, _ = model.train(parameters, statistics, images, key=key)
    found = jax.jit(model.trunk)(parameters, statistics, features, key)
    np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance)


def test_the_stem_is_one_affine_convolution():
    model = network()
    parameters, _, images = initialised(model)
    parameters = spread(parameters)
    assert model.affine_stem
    assert model.stem is not None
    layer = parameters['stem']
    expected = lax.conv_general_dilated(
        images, layer['kernel'], (1, 1), 'SAME', dimension_numbers=('NHWC', 'HWIO', 'NHWC')
    )
    found = model.stem(parameters, images)
    np.testing.assert_allclose(found, expected + layer['bias'], atol=1e-5)


def test_dropout_needs_training_and_a_key():
    model = network(dropout=0.5)
    parameters, statistics, images = initialised(model)
    first, _ = model.train(parameters, statistics, images, key=random.key(0))
    second, _ = model.train(parameters, statistics, images, key=random.key(1))
    assert not np.allclose(first, second)
    again = network().apply(parameters, statistics, images)
    np.testing.assert_allclose(model.apply(parameters, statistics, images), again, atol=1e-6)


@pytest.mark.parametrize(
    ('key', 'value'),
    [('model.depth', 12), ('model.depth', 4), ('model.width', 0), ('model.norm', 'layer'),
     ('model.activation', 'gelu'), ('model.dtype', 'float16'), ('model.dropout', 1.0),
     ('model.density_alone', True), ('data.size', 30)],
)  # fmt: skip
def test_networks_that_do_not_exist_are_refused(key: str, value: Any):
    config = base_config('supervised', 'wide_resnet')
    check_config(config)
    config.update_from_flattened_dict({key: value})
    with pytest.raises(UserError, match=rf'{key}.*{value}'):
        check_config(config)
