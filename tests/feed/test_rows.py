"""Places as rows: the same values however a device gathers them."""

from __future__ import annotations

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from eojax.devices import target
from eojax.feed import rows
from tests.places_as_rows import as_rows

SHAPES = [(8, 12, 3), (8, 12), (256, 128, 3), (6, 5, 1)]


def places_of(shape: tuple[int, ...], dtype: str = 'uint8') -> np.ndarray:
    values = np.random.default_rng(0).integers(0, 256, (7, *shape))
    return values.astype(dtype)


@pytest.mark.parametrize('platform', ['cpu', 'gpu', 'tpu'])
@pytest.mark.parametrize('shape', SHAPES)
@pytest.mark.parametrize('windows', [False, True])
def test_places_come_back_whole(
    platform: str, shape: tuple[int, ...], windows: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(target, 'platform', lambda: platform)
    places, chosen = places_of(shape), jnp.array([6, 0, 0, 3], jnp.int32)
    held = as_rows(jnp.asarray(places), windows)
    assert held.shape == shape
    gathered = jax.jit(lambda held, chosen: rows.gather(held, chosen))(held, chosen)
    assert gathered.dtype == places.dtype
    np.testing.assert_array_equal(gathered, places[chosen])


@pytest.mark.parametrize('platform', ['cpu', 'tpu'])
@pytest.mark.parametrize('dtype', ['uint8', 'uint16', 'float32', 'bool'])
@pytest.mark.parametrize('windows', [False, True])
def test_windows_lie_where_they_are_cut(
    platform: str, dtype: str, windows: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(target, 'platform', lambda: platform)
    for shape, side in (((10, 12, 3), 4), ((8, 8), 5), ((9, 6, 2), 6)):
        places = places_of(shape, dtype)
        chosen, tops, lefts = (jnp.array(one, jnp.int32) for one in ([6, 0, 2], [3, 0, 1], [0] * 3))
        lefts = jnp.array([shape[1] - side, 0, (shape[1] - side) // 2], jnp.int32)
        held = as_rows(jnp.asarray(places), windows)
        found = jax.jit(lambda *given, side=side: rows.cut(*given, side))(held, chosen, tops, lefts)
        expected = [
            places[n, top : top + side, left : left + side]
            for n, top, left in zip(chosen, tops, lefts, strict=True)
        ]
        assert found.dtype == places.dtype
        np.testing.assert_array_equal(found, np.stack(expected))


def test_rows_are_long_but_not_too_long_and_on_the_host_the_same_memory() -> None:
    for shape in SHAPES:
        places = places_of(shape)
        held = as_rows(places)
        assert np.shares_memory(held.values, places)
        num, length = held.values.shape
        assert num * length == places.size
        assert length <= max(2**14, math.prod(shape[1:]))
    small, large = (as_rows(places_of(shape)) for shape in ((64, 64, 3), (256, 256, 3)))
    assert small.values.shape == (7, 64 * 64 * 3)  # an image a row
    assert large.values.shape == (7 * 16, 16 * 256 * 3)
    # A line a row, so that windows begin at any of them.
    assert as_rows(places_of((256, 256, 3)), True).values.shape == (7 * 256, 256 * 3)
