from __future__ import annotations

import numpy as np
import pytest

from eojax.metrics.restoration import biharmonic, median_of_known, psnr, ssim


def _images(seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (3, 16, 16, 3)).astype(np.uint8)


def _mask(num: int = 3) -> np.ndarray:
    masks = np.zeros((num, 16, 16), bool)
    masks[:, 4:9, 5:10] = True
    return masks


def test_psnr_is_that_of_the_missing_pixels_alone():
    true, masks = _images(), _mask()
    repaired = true.astype(np.float64)
    repaired[masks] += 10.0  # an error of 10 in each of them: 20 log10(25.5)
    repaired[~masks] += 77.0  # and another elsewhere, which does not count
    np.testing.assert_allclose(psnr(repaired, true, masks), 28.1308, atol=1e-4)
    repaired[0][masks[0]] = true[0][masks[0]]
    assert np.isinf(psnr(repaired, true, masks)[0])


def test_psnr_of_half_the_pixels_wrong_by_hand():
    true = np.zeros((1, 16, 16, 1))
    repaired, masks = true.copy(), np.zeros((1, 16, 16), bool)
    masks[0, 0, :4] = True
    repaired[0, 0, :2] = 100.0  # MSE 5,000
    assert psnr(repaired, true, masks)[0] == pytest.approx(10 * np.log10(255**2 / 5000))


def test_ssim_is_one_for_the_same_and_by_formula_for_constant_windows():
    true, masks = _images(), _mask()
    np.testing.assert_allclose(ssim(true, true, masks), 1.0)
    # Constant images a and b: (2ab + c1) / (a^2 + b^2 + c1), c1 = (0.01 * 255)^2.
    a, b = np.full((1, 16, 16, 3), 100.0), np.full((1, 16, 16, 3), 150.0)
    c1 = (0.01 * 255) ** 2
    expected = (2 * 100 * 150 + c1) / (100**2 + 150**2 + c1)
    assert ssim(a, b, masks[:1])[0] == pytest.approx(expected)


def test_ssim_looks_at_missing_pixels_only():
    true, masks = _images(), _mask()
    far = true.copy()
    far[:, 13:, 13:] = 0  # beyond the windows about missing pixels
    np.testing.assert_allclose(ssim(far, true, masks), 1.0)
    near = true.copy()
    near[masks] = 255 - near[masks]
    assert (ssim(near, true, masks) < 0.5).all()


def test_ssim_of_images_smaller_than_its_window():
    true = _images()[:, :6, :6]
    masks = np.zeros((3, 6, 6), bool)
    masks[:, 2, 2] = True
    np.testing.assert_allclose(ssim(true, true, masks), 1.0)


def test_biharmonic_continues_a_plane_and_holds_what_is_known():
    rows, columns = np.mgrid[:16, :16] / 16.0
    plane = np.stack([rows - 0.5, 0.3 * columns, rows - columns], -1)[None].astype(np.float32)
    masks = _mask(1)
    broken = np.where(masks[..., None], np.float32(np.nan), plane)
    repaired = biharmonic(broken, masks)
    np.testing.assert_allclose(repaired, plane, atol=1e-4)
    np.testing.assert_array_equal(repaired[~masks], plane[~masks])


def test_median_is_of_the_nearest_known_pixels():
    image = np.arange(25.0).reshape(1, 5, 5, 1)
    masks = np.zeros((1, 5, 5), bool)
    masks[0, 2, 2] = True
    broken = np.where(masks[..., None], 1e9, image)
    # Around 12: 6 7 8 11 13 16 17 18.
    assert median_of_known(broken, masks)[0, 2, 2, 0] == 12.0
    masks[0, 1:4, 1:4] = True
    broken = np.where(masks[..., None], 1e9, image)
    # At the middle the window grows to 5 x 5, whose border is known; at (1, 1) five are near.
    repaired = median_of_known(broken, masks)
    border = image[0][~masks[0]]
    assert repaired[0, 2, 2, 0] == np.median(border)
    assert repaired[0, 1, 1, 0] == np.median([0, 1, 2, 5, 10])
    np.testing.assert_array_equal(repaired[~masks], image[~masks])
