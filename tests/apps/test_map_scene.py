from __future__ import annotations

import errno
import json
import os
import resource
import shutil
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
import rasterio
from rasterio.control import GroundControlPoint
from rasterio.crs import CRS
from rasterio.enums import ColorInterp
from rasterio.transform import Affine
from rasterio.warp import transform
from scipy.special import softmax

from eojax.apps.map_scene import command as map_scene
from eojax.apps.map_scene import figures, job
from eojax.apps.map_scene import model as map_model
from eojax.apps.map_scene.files import Layer, LayerFiles, written
from eojax.apps.map_scene.model import Model
from eojax.apps.map_scene.patch_map import ScoredRow, average_rows, read_strips
from eojax.apps.map_scene.scene import Job, Options
from eojax.apps.map_scene.tiling import Tiling
from eojax.data.reading import sentinel2
from eojax.data.reading.patches import resample
from eojax.data.reading.raster import DEFAULT_READING, Raster, Reading
from eojax.data.reading.sentinel2 import RGB, Level
from eojax.data.sets.eurosat import CLASS_COLOURS
from eojax.data.sets.landscapes import CLASS_NAMES
from eojax.drawing.class_colours import class_colours
from eojax.errors import UserError
from eojax.evaluation.reference import reference_scores
from eojax.evaluation.scoring import score_all
from tests.data.rasters import TRANSFORM, UTM, surface, write_raster
from tests.process_groups import start_processes, wait_for
from tests.tiny_runs import TinyRun, tiny_run
from tests.trained_states import with_trained

COLOURS = ('red', 'green', 'blue')
LAYERS = ('class_map', 'confidence', 'log_density', 'unseen')
FILES = {f'{name}.tif' for name in LAYERS} | {
    'class_map.tif.aux.xml', 'unseen.tif.aux.xml', 'overview.png', 'summary.json',
}  # fmt: skip


@pytest.fixture(scope='module')
def jem(tmp_path_factory) -> TinyRun:
    """A copy, since the scores of training images are kept in the run's folder."""
    case = tiny_run('jem')
    folder = tmp_path_factory.mktemp('runs') / 'jem'
    shutil.copytree(case.folder, folder)
    return case._replace(run=case.run._replace(folder=folder), folder=folder)


@pytest.fixture(scope='module')
def model(jem) -> Model:
    return map_model.prepare_model(jem.run, jem.state)


@pytest.fixture(scope='module')
def pixels() -> np.ndarray:
    """70 x 90 pixels with three holes, one of a single pixel."""
    values = np.random.default_rng(0).integers(1, 256, (70, 90, 3), dtype=np.uint8)
    values = (values // 2 + np.linspace(0, 127, 90, dtype=np.uint8)[None, :, None]).astype(np.uint8)
    values[20:24, 3:9] = 0
    values[50, 60] = 0
    values[:10, 80:] = 0
    return values


@pytest.fixture(scope='module')
def scene(pixels, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp('scenes') / 'place.tif'
    return write_raster(path, pixels, COLOURS, nodata=0)


def _options(patch: int | None = None, stride: int | None = None) -> Options:
    return Options(patch, stride, DEFAULT_READING)


def _layer(folder: Path, name: str) -> np.ndarray:
    with rasterio.open(folder / f'{name}.tif') as file:
        return file.read(1)


def _summary(folder: Path) -> dict[str, Any]:
    return json.loads((folder / 'summary.json').read_text())


def _slow_map(case: TinyRun, pixels: np.ndarray, patch: int, stride: int) -> dict[str, np.ndarray]:
    """Every patch by itself, added to its pixels."""
    height, width, _ = pixels.shape
    places = [
        (r, c)
        for r in range(0, height - patch + 1, stride)
        for c in range(0, width - patch + 1, stride)
        if pixels[r : r + patch, c : c + patch].any(-1).all()
    ]
    images = np.stack([pixels[r : r + patch, c : c + patch] for r, c in places])
    images = resample(images, 16)
    scores = score_all(case.run, ('logits', 'log_density'), case.state, images)
    p = softmax(scores['logits'].astype(np.float64), axis=-1)
    count = np.zeros((height, width))
    total, density = np.zeros((height, width, p.shape[1])), np.zeros((height, width))
    for (r, c), chances, value in zip(places, p, scores['log_density'], strict=True):
        here = (slice(r, r + patch), slice(c, c + patch))
        count[here] += 1
        total[here] += chances
        density[here] += value
    with np.errstate(invalid='ignore'):
        mean, density = total / count[..., None], density / count
    return {
        'classes': np.where(count > 0, mean.argmax(-1), 255),
        'confidence': mean.max(-1),
        'log_density': density,
        'count': count,
        'of_patches': scores['log_density'],
    }


@pytest.mark.parametrize(
    ('height', 'width', 'patch', 'stride'), [(40, 50, 16, 16), (40, 50, 16, 4), (37, 20, 9, 1)]
)
def test_strips_hold_every_patch_and_each_pixel_is_read_once(
    tmp_path, monkeypatch, height, width, patch, stride
):
    values = np.random.default_rng(0).integers(1, 256, (height, width, 3), dtype=np.uint8)
    values[height // 2, width // 2] = 0
    read = np.zeros(height, int)
    original = Raster.read

    def recorded(self: Raster, row: int, column: int, high: int, wide: int) -> Any:
        assert high <= patch
        assert (column, wide) == (0, width)
        read[row : row + high] += 1
        return original(self, row, column, high, wide)

    monkeypatch.setattr(Raster, 'read', recorded)
    path = write_raster(tmp_path / 'a.tif', values, COLOURS, nodata=0)
    with Raster(path, COLOURS) as raster:
        tiling = Tiling(height, width, patch, stride)
        strips = list(_copies(read_strips(raster, tiling)))
    rows = range(0, height - patch + 1, stride)
    columns = range(0, width - patch + 1, stride)
    assert (tiling.rows, tiling.columns) == (len(rows), len(columns)) == (len(strips), len(columns))
    assert (read[: rows[-1] + patch] == 1).all()
    assert (read <= 1).all()
    for row, strip in zip(rows, strips, strict=True):
        expected = [values[row : row + patch, c : c + patch] for c in columns]
        np.testing.assert_array_equal(strip['whole'], [e.any(-1).all() for e in expected])
        np.testing.assert_array_equal(strip['patches'], np.stack(expected))


def _copies(strips: Iterator[Any]) -> Iterator[dict[str, np.ndarray]]:
    for strip in strips:
        yield {'whole': strip.whole, 'patches': np.moveaxis(strip.patches, 1, -1).copy()}


@pytest.mark.parametrize(('patch', 'stride'), [(4, 4), (4, 2), (4, 1), (6, 2)])
def test_cells_without_overlap_and_with_it_take_the_means_of_their_patches(patch, stride):
    tiling = Tiling(13, 17, patch, stride)
    rng = np.random.default_rng(1)
    whole = rng.random((tiling.rows, tiling.columns)) < 0.6
    chances = rng.random((tiling.rows, tiling.columns, 3))
    density = rng.normal(0, 1e3, (tiling.rows, tiling.columns))
    rows = (ScoredRow(w, p[w], d[w]) for w, p, d in zip(whole, chances, density, strict=True))
    found = list(average_rows(rows, tiling))
    assert len(found) == tiling.cell_rows
    values: dict[tuple[int, int], list[tuple[int, int]]] = {}
    for r, c in np.argwhere(whole):
        for cell in np.ndindex(tiling.overlap, tiling.overlap):
            values.setdefault((r + cell[0], c + cell[1]), []).append((r, c))
    for number, row in enumerate(found):
        assert row.log_density is not None
        for column in range(tiling.cell_columns):
            over = values.get((number, column), [])
            assert row.classified[column] == bool(over)
            if over:
                expected = np.mean([chances[place] for place in over], axis=0)
                np.testing.assert_allclose(row.probabilities[column], expected)
                mean = np.mean([density[place] for place in over])
                assert row.log_density[column] == pytest.approx(mean)


@pytest.mark.parametrize(('patch', 'stride'), [(16, 16), (16, 4), (32, 8)])
def test_map_equals_a_slow_computation(jem, model, pixels, scene, tmp_path, patch, stride):
    summary = job.map_scene(Job(scene, tmp_path), model, _options(patch, stride))
    expected = _slow_map(jem, pixels, patch, stride)
    # Batches of 32 run on across rows of patches, as in the slow computation: so the network's
    # noise is the same.
    np.testing.assert_array_equal(_layer(tmp_path, 'class_map'), expected['classes'])
    confidence, density = _layer(tmp_path, 'confidence'), _layer(tmp_path, 'log_density')
    np.testing.assert_allclose(confidence, expected['confidence'], rtol=1e-5)
    np.testing.assert_allclose(density, expected['log_density'], rtol=1e-4, atol=1e-4)
    training = reference_scores(jem.run, jem.state, ('log_density',))['log_density']
    threshold = np.percentile(training, 1)
    assert summary['unseen_threshold'] == pytest.approx(threshold)
    assert summary['patches'] == len(expected['of_patches'])
    assert summary['share_unseen'] == np.mean(expected['of_patches'] < threshold)
    near = np.abs(density - threshold) < 1e-3
    unseen = np.where(expected['count'] > 0, density < threshold, 255)
    np.testing.assert_array_equal(_layer(tmp_path, 'unseen')[~near], unseen[~near])
    assert summary['mean_confidence'] == pytest.approx(np.nanmean(confidence), rel=1e-4)


def test_what_holds_no_data_is_never_classified(model, pixels, scene, tmp_path):
    job.map_scene(Job(scene, tmp_path), model, _options(16, 2))
    empty = ~pixels.any(-1)
    for name in LAYERS:
        layer = _layer(tmp_path, name)
        missing = np.isnan(layer) if layer.dtype == np.float32 else layer == 255
        assert missing[empty].all()
        assert not missing.all()
        assert missing[:, 90:].all()


def test_layers_lie_on_the_scene(model, scene, tmp_path):
    job.map_scene(Job(scene, tmp_path), model, _options())
    assert {path.name for path in tmp_path.iterdir()} == FILES
    for name in LAYERS:
        with rasterio.open(scene) as original, rasterio.open(tmp_path / f'{name}.tif') as file:
            assert file.shape == original.shape
            assert file.crs == original.crs == CRS.from_string(UTM)
            assert file.transform == original.transform == TRANSFORM
            assert file.tags(ns='IMAGE_STRUCTURE')['LAYOUT'] == 'COG'
            assert file.dtypes == (('uint8' if name in ('class_map', 'unseen') else 'float32'),)
            assert file.nodata == 255 if file.dtypes == ('uint8',) else np.isnan(file.nodata)
            assert file.descriptions[0]


def test_class_map_names_and_colours_its_classes(model, scene, tmp_path):
    job.map_scene(Job(scene, tmp_path), model, _options())
    with rasterio.open(tmp_path / 'class_map.tif') as file:
        tags, colours = file.tags(), file.colormap(1)
    assert [tags[f'CLASS_{i}'] for i in range(10)] == list(CLASS_NAMES)
    for number, name in enumerate(CLASS_NAMES):
        assert '#{:02x}{:02x}{:02x}'.format(*colours[number][:3]) == CLASS_COLOURS[name]
    assert colours[255][3] == 0
    # GDAL itself reads the names of the categories.
    rasterio.shutil.copy(tmp_path / 'class_map.tif', tmp_path / 'a.vrt', driver='VRT')
    tree = ElementTree.parse(tmp_path / 'a.vrt')
    assert [entry.text for entry in tree.iter('Category')] == list(CLASS_NAMES)


def test_a_rotated_transform_and_an_odd_grid_are_kept_exactly(model, tmp_path):
    values = np.random.default_rng(2).integers(1, 256, (40, 40, 3), dtype=np.uint8)
    turned = Affine(9.8125, 2.39, 362612.19685932994, 2.4, -9.61, 1987088.206431803)
    path = write_raster(tmp_path / 'a.tif', values, COLOURS, transform=turned, crs='EPSG:32648')
    job.map_scene(Job(path, tmp_path / 'out'), model, _options())
    with rasterio.open(path) as original, rasterio.open(tmp_path / 'out/confidence.tif') as file:
        assert tuple(file.transform) == tuple(original.transform)
        assert file.crs == original.crs


def test_large_layers_have_overviews(model, tmp_path):
    values = np.random.default_rng(3).integers(1, 256, (700, 1100, 3), dtype=np.uint8)
    path = write_raster(tmp_path / 'a.tif', values, COLOURS)
    summary = job.map_scene(Job(path, tmp_path / 'out'), model, _options(100))
    for name in LAYERS:
        with rasterio.open(tmp_path / f'out/{name}.tif') as file:
            assert file.overviews(1)
            assert file.block_shapes == [(512, 512)]
        with rasterio.open(tmp_path / f'out/{name}.tif', overview_level=0) as file:
            reduced = file.read(1)
        # Of uniform patches, away from their edges, both ways of reducing keep the value.
        np.testing.assert_array_equal(
            reduced[25::50, 25::50], _layer(tmp_path / 'out', name)[50::100, 50::100]
        )
    assert summary['patches'] == 77


def test_hectares_add_up_to_the_scene(model, scene, tmp_path, capsys):
    summary = job.map_scene(Job(scene, tmp_path), model, _options(16, 8))
    classes = _layer(tmp_path, 'class_map')
    for number, name in enumerate(CLASS_NAMES):
        assert summary['hectares'][name] == pytest.approx(np.sum(classes == number) * 0.01)
    total = sum(summary['hectares'].values()) + summary['hectares_unclassified']
    assert total == pytest.approx(70 * 90 * 0.01)
    share = summary['hectares_unclassified'] / total
    assert share > 0.01
    map_scene._tell(Job(scene, tmp_path), summary)
    assert f'; {share:.1%} of the scene not classified; ' in capsys.readouterr().out


def test_hectares_of_degrees_shrink_towards_the_pole(model, tmp_path):
    values = np.random.default_rng(4).integers(1, 256, (64, 32, 3), dtype=np.uint8)
    degrees = Affine(0.1, 0.0, 10.0, 0.0, -0.1, 66.4)
    path = write_raster(tmp_path / 'a.tif', values, COLOURS, crs='EPSG:4326', transform=degrees)
    summary = job.map_scene(Job(path, tmp_path / 'out'), model, _options(16))
    # The zone of 3.2 degrees of longitude on the ellipsoid WGS 84, in closed form.
    zone = _zone(66.4, 60.0, 3.2) / 1e4
    assert sum(summary['hectares'].values()) == pytest.approx(zone, rel=1e-5)
    # 5 by 11 km.
    assert 'shapes are stretched' in ' '.join(summary['notes'])


def _zone(north: float, south: float, longitudes: float) -> float:
    """Square metres between two parallels of WGS 84, all in degrees."""
    sine = np.sin(np.deg2rad([south, north]))
    squared = 0.00669437999014
    e = squared**0.5
    up_to = sine / (1 - squared * sine**2) + np.log((1 + e * sine) / (1 - e * sine)) / (2 * e)
    return 6378137.0**2 * (1 - squared) / 2 * np.deg2rad(longitudes) * np.diff(up_to)[0]


def test_hectares_of_web_mercator_are_those_of_the_ground(model, tmp_path):
    values = np.random.default_rng(4).integers(1, 256, (64, 64, 3), dtype=np.uint8)
    # Near 60 degrees north, where 100 m of the map are 50 m of ground.
    mercator = Affine(100.0, 0.0, 1113194.0, 0.0, -100.0, 8399737.0)
    path = write_raster(tmp_path / 'a.tif', values, COLOURS, crs='EPSG:3857', transform=mercator)
    summary = job.map_scene(Job(path, tmp_path / 'out'), model, _options(16))
    x, y = transform('EPSG:3857', 'EPSG:4326', [1113194.0, 1119594.0], [8399737.0, 8393337.0])
    zone = _zone(y[0], y[1], x[1] - x[0]) / 1e4
    assert zone == pytest.approx(6400 * 6400 / 1e4 / 4, rel=0.01)
    assert sum(summary['hectares'].values()) == pytest.approx(zone, rel=1e-5)


def test_the_mask_beside_a_scene_is_part_of_it(model, tmp_path):
    values = np.random.default_rng(4).integers(1, 256, (64, 64, 3), dtype=np.uint8)
    path, out = write_raster(tmp_path / 'a.tif', values, COLOURS), tmp_path / 'out'

    def mapped(rows: int) -> int:
        """With a mask, beside the file, of the first rows."""
        valid = np.arange(64)[:, None].repeat(64, 1) < rows
        with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=False), rasterio.open(path, 'r+') as file:
            file.write_mask(valid)
        os.utime(path, ns=(10**18, 10**18))
        return job.map_scene(Job(path, out), model, _options(16))['patches']

    assert (mapped(64), mapped(64), mapped(32), mapped(64)) == (16, 16, 8, 16)


def test_a_scene_placed_by_points_is_mapped_and_keeps_them(model, tmp_path):
    values = np.random.default_rng(4).integers(1, 256, (64, 64, 3), dtype=np.uint8)
    path = write_raster(tmp_path / 'a.tif', values, COLOURS, crs=None, transform=Affine.identity())
    # Pixels of 0.001 degrees, near the equator.
    points = [(0, 0, 10.0, 0.0), (0, 64, 10.064, 0.0), (64, 0, 10.0, -0.064)]
    with rasterio.open(path, 'r+') as file:
        file.gcps = [GroundControlPoint(*point) for point in points], 'EPSG:4326'
    summary = job.map_scene(Job(path, tmp_path / 'out'), model, _options(16))
    assert sum(summary['hectares'].values()) == pytest.approx(
        _zone(0, -0.064, 0.064) / 1e4, rel=1e-4
    )
    for name in LAYERS:
        with rasterio.open(tmp_path / 'out' / f'{name}.tif') as file:
            assert [(p.row, p.col, p.x, p.y) for p in file.gcps[0]] == points
            assert file.gcps[1].to_epsg() == 4326
            assert file.crs is None


def test_all_levels_of_a_scene_give_the_same_map(model, tmp_path):
    ground = surface(48, 48) * 1e4
    air = sentinel2.to_level_1c(ground, RGB, Level.L2A, 0.0)
    scenes = {
        'l2a': np.rint(ground).astype(np.uint16),
        'l1c': np.rint(air).astype(np.uint16),
        'eight_bit': np.clip(np.rint(air * 255 / 2750), 0, 255).astype(np.uint8),
    }
    for name, values in scenes.items():
        path = write_raster(tmp_path / f'{name}.tif', values, RGB)
        summary = job.map_scene(Job(path, tmp_path / name), model, _options())
        assert summary['patches'] == 9
    first, *others = (_layer(tmp_path / name, 'log_density') for name in scenes)
    assert np.std(first) > 0
    for other in others:
        np.testing.assert_allclose(other, first, atol=0.05 * np.abs(first).mean())


def test_only_the_last_batch_is_not_full_and_nothing_is_compiled_again(
    jem, model, scene, tmp_path, caplog
):
    job.map_scene(Job(scene, tmp_path / 'a'), model, _options(16, 8))
    with jax.log_compiles(), caplog.at_level('WARNING'):
        job.map_scene(Job(scene, tmp_path / 'b'), model, _options(16, 4))
        assert not [r for r in caplog.records if 'Finished XLA compilation' in r.message]
        jax.jit(lambda x: x + 1)(np.zeros(3))  # the log does say it when something is compiled
        assert [r for r in caplog.records if 'Finished XLA compilation' in r.message]


def _main(jem: TinyRun, out: Path, *scenes: Path | str, **options: object) -> None:
    more = [f'--{name}={value}' for name, value in options.items()]
    map_scene.main(
        [f'--workdir={jem.folder}', f'--out={out}', *(f'--scene={s}' for s in scenes), *more]
    )


def _times(folder: Path) -> dict[str, int]:
    return {path.name: path.stat().st_mtime_ns for path in folder.iterdir()}


def test_a_complete_map_is_not_made_again_and_a_changed_one_is(jem, model, scene, tmp_path, capsys):
    copy, out = Path(shutil.copy(scene, tmp_path / 'place.tif')), tmp_path / 'out'
    _main(jem, out, copy)
    assert 'place.tif: ' in capsys.readouterr().out
    made = _times(out)
    _main(jem, out, copy)
    assert _times(out) == made
    assert f'its map in {out} is complete' in capsys.readouterr().err

    def made_again(stride: int = 16, **reading: Any) -> bool:
        nonlocal made
        before = made
        options = Options(None, stride, Reading(**reading))
        job.map_scene(Job(copy, out), model, options)
        made = _times(out)
        assert made.keys() == FILES
        return all(made[name] != before.get(name) for name in FILES)

    assert not made_again()
    assert made_again(stride=8)
    assert made_again(stride=8, bands='3,2,1')
    assert made_again(bands='3,2,1', nodata=7.0)
    (out / 'unseen.tif').unlink()
    assert made_again()
    os.utime(copy, (1, 1))
    assert made_again()
    (out / 'summary.json').write_text('{"settings": ')
    assert made_again()


def test_another_training_in_the_same_folder_is_noticed(model, scene, tmp_path):
    job.map_scene(Job(scene, tmp_path), model, _options())
    other = jax.tree.map(lambda leaf: leaf * 1.01, model.state.trained.average)
    changed = map_model.prepare_model(model.run, with_trained(model.state, average=other))
    before = _times(tmp_path)
    job.map_scene(Job(scene, tmp_path), changed, _options())
    assert not set(before.items()) & set(_times(tmp_path).items())


@pytest.mark.parametrize('where', ['figure', 'copy', 'rows'])
def test_nothing_half_written_is_left(jem, model, scene, tmp_path, monkeypatch, where, capsys):
    out = tmp_path / 'out'
    job.map_scene(Job(scene, out), model, _options())
    before = _times(out)
    (out / '.map_scene-old').mkdir()  # of a command that was killed
    (out / '.map_scene-old' / 'class_map.tif').write_bytes(b'half')
    calls = []

    def full(*arguments: object, **options: object) -> None:
        calls.append(sorted(path.name for path in out.iterdir() if path.name[0] == '.'))
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    if where == 'figure':
        monkeypatch.setattr(figures, 'scene_map', full)
    elif where == 'copy':
        monkeypatch.setattr(rasterio.shutil, 'copy', full)
    else:
        monkeypatch.setattr(LayerFiles, 'write', full)
    error = _fails(capsys, jem, out, scene, stride=8)
    assert 'No space left on device' in error
    assert f'{out} cannot be written to' in error
    assert len(calls[0]) == 1
    assert calls[0] != ['.map_scene-old']
    assert _times(out) == before


@pytest.fixture
def at_most_bytes() -> Iterator[Any]:
    """Files beyond a size are refused, as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)

    def limit(num: int) -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (num, before[1]))

    yield limit
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize('limit', [4_000, 300_000, 1_000_000])
def test_what_gdal_could_not_write_is_noticed(tmp_path, at_most_bytes, limit):
    """GDAL writes late, and says nothing where it closes a file: yet no file passes as whole."""
    values = np.random.default_rng(5).integers(1, 256, (700, 700, 3), dtype=np.uint8)
    path = write_raster(tmp_path / 'a.tif', values, COLOURS)
    noise = np.random.default_rng(6).random((700, 700)).astype(np.float32)

    def write(folder: Path) -> None:
        folder.mkdir()
        with (
            Raster(path, COLOURS) as raster,
            written(folder),
            LayerFiles(folder, raster, [Layer('noise', 'noise')], {}) as files,
        ):
            for line in noise:
                files.write({'noise': line}, np.ones(700, bool), 1)
            files.finish()

    write(tmp_path / 'whole')
    np.testing.assert_array_equal(_layer(tmp_path / 'whole', 'noise'), noise)
    assert (tmp_path / 'whole' / 'noise.tif').stat().st_size > 1_000_000
    at_most_bytes(limit)
    with pytest.raises(UserError, match='cannot be written to'):
        write(tmp_path / 'full')


def test_a_block_that_is_missing_is_noticed(tmp_path, monkeypatch):
    values = np.full((600, 600, 3), 9, np.uint8)
    path = write_raster(tmp_path / 'a.tif', values, COLOURS)
    copy = rasterio.shutil.copy

    def without_a_block(source: Path, target: Path, **options: Any) -> None:
        with rasterio.open(source, 'r+') as file:
            file.write(np.full((88, 600), np.nan, np.float32), 1, window=((512, 600), (0, 600)))
        copy(source, target, **options)

    monkeypatch.setattr(rasterio.shutil, 'copy', without_a_block)
    with (
        Raster(path, COLOURS) as raster,
        LayerFiles(tmp_path, raster, [Layer('ones', 'ones')], {}) as files,
    ):
        files.write({'ones': np.ones(1, np.float32)}, np.ones(1, bool), 600)
        with pytest.raises(OSError, match='not complete'):
            files.finish()


def test_several_scenes_have_folders_and_a_summary_of_all(jem, scene, tmp_path):
    folder, out = tmp_path / 'scenes', tmp_path / 'out'
    folder.mkdir()
    shutil.copy(scene, folder / 'b.TIF')
    shutil.copy(scene, folder / 'a.tiff')
    (folder / 'notes.txt').write_text('no scene')
    (folder / '.hidden.tif').write_text('no scene')
    _main(jem, out, folder, scene)
    names = ['a', 'b', 'place']
    assert {path.name for path in out.iterdir()} == {*names, 'summary.json'}
    for name in names:
        assert {path.name for path in (out / name).iterdir()} == FILES
    assert _summary(out) == {'scenes': [_summary(out / name) for name in names]}


def _fails(capsys: Any, jem: TinyRun, out: Path, *scenes: Path | str, **options: object) -> str:
    capsys.readouterr()
    with pytest.raises(SystemExit) as stopped:
        _main(jem, out, *scenes, **options)
    assert stopped.value.code == 1
    lines = [x for x in capsys.readouterr().err.splitlines() if x.startswith('eojax:')]
    assert len(lines) == 1, lines
    assert not (out / 'summary.json').exists() or out.name == 'out'
    return lines[0]


def test_mistakes_on_the_command_line_are_one_line(jem, scene, tmp_path, capsys):
    out, empty = tmp_path / 'maps', tmp_path / 'empty'
    empty.mkdir()
    twin = tmp_path / 'twin'
    twin.mkdir()
    shutil.copy(scene, twin)
    assert 'no such file or folder' in _fails(capsys, jem, out, tmp_path / 'nowhere')
    assert 'no GeoTIFF' in _fails(capsys, jem, out, empty)
    assert 'have the same name' in _fails(capsys, jem, out, scene, twin)
    assert '--stride must be at least 1' in _fails(capsys, jem, out, scene, stride=0)
    assert '--patch must be at least 1' in _fails(capsys, jem, out, scene, patch=-1)
    assert 'does not divide the patch of 20' in _fails(capsys, jem, out, scene, patch=20, stride=7)
    assert 'does not divide the patch of 16' in _fails(capsys, jem, out, scene, stride=5)
    assert 'smaller than a patch of 80x80' in _fails(capsys, jem, out, scene, patch=80)
    assert 'names 2 band(s)' in _fails(capsys, jem, out, scene, bands='1,2')
    copied = Path(shutil.copy(scene, tmp_path / 'class_map.tif'))
    assert 'would overwrite it' in _fails(capsys, jem, tmp_path, copied)


def test_scenes_that_cannot_be_mapped_are_one_line(jem, tmp_path, capsys):
    rng = np.random.default_rng(7)
    values, out = rng.integers(1, 256, (600, 600, 4), dtype=np.uint8), tmp_path / 'maps'
    path = write_raster(tmp_path / 'four.tif', values, colours=(ColorInterp.gray,) * 4)
    assert 'say which they are' in _fails(capsys, jem, out, path)
    path = write_raster(tmp_path / 'nowhere.tif', values[..., :3], crs=None)
    assert 'would lie nowhere on Earth' in _fails(capsys, jem, out, path)
    path = write_raster(tmp_path / 'empty.tif', np.zeros((40, 40, 3), np.uint8), nodata=0)
    assert 'no patch of 16x16 pixels has data in all' in _fails(capsys, jem, out, path)
    path = tmp_path / 'broken.tif'
    whole = write_raster(tmp_path / 'whole.tif', values[..., :3])
    rasterio.shutil.copy(whole, path, driver='COG', compress='deflate')
    os.truncate(path, path.stat().st_size * 2 // 3)
    assert 'broken or truncated' in _fails(capsys, jem, out, path, patch=100)
    assert not any(path.is_file() or any(path.iterdir()) for path in out.iterdir())


def test_a_classifier_alone_gives_classes_and_confidence(jem, scene, tmp_path, capsys):
    folder, out = tmp_path / 'supervised', tmp_path / 'out'
    shutil.copytree(tiny_run('supervised').folder, folder)
    _main(jem, out, scene)
    _main(jem._replace(folder=folder), out, scene)
    names = {path.name for path in out.iterdir()}
    assert names == FILES - {'log_density.tif', 'unseen.tif', 'unseen.tif.aux.xml'}
    assert not {'share_unseen', 'unseen_threshold'} & _summary(out).keys()
    assert "method 'supervised' has learned no p(x)" in capsys.readouterr().err
    assert not (folder / 'reference').exists()


def test_a_run_that_was_stopped_is_mapped_without_its_data(
    jem, model, scene, tmp_path, monkeypatch, capsys
):
    """All but what its training images would say: which log p(x) is low."""

    def no_data(*_: Any) -> None:
        raise UserError('no data at /elsewhere')

    monkeypatch.setattr(map_model, 'reference_scores', no_data)
    known, out = tmp_path / 'known', tmp_path / 'out'
    job.map_scene(Job(scene, known), model, _options())
    _main(jem, out, scene)
    assert {path.name for path in out.iterdir()} == FILES - {'unseen.tif', 'unseen.tif.aux.xml'}
    for name in ('class_map', 'log_density'):
        np.testing.assert_array_equal(_layer(out, name), _layer(known, name))
    assert 'share_unseen' not in _summary(out)
    lines = [line for line in capsys.readouterr().err.splitlines() if '/elsewhere' in line]
    assert len(lines) == 1
    assert 'no unseen.tif' in lines[0]


def test_classes_have_colours_of_their_own():
    assert len(set(class_colours(CLASS_NAMES, CLASS_COLOURS))) == 10
    for num in (1, 17, 255):
        colours = class_colours([f'class {number}' for number in range(num)])
        assert len(set(colours)) == num
        assert all(0 <= value <= 255 for colour in colours for value in colour)


def test_processes_share_the_scenes_out(jem, scene, tmp_path):
    """And wait for each other at the end, when process 0 sums up."""
    folder, out = tmp_path / 'scenes', tmp_path / 'out'
    folder.mkdir()
    for name in ('a', 'b', 'c'):
        shutil.copy(scene, folder / f'{name}.tif')
    command = ['-m', 'eojax.apps.map_scene', f'--workdir={jem.folder}', f'--scene={folder}']
    codes = wait_for(start_processes(2, 1, [*command, f'--out={out}'], tmp_path / 'logs'))
    logs = [(tmp_path / f'logs/{number}.log').read_text() for number in range(2)]
    assert codes == [0, 0], logs
    for number, name in ((0, 'a'), (1, 'b'), (0, 'c')):
        assert {path.name for path in (out / name).iterdir()} == FILES
        mine = [n for n, log in enumerate(logs) if f'the map is in {out / name}' in log]
        assert mine == [number]
    assert [Path(s['scene']).stem for s in _summary(out)['scenes']] == ['a', 'b', 'c']
    _main(jem, tmp_path / 'alone', scene)
    np.testing.assert_array_equal(
        _layer(out / 'b', 'class_map'), _layer(tmp_path / 'alone', 'class_map')
    )
