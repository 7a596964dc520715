"""Arrays that are not like the training images."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from eojax.data.facts import Raster
from eojax.data.value_range import scale_to_unit
from eojax.errors import UserError
from eojax.library.arrays import check_array, check_rasters

COLOURS = Raster()
SENTINEL = Raster(('B04', 'B08'), 'uint16', ((0.0, 3000.0), (0.0, 5000.0)))
RADAR = Raster(('VV',), 'float32', ((-25.0, 5.0),))
RNG = np.random.default_rng(0)
BYTES = RNG.integers(0, 256, (4, 8, 8, 3), dtype=np.uint8)
COUNTS = RNG.integers(100, 2500, (4, 8, 8, 2), dtype=np.uint16)
DECIBELS = RNG.uniform(-30, 6, (4, 8, 8, 1)).astype(np.float32)


@pytest.mark.parametrize(('images', 'raster'), [(BYTES, COLOURS), (COUNTS, SENTINEL)])
def test_images_of_the_runs_own_type_stay_as_they_are(images: np.ndarray, raster: Raster) -> None:
    np.testing.assert_array_equal(check_array(images, raster, (8, 8)), images)
    np.testing.assert_array_equal(check_array(images, raster, None), images)


def test_floats_are_taken_in_single_precision() -> None:
    checked = check_array(DECIBELS.astype(np.float64), RADAR, (8, 8))
    assert checked.dtype == np.float32
    np.testing.assert_array_equal(checked, DECIBELS)


@pytest.mark.parametrize(
    ('images', 'raster', 'message'),
    [
        ('photos/', COLOURS, r'not a path: run\.read\(path\)'),
        (BYTES[0], COLOURS, r'one image is images\[None\]'),
        (np.moveaxis(BYTES, -1, 1), COLOURS, r'bands come last, numpy\.moveaxis\(images, 1, -1\)'),
        (np.moveaxis(BYTES[0], -1, 0), COLOURS, r'numpy\.moveaxis\(images, 0, -1\)\[None\]'),
        (BYTES[..., 0], RADAR, r'images\[\.\.\., None\]'),
        (BYTES[..., :2], COLOURS, r'must be \[N, H, W, 3\] \(red, green, blue\), not \[4, 8, 8, 2'),
        (BYTES[:0], COLOURS, 'hold no image'),
        ([BYTES[0], BYTES[0, :4]], COLOURS, 'must be one array'),
        (BYTES > 7, COLOURS, 'not of type bool'),
        (BYTES[:, :6], COLOURS, '6 x 8 px, and the run sees 8 x 8 px: resize=True'),
        (BYTES / 255, COLOURS, r'give \(255 \* images\)\.round\(\)\.astype\("uint8"\)'),
        (BYTES / 127.5 - 1, COLOURS, r"in \[-1, 1\], say units='network'"),
        (BYTES.astype(float), COLOURS, r'give images\.round\(\)\.astype\("uint8"\)'),
        (BYTES.astype(int), COLOURS, r'give images\.astype\("uint8"\)'),
        (np.resize(COUNTS, (4, 8, 8, 3)), COLOURS, 'takes uint8, 0 to 255: bring them to'),
        (BYTES[..., :2], SENTINEL, 'takes uint16 in the units of its data set, whose limits are 0'),
        (COUNTS / 1e4, SENTINEL, 'in these units|to these units, or give images in'),
        (COUNTS.astype(np.int32), SENTINEL, r'give images\.astype\("uint16"\)'),
        (np.where(DECIBELS > 0, np.nan, DECIBELS), RADAR, r'hold NaN .* first images\['),
        (np.ma.masked_less(DECIBELS, 0), RADAR, 'masked pixels'),
        (list(np.ma.masked_less(DECIBELS, 0)), RADAR, 'masked pixels'),
        (np.where(DECIBELS > 0, -9999, DECIBELS), RADAR, 'hold -9999, which is no measurement'),
        (np.where(DECIBELS > 0, -3.4e38, DECIBELS), RADAR, r'hold -3\.4e\+38, which is no'),
        (DECIBELS * 1e5, RADAR._replace(dtype='float16'), 'infinite'),
        (COUNTS[..., :1].astype(np.int16), RADAR, r'give images\.astype\("float32"\)'),
    ],
)
def test_what_is_not_like_the_training_images_is_one_line(
    images: Any, raster: Raster, message: str
) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        check_array(images, raster, (8, 8))
    assert isinstance(caught.value, UserError)
    assert '\n' not in str(caught.value)


def test_reflectances_are_not_taken_for_the_data_sets_units() -> None:
    raster = SENTINEL._replace(dtype='float32')
    with pytest.raises(UserError, match=r'lie in \[0, 1\], and the units .* go from 0 to 5000'):
        check_array((COUNTS / 1e4).astype(np.float32), raster, (8, 8))
    clouds = (COUNTS / 1e4).astype(np.float32)
    clouds[0, 0, 0] = 1.3
    with pytest.warns(UserWarning, match=r'above 1\.3, and the units .* 0 to 5000: are they refl'):
        check_array(clouds, raster, (8, 8))
    with pytest.warns(UserWarning, match='of B04 lie beyond the limits .* 0 and 3000'):
        check_array(COUNTS.astype(np.float32) + 4000, raster, (8, 8))


def test_linear_backscatter_is_not_taken_for_decibels_without_a_word() -> None:
    power = 10.0 ** (DECIBELS / 10.0)
    power[0, 0, 0] = 30.0
    with pytest.warns(UserWarning, match='limits .* -25 and 5: are they in its units, such as dec'):
        check_array(power, RADAR, (8, 8))


def test_values_in_the_networks_range() -> None:
    unit = BYTES / 127.5 - 1.0
    checked = check_array(unit, COLOURS, (8, 8), units='network')
    assert checked.dtype == np.float32
    np.testing.assert_allclose(checked, unit, atol=1e-6)
    for wrong, message in ((BYTES, 'takes floats'), (3 * unit, 'lie in'), (unit * np.nan, 'NaN')):
        with pytest.raises(UserError, match=message):
            check_array(wrong, COLOURS, (8, 8), units='network')
    with pytest.warns(UserWarning, match=r'2 \* images - 1') as warned:
        check_array(BYTES / 255, COLOURS, (8, 8), units='network')
    assert warned[0].filename == __file__


def test_other_sizes_are_resampled_when_asked() -> None:
    flat = np.full((2, 20, 20, 3), 77, np.uint8)
    np.testing.assert_array_equal(check_array(flat, COLOURS, (8, 8), resize=True), 77)


@pytest.mark.parametrize('side', [5, 20, 13])
@pytest.mark.parametrize('raster', [COLOURS, SENTINEL])
def test_values_in_the_networks_range_are_resampled_as_stored_ones(
    raster: Raster, side: int
) -> None:
    most = 255 if raster is COLOURS else 3000
    shape = (2, side, side, len(raster.bands))
    # Far from the limits, at which bytes are held after each axis.
    stored = RNG.integers(most // 4, 3 * most // 4, shape).astype(raster.dtype)
    expected = scale_to_unit(check_array(stored, raster, (8, 8), resize=True), raster.limits)
    unit = scale_to_unit(stored, raster.limits)
    found = check_array(unit, raster, (8, 8), units='network', resize=True)
    assert found.dtype == np.float32
    # But for the rounding of each value, once for each axis.
    np.testing.assert_allclose(found, expected, atol=2.1 / most)


def test_units_and_rasters_that_there_are_not() -> None:
    with pytest.raises(UserError, match="units must be 'data' or 'network', not 'unit'"):
        check_rasters(BYTES, {}, ('images',), {'images': COLOURS}, None, 'unit')
    only = check_rasters(DECIBELS, {}, ('sar',), {'sar': RADAR, 'images': COLOURS}, (8, 8))
    np.testing.assert_array_equal(only.rasters[0], DECIBELS)
