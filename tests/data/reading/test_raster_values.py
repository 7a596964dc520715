"""Values of a scene go to those of a data set and back."""

from __future__ import annotations

import numpy as np
import pytest

from eojax.data.facts import AMPLITUDE, POWER
from eojax.data.reading.raster_values import Stored, find_conversion
from eojax.errors import UserError

RGB = ('red', 'green', 'blue')
LIMITS = ((0.0, 2800.0), (100.0, 3000.0), (0.0, 4000.0))


def _values(dtype: str) -> np.ndarray:
    rng = np.random.default_rng(0)
    if dtype == 'uint8':
        return rng.integers(0, 256, (50, 3)).astype(np.uint8)
    values = rng.uniform(300.0, 1800.0, (50, 3))
    return (values / 1e4).astype(dtype) if dtype == 'float32' else values.astype(dtype)


@pytest.mark.parametrize('dtype', ['uint8', 'uint16', 'float32'])
@pytest.mark.parametrize('scale', ['auto', 'l1c', 'l2a', '0:2500', '0:2000,100:1900,50:2500'])
@pytest.mark.parametrize('limits', [None, LIMITS])
def test_inverted_values_are_the_stored_ones_up_to_rounding(dtype, scale, limits):
    if (dtype == 'uint8' and scale != 'auto') or (dtype == 'float32' and ':' in scale):
        pytest.skip('not how such values are read')
    values = _values(dtype)
    stored = Stored('S2_scene.tif', dtype, {}, lambda: values)
    found = find_conversion(stored, RGB, limits, scale, None)
    shown = found.apply(values).astype(np.float64)
    if limits is not None and dtype == 'uint8':
        # The network takes 0 to 255 for its limits; what comes back is in their units.
        low, high = np.asarray(limits).T
        shown = low + shown / 255.0 * (high - low)
    back = found.invert(shown)
    # Half a grey level, or half a unit, in the file's units; nothing above was clipped.
    step = np.abs(found.invert(shown + 1.0) - back)
    assert (np.abs(back - values) <= 0.51 * step + 1e-9).all()


@pytest.mark.parametrize('decibels', [AMPLITUDE, POWER])
def test_scenes_are_in_decibels_where_training_was(decibels: float) -> None:
    values = 10.0 ** np.random.default_rng(0).uniform(-2.4, 0.4, (50, 1)) * 10.0
    stored = Stored('s1.tif', 'float32', {}, lambda: values.astype(np.float32))
    limits = ((-20.0, 40.0),)
    read = find_conversion(
        stored, ('VV',), limits, 'auto', None, 'float32', own_units=True, decibels=decibels
    )
    np.testing.assert_allclose(read.apply(values), decibels * np.log10(values), rtol=1e-5)
    np.testing.assert_allclose(read.invert(read.apply(values)), values, rtol=1e-4)
    in_decibels = Stored('s1.tif', 'float32', {}, lambda: np.full((50, 1), -12.0) + values / 100)
    with pytest.raises(UserError, match=r'100% of its values, taken as .*, lie beyond: .*--scale'):
        find_conversion(
            in_decibels, ('VV',), ((-19.9, 5.0),), 'auto', None, 'float32', True, decibels
        )
