from __future__ import annotations

import numpy as np

from eojax.synthetic import country
from eojax.synthetic.canvas import Canvas
from eojax.synthetic.chance import Chance
from eojax.synthetic.layouts import LAYOUTS
from eojax.synthetic.regions import KINDS, make_region
from eojax.synthetic.scene import Material, Scene
from eojax.synthetic.views.render_rgb import render_rgb

SIZE = 64


def test_kinds_take_turns_and_regions_of_a_kind_differ() -> None:
    kinds = len(KINDS)
    regions = [make_region(0, number) for number in range(2 * kinds)]
    assert [region.name for region in regions[:2]] == ['plain_0', 'hedges_1']
    for first, second in zip(regions[:kinds], regions[kinds:], strict=True):
        assert first.name.split('_')[0] == second.name.split('_')[0]
        assert first.field_width != second.field_width
        assert not np.allclose(first.conditions.soil, second.conditions.soil)
    assert regions[3] == make_region(0, 3)._replace(conditions=regions[3].conditions)
    assert regions[3].woods != make_region(1, 3).woods


def test_a_tile_does_not_depend_on_its_neighbours() -> None:
    for number in (3, 6):  # one with woods, one with a coast
        region = make_region(0, number)
        together = country.make_tiles(region, [1, 5, 9], SIZE)
        alone = country.make_tiles(region, [5], SIZE)
        for name in Scene._fields:
            if name != 'conditions':
                np.testing.assert_array_equal(getattr(together, name)[1], getattr(alone, name)[0])


def test_tiles_keep_the_contract_of_scenes() -> None:
    for number in range(len(KINDS)):
        scene = country.make_tiles(make_region(2, number), range(4), SIZE)
        assert scene.fraction.min() >= 0.5
        assert scene.fraction.max() <= 1.0
        assert scene.height.min() >= 0.0
        wet = (scene.land_cover == Material.WATER) | (scene.mixed_with == Material.WATER)
        assert (scene.water_depth[~wet] == 0.0).all()
        assert (scene.parcel[scene.land_cover == Material.WATER] == -1).all()
        assert all(np.isfinite(getattr(scene, name)).all() for name in Scene._fields[:12])


def test_the_sea_is_level_and_land_rises_from_it() -> None:
    scene = country.make_tiles(make_region(0, 6), range(12), SIZE)
    sea = scene.land_cover == Material.WATER
    assert 0.1 < sea.mean() < 0.9
    assert scene.elevation[sea].max() < 0.05  # of pixels that hold a part of the beach
    assert np.quantile(scene.elevation[~sea], 0.5) > 1.0


def test_the_same_grass_looks_more_alike_within_a_region_than_in_another() -> None:
    means = np.full((8, 6, 3), np.nan)
    for number in range(8):
        scene = country.make_tiles(make_region(0, number), range(6), SIZE)
        grass = (scene.land_cover == Material.GRASS) & (scene.fraction > 0.95)
        for tile, (image, mask) in enumerate(zip(render_rgb(scene), grass, strict=True)):
            if mask.any():
                means[number, tile] = image[mask].mean(0)
    within = np.nanvar(means, axis=1).mean()
    between = np.nanmean(means, axis=1).var(0).mean()
    assert between > 2.0 * within


def test_within_keeps_what_lies_outside_and_takes_what_lies_inside() -> None:
    canvas, alone = (Canvas(Chance([[7, 1]]), 32) for _ in range(2))
    before = canvas.land_cover.copy()
    where = np.zeros((1, 32, 32), bool)
    where[:, :, 20:] = True
    canvas.within(where, LAYOUTS['Forest'])
    LAYOUTS['Forest'](alone)
    np.testing.assert_array_equal(canvas.land_cover[:, :, :20], before[:, :, :20])
    np.testing.assert_array_equal(canvas.land_cover[:, :, 20:], alone.land_cover[:, :, 20:])
    np.testing.assert_array_equal(canvas.height[:, :, 20:], alone.height[:, :, 20:])
    assert (canvas.elevation == 0.0).all()
    half = Canvas(Chance([[7, 1]]), 32)
    half.within(where, LAYOUTS['Forest'], 0.5)
    np.testing.assert_allclose(half.elevation, 0.5 * alone.elevation, rtol=1e-6)
