"""Regions of places in the plane and what they share, and the command from images to files."""

from __future__ import annotations

import csv
import json
import math
import re
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from eojax.apps.representativeness import command, datasets, encoders, paths
from eojax.apps.representativeness.gathered import Gathered, load, save
from eojax.apps.representativeness.places import Form, even_sample
from eojax.apps.representativeness.plane import embed
from eojax.apps.representativeness.regions import (
    Grid,
    halves_iou,
    iot,
    iou,
    regions_of,
    table_of,
    union,
)
from eojax.apps.representativeness.results import Settings, judge
from eojax.data.dataset import ArraySource, Dataset, Places
from eojax.data.facts import IMAGES, UNKNOWN, Facts, Raster, valid_of
from eojax.data.reading.raster import DEFAULT_READING
from eojax.errors import UserError
from tests.data.band_files import PRODUCT, drawn_bands, write_bands, write_safe
from tests.data.rasters import write_raster
from tests.tiny_runs import tiny_run

GRID = Grid((-3.0, -3.0), 0.005, (1200, 1200))


def _disc(x: float, y: float, radius: float) -> np.ndarray:
    across, down = GRID.centres()
    return (across - x) ** 2 + (down[:, None] - y) ** 2 <= radius**2


def _square(side: float) -> np.ndarray:
    across, down = GRID.centres()
    return (np.abs(across) <= side / 2) & (np.abs(down[:, None]) <= side / 2)


@pytest.mark.parametrize('distance', [0.0, 0.5, 1.0, 1.9, 2.5])
def test_two_discs_share_what_geometry_says(distance: float):
    lens = 0.0
    if distance < 2.0:
        lens = 2 * math.acos(distance / 2) - distance / 2 * math.sqrt(4 - distance**2)
    first, second = _disc(-distance / 2, 0.0, 1.0), _disc(distance / 2, 0.0, 1.0)
    assert iou(first, second) == pytest.approx(lens / (2 * math.pi - lens), abs=2e-3)
    assert iot(first, second) == pytest.approx(lens / math.pi, abs=2e-3)


def test_nested_squares():
    small, large = _square(1.0), _square(2.0)
    for score, expected in ((iou, 0.25), (iot, 0.25)):
        assert score(small, large) == pytest.approx(expected, abs=5e-3)
    # Training that holds the whole test covers it, however much more it holds.
    assert iot(large, small) == 1.0
    assert iou(large, small) == pytest.approx(0.25, abs=5e-3)


def test_unions_are_the_last_row_and_column():
    parts = {'a': _disc(-1.0, 0.0, 0.5), 'b': _disc(1.0, 0.0, 0.5)}
    test = {'c': _disc(-1.0, 0.0, 0.5), 'd': _disc(0.0, 2.0, 0.5)}
    table = table_of(
        {**parts, 'all training': union([*parts.values()])},
        {**test, 'all test': union([*test.values()])},
    )
    assert table.rows == ('a', 'b', 'all training')
    assert table.columns == ('c', 'd', 'all test')
    np.testing.assert_allclose(table.iou[0], [1.0, 0.0, 0.5], atol=1e-9)
    np.testing.assert_allclose(table.iou[2], [0.5, 0.0, 1 / 3], atol=1e-9)
    np.testing.assert_allclose(table.iot[2], [1.0, 0.0, 0.5], atol=1e-9)
    np.testing.assert_allclose(table.iot[1], 0.0)


def test_equal_places_share_all_and_distant_ones_nothing():
    generator = np.random.default_rng(0)
    near = generator.normal(0.0, 0.4, (200, 2))
    far = generator.normal([9.0, 0.0], 0.4, (150, 2))
    other = generator.normal(0.0, 0.4, (200, 2))
    regions = regions_of([near, near.copy(), far, other], nu=0.1, gamma=4.0, cells=400)
    same, again, away, alike = regions.masks
    assert iou(same, again) == 1.0
    assert iou(same, away) == 0.0
    assert iot(same, away) == 0.0
    assert iou(same, alike) > 0.65
    assert not any(mask[[0, -1]].any() or mask[:, [0, -1]].any() for mask in regions.masks)
    # nu bounds the share of points outside, and the grid says the same of points as the SVM.
    for points, mask in ((near, same), (far, away)):
        assert regions.grid.inside(mask, points).mean() == pytest.approx(0.9, abs=0.03)


def test_halves_of_many_images_agree_better_than_those_of_few():
    points = np.random.default_rng(4).normal(0.0, 0.4, (800, 2))
    few, many = (
        [halves_iou(points[:num], 0.1, 4.0, 100, seed) or 0.0 for seed in range(4)]
        for num in (60, 800)
    )
    assert np.mean(many) > np.mean(few) + 0.1
    assert np.mean(many) > 0.7
    # The kernel joins none of these, and no region has an area.
    assert halves_iou(np.arange(12.0).reshape(6, 2) * 50.0, 0.1, 4.0, 20, seed=0) is None


def test_areas_do_not_depend_on_the_grid():
    points = np.random.default_rng(1).normal(size=(300, 2))
    areas = []
    for cells in (150, 600):
        regions = regions_of([points], 0.1, 3.0, cells)
        areas.append(regions.masks[0].sum() * regions.grid.cell**2)
    assert areas[0] == pytest.approx(areas[1], rel=0.01)


def test_the_sample_is_even_and_of_the_seed():
    sample = even_sample(1000, 10, 0, 'lille')
    assert (sample // 100 == np.arange(10)).all()
    assert not np.array_equal(sample, even_sample(1000, 10, 1, 'lille'))
    np.testing.assert_array_equal(sample, even_sample(1000, 10, 0, 'lille'))
    np.testing.assert_array_equal(even_sample(7, 10, 3, 'nice'), np.arange(7))


def test_the_plane_is_of_the_seed_and_has_unit_variance():
    features = np.random.default_rng(2).normal(size=(40, 6)) + np.repeat([[0.0], [9.0]], 20, 0)
    plane, again = (embed(features, 30.0, 50, seed=0) for _ in range(2))
    np.testing.assert_array_equal(plane.points, again.points)
    assert plane.points.var(0).mean() == pytest.approx(1.0)
    assert plane.perplexity == pytest.approx(13.0)  # a third of 39 other images
    assert plane.kept == pytest.approx(1.0)
    sides = plane.points[:20].mean(0) - plane.points[20:].mean(0)
    along = plane.points @ sides
    assert along[:20].min() > along[20:].max()
    with pytest.raises(UserError, match='same features'):
        embed(np.ones((12, 3)), 30.0, 50, seed=0)


def test_pixel_shares_leave_unknown_pixels_out():
    labels = np.full((4, 4), UNKNOWN, np.uint8)
    assert datasets.pixel_shares(labels, 3, 'tile') is None
    labels[0] = [0, 2, 2, 2]
    np.testing.assert_allclose(datasets.pixel_shares(labels, 3, 'tile'), [0.25, 0.0, 0.75])
    labels[1, 1] = 3
    with pytest.raises(UserError, match='tile: a pixel has class 3'):
        datasets.pixel_shares(labels, 3, 'tile')


def _form(window: int | None = None) -> Form:
    return Form({IMAGES: Raster()}, 16, window)


def _save(folder: Path, num: int, seed: int, size: int = 20, low: int = 0, high: int = 256) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    images = np.random.default_rng(seed).integers(low, high, (num, size, size, 3), dtype=np.uint8)
    for number, image in enumerate(images):
        Image.fromarray(image).save(folder / f'{number:02d}.png')


def test_places_of_folders_archives_and_windows(tmp_path: Path):
    for city in ('lille', 'nice'):
        _save(tmp_path / 'set' / city / 'images', 2, 0)
        _save(tmp_path / 'set' / city / 'masks', 2, 1)
    with zipfile.ZipFile(tmp_path / 'set.zip', 'w') as archive:
        for file in sorted((tmp_path / 'set').rglob('*.png')):
            archive.write(file, file.relative_to(tmp_path))

    def read(text: str, window: int | None = None):
        named = paths.parse('train', text)
        return paths.places_at(named, 'labelled', _form(window), Facts(), DEFAULT_READING, 'train')

    for text in (tmp_path / 'set', tmp_path / 'set.zip'):
        assert [(p.name, p.total) for p in read(str(text))] == [('lille', 2), ('nice', 2)]
    (one,) = read(f'{tmp_path}/set.zip/set/nice')
    assert (one.name, one.total) == ('nice', 2)
    (all_of_it,) = read(f'France={tmp_path}/set', window=8)
    assert (all_of_it.name, all_of_it.total) == ('France', 4 * 4)
    expected = np.asarray(Image.open(tmp_path / 'set' / 'lille' / 'images' / '01.png'))[8:16, :8]
    (piece,) = all_of_it.read(np.array([6]))  # the third of the second image
    assert piece.name.endswith('01.png row 8 column 0')
    np.testing.assert_array_equal(piece.rasters[0], paths.fitted(expected, _form()))
    with pytest.raises(UserError, match='20x20 pixels, smaller than a window of 32x32'):
        read(f'{tmp_path}/set', window=32)


def test_products_and_folders_of_bands_are_places(tmp_path: Path):
    rgb, other = (drawn_bands(48, seed, ('B02', 'B03', 'B04')) for seed in (0, 1))
    second = PRODUCT.replace('T48QUE', 'T48QUF')
    write_safe(tmp_path / 'all', rgb)
    write_safe(tmp_path / 'all', other, second, archive=True)
    write_bands(tmp_path / 'bands', other, 'T48QUE_{band}.tif')

    def found(text: str) -> list[tuple[str, int]]:
        named = paths.parse('test', text)
        places = paths.places_at(named, 'test', _form(16), Facts(), DEFAULT_READING, 'test')
        for place in places:
            pieces = [*place.read(np.arange(place.total))]
            assert len(pieces) == place.total
            assert all(piece.rasters[0].shape[-1] == 3 for piece in pieces)
            assert not any('/' in piece.name for piece in pieces)
        return [(place.name, place.total) for place in places]

    assert found(f'{tmp_path}/all') == [(PRODUCT, 9), (second, 9)]
    assert found(f'both={tmp_path}/all') == [('both', 18)]
    assert found(f'{tmp_path}/all/{PRODUCT}.SAFE') == [(PRODUCT, 9)]
    assert found(f'{tmp_path}/bands') == [('bands', 9)]


def test_scenes_are_cut_and_windows_without_data_left_out(tmp_path: Path):
    pixels = np.random.default_rng(0).integers(1, 256, (40, 64, 3), dtype=np.uint8)
    pixels[:10, 20:30] = 0
    scene = write_raster(tmp_path / 'delta.tif', pixels, nodata=0)
    named = paths.parse('test', str(scene))
    (place,) = paths.places_at(named, 'test', _form(16), Facts(), DEFAULT_READING, 'test')
    assert (place.name, place.total) == ('delta', 8)
    pieces = [*place.read(np.arange(8))]
    assert len(pieces) == 7
    np.testing.assert_array_equal(pieces[0].rasters[0], pixels[:16, :16])
    np.testing.assert_array_equal(pieces[1].rasters[0], pixels[:16, 32:48])


def test_windows_of_a_data_set_without_data_are_left_out():
    images = np.random.default_rng(0).integers(0, 256, (2, 32, 32, 3), np.uint8)
    valid = np.ones((2, 32, 32), bool)
    valid[1, 20, 3] = False
    rasters = {IMAGES: Raster(missing=True)}
    facts = Facts(rasters=rasters, label='none', size=(32, 32))
    sides, labels = np.full(2, 32, np.int32), np.full(2, -1, np.int32)
    source = ArraySource({IMAGES: images, valid_of(IMAGES): valid})
    dataset = Dataset(facts, Places(('a', 'b'), sides, sides, labels), source)
    for window, left in ((16, [0, 1, 2, 3, 4, 5, 7]), (None, [0])):
        place = datasets._place(dataset, 'all', 'test', np.arange(2), _form(window))
        pieces = [*place.read(np.arange(place.total))]
        names = [piece.name for piece in pieces]
        assert len(pieces) == len(left)
        assert ('b row 16 column 0' in names, 'b' in names) == (False, False)


def _blobs(num: int = 25) -> Gathered:
    """Two training places and two test places: the second of each lies where no other does."""
    generator = np.random.default_rng(0)
    centres = np.array([[0.0, 0, 0], [30, 0, 0], [0, 0, 0], [0, 30, 0]])
    features = centres.repeat(num, 0) + generator.normal(size=(4 * num, 3))
    return Gathered(
        features.astype(np.float32),
        (('a', 'labelled'), ('b', 'unlabelled'), ('a', 'test'), ('c', 'test')),
        np.arange(4).repeat(num),
        tuple(map(str, range(4 * num))),
        None,
        np.eye(2)[np.arange(4 * num) % 2],
        ('field', 'water'),
        (),
    )


def test_only_the_like_place_is_covered(tmp_path: Path):
    table = judge(_blobs(), Settings(perplexity=10.0, cells=100)).table
    assert table.rows == ('a (labelled)', 'b', 'all labelled', 'all unlabelled', 'all training')
    assert table.columns == ('a (test)', 'c', 'all test')
    assert table.iot[0, 0] > 0.5
    assert table.iot[:, 1].max() == 0.0
    assert table.iot[1].max() == 0.0
    assert table.iot[4, 0] == table.iot[0, 0]
    assert 0.0 < table.iot[4, 2] < table.iot[4, 0]


def test_features_of_a_file_give_the_same_again(tmp_path: Path):
    gathered = _blobs()
    save(gathered, tmp_path / 'features.npz')
    again = load(tmp_path / 'features.npz')
    assert again.places == gathered.places
    np.testing.assert_array_equal(again.features, gathered.features)
    np.testing.assert_array_equal(again.shares, gathered.shares)
    out = tmp_path / 'out'
    command.main([f'--features={tmp_path}/features.npz', f'--out={out}', '--grid=100',
                  '--perplexity=10'])  # fmt: skip
    expected = judge(gathered, Settings(perplexity=10.0, cells=100)).table
    summary = json.loads((out / 'summary.json').read_text())
    np.testing.assert_allclose(summary['iot'], expected.iot)
    assert summary['class_shares']['all test'] == pytest.approx([0.5, 0.5])
    with open(out / 'iot.csv', newline='') as file:
        rows = [*csv.reader(file)]
    assert rows[0] == ['training', *expected.columns]
    assert [row[0] for row in rows[1:]] == list(expected.rows)
    np.testing.assert_allclose(np.array(rows[1:])[:, 1:].astype(float), expected.iot, atol=1e-6)
    assert {file.name for file in out.iterdir()} == {
        'classes.png', 'class_shares.png', 'iot.csv', 'iou.csv', 'overlaps.png', 'places.png',
        'split.png', 'summary.json', 'tables.md',
    }  # fmt: skip


def test_from_images_to_files_by_a_run(tmp_path: Path):
    run = tiny_run('supervised')
    _save(tmp_path / 'cities' / 'dark', 8, 0, high=80)
    _save(tmp_path / 'cities' / 'bright', 8, 1, low=170)
    _save(tmp_path / 'test' / 'dim', 8, 2, high=90)
    _save(tmp_path / 'other', 6, 3)
    out = tmp_path / 'out'
    sets = [
        f'--train={tmp_path}/cities',
        f'--test={tmp_path}/test',
        f'--beside=noise={tmp_path}/other',
    ]
    command.main([*sets, f'--workdir={run.folder}', f'--out={out}', '--grid=80'])
    summary = json.loads((out / 'summary.json').read_text())
    assert summary['training'] == ['bright', 'dark', 'all training']
    assert summary['test'] == ['dim', 'all test']
    assert summary['places']['noise'].keys() >= {'share_in_training_regions', 'images'}
    for name in ('appearance', 'beside', 'overlaps', 'places', 'split'):
        assert Image.open(out / f'{name}.png').size[0] > 300
    kept = load(out / 'features.npz')
    first = np.asarray(Image.open(tmp_path / 'cities' / 'bright' / '00.png').resize((16, 16), 3))
    seen = first.astype(np.float32)[None] / 127.5 - 1.0
    expected = run.run.method.abilities['features'](run.state, seen, None)
    np.testing.assert_allclose(kept.features[0], expected[0], atol=1e-4)
    assert summary['features'] == expected.shape[1]


def test_a_broken_image_of_the_last_place_shows_before_the_first_is_encoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    _save(tmp_path / 'cities' / 'dark', 8, 0)
    _save(tmp_path / 'test' / 'dim', 8, 2)
    broken = sorted((tmp_path / 'test' / 'dim').iterdir())[-1]
    broken.write_bytes(broken.read_bytes()[:100])
    monkeypatch.setattr(encoders, 'score_batches', None)
    given = [f'--train={tmp_path}/cities', f'--test={tmp_path}/test', f'--out={tmp_path}/out']
    with pytest.raises(SystemExit):
        command.main([*given, f'--workdir={tiny_run("supervised").folder}'])
    assert broken.name in capsys.readouterr().err


@pytest.mark.parametrize(
    ('given', 'message'),
    [
        (['--train=none', '--test=none', '--workdir=.'], '--train=none: no such file or folder'),
        (['--train=.'], 'either --workdir=RUN or --features=FILE'),
        (['--features=f.npz', '--nu=1.5'], r'--nu must lie in \(0, 1\), not 1.5'),
        (['--features=f.npz', '--config.seed=3'], '--config.seed=3 changes no config'),
        (['--features=none.npz'], 'none.npz: cannot be read as an npz'),
    ],
)
def test_a_mistake_is_one_line(
    given: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
):  # fmt: skip
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as ended:
        command.main([*given, '--out=out'])
    assert ended.value.code == 1
    text = capsys.readouterr().err.strip()
    assert len(text.splitlines()) == 1
    assert re.search(message, text), text


def test_too_few_images_of_a_place_are_refused():
    gathered = _blobs(num=4)
    with pytest.raises(UserError, match=r'a \(labelled\) has 4 images, and a place needs 5'):
        judge(gathered, Settings())
    no_test = _blobs()._replace(places=(('a', 'labelled'),) * 4)
    with pytest.raises(UserError, match='no test places'):
        judge(no_test, Settings())


@pytest.mark.parametrize(
    ('arrays', 'message'),
    [
        ({'features': np.ones((3, 2))}, "no array 'groups'"),
        ({'features': np.full((3, 2), np.nan)}, 'finite floating point'),
        ({'features': np.ones((3, 2)), 'groups': np.array(['a']), 'parts': np.array(['test'])},
         '1 groups for 3 features'),
        ({'features': np.ones((1, 2)), 'groups': np.array(['a']), 'parts': np.array(['hold'])},
         "parts holds 'hold'"),
        ({'features': np.ones((1, 2)), 'groups': np.array([{}]), 'parts': np.array(['test'])},
         'allow_pickle'),
    ],
)  # fmt: skip
def test_features_that_are_none_are_refused(arrays: dict, message: str, tmp_path: Path):
    np.savez(tmp_path / 'f.npz', **arrays)
    with pytest.raises(UserError, match=message):
        load(tmp_path / 'f.npz')
