"""The small convolutional network: its size, a forward pass by hand, and what it is blind to."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import Array, lax, random

from eojax.config.base import base_config, check_config
from eojax.errors import UserError
from eojax.models import convnet
from eojax.models.model import Network
from eojax.models.wide_resnet import NORMS

OUTPUTS = 5


def network(**options: Any) -> Network:
    config = base_config('supervised', 'convnet')
    config.model.update({'widths': (4, 6), 'strides': (1, 2), **options})
    model = convnet.build(config.model, OUTPUTS)
    return model._replace(apply=jax.jit(model.apply), train=jax.jit(model.train))


def initialised(model: Network, bands: int = 2, size: int = 8) -> tuple[Any, Any, Array]:
    images = random.uniform(random.key(1), (4, size, size, bands), minval=-1.0, maxval=1.0)
    parameters, statistics = model.init(random.key(0), images[:1])
    return parameters, statistics, images


def spread(parameters: Any) -> Any:
    """Parameters away from their initial values, zeros included."""
    leaves, tree = jax.tree.flatten(parameters)
    keys = random.split(random.key(2), len(leaves))
    moved = [p + 0.2 * random.normal(k, p.shape) for p, k in zip(leaves, keys, strict=True)]
    return jax.tree.unflatten(tree, moved)


@pytest.mark.parametrize('norm', NORMS)
def test_parameters_are_as_many_as_the_closed_form(norm: str):
    parameters, statistics, _ = initialised(network(norm=norm), bands=3)
    kernels = 9 * (3 * 4 + 4 * 4 + 4 * 6 + 6 * 6)
    features = 4 + 4 + 6 + 6
    # Biases without a norm, a scale and an offset with one, all three for groups.
    others = features * {'none': 1, 'batch': 2, 'instance': 2, 'group': 3}[norm]
    if norm == 'instance':  # the last convolution has none
        others -= 6
    assert sum(x.size for x in jax.tree.leaves(parameters)) == kernels + others + 6 * 5 + 5
    assert bool(jax.tree.leaves(statistics)) == (norm == 'batch')


def plain_forward(parameters: Any, images: Array, norm: str) -> Array:
    """Two blocks of two convolutions, written out with XLA's convolution."""
    x = images
    for block, stride in ((1, 1), (2, 2)):
        for number in (1, 2):
            layer = parameters[f'block{block}_conv{number}']
            step = stride if number == 1 else 1
            x = lax.conv_general_dilated(
                x, layer['kernel'], (step, step), [(1, 1)] * 2,
                dimension_numbers=('NHWC', 'HWIO', 'NHWC'),
            )  # fmt: skip
            if norm == 'instance' and (block, number) != (2, 2):
                (scale,) = parameters[f'block{block}_norm{number}'].values()
                centred = x - x.mean((1, 2), keepdims=True)
                x = centred / jnp.sqrt((centred**2).mean((1, 2), keepdims=True) + 1e-6)
                x = x * scale['scale'] + scale['bias']
            else:
                x = x + layer['bias']
            x = jnp.maximum(x, 0.0)
    return x.mean((1, 2)) @ parameters['head']['kernel'] + parameters['head']['bias']


@pytest.mark.parametrize('norm', ['none', 'instance'])
def test_outputs_are_those_of_the_network_written_out(norm: str):
    model = network(norm=norm)
    parameters, statistics, images = initialised(model)
    parameters = spread(parameters)
    found = model.apply(parameters, statistics, images)
    np.testing.assert_allclose(found, plain_forward(parameters, images, norm), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize('norm', NORMS)
def test_only_batch_norm_mixes_the_images_of_a_batch(norm: str):
    model = network(norm=norm)
    parameters, statistics, images = initialised(model)
    together, _ = model.train(parameters, statistics, images, key=random.key(3))
    others, _ = model.train(parameters, statistics, images.at[1:].multiply(0.3), key=random.key(3))
    assert model.per_image == (norm != 'batch')
    assert np.allclose(together[0], others[0], atol=1e-5) == model.per_image


def test_normalised_input_makes_scale_and_offset_of_each_band_disappear():
    for norm in ('none', 'instance'):
        model, plain = network(norm=norm, normalise_input=True), network(norm=norm)
        parameters, statistics, images = initialised(model)
        parameters = spread(parameters)
        moved = images * jnp.array([0.1, 3.0]) + jnp.array([2.0, -0.5])
        found = model.apply(parameters, statistics, images)
        np.testing.assert_allclose(
            model.apply(parameters, statistics, moved), found, rtol=1e-3, atol=1e-3
        )
        without = plain.apply(parameters, statistics, images)
        assert np.abs(plain.apply(parameters, statistics, moved) - without).max() > 1e-2


def test_instance_norm_makes_the_scale_of_an_image_disappear_by_itself():
    model, without = network(norm='instance'), network(norm='none')
    parameters, statistics, images = initialised(model)
    found = model.apply(parameters, statistics, images)
    np.testing.assert_allclose(
        model.apply(parameters, statistics, 0.2 * images), found, rtol=1e-3, atol=1e-3
    )
    assert found.std(0).max() > 1e-2  # the images are told apart all the same
    parameters, statistics, _ = initialised(without)
    plainly = without.apply(parameters, statistics, images)
    assert np.abs(without.apply(parameters, statistics, 0.2 * images) - plainly).max() > 1e-2


def test_instance_norm_leaves_what_the_mean_over_pixels_can_tell():
    model = network(norm='instance')
    parameters, statistics, _ = initialised(model)
    parameters = {**parameters, 'head': {'kernel': jnp.eye(6, 5), 'bias': jnp.zeros(5)}}
    images = random.normal(random.key(4), (8, 16, 16, 2))
    pooled = model.apply(parameters, statistics, images)
    # Were the last map normalised, its positive part would have the same mean for every image.
    assert (pooled.std(0) / pooled.mean(0)).max() > 0.1


def test_bands_without_any_contrast_stay_finite():
    model = network(normalise_input=True)
    parameters, statistics, _ = initialised(model)

    def total(images: Array) -> Array:
        return model.apply(parameters, statistics, images).sum()

    value, slope = jax.value_and_grad(total)(jnp.full((1, 8, 8, 2), 0.3))
    assert np.isfinite(value)
    assert np.isfinite(slope).all()


@pytest.mark.parametrize(('bands', 'size'), [(2, 16), (3, 32), (13, 24), (1, 9)])
def test_any_band_count_and_size(bands: int, size: int):
    model = network(norm='group', activation='swish')
    parameters, statistics, images = initialised(model, bands, size)
    outputs = np.asarray(model.apply(parameters, statistics, images))
    assert outputs.shape == (4, OUTPUTS)
    assert np.isfinite(outputs).all()
    assert outputs.std(0).max() > 1e-4


def test_bfloat16_arithmetic_keeps_float32_parameters_and_outputs():
    narrow, wide = network(dtype='bfloat16'), network()
    parameters, statistics, images = initialised(narrow)
    assert {leaf.dtype for leaf in jax.tree.leaves(parameters)} == {jnp.dtype(jnp.float32)}
    found, exact = (m.apply(parameters, statistics, images) for m in (narrow, wide))
    assert found.dtype == jnp.float32
    assert not np.array_equal(found, exact)  # it did compute in bfloat16
    np.testing.assert_allclose(found, exact, atol=0.05 * float(jnp.abs(exact).max()))


@pytest.mark.parametrize(
    ('key', 'value', 'message'),
    [
        ('model.widths', (), 'model.widths must be whole numbers'),
        ('model.widths', (32, 0, 128), 'model.widths must be whole numbers'),
        ('model.strides', (1, 2.5, 2), 'model.strides must be whole numbers'),
        ('model.strides', (1, 2), 'one entry for each block'),
        ('model.convolutions', 0, 'model.convolutions must be at least 1'),
        ('model.norm', 'layer', "unknown model.norm 'layer'"),
        ('model.activation', 'gelu', "unknown model.activation 'gelu'"),
        ('model.dtype', 'float16', "unknown model.dtype 'float16'"),
        ('model.norm_momentum', 1.0, 'model.norm_momentum must lie in'),
        ('data.size', 11, 'fewer than 3 x 3 pixels of a data.size of 11'),
    ],
)
def test_networks_that_do_not_exist_are_refused(key: str, value: Any, message: str):
    config = base_config('supervised', 'convnet')
    check_config(config)
    with config.ignore_type():
        config.update_from_flattened_dict({key: value})
    with pytest.raises(UserError, match=message):
        check_config(config)


def sizes(config: Any) -> dict[str, int]:
    """Of the images of each data set, by the config's key."""
    return {f'{group}.size': config[group].size for group in ('data', 'source') if group in config}


def test_the_source_images_must_be_large_enough_too():
    config = base_config('fine_tune', 'convnet', 'eurosat', 'eurosat')
    check_config(config)
    config.source.size = 8
    with pytest.raises(UserError, match=r'a source\.size of 8'):
        check_config(config)
