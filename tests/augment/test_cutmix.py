"""Boxes of other images: what they hold, how large they are, and whose pixels they take."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest
from jax import random

from eojax.augment.boxes import Boxes
from eojax.augment.cutmix import draw_mixed_boxes, mix
from eojax.errors import UserError


def test_a_box_shows_the_next_image_of_the_same_device() -> None:
    number = jnp.arange(4.0)[:, None, None, None]
    images = jnp.broadcast_to(number, (4, 6, 8, 3))
    sample = {
        'images': images,
        'labels': images[..., 0].astype(jnp.int32),
        'valid': images[..., 0] % 2 == 0,
        'index': jnp.arange(4),
    }
    ones = jnp.ones(4, jnp.int32)
    boxes = Boxes(ones, 2 * ones, 3 * ones, 4 * ones)
    mixed = mix(sample, boxes, num_devices=2)
    expected = np.broadcast_to(np.arange(4)[:, None, None], (4, 6, 8)).copy()
    expected[:, 1:4, 2:6] = np.array([1, 0, 3, 2])[:, None, None]
    np.testing.assert_array_equal(mixed['labels'], expected)
    np.testing.assert_array_equal(mixed['images'], np.repeat(expected[..., None], 3, -1))
    np.testing.assert_array_equal(mixed['valid'], expected % 2 == 0)
    np.testing.assert_array_equal(mixed['index'], np.arange(4))


def test_boxes_have_the_area_and_the_share_that_they_should() -> None:
    boxes = draw_mixed_boxes(random.key(0), 4000, 40, 20, 0.5)
    empty = np.asarray(boxes.height == 0)
    assert abs(empty.mean() - 0.5) < 0.03
    areas = np.asarray(boxes.height * boxes.width / 800.0)[~empty]
    # Uniform in [0, 1]: mean 1/2, variance 1/12.
    assert abs(areas.mean() - 0.5) < 0.02
    assert abs(areas.var() - 1 / 12) < 0.01
    centres = np.asarray(boxes.top + boxes.height // 2)
    assert centres.min() == 0
    assert centres.max() == 39
    assert not np.asarray(draw_mixed_boxes(random.key(1), 9, 8, 8, 0.0).height).any()


def test_what_cannot_be_mixed_is_refused() -> None:
    with pytest.raises(UserError, match=r'must lie in \[0, 1\], not 1.5'):
        draw_mixed_boxes(random.key(0), 2, 8, 8, 1.5)
    boxes = draw_mixed_boxes(random.key(0), 3, 8, 8, 1.0)
    with pytest.raises(UserError, match='2 images need as many boxes, not 3'):
        mix({'images': jnp.zeros((2, 8, 8, 3))}, boxes)
