from __future__ import annotations

import numpy as np
import pytest

from eojax.data.sets.landscape_zones import CLASS_NAMES, make_scenes
from eojax.synthetic.scene import Material
from eojax.synthetic.views.render_rgb import render_rgb
from eojax.synthetic.views.render_sar import (
    NOISE_FLOOR,
    draw_acquisition,
    mean_backscatter,
    multilook_db,
    render_looks,
    render_sar,
    surface_backscatter,
    water_db,
)
from tests.synthetic.flat_scene import flat_scene, passing


def _db(values: np.ndarray) -> float:
    return float(10.0 * np.log10(values.mean()))


def test_speckle_is_circular_gaussian_with_the_mean_backscatter_as_its_power() -> None:
    scene, way = flat_scene(Material.CROP, 30, 64), passing(30)
    sigma0 = float(mean_backscatter(scene, way)[0, 0, 0])
    image = render_sar(scene, way)
    assert image.dtype == np.complex64
    real, imaginary = image.real.ravel(), image.imag.ravel()
    scale = np.sqrt(sigma0)
    assert abs(image.mean()) < 0.025 * scale  # 4.5 standard errors
    assert real.var() == pytest.approx(sigma0 / 2, rel=0.02)
    assert imaginary.var() == pytest.approx(sigma0 / 2, rel=0.02)
    assert abs(np.corrcoef(real, imaginary)[0, 1]) < 0.01
    # Exponential intensity: its deviation is its mean, its median ln 2 of it.
    intensity = np.abs(image) ** 2
    assert intensity.std() == pytest.approx(sigma0, rel=0.03)
    assert np.median(intensity) == pytest.approx(np.log(2.0) * sigma0, rel=0.03)


@pytest.mark.parametrize('looks', [1, 4])
def test_looks_have_speckle_of_their_own(looks: int) -> None:
    scene, way = flat_scene(Material.CROP, 30, 64), passing(30)
    power = render_looks(scene, looks, way)
    assert power.dtype == np.float32
    # Of independent looks the equivalent number is the number, and the mean stays.
    assert power.mean() ** 2 / power.var() == pytest.approx(looks, rel=0.05)
    assert power.mean() == pytest.approx(float(mean_backscatter(scene, way)[0, 0, 0]), rel=0.02)
    if looks == 1:
        np.testing.assert_allclose(power, np.abs(render_sar(scene, way)) ** 2, rtol=1e-5)


def test_neighbouring_speckle_is_correlated_by_the_resolution_of_two_pixels() -> None:
    image = render_sar(flat_scene(Material.CROP, 30, 64), passing(30))

    def coherence(steps: int, axis: int) -> float:
        shifted = np.moveaxis(image, axis, -1)
        first, second = shifted[..., steps:], shifted[..., :-steps]
        return float(np.abs((first * second.conj()).mean()) / (np.abs(image) ** 2).mean())

    for axis in (1, 2):
        # Of the response (1/2, 1, 1/2): 1 / 1.5 at one pixel, 0.25 / 1.5 at two.
        assert coherence(1, axis) == pytest.approx(2 / 3, abs=0.02)
        assert coherence(2, axis) == pytest.approx(1 / 6, abs=0.02)
        assert coherence(3, axis) < 0.02


def test_surfaces_have_their_order_and_single_surfaces_their_values() -> None:
    def sigma0(material: Material, vegetation: float = 0.0, wetness: float = 0.0) -> float:
        scene = flat_scene(material, vegetation=vegetation, wetness=wetness)
        return _db(surface_backscatter(scene, passing()))

    order = [
        sigma0(Material.WATER),
        sigma0(Material.ROAD),
        sigma0(Material.BARE_SOIL),
        sigma0(Material.CROP, vegetation=1.0),
        sigma0(Material.TREE, vegetation=1.0),
    ]
    assert order == sorted(order)
    assert sigma0(Material.ROAD) == pytest.approx(-19.0, abs=1e-3)
    assert sigma0(Material.WATER) == pytest.approx(-31.0 + 15.5 * np.log10(5.0), abs=1e-3)
    wet = sigma0(Material.BARE_SOIL, wetness=1.0) - sigma0(Material.BARE_SOIL)
    assert wet == pytest.approx(5.5, abs=1e-3)
    # Closed canopy hides the soil; half a cover lets it through.
    assert sigma0(Material.CROP, 1.0, 1.0) - sigma0(Material.CROP, 1.0) < 2.5
    assert sigma0(Material.CROP) < sigma0(Material.CROP, 0.5) < sigma0(Material.CROP, 1.0)


def test_mixed_pixels_hold_the_mean_power_of_their_materials() -> None:
    parts = [surface_backscatter(flat_scene(m), passing()) for m in (Material.ROAD, Material.ROCK)]
    mixed = flat_scene(Material.ROAD, mixed_with=Material.ROCK, fraction=0.6)
    expected = 0.6 * parts[0] + 0.4 * parts[1]
    np.testing.assert_allclose(surface_backscatter(mixed, passing()), expected, rtol=1e-5)


def test_wind_and_roughness_brighten_and_oblique_looks_darken() -> None:
    angle = np.deg2rad(38.0)
    wind = water_db(np.array([5.0, 10.0]), np.array([angle, angle]))
    assert wind[1] - wind[0] == pytest.approx(15.5 * np.log10(2.0))
    soil, rough = flat_scene(Material.BARE_SOIL), passing()
    rough = rough._replace(roughness=np.ones(1, np.float32))
    gain = _db(surface_backscatter(soil, rough)) - _db(surface_backscatter(soil, passing()))
    assert gain == pytest.approx(3.0, abs=1e-3)
    steep, oblique = (
        surface_backscatter(soil, passing(degrees=degrees)).mean() for degrees in (31.0, 45.0)
    )
    assert steep > oblique


@pytest.mark.parametrize('descending', [False, True])
def test_a_tower_is_bright_towards_the_radar_and_in_shadow_behind(descending: bool) -> None:
    tower = np.zeros((1, 33, 33), bool)
    tower[:, 14:19, 14:19] = True
    scene = flat_scene(
        Material.GRASS,
        size=33,
        height=40.0 * tower,
        land_cover=np.where(tower, Material.ROOF_DARK, Material.GRASS),
        vegetation=0.5,
    )
    power = mean_backscatter(scene, passing(descending=descending))[0, 16]
    # The radar stands in the west on ascending passes, and looks east.
    west, east = power[10:14].mean(), power[20:22].mean()
    near, far = (east, west) if descending else (west, east)
    around = power[:3].mean()
    assert near > 3.0 * around
    shadow = power[13] if descending else power[19]
    assert shadow == pytest.approx(NOISE_FLOOR, rel=1e-3)
    assert far < around


def test_descending_passes_see_the_mirror_image_of_relief() -> None:
    elevation = 8.0 * np.random.default_rng(0).standard_normal((1, 32, 32)).astype(np.float32)
    up = mean_backscatter(flat_scene(Material.ROCK, elevation=elevation), passing())
    mirrored = flat_scene(Material.ROCK, elevation=elevation[..., ::-1])
    down = mean_backscatter(mirrored, passing(descending=True))
    np.testing.assert_allclose(down, up[..., ::-1], rtol=1e-5)
    same = mean_backscatter(flat_scene(Material.ROCK, elevation=elevation), passing(1, True))
    assert np.abs(same - up).max() > 0.2 * up.mean()


def test_streets_square_to_the_radar_shine() -> None:
    blocks = np.zeros((1, 48, 48), bool)
    blocks[:, :, 4::8] = blocks[:, :, 5::8] = True

    def town(degrees: float) -> float:
        scene = flat_scene(
            Material.ROAD,
            size=48,
            height=15.0 * blocks,
            land_cover=np.where(blocks, Material.ROOF_TILE, Material.ROAD),
            parcel=0,
            row_angle=np.deg2rad(degrees),
        )
        return _db(mean_backscatter(scene, passing()))

    # Ascending passes look 11 degrees north of east.
    aligned, turned = town(-11.0), town(34.0)
    assert aligned == pytest.approx(town(79.0), abs=1e-3)
    assert aligned > turned + 4.0


def test_zones_have_the_backscatter_of_their_land() -> None:
    medians = []
    for name in ('water', 'bare soil or sand', 'dense trees', 'compact high-rise'):
        scene = make_scenes(CLASS_NAMES.index(name), 32, 0, np.arange(24))
        power = (np.abs(render_sar(scene)) ** 2).mean((1, 2))
        medians.append(10.0 * np.log10(np.median(power)))
    assert medians == sorted(medians)
    assert medians[0] < -17.0
    assert -20.0 < medians[1] < -12.0
    assert -10.0 < medians[2] < -7.0
    assert -8.0 < medians[3] < 1.0


def test_water_of_one_place_is_dark_red_in_colour_and_dark_in_radar() -> None:
    scene = make_scenes(CLASS_NAMES.index('water'), 48, 3, np.arange(40))
    scene = scene._replace(elevation=0.0 * scene.elevation)  # no shadows in either view
    water = (scene.land_cover == Material.WATER) & (scene.fraction > 0.9)
    mixed = (water.mean((1, 2)) > 0.15) & (water.mean((1, 2)) < 0.85)
    assert mixed.sum() >= 8
    red = render_rgb(scene)[..., 0].astype(np.float64)
    radar = multilook_db(render_sar(scene), 3)
    for place in np.flatnonzero(mixed):
        inside = water[place]
        land = (scene.land_cover[place] != Material.WATER) & (scene.fraction[place] > 0.9)
        for view in (red, radar):
            assert view[place][inside].mean() < view[place][land].mean()


def test_images_repeat_and_do_not_depend_on_their_neighbours() -> None:
    scene = make_scenes(1, 32, 5, np.arange(6))
    alone = make_scenes(1, 32, 5, [4])
    np.testing.assert_array_equal(render_sar(scene)[4], render_sar(alone)[0])
    other = render_sar(alone._replace(seed=alone.seed + 1))
    assert (render_sar(alone) != other).mean() > 0.99


def test_passes_are_of_both_directions_and_within_the_swath() -> None:
    way = draw_acquisition(flat_scene(Material.GRASS, 300, 16))
    assert 110 < way.descending.sum() < 190
    degrees = np.rad2deg(way.incidence)
    assert 31.0 <= degrees.min() < 33.0 < 43.0 < degrees.max() <= 45.0
    assert way.wind.min() >= 1.0
    assert np.abs(way.roughness).max() <= 1.0


def test_multilooking_averages_power() -> None:
    image = np.full((1, 16, 16), 0.1j, np.complex64)
    np.testing.assert_allclose(multilook_db(image, 3), -20.0, atol=1e-4)
    image[0, 8, 8] = 1.0
    assert multilook_db(image, 3)[0, 7, 7] == pytest.approx(10 * np.log10((1 + 8 * 0.01) / 9))
    assert multilook_db(0.0 * image, 1).max() == pytest.approx(-60.0)
