"""The ground that pixels cover, against closed forms and areas that are known."""

from __future__ import annotations

import numpy as np
import pytest
import rasterio
from rasterio.control import GroundControlPoint
from rasterio.crs import CRS
from rasterio.transform import Affine, from_origin

from eojax.data.facts import Facts
from eojax.data.reading.patches import patch_pixels
from eojax.data.reading.raster import Raster
from eojax.data.reading.scenes.ground import Ground, find_ground
from tests.data.rasters import write_raster

# Where 10 m of Web Mercator are 5 m of ground: 10 degrees east, 60 degrees north.
MERCATOR = from_origin(1113194.0, 8399737.0, 10.0, 10.0)


def _ground(crs: object, transform: Affine, height: int, width: int) -> Ground:
    ground = find_ground(CRS.from_user_input(crs), transform, height, width)
    assert ground is not None
    return ground


def test_the_surface_of_the_earth_is_all_of_it():
    ground = _ground('EPSG:4326', Affine(0.1, 0.0, -180.0, 0.0, -0.1, 90.0), 1800, 3600)
    # Of WGS 84, in square metres.
    assert ground.row_areas(np.arange(1800)).sum() * 3600 == pytest.approx(5.10065622e14, rel=2e-5)


@pytest.mark.parametrize(('latitude', 'top'), [(60.0, 8399737.91), (18.0, 2037548.54), (0.0, 0.0)])
def test_web_mercator_stretches_by_the_latitude(latitude, top):
    ground = _ground('EPSG:3857', from_origin(1e6, top, 10.0, 10.0), 2, 2)
    sine = np.sin(np.deg2rad(latitude))
    flat = 1.0 - 0.00669437999 * sine**2
    # Radii of curvature over the radius of the sphere that is drawn.
    north, east = (1.0 - 0.00669437999) / flat**1.5, 1.0 / flat**0.5
    expected = 100.0 * np.cos(np.deg2rad(latitude)) ** 2 * north * east
    assert ground.row_areas(np.array([0]))[0] == pytest.approx(expected, rel=1e-5)


def test_the_same_ground_has_the_same_area_in_all_coordinates():
    """A square of 20 km near Munich, in five systems, turned, and upside down."""
    from rasterio.warp import transform_bounds

    bounds = (680_000.0, 5_330_000.0, 700_000.0, 5_350_000.0)
    for crs in ('EPSG:3857', 'EPSG:4326', 'EPSG:3035', 'EPSG:31468', 'EPSG:3413'):
        west, south, east, north = transform_bounds('EPSG:32632', crs, *bounds)
        side = ((east - west) / 400, (north - south) / 400)
        for up in (False, True):
            place = Affine(side[0], 0, west, 0, side[1] if up else -side[1], south if up else north)
            ground = _ground(crs, place, 400, 400)
            # The pixel at the centre, by its corners in UTM (0.04 % above the ground here).
            x, y = _to_utm(
                crs, place, np.array([200, 201, 200, 201]), np.array([200, 200, 201, 201])
            )
            across, down = (x[1] - x[0], y[1] - y[0]), (x[2] - x[0], y[2] - y[0])
            area = abs(across[0] * down[1] - across[1] * down[0])
            found = ground.cell_areas(np.array([200]), 1, 400)[200]
            assert found == pytest.approx(area, rel=2e-3), crs


def _to_utm(crs, place, columns, rows):
    from rasterio.warp import transform

    x, y = place @ (columns.astype(float), rows.astype(float))
    return transform(crs, 'EPSG:32632', list(x), list(y))


def test_turned_pixels_and_cells_add_up():
    turned = MERCATOR @ Affine.rotation(30.0)
    ground = _ground('EPSG:3857', turned, 3000, 400)
    assert not ground.by_row
    rows = np.arange(3000)
    cells = sum(ground.cell_areas(rows[top : top + 20], 20, 20).sum() for top in range(0, 3000, 20))
    assert cells == pytest.approx(ground.row_areas(rows).sum() * 400, rel=1e-6)
    assert ground.sides == pytest.approx((5.0, 5.0), rel=0.02)


def test_grids_of_surveys_keep_their_own_metres():
    ground = _ground('EPSG:32632', from_origin(600_000.0, 5_300_000.0, 10.0, 10.0), 64, 64)
    assert (ground.row_areas(np.arange(64)) == 100.0).all()
    assert ground.by_grid
    # Far outside of its zone UTM is no measure any more.
    far = _ground('EPSG:32632', from_origin(1_400_000.0, 5_300_000.0, 10.0, 10.0), 64, 64)
    assert far.row_areas(np.arange(64))[0] == pytest.approx(100.0 / 1.0193, rel=1e-3)


def test_what_lies_nowhere_has_no_ground():
    assert find_ground(None, Affine.identity(), 4, 4) is None
    local = CRS.from_wkt('LOCAL_CS["plan",UNIT["metre",1]]')
    assert find_ground(local, from_origin(0, 0, 1, 1), 4, 4) is None


def test_patches_show_as_much_ground_as_in_training(tmp_path):
    facts = Facts(metres=10.0, size=(64, 64))
    pixels = np.full((20, 20, 3), 9, np.uint8)
    path = write_raster(tmp_path / 'a.tif', pixels, crs='EPSG:3857', transform=MERCATOR)
    with Raster(path, ('red', 'green', 'blue')) as raster:
        assert patch_pixels(facts, 64, raster.pixel_metres()) == 128
        assert not raster.notes
    # Degrees at 60 north: twice as high as wide.
    degrees = from_origin(10.0, 60.0, 1e-4, 1e-4)
    path = write_raster(tmp_path / 'b.tif', pixels, crs='EPSG:4326', transform=degrees)
    with Raster(path, ('red', 'green', 'blue')) as raster:
        assert any('shapes are stretched' in note for note in raster.notes)


def test_a_turned_pixel_has_its_true_area_and_no_more():
    """Its sides are at no right angle on the ground: their product is a quarter too much."""
    place = from_origin(10.0, 60.0, 1e-4, 1e-4)
    straight, turned = (
        _ground('EPSG:4326', transform, 96, 96)
        for transform in (place, place @ Affine.rotation(45.0))
    )
    # Metres of a degree along the meridian and across it, of WGS 84 at 60 degrees.
    assert np.sqrt(turned.centre) == pytest.approx(1e-4 * np.sqrt(111_412 * 55_800), rel=1e-3)
    assert turned.centre == pytest.approx(straight.centre, rel=1e-3)


def test_control_points_across_the_180th_meridian_are_near_each_other(tmp_path):
    def metres(name: str, west: float, east: float) -> float | None:
        path = tmp_path / name
        profile = {'driver': 'GTiff', 'height': 96, 'width': 96, 'count': 3, 'dtype': 'uint8'}
        with rasterio.open(path, 'w', **profile, photometric='rgb') as file:
            file.write(np.full((3, 96, 96), 9, np.uint8))
            corners = [(0, 0, west, 60.0), (0, 96, east, 60.0), (96, 0, west, 59.995),
                       (96, 96, east, 59.995)]  # fmt: skip
            file.gcps = [GroundControlPoint(*corner) for corner in corners], 'EPSG:4326'
        with Raster(path, ('red', 'green', 'blue')) as raster:
            assert raster.notes == ()
            return raster.pixel_metres()

    assert metres('across.tif', 179.995, -179.995) == pytest.approx(
        metres('beside.tif', 10.0, 10.01), rel=1e-6
    )
