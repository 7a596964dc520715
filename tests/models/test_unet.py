"""U-Net against the originals' numbers, and its pieces against flax and NumPy."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import linen as nn
from jax import lax, random
from ml_collections import ConfigDict

from eojax import option
from eojax.errors import UserError
from eojax.models import pixel_blocks, unet
from eojax.models.pixel_blocks import GroupNormalisation, UpConvolution
from eojax.models.pixel_head import Head


def _options(**values: Any) -> ConfigDict:
    small = {'width': 4, 'depth': 2}
    return ConfigDict({'name': 'unet', **option.defaults(unet.OPTIONS), **small, **values})


@pytest.mark.parametrize(
    ('normalization', 'bands', 'outputs', 'published'),
    # Without normalisation the paper's network; with it, that which most users have.
    [('none', 1, 2, 31_030_658), ('batch', 3, 1, 31_037_633)],
)
def test_as_many_parameters_as_the_originals(
    normalization: str, bands: int, outputs: int, published: int
) -> None:
    network = unet.build(_options(width=64, depth=4, normalization=normalization), outputs)
    images = jax.ShapeDtypeStruct((1, 32, 32, bands), np.float32)
    parameters, _ = jax.eval_shape(network.init, random.key(0), images)
    assert sum(leaf.size for leaf in jax.tree.leaves(parameters)) == published


@pytest.mark.parametrize('normalization', ['batch', 'group', 'none'])
def test_any_size_in_bfloat16_and_images_by_themselves(normalization: str) -> None:
    network = unet.build(_options(depth=1, normalization=normalization, dtype='bfloat16'), 3)
    images = random.normal(random.key(0), (2, 13, 10, 5))
    parameters, statistics = network.init(random.key(1), images)
    assert {leaf.dtype for leaf in jax.tree.leaves((parameters, statistics))} == {
        np.dtype('float32')
    }
    outputs = jax.jit(network.apply)(parameters, statistics, images)
    assert outputs.shape == (2, 13, 10, 3)
    assert outputs.dtype == np.float32
    assert np.isfinite(np.asarray(outputs)).all()

    def first(images: jax.Array) -> jax.Array:
        trained, _ = network.train(parameters, statistics, images, key=random.key(2))
        return jnp.abs(trained[0]).sum()

    others = np.asarray(jax.jit(jax.grad(first))(images)[1])
    assert network.per_image == (normalization != 'batch') == (not others.any())


def test_the_padding_stays_out_of_what_lies_far_from_it() -> None:
    # Depth 1 sees 10 pixels to each side at most.
    network = unet.build(_options(depth=1, normalization='none'), 2)
    images = random.normal(random.key(0), (1, 26, 26, 3))
    parameters, _ = network.init(random.key(1), images)
    apply = jax.jit(network.apply)
    whole = apply(parameters, {}, images)
    odd = apply(parameters, {}, images[:, :23, :25])
    assert odd.shape == (1, 23, 25, 2)
    np.testing.assert_allclose(odd[:, :13, :15], whole[:, :13, :15], atol=1e-6)


def test_pooling_and_up_convolution_are_the_usual_ones() -> None:
    x = random.normal(random.key(0), (2, 6, 8, 3))
    np.testing.assert_array_equal(
        pixel_blocks.max_pooled(x), nn.max_pool(x, (2, 2), strides=(2, 2))
    )
    np.testing.assert_allclose(
        pixel_blocks.mean_pooled(x), nn.avg_pool(x, (2, 2), strides=(2, 2)), atol=1e-6
    )
    layer = UpConvolution(5)
    variables = layer.init(random.key(1), x)
    # lax applies the kernel as it does in a convolution, which is turned round.
    kernel = variables['params']['kernel'].transpose(1, 2, 0, 3)[::-1, ::-1]
    expected = lax.conv_transpose(x, kernel, (2, 2), 'VALID')
    np.testing.assert_allclose(layer.apply(variables, x), expected, atol=1e-5)


def test_group_normalisation_is_flaxs() -> None:
    x = random.normal(random.key(0), (3, 5, 4, 12)) + 1.0
    own, theirs = GroupNormalisation(), nn.GroupNorm(4)
    variables = theirs.init(random.key(1), x)
    variables = jax.tree.map(lambda p: p + random.normal(random.key(2), p.shape), variables)

    def weighed(layer: nn.Module) -> jax.Array:
        return jax.jit(jax.grad(lambda x: (layer.apply(variables, x) * jnp.cos(x)).sum()))(x)

    np.testing.assert_allclose(own.apply(variables, x), theirs.apply(variables, x), atol=1e-5)
    np.testing.assert_allclose(weighed(own), weighed(theirs), atol=1e-4)


def test_a_skip_connection_carries_each_level() -> None:
    module = unet.parts(_options(depth=3, normalization='none')).encoder()
    images = random.normal(random.key(0), (1, 16, 24, 2))
    encoded, _ = jax.jit(lambda key: module.init_with_output(key, images, False))(random.key(1))
    assert [m.shape for m in encoded.maps] == [
        (1, 16, 24, 4),
        (1, 8, 12, 8),
        (1, 4, 6, 16),
        (1, 2, 3, 32),
    ]
    assert encoded.bottleneck is encoded.maps[-1]
    decoder = unet.parts(_options(depth=3, normalization='none')).decoder()
    variables = jax.jit(lambda key: decoder.init(key, encoded, False))(random.key(2))

    def total(maps: tuple[jax.Array, ...]) -> jax.Array:
        output: jax.Array = decoder.apply(variables, encoded._replace(maps=maps), False)
        return output.sum()

    for gradient in jax.jit(jax.grad(total))(encoded.maps):
        assert np.asarray(gradient).any()


def test_mean_pooling_and_swish_have_a_gradient_without_jumps() -> None:
    network = unet.build(
        _options(depth=1, normalization='group', activation='swish', pooling='mean'), 2
    )
    images = random.normal(random.key(0), (1, 8, 8, 3))
    parameters, _ = network.init(random.key(1), images)

    def energy(images: jax.Array) -> jax.Array:
        outputs: jax.Array = network.apply(parameters, {}, images)
        return outputs.sum()

    step = 1e-2 * random.normal(random.key(2), images.shape)
    gradient = jax.jit(jax.grad(energy))
    slope = [gradient(images + t * step) for t in (0.0, 1.0, 0.5)]
    middle = (slope[0] + slope[1]) / 2
    size = np.linalg.norm(slope[1] - slope[0])
    assert np.linalg.norm(slope[2] - middle) < 0.02 * size


@pytest.mark.parametrize(
    ('values', 'message'),
    [
        ({'width': 0}, 'model.width'),
        ({'depth': 0}, 'model.depth'),
        ({'normalization': 'layer'}, 'model.normalization'),
        ({'normalization_momentum': 1.0}, 'model.normalization_momentum'),
        ({'pooling': 'maximum'}, 'model.pooling'),
        ({'activation': 'swich'}, "did you mean 'swish'"),
        ({'dtype': 'float8'}, 'model.dtype'),
    ],
)
def test_bad_options_name_their_key(values: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        option.check(unet.OPTIONS, _options(**values), 'model')


@pytest.mark.parametrize('size', [1, 3])
def test_outputs_of_bfloat16_features_are_not_rounded_to_it(size: int) -> None:
    narrow, wide = (Head(4, dtype, size) for dtype in (jnp.bfloat16, jnp.float32))
    # Features and a kernel that bfloat16 holds, so that nothing but the sums could be rounded.
    x = random.normal(random.key(0), (2, 6, 5, 16)).astype(jnp.bfloat16)
    variables = narrow.init(random.key(1), x)
    jax.tree.map(np.testing.assert_array_equal, variables, wide.init(random.key(1), x))
    short = jax.tree.map(lambda a: a.astype(jnp.bfloat16).astype(jnp.float32), variables)
    exact = wide.apply(short, x)
    np.testing.assert_allclose(narrow.apply(short, x), exact, atol=1e-5)
    assert np.abs(exact.astype(jnp.bfloat16) - exact).max() > 1e-3

    def loss(head: Head, variables: Any, x: jax.Array) -> jax.Array:
        return jnp.square(head.apply(variables, x)).mean()

    found, expected = (
        jax.grad(lambda *a, head=head: loss(head, *a), (0, 1))(short, x) for head in (narrow, wide)
    )
    for value, wanted in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        assert value.dtype == wanted.dtype
        scale = float(jnp.abs(wanted).max())
        difference = np.abs(value.astype(jnp.float32) - wanted.astype(jnp.float32))
        assert difference.max() < 0.02 * scale
