"""Differentiable augmentation: maps move alike, colours are those drawn, gradients go through."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import random

from eojax.augment.differentiable import NAMES, Change, draw_change, names_in


def test_names() -> None:
    assert names_in('colour, cutout') == ('colour', 'cutout')
    assert names_in('') == ()


def test_translation_moves_zeros_in_and_unknown_labels() -> None:
    x = random.normal(random.key(0), (2, 16, 24, 2)) + 9.0
    labels = random.randint(random.key(1), (2, 16, 24), 0, 5)
    change = Change(None, jnp.array([[2, -1], [-3, 0]]), None)
    moved, classes = np.asarray(change.images(x)), np.asarray(change.labels(labels))
    expected = np.zeros_like(moved)
    expected[0, 2:, :-3] = x[0, :-2, 3:]
    expected[1, :-1] = x[1, 1:]
    np.testing.assert_array_equal(moved, expected)
    np.testing.assert_array_equal(classes >= 0, expected[..., 0] != 0)
    np.testing.assert_array_equal(classes[0, 2:, :-3], labels[0, :-2, 3:])


def test_cutout_is_a_square_of_half_the_sides() -> None:
    x = jnp.ones((1, 16, 24, 2))
    cut = np.asarray(Change(None, None, jnp.array([[3], [-4]])).images(x))[0, ..., 0]
    expected = np.ones((16, 24))
    expected[3:11, :8] = 0
    np.testing.assert_array_equal(cut, expected)


def test_colours_by_hand_and_other_maps_keep_their_values() -> None:
    x = np.asarray(random.uniform(random.key(0), (1, 4, 5, 3), minval=-1.0))
    change = Change(jnp.array([[0.2], [0.5], [1.5]]), None, None)
    y = x + 0.2
    y = y.mean(-1, keepdims=True) + 0.5 * (y - y.mean(-1, keepdims=True))
    y = y.mean() + 1.5 * (y - y.mean())
    np.testing.assert_allclose(change.images(jnp.asarray(x)), y, atol=1e-5)
    np.testing.assert_array_equal(change.maps(jnp.asarray(x)), x)


@pytest.mark.parametrize('name', NAMES)
def test_what_is_drawn_stays_in_its_range_and_has_gradients(name: str) -> None:
    change = draw_change(random.key(3), (name,), 200, 16, 32)
    if change.colours is not None:
        ends = [(-0.5, 0.5), (0.0, 2.0), (0.5, 1.5)]
        for drawn, (low, high) in zip(np.asarray(change.colours), ends, strict=True):
            assert low <= drawn.min() < low + 0.1
            assert high - 0.1 < drawn.max() <= high
    if change.shifts is not None:
        assert [(int(s.min()), int(s.max())) for s in change.shifts] == [(-2, 2), (-4, 4)]
    if change.corners is not None:
        assert [(int(c.min()), int(c.max())) for c in change.corners] == [(-4, 11), (-8, 23)]
    assert [v is not None for v in change] == [name == one for one in NAMES]
    x = jnp.ones((200, 16, 32, 1))
    gradient = np.asarray(jax.grad(lambda x: change.images(x).sum())(x))
    assert (gradient.sum((1, 2, 3)) > 0).all()
