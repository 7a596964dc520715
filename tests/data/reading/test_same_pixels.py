"""Pixels of two files at the same places, or not."""

from __future__ import annotations

import pytest
from rasterio.transform import Affine

from eojax.data.reading.scenes.same_pixels import same_pixels

UTM = Affine(10.0, 0.0, 500_000.0, 0.0, -10.0, 5_000_000.0)


@pytest.mark.parametrize(
    ('other', 'same'),
    [
        (UTM, True),
        (Affine.translation(0.05, 0.0) @ UTM, True),  # metres: 0.005 pixels
        (UTM @ Affine.translation(0.0, 0.02), False),
        (UTM @ Affine.scale(1.0 + 1e-6), True),  # 0.002 pixels at the end
        (UTM @ Affine.scale(1.0009), False),  # 1.8 pixels
        (UTM @ Affine.rotation(0.001), False),
    ],
)
def test_no_corner_may_lie_elsewhere(other: Affine, same: bool) -> None:
    assert same_pixels(UTM, other, 40, 2000, 0.01) is same
    assert same_pixels(other, UTM, 40, 2000, 0.01) is same
