"""Picking pixels by products is picking them, to the bit, of every type."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from eojax.augment import pixels as module
from eojax.augment.pixels import pick, pick_entries
from eojax.devices import target


@pytest.fixture
def as_on_tpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(target, 'platform', lambda: 'tpu')


def _values(dtype: str, shape: tuple[int, ...]) -> np.ndarray:
    rng = np.random.default_rng(0)
    if dtype == 'bool':
        return rng.random(shape) < 0.5
    if dtype in ('float32', 'float16', 'bfloat16'):
        return np.asarray(jnp.asarray(rng.normal(0.0, 1e3, shape), dtype))
    limits = np.iinfo(dtype)
    return rng.integers(limits.min, limits.max, shape, dtype, endpoint=True)


@pytest.mark.parametrize(
    'dtype', ['uint8', 'int8', 'bool', 'uint16', 'int16', 'int32', 'uint32', 'float32', 'bfloat16']
)
def test_products_pick_what_a_gather_does(dtype: str, as_on_tpus: None) -> None:
    pixels = _values(dtype, (3, 35, 2))
    places = np.random.default_rng(1).integers(0, 35, (3, 50), np.int32)
    picked = jax.jit(pick)(pixels, places)
    np.testing.assert_array_equal(picked, np.take_along_axis(pixels, places[..., None], 1))
    assert picked.dtype == pixels.dtype


def test_tables_of_each_band_have_places_of_their_own(as_on_tpus: None) -> None:
    tables = _values('float32', (4, 3, 256))
    places = np.random.default_rng(1).integers(0, 256, (4, 3, 20), np.int32)
    picked = jax.jit(pick_entries)(tables, places)
    np.testing.assert_array_equal(picked, np.take_along_axis(tables, places, 2))


@pytest.mark.parametrize('devices', [1, 2])
def test_groups_of_images_pick_the_same(
    as_on_tpus: None, monkeypatch: pytest.MonkeyPatch, devices: int
) -> None:
    monkeypatch.setattr(module, '_AT_ONCE', 1)
    monkeypatch.setattr(target, 'num_devices', lambda: devices)
    pixels = _values('uint8', (6, 64, 3))
    places = np.random.default_rng(1).integers(0, 64, (6, 64), np.int32)
    program = jax.jit(lambda x, y: pick(x, y)).lower(pixels, places)
    assert 'while' in program.as_text()
    picked = program.compile()(pixels, places)
    np.testing.assert_array_equal(picked, np.take_along_axis(pixels, places[..., None], 1))
