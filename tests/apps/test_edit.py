"""Edits of land cover and elevation, and the images before and after them."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
import pytest
import rasterio
from jax import Array
from PIL import Image
from rasterio.transform import Affine
from rasterio.warp import transform_geom
from scipy import ndimage

from eojax.apps.edit import command
from eojax.apps.edit.changes import (
    SAME,
    Edit,
    EditedCover,
    EditedRaster,
    Erosion,
    Survey,
    element_of,
    flood,
    parse_heights,
    parse_replacements,
    replace,
    survey,
    water_class,
)
from eojax.apps.edit.job import area_text, names_of
from eojax.apps.edit.measures import receptive_range
from eojax.apps.edit.regions import region_mask
from eojax.apps.synthesise.job import Options, make_image, open_inputs
from eojax.apps.synthesise.land_cover import CoverPart, LandCover
from eojax.apps.synthesise.windows import Kept
from eojax.data.facts import from_json, to_json
from eojax.data.reading.raster import Part
from eojax.data.sets import landscape_pairs
from eojax.data.sets.pixels import geonrw
from eojax.errors import UserError
from eojax.runs.known import verify_facts
from tests.apps.generators import (
    FACTS,
    NAMES,
    answer_open,
    blurred,
    by_class,
    by_height,
    model_with,
    run_of,
    write_cover,
)
from tests.data.rasters import TRANSFORM, UTM, write_raster

HEIGHT, WIDTH = 40, 56
LEVELS = (-20, 5, 40)


@pytest.fixture(scope='module')
def heights() -> np.ndarray:
    """Hills, int16 `[H, W]`, about -90 to 90."""
    rough = np.random.default_rng(0).normal(size=(HEIGHT, WIDTH))
    smooth = ndimage.gaussian_filter(rough, 4)
    return np.round(90.0 * smooth / np.abs(smooth).max()).astype(np.int16)


@pytest.fixture(scope='module')
def classes(heights: np.ndarray) -> np.ndarray:
    values = 1 + (np.arange(WIDTH) > 20) * np.ones((HEIGHT, 1), int)
    values[heights < -60] = 0
    values[:3, :4] = 255
    return values


@pytest.fixture
def files(heights: np.ndarray, classes: np.ndarray, tmp_path: Path) -> tuple[Path, Path]:
    cover = write_cover(tmp_path / 'cover.tif', classes, nodata=255)
    stored = heights.copy()
    stored[-1, -1] = -999
    return cover, write_raster(tmp_path / 'dem.tif', stored[..., None], nodata=-999)


def _read(path: Path) -> tuple[np.ndarray, np.ndarray]:
    with rasterio.open(path) as file:
        return np.moveaxis(file.read(), 0, -1), file.dataset_mask() > 0


@pytest.mark.parametrize(
    ('text', 'iterations'), [('cross', 1), ('square', 2), ('disk:3', 1), ('cross', 0)]
)
def test_erosion_is_the_minimum_over_its_element(text: str, iterations: int) -> None:
    mask = ndimage.gaussian_filter(np.random.default_rng(1).normal(size=(50, 60)), 3) > 0
    element = element_of(text)
    expected = mask
    for _ in range(iterations):
        expected = ndimage.minimum_filter(expected, footprint=element, mode='constant', cval=1)
    np.testing.assert_array_equal(Erosion(element, iterations).of(mask), expected)
    assert mask.sum() >= expected.sum() > 0


def test_elements_are_those_of_their_names() -> None:
    np.testing.assert_array_equal(element_of('cross'), [[0, 1, 0], [1, 1, 1], [0, 1, 0]])
    assert element_of('square').all()
    assert element_of('disk:2').sum() == 13
    for text in ('star', 'disk', 'disk:0', 'cross:2'):
        with pytest.raises(UserError):
            element_of(text)


def _survey(heights: np.ndarray, water: np.ndarray, levels: Any) -> Survey:
    below = np.searchsorted(levels, heights, 'right')
    return Survey(np.where(below < len(levels), below, 255).astype(np.uint8), water)


@pytest.mark.parametrize('connected', [False, True])
def test_water_rises_monotonically(heights: np.ndarray, connected: bool) -> None:
    levels = list(range(-50, 50, 10))
    water = heights < -60
    erosion = Erosion(element_of('cross'), 1)
    edits = flood(_survey(heights, water, levels), levels, 0, erosion, connected)
    for lower, higher in itertools.pairwise(edits):
        assert not (lower.mask & ~higher.mask).any()
        assert lower.changed.sum() < higher.changed.sum()
    if not connected:
        plain = ndimage.binary_erosion(heights < 0, border_value=1)
        np.testing.assert_array_equal(edits[5].mask, plain)
        np.testing.assert_array_equal(edits[5].changed, plain & ~water)


def test_low_ground_behind_a_dam_stays_dry_where_only_what_is_joined_is_flooded() -> None:
    heights = np.full((9, 20), 10)
    heights[1:8, 1:8] = heights[1:8, 12:19] = 0
    water = np.zeros(heights.shape, bool)
    water[4, 4] = True
    seen = _survey(heights, water, [5, 11])
    joined = flood(seen, [5, 11], 0, Erosion(element_of('cross'), 0), connected=True)
    assert joined[0].mask[1:8, 1:8].all()
    assert joined[0].mask.sum() == 49
    assert joined[1].mask.all()  # above the dam both are one
    both = flood(seen, [5], 0, Erosion(element_of('cross'), 0))
    assert both[0].mask.sum() == 98
    region = np.zeros(heights.shape, bool)
    region[:, 12:] = True
    assert flood(seen, [5], 0, Erosion(element_of('cross'), 0), region=region)[0].mask.sum() == 49


class _Read(NamedTuple):
    """A map and its elevation in memory."""

    labels: np.ndarray
    surface: np.ndarray
    valid: np.ndarray

    @property
    def height(self) -> int:
        return len(self.labels)

    @property
    def width(self) -> int:
        return self.labels.shape[1]

    def cover(self) -> Any:
        return SimpleNamespace(
            height=self.height, width=self.width,
            read=lambda row, column, high, wide: CoverPart(
                self.labels[row : row + high, column : column + wide],
                self.valid[row : row + high, column : column + wide],
            ),
        )  # fmt: skip

    def elevation(self) -> Any:
        return SimpleNamespace(
            read=lambda row, column, high, wide: Part(
                self.surface[row : row + high, column : column + wide, None],
                self.valid[row : row + high, column : column + wide],
            )
        )


def _read_flood(read: _Read, levels: list[float]) -> list[Edit]:
    seen = survey(read.cover(), read.elevation(), levels, 0)
    return flood(seen, levels, 0, Erosion(element_of('cross'), 1))


def test_ground_as_high_as_the_water_is_dry_in_any_precision() -> None:
    surface = np.full((4, 6), 12.2, np.float32)  # 12.19999981
    ground = np.ones(surface.shape, np.int32)
    read = _Read(ground, surface, np.ones(surface.shape, bool))
    assert [edit.changed.any() for edit in _read_flood(read, [12.2])] == [False]
    assert [edit.changed.all() for edit in _read_flood(read, [12.2, 12.21])] == [False, True]
    whole = read._replace(surface=np.full((4, 6), 12, np.int16))
    assert [edit.changed.all() for edit in _read_flood(whole, [11.5, 12.0, 12.5])] == [0, 0, 1]


def test_a_frame_without_data_changes_no_flood() -> None:
    surface = np.zeros((8, 9), np.float32)
    surface[3, 4] = 10.0
    read = _Read(np.ones((8, 9), np.int32), surface, np.ones((8, 9), bool))
    framed = _Read(*(np.pad(x, 2) for x in read))
    (plain,), (inside,) = (_read_flood(one, [5.0]) for one in (read, framed))
    assert plain.changed.sum() == 72 - 5  # the hill and the pixels beside it
    np.testing.assert_array_equal(inside.classes[2:-2, 2:-2], plain.classes)
    assert inside.changed.sum() == plain.changed.sum()


def test_heights_are_told_in_metres_where_their_unit_is_known() -> None:
    """Drawn places and GeoNRW say it; of decimetres 650 is 65 m."""
    seen = _survey(np.zeros((4, 4)), np.zeros((4, 4), bool), [650])
    erosion = Erosion(element_of('cross'), 0)
    unit = landscape_pairs.VIEWS['elevation'].raster.unit_metres
    assert flood(seen, [650], 0, erosion, unit_metres=unit)[0].title == 'below 65 m'
    assert flood(seen, [650], 0, erosion)[0].title == 'below 650'
    assert flood(seen, [650], 0, erosion)[0].name == 'flood_650'
    # Of two heights neither takes the other's folder.
    close = _survey(np.zeros((4, 4)), np.zeros((4, 4), bool), [1234.56, 1234.561])
    names = [edit.name for edit in flood(close, [1234.56, 1234.561], 0, erosion)]
    assert names == ['flood_1234.56', 'flood_1234.561']
    assert geonrw.FACTS.rasters['elevation'].unit_metres == 1.0
    known = from_json(to_json(geonrw.FACTS))
    assert known.rasters == geonrw.FACTS.rasters
    older = {k: r._replace(unit_metres=0.0) for k, r in known.rasters.items()}
    verify_facts('a run', known._replace(rasters=older), geonrw.FACTS)  # raises nothing


def _flood(
    files: tuple[Path, Path], out: Path, monkeypatch: Any, *more: str, **facts: Any
) -> dict[str, Any]:
    known = FACTS._replace(**facts)
    runs = [
        run_of(by_class, facts=known),
        run_of(by_height, ('elevation',), 'sar', facts=known),
    ]
    answer_open(monkeypatch, 'edit', *runs)
    command.main([
        '--workdir=rgb', '--workdir=sar', f'--land_cover={files[0]}',
        f'--raster=elevation={files[1]}', f'--flood={",".join(map(str, LEVELS))}', f'--out={out}',
        *more,
    ])  # fmt: skip
    return json.loads((out / 'summary.json').read_text())


def test_a_flood_changes_its_mask_and_nothing_else(
    files: tuple[Path, Path],
    heights: np.ndarray,
    classes: np.ndarray,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: Any,
) -> None:
    out = tmp_path / 'out'
    summary = _flood(files, out, monkeypatch)
    held = classes != 255
    held[-1, -1] = False
    original, _ = _read(files[0])
    surface, _ = _read(files[1])
    before, _ = _read(out / 'before_sar.tif')
    areas = []
    for level, result in zip(LEVELS, summary['edits'], strict=True):
        # No ground is dry where there are no data, as beyond the edge.
        mask = ndimage.binary_erosion((heights < level) | ~held, border_value=1) & held
        folder = out / f'flood_{level}'
        cover, valid = _read(folder / 'land_cover.tif')
        np.testing.assert_array_equal(cover[~mask], original[~mask])
        np.testing.assert_array_equal(valid, classes != 255)
        assert (cover[mask] == 0).all()
        raised, known = _read(folder / 'elevation.tif')
        outside = ~mask & known
        np.testing.assert_array_equal(raised[outside], surface[outside])
        assert raised.dtype == surface.dtype
        assert (raised[mask] == level).all()
        assert not known[-1, -1]
        changed = mask & (classes != 0)
        np.testing.assert_array_equal(_read(folder / 'change.tif')[0][..., 0], changed)
        after, seen = _read(folder / 'after_sar.tif')
        np.testing.assert_array_equal(seen, held)
        np.testing.assert_array_equal(after[~mask & held], before[~mask & held])
        np.testing.assert_allclose(after[mask][:, 0], -25.0, atol=1e-4)
        np.testing.assert_allclose(after[mask][:, 1], -15.0 + 0.15 * level, atol=1e-4)
        assert result['pixels_flooded'] == changed.sum()
        assert result['hectares_flooded'] == pytest.approx(changed.sum() / 100.0)
        for name in ('images', 'sar'):
            assert result['images'][name]['mean_change_outside'] == 0.0
            assert result['images'][name]['mean_change_inside'] > 0.0
        areas.append(result['hectares_flooded'])
        with rasterio.open(folder / 'after_images.tif') as file:
            assert file.transform == TRANSFORM
            assert file.tags()['EDIT'] == f'below {level}'
    assert areas == sorted(areas)
    assert summary['water'] == 'water'
    assert summary['hectares_water_before'] == pytest.approx((classes == 0).sum() / 100.0)
    for name in ('images', 'sar'):
        with Image.open(out / f'rising_water_{name}.gif') as film:
            assert film.n_frames == len(LEVELS) + 1
    assert Image.open(out / 'strip.png').size[1] > 300
    assert f'below {LEVELS[0]}: {areas[0]:.4g} ha flooded' in capsys.readouterr().out


@pytest.mark.parametrize('overlap', [0, 4, 11])
@pytest.mark.parametrize('scale', [1, 3])
def test_windows_that_an_edit_leaves_alone_are_not_made_again(
    overlap: int, scale: int, tmp_path: Path
) -> None:
    """The generator looks seven pixels wide and pads, and the image is the same to the bit."""

    def seen(state: Any, labels: Array, rasters: Any, key: Array) -> Array:
        heights = jnp.broadcast_to(rasters[0], (*labels.shape, 3))
        return 0.5 * blurred(state, labels, rasters, key) + 0.5 * heights

    random = np.random.default_rng(overlap)
    classes = random.integers(0, 3, (60, 90))
    cover_file = write_cover(tmp_path / 'cover.tif', classes)
    heights = random.integers(-100, 100, (60, 90, 1)).astype(np.int16)
    dem = write_raster(tmp_path / 'dem.tif', heights)
    coarse = FACTS.rasters['elevation']._replace(scale=scale)
    facts = FACTS._replace(rasters={**FACTS.rasters, 'elevation': coarse})
    model = model_with(seen, ('elevation',), facts=facts)
    options = Options(cover_file, {'elevation': dem}, overlap=overlap)
    new = np.full((60, 90), SAME, np.uint8)
    new[20:23, 61:66] = new[50, 5] = 0
    edit = Edit('flood_9', 'below 9', new, new != SAME, 9.0)
    with open_inputs(model.run, options) as inputs:
        cover, raster = inputs.cover, inputs.rasters['elevation']
        make_image(model, cover, {'elevation': raster}, cover, options, tmp_path / 'before.tif')
        of = (model, EditedCover(cover, edit), {'elevation': EditedRaster(raster, edit)}, cover)
        kept = Kept(tmp_path / 'before.tif', edit.mask)
        whole = make_image(*of, options, tmp_path / 'whole.tif')
        part = make_image(*of, options, tmp_path / 'part.tif', kept=kept)
        same = Kept(tmp_path / 'before.tif', np.zeros((60, 90), bool))
        none = make_image(*of, options, tmp_path / 'none.tif', kept=same)
    images = {name: _read(tmp_path / f'{name}.tif') for name in ('before', 'whole', 'part', 'none')}
    for got, expected in (('part', 'whole'), ('none', 'before')):
        for a, b in zip(images[got], images[expected], strict=True):
            np.testing.assert_array_equal(a, b)
    assert (images['whole'][0] != images['before'][0]).sum() > 20
    assert part.counts.windows + part.summary()['windows_kept'] == whole.counts.windows
    assert 2 <= part.counts.windows < whole.counts.windows
    assert none.counts.windows == 0
    assert 'windows_kept' not in whole.summary()


def test_one_run_writes_pairs_for_change_detection(
    files: tuple[Path, Path], classes: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    region = np.zeros((HEIGHT, WIDTH), np.uint8)
    region[10:30, :40] = 1
    Image.fromarray(region).save(tmp_path / 'region.png')
    answer_open(monkeypatch, 'edit', run_of(by_class))
    out = tmp_path / 'out'
    out.mkdir()
    (out / 'rising_water.gif').touch()  # of an earlier command
    command.main([
        '--workdir=x', f'--land_cover={files[0]}', '--replace=forest:fields,any:forest',
        f'--region={tmp_path}/region.png', f'--out={out}',
    ])  # fmt: skip
    inside = (region == 1) & (classes != 255)
    expected = np.where(classes == 1, 2, 1)
    expected = np.where(inside, expected, classes)
    cover, _ = _read(out / 'replaced' / 'land_cover.tif')
    np.testing.assert_array_equal(cover[..., 0], expected)
    change, _ = _read(out / 'replaced' / 'change.tif')
    np.testing.assert_array_equal(change[..., 0], expected != classes)
    red = [_read(out / name)[0][..., 0] for name in ('before.tif', 'replaced/after.tif')]
    held = classes != 255
    levels = np.array([0, 128, 255])
    np.testing.assert_array_equal(red[0][held], levels[classes[held]])
    np.testing.assert_array_equal(red[1][held], levels[expected[held]])
    assert not list(out.glob('*.gif'))
    summary = json.loads((out / 'summary.json').read_text())
    assert summary['edits'][0]['pixels_changed'] == (expected != classes).sum()


def test_colours_stay_colours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pixels = np.zeros((20, 20, 3), np.uint8)
    pixels[..., 1] = 255
    pixels[5:9] = (255, 255, 0)
    cover = write_raster(tmp_path / 'cover.tif', pixels)
    dem = write_raster(tmp_path / 'dem.tif', np.full((20, 20, 1), -50, np.int16))
    answer_open(monkeypatch, 'edit', run_of(by_class, ('elevation',)))
    command.main([
        '--workdir=x', f'--land_cover={cover}', f'--raster=elevation={dem}', '--flood=-40',
        '--animation=webp', f'--out={tmp_path}/out',
    ])  # fmt: skip
    edited, _ = _read(tmp_path / 'out' / 'flood_-40' / 'land_cover.tif')
    assert (edited == (0, 0, 255)).all()
    with Image.open(tmp_path / 'out' / 'rising_water.webp') as film:
        assert film.n_frames == 2


@pytest.mark.parametrize('colours', [False, True])
def test_smaller_versions_of_edited_classes_hold_classes_alone(
    colours: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    numbers = np.random.default_rng(0).integers(0, 3, (40, 1100))
    table = np.array([(0, 0, 255), (0, 255, 0), (255, 255, 0)] if colours else [[1], [3], [5]])
    cover = write_raster(
        tmp_path / 'cover.tif', table.astype(np.uint8)[numbers],
        tags={f'CLASS_{2 * n + 1}': name for n, name in enumerate(NAMES)},
    )  # fmt: skip
    answer_open(monkeypatch, 'edit', run_of(by_class, window=64))
    out = tmp_path / 'out'
    command.main([
        '--workdir=x', f'--land_cover={cover}', '--replace=forest:fields', f'--out={out}',
    ])  # fmt: skip
    for path in (out / 'inputs' / 'land_cover.tif', out / 'replaced' / 'land_cover.tif'):
        with rasterio.open(path) as file:
            assert file.overviews(1)
        with rasterio.open(path, overview_level=0) as file:
            held = np.unique(file.read().reshape(file.count, -1), axis=1).T.tolist()
        assert all(value in table.tolist() for value in held)
    assert (out / 'strip.png').is_file()


def test_a_polygon_is_the_pixels_whose_centre_it_holds(tmp_path: Path) -> None:
    path = write_cover(tmp_path / 'cover.tif', np.ones((30, 40)))
    left, top = TRANSFORM @ (5, 10)
    right, bottom = TRANSFORM @ (20, 22)
    square = {
        'type': 'Polygon',
        'coordinates': [[[left, top], [right, top], [right, bottom], [left, bottom], [left, top]]],
    }
    expected = np.zeros((30, 40), bool)
    expected[10:22, 5:20] = True
    feature = {'type': 'Feature', 'properties': {}, 'geometry': square}
    named = {'type': 'name', 'properties': {'name': 'urn:ogc:def:crs:EPSG::32632'}}
    plain = {'type': 'FeatureCollection', 'features': [feature], 'crs': named}
    degrees = transform_geom(UTM, 'EPSG:4326', square)
    with LandCover(path, run_of(by_class)) as cover:
        for content in (plain, degrees):
            (tmp_path / 'region.geojson').write_text(json.dumps(content))
            mask = region_mask(tmp_path / 'region.geojson', cover)
            np.testing.assert_array_equal(mask, expected)
        far = {'type': 'Polygon', 'coordinates': [[[0, 0], [1, 0], [1, 1], [0, 0]]]}
        for text, message in (
            ('{"type": ', 'no GeoJSON'),
            ('{"type": "Point", "coordinates": [9, 48]}', 'no polygon'),
            (json.dumps(far), 'no pixel of'),
        ):
            (tmp_path / 'region.geojson').write_text(text)
            with pytest.raises(UserError, match=message):
                region_mask(tmp_path / 'region.geojson', cover)


def test_a_mask_is_brought_onto_the_map(tmp_path: Path) -> None:
    path = write_cover(tmp_path / 'cover.tif', np.ones((30, 40)))
    half = np.zeros((20, 20), int)
    half[5:10, 3:9] = 1
    coarse = TRANSFORM @ Affine.scale(2)
    mask = write_cover(tmp_path / 'mask.tif', half, transform=coarse)
    with LandCover(path, run_of(by_class)) as cover:
        expected = np.zeros((30, 40), bool)
        expected[10:20, 6:18] = True
        np.testing.assert_array_equal(region_mask(mask, cover), expected)
        holes = np.where(half, np.float32(1.0), np.float32(np.nan))[..., None]
        mask = write_raster(tmp_path / 'holes.tif', holes, transform=coarse)
        np.testing.assert_array_equal(region_mask(mask, cover), expected)
        Image.new('L', (7, 7), 1).save(tmp_path / 'small.png')
        with pytest.raises(UserError, match='is 7 x 7 pixels'):
            region_mask(tmp_path / 'small.png', cover)


def test_water_is_found_by_its_name() -> None:
    assert water_class(('forest', 'Water', 'fields')) == 1
    assert water_class(('forest', 'SeaLake')) == 1
    assert water_class(('forest', 'permanent water')) == 1
    assert water_class(('river', 'lake', 'pond'), 'pond') == 2
    for names, said in ((('river', 'lake'), ''), (('forest',), ''), (('water',), 'sea')):
        with pytest.raises(UserError, match='--water'):
            water_class(names, said)


def test_what_cannot_be_edited_is_one_line(
    files: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    for text in ('', '3,x', 'inf'):
        with pytest.raises(UserError):
            parse_heights(text)
    assert parse_heights('30,-5,30') == [-5.0, 30.0]
    for text in ('forest', 'a:b,a:c', ':b'):
        with pytest.raises(UserError):
            parse_replacements(text)
    with LandCover(files[0], run_of(by_class)) as cover:
        with pytest.raises(UserError, match="unknown class in --replace 'wood'"):
            replace(cover, [('wood', 'water')])
        with pytest.raises(UserError, match='no pixel would change'):
            replace(cover, [('water', 'water')])
    cases = {
        'whole numbers from -100 to 100': ['--flood=3.5'],
        'elevation is needed too': ['--flood=3'],
        'expected a number of pixels, or auto': ['--flood=3', '--margin=far'],
        'is an input; choose another': ['--flood=3', f'--out={tmp_path}'],
    }
    other = tmp_path / 'inputs' / 'land_cover.tif'
    other.parent.mkdir()
    other.write_bytes(files[0].read_bytes())
    for text, options in cases.items():
        answer_open(monkeypatch, 'edit', run_of(by_class, ('elevation',)))
        given = [] if 'needed' in text else [f'--raster=elevation={files[1]}']
        cover_file = other if 'input' in text else files[0]
        with pytest.raises(SystemExit):
            command.main([
                '--workdir=x', f'--land_cover={cover_file}', f'--out={tmp_path}/out', *given,
                *options,
            ])  # fmt: skip
        error = capsys.readouterr().err
        assert text in error
        assert error.count('\n') == 1


def test_how_far_a_generator_looks_is_measured() -> None:
    assert receptive_range(model_with(by_class), 32) == 0
    assert receptive_range(model_with(blurred), 32) == 3
    assert receptive_range(model_with(blurred), 4) == 2  # no farther than the window
    coarse = FACTS.rasters['elevation']._replace(scale=3)
    facts = FACTS._replace(rasters={**FACTS.rasters, 'elevation': coarse})
    model = model_with(by_height, ('elevation',), 'sar', facts=facts)
    assert receptive_range(model, 32) == 2  # a pixel of it covers three


def test_large_areas_are_told_without_powers_of_ten() -> None:
    areas = (0.05, 12.345, 1234.5, 123456.7)
    texts = [area_text({'height': 1.0, 'hectares_flooded': area}) for area in areas]
    assert texts == [
        '0.05 ha flooded', '12.35 ha flooded', '1,234 ha flooded', '123,457 ha flooded'
    ]  # fmt: skip


def test_within_its_range_a_generator_may_change_what_is_outside(
    files: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    outside = {}
    for margin in ('0', 'auto'):
        answer_open(monkeypatch, 'edit', run_of(blurred))
        command.main([
            '--workdir=x', f'--land_cover={files[0]}', '--replace=forest:water',
            f'--out={tmp_path}/out', f'--margin={margin}',
        ])  # fmt: skip
        summary = json.loads((tmp_path / 'out' / 'summary.json').read_text())
        outside[margin] = summary['edits'][0]['images']['images']['mean_change_outside']
    assert outside['0'] > 0.0
    assert outside['auto'] == 0.0
    assert summary['runs'][0]['margin'] == 3


def test_images_of_several_runs_have_different_names() -> None:
    colours, radar = model_with(by_class), model_with(by_class, target='sar')
    assert names_of([colours]) == ['']
    assert names_of([colours, radar]) == ['images', 'sar']
    names = names_of([colours, colours])
    assert len(set(names)) == 2
