"""Stored values to [-1, 1]: one function, on the host and on the devices."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from eojax.data.value_range import scale_to_unit
from eojax.errors import UserError

LIMITS = ((0.0, 2000.0), (100.0, 400.0))


@pytest.mark.parametrize('numpy', [np, jnp])
def test_limits_become_the_ends_and_what_is_beyond_is_clipped(numpy) -> None:
    values = np.array([[0, 50], [500, 100], [1000, 250], [2000, 400], [60000, 999]], np.uint16)
    scaled = scale_to_unit(numpy.asarray(values), LIMITS)
    assert isinstance(scaled, numpy.ndarray)
    assert scaled.dtype == np.float32
    expected = np.array([[-1, -1], [-0.5, -1], [0, 0], [1, 1], [1, 1]])
    np.testing.assert_allclose(scaled, expected, atol=1e-6)


@pytest.mark.parametrize('numpy', [np, jnp])
def test_bytes_are_scaled_for_display_whatever_the_units_of_the_data_set_are(numpy) -> None:
    levels = np.arange(256, dtype=np.uint8)[:, None].repeat(2, axis=1)
    for limits in (None, LIMITS):
        scaled = scale_to_unit(numpy.asarray(levels), limits)
        assert scaled.dtype == np.float32
        np.testing.assert_allclose(scaled, np.linspace(-1, 1, 256)[:, None] + [0, 0], atol=1e-6)


@pytest.mark.parametrize('dtype', [np.uint16, np.int16, np.float32])
def test_the_devices_compute_what_the_host_does(dtype) -> None:
    values = np.random.default_rng(0).integers(-3000, 3000, (8, 16, 2)).astype(dtype)
    expected = scale_to_unit(values, LIMITS)
    assert -1.0 <= expected.min() < expected.max() <= 1.0
    for scale in (scale_to_unit, jax.jit(scale_to_unit, static_argnames='limits')):
        # A compiler may join the product and the difference, which then round once.
        found = scale(jnp.asarray(values), limits=LIMITS)
        np.testing.assert_allclose(found, expected, atol=2**-22)


@pytest.mark.parametrize('numpy', [np, jnp])
def test_values_of_another_type_need_limits(numpy) -> None:
    with pytest.raises(UserError, match='images of type uint16 need limits'):
        scale_to_unit(numpy.zeros((1, 2), np.uint16))
