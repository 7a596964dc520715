from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from ml_collections import ConfigDict

from eojax.data import facts as data_facts
from eojax.data import options as data_options
from eojax.data import splits
from eojax.data.class_groups import parse, regroup
from eojax.data.dataset import ArraySource, Dataset, Window
from eojax.data.facts import IMAGES, PIXEL_LABELS, UNKNOWN
from eojax.data.sets import DATASETS, landscape_cover, landscape_pairs
from eojax.data.sets.landscape_cover import CLASS_NAMES, draw_dataset, land_cover_labels
from eojax.errors import UserError
from eojax.synthetic import country
from eojax.synthetic.regions import make_region
from eojax.synthetic.scene import Material
from tests.synthetic.flat_scene import flat_scene

SIZE = 64
WATER = CLASS_NAMES.index('water')


@pytest.fixture(scope='module')
def pairs() -> Dataset:
    """Two tiles of each region in all rasters."""
    return draw_dataset(16, SIZE, views=landscape_pairs.VIEWS)


def _read(dataset: Dataset, place: int, *rasters: str) -> list[np.ndarray]:
    pixels = dataset.source.read(place, None, rasters)
    return [pixels[name] for name in rasters]


def test_places_are_sorted_by_name_and_grouped_by_region() -> None:
    data = draw_dataset(13, 32, regions=5, seed=3)
    places = data.places
    assert list(places.names) == sorted(set(places.names))
    assert places.groups is not None
    for name, group in zip(places.names, places.groups, strict=True):
        region, number = name.split('/')
        assert region == data.facts.group_names[group] == make_region(3, int(group)).name
        assert int(number) % 5 == group
    assert (places.labels == -1).all()
    assert places.labels.dtype == places.heights.dtype == places.groups.dtype == np.int32
    assert set(places.heights) == set(places.widths) == {32}
    for place in range(13):
        image, surface, labels = _read(data, place, IMAGES, 'elevation', PIXEL_LABELS)
        assert (image.shape, image.dtype) == ((32, 32, 3), np.uint8)
        assert (surface.shape, surface.dtype) == ((16, 16, 1), np.int16)
        assert (labels.shape, labels.dtype) == ((32, 32), np.uint8)
        assert labels.max() < len(CLASS_NAMES)


def test_facts_are_those_of_the_arrays_and_pass_through_json(pairs: Dataset) -> None:
    for dataset in (draw_dataset(8, 32), pairs):
        facts = dataset.facts
        assert data_facts.from_json(json.loads(json.dumps(data_facts.to_json(facts)))) == facts
        assert facts.label == 'pixel'
        assert set(facts.class_colours) == set(CLASS_NAMES)
        assert facts.metres == 10.0
        pixels = dataset.source.read(3, None, tuple(facts.rasters))
        for name, raster in facts.rasters.items():
            side = facts.size[0] // raster.scale  # type: ignore[index]
            assert pixels[name].shape == (side, side, len(raster.bands))
            assert pixels[name].dtype == raster.dtype
            if raster.limits is not None:
                low, high = raster.limits[0]
                assert (low < pixels[name]).mean() > 0.95
                assert (pixels[name] < high).mean() > 0.95


def test_every_class_of_material_is_drawn(pairs: Dataset) -> None:
    labels = np.stack([_read(pairs, place, PIXEL_LABELS)[0] for place in range(16)])
    shares = np.bincount(labels.ravel(), minlength=len(CLASS_NAMES)) / labels.size
    assert len(shares) == len(CLASS_NAMES)
    assert (shares > 0.002).all()
    # Most tiles hold many classes, and none fills them all.
    several = [(np.bincount(tile.ravel(), minlength=8) > 0.01 * SIZE**2).sum() for tile in labels]
    assert np.median(several) >= 5


def test_labels_are_the_classes_of_the_scenes_materials(pairs: Dataset) -> None:
    place = pairs.names.index('coast_6/000006')
    scene = country.make_tiles(make_region(0, 6), [6], SIZE)
    labels, surface = _read(pairs, place, PIXEL_LABELS, 'elevation')
    expected = {
        'water': ['WATER'],
        'bare ground': ['BARE_SOIL', 'SAND', 'ROCK'],
        'crops': ['CROP'],
        'grass': ['GRASS'],
        'shrubs': ['SHRUB'],
        'trees': ['TREE'],
        'roads and yards': ['ROAD', 'TRACK', 'PAVED'],
        'buildings': ['ROOF_TILE', 'ROOF_METAL', 'ROOF_DARK'],
    }
    for number, name in enumerate(CLASS_NAMES):
        ids = [Material[material] for material in expected.pop(name)]
        np.testing.assert_array_equal(labels == number, np.isin(scene.land_cover[0], ids))
    assert not expected
    metres = (scene.elevation + scene.height)[0]
    np.testing.assert_allclose(surface[..., 0] / 10.0, metres, atol=0.051)


def _best_shift(edges: np.ndarray, view: np.ndarray) -> tuple[int, int]:
    """The displacement, up to two pixels, at which a view's edges agree best with others."""
    gradient = np.hypot(*np.gradient(view.astype(np.float64)))
    inner = edges[4:-4, 4:-4]
    scores = {
        (row, column): (gradient[4 + row : SIZE - 4 + row, 4 + column : SIZE - 4 + column])[
            inner
        ].mean()
        for row in range(-2, 3)
        for column in range(-2, 3)
    }
    return max(scores, key=lambda shift: scores[shift])


def test_the_water_of_the_labels_is_the_water_of_every_raster(pairs: Dataset) -> None:
    seen = 0
    for place in range(16):
        image, surface, radar, labels = _read(
            pairs, place, IMAGES, 'elevation', 'sar', PIXEL_LABELS
        )
        water = labels == WATER
        if not 0.05 < water.mean() < 0.9:
            continue
        seen += 1
        core = water & _shifted_all(water)
        land = ~water & _shifted_all(~water)
        assert radar[core].mean() < radar[land].mean() - 300  # 3 dB
        assert np.quantile(surface[core], 0.9) < np.quantile(surface[land], 0.5)
        red, blue = (image[..., band].astype(float) for band in (0, 2))
        assert (blue - red)[core].mean() > (blue - red)[land].mean()
    assert seen >= 3


def _shifted_all(mask: np.ndarray) -> np.ndarray:
    """Where the mask holds two pixels away as well, in the four directions."""
    padded = np.pad(mask, 2, mode='edge')
    return padded[:-4, 2:-2] & padded[4:, 2:-2] & padded[2:-2, :-4] & padded[2:-2, 4:]


def test_shores_lie_at_the_same_pixels_in_labels_and_pictures() -> None:
    # The sea of a clear day is dark in red beside the sand of its beach.
    shifts = []
    data = draw_dataset(28, SIZE, regions=7, views=landscape_pairs.VIEWS)
    for place in np.flatnonzero(data.places.groups == 6):
        image, labels = _read(data, int(place), IMAGES, PIXEL_LABELS)
        water = (labels == WATER).astype(np.float64)
        edges = np.hypot(*np.gradient(water)) > 0
        if edges[4:-4, 4:-4].sum() > SIZE // 2:
            shifts.append(_best_shift(edges, image[..., 0]))
    assert len(shifts) >= 2
    assert np.abs(np.asarray(shifts)).max() <= 1


def test_half_resolution_is_the_mean_of_the_full_one(pairs: Dataset) -> None:
    coarse = draw_dataset(16, SIZE)
    assert coarse.names == pairs.names
    for place in (0, 5):
        fine = _read(pairs, place, 'elevation')[0].astype(float)
        means = fine.reshape(SIZE // 2, 2, SIZE // 2, 2, 1).mean((1, 3))
        np.testing.assert_allclose(_read(coarse, place, 'elevation')[0], means, atol=1.01)
        np.testing.assert_array_equal(*(_read(d, place, IMAGES)[0] for d in (coarse, pairs)))


def test_windows_are_cut_from_all_rasters_alike() -> None:
    data = draw_dataset(8, SIZE)
    whole = data.source.read(2, None, (IMAGES, 'elevation', PIXEL_LABELS))
    cut = data.source.read(2, Window(10, 20, 16, 32), (IMAGES, 'elevation', PIXEL_LABELS))
    np.testing.assert_array_equal(cut[IMAGES], whole[IMAGES][10:26, 20:52])
    np.testing.assert_array_equal(cut['elevation'], whole['elevation'][5:13, 10:26])
    np.testing.assert_array_equal(cut[PIXEL_LABELS], whole[PIXEL_LABELS][10:26, 20:52])


def test_a_small_set_is_part_of_a_larger_one_and_another_seed_is_another_country() -> None:
    small, large, other = draw_dataset(9, 32), draw_dataset(18, 32), draw_dataset(9, 32, seed=1)
    for place, name in enumerate(small.names):
        there = large.names.index(name)
        for mine, same in zip(
            _read(small, place, IMAGES, 'elevation', PIXEL_LABELS),
            _read(large, there, IMAGES, 'elevation', PIXEL_LABELS),
            strict=True,
        ):
            np.testing.assert_array_equal(mine, same)
        assert not np.array_equal(*(_read(d, place, IMAGES)[0] for d in (small, other)))


def test_mixed_pixels_may_be_unknown() -> None:
    scene = flat_scene(Material.ROAD, 1, 4, mixed_with=Material.ROAD)
    scene.mixed_with[:, 0] = Material.PAVED  # of the same class
    scene.mixed_with[:, 1:3] = Material.GRASS
    scene.fraction[:] = 0.55
    scene.fraction[:, 2] = 0.7
    road = CLASS_NAMES.index('roads and yards')
    known = land_cover_labels(scene)
    assert (known == road).all()
    strict = land_cover_labels(scene, 0.6)[0]
    assert (strict[1] == UNKNOWN).all()
    assert (strict[[0, 2, 3]] == road).all()
    data, all_known = draw_dataset(8, 32, least_share=0.7), draw_dataset(8, 32)
    for place in range(8):
        some, full = (_read(d, place, PIXEL_LABELS)[0] for d in (data, all_known))
        assert 0.0 < (some == UNKNOWN).mean() < 0.5
        np.testing.assert_array_equal(some[some != UNKNOWN], full[some != UNKNOWN])


def test_a_split_keeps_regions_whole() -> None:
    data = draw_dataset(32, 32)
    rule = splits.Rule(seed=0, labelled_groups='plain_0,city_7', test_fraction=0.25)
    split = splits.split_dataset(data, rule)
    groups = data.places.groups
    assert groups is not None
    regions = [set(groups[part].tolist()) for part in (split.train, split.validation, split.test)]
    assert sum(map(len, regions)) == 8
    assert set().union(*regions) == set(range(8))
    assert len(regions[2]) == 2
    assert set(groups[split.labelled].tolist()) == {0, 7} & regions[0]


def test_classes_of_pixels_may_be_joined() -> None:
    data = draw_dataset(8, 32)
    grouped = regroup(data, parse('green=grass+trees+shrubs,water'))
    assert grouped.class_names == ('green', 'water')
    assert grouped.places is data.places
    for place, alone in ((6, grouped), (0, grouped.subset(np.array([6])))):
        window = Window(4, 8, 16, 20)
        before = data.source.read(6, window, (IMAGES, PIXEL_LABELS))
        after = alone.source.read(place, window, (IMAGES, PIXEL_LABELS))
        expected = np.full((16, 20), UNKNOWN)
        for number, names in enumerate((('grass', 'trees', 'shrubs'), ('water',))):
            old = [CLASS_NAMES.index(name) for name in names]
            expected[np.isin(before[PIXEL_LABELS], old)] = number
        np.testing.assert_array_equal(after[PIXEL_LABELS], expected)
        np.testing.assert_array_equal(after[IMAGES], before[IMAGES])


def _options(name: str, **values: Any) -> ConfigDict:
    return ConfigDict({**data_options.defaults(name), **values})


@pytest.mark.parametrize('name', ['landscape_cover', 'landscape_pairs'])
def test_the_config_draws_what_it_asks_for(name: str) -> None:
    # As the radar's pairs are without hills and a sun of their own.
    plain = {'relief': 1.0, 'sun': 0.0} if name == 'landscape_pairs' else {}
    options = _options(name, num_images=6, size=32, regions=3, seed=4, least_share=0.6, **plain)
    data_options.check(options, 'data')
    data = DATASETS[name].from_config(options, progress=False)
    views = landscape_pairs.views_of(options) if plain else landscape_cover.VIEWS
    expected = draw_dataset(6, 32, 3, 4, 0.6, views)
    assert data.facts.name == name
    assert tuple(data.facts.rasters) == tuple(views)
    assert data.names == expected.names
    for raster in (*views, PIXEL_LABELS):
        np.testing.assert_array_equal(_read(data, 4, raster), _read(expected, 4, raster))


@pytest.mark.parametrize(
    ('values', 'message'),
    [
        ({'root': '/somewhere'}, 'leave data.source and data.root alone'),
        ({'size': 31}, 'data.size must be an even number from 32'),
        ({'size': 33}, 'data.size must be an even number from 32'),
        ({'regions': 0}, 'data.regions must be at least 1'),
        ({'num_images': 7}, 'data.num_images must be at least one a region'),
        ({'seed': -1}, 'data.seed must not be negative'),
        ({'least_share': 0.4}, 'data.least_share must lie between 0.5 and 1'),
        ({'least_share': float('nan')}, 'data.least_share must be a number'),
    ],
)
def test_bad_options_name_their_key(values: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        data_options.check(_options('landscape_cover', **values), 'data')


def test_palettes_tell_regions_apart_and_leave_classes_and_heights() -> None:
    plain, coloured, again = (draw_dataset(24, 64, 8, palette=p) for p in (0.0, 1.0, 1.0))
    assert isinstance(plain.source, ArraySource)
    for data in (coloured, again):
        assert isinstance(data.source, ArraySource)
        for raster in ('labels', 'elevation'):
            np.testing.assert_array_equal(data.source.arrays[raster], plain.source.arrays[raster])
    np.testing.assert_array_equal(again.source.arrays['images'], coloured.source.arrays['images'])
    groups, buildings = plain.places.groups, CLASS_NAMES.index('buildings')
    assert groups is not None

    def spread(data: Dataset) -> float:
        """Of the colour of roofs over the regions: each band's share of the brightness."""
        images, labels = data.source.arrays['images'], data.source.arrays['labels']
        means = np.array([images[groups == r][labels[groups == r] == buildings].mean(0)
                          for r in range(8)])  # fmt: skip
        return float((means / means.sum(1, keepdims=True)).std(0).mean())

    assert spread(coloured) > 1.5 * spread(plain)
    with pytest.raises(UserError, match=r'data\.palette must lie between 0 and 3, not 4'):
        draw_dataset(8, 64, palette=4.0)
