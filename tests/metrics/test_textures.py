"""The distance of textures: by hand, and that it sees what it is for."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest
from jax import random

from eojax.metrics.generation import frechet_distance
from eojax.metrics.textures import class_moments, local_features, texture_distances

LABELS = jnp.zeros((3, 16, 16), jnp.int32).at[:, :, 8:].set(1).at[:, :3].set(-1)


def test_moments_are_those_of_the_pixels_of_each_class() -> None:
    images = random.normal(random.key(0), (3, 16, 16, 2))
    features = np.asarray(local_features(images), np.float64)
    assert features.shape == (3, 16, 16, 12)
    np.testing.assert_allclose(features[..., :2], images, atol=1e-6)
    coarse = np.asarray(images).reshape(3, 4, 4, 4, 4, 2).mean((2, 4))
    np.testing.assert_allclose(features[:, ::4, ::4, 8:10], coarse, atol=1e-5)
    moments = np.asarray(class_moments(images, LABELS, 3), np.float64).sum(0)
    assert moments[:, 0].tolist() == [3 * 13 * 8, 3 * 13 * 8, 0]
    other = 0.5 * images + 0.1
    found = texture_distances(
        moments, np.asarray(class_moments(other, LABELS, 3), np.float64).sum(0)
    )
    for number in (0, 1):
        parts = [
            np.asarray(local_features(x), np.float64)[np.asarray(LABELS) == number]
            for x in (images, other)
        ]
        expected = frechet_distance(
            *(m for p in parts for m in (p.mean(0), np.cov(p, rowvar=False, bias=True)))
        )
        assert found[number] == pytest.approx(expected, rel=1e-3)
    assert np.isnan(found[2])


def test_it_sees_classes_that_are_mixed_up_and_textures_that_are_smooth() -> None:
    noise = 0.3 * random.normal(random.key(0), (3, 16, 16, 3))
    ground = jnp.where(LABELS == 1, 0.5, -0.5)[..., None]
    real = np.asarray(class_moments(ground + noise, LABELS, 2), np.float64).sum(0)

    def distance(images: jnp.ndarray) -> float:
        made = np.asarray(class_moments(images, LABELS, 2), np.float64).sum(0)
        return float(texture_distances(real, made).mean())

    again = 0.3 * random.normal(random.key(1), (3, 16, 16, 3))
    same = distance(ground + again)
    assert same < 0.2 * distance(ground + 0.1 * again)
    assert same < 0.05 * distance(-ground + again)
