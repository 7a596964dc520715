"""Maps with sets of classes, ground that is left open, and corrected areas."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from rasterio.warp import transform

import eojax
from eojax.apps.map_scene import command, job
from eojax.apps.map_scene import model as map_model
from eojax.apps.map_scene.guarantees import Guarantees, SetTotals, Wanted, summary_of
from eojax.apps.map_scene.reference_places import check_places, read_points
from eojax.apps.map_scene.scene import Job, Options
from eojax.data.reading.raster import DEFAULT_READING, Raster
from eojax.errors import UserError
from eojax.evaluation.guarantees.rules import Asked, calibrate_sets
from eojax.evaluation.guarantees.sample import validation_sample
from tests.data.rasters import TRANSFORM, UTM, write_raster
from tests.tiny_runs import TinyRun, tiny_run

COLOURS = ('red', 'green', 'blue')
SIDE = 128


@pytest.fixture(scope='module')
def jem(tmp_path_factory) -> TinyRun:
    case = tiny_run('jem')
    folder = tmp_path_factory.mktemp('runs') / 'jem'
    shutil.copytree(case.folder, folder)
    return case._replace(run=case.run._replace(folder=folder), folder=folder)


@pytest.fixture(scope='module')
def scene(tmp_path_factory) -> Path:
    random = np.random.default_rng(0)
    cells = random.integers(1, 256, (8, 8, 3))
    values = cells.repeat(16, 0).repeat(16, 1) // 2 + random.integers(1, 127, (SIDE, SIDE, 3))
    values[:16, :16] = 0
    path = tmp_path_factory.mktemp('scenes') / 'place.tif'
    return write_raster(path, values.astype(np.uint8), COLOURS, nodata=0)


def _map(jem: TinyRun, scene: Path, out: Path, wanted: Wanted, stride: int = 16) -> dict[str, Any]:
    model = map_model.prepare_model(jem.run, jem.state, 1.0, wanted)
    return job.map_scene(Job(scene, out), model, Options(16, stride, DEFAULT_READING))


def _layer(folder: Path, name: str) -> np.ndarray:
    with rasterio.open(folder / f'{name}.tif') as file:
        return file.read(1)


def _plain(jem: TinyRun, scene: Path, out: Path) -> np.ndarray:
    """The class map without anything left open."""
    _map(jem, scene, out, Wanted())
    return _layer(out, 'class_map')


@pytest.mark.parametrize(('kind', 'stride'), [('lac', 16), ('aps', 8)])
def test_sets_hold_the_classes_that_the_rule_says(jem, scene, tmp_path, kind, stride):
    asked = Asked(coverage=0.7, set_score=kind)
    summary = _map(jem, scene, tmp_path, Wanted(asked), stride)
    sizes, bits = _layer(tmp_path, 'set_size'), _layer(tmp_path, 'class_set')
    empty = _layer(tmp_path, 'class_map') == 255
    assert (sizes[empty] == 255).all()
    assert (bits[empty] == 2**32 - 1).all()
    counts = sum((bits[~empty] >> bit) & 1 for bit in range(10))
    np.testing.assert_array_equal(counts, sizes[~empty])
    assert summary['sets']['mean_size'] == pytest.approx(sizes[~empty].mean())
    assert summary['sets']['share_one'] == pytest.approx((sizes[~empty] == 1).mean())
    rule = calibrate_sets(validation_sample(jem.run, jem.state), 0.7, kind)
    assert summary['sets']['threshold'] == rule.threshold
    overlap = [note for note in summary['guarantee_notes'] if 'averaged over those' in note]
    assert bool(overlap) == (stride < 16)
    if kind == 'lac':
        top, confidence = _layer(tmp_path, 'class_map'), _layer(tmp_path, 'confidence')
        inside = (bits[~empty] >> top[~empty]) & 1
        np.testing.assert_array_equal(inside, 1.0 - confidence[~empty] <= rule.threshold)
    with rasterio.open(tmp_path / 'class_set.tif') as file:
        assert file.dtypes == ('uint32',)
        assert file.tags()['BIT_1'] == 'Forest'


@pytest.mark.parametrize('averaged', [False, True])
def test_corrections_of_areas_are_those_of_single_patches_too(averaged):
    known = Guarantees(counts=np.ones((2, 2, 2), np.int64))
    told = summary_of(known, np.ones(2), True, SetTotals(2), None, averaged)
    assert [note.partition(':')[0] for note in told.get('guarantee_notes', [])] == averaged * [
        'sets, thresholds and errors are those of single patches or windows, and here p(y|x) is'
        ' averaged over those that overlap'
    ]


def test_what_is_left_open_is_a_class_of_its_own_and_counted_apart(jem, scene, tmp_path, capsys):
    plain = _plain(jem, scene, tmp_path / 'plain')
    summary = _map(jem, scene, tmp_path, Wanted(Asked(not_known=0.5)))
    classes, confidence = _layer(tmp_path, 'class_map'), _layer(tmp_path, 'confidence')
    open_ground = classes == 10
    here = plain != 255
    limit = summary['not_known']['threshold']
    np.testing.assert_array_equal(open_ground[here], confidence[here] < limit)
    np.testing.assert_array_equal(classes[~open_ground], plain[~open_ground])
    assert summary['not_known']['share'] == pytest.approx(open_ground.sum() / here.sum())
    hectares = summary['not_known']['hectares'] + sum(summary['hectares'].values())
    assert hectares == pytest.approx(here.sum() / 100.0, rel=1e-3)
    with rasterio.open(tmp_path / 'class_map.tif') as file:
        assert file.tags()['CLASS_10'] == 'not known'
        assert file.colormap(1)[10] == (120, 120, 120, 255)
    assert 'hectares' in summary


def _points(path: Path, rows: list[dict[str, Any]]) -> Path:
    with open(path, 'w', encoding='utf-8', newline='') as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def _drawn(plain: np.ndarray, names: tuple[str, ...], num: int = 60) -> list[dict[str, Any]]:
    """Points whose class is the map's, but for every fourth."""
    random = np.random.default_rng(1)
    rows, columns = (random.integers(0, SIDE, num) for _ in range(2))
    drawn = []
    for number, (row, column) in enumerate(zip(rows, columns, strict=True)):
        label = plain[row, column] if plain[row, column] != 255 else 0
        name = names[(label + (number % 4 == 0)) % len(names)]
        x, y = TRANSFORM @ (column + 0.5, row + 0.5)
        drawn.append({'x': x, 'y': y, 'class': name, 'block': f'plot {number // 3}'})
    return drawn


def test_areas_by_points_of_the_scene(jem, scene, tmp_path, capsys):
    names, plain = jem.run.facts.class_names, _plain(jem, scene, tmp_path / 'plain')
    drawn = _drawn(plain, names)
    far = {'x': 0.0, 'y': 0.0, 'class': 'Forest', 'block': 'far'}
    file = _points(tmp_path / 'points.csv', [*drawn, far])
    summary = _map(jem, scene, tmp_path / 'map', Wanted(Asked(areas=True), file))
    said = capsys.readouterr().err
    assert '1 point outside of the scene left out' in said
    assert 'fewer than 10 blocks where the map says' in said
    areas = summary['areas']
    with Raster(scene, COLOURS) as raster:
        points = read_points(file, raster, names)
    assert points.outside == 1
    mapped = plain[points.rows, points.columns]
    here = mapped != 255
    assert areas['reference_places'] == here.sum()
    assert areas['reference_blocks'] == len({*points.blocks[here].tolist()})
    weights = np.bincount(plain[plain != 255], minlength=10) / (plain != 255).sum()
    shares = {row['class']: row for row in areas['classes']}
    for number, name in enumerate(names):
        assert shares[name]['mapped_share'] == pytest.approx(weights[number], rel=1e-4)
    # By hand, of one class: W_i n_ij / n_i over the strata.
    by_hand = sum(
        weights[i] * np.mean(points.labels[here][mapped[here] == i] == 1)
        for i in np.unique(mapped[here])
        if len({*points.blocks[here][mapped[here] == i].tolist()}) >= 2
    )
    assert shares[names[1]]['share'] >= by_hand - 1e-6
    with open(tmp_path / 'map' / 'areas.csv', encoding='utf-8', newline='') as table:
        written = list(csv.DictReader(table))
    assert [row['class'] for row in written] == list(names)
    assert float(written[0]['mapped_hectares']) == pytest.approx(summary['hectares'][names[0]])
    assert (tmp_path / 'map' / 'areas.png').exists()


def test_points_in_degrees_fall_on_the_same_pixels(jem, scene, tmp_path):
    names = jem.run.facts.class_names
    drawn = _drawn(np.zeros((SIDE, SIDE), np.uint8), names)
    longitudes, latitudes = transform(
        UTM, 'EPSG:4326', [d['x'] for d in drawn], [d['y'] for d in drawn]
    )
    features = [
        {
            'type': 'Feature',
            'geometry': {'type': 'Point', 'coordinates': [longitude, latitude]},
            'properties': {'class': d['class']},
        }
        for d, longitude, latitude in zip(drawn, longitudes, latitudes, strict=True)
    ]
    geojson = tmp_path / 'points.geojson'
    geojson.write_text(json.dumps({'type': 'FeatureCollection', 'features': features}))
    plain = _points(tmp_path / 'points.csv', drawn)
    in_degrees = _points(
        tmp_path / 'degrees.csv',
        [
            {'lon': a, 'lat': b, 'class': d['class']}
            for d, a, b in zip(drawn, longitudes, latitudes, strict=True)
        ],
    )
    with Raster(scene, COLOURS) as raster:
        one, *others = (read_points(p, raster, names) for p in (plain, geojson, in_degrees))
    for other in others:
        np.testing.assert_array_equal(one.rows, other.rows)
        np.testing.assert_array_equal(one.columns, other.columns)
        np.testing.assert_array_equal(one.labels, other.labels)
        assert len(np.unique(other.blocks)) == len(other.blocks)


def test_a_label_raster_of_all_the_scene_gives_its_own_shares(jem, scene, tmp_path):
    random = np.random.default_rng(2)
    labels = random.choice([0, 1, 1, 1, 5], (SIDE // 8, SIDE // 8)).repeat(8, 0).repeat(8, 1)
    labels[100:, 100:] = 255
    file = write_raster(tmp_path / 'truth.tif', labels[..., None].astype(np.uint8))
    wanted = Wanted(Asked(not_known=0.3), file, 16)
    summary = _map(jem, scene, tmp_path / 'map', wanted)
    here = (_layer(tmp_path / 'map', 'class_map') != 255) & (labels != 255)
    areas = summary['areas']
    assert areas['reference_places'] == here.sum()
    assert areas['reference_blocks'] > 40
    # A mask of another order would shift all classes without a word.
    names = jem.run.facts.class_names
    meaning = f'0 {names[0]}, 1 {names[1]}, ..., 9 {names[9]}'
    assert any(note.endswith(f'in their order: {meaning}') for note in summary['guarantee_notes'])
    for row, number in ((areas['classes'][0], 0), (areas['classes'][1], 1)):
        truth = np.mean(labels[here] == number)
        assert row['share_low'] < truth < row['share_high']
        assert row['share'] == pytest.approx(truth, abs=0.05)


def test_a_label_raster_says_its_classes_by_name_where_it_has_names(jem, scene, tmp_path):
    labels = np.zeros((SIDE, SIDE, 1), np.uint8)
    tags = {'CLASS_0': 'Forest'}
    file = write_raster(tmp_path / 'truth.tif', labels, tags=tags)
    summary = _map(jem, scene, tmp_path / 'map', Wanted(Asked(), file, 8))
    shares = {row['class']: row['share'] for row in summary['areas']['classes']}
    assert shares['Forest'] == pytest.approx(1.0)
    assert not any('in their order' in note for note in summary['guarantee_notes'])


def test_a_map_of_other_guarantees_is_made_anew_and_leaves_nothing_stale(jem, scene, tmp_path):
    asked = Asked(coverage=0.7, areas=True)
    first = _map(jem, scene, tmp_path, Wanted(asked))
    assert _map(jem, scene, tmp_path, Wanted(asked)) == first
    assert (tmp_path / 'areas.csv').exists()
    _map(jem, scene, tmp_path, Wanted())
    assert not {'areas.csv', 'areas.png', 'set_size.tif', 'class_set.tif'} & {
        path.name for path in tmp_path.iterdir()
    }


@pytest.mark.parametrize(
    ('rows', 'words'),
    [
        ([{'x': 0, 'y': 0, 'class': 'Forest'}], 'none of its points lies in'),
        ([{'x': 600_100, 'y': 5_299_900, 'class': 'Ice'}], "class.*'Ice'"),
        ([{'x': 'here', 'y': 5_299_900, 'class': 'Forest'}], 'line 2 has no coordinates'),
        ([{'east': 1, 'class': 'Forest'}], 'expected the columns class, and x and y'),
        # Latitude before longitude, which no projection takes.
        ([{'longitude': 47, 'latitude': 104, 'class': 'Forest'}], '47 and 104 are no longitude'),
        ([{'x': 600_100, 'y': 5_299_900, 'class': 'Forest'}], 'of one block of ground'),
    ],
)
def test_bad_points_end_in_a_line(jem, scene, tmp_path, rows, words):
    file = _points(tmp_path / 'points.csv', rows)
    with Raster(scene, COLOURS) as raster, pytest.raises(UserError, match=words):
        check_places(file, raster, jem.run.facts.class_names, 8)


def test_points_of_geojson_in_metres_end_in_a_line_and_block_0_is_a_block(jem, scene, tmp_path):
    names, file = jem.run.facts.class_names, tmp_path / 'points.geojson'

    def written(*points: tuple[float, float, int]) -> Path:
        features = [
            {
                'geometry': {'type': 'Point', 'coordinates': [x, y]},
                'properties': {'class': 'Forest', 'block': block},
            }
            for x, y, block in points
        ]
        file.write_text(json.dumps({'type': 'FeatureCollection', 'features': features}))
        return file

    with Raster(scene, COLOURS) as raster:
        with pytest.raises(UserError, match='no longitude and latitude in degrees'):
            check_places(written((600_100, 5_299_900, 1)), raster, names, 8)
        places = [(600_000 + 10.0 * i, 5_299_990.0) for i in range(1, 5)]
        x, y = transform(raster.crs, 'EPSG:4326', *zip(*places, strict=True))
        points = written(*[(*xy, i % 2) for i, xy in enumerate(zip(x, y, strict=True))])
        found = read_points(points, raster, names)
    assert found.blocks[0] == found.blocks[2]
    assert len(np.unique(found.blocks)) == 2


def test_bad_label_rasters_end_in_a_line(jem, scene, tmp_path):
    names = jem.run.facts.class_names
    values = np.full((SIDE, SIDE, 1), 77, np.uint8)
    unknown = write_raster(tmp_path / 'unknown.tif', values)
    away = write_raster(
        tmp_path / 'away.tif', values * 0, transform=TRANSFORM @ TRANSFORM.translation(9e4, 0)
    )
    floats = write_raster(tmp_path / 'floats.tif', values.astype(np.float32))
    values[:] = 255
    values[:8, :8] = 0
    one_block = write_raster(tmp_path / 'one_block.tif', values)
    with Raster(scene, COLOURS) as raster:
        for file, words in (
            (unknown, 'class 77 is none of the run'),
            (away, 'none of its labelled pixels lies in'),
            (floats, 'one band of whole numbers'),
            (one_block, 'of one block of ground'),
        ):
            with pytest.raises(UserError, match=words):
                check_places(file, raster, names, 8)


@pytest.mark.parametrize(
    ('options', 'words'),
    [
        (['--coverage=1.2'], '--coverage must lie between 0 and 1'),
        (['--not_known=-0.1'], '--not_known must lie between 0 and 1'),
        (['--not_known=0.1', '--not_known_by=set_size'], 'set --coverage'),
        (['--reference=nowhere.csv'], 'no such file'),
        (['--areas', '--reference_block=0'], '--reference_block must be at least 1'),
    ],
)
def test_bad_options_end_in_a_line(jem, scene, tmp_path, capsys, options, words):
    with pytest.raises(SystemExit) as ended:
        command.main([f'--workdir={jem.folder}', f'--scene={scene}', f'--out={tmp_path}', *options])
    assert ended.value.code != 0
    said = capsys.readouterr().err
    assert words in said
    assert said.count('\n') == 1


def test_too_few_blocks_for_a_level_end_in_a_line(jem, scene, tmp_path):
    with pytest.raises(UserError, match='need 99: ask for a lower level'):
        _map(jem, scene, tmp_path, Wanted(Asked(coverage=0.99)))


def test_from_python(jem, scene, tmp_path):
    run = eojax.open(jem.folder)
    made = run.map_scene(scene, tmp_path / 'map', patch=16, coverage=0.7, not_known=0.2, areas=True)
    assert {'set_size', 'class_set', 'areas.csv', 'areas.png'} <= made.files.keys()
    assert all(path.exists() for path in made.files.values())
    numbers = run.evaluate(out=tmp_path / 'evaluation', coverage=0.7)
    assert numbers['set_level'] == 0.7
    assert 'area_error' not in numbers
    with pytest.raises(UserError, match='coverage must lie between 0 and 1'):
        run.map_scene(scene, tmp_path / 'other', patch=16, coverage=7.0)
