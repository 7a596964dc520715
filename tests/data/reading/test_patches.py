from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from eojax.data.facts import Facts
from eojax.data.reading.decode import decode_image
from eojax.data.reading.geotiff import decode_geotiff
from eojax.data.reading.patches import patch_pixels, patch_places, resample
from eojax.data.sets import eurosat
from tests.data.rasters import write_raster


@pytest.mark.parametrize(('height', 'width', 'patch', 'stride'), [(10, 13, 4, 4), (9, 9, 4, 2)])
def test_places_are_all_whole_patches_once(height, width, patch, stride):
    places = list(patch_places(height, width, patch, stride))
    assert places == [
        (r, c)
        for r in range(height)
        for c in range(width)
        if r % stride == c % stride == 0 and r + patch <= height and c + patch <= width
    ]


def test_patches_without_overlap_cover_each_pixel_at_most_once():
    count = np.zeros((70, 50), int)
    for row, column in patch_places(70, 50, 16, 16):
        count[row : row + 16, column : column + 16] += 1
    assert (count[:64, :48] == 1).all()
    assert count.sum() == 64 * 48


def test_8_bit_patches_are_resampled_as_training_images():
    image = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(image).save(file, 'PNG')
    expected = decode_image(file.getvalue(), 'image', resize=32)
    np.testing.assert_array_equal(resample(image[None], 32)[0], expected)
    # Band by band, for other numbers of bands, it is the same.
    four = resample(image[None][..., [0, 1, 2, 0]], 32)[0]
    np.testing.assert_array_equal(four[..., :3], expected)


def test_16_bit_patches_are_resampled_as_training_images(tmp_path):
    image = np.random.default_rng(0).integers(0, 9000, (64, 64, 2), dtype=np.uint16)
    path = write_raster(tmp_path / 'a.tif', image)
    for size in (32, 48, 64, 96):
        expected = decode_geotiff(
            path.read_bytes(), 'a', file_bands=('x', 'y'), bands=('x', 'y'), resize=size
        )
        got = resample(image[None], size)[0]
        assert got.dtype == np.uint16
        assert np.abs(got.astype(int) - expected).max() <= 1


def test_a_patch_shows_as_much_ground_as_a_training_image():
    known = Facts(metres=20.0, size=(32, 32), files=eurosat.EUROSAT.files)
    assert patch_pixels(known, 32, 10.0) == 64
    assert patch_pixels(known, 32, 20.0) == 32
    assert patch_pixels(known, 32, None) == 64
    assert patch_pixels(Facts(), 48, 10.0) == 48


def test_floats_are_not_rounded():
    patch = np.random.default_rng(0).uniform(0.0, 0.3, (1, 8, 8, 2)).astype(np.float32)
    small = resample(patch, 4)
    assert small.dtype == np.float32
    assert small.std() > 0.01
    np.testing.assert_allclose(small.mean(), patch.mean(), rtol=0.02)
