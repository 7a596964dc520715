"""ResNets: as many numbers as published, and what training does to their statistics.

That their logits are those of torchvision's layers: `tests/importing/test_import_resnet.py`.
"""

from __future__ import annotations

import math
from typing import Any

import jax
import numpy as np
import pytest

from eojax.config.base import base_config, check_config
from eojax.errors import UserError
from eojax.models import resnet
from eojax.models.model import Network


def network(outputs: int = 5, **options: Any) -> Network:
    config = base_config('supervised', 'resnet', 'landscapes')
    config.model.update(options)
    check_config(config)
    return resnet.build(config.model, outputs)


# Of torchvision's documentation, for 1,000 classes and three bands.
@pytest.mark.parametrize(
    ('depth', 'count'),
    [(18, 11_689_512), (34, 21_797_672), (50, 25_557_032), (101, 44_549_160), (152, 60_192_808)],
)
def test_parameters_are_as_many_as_published(depth: int, count: int) -> None:
    image = jax.ShapeDtypeStruct((1, 64, 64, 3), np.float32)
    key = jax.eval_shape(lambda: jax.random.key(0))
    parameters, _ = jax.eval_shape(network(1000, depth=depth).init, key, image)
    assert sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(parameters)) == count


def test_training_moves_the_statistics_of_layers_and_not_those_of_images() -> None:
    model = network(width=2)
    images = np.random.default_rng(0).uniform(-1, 1, (4, 33, 40, 6)).astype(np.float32)
    parameters, statistics = model.init(jax.random.key(0), images[:1])
    train = jax.jit(model.train)
    logits, after = train(parameters, statistics, images, key=jax.random.key(1))
    assert logits.shape == (4, 5)
    for name in (resnet.INPUT_MEAN, resnet.INPUT_DEVIATION):
        np.testing.assert_array_equal(after[name], statistics[name])
    stem = jax.lax.conv_general_dilated(
        images, parameters['stem']['kernel'], (2, 2), ((3, 3), (3, 3)),
        dimension_numbers=('NHWC', 'HWIO', 'NHWC'),
    )  # fmt: skip
    np.testing.assert_allclose(
        after['stem_norm']['mean'], 0.1 * np.asarray(stem).mean((0, 1, 2)), atol=1e-5
    )
    assert model.features is not None
    assert jax.eval_shape(model.features, parameters, statistics, images).shape == (4, 16)
    # Brighter images with a mean that is as much higher are the same images.
    moved = {**statistics, resnet.INPUT_MEAN: statistics[resnet.INPUT_MEAN] + 0.25}
    brighter, _ = train(parameters, moved, images + np.float32(0.25), key=jax.random.key(1))
    np.testing.assert_allclose(brighter, logits, atol=1e-3)


def test_other_depths_are_refused() -> None:
    with pytest.raises(UserError, match=r'model\.depth must be 18, 34, 50, 101, 152, not 20'):
        network(depth=20)
    with pytest.raises(UserError, match=r"unknown model\.stem '5x5'"):
        network(stem='5x5')
