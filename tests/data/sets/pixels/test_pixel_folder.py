"""Anybody's images and masks, by patterns in the config; against the arrays that were written."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from ml_collections import ConfigDict
from PIL import Image

from eojax.data import options as data_options
from eojax.data.dataset import Dataset, Window
from eojax.data.facts import from_json, to_json
from eojax.data.sets import DATASETS
from eojax.data.splits import rule_of, split_dataset
from eojax.errors import UserError
from tests.data.sets.pixels.tiles import geotiff, picture, write_files
from tests.real_data import real_data

pytestmark = pytest.mark.filterwarnings('ignore::rasterio.errors.NotGeoreferencedWarning')

RNG = np.random.default_rng(0)
COLOURS = np.array([[0xE2, 0xA9, 0x29], [0x84, 0x29, 0xF6], [0x9B, 0x9B, 0x9B]], np.uint8)
BY_COLOUR = '#e2a929=water, #8429F6=dry land ,#9b9b9b=none'


def options_of(root: Path | str, **values: Any) -> ConfigDict:
    options = ConfigDict(data_options.defaults('pixel_folder'))
    options.update({'root': str(root), 'mask_values': '0=none,1=water,7=land', **values})
    data_options.check(options, 'data')
    return options


def opened(root: Path | str, **values: Any) -> Dataset:
    return DATASETS['pixel_folder'].from_config(options_of(root, **values), False)


def numbers(height: int = 12, width: int = 16) -> np.ndarray:
    return np.array([0, 1, 7], np.uint8)[RNG.integers(0, 3, (height, width))]


def write_cities(root: Path) -> tuple[Path, dict[str, np.ndarray]]:
    """Six cities of two photographs, of unlike sizes, with masks of colours; the classes."""
    files, classes = {}, {}
    for city in range(6):
        for name in 'ab':
            size = (20 + 2 * city, 24 + city)
            number = RNG.integers(0, 3, size)
            files[f'city_{city}/images/{name}.jpg'] = picture(
                RNG.integers(0, 256, (*size, 3), np.uint8), 'JPEG'
            )
            mask = picture(COLOURS[number], palette=city % 2 == 1)
            files[f'city_{city}/masks/{name}.png'] = mask
            classes[f'city_{city}/{name}'] = np.array([0, 1, 255], np.uint8)[number]
    return write_files(root, files), classes


CITY_OPTIONS = {
    'images_pattern': '{group}/images/{name}.jpg',
    'masks_pattern': '{group}/masks/{name}.png',
    'mask_values': BY_COLOUR,
}


def test_photographs_and_masks_of_colours(tmp_path: Path) -> None:
    root, classes = write_cities(tmp_path / 'cities.zip')
    data = opened(root, **CITY_OPTIONS)
    assert data.class_names == ('water', 'dry land')
    assert data.facts.class_colours == {'water': '#e2a929', 'dry land': '#8429f6'}
    assert data.facts.group_names == tuple(f'city_{n}' for n in range(6))
    assert (data.facts.title, data.facts.metres, data.facts.size) == ('cities', None, None)
    for place, name in enumerate(data.names):
        read = data.source.read(place, Window(2, 3, 9, 10), ('images', 'labels'))
        np.testing.assert_array_equal(read['labels'], classes[str(name)][2:11, 3:13])
        assert read['images'].shape == (9, 10, 3)


def test_cities_by_name_are_labelled_validated_and_tested(tmp_path: Path) -> None:
    root, _ = write_cities(tmp_path)

    def parts(**values: Any) -> list[list[str]]:
        options = options_of(root, **CITY_OPTIONS, **values)
        data = DATASETS['pixel_folder'].from_config(options, False)
        split = split_dataset(data, rule_of(options, 0))
        return [[str(data.names[place]) for place in part] for part in split]  # type: ignore[call-overload]

    named = {'labelled_groups': 'city_0,city_4', 'test_groups': 'city_2, city_3'}
    train, validation, test, labelled, unlabelled = parts(**named, validation_groups='city_5')
    assert test == ['city_2/a', 'city_2/b', 'city_3/a', 'city_3/b']
    assert validation == ['city_5/a', 'city_5/b']
    assert labelled == ['city_0/a', 'city_0/b', 'city_4/a', 'city_4/b']
    assert unlabelled == ['city_1/a', 'city_1/b']
    assert train == sorted(labelled + unlabelled)
    # One of the labelled cities' images in place of a whole city.
    _, validation, test, labelled, unlabelled = parts(**named, validation_by='place')
    assert (len(validation), len(labelled)) == (1, 3)
    assert {name[:6] for name in validation + labelled} == {'city_0', 'city_4'}
    assert len(unlabelled) == 4
    # A single image by its name.
    assert parts(**named, validation_groups='city_4/b')[1] == ['city_4/b']
    # A share of each city, of which every larger one takes in the smaller.
    half, all_of_them = (parts(labelled_share=share, test_groups='city_1') for share in (0.5, 1.0))
    assert [name[:6] for name in half[3]] == sorted({name[:6] for name in half[0]})
    assert set(half[3]) < set(all_of_them[3])
    for wrong, line in {
        'city_9': r"unknown group or place in data\.test_groups 'city_9'; did you mean .*city_0, ",
        'city_2,': r"data\.test_groups='city_2,': write names with a comma",
        'city_2,city_2': r"'city_2' is in it twice",
        'city_5': r"'city_5' is in data\.validation_groups and in data\.test_groups",
        'city_0': r'data\.labelled_groups: city_0 has no training place',
    }.items():
        with pytest.raises(UserError, match=line):
            parts(labelled_groups='city_0', validation_groups='city_5', test_groups=wrong)


def test_suffixes_are_found_and_masks_may_lack(tmp_path: Path) -> None:
    stored = numbers()
    files = {'images/a.jpeg': picture(np.zeros((12, 16, 3), np.uint8), 'JPEG'),
             'images/b.jpeg': picture(np.zeros((12, 16, 3), np.uint8), 'JPEG'),
             'masks/b.tif': geotiff(stored[..., None])}  # fmt: skip
    write_files(tmp_path, files)
    with pytest.raises(UserError, match=r'masks/a\.tif is missing: the labels of that place'):
        opened(tmp_path)
    data = opened(tmp_path, masks_optional=True)
    assert data.names == ('a', 'b')
    assert data.places.annotated is not None
    assert data.places.annotated.tolist() == [False, True]
    expected = np.select([stored == 1, stored == 7], [0, 1], 255)
    for place, labels in enumerate((np.full((12, 16), 255), expected)):
        read = data.source.read(place, None, ('labels',))['labels']
        np.testing.assert_array_equal(read, labels)
    (tmp_path / 'images/c.png').write_bytes(picture(np.zeros((12, 16, 3), np.uint8)))
    with pytest.raises(UserError, match=r'there are files with \.jpeg and \.png; write one'):
        opened(tmp_path, masks_optional=True)
    bare = opened(tmp_path, images_pattern='images/{name}.jpeg', masks_pattern='', mask_values='')
    assert bare.facts.label == 'none'


def test_a_mask_beside_an_image_is_read_with_it_and_not_counted_as_left_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = {
        'images/a.tif': geotiff(np.full((12, 16, 3), 9, np.uint8)),
        'masks/a.png': picture(np.ones((12, 16), np.uint8)),
    }
    write_files(tmp_path, files)
    kept = np.ones((12, 16), bool)
    kept[:5] = False
    with (
        rasterio.Env(GDAL_TIFF_INTERNAL_MASK=False),
        rasterio.open(tmp_path / 'images/a.tif', 'r+') as file,
    ):
        file.write_mask(kept)
    data = opened(tmp_path)
    assert data.facts.images.missing
    read = data.source.read(0, None, ('labels', 'valid:images'))
    np.testing.assert_array_equal(read['valid:images'], kept)
    np.testing.assert_array_equal(read['labels'], np.where(kept, 0, 255))
    assert 'left out' not in capsys.readouterr().err


def test_places_without_masks_are_not_labelled(tmp_path: Path) -> None:
    files = {}
    for number in range(30):
        files[f'images/{number:02}.png'] = picture(numbers())
        if number % 3 == 0:
            files[f'masks/{number:02}.png'] = picture(numbers())
    options = options_of(write_files(tmp_path, files), masks_optional=True)
    data = DATASETS['pixel_folder'].from_config(options, False)
    split = split_dataset(data, rule_of(options, 0))
    assert len(split.labelled) > 0
    assert all(place % 3 == 0 for place in split.labelled)
    assert any(place % 3 for place in split.unlabelled)


def test_bands_limits_and_further_rasters(tmp_path: Path) -> None:
    images = RNG.integers(0, 4000, (12, 16, 4), np.uint16)
    heights = RNG.normal(50, 9, (6, 8, 1)).astype(np.float32)
    files = {'images/a.tif': geotiff(images, ('blue', 'green', 'red', 'nir')),
             'dsm/a.tif': geotiff(heights), 'masks/a.png': picture(numbers())}  # fmt: skip
    write_files(tmp_path, files)
    with pytest.raises(UserError, match=r'type uint16: say with data\.limits=LOW:HIGH .*from \d'):
        opened(tmp_path)
    more = {'raster_patterns': 'elevation=dsm/{name}.*', 'bands': 'red,2'}
    with pytest.raises(UserError, match=r"data\.limits='elevation=LOW:HIGH'"):
        opened(tmp_path, limits='0:3000', **more)
    data = opened(tmp_path, limits='0:3000,5:4000;elevation=-10:190', **more)
    assert data.bands == ('red', 'green')
    assert data.limits == ((0.0, 3000.0), (5.0, 4000.0))
    elevation = data.facts.rasters['elevation']
    assert (elevation.bands, elevation.dtype, elevation.scale) == (('value',), 'float32', 2)
    assert elevation.limits == ((-10.0, 190.0),)
    read = data.source.read(0, Window(2, 4, 6, 8), ('images', 'elevation'))
    np.testing.assert_array_equal(read['images'], images[2:8, 4:12][..., [2, 1]])
    np.testing.assert_array_equal(read['elevation'], heights[1:4, 2:6])
    for wrong, line in {
        '3:0': "'3:0' is no low:high", '0:1,2:3,4:5': '3 pairs for images, which has 2 band',
        'slope=0:1': 'unknown raster in data.limits',
    }.items():  # fmt: skip
        with pytest.raises(UserError, match=line):
            opened(tmp_path, limits=wrong, **more)
    write_files(tmp_path, {'dsm/a.tif': geotiff(np.ones((5, 8, 1), np.float32))})
    with pytest.raises(UserError, match=r'dsm/a\.tif: 8x5 pixels do not fit .* 16x12'):
        opened(tmp_path, limits='0:3000;elevation=-10:190', **more)


def test_strange_values_and_sizes_are_named(tmp_path: Path) -> None:
    stored = np.ones((12, 16), np.uint8)
    stored[9, 11] = 3
    files = {
        'images/a.png': picture(np.zeros((12, 16, 3), np.uint8)),
        'masks/a.png': picture(stored),
    }
    data = opened(write_files(tmp_path, files))
    assert (data.source.read(0, Window(0, 0, 8, 8), ('labels',))['labels'] == 0).all()
    with pytest.raises(UserError, match=r'masks/a\.png: label 3 in row 9, column 11 is none of 0,'):
        data.source.read(0, Window(8, 8, 4, 8), ('labels',))
    write_files(tmp_path, {'masks/a.png': picture(stored[:10])})
    with pytest.raises(UserError, match=r'masks/a\.png: 16x10 pixels; expected 16x12'):
        opened(tmp_path).source.read(0, Window(0, 0, 8, 8), ('labels',))


def test_tables_of_values_in_files(tmp_path: Path) -> None:
    image = np.zeros((12, 16, 3), np.uint8)
    stored = numbers()
    palette = Image.fromarray(stored, 'P')
    palette.putpalette([5, 5, 5] * 256)
    palette_file = tmp_path / 'masks' / 'a.png'
    write_files(tmp_path, {'images/a.png': picture(image), 'masks/a.png': b''})
    palette.save(palette_file)
    expected = np.select([stored == 7, stored == 1], [0, 1], 255)
    for name, text in {
        'values.json': '{"7": "land", "1": "water", "0": null}',
        'values.csv': 'value,class\n7,land\n1,water\n\n0,none\n',
        'values.txt': '7, land\n1, water\n0, none',
    }.items():
        (tmp_path / name).write_text(text)
        data = opened(tmp_path, mask_values=str(tmp_path / name))
        assert data.class_names == ('land', 'water')
        labels = data.source.read(0, None, ('labels',))['labels']
        np.testing.assert_array_equal(labels, expected)
    for text, line in {
        '': 'data.mask_values is empty', 'nowhere.csv': r"'nowhere\.csv': no such file",
        '1=a,1=b': '1 is in it twice', '1=a,#ffffff=b': 'numbers or colours, not both',
        '0=none': '0 classes', 'x=a': "'x' is no whole number", '1=a,2': "'2' is no value=class",
        '{"1": 2}': 'not a JSON object',
    }.items():  # fmt: skip
        with pytest.raises(UserError, match=line):
            opened(tmp_path, mask_values=text)


@pytest.mark.parametrize(
    ('values', 'line'),
    [
        (
            {'masks_pattern': 'masks/{town}/{name}.png'},
            r'has {town}, which the pattern of the images',
        ),
        ({'images_pattern': 'pictures/{name}.png'}, 'no file is like pictures/.*for example, imag'),
        ({'raster_patterns': 'labels={name}.tif'}, 'write name=PATTERN, each name once'),
        ({'root': ''}, r"'pixel_folder' needs --config\.data\.root=FOLDER_OR_ZIP"),
        ({'metres': -1.0}, r'data\.metres must not be negative'),
        ({'masks_pattern': ''}, r'data\.mask_values without data\.masks_pattern'),
        ({'labelled_share': 0.0}, r'data\.labelled_share must lie above 0'),
        ({'labelled_share': 0.5, 'labelled_in_all': 3}, 'leave one of them out'),
        ({'validation_by': 'tile'}, r"unknown data\.validation_by 'tile'"),
    ],
)
def test_options_that_cannot_be_are_refused(tmp_path: Path, values: dict, line: str) -> None:
    root = write_files(tmp_path, {'images/a.png': picture(np.zeros((12, 16, 3), np.uint8)),
                                  'masks/a.png': picture(numbers())})  # fmt: skip
    with pytest.raises(UserError, match=line) as caught:
        opened(**{'root': root, **values})
    assert '\n' not in str(caught.value)


def test_the_aerial_tiles_of_dubai() -> None:
    data = opened(
        real_data('dubai_land_cover.zip'),
        images_pattern='dubai_land_cover/{group}/images/{name}.*',
        masks_pattern='dubai_land_cover/{group}/masks/{name}.*',
        mask_values='#e2a929=water,#8429f6=land,#6ec1e4=road,#3c1098=building,#fedd3a=vegetation,'
        '#9b9b9b=none',
    )
    assert (data.places.num, data.facts.num_classes) == (54, 5)
    assert data.facts.group_names == tuple(f'tile_{n}' for n in (1, 3, 4, 5, 6, 7))
    # Seven masks hold pixels of a colour that nobody has published.
    place = data.names.index('tile_3/image_part_006')  # type: ignore[union-attr]
    with pytest.raises(UserError, match=r'image_part_006\.png: label #000000 in row'):
        data.source.read(place, None, ('labels',))


def places_with_everything(root: Path) -> tuple[Path, dict[str, np.ndarray]]:
    """Two places with colour, land cover, elevation of 64-bit floats and linear radar."""
    files, radar = {}, {}
    for name in ('a', 'b'):
        power = RNG.uniform(0.001, 0.9, (12, 20, 2)).astype(np.float32)
        power[3, 4] = 0.0
        radar[name] = power
        files |= {
            f'rgb/{name}.png': picture(RNG.integers(0, 256, (12, 20, 3), np.uint8)),
            f'cover/{name}.png': picture(numbers(12, 20)),
            f'dem/{name}.tif': geotiff(RNG.uniform(0.0, 90.0, (6, 10, 1))),
            f's1/{name}.tif': geotiff(power, ('VV', 'VH')),
        }
    return write_files(root, files), radar


EVERYTHING = {
    'images_pattern': 'rgb/{name}.png',
    'masks_pattern': 'cover/{name}.png',
    'raster_patterns': 'elevation=dem/{name}.tif,sar=s1/{name}.tif',
    'limits': 'elevation=0:100;sar=-28:-3,-20:5',
    'bands': 'sar=VH,1',
    'decibels': 'sar=power',
}


def test_rasters_with_bands_limits_and_decibels_of_their_own(tmp_path: Path) -> None:
    root, radar = places_with_everything(tmp_path)
    data = opened(root, **EVERYTHING)
    sar, elevation = data.facts.rasters['sar'], data.facts.rasters['elevation']
    assert (sar.bands, sar.limits) == (('VH', 'VV'), ((-28.0, -3.0), (-20.0, 5.0)))
    assert (elevation.dtype, elevation.scale, elevation.limits) == ('float32', 2, ((0.0, 100.0),))
    assert from_json(json.loads(json.dumps(to_json(data.facts)))) == data.facts
    read = data.source.read(1, Window(2, 4, 8, 10), ('images', 'elevation', 'sar', 'labels'))
    power = radar['b'][2:10, 4:14, ::-1].astype(np.float64)
    with np.errstate(divide='ignore'):
        expected = 10.0 * np.log10(power)
    # No power at all has no logarithm: it is at the lower limit.
    expected = np.where(power == 0.0, [-28.0, -20.0], expected)
    np.testing.assert_allclose(read['sar'], expected, rtol=1e-5)
    assert (read['sar'][1, 0] == [-28.0, -20.0]).all()
    assert read['elevation'].shape == (4, 5, 1)
    assert read['elevation'].dtype == np.float32
    amplitude = opened(root, **{**EVERYTHING, 'decibels': 'sar=amplitude'})
    np.testing.assert_allclose(
        amplitude.source.read(1, Window(4, 5, 2, 2), ('sar',))['sar'],
        2.0 * data.source.read(1, Window(4, 5, 2, 2), ('sar',))['sar'],
        rtol=1e-5,
    )


@pytest.mark.parametrize(
    ('changes', 'message'),
    [
        ({'decibels': 'sar=dB'}, r"unknown kind of values in data\.decibels 'dB'"),
        ({'decibels': 'radar=power'}, r"unknown raster in data\.decibels 'radar'"),
        ({'bands': 'sar=1;sar=2'}, r'data\.bands: sar is in it twice'),
        ({'bands': 'sar=HH'}, r"s1/a\.tif: no band 'HH'; it has VV, VH"),
        ({'limits': 'elevation=0:9'}, r's1/a\.tif: pixels of type decibels: .*sar=LOW:HIGH'),
        ({'cut': 13}, r'data\.cut=13 must be a multiple of 2'),
        ({'cut': 14}, r'a: 20x12 pixels hold no square of data\.cut=14'),
    ],
)
def test_what_is_said_of_rasters_is_checked(
    tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    root, _ = places_with_everything(tmp_path)
    with pytest.raises(UserError, match=message):
        opened(root, **{**EVERYTHING, **changes})


def test_one_scene_is_cut_into_places(tmp_path: Path) -> None:
    root, _ = places_with_everything(tmp_path)
    whole, data = (opened(root, **EVERYTHING, cut=side) for side in (0, 6))
    assert (data.places.num, data.facts.size) == (12, (6, 6))
    rasters = ('images', 'elevation', 'sar', 'labels')
    place = list(data.names).index('b/001_002')
    read = data.source.read(place, None, rasters)
    expected = whole.source.read(1, Window(6, 12, 6, 6), rasters)
    for name in rasters:
        np.testing.assert_array_equal(read[name], expected[name])
    # One scene alone is split by its squares.
    one = opened(root, **{**EVERYTHING, 'images_pattern': 'rg{name}/a.png', 'masks_pattern': '',
                          'mask_values': '', 'raster_patterns': '', 'limits': '', 'bands': '',
                          'decibels': ''}, cut=4)  # fmt: skip
    split = split_dataset(one, rule_of(options_of(root, **EVERYTHING), 0))
    assert sum(len(part) for part in split[:3]) == one.places.num == 15


def test_bands_of_one_name_are_numbered(tmp_path: Path) -> None:
    pixels = RNG.integers(0, 256, (8, 8, 3), np.uint8)
    files = {
        'images/a.tif': geotiff(pixels, ('bands', 'bands', 'bands')),
        'masks/a.png': picture(numbers(8, 8)),
    }
    data = opened(write_files(tmp_path, files))
    assert data.bands == ('band 1', 'band 2', 'band 3')


def test_whole_numbers_among_images_of_floats_are_refused(tmp_path: Path) -> None:
    shares = RNG.uniform(0.0, 0.4, (8, 8, 2))
    files = {
        'images/a.tif': geotiff(shares.astype(np.float32)),
        'images/b.tif': geotiff(np.rint(10_000 * shares).astype(np.uint16)),
        'images/c.tif': geotiff(shares),
    }
    files |= {f'masks/{name}.png': picture(numbers(8, 8)) for name in 'abc'}
    write_files(tmp_path, files)
    with pytest.raises(UserError, match=r'b\.tif: pixels of type uint16; expected floats'):
        opened(tmp_path, limits='0:0.3')
    (tmp_path / 'images/b.tif').unlink()
    (tmp_path / 'masks/b.png').unlink()
    read = opened(tmp_path, limits='0:0.3').source.read
    np.testing.assert_allclose(read(1, None, ('images',))['images'], shares, atol=1e-7)


def test_bands_of_another_order_are_refused_unless_they_are_asked_for_by_name(
    tmp_path: Path,
) -> None:
    pixels, names = RNG.integers(1, 256, (8, 8, 3), np.uint8), ('red', 'green', 'blue')
    files = {
        'images/a.tif': geotiff(pixels, names),
        'images/b.tif': geotiff(pixels[..., ::-1], names[::-1]),
        'masks/a.png': picture(numbers(8, 8)),
        'masks/b.png': picture(numbers(8, 8)),
    }
    write_files(tmp_path, files)
    line = r'images/b\.tif has the bands blue, green, red, and images/a\.tif has red, green, blue'
    with pytest.raises(UserError, match=line):
        opened(tmp_path)
    with pytest.raises(UserError, match=line):
        opened(tmp_path, bands='1,2')
    data = opened(tmp_path, bands='red,green,blue')
    for place in range(2):
        read = data.source.read(place, None, ('images',))['images']
        np.testing.assert_array_equal(read, pixels)
    # Names that say other things, such as dates, leave the order of the files.
    write_files(tmp_path, {'images/b.tif': geotiff(pixels, ('a', 'b', 'c'))})
    read = opened(tmp_path).source.read(1, None, ('images',))['images']
    np.testing.assert_array_equal(read, pixels)


def test_limits_that_leave_nothing_are_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root, _ = places_with_everything(tmp_path)
    opened(root, **EVERYTHING)
    assert 'beyond its limits' not in capsys.readouterr().err
    opened(root, **{**EVERYTHING, 'limits': 'elevation=1000:1500;sar=-28:-3,-20:5'})
    said = capsys.readouterr().err
    assert 'nearly all values of elevation in the middle of a' in said
    assert 'data.limits' in said
