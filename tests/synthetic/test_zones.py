from __future__ import annotations

import numpy as np
import pytest

from eojax.data.sets.landscape_zones import make_scenes
from eojax.data.sets.local_climate_zones import CLASS_NAMES, LOW_RISE, URBAN
from eojax.synthetic.local_climate.zones import LAYOUTS
from eojax.synthetic.scene import Material, Scene
from eojax.synthetic.views.render_rgb import sunlight
from tests.synthetic.flat_scene import flat_scene

ROOFS = (Material.ROOF_TILE, Material.ROOF_METAL, Material.ROOF_DARK)
NUM = 12


@pytest.fixture(scope='module')
def zones() -> dict[str, Scene]:
    return {n: make_scenes(k, 48, 2, np.arange(NUM)) for k, n in enumerate(CLASS_NAMES)}


def _share(scene: Scene, *materials: Material) -> np.ndarray:
    """Of each image, by area."""
    main = np.isin(scene.land_cover, materials) * scene.fraction
    second = np.isin(scene.mixed_with, materials) * (1.0 - scene.fraction)
    return (main + second).mean((1, 2))


def _roof_height(scene: Scene, quantile: float) -> float:
    """Of pixels that are mostly roof."""
    roofs = np.isin(scene.land_cover, ROOFS) & (scene.fraction > 0.8)
    return float(np.quantile(scene.height[roofs], quantile))


def test_names_are_the_official_zones_in_order() -> None:
    assert len(CLASS_NAMES) == len(set(CLASS_NAMES)) == 17
    named = [layout.__name__.replace('_', ' ') for layout in LAYOUTS]
    assert named[:2] == ['compact high rise', 'compact mid rise']
    assert named[-3:] == ['bare rock or paved', 'bare soil or sand', 'open water']
    assert len(set(LAYOUTS)) == len(CLASS_NAMES)
    assert CLASS_NAMES[0] == 'compact high-rise'
    assert CLASS_NAMES[9] == 'heavy industry'
    assert CLASS_NAMES[10] == 'dense trees'
    assert CLASS_NAMES[16] == 'water'
    assert CLASS_NAMES[:10] == URBAN
    assert tuple(CLASS_NAMES[k] for k in (2, 5, 6, 7)) == LOW_RISE
    assert not any(set(name) & set(',=+') for name in CLASS_NAMES)


def test_layers_keep_their_ranges_in_every_zone(zones: dict[str, Scene]) -> None:
    for name, scene in zones.items():
        for layer in Scene._fields[:12]:
            assert np.isfinite(getattr(scene, layer)).all(), name
        assert 0.5 <= scene.fraction.min() <= scene.fraction.max() <= 1.0, name
        for values in (scene.vegetation, scene.wetness, scene.turbidity):
            assert 0.0 <= values.min() <= values.max() <= 1.0, name
        assert scene.height.min() >= -1e-4, name
        assert scene.height.max() < 140.0, name


def test_heights_grow_from_huts_to_towers_and_meet(zones: dict[str, Scene]) -> None:
    for kind in ('compact', 'open'):
        low, mid, high = (zones[f'{kind} {rise}'] for rise in ('low-rise', 'mid-rise', 'high-rise'))
        medians = [_roof_height(scene, 0.5) for scene in (low, mid, high)]
        assert medians[0] < 10.0 < medians[1] < 22.0 < medians[2]
    assert _roof_height(zones['lightweight low-rise'], 0.95) < 6.0
    assert _roof_height(zones['large low-rise'], 0.9) < 14.0
    # Zones border on each other.
    assert _roof_height(zones['compact mid-rise'], 0.99) > 20.0


def test_built_and_natural_shares_are_those_of_the_zones(zones: dict[str, Scene]) -> None:
    roofs = {name: float(_share(scene, *ROOFS).mean()) for name, scene in zones.items()}
    for name in ('compact high-rise', 'compact mid-rise', 'compact low-rise'):
        assert 0.3 < roofs[name] < 0.75, name
    for name in ('open high-rise', 'open mid-rise', 'open low-rise'):
        assert 0.1 < roofs[name] < 0.42, name
    assert 0.5 < roofs['lightweight low-rise'] < 0.92
    assert 0.2 < roofs['large low-rise'] < 0.55
    assert 0.15 < roofs['heavy industry'] < 0.5
    assert 0.01 < roofs['sparsely built'] < 0.2
    for name in CLASS_NAMES[10:]:
        assert roofs[name] < 0.03, name


def test_land_covers_hold_what_they_are_named_after(zones: dict[str, Scene]) -> None:
    green = (Material.GRASS, Material.CROP)
    assert _share(zones['dense trees'], Material.TREE).min() > 0.6
    scattered = _share(zones['scattered trees'], Material.TREE)
    assert scattered.min() > 0.03
    assert scattered.max() < 0.7
    assert _share(zones['bush or scrub'], Material.SHRUB).mean() > 0.25
    assert _share(zones['low plants'], *green).mean() > 0.7
    hard = (Material.ROCK, Material.PAVED, Material.ROAD)
    assert _share(zones['bare rock or paved'], *hard).mean() > 0.75
    loose = (Material.BARE_SOIL, Material.SAND, Material.CROP)
    assert _share(zones['bare soil or sand'], *loose).mean() > 0.8
    assert _share(zones['water'], Material.WATER).mean() > 0.5
    assert _share(zones['water'], Material.WATER).min() > 0.1


def test_towers_cast_shadows_over_several_pixels_where_that_is_asked_for() -> None:
    height = np.zeros((1, 32, 32), np.float32)
    height[0, 20, 16] = 40.0
    scene = flat_scene(Material.GRASS, height=height)  # sun in the south at 45 degrees
    near, far = sunlight(scene)[0, :, 16], sunlight(scene, cast_shadows=True)[0, :, 16]
    np.testing.assert_allclose(far[16:20], 0.28, atol=1e-4)  # 40 m, four pixels to the north
    assert far[15] == pytest.approx(1.0)
    np.testing.assert_allclose(near[16:19], 1.0)  # without it the next pixel alone
    np.testing.assert_allclose(far[22:], 1.0)
