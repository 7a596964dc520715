"""The five generators: shapes, sizes, what each sees, and how many parameters Table I has."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import Array, random
from ml_collections import ConfigDict

from eojax import option
from eojax.errors import UserError
from eojax.models import image_generator
from eojax.models.image_generator import GENERATORS

CLASSES = 4


def _options(**values: Any) -> ConfigDict:
    small = {'width': 2, 'levels': 1, 'blocks': 1, 'spade_width': 3}
    defaults = option.defaults(image_generator.OPTIONS)
    return ConfigDict({'name': 'image_generator', **defaults, **small, **values})


def _inputs(height: int = 4, width: int = 6) -> tuple[Array, Array]:
    labels = random.randint(random.key(0), (2, height, width), -1, CLASSES)
    return labels, random.normal(random.key(1), (2, height, width, 2))


@pytest.mark.parametrize('kind', GENERATORS)
def test_what_each_kind_sees_and_that_every_parameter_has_a_part(kind: str) -> None:
    network = image_generator.build(_options(), kind, CLASSES, 2)
    labels, raster = _inputs()
    parameters, statistics = network.init(random.key(2), labels, raster)

    @jax.jit
    def gradients(labels: Array) -> Any:
        def loss(parameters: Any, raster: Array) -> Any:
            images, _ = network.train(parameters, statistics, labels, raster, key=random.key(0))
            return (images * random.normal(random.key(4), images.shape)).sum(), images

        return jax.grad(loss, (0, 1), has_aux=True)(parameters, raster)

    (of_parameters, of_raster), images = gradients(labels)
    assert images.dtype == np.float32
    assert np.abs(images).max() <= 1.0
    assert np.asarray(images).std() > 1e-3
    for place, gradient in jax.tree_util.tree_leaves_with_path(of_parameters):
        assert np.asarray(gradient).any(), place
    assert np.asarray(of_raster).any() == (kind != 'label')
    others = gradients(jnp.roll(labels, 3, 2))[1]
    assert (np.abs(others - images).max() > 0) == (kind != 'raster')


@pytest.mark.parametrize(('kind', 'bands'), [('fusion', 1), *((kind, 3) for kind in GENERATORS)])
def test_images_have_any_bands_and_the_size_of_the_land_cover(kind: str, bands: int) -> None:
    network = image_generator.build(_options(levels=2), kind, CLASSES, bands)
    labels, raster = _inputs(25, 40)
    variables = jax.eval_shape(network.init, random.key(2), labels, raster)
    images = jax.eval_shape(network.apply, *variables, labels, raster)
    assert images.shape == (2, 25, 40, bands)


def test_sizes_that_no_level_divides_in_bfloat16_computed_again() -> None:
    labels, raster = _inputs(5, 4)
    plain = image_generator.build(_options(), 'fusion', CLASSES, 3)
    again = image_generator.build(_options(remat=True), 'fusion', CLASSES, 3)
    short = image_generator.build(_options(dtype='bfloat16'), 'fusion', CLASSES, 3)
    parameters, statistics = plain.init(random.key(2), labels, raster)

    def gradient(network: Any) -> Any:
        def loss(parameters: Any) -> Array:
            images, _ = network.train(parameters, statistics, labels, raster, key=random.key(0))
            assert images.shape == (2, 5, 4, 3)
            assert images.dtype == jnp.float32
            return jnp.square(images).sum()

        return jax.jit(jax.grad(loss))(parameters)

    expected = gradient(plain)
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-4),
        gradient(again),
        expected,
    )
    exact = jax.jit(plain.apply)(parameters, statistics, labels, raster)
    rounded = jax.jit(short.apply)(parameters, statistics, labels, raster)
    assert rounded.dtype == jnp.float32
    assert 0 < np.abs(rounded - exact).max() < 0.05
    assert {x.dtype for x in jax.tree.leaves(parameters)} == {np.dtype('float32')}


def _block(before: int, after: int, spade: tuple[int, int] | None) -> int:
    """Numbers of a residual block by hand; `spade` is its classes and hidden features."""
    norms = sum(_norm(features, spade) for features in (before, after))
    shortcut = before * after if before != after else 0
    return norms + shortcut + 9 * before * after + 9 * after * after + after


def _norm(features: int, spade: tuple[int, int] | None) -> int:
    if spade is None:
        return 2 * features
    classes, hidden = spade
    return (9 * classes + 1) * hidden + (9 * hidden + 1) * 2 * features


def _table(width: int, bands_in: int, spade: tuple[int, int] | None) -> int:
    """Numbers of Table I by hand, but for the last convolution."""
    total = (49 * bands_in + 1) * width
    for level in range(1, 5):
        features = 2**level * width
        total += 9 * (features // 2) * features + _norm(features, spade)
    total += 9 * _block(16 * width, 16 * width, spade)
    return total + _decoder(width, spade)


def _decoder(width: int, spade: tuple[int, int] | None, beside: int = 0) -> int:
    """Likewise of the decoder; `beside` is how many maps stand beside its own."""
    total = 0
    for level in range(4):
        features = 2**level * width
        before = (2 if level == 3 and beside else 1 + beside) * 2 * features
        total += _block(before, features, spade)
    return total


def test_as_many_parameters_as_table_1() -> None:
    classes, bands = 10, 3
    labels = jax.ShapeDtypeStruct((1, 64, 64), np.int32)
    raster = jax.ShapeDtypeStruct((1, 64, 64, 1), np.float32)
    full = _options(**option.defaults(image_generator.OPTIONS))
    counts = {}
    for kind in GENERATORS:
        network = image_generator.build(full, kind, classes, bands)
        parameters, _ = jax.eval_shape(network.init, random.key(0), labels, raster)
        counts[kind] = sum(leaf.size for leaf in jax.tree.leaves(parameters))
    last = (9 * 64 + 1) * bands
    spade = (classes, 128)
    stem = (9 * classes + 1) * 1024
    alone = stem + 2 * _block(1024, 1024, spade) + _decoder(64, spade) + last
    assert counts['raster'] == _table(64, 1, None) + last
    assert counts['concat'] == _table(64, 1 + classes, None) + last
    assert counts['fusion'] == _table(64, 1, spade) + last
    assert counts['label'] == alone
    # A quarter less of every width: of Table I's 64, 48.
    spade = (classes, 96)
    stem = (9 * classes + 1) * 768
    alone = stem + 2 * _block(768, 768, spade) + _decoder(48, spade)
    third = _decoder(48, None, beside=2) + (9 * 3 * 48 + 1) * bands
    assert counts['merge'] == _table(48, 1, None) + alone + third


@pytest.mark.parametrize(
    ('values', 'message'),
    [
        ({'width': 0}, 'model.width'),
        ({'levels': 0}, 'model.levels'),
        ({'blocks': -1}, 'model.blocks'),
        ({'spade_width': -1}, 'model.spade_width'),
        ({'normalization': 'layer'}, 'model.normalization'),
        ({'padding': 'reflection'}, "did you mean 'reflect'"),
        ({'dtype': 'float8'}, 'model.dtype'),
    ],
)
def test_bad_options_name_their_key(values: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        option.check(image_generator.OPTIONS, _options(**values), 'model')
