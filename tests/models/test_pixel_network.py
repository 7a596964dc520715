from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import random
from ml_collections import ConfigDict

from eojax import option
from eojax.errors import UserError
from eojax.models import pixel_network
from eojax.models.pixel_network import OPTIONS, join_rasters


def _options(**values: object) -> ConfigDict:
    return ConfigDict({'name': 'pixel_network', **option.defaults(OPTIONS), **values})


def test_each_pixel_sees_the_square_that_two_kernels_reach_and_no_more() -> None:
    network = pixel_network.build(_options(kernel=3, width=8), 5)
    images = random.normal(random.key(0), (2, 12, 14, 3))
    parameters, statistics = network.init(random.key(1), images)
    outputs = network.apply(parameters, statistics, images)
    assert outputs.shape == (2, 12, 14, 5)
    assert outputs.dtype == np.float32
    gradient = jax.grad(
        lambda x: network.apply(parameters, statistics, x)[0, 6, 7].sum()
    )(images)  # fmt: skip
    rows, columns = np.nonzero(np.abs(np.asarray(gradient[0])).sum(-1))
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (4, 8, 5, 9)
    assert not np.asarray(gradient[1]).any()


def test_it_is_the_two_layers_that_it_says() -> None:
    network = pixel_network.build(_options(kernel=1, width=4), 2)
    images = random.normal(random.key(0), (1, 5, 6, 3))
    parameters, statistics = network.init(random.key(1), images)
    stem, head = (jax.tree.map(np.asarray, parameters[name]) for name in ('stem', 'head'))
    hidden = np.maximum(np.asarray(images) @ stem['kernel'][0, 0] + stem['bias'], 0.0)
    expected = hidden @ head['kernel'][0, 0] + head['bias']
    outputs = network.apply(parameters, statistics, images)
    np.testing.assert_allclose(outputs, expected, rtol=1e-5, atol=1e-6)
    trained, _ = network.train(parameters, statistics, images, key=random.key(2))
    np.testing.assert_array_equal(trained, outputs)


def test_outputs_of_bfloat16_features_are_not_rounded_to_it() -> None:
    narrow, wide = (
        pixel_network.build(_options(dtype=name), 4) for name in ('bfloat16', 'float32')
    )
    images = random.normal(random.key(0), (2, 8, 8, 3))
    parameters, statistics = narrow.init(random.key(1), images)
    outputs = np.asarray(narrow.apply(parameters, statistics, images))
    assert np.abs(outputs - outputs.astype(jnp.bfloat16)).max() > 0.0
    exact = np.asarray(wide.apply(parameters, statistics, images))
    assert 0.0 < np.abs(outputs - exact).max() < 0.02 * np.abs(exact).max()


def test_a_coarser_raster_lies_under_the_pixels_that_it_covers() -> None:
    fine = np.zeros((1, 4, 6, 3), np.float32)
    coarse = np.arange(6, dtype=np.float32).reshape(1, 2, 3, 1)
    joined = np.asarray(join_rasters([fine, coarse]))
    assert joined.shape == (1, 4, 6, 4)
    assert joined[0, :, :, 3].tolist() == [
        [0, 0, 1, 1, 2, 2],
        [0, 0, 1, 1, 2, 2],
        [3, 3, 4, 4, 5, 5],
        [3, 3, 4, 4, 5, 5],
    ]
    with pytest.raises(ValueError, match='pixels beside 4 x 6'):
        join_rasters([fine, np.zeros((1, 3, 3, 1), np.float32)])


@pytest.mark.parametrize(
    ('values', 'message'),
    [
        ({'width': 0}, 'model.width'),
        ({'kernel': 4}, 'model.kernel must be an odd number'),
        ({'activation': 'rellu'}, "did you mean 'relu'"),
        ({'dtype': 'float8'}, 'model.dtype'),
    ],
)
def test_bad_options_name_their_key(values: dict[str, object], message: str) -> None:
    with pytest.raises(UserError, match=message):
        option.check(OPTIONS, _options(**values), 'model')
