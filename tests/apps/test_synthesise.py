"""Images of maps of land cover, of any size."""

from __future__ import annotations

import json
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import rasterio.shutil
from PIL import Image
from rasterio.transform import Affine
from scipy import ndimage

from eojax.apps.synthesise import command
from eojax.apps.synthesise.class_values import meaning_of
from eojax.apps.synthesise.job import Options, make_image, open_inputs
from eojax.apps.synthesise.land_cover import CoverPart, LandCover
from eojax.apps.synthesise.network import unit
from eojax.apps.synthesise.seams import Seams
from eojax.apps.synthesise.windows import Counts, grid_of, image_rows
from eojax.data.facts import Raster
from eojax.data.sets import DATASETS
from eojax.errors import UserError
from eojax.evaluation.synthesis import blending
from tests.apps.generators import (
    FACTS,
    NAMES,
    answer_open,
    blurred,
    by_class,
    by_height,
    by_place,
    model_with,
    never,
    run_of,
    write_cover,
)
from tests.data.rasters import TRANSFORM, UTM, write_raster

HEIGHT, WIDTH = 45, 61


@pytest.fixture(scope='module')
def classes() -> np.ndarray:
    values = np.random.default_rng(0).integers(0, 3, (HEIGHT, WIDTH))
    values[10:14, 20:31] = 255
    return values


@pytest.fixture
def cover(classes: np.ndarray, tmp_path: Path) -> Path:
    return write_cover(tmp_path / 'cover.tif', classes, nodata=255)


def _image(path: Path) -> tuple[np.ndarray, np.ndarray]:
    with rasterio.open(path) as file:
        return np.moveaxis(file.read(), 0, -1), file.dataset_mask() > 0


def _make(model: Any, options: Options, out: Path) -> Any:
    with open_inputs(model.run, options) as inputs:
        return make_image(model, inputs.cover, inputs.rasters, inputs.cover, options, out)


@pytest.mark.parametrize(('window', 'overlap'), [(16, 4), (16, 0), (16, 15), (99, None)])
def test_every_pixel_is_that_of_its_own_inputs(
    classes: np.ndarray, cover: Path, tmp_path: Path, window: int, overlap: int | None
) -> None:
    options = Options(cover, window=window, overlap=overlap)
    made = _make(model_with(by_class), options, tmp_path / 'image.tif')
    pixels, valid = _image(tmp_path / 'image.tif')
    np.testing.assert_array_equal(valid, classes != 255)
    expected = np.array([0, 128, 255])[classes.clip(max=2)]
    np.testing.assert_array_equal(pixels[valid][:, 0], expected[valid])
    assert not pixels[valid][:, 1:].any()
    assert made.empty == 44


def test_an_image_lies_where_its_map_does(cover: Path, tmp_path: Path) -> None:
    _make(model_with(by_class), Options(cover), tmp_path / 'image.tif')
    with rasterio.open(tmp_path / 'image.tif') as file:
        assert file.crs.to_string() == UTM
        assert file.transform == TRANSFORM
        assert file.shape == (HEIGHT, WIDTH)
        assert file.descriptions == ('red', 'green', 'blue')
        assert [kind.name for kind in file.colorinterp] == ['red', 'green', 'blue']
        assert file.dtypes == ('uint8',) * 3
        assert 'not measured' in file.tags()['SYNTHESISED']


def test_windows_leave_no_seam(tmp_path: Path) -> None:
    """The generator makes the same ramp in every window: a jump at each border, unless blended."""
    plain = write_cover(tmp_path / 'plain.tif', np.ones((90, 110)))
    within = 0.8 / 15 * 127.5  # from pixel to pixel of one window
    steps = {}
    for overlap in (0, 4, 8):
        options = Options(plain, overlap=overlap)
        made = _make(model_with(by_place), options, tmp_path / 'image.tif')
        steps[overlap] = made.step_at_borders
        pixels, _ = _image(tmp_path / 'image.tif')
        largest = np.abs(np.diff(pixels[..., 0].astype(int), axis=1)).max()
        assert largest > 90 if overlap == 0 else largest < 60
    assert steps[0] > 10 * within
    assert steps[4] < 1.1 * within
    assert steps[8] < 1.1 * within


def test_at_borders_of_windows_an_image_is_as_smooth_as_one_of_a_single_window(
    tmp_path: Path,
) -> None:
    """The generator pads: unblended, there are jumps where windows meet."""
    rough = np.random.default_rng(3).normal(size=(90, 110))
    patches = np.digitize(ndimage.gaussian_filter(rough, 4), [-0.04, 0.04])
    path = write_cover(tmp_path / 'cover.tif', patches)
    model, steps = model_with(blurred), {}
    for overlap, window in ((8, 16), (8, 200), (0, 16), (0, 200)):
        out = tmp_path / 'image.tif'
        _make(model, Options(path, window=window, overlap=overlap), out)
        pixels, valid = _image(out)
        seams = Seams(grid_of(90, 110, 16, overlap))  # of the same places in all images
        seams.add(pixels, valid)
        steps[overlap, window] = seams.means()[0]
    assert steps[8, 16] < 1.02 * steps[8, 200]
    assert steps[0, 16] > 1.5 * steps[0, 200]


def test_where_windows_overlap_their_weights_sum_to_one() -> None:
    for side, overlap in ((16, 4), (16, 8), (9, 3)):
        along = blending.weights(side, overlap)
        np.testing.assert_allclose(along[:overlap] + along[-overlap:], 1.0, atol=1e-6)
        np.testing.assert_allclose(along[overlap : side - overlap], 1.0)
        assert (along > 0).all()


def test_windows_cover_maps_of_any_size() -> None:
    for length in range(1, 60):
        grid = grid_of(length, length, 16, 5)
        seen = np.zeros(length, int)
        for top in grid.tops:
            assert top + grid.high <= length
            seen[top : top + grid.high] += 1
        assert seen.all()
    with pytest.raises(UserError, match='overlap by 0 to 15 pixels'):
        grid_of(50, 50, 16, 16)


def test_radar_is_in_decibels_and_nan_where_an_input_has_no_data(
    classes: np.ndarray, cover: Path, tmp_path: Path
) -> None:
    heights = np.random.default_rng(1).integers(-100, 101, (HEIGHT, WIDTH, 1)).astype(np.int16)
    heights[3, 4], heights[0, :5] = -999, 150
    dem = write_raster(tmp_path / 'dem.tif', heights, nodata=-999)
    options = Options(cover, {'elevation': dem})
    made = _make(model_with(by_height, ('elevation',), 'sar'), options, tmp_path / 'sar.tif')
    pixels, valid = _image(tmp_path / 'sar.tif')
    held = (classes != 255) & (heights[..., 0] != -999)
    np.testing.assert_array_equal(valid, held)
    assert np.isnan(pixels[~held]).all()
    assert pixels.dtype == np.float32
    np.testing.assert_allclose(pixels[held][:, 0], -25.0 + 15.0 * classes[held], atol=1e-4)
    expected = -30.0 + 15.0 * (heights[..., 0].clip(-100, 100) / 100.0 + 1.0)
    np.testing.assert_allclose(pixels[held][:, 1], expected[held], atol=1e-4)
    assert made.counts.beyond == {'elevation': 5}
    assert made.counts.values == {'elevation': HEIGHT * WIDTH - 1}


@pytest.mark.parametrize('scale', [1, 2])
def test_a_raster_of_another_grid_is_brought_onto_the_map(scale: int, tmp_path: Path) -> None:
    plain = write_cover(tmp_path / 'plain.tif', np.ones((40, 50)))
    heights = np.where(np.arange(30) >= 15, 90, -90).astype(np.int16)
    surface = np.broadcast_to(heights[:, None], (30, 30))[..., None]
    beside = TRANSFORM @ Affine.translation(-8, -40) @ Affine.scale(4)
    dem = write_raster(tmp_path / 'dem.tif', surface, transform=beside)
    known = FACTS.rasters['elevation']._replace(scale=scale)
    facts = FACTS._replace(rasters={**FACTS.rasters, 'elevation': known})
    model = model_with(by_height, ('elevation',), 'sar', facts=facts)
    _make(model, Options(plain, {'elevation': dem}), tmp_path / 'sar.tif')
    pixels, _ = _image(tmp_path / 'sar.tif')
    np.testing.assert_allclose(pixels[:18, :, 1], -28.5, atol=1e-4)
    np.testing.assert_allclose(pixels[22:, :, 1], -1.5, atol=1e-4)


@pytest.mark.parametrize('scale', [2, 3])
def test_pixels_of_a_coarser_raster_lie_alike_in_all_windows(scale: int, tmp_path: Path) -> None:
    """Windows begin anywhere: those of the last strip of a map of an odd size at odd rows."""
    plain = write_cover(tmp_path / 'plain.tif', np.ones((HEIGHT, WIDTH)))
    heights = np.random.default_rng(2).integers(-90, 90, (HEIGHT, WIDTH, 1)).astype(np.int16)
    dem = write_raster(tmp_path / 'dem.tif', heights)
    known = FACTS.rasters['elevation']._replace(scale=scale)
    facts = FACTS._replace(rasters={**FACTS.rasters, 'elevation': known})
    model = model_with(by_height, ('elevation',), 'sar', facts=facts)
    made = _make(model, Options(plain, {'elevation': dem}, window=16), tmp_path / 'sar.tif')
    assert made.counts.values == {'elevation': HEIGHT * WIDTH}
    pixels, _ = _image(tmp_path / 'sar.tif')
    expected = -30.0 + 15.0 * (unit(heights, known)[..., 0] + 1.0)
    np.testing.assert_allclose(pixels[..., 1], expected, atol=1e-3)


def test_a_label_that_no_class_has_is_refused_before_anything_is_made(
    classes: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    wrong = classes.copy()
    wrong[37, 41] = 7
    path = write_cover(tmp_path / 'wrong.tif', wrong, nodata=255)
    answer_open(monkeypatch, 'synthesise', run_of(never))
    monkeypatch.setattr(command, 'model_of', never)
    with pytest.raises(SystemExit):
        command.main(['--workdir=x', f'--land_cover={path}', f'--out={tmp_path}/image.tif'])
    error = capsys.readouterr().err
    assert f'{path}: label 7 in row 37, column 41 is none of 0, 1, 2' in error
    assert '--classes=VALUE=CLASS' in error
    assert error.count('\n') == 1
    assert list(tmp_path.glob('image*')) == []


def test_the_command_writes_image_picture_and_summary(
    classes: np.ndarray, cover: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    dem = write_raster(tmp_path / 'dem.tif', np.full((HEIGHT, WIDTH, 1), 150, np.int16))
    answer_open(monkeypatch, 'synthesise', run_of(by_class, ('elevation',)))
    with pytest.raises(SystemExit):
        _command(cover, dem, tmp_path)
    assert 'most values lie between 150 and 150' in capsys.readouterr().err
    heights = np.zeros((HEIGHT, WIDTH, 1), np.int16)
    heights[:4] = 150
    dem = write_raster(tmp_path / 'dem.tif', heights)
    answer_open(monkeypatch, 'synthesise', run_of(by_class, ('elevation',)))
    _command(cover, dem, tmp_path)
    said = capsys.readouterr()
    assert '244 values (8.9%) lie beyond those of training (-100 to 100)' in said.err
    assert '61 x 45 pixels of images in 20 windows' in said.out
    assert Image.open(tmp_path / 'image.png').size[0] > 600
    summary = json.loads((tmp_path / 'image_summary.json').read_text())
    assert summary['size'] == [HEIGHT, WIDTH]
    assert summary['class_shares'] == pytest.approx(
        {name: (classes == i).sum() / (classes < 3).sum() for i, name in enumerate(NAMES)},
        abs=1e-6,
    )
    assert summary['pixels_without_data'] == 44
    assert summary['synthetic'] is True
    assert summary['windows'] == 20


def _command(cover: Path, dem: Path, folder: Path) -> None:
    command.main([
        '--workdir=x', f'--land_cover={cover}', f'--raster=elevation={dem}',
        f'--out={folder}/image.tif',
    ])  # fmt: skip


class Endless:
    """A map of any height, all of one class."""

    def __init__(self, height: int, width: int) -> None:
        self.height, self.width = height, width

    def read(self, row: int, column: int, height: int, width: int) -> CoverPart:
        return CoverPart(np.ones((height, width), np.int32), np.ones((height, width), bool))


def test_memory_does_not_grow_with_the_height() -> None:
    model, peaks = model_with(by_class), {}
    for height in (32, 512, 2048):  # the first one compiles
        tracemalloc.start()
        grid = grid_of(height, 48, 16)
        rows = image_rows(model, Endless(height, 48), {}, grid, Counts(()))
        assert sum(len(part.valid) for part in rows) == height
        peaks[height] = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    # A row of labels alone has 192 bytes.
    assert peaks[2048] - peaks[512] < 50 * (2048 - 512)


def _labels(path: Path, said: str = '', **facts: Any) -> np.ndarray:
    with LandCover(path, run_of(by_class, facts=FACTS._replace(**facts)), said) as cover:
        return cover.read(0, 0, cover.height, cover.width).labels


def test_values_are_those_that_the_user_states(tmp_path: Path) -> None:
    path = write_cover(tmp_path / 'cover.tif', np.array([[7, 9, 3, 7]]))
    with pytest.raises(UserError, match="unknown class in --classes 'sea'"):
        _labels(path, '7=sea')
    np.testing.assert_array_equal(_labels(path, '7=fields,9=water,3=none'), [[2, 0, -1, 2]])
    with pytest.raises(UserError, match='label 7 in row 0, column 0 is none of 0, 1, 2'):
        _labels(path, 'numbers')


def test_names_in_a_file_count_for_more_than_its_numbers(tmp_path: Path) -> None:
    tags = {'CLASS_1': 'fields', 'CLASS_2': 'water', 'CLASS_3': 'glacier'}
    path = write_cover(tmp_path / 'cover.tif', np.array([[1, 2, 1]]), tags=tags)
    np.testing.assert_array_equal(_labels(path), [[2, 0, 2]])
    path = write_cover(tmp_path / 'cover.tif', np.array([[1, 2, 3]]), tags=tags)
    with pytest.raises(UserError, match='label 3 in row 0, column 2 is none of 1, 2'):
        _labels(path)


def test_colours_are_those_of_the_data_set_or_of_the_user(tmp_path: Path) -> None:
    pixels = np.array([[[0, 0, 255], [255, 255, 0], [0, 255, 0]]], np.uint8)
    path = write_raster(tmp_path / 'cover.tif', pixels)
    np.testing.assert_array_equal(_labels(path), [[0, 2, 1]])
    Image.fromarray(pixels).save(tmp_path / 'cover.png')
    np.testing.assert_array_equal(_labels(tmp_path / 'cover.png'), [[0, 2, 1]])
    with pytest.raises(UserError, match='which class its colours are'):
        _labels(path, class_colours={})
    Image.fromarray(pixels).quantize(3).save(tmp_path / 'palette.png')
    said = '#0000ff=fields,#ffff00=water,#00ff00=none'
    np.testing.assert_array_equal(_labels(tmp_path / 'palette.png', said), [[2, 0, -1]])
    np.testing.assert_array_equal(_labels(path, said), [[2, 0, -1]])


def test_numbers_are_those_of_the_files_of_the_data_set(tmp_path: Path) -> None:
    """GeoNRW stores 0 for none and then its classes from 1; 1 is no water there."""
    kind = DATASETS['geonrw']
    run = run_of(by_class)
    config = run.config.copy_and_resolve_references().unlock()
    config.data.update({key: one.default for key, one in kind.options.items()})
    config.data.name = 'geonrw'
    facts = FACTS._replace(name='geonrw', title='GeoNRW', class_names=kind.class_names)
    known = {'data': run.known['data']._replace(facts=facts)}
    meaning = meaning_of(run._replace(config=config, known=known), '', {}, False, False, 'x')
    stored = np.array([[0, 1, 2, 10]])[..., None]
    np.testing.assert_array_equal(meaning.values.apply(stored, 'x'), [[255, 0, 1, 9]])
    assert meaning.text == 'the values of GeoNRW'
    config.data.classes = 'wet=water,green=forest+grassland'
    facts = facts._replace(class_names=('wet', 'green'))
    known = {'data': run.known['data']._replace(facts=facts)}
    meaning = meaning_of(run._replace(config=config, known=known), '', {}, False, False, 'x')
    stored = np.array([[0, 1, 2, 5, 10]])[..., None]
    np.testing.assert_array_equal(meaning.values.apply(stored, 'x'), [[255, 1, 0, 1, 255]])


def test_a_small_picture_of_a_map_has_the_classes_of_its_pixels(tmp_path: Path) -> None:
    classes = np.random.default_rng(3).integers(0, 3, (60, 1300))
    plain = write_cover(tmp_path / 'plain.tif', classes, compress='deflate')
    # As other programs write it: smaller versions of interpolated numbers of classes.
    cog = tmp_path / 'cog.tif'
    rasterio.shutil.copy(plain, cog, driver='COG', overview_resampling='average')
    with LandCover(cog, run_of(by_class)) as opened:
        assert opened.file.overviews(1)
        small = opened.overview(20, 260)
    np.testing.assert_array_equal(small, classes[1::3, 2::5])


def test_what_does_not_fit_is_one_line(cover: Path, tmp_path: Path) -> None:
    dem = write_raster(tmp_path / 'dem.tif', np.zeros((HEIGHT, WIDTH, 1), np.int16))
    coarse = write_cover(
        tmp_path / 'coarse.tif', np.ones((9, 9)), transform=TRANSFORM @ Affine.scale(3)
    )
    jpeg = tmp_path / 'cover.jpg'
    Image.new('RGB', (8, 8)).save(jpeg)
    empty = write_cover(tmp_path / 'empty.tif', np.full((9, 9), 255), nodata=255)
    wild = FACTS._replace(name='geonrw_like')
    seen = 'elevation'
    cases: list[tuple[str, Any, Options]] = [
        ('cannot synthesise; these can', run_of(None), Options(cover)),
        ('elevation is needed too', run_of(by_class, (seen,)), Options(cover)),
        ('takes land cover; leave it out', run_of(by_class), Options(cover, {seen: dem})),
        ('its pixels are 30 m wide and those of training 10 m', run_of(by_class), Options(coarse)),
        ('no GeoTIFF and no PNG', run_of(by_class), Options(jpeg)),
        ('no such file', run_of(by_class), Options(tmp_path / 'none.tif')),
        ('no pixel of it has a class', run_of(by_class), Options(empty)),
        ('says which class its numbers are', run_of(by_class, facts=wild), Options(cover)),
    ]
    for text, run, options in cases:
        with pytest.raises(UserError, match=text) as refused:
            open_inputs(run, options)
        assert '\n' not in str(refused.value)
    open_inputs(run_of(by_class), Options(coarse, any_pixel_size=True)).close()


def test_a_map_without_a_place_takes_rasters_of_its_size(tmp_path: Path) -> None:
    Image.fromarray(np.ones((20, 30), np.uint8)).save(tmp_path / 'cover.png')
    for size, fits in (((20, 30), True), ((21, 30), False)):
        with rasterio.open(
            tmp_path / 'dem.tif', 'w', driver='GTiff', height=size[0], width=size[1], count=1,
            dtype='int16',
        ) as file:  # fmt: skip
            file.write(np.full((1, *size), 50, np.int16))
        model = model_with(by_height, ('elevation',), 'sar')
        options = Options(tmp_path / 'cover.png', {'elevation': tmp_path / 'dem.tif'})
        if fits:
            _make(model, options, tmp_path / 'sar.tif')
            pixels, _ = _image(tmp_path / 'sar.tif')
            np.testing.assert_allclose(pixels[..., 1], -7.5, atol=1e-4)
        else:
            with pytest.raises(UserError, match='is 30 x 21 pixels'):
                _make(model, options, tmp_path / 'sar.tif')


def test_a_system_that_nobody_knows_is_no_matter_where_pixels_are_the_same(tmp_path: Path) -> None:
    """FLAIR's masks have the name of their system and nothing else."""
    local = 'LOCAL_CS["RGF93",UNIT["metre",1],AXIS["Easting",EAST],AXIS["Northing",NORTH]]'
    cover = write_cover(tmp_path / 'cover.tif', np.ones((20, 20)), crs=local)
    heights = np.full((20, 20, 1), 50, np.int16)
    model = model_with(by_height, ('elevation',), 'sar')
    for transform, fits in ((TRANSFORM, True), (TRANSFORM @ Affine.translation(1, 0), False)):
        dem = write_raster(tmp_path / 'dem.tif', heights, transform=transform)
        options = Options(cover, {'elevation': dem})
        if fits:
            _make(model, options, tmp_path / 'sar.tif')
            pixels, _ = _image(tmp_path / 'sar.tif')
            np.testing.assert_allclose(pixels[..., 1], -7.5, atol=1e-4)
        else:
            with pytest.raises(UserError, match='no way from its coordinate system'):
                open_inputs(model.run, options)
    with LandCover(cover, model.run) as opened:
        assert opened.pixel_metres() is None


def test_radar_of_amplitudes_becomes_decibels_as_in_training(tmp_path: Path) -> None:
    """20 log10(x), unless the file says that it holds decibels."""
    known = Raster(('vv',), 'float32', ((0.0, 60.0),), decibels=20.0)
    facts = FACTS._replace(rasters={**FACTS.rasters, 'elevation': known})
    plain = write_cover(tmp_path / 'plain.tif', np.ones((20, 20)))
    for values, name in ((100.0, 'amplitude'), (40.0, 'vv in dB')):
        pixels = np.full((20, 20, 1), values, np.float32)
        radar = write_raster(tmp_path / 'radar.tif', pixels, (name,))
        model = model_with(by_height, ('elevation',), 'sar', facts=facts)
        _make(model, Options(plain, {'elevation': radar}), tmp_path / 'sar.tif')
        made, _ = _image(tmp_path / 'sar.tif')
        # 40 dB is 1/3 of the way from the middle to the upper limit.
        np.testing.assert_allclose(made[..., 1], -10.0, atol=1e-4)
