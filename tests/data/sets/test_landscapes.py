from __future__ import annotations

import io
import zipfile
from typing import Any

import numpy as np
import pytest
from PIL import Image
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from eojax.data.sets.landscapes import CLASS_NAMES, generate, make_scenes, render_rgb
from eojax.errors import UserError
from eojax.synthetic.canvas import Canvas
from eojax.synthetic.chance import Chance
from eojax.synthetic.fields import band, lookup, meander, noise
from eojax.synthetic.parcels import lay_out
from eojax.synthetic.scene import Conditions, Material, Scene
from eojax.synthetic.views.render_rgb import sunlight, surface_reflectance, top_of_atmosphere
from tests.real_data import real_data

_ROOFS = (Material.ROOF_TILE, Material.ROOF_METAL, Material.ROOF_DARK)


def _flat(material: Material, size: int = 32, **layers: Any) -> Scene:
    """One level scene of one material, sun in the south-east at 45 degrees, clean air."""
    zeros = np.zeros((1, size, size), np.float32)
    layer = {name: zeros for name in Scene._fields if name not in ('conditions', 'seed')}
    layer['land_cover'] = layer['mixed_with'] = np.full(zeros.shape, material, np.uint8)
    layer['fraction'] = zeros + 1
    one = np.ones(1, np.float32)
    conditions = Conditions(
        sun_azimuth=one * np.pi * 0.75,
        sun_elevation=one * np.pi / 4,
        haze=one * 0,
        dryness=one * 0.5,
        soil=np.full((1, 3), 0.1, np.float32),
        masonry=np.ones((1, 3), np.float32),
        foliage=np.ones((1, 3), np.float32),
    )
    scene = Scene(**layer, conditions=conditions, seed=np.array([1]))
    return scene._replace(**layers)


def test_classes_are_those_of_eurosat_in_order() -> None:
    assert len(CLASS_NAMES) == 10
    assert list(CLASS_NAMES) == sorted(CLASS_NAMES)
    assert CLASS_NAMES[0] == 'AnnualCrop'
    assert CLASS_NAMES[4] == 'Industrial'
    assert CLASS_NAMES[9] == 'SeaLake'


@pytest.mark.parametrize('size', [16, 33, 64])
def test_data_set_keeps_its_contract(size: int) -> None:
    data = generate(23, size, seed=3)
    assert data.images.shape == (23, size, size, 3)
    assert data.images.dtype == np.uint8
    assert data.labels.dtype == np.int32
    assert list(data.names) == sorted(set(data.names))
    assert data.names[-1] == 'SeaLake/SeaLake_000019'
    assert [n.split('/')[0] for n in data.names] == [CLASS_NAMES[k] for k in data.labels]
    counts = np.bincount(data.labels, minlength=10)
    assert counts.max() - counts.min() <= 1


def test_a_small_set_is_part_of_a_larger_one_of_the_same_seed() -> None:
    small, large = generate(12, 32, seed=5), generate(31, 32, seed=5)
    by_name = dict(zip(large.names, large.images, strict=True))
    for name, image in zip(small.names, small.images, strict=True):
        np.testing.assert_array_equal(image, by_name[name])


def test_images_differ_from_each_other_and_from_those_of_another_seed() -> None:
    first = generate(40, 16, seed=0).images.reshape(40, -1)
    second = generate(40, 16, seed=1).images.reshape(40, -1)
    assert len(np.unique(np.concatenate([first, second]), axis=0)) == 80


def test_a_scene_does_not_depend_on_its_neighbours() -> None:
    together = make_scenes([8, 2, 8, 4, 3], 32, seed=2)
    alone = make_scenes([8], 32, seed=2, indices=[2])
    for name in Scene._fields:
        if name != 'conditions':
            np.testing.assert_array_equal(getattr(together, name)[2], getattr(alone, name)[0])
    np.testing.assert_array_equal(render_rgb(together)[2], render_rgb(alone)[0])


def test_labels_are_honoured_and_numbered_by_their_place() -> None:
    data = generate(4, 16, labels=np.array([9, 1, 9, 0]))
    assert data.names == (
        'AnnualCrop/AnnualCrop_000003',
        'Forest/Forest_000001',
        'SeaLake/SeaLake_000000',
        'SeaLake/SeaLake_000002',
    )
    np.testing.assert_array_equal(data.labels, [0, 1, 9, 9])


@pytest.mark.parametrize(
    ('arguments', 'message'),
    [
        ({'num': 0}, 'at least 1'),
        ({'num': 2, 'size': 15}, 'smallest is 16'),
        ({'num': 2, 'seed': -1}, '0 or more'),
        ({'num': 2, 'labels': np.array([0, 10])}, 'unknown label 10'),
        ({'num': 2, 'labels': np.array([-1, 1])}, 'unknown label -1'),
        ({'num': 2, 'labels': np.array([0])}, 'give 2'),
        ({'num': 2, 'labels': np.array([0.0, 1.0])}, 'integers'),
    ],
)
def test_bad_arguments_give_one_line(arguments: dict, message: str) -> None:
    with pytest.raises(UserError, match=message) as caught:
        generate(**arguments)
    assert '\n' not in str(caught.value)


def test_negative_index_is_refused() -> None:
    with pytest.raises(UserError, match='index'):
        make_scenes([1], 16, indices=[-1])


def test_layers_keep_their_ranges_in_every_class() -> None:
    scene = make_scenes(np.arange(40) % 10, 48, seed=1)
    assert scene.land_cover.dtype == scene.mixed_with.dtype == np.uint8
    assert scene.parcel.dtype == np.int32
    assert max(scene.land_cover.max(), scene.mixed_with.max()) < len(Material)
    assert scene.fraction.min() >= 0.5
    assert scene.fraction.max() <= 1.0
    for layer in (scene.vegetation, scene.wetness, scene.turbidity):
        assert layer.dtype == np.float32
        assert layer.min() >= 0.0
        assert layer.max() <= 1.0
    assert all(np.isfinite(getattr(scene, n)).all() for n in ('elevation', 'height', 'tint'))
    assert scene.height.min() >= -1e-4
    wet = (scene.land_cover == Material.WATER) | (scene.mixed_with == Material.WATER)
    assert (scene.water_depth[~wet] == 0).all()
    assert (scene.water_depth[scene.land_cover == Material.WATER] > 0).all()


def test_every_class_holds_what_it_is_named_after() -> None:
    num = 12
    scene = make_scenes(np.repeat(np.arange(10), num), 64, seed=4)

    def share(name: str, *materials: Material) -> np.ndarray:
        rows = scene.land_cover.reshape(10, num, -1)[CLASS_NAMES.index(name)]
        return np.isin(rows, materials).mean(1)

    assert share('Forest', Material.TREE).min() > 0.6
    assert share('River', Material.WATER).min() > 0.02
    assert share('River', Material.WATER).max() < 0.75
    assert share('SeaLake', Material.WATER).min() > 0.2
    assert share('Highway', Material.ROAD).min() > 0.005
    assert share('Industrial', *_ROOFS).min() > 0.08
    assert share('Residential', *_ROOFS).min() > 0.02
    assert share('Pasture', Material.GRASS).mean() > 0.6
    assert share('AnnualCrop', Material.CROP, Material.BARE_SOIL).mean() > 0.7
    planted = (Material.TREE, Material.SHRUB)
    orchards = slice(CLASS_NAMES.index('PermanentCrop') * num, None)
    mixed = np.isin(scene.mixed_with[orchards][:num], planted).mean()
    assert share('PermanentCrop', *planted).mean() + mixed > 0.3
    assert share('HerbaceousVegetation', *_ROOFS, Material.CROP).max() == 0.0


def test_two_layouts_of_one_image_never_share_a_parcel_id() -> None:
    canvas = Canvas(Chance([4, 9]), 32)
    angle = np.zeros((2, 1, 1), np.float32)
    parcels = lay_out(canvas.chance, canvas.x, canvas.y, angle, 80.0, 100.0)
    canvas.allot(parcels)
    before = canvas.parcel.copy()
    west = np.broadcast_to(canvas.x < 0, before.shape)
    canvas.allot(parcels._replace(angle=angle + 1.0), west)
    np.testing.assert_array_equal(canvas.parcel[~west], before[~west])
    assert not np.intersect1d(canvas.parcel[west], before).size
    assert (canvas.row_angle == west).all()


def test_sometimes_draws_on_a_share_of_the_images_and_leaves_the_rest() -> None:
    canvas = Canvas(Chance(range(400)), 16)
    canvas.sometimes(0.3, lambda part: part.paint(Material.ROAD, np.ones((1, 16, 16)), height=2.0))
    painted = (canvas.land_cover == Material.ROAD).all((1, 2))
    assert 90 <= painted.sum() <= 150
    assert (canvas.height[painted] == 2.0).all()
    assert (canvas.height[~painted] == 0.0).all()
    assert (canvas.land_cover[~painted] == Material.BARE_SOIL).all()


def test_paint_keeps_the_larger_share_as_the_main_material() -> None:
    canvas = Canvas(Chance([0]), 16)
    canvas.height[:] = 10.0
    canvas.paint(Material.GRASS, np.full((1, 16, 16), 0.3), height=0.0)
    assert (canvas.land_cover == Material.BARE_SOIL).all()
    assert (canvas.mixed_with == Material.GRASS).all()
    np.testing.assert_allclose(canvas.fraction, 0.7)
    np.testing.assert_allclose(canvas.height, 7.0)
    canvas.paint(Material.ROAD, np.full((1, 16, 16), 0.8))
    assert (canvas.land_cover == Material.ROAD).all()
    assert (canvas.mixed_with == Material.BARE_SOIL).all()
    np.testing.assert_allclose(canvas.fraction, 0.8)


def test_water_is_level_and_houses_stand_on_it_nowhere() -> None:
    scene = make_scenes([8] * 8 + [9] * 8, 64)
    water = (scene.land_cover == Material.WATER) & (scene.fraction == 1.0)
    assert np.abs(scene.elevation[water]).max() < 0.1
    assert scene.height[water].max() < 0.1


def test_band_is_the_exact_area_of_a_straight_strip() -> None:
    centres = np.arange(-100.0, 101.0, 10.0)
    for half_width in (2.0, 5.0, 13.7):
        for shift in (0.0, 3.3):
            area = 10.0 * band(centres + shift, half_width).sum()
            assert area == pytest.approx(2 * half_width, rel=1e-5)


def test_noise_has_zero_mean_unit_variance_and_its_scale() -> None:
    chance = Chance(range(300))
    fine, coarse = (noise(chance, 32, spacings) for spacings in ((20.0,), (160.0,)))
    for field in (fine, coarse):
        assert field.shape == (300, 32, 32)
        assert field.var() == pytest.approx(1.0, abs=0.15)
        assert field.mean() == pytest.approx(0.0, abs=0.08)

    def neighbours(field: np.ndarray) -> float:
        return float(np.corrcoef(field[..., 1:].ravel(), field[..., :-1].ravel())[0, 1])

    assert neighbours(coarse) > 0.98
    assert 0.4 < neighbours(fine) < 0.9


def test_lookup_reads_each_images_own_table() -> None:
    table = np.array([[1, 2, 3], [10, 20, 30]])
    index = np.array([[[0, 2]], [[2, 1]]])
    np.testing.assert_array_equal(lookup(table, index), [[[1, 3]], [[30, 20]]])


def test_meander_without_bends_is_a_straight_line() -> None:
    x, y = (a.astype(np.float32)[None] for a in np.meshgrid(np.arange(5.0), np.arange(5.0)))
    angle, offset = np.full((1, 1, 1), np.pi / 2), np.full((1, 1, 1), 2.0)
    distance, along = meander(Chance([0]), x, y, angle, offset, offset * 0, offset * 100)
    np.testing.assert_allclose(distance, -x - 2.0, atol=1e-5)
    np.testing.assert_allclose(along, y, atol=1e-5)


def test_regular_parcels_are_rectangles_of_the_given_size() -> None:
    metres = np.arange(0.0, 600.0, 1.0, dtype=np.float32)
    x, y = (a[None] for a in np.meshgrid(metres, metres))
    zero = np.zeros((1, 1, 1), np.float32)
    parcels = lay_out(Chance([7]), x, y, zero, zero + 60, zero + 100, irregular=0.0)
    np.testing.assert_allclose(parcels.half_width, 30, rtol=1e-3)
    np.testing.assert_allclose(parcels.half_length, 50, rtol=1e-3)
    ids, counts = np.unique(parcels.ids, return_counts=True)
    assert 10 * 6 <= len(ids) <= 11 * 7
    assert counts.max() == pytest.approx(60 * 100, rel=0.04)


def test_irregular_parcels_hold_their_pixels_and_neighbours_differ_in_kind() -> None:
    metres = np.arange(0.0, 1280.0, 10.0, dtype=np.float32)
    x, y = (a[None] for a in np.meshgrid(metres, metres))
    angle = np.full((1, 1, 1), 0.6, np.float32)
    parcels = lay_out(Chance([1]), x, y, angle, 70.0, 120.0, irregular=0.8)
    assert parcels.to_strip_cut.min() > -0.05
    assert parcels.to_cross_cut.min() > -0.05
    border = parcels.ids[..., 1:] != parcels.ids[..., :-1]
    assert border.any()
    differs = parcels.kind[..., 1:] != parcels.kind[..., :-1]
    assert (differs == border).all()


def test_level_ground_and_slopes_get_the_light_of_lamberts_cosine() -> None:
    np.testing.assert_allclose(sunlight(_flat(Material.GRASS)), 1.0, atol=1e-6)
    # A slope of 10 percent that rises to the east, away from a sun in the west at 30 degrees:
    # cos(incidence) / sin(elevation), without the cosine of the slope, is 1 + 0.1 / tan(30).
    scene = _flat(Material.GRASS)
    east = np.broadcast_to(np.arange(32, dtype=np.float32), (1, 32, 32))
    conditions = scene.conditions._replace(
        sun_azimuth=np.array([1.5 * np.pi], np.float32),
        sun_elevation=np.array([np.pi / 6], np.float32),
    )
    lit = sunlight(scene._replace(elevation=east, conditions=conditions))[0, 8:-8, 8:-8]
    np.testing.assert_allclose(lit, 1 + 0.72 * 0.1 / np.tan(np.pi / 6), atol=1e-5)


def test_a_house_shades_the_pixel_behind_it_and_not_the_one_before() -> None:
    height = np.zeros((1, 32, 32), np.float32)
    height[0, 16, 16] = 30.0
    scene = _flat(Material.GRASS, height=height)
    south = scene.conditions._replace(sun_azimuth=np.array([np.pi], np.float32))
    light = sunlight(scene._replace(conditions=south))[0]
    assert light[15, 16] == pytest.approx(0.28)  # north of it: skylight alone
    assert light[17, 16] == pytest.approx(1.0)


def test_reflectance_mixes_linearly_and_follows_leaves_water_and_wetness() -> None:
    soil, grass = (
        surface_reflectance(_flat(m, vegetation=np.full((1, 32, 32), 0.8, np.float32)))
        for m in (Material.ROAD, Material.GRASS)
    )
    mixed = _flat(
        Material.ROAD,
        vegetation=np.full((1, 32, 32), 0.8, np.float32),
        mixed_with=np.full((1, 32, 32), Material.GRASS, np.uint8),
        fraction=np.full((1, 32, 32), 0.7, np.float32),
    )
    np.testing.assert_allclose(surface_reflectance(mixed), 0.7 * soil + 0.3 * grass, rtol=1e-5)

    def red(material: Material, **layers: float) -> float:
        full: dict[str, Any] = {k: np.full((1, 32, 32), v, np.float32) for k, v in layers.items()}
        return float(surface_reflectance(_flat(material, **full))[0, 0].mean())

    assert red(Material.CROP, vegetation=1.0) < 0.5 * red(Material.CROP)
    assert red(Material.BARE_SOIL, wetness=1.0) == pytest.approx(0.55 * red(Material.BARE_SOIL))
    assert red(Material.WATER, turbidity=1.0) > 5 * red(Material.WATER)


def test_haze_brightens_dark_ground_most_in_the_blue() -> None:
    clean = _flat(Material.TREE, vegetation=np.ones((1, 32, 32), np.float32))
    hazy = clean._replace(conditions=clean.conditions._replace(haze=np.ones(1, np.float32)))
    gain = (top_of_atmosphere(hazy) - top_of_atmosphere(clean)).mean((0, 2, 3))
    assert gain.min() > 0
    assert gain.argmax() == 2


def test_rendering_is_repeatable_and_noise_is_about_one_step() -> None:
    scene = _flat(Material.GRASS, size=64)
    image = render_rgb(scene)
    np.testing.assert_array_equal(image, render_rgb(scene))
    exact = top_of_atmosphere(scene)[0, :, 0, 0] * 255 / 0.2755
    np.testing.assert_allclose(image[0].mean((0, 1)), exact, atol=0.1)
    # Rounding adds a twelfth to the variance of one.
    assert image[0].std((0, 1)) == pytest.approx(np.full(3, np.sqrt(13 / 12)), rel=0.06)
    other = render_rgb(scene._replace(seed=np.array([2])))
    assert (image != other).any()


def _texture(images: np.ndarray) -> np.ndarray:
    grey = images.astype(np.float32).mean(-1)
    steps = [np.abs(grey[:, d:] - grey[:, :-d]) for d in (1, 2, 4, 8)]
    steps += [np.abs(grey[:, :, d:] - grey[:, :, :-d]) for d in (1, 2, 4, 8)]
    features = [s.mean((1, 2)) for s in steps] + [np.quantile(s, 0.95, (1, 2)) for s in steps]
    features += list(np.quantile(grey, (0.01, 0.1, 0.5, 0.9, 0.99), axis=(1, 2)))
    return np.log1p(np.stack(features, axis=1))


def test_texture_tells_the_classes_apart_and_mean_colour_does_not() -> None:
    data = generate(900, 32, seed=0)
    order = np.random.default_rng(0).permutation(900)
    train, test = order[:600], order[600:]
    colour = data.images.mean((1, 2))
    accuracy = []
    for features in (colour, np.concatenate([colour, _texture(data.images)], axis=1)):
        model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=300))
        model.fit(features[train], data.labels[train])
        accuracy.append(model.score(features[test], data.labels[test]))
    assert 0.25 < accuracy[0] < 0.6
    assert accuracy[1] > accuracy[0] + 0.15


def test_colours_and_contrast_are_near_those_of_eurosat() -> None:
    archive = real_data('EuroSAT_RGB.zip')
    drawn = generate(300, 64, seed=0)
    with zipfile.ZipFile(archive) as file:
        names = sorted(n for n in file.namelist() if n.endswith('.jpg'))
        for label, class_name in enumerate(CLASS_NAMES):
            own = [n for n in names if n.split('/')[-2] == class_name][::60]
            real = np.stack([np.asarray(Image.open(io.BytesIO(file.read(n)))) for n in own])
            fake = drawn.images[drawn.labels == label]
            gap = np.abs(real.mean((0, 1, 2)) - fake.mean((0, 1, 2)))
            assert gap.max() < 30, class_name
            contrast = [x.mean(-1).std((1, 2)).mean() for x in (real, fake)]
            assert abs(contrast[0] - contrast[1]) < 14, class_name
