from __future__ import annotations

import numpy as np
import pytest

from eojax.synthetic.views.radar_geometry import (
    facing_walls,
    from_radar_frame,
    lay_over,
    lit_share,
    slope_factor,
    to_radar_frame,
)


def _angle(degrees: float) -> np.ndarray:
    return np.full((1, 1, 1), np.deg2rad(degrees), np.float32)


@pytest.mark.parametrize('size', [8, 32])
def test_the_radar_frame_turns_images_and_back(size: int) -> None:
    layer = np.arange(2.0 * size * size, dtype=np.float32).reshape(2, size, size)
    mirrored = np.array([False, True])
    framed = to_radar_frame(layer, mirrored)
    margin = (framed.shape[2] - size) // 2
    np.testing.assert_array_equal(framed[1, :, margin:-margin], layer[1, :, ::-1])
    np.testing.assert_array_equal(from_radar_frame(framed, mirrored, size), layer)


def test_a_slope_towards_the_radar_is_brighter_by_the_cosine_and_the_area() -> None:
    rise = np.broadcast_to(2.0 * np.arange(32, dtype=np.float32), (1, 32, 32))
    toward = slope_factor(rise, _angle(38.0))[0, :, 1:-1]
    away = slope_factor(-rise, _angle(38.0))[0, :, 1:-1]
    theta, tilt = np.deg2rad(38.0), np.arctan(0.2)
    for factor, local in ((toward, theta - tilt), (away, theta + tilt)):
        expected = (np.cos(local) / np.cos(theta)) ** 1.5 * np.sin(theta) / np.sin(local)
        np.testing.assert_allclose(factor, expected, rtol=1e-5)
    assert toward.min() > 1.0 > away.max()


def test_a_wall_throws_a_shadow_of_its_height_times_the_tangent() -> None:
    surface = np.zeros((1, 16, 32), np.float32)
    surface[:, :, 10] = 30.0
    lit = lit_share(surface, _angle(45.0))[0, 8]
    np.testing.assert_allclose(lit[11:14], 0.0, atol=1e-5)
    np.testing.assert_allclose(lit[14:], 1.0, atol=1e-5)
    np.testing.assert_allclose(lit[:11], 1.0)
    # Steeper looks throw shorter shadows: 30 m times the tangent of 27 degrees is 15 m.
    steep = lit_share(surface, _angle(np.rad2deg(np.arctan(0.5))))[0, 8]
    np.testing.assert_allclose(steep[11:14], [0.0, 0.5, 1.0], atol=1e-5)


def test_level_ground_is_lit_and_has_no_slope() -> None:
    level = np.full((2, 16, 16), 7.0, np.float32)
    np.testing.assert_array_equal(lit_share(level, _angle(40.0)), 1.0)
    np.testing.assert_allclose(slope_factor(level, _angle(40.0)), 1.0, rtol=1e-6)


def test_layover_moves_echoes_nearer_by_height_over_tangent_and_keeps_their_power() -> None:
    echo, height = np.zeros((2, 1, 16, 32), np.float32)
    echo[0, 8, 20], height[0, 8, 20] = 3.0, 20.0
    moved = lay_over(echo, height, _angle(45.0))
    assert moved[0, 8, 18] == pytest.approx(3.0, rel=1e-5)  # two pixels nearer
    assert moved.sum() == pytest.approx(3.0, rel=1e-5)
    height[0, 8, 20] = 15.0
    np.testing.assert_allclose(lay_over(echo, height, _angle(45.0))[0, 8, 18:20], 1.5, rtol=1e-4)


def test_layover_drops_what_leaves_the_image_and_mixes_no_rows_or_images() -> None:
    echo, height = np.zeros((2, 2, 16, 32), np.float32)
    echo[1, 0, 1], height[1, 0, 1] = 1.0, 30.0
    assert lay_over(echo, height, _angle(45.0)).sum() == 0.0
    flat = np.random.default_rng(0).random((2, 16, 32)).astype(np.float32)
    np.testing.assert_allclose(lay_over(flat, 0.0 * flat, _angle(40.0)), flat, rtol=1e-6)


def test_walls_face_the_radar_at_the_near_side_of_buildings_alone() -> None:
    height = np.zeros((1, 16, 32), np.float32)
    height[:, :, 10:15] = 12.0
    walls = facing_walls(height, (height > 0) * 1.0)[0, 8]
    assert walls[9] == 12.0
    assert np.delete(walls, 9).max() == 0.0


def test_houses_smaller_than_a_pixel_have_walls_too() -> None:
    height = np.full((1, 16, 32), 4.0, np.float32)
    walls = facing_walls(height, np.full_like(height, 0.5))
    # Half covered, so 8 m high: every second pixel's side, half of which faces the radar.
    np.testing.assert_allclose(walls, 4.0)
