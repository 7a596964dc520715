"""The two discriminators of image synthesis: Table II, features, scales, and made-up pixels."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import Array, lax, random

from eojax.models import patch_discriminator, segmentation_discriminator
from eojax.models.patch_discriminator import Judgement


def _inputs(height: int = 12, width: int = 8) -> tuple[Array, Array]:
    images = random.normal(random.key(0), (2, height, width, 3))
    return images, random.normal(random.key(1), (2, height, width, 5))


def test_layers_and_parameters_of_table_2() -> None:
    network = patch_discriminator.build(64, 2)
    images = jax.ShapeDtypeStruct((1, 256, 256, 3), np.float32)
    condition = jax.ShapeDtypeStruct((1, 256, 256, 11), np.float32)
    parameters, statistics = jax.eval_shape(network.init, random.key(0), images, condition)
    assert statistics == {}
    shapes = {
        name: tuple(layer[part].shape for part in ('kernel', 'bias') if part in layer)
        for name, layer in parameters['scale1'].items()
    }
    assert shapes == {
        'layer1': ((4, 4, 14, 64), (64,)),
        'layer2': ((4, 4, 64, 128),),
        'layer3': ((4, 4, 128, 256),),
        'layer4': ((4, 4, 256, 512),),
        'layer5': ((4, 4, 512, 1), (1,)),
    }
    fine, coarse = jax.eval_shape(network.apply, parameters, {}, images, condition)
    assert [f.shape for f in fine.features] == [
        (1, 129, 129, 64), (1, 65, 65, 128), (1, 33, 33, 256), (1, 34, 34, 512),
    ]  # fmt: skip
    assert fine.scores.shape == (1, 35, 35)
    assert coarse.scores.shape == (1, 19, 19)
    assert len(coarse.features) == 4


def _by_hand(parameters: dict[str, dict[str, Array]], x: Array) -> Judgement:
    """A scale in lax's words."""
    features = []
    for number, stride in enumerate((2, 2, 2, 1, 1), 1):
        layer = parameters[f'layer{number}']
        x = lax.conv_general_dilated(
            x, layer['kernel'], (stride, stride), [(2, 2)] * 2,
            dimension_numbers=('NHWC', 'HWIO', 'NHWC'),
        ) + layer.get('bias', 0.0)  # fmt: skip
        if number == 5:
            return Judgement(x[..., 0], tuple(features))
        if number > 1:
            mean, variance = x.mean((1, 2), keepdims=True), x.var((1, 2), keepdims=True)
            x = (x - mean) / jnp.sqrt(variance + 1e-5)
        x = jnp.where(x > 0, x, 0.2 * x)
        features.append(x)
    raise AssertionError


def test_scales_see_means_of_pixels_and_the_condition() -> None:
    network = patch_discriminator.build(2, 2)
    images, condition = _inputs(12, 8)
    parameters, _ = network.init(random.key(2), images, condition)
    judgements = jax.jit(network.apply)(parameters, {}, images, condition)
    x = jnp.concatenate([images, condition], -1)
    for number, judgement in enumerate(judgements, 1):
        expected = _by_hand(parameters[f'scale{number}'], x)
        jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-4), judgement, expected)
        num, height, width, bands = x.shape
        x = x.reshape(num, height // 2, 2, width // 2, 2, bands).mean((2, 4))


def test_odd_sides_and_bfloat16() -> None:
    network = patch_discriminator.build(2, 2, jnp.bfloat16)
    images, condition = _inputs(11, 9)
    parameters, _ = network.init(random.key(2), images, condition)
    fine, _ = jax.jit(network.apply)(parameters, {}, images, condition)
    assert fine.scores.dtype == np.float32
    assert fine.features[0].dtype == jnp.bfloat16
    assert {leaf.dtype for leaf in jax.tree.leaves(parameters)} == {np.dtype('float32')}


@pytest.mark.parametrize('build', ['patch', 'segmentation'])
def test_an_images_outputs_depend_on_it_alone(build: str) -> None:
    network = (
        patch_discriminator.build(2, 1)
        if build == 'patch'
        else segmentation_discriminator.build(4, 2, 1)
    )
    images, condition = _inputs()
    parameters, _ = network.init(random.key(2), images, condition)
    apply = jax.jit(network.apply)
    both = jax.tree.map(lambda x: x[:1], apply(parameters, {}, images, condition))
    other = images.at[1].set(0.5)
    alone = jax.tree.map(lambda x: x[:1], apply(parameters, {}, other, condition))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5), both, alone)


def test_every_pixel_has_a_class_or_is_made_up() -> None:
    network = segmentation_discriminator.build(num_classes=4, width=2, levels=2)
    images, rasters = _inputs(10, 7)
    parameters, statistics = network.init(random.key(2), images, rasters)
    assert statistics == {}
    logits = jax.jit(network.apply)(parameters, {}, images, rasters)
    assert logits.shape == (2, 10, 7, 5)
    assert logits.dtype == np.float32

    def total(parameters: dict[str, Array]) -> Array:
        outputs: Array = network.apply(parameters, {}, images, rasters)
        return (outputs * random.normal(random.key(3), outputs.shape)).sum()

    for gradient in jax.tree.leaves(jax.jit(jax.grad(total))(parameters)):
        assert np.asarray(gradient).any()


def test_the_segmentation_discriminator_has_the_published_widths() -> None:
    network = segmentation_discriminator.build(10)
    images = jax.ShapeDtypeStruct((1, 64, 64, 3), np.float32)
    none = jax.ShapeDtypeStruct((1, 64, 64, 0), np.float32)
    parameters, _ = jax.eval_shape(network.init, random.key(0), images, none)
    shapes = {n: p['conv1']['kernel'].shape[2:] for n, p in parameters.items() if 'conv1' in p}
    assert shapes == {
        'down1': (3, 128), 'down2': (128, 128), 'down3': (128, 256), 'down4': (256, 256),
        'down5': (256, 512), 'down6': (512, 512), 'up6': (512, 512), 'up5': (1024, 256),
        'up4': (512, 256), 'up3': (512, 128), 'up2': (256, 128), 'up1': (256, 64),
    }  # fmt: skip
