"""SegNet: its size against the published one, and unpooling against NumPy."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import random
from ml_collections import ConfigDict

from eojax import option
from eojax.errors import UserError
from eojax.models import segnet
from eojax.models.pixel_blocks import max_pooled_with_places, unpooled


def _options(**values: Any) -> ConfigDict:
    return ConfigDict(
        {'name': 'segnet', **option.defaults(segnet.OPTIONS), 'width': 2, 'depth': 2, **values}
    )


def test_as_many_parameters_as_the_original() -> None:
    network = segnet.build(_options(width=64, depth=5), 11)
    images = jax.ShapeDtypeStruct((1, 32, 32, 3), np.float32)
    parameters, _ = jax.eval_shape(network.init, random.key(0), images)
    kernels = sum(leaf.size for leaf in jax.tree.leaves(parameters) if leaf.ndim == 4)
    vgg = 14_710_464  # the weights of VGG-16's convolutions, without biases
    # The decoder mirrors them, but for its last convolution, which gives classes and not bands.
    assert kernels == 2 * vgg + 9 * 64 * (11 - 3)
    assert sum(leaf.size for leaf in jax.tree.leaves(parameters)) == pytest.approx(29.4e6, abs=5e4)


def test_unpooling_is_numpys() -> None:
    x = np.asarray(random.randint(random.key(0), (2, 6, 4, 3), 0, 4)).astype(np.float32)  # ties
    maxima, places = max_pooled_with_places(jnp.asarray(x))
    expected = np.zeros_like(x)
    for n, row, column, c in np.ndindex(2, 3, 2, 3):
        square = x[n, 2 * row : 2 * row + 2, 2 * column : 2 * column + 2, c]
        assert maxima[n, row, column, c] == square.max()
        assert places[n, row, column, c] == square.argmax()
        i, j = divmod(int(square.argmax()), 2)
        expected[n, 2 * row + i, 2 * column + j, c] = square.max()
    np.testing.assert_array_equal(unpooled(maxima, places), expected)
    # The gradient of a maximum goes to its place alone.
    gradient = jax.grad(lambda x: max_pooled_with_places(x)[0].sum())(jnp.asarray(x))
    np.testing.assert_array_equal(gradient, unpooled(jnp.ones_like(maxima), places))


def test_any_size_in_bfloat16() -> None:
    network = segnet.build(_options(depth=3, dtype='bfloat16'), 3)
    images = random.normal(random.key(0), (2, 13, 18, 4))
    parameters, statistics = network.init(random.key(1), images)
    outputs = jax.jit(network.apply)(parameters, statistics, images)
    assert (outputs.shape, outputs.dtype) == ((2, 13, 18, 3), np.float32)
    assert network.features is not None
    assert network.features(parameters, statistics, images).shape == (2, 8)


@pytest.mark.parametrize(
    ('values', 'message'),
    [
        ({'width': 0}, 'model.width'),
        ({'depth': 6}, 'model.depth must be from 1 to 5'),
        ({'normalization': 'layer'}, 'model.normalization'),
    ],
)
def test_bad_options_name_their_key(values: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        option.check(segnet.OPTIONS, _options(**values), 'model')
