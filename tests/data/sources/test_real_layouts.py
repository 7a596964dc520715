"""Published imagery read by file patterns; against the same files opened by hand."""

from __future__ import annotations

import io
import zipfile

import numpy as np
import rasterio
from PIL import Image

from eojax.data.dataset import Window
from eojax.data.facts import Facts, Raster
from eojax.data.sources.layout import Layout, layer, read_layout
from eojax.data.splits import Rule, split_dataset
from tests.real_data import real_data

# Some masks hold a few black pixels, which the publisher does not explain.
DUBAI: dict[int | str, int | None] = {
    '#e2a929': 0, '#8429f6': 1, '#6ec1e4': 2, '#3c1098': 3, '#fedd3a': 4, '#9b9b9b': None,
    '#000000': None,
}  # fmt: skip
DUBAI_CLASSES = ('water', 'land', 'road', 'building', 'vegetation')


def test_aerial_tiles_with_masks_in_colour() -> None:
    path = real_data('dubai_land_cover.zip')
    layout = Layout(
        {
            'images': layer('dubai_land_cover/{group}/images/{name}.jpg'),
            'labels': layer('dubai_land_cover/{group}/masks/{name}.png', values=DUBAI),
        }
    )
    facts = Facts('dubai', class_names=DUBAI_CLASSES, label='pixel')
    data = read_layout(path, facts, layout)
    assert data.places.num == 54
    assert data.places.groups is not None
    split = split_dataset(data, Rule(0))
    held = [set(data.places.groups[part]) for part in (split.train, split.validation, split.test)]
    assert all(held)
    assert sum(map(len, held)) == len(data.facts.group_names) == 6
    place = data.names.index('tile_3/image_part_006')  # type: ignore[union-attr]
    read = data.source.read(place, Window(30, 40, 100, 120), ('images', 'labels'))
    with zipfile.ZipFile(path) as archive:

        def decode(name: str) -> np.ndarray:
            data = archive.read(f'dubai_land_cover/tile_3/{name}')
            return np.asarray(Image.open(io.BytesIO(data)).convert('RGB'))[30:130, 40:160]

        image, mask = decode('images/image_part_006.jpg'), decode('masks/image_part_006.png')
    np.testing.assert_array_equal(read['images'], image)
    for colour, label in DUBAI.items():
        value = [int(str(colour)[i : i + 2], 16) for i in (1, 3, 5)]
        assert (read['labels'][(mask == value).all(-1)] == (255 if label is None else label)).all()


def test_aerial_patches_of_five_bands() -> None:
    path = real_data('flair2_sample.zip')
    image = 'flair_aerial_train/{group}/{zone}/img/IMG_{name}.tif'
    mask = 'flair_labels_train/{group}/{zone}/msk/MSK_{name}.tif'
    names = tuple(f'class {number}' for number in range(1, 14))
    rasters = {'images': Raster(), 'elevation': Raster(('height',))}
    values = {number: min(number, 13) - 1 for number in range(1, 20)}
    layout = Layout(
        {
            'images': layer(image, bands=(1, 2, 3)),
            'elevation': layer(image, bands=(5,)),
            'labels': layer(mask, values=values),
        }
    )
    data = read_layout(path, Facts('flair', '', names, rasters, 'pixel'), layout)
    assert data.names[0] == 'D004_2021/Z6_NU/000473'
    assert data.facts.size == (512, 512)
    read = data.source.read(0, Window(7, 9, 64, 32), ('images', 'elevation', 'labels'))
    with rasterio.open(
        f'/vsizip/{path}/flair_aerial_train/D004_2021/Z6_NU/img/IMG_000473.tif'
    ) as f:
        whole = np.moveaxis(f.read(), 0, -1)[7:71, 9:41]
    np.testing.assert_array_equal(read['images'], whole[..., :3])
    np.testing.assert_array_equal(read['elevation'], whole[..., 4:])
    labels = np.concatenate([data.source.read(i, None, ('labels',))['labels'] for i in range(6)])
    assert set(np.unique(labels)) <= set(range(13))


def test_a_scene_is_a_place_without_labels() -> None:
    root = real_data('sentinel2_T48QUE_rgbn.tif').parent
    raster = Raster(('B04', 'B03', 'B02', 'B08'), 'uint16', ((0.0, 2750.0),) * 4)
    layout = Layout({'images': layer('sentinel2_{name}_rgbn.tif')})
    data = read_layout(root, Facts('scene', rasters={'images': raster}, label='none'), layout)
    assert (data.names, data.facts.size) == (('T48QUE',), (1068, 1068))
    read = data.source.read(0, Window(1000, 1004, 64, 64), ('images',))['images']
    with rasterio.open(root / 'sentinel2_T48QUE_rgbn.tif') as file:
        whole = np.moveaxis(file.read(), 0, -1)
    np.testing.assert_array_equal(read, whole[1000:1064, 1004:1068])


def test_places_seen_by_several_sensors() -> None:
    path = real_data('terramesh_places.zip')
    rasters = {
        'images': Raster(tuple(f'band {i}' for i in range(12)), 'int16', ((0.0, 4000.0),) * 12),
        'sar': Raster(('vv', 'vh'), 'float64', ((-25.0, 0.0),) * 2),
        'elevation': Raster(('height',), 'int16', ((0.0, 500.0),)),
    }
    classes = ('water', 'trees', 'flooded', 'crops', 'built', 'bare', 'snow', 'clouds', 'range')
    files = {'images': 'S2L2A', 'sar': 'S1RTC', 'elevation': 'DEM'}
    values = {0: None, **{number: number - 1 for number in range(1, 10)}}
    layout = Layout(
        {
            **{raster: layer(folder + '/{name}.tif') for raster, folder in files.items()},
            'labels': layer('LULC/{name}.tif', values=values),
        }
    )
    data = read_layout(path, Facts('terramesh', '', classes, rasters, 'pixel'), layout)
    assert (data.places.num, data.facts.size) == (3, (224, 224))
    read = data.source.read(1, Window(50, 60, 64, 48), (*rasters, 'labels'))
    for raster, folder in {**files, 'labels': 'LULC'}.items():
        with rasterio.open(f'/vsizip/{path}/{folder}/{data.names[1]}.tif') as file:
            whole = np.moveaxis(file.read(), 0, -1)[50:114, 60:108]
        expected = whole[..., 0] - 1 if raster == 'labels' else whole
        np.testing.assert_array_equal(read[raster], expected)
