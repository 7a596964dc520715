"""Windows of rasters in memory."""

from __future__ import annotations

import numpy as np
import pytest

from eojax.data.dataset import ArraySource, Window
from eojax.errors import UserError


def test_windows_of_rasters_show_the_same_ground() -> None:
    coarse = np.arange(2 * 4 * 6).reshape(2, 4, 6, 1)
    fine = coarse.repeat(2, 1).repeat(2, 2)
    source = ArraySource({'images': fine, 'elevation': coarse, 'labels': fine[..., 0]})
    window = Window(2, 4, 4, 6)
    both = source.read(1, window, ('images', 'elevation', 'labels'))
    np.testing.assert_array_equal(both['images'], fine[1, 2:6, 4:10])
    np.testing.assert_array_equal(both['labels'], fine[1, 2:6, 4:10, 0])
    np.testing.assert_array_equal(both['elevation'], coarse[1, 1:3, 2:5])
    # What is read beside it does not matter.
    alone = source.read(1, window, ('elevation',))
    np.testing.assert_array_equal(alone['elevation'], both['elevation'])


@pytest.mark.parametrize('window', [(5, 0, 4, 4), (0, 9, 4, 4), (-2, 0, 4, 4), (0, 0, 0, 4)])
def test_windows_beyond_a_place_are_refused(window: tuple[int, int, int, int]) -> None:
    source = ArraySource({'images': np.zeros((1, 8, 12, 3), np.uint8)})
    with pytest.raises(UserError, match='do not lie in its 12x8 pixels'):
        source.read(0, Window(*window), ('images',))
