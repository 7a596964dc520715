"""Maps by a network that classifies every pixel."""

from __future__ import annotations

import tracemalloc
from collections import deque
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import rasterio
from rasterio.transform import Affine

from eojax.apps.map_scene import job, pixel_map
from eojax.apps.map_scene.companions import Companion, parse_rasters
from eojax.apps.map_scene.model import Model
from eojax.apps.map_scene.scene import Job, Options
from eojax.apps.map_scene.tiling import Tiling
from eojax.data import facts
from eojax.data.dataset import Dataset, Places
from eojax.data.reading.raster import DEFAULT_READING, Part, Raster
from eojax.errors import UserError
from eojax.evaluation.pixels.densities import pixel_densities
from tests.data.rasters import TRANSFORM, write_raster
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


def by_row(state: Any, images: jax.Array, key: jax.Array) -> jax.Array:
    """Class 0 in the upper half of a window, 1 in the lower."""
    below = jnp.arange(images.shape[1]) >= images.shape[1] // 2
    return jax.nn.one_hot(jnp.broadcast_to(below[:, None], images.shape[:3]).astype(int), 10)


def test_a_pixel_has_the_class_at_its_middle(tmp_path: Path) -> None:
    """Whatever the ratio of sizes, what a network sees in a half is mapped in that half."""
    for window, patch in ((48, 16), (64, 16), (16, 48), (16, 20), (20, 16)):
        seen = pixel_map._enlarged(np.arange(window)[:, None] * np.ones(window, int), patch)[:, 0]
        middles = (np.arange(patch) + 0.5) * window / patch
        assert ((seen <= middles) & (middles < seen + 1)).all()
    made = _mapped(plain(tmp_path, 16, 16), tmp_path / 'map', model(by_row, window=40), 16, 16)
    assert made['settings']['at_middles']
    expected = np.repeat([[0], [1]], 8, 0).repeat(16, 1)
    np.testing.assert_array_equal(_layer(tmp_path / 'map', 'class_map'), expected)


def test_windows_cover_a_scene_of_any_size() -> None:
    for height in range(1, 60):
        begins = pixel_map.starts(height, Tiling(height, height, 16, 7, by_pixel=True))
        covered = np.zeros(max(height, 16), int)
        for begin in begins:
            assert begin + 16 <= max(height, 16)
            covered[begin : begin + 16] += 1
        assert covered.all()
    for patch in (1, 2, 7, 64):
        assert (pixel_map.weights(patch) > 0).all()


def by_column(state: Any, images: jax.Array, key: jax.Array) -> jax.Array:
    """p of class 0 rises from 0.2 at the left of a window to 0.8 at its right."""
    rising = jnp.linspace(0.2, 0.8, images.shape[2])
    p = jnp.broadcast_to(rising, images.shape[:3])
    rest = jnp.broadcast_to((1.0 - p)[..., None] / 9.0, (*p.shape, 9))
    return jnp.log(jnp.concatenate([p[..., None], rest], -1))


def plain(tmp_path: Path, height: int = 70, width: int = 90) -> Path:
    pixels = np.full((height, width, 3), 100, np.uint8)
    return write_raster(tmp_path / 'plain.tif', pixels, ('red', 'green', 'blue'))


def test_windows_leave_no_seam(tmp_path: Path) -> None:
    scene, side = plain(tmp_path), 32
    _mapped(scene, tmp_path / 'apart', model(by_column, side), side, side)
    _mapped(scene, tmp_path / 'blended', model(by_column, side), side, side // 2)
    apart, blended = (_layer(tmp_path / name, 'confidence') for name in ('apart', 'blended'))
    assert np.abs(np.diff(apart, axis=1)).max() > 0.5
    within = 0.6 / (side - 1)  # from pixel to pixel of one window
    assert np.abs(np.diff(blended, axis=1)).max() < 2.0 * within
    # A slow mean over the windows that show each column.
    along = 0.5 - 0.5 * np.cos(2 * np.pi * (np.arange(side) + 0.5) / side)
    total, weight = np.zeros(90), np.zeros(90)
    for begin in [*range(0, 90 - side, side // 2), 90 - side]:
        total[begin : begin + side] += along * np.linspace(0.2, 0.8, side)
        weight[begin : begin + side] += along
    p = total / weight
    expected = np.maximum(p, (1 - p) / 9)
    np.testing.assert_allclose(blended, np.broadcast_to(expected, (70, 90)), atol=1e-5)


def with_density(ability: Any, threshold: float, window: int = 16) -> Model:
    made = model(ability, window)
    abilities = {
        **made.run.method.abilities,
        'pixel_log_density': lambda state, images, key: 100.0 * images[..., 0],
    }
    method = made.run.method._replace(abilities=abilities)
    return made._replace(run=made.run._replace(method=method), threshold=threshold, percentile=5.0)


@pytest.mark.parametrize('stride', [5, 8])
def test_constant_scores_stay_constant(tmp_path: Path, stride: int) -> None:
    def constant(state: Any, images: jax.Array, key: jax.Array) -> jax.Array:
        return jnp.broadcast_to(jnp.arange(10.0), (*images.shape[:3], 10))

    summary = _mapped(plain(tmp_path, 33, 41), tmp_path, with_density(constant, -50.0), 16, stride)
    expected = np.exp(9.0) / np.exp(np.arange(10.0)).sum()
    np.testing.assert_allclose(_layer(tmp_path, 'confidence'), expected, rtol=1e-6)
    density = _layer(tmp_path, 'log_density')
    np.testing.assert_allclose(density, 100.0 * (100 / 127.5 - 1), rtol=1e-6)
    assert summary['share_unseen'] == 0.0


def test_pixels_below_the_threshold_are_unseen(
    pixels: np.ndarray, scene: Path, tmp_path: Path
) -> None:
    summary = _mapped(scene, tmp_path, with_density(by_colour, -20.0), 16, 8)
    held = pixels.any(-1)
    expected = 100.0 * (pixels[..., 0] / 127.5 - 1.0)
    density = _layer(tmp_path, 'log_density')
    assert density.dtype == np.float32
    np.testing.assert_allclose(density[held], expected[held], atol=1e-3)
    assert np.isnan(density[~held]).all()
    unseen = _layer(tmp_path, 'unseen')
    np.testing.assert_array_equal(unseen, np.where(held, expected < -20.0, 255))
    assert summary['share_unseen'] == (expected[held] < -20.0).mean()
    with rasterio.open(tmp_path / 'unseen.tif') as file:
        assert "5th percentile of the training set's pixels" in file.descriptions[0]


@pytest.mark.parametrize('size', [(9, 40), (40, 9), (7, 5)])
def test_a_scene_smaller_than_a_window_is_mapped(size: tuple[int, int], tmp_path: Path) -> None:
    pixels = np.random.default_rng(1).integers(1, 256, (*size, 3), dtype=np.uint8)
    scene = write_raster(tmp_path / 'small.tif', pixels, ('red', 'green', 'blue'))
    _mapped(scene, tmp_path / 'map', model(by_colour), 16, None)
    np.testing.assert_array_equal(_layer(tmp_path / 'map', 'class_map'), pixels.argmax(-1))


def test_nothing_but_gaps_is_one_line_and_gaps_in_between_are_left_out(tmp_path: Path) -> None:
    pixels = np.zeros((90, 20, 3), np.uint8)
    empty = write_raster(tmp_path / 'empty.tif', pixels, ('red', 'green', 'blue'), nodata=0)
    with pytest.raises(UserError, match='no pixel'):
        _mapped(empty, tmp_path / 'map', model(by_colour), 16, 8)
    pixels[:3], pixels[60:62, 7:9] = (9, 7, 5), (5, 7, 9)
    scene = write_raster(tmp_path / 'few.tif', pixels, ('red', 'green', 'blue'), nodata=0)
    _mapped(scene, tmp_path / 'map', model(by_colour), 16, 8)
    expected = np.where(pixels.any(-1), pixels.argmax(-1), 255)
    np.testing.assert_array_equal(_layer(tmp_path / 'map', 'class_map'), expected)


class Endless:
    """A scene of any height."""

    def __init__(self, height: int, width: int) -> None:
        self.height, self.width = height, width

    def read(self, row: int, column: int, height: int, width: int) -> Part:
        rows = np.arange(row, row + height)[:, None, None]
        return Part(
            np.broadcast_to(rows % 250, (height, width, 3)).astype(np.uint8),
            np.ones((height, width), bool),
        )


def test_memory_does_not_grow_with_the_height() -> None:
    made = with_density(by_colour, 0.0)
    peaks = {}
    for height in (16, 512, 2048):  # the first one compiles
        tracemalloc.start()
        tiling = Tiling(height, 48, 16, 8, by_pixel=True)
        scene: Any = Endless(height, 48)
        rows = pixel_map.map_pixels(made.run, made.state, scene, tiling, lambda *row: None)
        assert sum(1 for _ in rows) == height
        peaks[height] = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    # A row of the scene alone has 144 bytes, and its probabilities have 1920.
    assert peaks[2048] - peaks[512] < 100 * (2048 - 512)


def by_elevation(state: Any, images: jax.Array, elevation: jax.Array, key: jax.Array) -> jax.Array:
    """Class 1 above 0, of the raster beside the scene."""
    return jax.nn.one_hot((elevation[..., 0] > 0).astype(jnp.int32), 10) * 20.0


def elevated(scale: int = 1) -> Model:
    made = model(by_elevation, rasters=('images', 'elevation'))
    run = made.run
    known = run.known['data']
    surface = facts.Raster(('elevation',), 'int16', ((-100.0, 100.0),), scale)
    rasters = {**known.facts.rasters, 'elevation': surface}
    known = known._replace(facts=known.facts._replace(rasters=rasters))
    return made._replace(run=run._replace(known={**run.known, 'data': known}))


def _with_elevation(
    scene: Path, out: Path, made: Model, path: Path, name: str = 'elevation'
) -> np.ndarray:
    job.map_scene(Job(scene, out), made, Options(16, 8, DEFAULT_READING, {name: path}))
    return _layer(out, 'class_map')


@pytest.mark.parametrize('scale', [1, 2])
def test_a_raster_beside_the_scene_lies_on_its_pixels(scale: int, tmp_path: Path) -> None:
    scene = plain(tmp_path, 40, 50)
    # Four scene pixels each, and more ground than the scene shows: its corner is 8 pixels away.
    heights = np.where(np.arange(30) >= 15, 90, -90).astype(np.int16)
    surface = np.broadcast_to(heights[:, None], (30, 30))[..., None]
    beside = TRANSFORM @ Affine.translation(-8, -8) @ Affine.scale(4)
    path = write_raster(tmp_path / 'dem.tif', surface, transform=beside)
    classes = _with_elevation(scene, tmp_path / 'map', elevated(scale), path)
    # Row 15 of the surface begins 60 pixels below its corner, at row 52 of the scene: beyond it.
    assert (classes == 0).all()
    nearer = TRANSFORM @ Affine.translation(-8, -40) @ Affine.scale(4)
    path = write_raster(tmp_path / 'near.tif', surface, transform=nearer)
    classes = _with_elevation(scene, tmp_path / 'map', elevated(scale), path)
    expected = np.broadcast_to((np.arange(40) >= 20)[:, None], (40, 50)).astype(int)
    np.testing.assert_array_equal(classes, expected)


def test_where_a_raster_without_nodata_ends_nothing_is_classified(tmp_path: Path) -> None:
    path = write_raster(tmp_path / 'dem.tif', np.full((40, 30, 1), 50, np.int16))
    classes = _with_elevation(plain(tmp_path, 40, 50), tmp_path / 'map', elevated(), path)
    np.testing.assert_array_equal(classes, np.where(np.arange(50) < 30, 1, 255) * np.ones((40, 1)))


def test_what_the_raster_beside_does_not_show_is_not_classified(tmp_path: Path) -> None:
    surface = np.full((40, 30, 1), 50, np.int16)
    surface[5, 5] = -32768
    path = write_raster(tmp_path / 'dem.tif', surface, nodata=-32768)
    classes = _with_elevation(plain(tmp_path, 40, 50), tmp_path / 'map', elevated(), path)
    expected = np.where(np.arange(50) < 30, 1, 255) * np.ones((40, 1), int)
    expected[5, 5] = 255
    np.testing.assert_array_equal(classes, expected)
    # Its neighbours see there what they saw in training: the lower limit.
    known = elevated().run.known['data'].facts.rasters['elevation']
    with Raster(tmp_path / 'plain.tif', ('red', 'green', 'blue')) as scene:
        beside = Companion('elevation', path, known, scene)
        part = beside.read(0, 0, 10, 10)
        beside.close()
    assert part.pixels[5, 5] == -100
    assert (part.pixels[part.valid] == 50).all()


def test_pixels_of_nearly_the_scenes_size_are_brought_onto_it(tmp_path: Path) -> None:
    """Of 2,000 pixels that are 0.09 % too wide the last lies two pixels off."""
    surface = np.broadcast_to(np.arange(2000, dtype=np.int16)[:, None], (4, 2000, 1))
    wider = TRANSFORM @ Affine.scale(1.0009, 1.0)
    path = write_raster(tmp_path / 'dem.tif', surface, transform=wider)
    known = facts.Raster(('surface',), 'int16', ((0.0, 2000.0),))
    plain(tmp_path, 4, 2000)
    with Raster(tmp_path / 'plain.tif', ('red', 'green', 'blue')) as scene:
        beside = Companion('elevation', path, known, scene)
        part = beside.read(1, 1990, 1, 10)
        beside.close()
    expected = (np.arange(1990, 2000) + 0.5) / 1.0009 - 0.5
    np.testing.assert_allclose(part.pixels[0, :, 0], expected, atol=0.6)


def test_heights_in_other_units_than_those_of_training_are_refused(tmp_path: Path) -> None:
    path = write_raster(tmp_path / 'dem.tif', np.full((8, 9, 1), 50.0, np.float32))
    plain(tmp_path, 8, 9)
    known = facts.Raster(('surface',), 'float32', ((0.0, 500.0),), unit_metres=1.0)
    drawn = known._replace(unit_metres=0.1)
    with Raster(tmp_path / 'plain.tif', ('red', 'green', 'blue')) as scene:
        for unit, metres, decimetres in (
            ('', True, True), ('metre', True, False), ('US survey foot', False, False),
            ('ft', False, False), ('dm', False, True), ('furlong', True, True),
        ):  # fmt: skip
            with rasterio.open(path, 'r+') as file:
                file.units = (unit,)
            for raster, taken in ((known, metres), (drawn, decimetres)):
                if taken:
                    Companion('elevation', path, raster, scene).close()
                else:
                    with pytest.raises(UserError, match=f'heights are in {unit}; those'):
                        Companion('elevation', path, raster, scene)
        Companion('elevation', path, known._replace(unit_metres=0.0), scene).close()


def test_a_value_for_no_data_that_no_file_says_is_no_depth(tmp_path: Path) -> None:
    surface = np.full((8, 9, 1), 50.0, np.float32)
    surface[2:4, 3:5] = -9999.0
    path = write_raster(tmp_path / 'dem.tif', surface)
    plain(tmp_path, 8, 9)
    known = facts.Raster(('surface',), 'float32', ((0.0, 500.0),))
    with Raster(tmp_path / 'plain.tif', ('red', 'green', 'blue')) as scene:
        with pytest.raises(UserError, match='-a_nodata -9999'):
            Companion('elevation', path, known, scene)
        deep = known._replace(limits=((-12000.0, 500.0),))  # of the sea
        Companion('elevation', path, deep, scene).close()
        with rasterio.open(path, 'r+') as file:
            file.nodata = -9999.0
        beside = Companion('elevation', path, known, scene)
        assert (~beside.read(0, 0, 8, 9).valid).sum() == 4
        beside.close()


def test_scale_and_offset_of_the_raster_beside_are_applied(tmp_path: Path) -> None:
    path = write_raster(tmp_path / 'dem.tif', np.full((40, 50, 1), 6000, np.uint16))
    with rasterio.open(path, 'r+') as file:
        file.scales, file.offsets = (0.01,), (-10.0,)
    plain(tmp_path, 40, 50)
    known = elevated().run.known['data'].facts.rasters['elevation']
    with Raster(tmp_path / 'plain.tif', ('red', 'green', 'blue')) as scene:
        beside = Companion('elevation', path, known, scene)
        part = beside.read(0, 0, 40, 50)
        beside.close()
    assert part.pixels.dtype == known.dtype
    assert (part.pixels == 50).all()


def test_rasters_that_cannot_be_those_of_training_are_one_line(tmp_path: Path) -> None:
    scene, made = plain(tmp_path, 40, 50), elevated()
    far = TRANSFORM @ Affine.translation(500, 0)
    cases = {
        'holds float32 values; the run was trained on int16': np.ones((40, 50, 1), np.float32),
        'most values lie between 900 and 900': np.full((40, 50, 1), 900, np.int16),
        'has 2 band': np.ones((40, 50, 2), np.int16),
    }
    for text, surface in cases.items():
        path = write_raster(tmp_path / 'dem.tif', surface)
        with pytest.raises(UserError, match=text):
            _with_elevation(scene, tmp_path / 'map', made, path)
    path = write_raster(tmp_path / 'dem.tif', np.ones((40, 50, 1), np.int16), transform=far)
    with pytest.raises(UserError, match='shows nothing of the ground'):
        _with_elevation(scene, tmp_path / 'map', made, path)
    with pytest.raises(UserError, match='--raster slope: the run sees images; leave it out'):
        _with_elevation(scene, tmp_path / 'map', model(by_colour), path, 'slope')
    for texts, message in ((['x'], 'expected NAME=FILE'), (['x=none.tif'], 'no such file')):
        with pytest.raises(UserError, match=message):
            parse_rasters(texts)


class Constant:
    """Two places, 40 x 100 pixels of 51 and 8 x 8 of 204."""

    def read(self, place: int, window: Any, rasters: Any) -> dict[str, np.ndarray]:
        value = (51, 204)[place]
        return {'images': np.full((window.height, window.width, 3), value, np.uint8)}

    def subset(self, indices: np.ndarray) -> Constant:
        raise NotImplementedError


def test_pixels_of_training_are_drawn_by_area_and_none_beyond_a_place() -> None:
    made = with_density(by_colour, 0.0)
    sides = np.array([40, 8], np.int32), np.array([100, 8], np.int32)
    dataset = Dataset(made.run.facts, Places(('a', 'b'), *sides, np.full(2, -1)), Constant())
    densities = pixel_densities(made.run, made.state, dataset, 400, 3)
    assert densities.shape == (1200,)
    values, counts = np.unique(densities.round(3), return_counts=True)
    np.testing.assert_allclose(values, [-60.0, 60.0], atol=1e-3)
    assert counts[1] / 1200 == pytest.approx(64 / 4064, abs=0.02)


def test_a_run_that_needs_more_than_images_says_so(scene: Path, tmp_path: Path) -> None:
    made = model(by_colour, rasters=('images', 'elevation'))
    with pytest.raises(UserError, match='needs elevation too'):
        _mapped(scene, tmp_path, made, 16, 8)
    with pytest.raises(UserError, match='leaves gaps'):
        _mapped(scene, tmp_path, model(by_colour), 16, 17)


def test_missing_pixels_are_the_lowest_of_the_limits_as_in_training() -> None:
    class Heights:
        height, width = 10, 12

        def read(self, row: int, column: int, height: int, width: int) -> Part:
            held = np.ones((height, width), bool)
            held[2, 3] = False
            return Part(np.where(held, 50, 0)[..., None].astype(np.int16), held)

    known = facts.Raster(('elevation',), 'int16', ((-100.0, 100.0),))
    strips, reader = deque(), Heights()
    nothing = np.array([0])
    tiling = Tiling(10, 12, 16, 16, by_pixel=True)
    ((window,),) = pixel_map._read(reader, [], [known], nothing, nothing, tiling, strips)
    expected = np.full((16, 16), -100)
    expected[:10, :12] = 50
    expected[2, 3] = -100
    np.testing.assert_array_equal(window[..., 0], expected)
