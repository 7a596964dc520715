"""Data sets out of files of any layout, against the arrays that the tests wrote into them."""

from __future__ import annotations

import pickle
import shutil
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from PIL import Image
from rasterio.enums import ColorInterp

from eojax.data.dataset import TEST, TRAIN, Dataset, Window
from eojax.data.facts import Facts, Raster
from eojax.data.sources.label_values import label_values
from eojax.data.sources.layout import Layout, layer, read_layout
from eojax.data.sources.patterns import Pattern
from eojax.errors import UserError

CLASSES = ('water', 'forest')
# As GeoNRW: 0 is no class.
pytestmark = pytest.mark.filterwarnings('ignore::rasterio.errors.NotGeoreferencedWarning')
VALUES: dict[int | str, int | None] = {0: None, 1: 0, 2: 1}
FACTS = Facts(
    'cities',
    class_names=CLASSES,
    label='pixel',
    rasters={
        'images': Raster(),
        'elevation': Raster(('height',), 'float32', ((-10.0, 50.0),), scale=2),
    },
)
LAYOUT = Layout(
    {
        'images': layer('{group}/{name}_rgb.jp2'),
        'elevation': layer('{group}/{name}_dem.tif'),
        'labels': layer('{group}/{name}_seg.tif', values=VALUES),
    }
)
BOTH = ('images', 'elevation', 'labels')


def write_raster(path: Path, pixels: np.ndarray, **options: Any) -> None:
    """A file with these pixels `[height, width, bands]`, tiled so that windows mean something."""
    path.parent.mkdir(parents=True, exist_ok=True)
    driver = 'JP2OpenJPEG' if path.suffix == '.jp2' else 'GTiff'
    options |= {'quality': 100, 'reversible': True} if path.suffix == '.jp2' else {}
    names = options.pop('names', ())
    height, width, count = pixels.shape
    with rasterio.open(
        path, 'w', driver=driver, height=height, width=width, count=count, dtype=pixels.dtype,
        **options,
    ) as file:  # fmt: skip
        file.write(np.moveaxis(pixels, -1, 0))
        for number, name in enumerate(names, 1):
            file.set_band_description(number, name)


def write_cities(root: Path) -> dict[str, dict[str, np.ndarray]]:
    """Five places of three cities, of unlike sizes, as GeoNRW; what was written, by name."""
    rng = np.random.default_rng(0)
    written = {}
    sizes = {'bonn/1': (64, 80), 'bonn/2': (64, 96), 'herne/1': (96, 64), 'neuss/1': (64, 64),
             'neuss/2': (128, 96)}  # fmt: skip
    for name, (height, width) in sizes.items():
        pixels = {
            'images': rng.integers(0, 256, (height, width, 3), np.uint8),
            'elevation': rng.normal(30, 9, (height // 2, width // 2, 1)).astype(np.float32),
            'labels': rng.integers(0, 3, (height, width, 1), np.uint8),
        }
        for raster, file in (
            ('images', 'rgb.jp2'),
            ('elevation', 'dem.tif'),
            ('labels', 'seg.tif'),
        ):
            write_raster(root / f'{name}_{file}', pixels[raster])
        written[name] = pixels
    return written


@pytest.fixture(scope='module')
def cities(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict]:
    root = tmp_path_factory.mktemp('cities')
    return root, write_cities(root)


def classes(stored: np.ndarray) -> np.ndarray:
    """By hand: 0 is unknown, 1 the first class, 2 the second."""
    return np.array([255, 0, 1], np.uint8)[stored[..., 0]]


def assert_reads(dataset: Dataset, written: dict[str, dict[str, np.ndarray]]) -> None:
    rng = np.random.default_rng(1)
    for place, name in enumerate(dataset.names):
        height, width = int(dataset.places.heights[place]), int(dataset.places.widths[place])
        row, column = 2 * rng.integers(0, 20, 2)
        window = Window(int(row), int(column), 16, 24)
        for where in (None, window):
            cut = window if where else Window(0, 0, height, width)
            rows, columns = (
                slice(start, start + num)
                for start, num in ((cut.row, cut.height), (cut.column, cut.width))
            )
            found, expected = dataset.source.read(place, where, BOTH), written[str(name)]
            np.testing.assert_array_equal(found['images'], expected['images'][rows, columns])
            np.testing.assert_array_equal(
                found['labels'], classes(expected['labels'])[rows, columns]
            )
            half = [slice(part.start // 2, part.stop // 2) for part in (rows, columns)]
            np.testing.assert_array_equal(found['elevation'], expected['elevation'][*half])


def test_cities_of_jpeg_2000_and_geotiff(cities: tuple[Path, dict]) -> None:
    root, written = cities
    data = read_layout(root, FACTS, LAYOUT)
    assert data.names == tuple(written)
    assert data.facts.group_names == ('bonn', 'herne', 'neuss')
    assert data.places.groups is not None
    assert data.places.groups.tolist() == [0, 0, 1, 2, 2]
    assert data.places.heights.tolist() == [64, 64, 96, 64, 128]
    assert data.places.widths.tolist() == [80, 96, 64, 64, 96]
    assert (data.labels == -1).all()
    assert (data.facts.size, data.parts) == (None, None)
    assert_reads(data, written)
    assert_reads(data.subset(np.array([3, 1])), written)
    assert_reads(pickle.loads(pickle.dumps(data)), written)


def test_an_archive_reads_as_its_folder(cities: tuple[Path, dict], tmp_path: Path) -> None:
    root, written = cities
    archive = shutil.make_archive(str(tmp_path / 'cities'), 'zip', root)
    assert_reads(read_layout(archive, FACTS, LAYOUT), written)


def _sum(job: tuple[Dataset, int]) -> int:
    data, place = job
    read = data.source.read(place, Window(4, 4, 32, 32), BOTH)
    return int(read['images'].sum()) + int(read['labels'].sum())


def test_threads_and_processes_read_at_a_time(cities: tuple[Path, dict]) -> None:
    data = read_layout(cities[0], FACTS, LAYOUT)
    jobs = [(data, place) for place in range(5)] * 20
    expected = [_sum(job) for job in jobs]
    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(_sum, jobs)) == expected
    with ProcessPoolExecutor(2) as processes:
        assert list(processes.map(_sum, jobs)) == expected


@pytest.fixture
def one(tmp_path: Path) -> Path:
    """A folder with one place."""
    root = tmp_path / 'one'
    rng = np.random.default_rng(0)
    write_raster(root / 'bonn/1_rgb.jp2', rng.integers(0, 256, (64, 64, 3), np.uint8))
    write_raster(root / 'bonn/1_dem.tif', np.ones((32, 32, 1), np.float32))
    write_raster(root / 'bonn/1_seg.tif', np.ones((64, 64, 1), np.uint8))
    return root


@pytest.mark.parametrize(
    ('file', 'pixels', 'line'),
    [
        ('1_rgb.jp2', np.zeros((64, 64, 4), np.uint8), r'1_rgb\.jp2: 4 band\(s\); expected 3'),
        ('1_rgb.jp2', np.zeros((64, 64, 3), np.uint16), r'1_rgb\.jp2: pixels of type uint16; exp'),
        ('1_dem.tif', np.zeros((32, 30, 1), np.float32), r'1_dem\.tif: 30x32 .*expected 32x32'),
        ('1_dem.tif', np.zeros((32, 32, 1), np.int16), r'1_dem\.tif: pixels of type int16; exp'),
        ('1_seg.tif', np.full((64, 64, 1), 7, np.uint8), r'1_seg\.tif: label 7 in row 0, column 0'),
        ('1_seg.tif', np.zeros((32, 32, 1), np.uint8), r'1_seg\.tif: 32x32 .*expected 64x64'),
        ('1_seg.tif', np.zeros((64, 64, 3), np.uint8), r'1_seg\.tif: 3 band\(s\); labels are one'),
    ],
)
def test_a_file_unlike_the_facts_is_named(
    one: Path, file: str, pixels: np.ndarray, line: str
) -> None:
    write_raster(one / 'bonn' / file, pixels)
    data = read_layout(one, FACTS, LAYOUT)
    with pytest.raises(UserError, match=line) as caught:
        data.source.read(0, Window(0, 0, 16, 16), BOTH)
    assert '\n' not in str(caught.value)


def test_what_is_missing_or_broken_is_named(one: Path) -> None:
    data = read_layout(one, FACTS, LAYOUT)
    with pytest.raises(UserError, match=r'bonn/1: rows 60 to 75, .* do not lie in its 64x64'):
        data.source.read(0, Window(60, 0, 16, 16), BOTH)
    (one / 'bonn/1_dem.tif').unlink()
    with pytest.raises(UserError, match=r'no such file: .*1_dem\.tif'):
        data.source.read(0, None, ('elevation',))
    with pytest.raises(UserError, match=r'bonn/1_dem\.tif is missing: the elevation of that place'):
        read_layout(one, FACTS, LAYOUT)
    (one / 'bonn/1_dem.tif').write_bytes(b'II*\0 and no more')
    with pytest.raises(UserError, match=r'1_dem\.tif: not a GeoTIFF or JPEG 2000 file'):
        data.source.read(0, None, ('elevation',))
    with pytest.raises(UserError, match=r'no file is like \{group\}/\{name\}\.png'):
        read_layout(one, FACTS, Layout({**LAYOUT.layers, 'images': layer('{group}/{name}.png')}))
    with pytest.raises(UserError, match='no such file or folder'):
        read_layout(one / 'nowhere', FACTS, LAYOUT)


def test_pixels_without_data_have_no_label_and_the_lowest_value(one: Path) -> None:
    elevation = np.full((32, 32, 1), 20.0, np.float32)
    elevation[0, :4] = np.nan
    elevation[1, :4] = -9999.0
    write_raster(one / 'bonn/1_dem.tif', elevation, nodata=-9999.0)
    labels = np.ones((64, 64, 1), np.uint8)
    labels[:2, :2] = 77
    write_raster(one / 'bonn/1_seg.tif', labels, nodata=77)
    rng = np.random.default_rng(0)
    images = rng.integers(1, 256, (64, 64, 3), np.uint8)
    images[5, :6] = 0
    write_raster(one / 'bonn/1_rgb.tif', images, nodata=0)
    layers = {**LAYOUT.layers, 'images': layer('{group}/{name}_rgb.tif')}
    read = read_layout(one, FACTS, Layout(layers)).source.read(0, None, BOTH)
    expected = np.full((32, 32, 1), 20.0)
    expected[:2, :4] = -10.0
    np.testing.assert_array_equal(read['elevation'], expected)
    unknown = np.zeros((64, 64), bool)
    unknown[:2, :2] = unknown[5, :6] = True
    np.testing.assert_array_equal(read['labels'], np.where(unknown, 255, 0))
    # Labels do not depend on what is read beside them.
    source = read_layout(one, FACTS, Layout(layers)).source
    np.testing.assert_array_equal(source.read(0, None, ('labels',))['labels'], read['labels'])


def test_what_may_be_measured_in_a_band_is_no_data_in_all_bands_alone(tmp_path: Path) -> None:
    """A lake whose red is 0 stays where files say that 0 is no data; what no band measures goes."""
    limits = ((0.0, 3000.0),) * 3
    for dtype, nodata, kept in (('uint8', 0, True), ('uint16', 0, True), ('int16', -9999, False)):
        folder = tmp_path / dtype
        pixels = np.full((16, 16, 3), 90, dtype)
        pixels[:4, :, 0] = pixels[4:8] = nodata
        write_raster(folder / 'a.tif', pixels, nodata=nodata)
        for band in range(3):
            write_raster(folder / f'a_{band}.tiff', pixels[..., band : band + 1], nodata=nodata)
        raster = Raster(dtype=dtype, limits=None if dtype == 'uint8' else limits)
        facts = Facts(label='none', rasters={'images': raster})
        for one in (layer('{name}.tif'), layer('{name}_0.tiff', '{name}_1.tiff', '{name}_2.tiff')):
            data = read_layout(folder, facts, Layout({'images': one}))
            read = data.source.read(0, None, ('images', 'valid:images'))
            expected = np.ones((16, 16), bool)
            expected[4:8] = False
            expected[:4] = kept
            np.testing.assert_array_equal(read['valid:images'], expected)
            np.testing.assert_array_equal(read['images'][expected], pixels[expected])
            assert (read['images'][~expected] == 0).all()


@pytest.mark.parametrize('kind', ['inside', 'beside', 'alpha'])
@pytest.mark.parametrize('packed', [False, True])
def test_masks_of_files_say_which_pixels_hold_data(kind: str, packed: bool, tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(1, 256, (3, 16, 16), np.uint8)
    mask = np.full((16, 16), 255, np.uint8)
    mask[:4] = 0
    folder = tmp_path / 'set'
    folder.mkdir()
    with (
        rasterio.Env(GDAL_TIFF_INTERNAL_MASK=kind == 'inside'),
        rasterio.open(
            folder / 'a.tif', 'w', driver='GTiff', height=16, width=16, dtype='uint8',
            count=4 if kind == 'alpha' else 3,
        ) as file,
    ):  # fmt: skip
        file.write(pixels, (1, 2, 3))
        if kind == 'alpha':
            file.write(mask, 4)
            file.colorinterp = (*file.colorinterp[:3], ColorInterp.alpha)
        else:
            file.write_mask(mask)
    assert (folder / 'a.tif.msk').exists() == (kind == 'beside')
    if packed:
        folder = Path(shutil.make_archive(str(folder), 'zip', folder))
    data = read_layout(
        folder, Facts(label='none'), Layout({'images': layer('{name}.tif', bands=(1, 2, 3))})
    )
    read = data.source.read(0, None, ('images', 'valid:images'))
    np.testing.assert_array_equal(read['valid:images'], mask > 0)
    np.testing.assert_array_equal(read['images'][4:], np.moveaxis(pixels, 0, -1)[4:])
    assert (read['images'][:4] == 0).all()


def test_transparent_pixels_of_pictures_hold_no_data(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (16, 16, 4), np.uint8)
    pixels[..., 3] = 255
    pixels[:4, :, 3] = 0
    Image.fromarray(pixels).save(tmp_path / 'a.png')
    facts = Facts(label='none')
    data = read_layout(
        tmp_path, facts, Layout({'images': layer('{name}.png', bands=('red', 'green', 'blue'))})
    )
    assert data.facts.images.missing
    read = data.source.read(0, Window(2, 0, 10, 16), ('images', 'valid:images'))
    np.testing.assert_array_equal(read['valid:images'], pixels[2:12, :, 3] > 0)
    assert (read['images'][:2] == 0).all()
    np.testing.assert_array_equal(read['images'][2:], pixels[4:12, :, :3])
    Image.fromarray(pixels[..., :3]).save(tmp_path / 'a.png')
    again = read_layout(
        tmp_path, facts, Layout({'images': layer('{name}.png', bands=('red', 'green', 'blue'))})
    )
    assert not again.facts.images.missing


def test_the_value_for_no_data_takes_no_class_away_unnoticed(one: Path) -> None:
    table = {'#000000': None, '#0000ff': 0, '#ffff00': 1, '#ffffff': 0}
    colours = np.zeros((64, 64, 3), np.uint8)
    # Each of the first two has a band that holds 0, which alone is data.
    colours[:10], colours[10:20], colours[20:30] = (0, 0, 255), (255, 255, 0), (255, 255, 255)
    write_raster(one / 'bonn/1_seg.tif', colours, nodata=0)
    labels = layer('{group}/{name}_seg.tif', values=table)
    source = read_layout(one, FACTS, Layout({**LAYOUT.layers, 'labels': labels})).source
    read = source.read(0, None, ('labels',))['labels']
    np.testing.assert_array_equal(read[::10, 0], [0, 1, 0, 255, 255, 255, 255])
    black = layer('{group}/{name}_seg.tif', values={**table, '#000000': 1})
    source = read_layout(one, FACTS, Layout({**LAYOUT.layers, 'labels': black})).source
    with pytest.raises(UserError, match=r'1_seg\.tif: the file says that 0 is no data, and it st'):
        source.read(0, None, ('labels',))
    write_raster(one / 'bonn/1_seg.tif', np.ones((64, 64, 1), np.uint8), nodata=1)
    with pytest.raises(UserError, match=r'the file says that 1 is no data.*-unsetnodata'):
        read_layout(one, FACTS, LAYOUT).source.read(0, None, ('labels',))


def test_one_file_of_labels_is_not_for_two_groups(one: Path) -> None:
    for file in list((one / 'bonn').iterdir()):
        if file.name != '1_seg.tif':
            (one / 'koeln').mkdir(exist_ok=True)
            (one / 'koeln' / file.name).write_bytes(file.read_bytes())
    (one / 'masks').mkdir()
    (one / 'bonn/1_seg.tif').rename(one / 'masks/1_seg.tif')
    labels = LAYOUT.layers['labels']._replace(patterns=(Pattern('masks/{name}_seg.tif'),))
    with pytest.raises(UserError, match=r'bonn/1 and koeln/1 would both .* masks/1_seg\.tif: wri'):
        read_layout(one, FACTS, Layout({**LAYOUT.layers, 'labels': labels}))


def test_colours_have_eight_bits() -> None:
    # Joined into one number, these three would be the colour #010005.
    with pytest.raises(UserError, match='uint16 above 255; colours are 8 bits a band'):
        label_values({'#010005': 0}).apply(np.array([[[0, 256, 5]]], np.uint16), 'mask.tif')


def test_bands_by_name_number_and_file(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 2000, (16, 16, 4), np.uint16)
    write_raster(tmp_path / 'stack_a.tif', pixels, names=('B02', 'B03', 'B04', 'B08'))
    for band in range(4):
        write_raster(tmp_path / f'a/{band}.tif', pixels[..., band : band + 1])
    limits = ((0.0, 2000.0),) * 2
    facts = Facts(label='none', rasters={'images': Raster(('red', 'nir'), 'uint16', limits)})
    expected = pixels[..., [2, 3]]
    for one in (
        layer('stack_{name}.tif', bands=('B04', 'b08')),
        layer('stack_{name}.tif', bands=(3, 4)),
        layer('{name}/2.tif', '{name}/3.tif'),
    ):
        data = read_layout(tmp_path, facts, Layout({'images': one}))
        np.testing.assert_array_equal(data.source.read(0, None, ('images',))['images'], expected)
    wrong = Layout({'images': layer('stack_{name}.tif', bands=('B9',))})
    with pytest.raises(UserError, match=r"no band 'B9'; it has 1 b02, 2 b03, 3 b04, 4 b08"):
        read_layout(tmp_path, facts, wrong)


def test_files_of_another_scale_or_offset_are_named(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 2000, (16, 16, 1), np.uint16)
    for name, offset in (('a', -0.1), ('b', -0.1), ('c', 0.0)):
        write_raster(tmp_path / f'{name}.tif', pixels)
        with rasterio.open(tmp_path / f'{name}.tif', 'r+') as file:
            file.scales, file.offsets = (1e-4,), (offset,)
    raster = Raster(('red',), 'uint16', ((0.0, 2000.0),))
    facts = Facts(label='none', rasters={'images': raster})
    images = Layout({'images': layer('{name}.tif')})
    with pytest.raises(UserError, match=r'c\.tif has .*offset 0\) than a\.tif .*offset -0\.1\)'):
        read_layout(tmp_path, facts, images)
    write_raster(tmp_path / 'c.tif', np.concatenate([pixels, pixels], -1))
    with pytest.raises(UserError, match=r'c\.tif has 2 band\(s\), and a\.tif has 1'):
        read_layout(tmp_path, facts, images)
    (tmp_path / 'c.tif').unlink()
    data = read_layout(tmp_path, facts, images)
    np.testing.assert_array_equal(data.source.read(1, None, ('images',))['images'], pixels)


def test_parts_and_places_without_labels(tmp_path: Path) -> None:
    """As MiniFrance: published parts, elevation at half resolution, labels for some regions."""
    images = np.full((16, 16, 3), 9, np.uint8)
    for part, region in (('labeled', 'Nice'), ('unlabeled', 'Brest'), ('val', 'Caen'), ('x', 'Y')):
        place = tmp_path / part / region
        write_raster(place / 'BDORTHO/a.tif', images)
        write_raster(place / 'RGEALTI/a_RGEALTI.tif', np.ones((8, 8, 1), np.float32))
        if part != 'unlabeled':
            write_raster(place / 'UrbanAtlas/a_UA2012.tif', np.full((16, 16, 1), 2, np.uint8))
    layers = {
        'images': layer('{part}/{group}/BDORTHO/{name}.tif'),
        'elevation': layer('{part}/{group}/RGEALTI/{name}_RGEALTI.tif'),
        'labels': layer(
            '{part}/{group}/UrbanAtlas/{name}_UA2012.tif', values=VALUES, optional=True
        ),
    }
    parts = {'labeled': TRAIN, 'unlabeled': TRAIN, 'val': TEST, 'x': None}
    data = read_layout(tmp_path, FACTS, Layout(layers, parts))
    assert data.names == ('labeled/Nice/a', 'unlabeled/Brest/a', 'val/Caen/a')
    assert data.parts is not None
    assert data.parts.tolist() == [TRAIN, TRAIN, TEST]
    assert data.facts.size == (16, 16)
    for place, label in enumerate((1, 255, 1)):
        assert (data.source.read(place, None, ('labels',))['labels'] == label).all()
    with pytest.raises(UserError, match=r"unknown part 'x'"):
        read_layout(
            tmp_path, FACTS, Layout(layers, {'labeled': TRAIN, 'unlabeled': TRAIN, 'val': TEST})
        )
    strict = {**layers, 'labels': layers['labels']._replace(optional=False)}
    with pytest.raises(UserError, match=r'unlabeled/Brest/UrbanAtlas/a_UA2012\.tif is missing'):
        read_layout(tmp_path, FACTS, Layout(strict, parts))


def test_photographs_with_masks_in_colour(tmp_path: Path) -> None:
    """As the aerial tiles of Dubai: JPEG or PNG, colours for classes, some masks with a palette."""
    rng = np.random.default_rng(0)
    number = rng.integers(0, 3, (20, 24))
    colours = np.array([[0xE2, 0xA9, 0x29], [0x84, 0x29, 0xF6], [0x9B, 0x9B, 0x9B]], np.uint8)
    pixels = rng.integers(0, 256, (20, 24, 3), np.uint8)
    table: dict[int | str, int | None] = {'#e2a929': 0, '#8429F6': 1, '#9b9b9b': None}
    for tile in ('tile_1', 'tile_2'):
        for folder in ('images', 'masks'):
            (tmp_path / tile / folder).mkdir(parents=True)
        Image.fromarray(pixels).save(tmp_path / tile / 'images/a.png')
        mask = Image.fromarray(colours[number])
        mask = mask if tile == 'tile_1' else mask.quantize(3)
        mask.save(tmp_path / tile / 'masks/a.png')
    facts = FACTS._replace(rasters={'images': Raster()})
    layout = Layout(
        {
            'images': layer('{group}/images/{name}.png'),
            'labels': layer('{group}/masks/{name}.png', values=table),
        }
    )
    data = read_layout(tmp_path, facts, layout)
    expected = np.array([0, 1, 255], np.uint8)[number]
    for place in range(2):
        read = data.source.read(place, Window(2, 3, 10, 11), ('images', 'labels'))
        np.testing.assert_array_equal(read['labels'], expected[2:12, 3:14])
        np.testing.assert_array_equal(read['images'], pixels[2:12, 3:14])
    # What was read is the reader's own.
    read['images'][:] = 0
    again = data.source.read(1, Window(2, 3, 10, 11), ('images',))['images']
    np.testing.assert_array_equal(again, pixels[2:12, 3:14])
    wrong = Layout({**layout.layers, 'labels': layer('{group}/masks/{name}.png', values={
        '#e2a929': 0, '#8429f6': 1})})  # fmt: skip
    with pytest.raises(UserError, match=r'label #9b9b9b in row \d+, column \d+ is none of #8429f6'):
        read_layout(tmp_path, facts, wrong).source.read(0, None, ('labels',))


def test_masks_of_one_bit_and_images_to_be_turned(tmp_path: Path) -> None:
    for folder in ('images', 'masks'):
        (tmp_path / 'a' / folder).mkdir(parents=True)
    black = np.random.default_rng(0).random((20, 24)) > 0.5
    Image.fromarray(black).save(tmp_path / 'a/masks/1.png')
    picture = Image.fromarray(np.repeat(black[..., None] * np.uint8(9), 3, -1))
    picture.save(tmp_path / 'a/images/1.png')
    facts = FACTS._replace(rasters={'images': Raster()})

    def read(table: dict[int | str, int | None]) -> np.ndarray:
        masks = layer('{group}/masks/{name}.png', values=table)
        layout = Layout({'images': layer('{group}/images/{name}.png'), 'labels': masks})
        return read_layout(tmp_path, facts, layout).source.read(0, None, ('labels',))['labels']

    np.testing.assert_array_equal(read({0: 1, 1: 0}), np.where(black, 0, 1))
    np.testing.assert_array_equal(read({0: 1, 255: 0}), np.where(black, 0, 1))
    turned = Image.Exif()
    turned[0x0112] = 3
    picture.save(tmp_path / 'a/images/1.png', exif=turned)
    with pytest.raises(UserError, match=r'1\.png: its EXIF orientation is 3'):
        read({0: 1, 1: 0})


def test_class_folders(tmp_path: Path) -> None:
    for name in ('forest', 'water'):
        write_raster(tmp_path / name / 'a.tif', np.zeros((4, 4, 3), np.uint8))
    facts = Facts(class_names=CLASSES)
    data = read_layout(tmp_path, facts, Layout({'images': layer('{class}/{name}.tif')}))
    assert data.names == ('forest/a', 'water/a')
    assert data.labels.tolist() == [1, 0]
    (tmp_path / 'water').rename(tmp_path / 'Water')
    with pytest.raises(UserError, match=r"unknown class folder 'Water'; did you mean 'water'"):
        read_layout(tmp_path, facts, Layout({'images': layer('{class}/{name}.tif')}))


def test_patterns() -> None:
    pattern = Pattern('ROIs_{part}/s2_{x}/ROIs_{part}_s2_{x}_{name}.tif')
    assert pattern.fields == ('part', 'x', 'name')
    file = 'ROIs_test/s2_0/ROIs_test_s2_0_p7.tif'
    assert pattern.match([file, file.replace('_test_', '_other_'), 'a.tif']) == {
        file: {'part': 'test', 'x': '0', 'name': 'p7'}
    }
    assert pattern.fill({'part': 'test', 'x': '0', 'name': 'p7'}) == file
    assert Pattern('a.b/{name}.tif').match(['axb/1.tif', 'a.b/c/1.tif']) == {}
    assert pickle.loads(pickle.dumps(pattern)) == pattern
    for text in ('images/a.tif', '{Name}.tif', '{name.tif', '{}/{name}.tif'):
        with pytest.raises(UserError, match='write fields of small letters in braces'):
            Pattern(text)


def test_tables_that_make_no_sense() -> None:
    for table in ({}, {0: 1, '#ffffff': 2}, {0: 255}, {0: -1}):
        with pytest.raises(ValueError, match=r'class|table'):
            label_values(table)  # type: ignore[arg-type]
    floats = np.array([[[1.0], [0.5]]])
    with pytest.raises(UserError, match='no whole numbers'):
        label_values({0: 0, 1: 1}).apply(floats, 'a.tif')
    np.testing.assert_array_equal(label_values({0: 0, 1: 1}).apply(floats[:, :1], 'a'), [[1]])
