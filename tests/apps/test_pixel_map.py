"""Maps by a network that classifies every pixel."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import rasterio

from eojax.apps.map_scene import job, pixel_map
from eojax.apps.map_scene.job import Job, Model, Options
from eojax.apps.map_scene.patch_map import Tiling
from eojax.data.reading.raster import DEFAULT_READING
from eojax.errors import UserError
from tests.data.rasters import write_raster
from tests.tiny_runs import TinyRun, tiny_run

HEIGHT, WIDTH = 45, 61


def by_colour(state: Any, images: jax.Array, key: jax.Array) -> jax.Array:
    """The class of a pixel is its brightest band; nothing around it counts."""
    return jnp.pad(20.0 * images, ((0, 0), (0, 0), (0, 0), (0, 7)), constant_values=-90.0)


def by_border(state: Any, images: jax.Array, key: jax.Array) -> jax.Array:
    """Class 1 within three pixels of the window's border, else class 0."""
    side = images.shape[1]
    near = jnp.minimum(jnp.arange(side), side - 1 - jnp.arange(side)) < 3
    ring = jnp.broadcast_to(near[:, None] | near, images.shape[:3])
    return jax.nn.one_hot(ring.astype(jnp.int32), 10)


def model(ability: Any, window: int = 16, **changes: Any) -> Model:
    case: TinyRun = tiny_run('supervised')
    method = case.run.method._replace(abilities={'pixel_logits': ability}, window=window, **changes)
    return Model(case.run._replace(method=method, programs={}), case.state, None, 'checksum')


@pytest.fixture(scope='module')
def pixels() -> np.ndarray:
    values = np.random.default_rng(0).integers(1, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    values[10:14, 20:31] = 0
    return values


@pytest.fixture(scope='module')
def scene(pixels: np.ndarray, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp('scene') / 'place.tif'
    return write_raster(path, pixels, ('red', 'green', 'blue'), nodata=0)


def _mapped(scene: Path, out: Path, made: Model, patch: int, stride: int | None) -> dict[str, Any]:
    return job.map_scene(Job(scene, out), made, Options(patch, stride, DEFAULT_READING))


def _layer(folder: Path, name: str) -> np.ndarray:
    with rasterio.open(folder / f'{name}.tif') as file:
        return file.read(1)


@pytest.mark.parametrize('stride', [None, 16, 5])
def test_every_pixel_with_data_has_its_own_class(
    pixels: np.ndarray, scene: Path, tmp_path: Path, stride: int | None
) -> None:
    summary = _mapped(scene, tmp_path, model(by_colour), 16, stride)
    held = pixels.any(-1)
    expected = np.where(held, pixels.argmax(-1), 255)
    np.testing.assert_array_equal(_layer(tmp_path, 'class_map'), expected)
    confidence = _layer(tmp_path, 'confidence')
    assert np.isnan(confidence[~held]).all()
    assert confidence[held].min() > 1 / 3
    assert summary['patches'] > 0
    areas = summary['hectares']
    assert areas['AnnualCrop'] == pytest.approx((expected == 0).sum() / held.sum() * sum(
        areas.values()
    ), rel=1e-3)  # fmt: skip


def test_a_class_comes_from_the_middle_of_a_window(scene: Path, tmp_path: Path) -> None:
    _mapped(scene, tmp_path, model(by_border), 16, 8)
    classes = _layer(tmp_path, 'class_map')
    inner = classes[3:-3, 3:-3]
    assert set(np.unique(inner)) <= {0, 255}
    assert (classes[:3][classes[:3] != 255] == 1).all()  # where no other window looks


def test_a_scene_of_half_the_pixels_shows_as_much_ground(scene: Path, tmp_path: Path) -> None:
    _mapped(scene, tmp_path, model(by_border, window=32), 16, 8)
    classes = _layer(tmp_path, 'class_map')
    assert (classes[0, :10] == 1).all()
    assert classes[2, 20] == 0  # three pixels of the network are two of the scene


def test_windows_cover_a_scene_of_any_size() -> None:
    for height in range(16, 60):
        tiling = Tiling(height, height, 16, 7, by_pixel=True)
        begins = pixel_map.starts(height, tiling)
        ends = pixel_map.owned(begins, height, 16)
        assert ends[0] == 0
        assert ends[-1] == height
        for begin, first, last in zip(begins, ends[:-1], ends[1:], strict=True):
            assert begin <= first < last <= begin + 16


def test_a_run_that_needs_more_than_images_says_so(scene: Path, tmp_path: Path) -> None:
    made = model(by_colour, rasters=('images', 'elevation'))
    with pytest.raises(UserError, match='needs elevation too'):
        _mapped(scene, tmp_path, made, 16, 8)
    with pytest.raises(UserError, match='leaves gaps'):
        _mapped(scene, tmp_path, model(by_colour), 16, 17)
