"""Which bands are seen, and how values in a data set's units become colours."""

from __future__ import annotations

import numpy as np
import pytest

from eojax.apps.synthesise.figures import shown
from eojax.data.facts import Raster
from eojax.data.sets import eurosat_ms
from eojax.drawing.pictures import displayed, shown_indices, visible_bands, visible_indices


@pytest.mark.parametrize(
    ('bands', 'expected'),
    [
        (('red', 'green', 'blue'), [0, 1, 2]),
        (('blue', 'infrared', 'red', 'green'), [2, 3, 0]),
        (eurosat_ms.BANDS, [3, 2, 1]),
        (('B8A', 'B02', 'B03', 'B04'), [3, 2, 1]),
        (('B04', 'B03', 'B08'), []),
        (('VV', 'VH'), []),
    ],
)
def test_red_green_and_blue_are_found(bands: tuple[str, ...], expected: list[int]) -> None:
    images = np.arange(2 * len(bands), dtype=np.uint8).reshape(1, 1, 2, len(bands))
    assert visible_indices(bands) == expected
    np.testing.assert_array_equal(visible_bands(images, bands), images[..., expected or [0]])


def test_the_first_three_of_unnamed_bands_are_shown_in_colour() -> None:
    bands = ('band 1', 'band 2', 'band 3', 'band 4')
    images = np.arange(8, dtype=np.uint8).reshape(1, 1, 2, 4)
    assert visible_indices(bands) == []
    np.testing.assert_array_equal(displayed(images, bands), images[..., :3])
    np.testing.assert_array_equal(visible_bands(images[..., :2], bands[:2]), images[..., :1])


def test_images_of_unnamed_bands_are_one_picture_in_colour_and_others_two_in_grey() -> None:
    assert shown_indices(['band 1', 'band 2', 'band 3', 'band 4']) == [0, 1, 2]
    images, valid = np.full((2, 2, 3), 7, np.uint8), np.ones((2, 2), bool)
    for names, titles in ((('band 1', 'band 2', 'band 3'), ['']), (('a', 'b', 'c'), ['a', 'b'])):
        pictures = shown(images, valid, Raster(names))
        assert [title for title, _ in pictures] == titles


def test_values_are_shown_between_their_limits() -> None:
    limits = ((0.0, 100.0), (1000.0, 2000.0), (0.0, 10.0), (50.0, 60.0))
    images = np.array([[[[7, 1000, 5, 60], [7, 2000, 10, 50], [7, 1500, 99, 0]]]], np.uint16)
    seen = displayed(images, ('VV', 'B02', 'B03', 'B04'), limits)
    assert seen.dtype == np.uint8
    np.testing.assert_array_equal(seen, [[[[255, 128, 0], [0, 255, 255], [0, 255, 128]]]])
    grey = displayed(images, ('a', 'b', 'c', 'd'), ((0.0, 14.0), *limits[1:]))
    np.testing.assert_array_equal(grey, np.full((1, 1, 3, 1), 128))


def test_uint8_is_shown_as_it_is() -> None:
    images = np.random.default_rng(0).integers(0, 256, (2, 3, 3, 13), np.uint8)
    seen = displayed(images, eurosat_ms.BANDS, eurosat_ms.LIMITS)
    np.testing.assert_array_equal(seen, images[..., [3, 2, 1]])
